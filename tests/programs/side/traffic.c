#include "traffic.h"
#include "child.h"

#include <sys/mman.h>
#include <unistd.h>

static void lane_new(struct lane *lane)
{
    pthread_mutexattr_t shared;
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&lane->turn, &shared);
}

struct traffic *traffic_new(void)
{
    struct traffic *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        check_broken("mmap", __FILE__, __LINE__);
    lane_new(&t->out);
    lane_new(&t->in);
    return t;
}

void traffic_prepare(struct traffic *t, struct connection c, long long count)
{
    t->c = c;
    t->count = count;
    t->out.done = t->in.done = 0;
    t->out.error = t->in.error = 0;
    t->out.state = count;
    t->in.state = count + 1;
}

void traffic_tell(struct traffic *t)
{
    far_tell((struct order){ .kind = TRADE, .fd = t->c.there, .count = t->count, .offset = FROM_THERE, .value = t->count % 1000 });
}

void traffic_begin(struct traffic *t, struct connection c, long long count)
{
    traffic_prepare(t, c, count);
    traffic_tell(t);
}

static size_t next_length(struct lane *lane, long long limit)
{
    size_t len = draw_length(&lane->state);
    long long left = limit - lane->done;
    return (long long)len < left ? len : (size_t)left;
}

/* Takes note of what a call gave; true while there is more to do. After an error nobody waits for the rest. */
static int noted(struct lane *lane, int fd, ssize_t n, int error, long long limit)
{
    if (n > 0)
        __atomic_store_n(&lane->done, lane->done + n, __ATOMIC_RELEASE);
    else if (n == 0)
        lane->error = EPIPE;
    else if (error != EINTR && error != EAGAIN)
        lane->error = error;
    if (lane->error)
        shutdown(fd, SHUT_RDWR);
    return !lane->error && lane->done < limit;
}

int traffic_out(struct traffic *t, int fd, long long limit)
{
    unsigned char bytes[PIECE];
    int more = 0;
    pthread_mutex_lock(&t->out.turn);
    if (!t->out.error && t->out.done < limit) {
        size_t len = next_length(&t->out, limit);
        pattern_fill(bytes, len, t->out.done);
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        more = noted(&t->out, fd, n, errno, limit);
    }
    pthread_mutex_unlock(&t->out.turn);
    return more;
}

int traffic_in(struct traffic *t, int fd, long long limit)
{
    unsigned char bytes[PIECE];
    int more = 0;
    pthread_mutex_lock(&t->in.turn);
    if (!t->in.error && t->in.done < limit) {
        size_t len = next_length(&t->in, limit);
        ssize_t n = recv(fd, bytes, len, 0);
        int error = errno;
        if (n > 0 && !pattern_holds(bytes, n, FROM_THERE + t->in.done)) {
            n = -1;
            error = EILSEQ;
        }
        more = noted(&t->in, fd, n, error, limit);
    }
    pthread_mutex_unlock(&t->in.turn);
    return more;
}

int traffic_move(struct traffic *t, int fd, long long limit)
{
    /* Neither way waits for the other for good: the agent always takes what comes, and sends what it has. */
    for (;;) {
        int out = traffic_out(t, fd, limit), in = traffic_in(t, fd, limit);
        if (!out && !in)
            return !t->out.error && !t->in.error;
    }
}

static void *all_out(void *traffic)
{
    struct traffic *t = traffic;
    while (traffic_out(t, t->c.here, t->count))
        ;
    return NULL;
}

static void *all_in(void *traffic)
{
    struct traffic *t = traffic;
    while (traffic_in(t, t->c.here, t->count))
        ;
    return NULL;
}

void traffic_start(struct traffic *t)
{
    t->threads[0] = thread_of(all_out, t);
    t->threads[1] = thread_of(all_in, t);
}

void traffic_stop(struct traffic *t)
{
    thread_result(t->threads[0]);
    thread_result(t->threads[1]);
}

int traffic_reaches(struct traffic *t, long long point)
{
    return EVENTUALLY(__atomic_load_n(&t->out.done, __ATOMIC_ACQUIRE) >= point &&
                      __atomic_load_n(&t->in.done, __ATOMIC_ACQUIRE) >= point);
}

void traffic_settled(struct traffic *t)
{
    check(t->in.done == t->count && !t->in.error, "every byte arrives here", "%lld of %lld, then %s", t->in.done, t->count,
          strerror(t->in.error));
    if (t->out.done != t->count)
        check(0, "every byte is sent", "%lld of %lld, then %s", t->out.done, t->count, strerror(t->out.error));
    /* The agent would wait for what never comes, or for room. */
    if (t->out.done != t->count || t->in.done != t->count)
        shutdown(t->c.here, SHUT_RDWR);
    EQUAL(far_answer().value, t->count, "every byte arrives there");
    close(t->c.here);
    CHECK(far_ended(t->c.there), "then the end");
    far_close(t->c.there);
}

void traffic_end(struct traffic *t)
{
    traffic_start(t);
    traffic_stop(t);
    traffic_settled(t);
}
