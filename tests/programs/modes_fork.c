/* fork(2) in the middle of a stream: whoever goes on, with whatever waits on its way, each byte comes once and in order. */
#include "side/child.h"
#include "side/traffic.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MUCH (2 << 20)
#define A_PART (MUCH / 4)
#define SOME 100000

static struct traffic *t;

/* A child that does not outlive the program. */
static pid_t child(void)
{
    pid_t pid = MUST(fork());
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* Parent, child, parent: each goes on where the other has stopped. */
static void one_after_the_other(const char *group, struct connection c)
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    CHECK(traffic_move(t, c.here, A_PART), "the parent begins");
    pid_t pid = child();
    if (pid == 0)
        _exit(!traffic_move(t, c.here, 3 * A_PART));
    EQUAL(child_status(pid), 0, "the child goes on");
    EQUAL(t->in.done, 3 * A_PART, "as far as it was told");
    traffic_end(t);
}

/* The system call by its number, of which no handler of pthread_atfork(3) hears. */
static pid_t by_number(void)
{
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void both_at_once(const char *group, struct connection c, pid_t (*fork_it)(void))
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    pid_t pid = MUST(fork_it());
    int good = traffic_move(t, c.here, MUCH);
    if (pid == 0)
        _exit(!good);
    EQUAL(child_status(pid), 0, "the child takes turns with the parent");
    traffic_settled(t);
}

/* As telnet was written once: one process for each way. */
static void one_way_each(const char *group, struct connection c)
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    pid_t pid = child();
    if (pid == 0) {
        while (traffic_in(t, c.here, MUCH))
            ;
        _exit(t->in.error != 0);
    }
    while (traffic_out(t, c.here, MUCH))
        ;
    EQUAL(child_status(pid), 0, "the child reads what comes while the parent writes");
    traffic_settled(t);
}

/* The one in the middle is gone when its child goes on. */
static void a_grandchild(struct connection c)
{
    int wait[2];
    char byte;
    check_group("grandchild");
    MUST(pipe(wait));
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    pid_t pid = child();
    if (pid == 0) {
        traffic_move(t, c.here, 2 * A_PART);
        if (fork() == 0) {
            close(wait[1]);
            /* Until the one in the middle is gone, and with it its end of the pipe. */
            int good = read(wait[0], &byte, 1) == 0 && traffic_move(t, c.here, MUCH);
            _exit(!good);
        }
        _exit(0);
    }
    EQUAL(child_status(pid), 0, "the child has a child and goes");
    close(wait[1]);
    close(c.here);
    CHECK(EVENTUALLY(t->in.done == MUCH && t->out.done == MUCH), "which goes on to the end");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    CHECK(far_ended(c.there), "its end is the connection's");
    far_close(c.there);
    close(wait[0]);
}

/* Bytes wait both ways when the process forks: received and not read, sent and not taken. */
static void with_bytes_waiting(const char *group, struct connection c, int who_reads)
{
    check_group(group);
    far_send(c.there, SOME, 0);
    EQUAL(polled(c.here, POLLIN, 10000), POLLIN, "bytes wait to be read");
    long long sent = fill_for_now(c.here);
    pid_t pid = child();
    if ((pid == 0) == (who_reads == 'c')) {
        if (pid != 0)
            far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent + SOME });
        long long read = pattern_receive(c.here, SOME, 0), more = pattern_send(c.here, SOME, sent);
        if (pid == 0)
            _exit(read != SOME || more != SOME);
        check(read == SOME && more == SOME, "the parent reads all, and sends more", "read %lld, sent %lld", read, more);
        EQUAL(far_answer().value, sent + SOME, "everything arrives there");
        EQUAL(child_status(pid), 0, "the child does nothing");
    } else {
        if (pid == 0)
            _exit(0);
        EQUAL(far_receive(c.there, sent + SOME, 0), sent + SOME, "everything arrives there");
        EQUAL(child_status(pid), 0, "the child reads all, and sends more");
    }
    FAILS(recv(c.here, &pid, 1, MSG_DONTWAIT), EAGAIN, "nothing is left");
    far_send(c.there, SOME, SOME);
    EQUAL(pattern_receive(c.here, SOME, SOME), SOME, "the parent reads what comes later");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "and sends");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "which arrives");
    finish(c);
}

/* A thread that waits in a call on a connection. */
struct waiter {
    int fd;
    long long count, offset;
    pid_t id;
};

static void *receives(void *waiter)
{
    struct waiter *w = waiter;
    __atomic_store_n(&w->id, syscall(SYS_gettid), __ATOMIC_RELEASE);
    return (void *)(long)pattern_receive(w->fd, w->count, w->offset);
}

static void *sends(void *waiter)
{
    struct waiter *w = waiter;
    __atomic_store_n(&w->id, syscall(SYS_gettid), __ATOMIC_RELEASE);
    return (void *)(long)pattern_send(w->fd, w->count, w->offset);
}

static unsigned long waiting(void *(*work)(void *), struct waiter *w)
{
    unsigned long thread = thread_of(work, w);
    CHECK(EVENTUALLY(__atomic_load_n(&w->id, __ATOMIC_ACQUIRE)) && falls_asleep(w->id), "a thread waits in the call");
    return thread;
}

static void while_a_thread_receives(const char *group, struct connection c)
{
    struct waiter w = { .fd = c.here, .count = MUCH };
    check_group(group);
    /* Bytes have gone both ways before. */
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "bytes go before");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "and arrive");
    unsigned long thread = waiting(receives, &w);
    pid_t pid = child();
    if (pid == 0)
        _exit(pattern_send(c.here, MUCH, SOME) != MUCH);
    EQUAL(far_receive(c.there, MUCH, SOME), MUCH, "the child sends");
    EQUAL(child_status(pid), 0, "all");
    far_tell((struct order){ .kind = SEND, .fd = c.there, .count = MUCH });
    EQUAL(thread_result(thread), MUCH, "the thread gets what comes after the fork");
    EQUAL(far_answer().value, MUCH, "all of it");
    finish(c);
}

static void while_a_thread_sends(const char *group, struct connection c)
{
    check_group(group);
    long long sent = fill_for_now(c.here);
    struct waiter w = { .fd = c.here, .count = MUCH, .offset = sent };
    unsigned long thread = waiting(sends, &w);
    pid_t pid = child();
    if (pid == 0)
        _exit(pattern_receive(c.here, SOME, 0) != SOME);
    far_send(c.there, SOME, 0);
    EQUAL(child_status(pid), 0, "the child receives");
    EQUAL(far_receive(c.there, sent + MUCH, 0), sent + MUCH, "what the thread sends arrives after the fork");
    EQUAL(thread_result(thread), MUCH, "all of it");
    finish(c);
}

/* Children come and go while two threads move bytes; every third one takes a hand in it. */
static void many_in_a_row(const char *group, struct connection c)
{
    int good = 0;
    check_group(group);
    traffic_begin(t, c, 2 * MUCH);
    traffic_start(t);
    for (int i = 0; i < 20; i++) {
        traffic_reaches(t, i * (MUCH / 20));
        pid_t pid = child();
        if (pid == 0) {
            int pieces = i % 3 ? 0 : 5;
            while (pieces-- > 0) {
                traffic_out(t, c.here, t->count);
                traffic_in(t, c.here, t->count);
            }
            _exit(t->in.error || t->out.error);
        }
        good += child_status(pid) == 0;
    }
    EQUAL(good, 20, "twenty children come and go");
    traffic_stop(t);
    traffic_settled(t);
}

/* All children live at once, and every one of them has the socket. */
static void many_at_once(const char *group, struct connection c)
{
    pid_t pids[8];
    int good = 0;
    check_group(group);
    traffic_begin(t, c, MUCH);
    for (int i = 0; i < 8; i++) {
        traffic_move(t, c.here, A_PART + i * 10000);
        if ((pids[i] = child()) == 0)
            _exit(!traffic_move(t, c.here, MUCH));
    }
    for (int i = 0; i < 8; i++)
        good += child_status(pids[i]) == 0;
    EQUAL(good, 8, "eight children take turns");
    traffic_settled(t);
}

/* The parent closes at once: the child, which has moved nothing yet, is the connection's only holder. */
static void the_parent_closes(const char *group, struct connection c)
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    pid_t pid = child();
    if (pid == 0)
        _exit(!traffic_move(t, c.here, MUCH));
    close(c.here);
    EQUAL(child_status(pid), 0, "the child moves the rest");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    CHECK(far_ended(c.there), "its end is the connection's");
    far_close(c.there);
}

/* A forked process that makes connections of its own afterwards, as workers do. */
static void made_by_a_child(void)
{
    check_group("made after the fork");
    pid_t pid = child();
    if (pid == 0) {
        traffic_begin(t, active(), MUCH);
        int good = traffic_move(t, t->c.here, 2 * A_PART);
        pid_t next = child();
        if (next == 0)
            _exit(!traffic_move(t, t->c.here, 3 * A_PART));
        good = good && child_status(next) == 0 && traffic_move(t, t->c.here, MUCH);
        _exit(!good);
    }
    EQUAL(child_status(pid), 0, "the child and its child move all");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    CHECK(far_ended(t->c.there), "then the end");
    far_close(t->c.there);
}

/* daemon(3) forks within libc, and it is the child that goes on. */
static void by_daemon(void)
{
    check_group("by daemon");
    pid_t pid = child();
    if (pid == 0) {
        traffic_begin(t, active(), MUCH);
        traffic_move(t, t->c.here, A_PART);
        if (daemon(1, 1) < 0)
            _exit(9);
        _exit(!traffic_move(t, t->c.here, MUCH));
    }
    EQUAL(child_status(pid), 0, "the one that called it ends");
    EQUAL(far_answer().value, MUCH, "its child goes on: every byte arrives there");
    CHECK(far_ended(t->c.there), "then the end");
    CHECK(t->in.done == MUCH && !t->in.error, "every byte arrived here");
    far_close(t->c.there);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    t = traffic_new();
    one_after_the_other("made, one after the other", active());
    one_after_the_other("accepted, one after the other", passive());
    both_at_once("made, both at once", active(), child);
    both_at_once("accepted, both at once", passive(), child);
    both_at_once("by _Fork", active(), _Fork);
    both_at_once("by number", passive(), by_number);
    by_daemon();
    one_way_each("one way each", active());
    a_grandchild(passive());
    with_bytes_waiting("bytes wait, the child goes on", with_small_buffers(active()), 'c');
    with_bytes_waiting("bytes wait, the parent goes on", with_small_buffers(passive()), 'p');
    while_a_thread_receives("while a thread receives", active());
    while_a_thread_sends("while a thread sends", with_small_buffers(active()));
    many_in_a_row("twenty in a row", active());
    many_at_once("eight at once", passive());
    the_parent_closes("the parent closes", active());
    made_by_a_child();
    return check_result();
}
