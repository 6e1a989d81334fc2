/*
 * A connection is passed to another process with SCM_RIGHTS in the middle of its stream. The other process is forked before any socket
 * is made, so that what it has came through the pair.
 */
#include "side/child.h"
#include "side/rights.h"
#include "side/traffic.h"

#include <sys/syscall.h>
#include <unistd.h>

#define MUCH (2 << 20)
#define A_PART (MUCH / 4)
#define SOME 100000

static struct traffic *t;

/* The other process: moves the traffic on each descriptor up to the limit that comes with it, and says whether that went well. */
static void other_process(int pair)
{
    long long limit;
    int fd;
    while ((fd = rights_receive(pair, &limit)) >= 0) {
        char good = traffic_move(t, fd, limit);
        close(fd);
        if (!write_whole(pair, &good, 1))
            _exit(1);
    }
    _exit(0);
}

static int went_well(int pair)
{
    char good = 0;
    return read_whole(pair, &good, 1) && good;
}

static void the_sender_closes(const char *group, int pair, struct connection c)
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    EQUAL(rights_send(pair, c.here, MUCH), 1, "passed");
    close(c.here);
    CHECK(went_well(pair), "the other process moves the rest");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    CHECK(far_ended(c.there), "its end is the connection's");
    far_close(c.there);
}

static void the_sender_keeps_it(const char *group, int pair, struct connection c)
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    EQUAL(rights_send(pair, c.here, 2 * A_PART), 1, "passed");
    CHECK(went_well(pair), "the other process goes on");
    CHECK(traffic_move(t, c.here, 3 * A_PART), "the sender after it");
    EQUAL(rights_send(pair, c.here, MUCH), 1, "passed again");
    traffic_move(t, c.here, MUCH);
    CHECK(went_well(pair), "both take turns");
    traffic_settled(t);
}

static void while_threads_move(const char *group, int pair, struct connection c)
{
    int good = 0;
    check_group(group);
    traffic_begin(t, c, 2 * MUCH);
    traffic_start(t);
    for (int i = 1; i <= 10; i++) {
        traffic_reaches(t, i * SOME);
        good += rights_send(pair, c.here, (i + 1) * SOME) == 1 && went_well(pair);
    }
    EQUAL(good, 10, "passed ten times while two threads move bytes");
    traffic_stop(t);
    traffic_settled(t);
}

/* Bytes lie in the socket both ways when it is passed. */
static void with_bytes_waiting(int pair, struct connection c)
{
    check_group("bytes wait");
    long long sent = fill_for_now(c.here);
    t->c = c;
    t->count = sent + SOME;
    t->out.done = sent;
    t->in.done = t->out.error = t->in.error = 0;
    far_send(c.there, SOME, FROM_THERE);
    EQUAL(polled(c.here, POLLIN, 10000), POLLIN, "bytes wait to be read");
    traffic_in(t, c.here, SOME / 2);
    /* What the other process sends has no room before the far end has read. */
    EQUAL(rights_send(pair, c.here, SOME), 1, "passed");
    close(c.here);
    CHECK(went_well(pair), "the other process reads what waited");
    EQUAL(t->in.done, SOME, "all of it");
    EQUAL(far_receive(c.there, sent, 0), sent, "what was sent before arrives");
    CHECK(far_ended(c.there), "then the end");
    far_close(c.there);
}

static void *receives(void *traffic)
{
    (void)traffic;
    pid_t id = syscall(SYS_gettid);
    __atomic_store_n(&t->threads[0], id, __ATOMIC_RELEASE);
    return (void *)(long)pattern_receive(t->c.here, SOME, 0);
}

static void while_a_thread_receives(int pair, struct connection c)
{
    check_group("while a thread receives");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "bytes go before");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "and arrive");
    t->c = c;
    t->threads[0] = 0;
    t->out.error = t->in.error = 0;
    unsigned long thread = thread_of(receives, NULL);
    CHECK(EVENTUALLY(__atomic_load_n(&t->threads[0], __ATOMIC_ACQUIRE)) && falls_asleep(t->threads[0]), "a thread waits");
    t->in.done = t->out.done = SOME;
    EQUAL(rights_send(pair, c.here, SOME), 1, "passed");
    CHECK(went_well(pair), "the other process has nothing to do and closes it");
    far_send(c.there, SOME, 0);
    EQUAL(thread_result(thread), SOME, "the thread gets what comes then");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "bytes go after it");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "and arrive");
    finish(c);
}

/* Through a pair within this process, and back under another number. */
static void to_oneself(const char *group, struct connection c)
{
    int ends[2], good = 0, fd = c.here;
    long long limit;
    check_group(group);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    traffic_begin(t, c, MUCH);
    for (int i = 1; i <= 8; i++) {
        int moved = traffic_move(t, fd, i * (MUCH / 8)), sent = rights_send(ends[0], fd, i);
        close(fd);
        fd = rights_receive(ends[1], &limit);
        good += moved && sent == 1 && fd >= 0 && limit == i;
    }
    EQUAL(good, 8, "eight times it is nowhere but in the pair");
    t->c.here = fd;
    close(ends[0]);
    close(ends[1]);
    traffic_settled(t);
}

int main(int argc, char **argv)
{
    int pair[2];
    begin(argc, argv);
    t = traffic_new();
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pid_t other = MUST(fork());
    if (other == 0) {
        close(pair[0]);
        close(far_control());
        other_process(pair[1]);
    }
    close(pair[1]);
    the_sender_closes("made, the sender closes", pair[0], active());
    the_sender_closes("accepted, the sender closes", pair[0], passive());
    the_sender_keeps_it("made, the sender keeps it", pair[0], active());
    the_sender_keeps_it("accepted, the sender keeps it", pair[0], passive());
    while_threads_move("made, while threads move bytes", pair[0], active());
    while_threads_move("accepted, while threads move bytes", pair[0], passive());
    with_bytes_waiting(pair[0], with_small_buffers(active()));
    while_a_thread_receives(pair[0], passive());
    to_oneself("made, to oneself", active());
    to_oneself("accepted, to oneself", passive());
    close(pair[0]);
    check_group("");
    EQUAL(child_status(other), 0, "the other process ends well");
    return check_result();
}
