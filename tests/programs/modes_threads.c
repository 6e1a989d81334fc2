/* Threads and signal handlers that share one stream: who sends what when is theirs to agree on, but no byte is lost or doubled. */
#include "side/child.h"
#include "side/traffic.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MUCH (2 << 20)
#define SOME 50000
#define RECORDS 1500
#define LONGEST 4096

static struct traffic *t;

/* A record on the stream: who sent it, which of his it is, and so many bytes of the pattern from its number on. */
struct record {
    uint32_t writer, number, len;
};

struct crowd {
    int fd;
    pthread_mutex_t out, in;
    unsigned seen[2];       /* records of each writer that came back */
    unsigned left, wrong;   /* to be read; out of their order, or with wrong bytes */
};

struct member {
    struct crowd *crowd;
    uint32_t number;
};

static void *writes_records(void *member)
{
    struct member *m = member;
    unsigned state = m->number;
    unsigned char bytes[LONGEST];
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct record r = { m->number, i, draw(&state, LONGEST - sizeof(r)) };
        memcpy(bytes, &r, sizeof(r));
        pattern_fill(bytes + sizeof(r), r.len, i);
        pthread_mutex_lock(&m->crowd->out);
        ssize_t n = send(m->crowd->fd, bytes, sizeof(r) + r.len, MSG_NOSIGNAL);
        pthread_mutex_unlock(&m->crowd->out);
        if (n != (ssize_t)(sizeof(r) + r.len))
            return "a send that is not whole";
    }
    return NULL;
}

static void *reads_records(void *member)
{
    struct crowd *c = ((struct member *)member)->crowd;
    unsigned char bytes[LONGEST];
    void *wrong = NULL;
    for (;;) {
        struct record r;
        pthread_mutex_lock(&c->in);
        int more = c->left > 0 && !c->wrong;
        if (more) {
            c->left--;
            if (recv(c->fd, &r, sizeof(r), MSG_WAITALL) != sizeof(r) || r.writer > 1 || r.len >= LONGEST ||
                recv(c->fd, bytes, r.len, MSG_WAITALL) != (ssize_t)r.len || r.number != c->seen[r.writer]++ ||
                !pattern_holds(bytes, r.len, r.number)) {
                c->wrong = 1;
                wrong = "a record out of place";
                shutdown(c->fd, SHUT_RDWR);
            }
        }
        pthread_mutex_unlock(&c->in);
        if (!more)
            return wrong;
    }
}

static void records(const char *group, struct connection c)
{
    struct crowd crowd = { .fd = c.here, .out = PTHREAD_MUTEX_INITIALIZER, .in = PTHREAD_MUTEX_INITIALIZER, .left = 2 * RECORDS };
    struct member members[2] = { { &crowd, 0 }, { &crowd, 1 } };
    unsigned long threads[4];
    check_group(group);
    far_tell((struct order){ .kind = ECHO, .fd = c.there });
    for (int i = 0; i < 4; i++)
        threads[i] = thread_of(i < 2 ? writes_records : reads_records, &members[i % 2]);
    for (int i = 0; i < 4; i++) {
        const char *wrong = (const char *)thread_result(threads[i]);
        check(!wrong, i < 2 ? "a writer" : "a reader", "%s", wrong);
    }
    CHECK(crowd.seen[0] == RECORDS && crowd.seen[1] == RECORDS, "each record comes back once, in its writer's order");
    MUST(shutdown(c.here, SHUT_WR));
    CHECK(far_answer().value > 0, "by way of the far end");
    finish(c);
}

/* Without any agreement: every writer sends one kind of byte, and the readers count. */
struct unruly {
    int fd;
    unsigned char kind;
    long long count[2];
};

static void *writes_one_kind(void *unruly)
{
    struct unruly *u = unruly;
    unsigned char bytes[20000];
    unsigned state = u->kind;
    long long done = 0;
    memset(bytes, u->kind, sizeof(bytes));
    while (done < MUCH) {
        long long len = 1 + draw(&state, sizeof(bytes));
        ssize_t n = send(u->fd, bytes, len < MUCH - done ? len : MUCH - done, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += n;
    }
    return (void *)(long)done;
}

static void *counts_kinds(void *unruly)
{
    struct unruly *u = unruly;
    unsigned char bytes[20000];
    unsigned state = u->kind;
    ssize_t n;
    while ((n = recv(u->fd, bytes, 1 + draw(&state, sizeof(bytes)), 0)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            u->count[0] += bytes[i] == 'A';
            u->count[1] += bytes[i] == 'B';
        }
    return NULL;
}

static void without_agreement(const char *group, struct connection c)
{
    struct unruly members[4] = { { .fd = c.here, .kind = 'A' }, { .fd = c.here, .kind = 'B' }, { .fd = c.here, .kind = 1 },
                                 { .fd = c.here, .kind = 2 } };
    unsigned long threads[4];
    check_group(group);
    far_tell((struct order){ .kind = ECHO, .fd = c.there });
    for (int i = 0; i < 4; i++)
        threads[i] = thread_of(i < 2 ? writes_one_kind : counts_kinds, &members[i]);
    EQUAL(thread_result(threads[0]), MUCH, "one writer sends all");
    EQUAL(thread_result(threads[1]), MUCH, "so does the other");
    MUST(shutdown(c.here, SHUT_WR));
    EQUAL(far_answer().value, 2 * MUCH, "all arrives there");
    far_shutdown(c.there, SHUT_WR);
    thread_result(threads[2]);
    thread_result(threads[3]);
    EQUAL(members[2].count[0] + members[3].count[0], MUCH, "as many of one kind come back as went");
    EQUAL(members[2].count[1] + members[3].count[1], MUCH, "and of the other");
    finish(c);
}

/* What the handler does: nothing, or it sends a few bytes by this descriptor. */
static volatile sig_atomic_t caught;
static int handler_fd = -1;
static long long handler_sent, handler_limit;

static void handle(int signal)
{
    int error = errno;
    unsigned char bytes[200];
    (void)signal;
    caught++;
    if (handler_fd >= 0 && handler_sent < handler_limit) {
        size_t len = handler_limit - handler_sent < 200 ? handler_limit - handler_sent : 200;
        pattern_fill(bytes, len, handler_sent);
        ssize_t n = send(handler_fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        handler_sent += n > 0 ? n : 0;
    }
    errno = error;
}

/* Signals to the calling thread, again and again. */
static timer_t disturbed(int flags, long nanoseconds)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = flags };
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
    struct itimerspec often = { { 0, nanoseconds }, { 0, nanoseconds } };
    timer_t timer;
    event._sigev_un._tid = syscall(SYS_gettid);
    caught = 0;
    MUST(sigaction(SIGUSR1, &action, NULL));
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    MUST(timer_settime(timer, 0, &often, NULL));
    return timer;
}

static void quiet(timer_t timer)
{
    timer_delete(timer);
    signal(SIGUSR1, SIG_IGN);
}

/* One thread each way, both disturbed. */
struct disturbed_lane {
    int flags;
    int (*move)(struct traffic *, int, long long);
};

static void *moves_disturbed(void *lane)
{
    struct disturbed_lane *d = lane;
    timer_t timer = disturbed(d->flags, 300000);
    while (d->move(t, t->c.here, t->count))
        ;
    timer_delete(timer);
    return NULL;
}

static void under_signals(const char *group, struct connection c, int flags)
{
    struct disturbed_lane out = { flags, traffic_out }, in = { flags, traffic_in };
    check_group(group);
    handler_fd = -1;
    traffic_begin(t, c, MUCH);
    unsigned long one = thread_of(moves_disturbed, &out), two = thread_of(moves_disturbed, &in);
    thread_result(one);
    thread_result(two);
    traffic_settled(t);
}

/* Calls that wait in the middle of a stream, where nothing comes and nothing goes. */
static void interrupted(struct connection c)
{
    static unsigned char bytes[PIECE];
    check_group("interrupted");
    handler_fd = -1;
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = SOME });
    CHECK(pattern_exchange(c.here, SOME, 999) == SOME && far_answer().value == SOME, "bytes have gone both ways");
    timer_t timer = disturbed(0, 5000000);
    FAILS(recv(c.here, bytes, 1, 0), EINTR, "recv");
    FAILS(recv(c.here, bytes, 1, MSG_PEEK), EINTR, "recv with MSG_PEEK");
    FAILS(recv(c.here, bytes, 100, MSG_WAITALL), EINTR, "recv with MSG_WAITALL");
    quiet(timer);
    far_send(c.there, SOME, 0);
    EQUAL(pattern_receive(c.here, SOME, 0), SOME, "what comes after it is whole");

    long long sent = 0;
    ssize_t n;
    timer = disturbed(0, 5000000);
    /* Each call takes a part and is interrupted, until one has no room at all. */
    while (pattern_fill(bytes, PIECE, sent), (n = send(c.here, bytes, PIECE, MSG_NOSIGNAL)) > 0)
        sent += n;
    int error = errno;
    quiet(timer);
    EQUAL(error, EINTR, "send with no room");
    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent + MUCH });
    EQUAL(pattern_send(c.here, MUCH, sent), MUCH, "what is sent after it");
    EQUAL(far_answer().value, sent + MUCH, "follows on what was sent before");
    finish(c);
}

/* With SA_RESTART the call goes on, and ends when the fifth handler has let something come. */
static volatile sig_atomic_t ordered;
static struct order fifth;

static void order_on_the_fifth(int signal)
{
    int error = errno;
    (void)signal;
    if (++caught == 5 && ordered)
        write_whole(far_control(), &fifth, sizeof(fifth));
    errno = error;
}

static void restarted(struct connection c)
{
    static unsigned char bytes[PIECE];
    check_group("restarted");
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = SOME });
    CHECK(pattern_exchange(c.here, SOME, 999) == SOME && far_answer().value == SOME, "bytes have gone both ways");
    fifth = (struct order){ .kind = SEND, .fd = c.there, .count = SOME };
    ordered = 1;
    timer_t timer = disturbed(SA_RESTART, 5000000);
    struct sigaction action = { .sa_handler = order_on_the_fifth, .sa_flags = SA_RESTART };
    caught = 0;
    MUST(sigaction(SIGUSR1, &action, NULL));
    ssize_t n = recv(c.here, bytes, 1000, 0);
    quiet(timer);
    check(n > 0 && caught >= 5, "recv", "gave %zd (%s) after %d signals", n, strerror(errno), (int)caught);
    EQUAL(far_answer().value, SOME, "the far end has sent");
    CHECK(n > 0 && pattern_holds(bytes, n, 0), "and that is what came");
    EQUAL(pattern_receive(c.here, SOME - n, n), SOME - n, "the rest comes too");

    long long sent = fill_up(c.here);
    fifth = (struct order){ .kind = RECEIVE, .fd = c.there, .count = sent + PIECE };
    timer = disturbed(SA_RESTART, 5000000);
    caught = 0;
    MUST(sigaction(SIGUSR1, &action, NULL));
    pattern_fill(bytes, PIECE, sent);
    n = send(c.here, bytes, PIECE, MSG_NOSIGNAL);
    int error = errno, signals = caught;
    quiet(timer);
    ordered = 0;
    check(n > 0 && signals >= 5, "send", "gave %zd (%s) after %d signals", n, strerror(error), signals);
    if (n < PIECE)
        pattern_send(c.here, PIECE - (n > 0 ? n : 0), sent + (n > 0 ? n : 0));
    EQUAL(far_answer().value, sent + PIECE, "all of it arrives in order");
    finish(c);
}

/* The handler breaks in on a call on one socket and uses another. */
static void handler_sends_elsewhere(struct connection c, struct connection other)
{
    check_group("handler sends on another socket");
    handler_fd = other.here;
    handler_sent = 0;
    handler_limit = SOME;
    traffic_begin(t, c, MUCH);
    timer_t timer = disturbed(SA_RESTART, 200000);
    traffic_move(t, c.here, MUCH);
    quiet(timer);
    handler_fd = -1;
    traffic_settled(t);
    shutdown(other.here, SHUT_WR);
    EQUAL(far_receive(other.there, SOME + 1, 0), handler_sent, "what the handlers sent arrives in order");
    finish(other);
}

/* The handler breaks in on a receive and sends on the same socket, so that both ways are one thread's. */
static void handler_sends_on_the_same(struct connection c)
{
    check_group("handler sends while we receive");
    handler_fd = c.here;
    handler_sent = 0;
    handler_limit = MUCH;
    far_tell((struct order){ .kind = TRADE, .fd = c.there, .count = MUCH, .offset = FROM_THERE, .value = 4 });
    timer_t timer = disturbed(SA_RESTART, 200000);
    EQUAL(pattern_receive(c.here, MUCH, FROM_THERE), MUCH, "we receive all");
    quiet(timer);
    long long rest = MUCH - handler_sent;
    EQUAL(pattern_send(c.here, rest, handler_sent), rest, "we send what the handlers have left");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    handler_fd = -1;
    finish(c);
}

/* The handler breaks in on a send and sends on the same socket, a byte of another kind. */
static volatile sig_atomic_t extra;

static void sends_a_byte(int signal)
{
    int error = errno;
    (void)signal;
    extra += send(handler_fd, "B", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
    errno = error;
}

static void handler_sends_amid_a_send(struct connection c)
{
    struct unruly writer = { .fd = c.here, .kind = 'A' }, reader = { .fd = c.here, .kind = 1 };
    check_group("handler sends while we send");
    handler_fd = c.here;
    extra = 0;
    far_tell((struct order){ .kind = ECHO, .fd = c.there });
    unsigned long thread = thread_of(counts_kinds, &reader);
    timer_t timer = disturbed(SA_RESTART, 200000);
    struct sigaction action = { .sa_handler = sends_a_byte, .sa_flags = SA_RESTART };
    MUST(sigaction(SIGUSR1, &action, NULL));
    long sent = (long)writes_one_kind(&writer);
    quiet(timer);
    handler_fd = -1;
    EQUAL(sent, MUCH, "we send all");
    MUST(shutdown(c.here, SHUT_WR));
    EQUAL(far_answer().value, MUCH + extra, "all arrives there, with what the handlers sent");
    far_shutdown(c.there, SHUT_WR);
    thread_result(thread);
    CHECK(reader.count[0] == MUCH && reader.count[1] == extra, "and comes back");
    finish(c);
}

static void *receives_a_byte(void *id)
{
    char byte;
    __atomic_store_n((pid_t *)id, syscall(SYS_gettid), __ATOMIC_RELEASE);
    return (void *)(long)recv(t->c.here, &byte, 1, 0);
}

static void cancelled(const char *group, struct connection c)
{
    pid_t id = 0;
    check_group(group);
    t->c = c;
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = SOME });
    CHECK(pattern_exchange(c.here, SOME, 999) == SOME && far_answer().value == SOME, "bytes have gone both ways");
    unsigned long thread = thread_of(receives_a_byte, &id);
    CHECK(EVENTUALLY(__atomic_load_n(&id, __ATOMIC_ACQUIRE)) && falls_asleep(id), "a thread waits");
    EQUAL(pthread_cancel(thread), 0, "pthread_cancel");
    struct timespec end;
    void *result = NULL;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 5;
    int joined = pthread_timedjoin_np(thread, &result, &end);
    check(joined == 0 && result == PTHREAD_CANCELED, "ends it", "join: %s, result %ld", strerror(joined), (long)result);
    far_send(c.there, SOME, 0);
    if (joined != 0)
        thread_result(thread);
    else
        EQUAL(pattern_receive(c.here, SOME, 0), SOME, "we receive what comes then");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "and send");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "which arrives");
    finish(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    t = traffic_new();
    records("made, records", active());
    records("accepted, records", passive());
    without_agreement("made, without agreement", active());
    without_agreement("accepted, without agreement", passive());
    under_signals("signals", active(), 0);
    under_signals("signals, SA_RESTART", passive(), SA_RESTART);
    interrupted(with_small_buffers(active()));
    restarted(with_small_buffers(passive()));
    handler_sends_elsewhere(active(), passive());
    handler_sends_on_the_same(active());
    handler_sends_amid_a_send(passive());
    cancelled("made, cancelled", active());
    cancelled("accepted, cancelled", passive());
    return check_result();
}
