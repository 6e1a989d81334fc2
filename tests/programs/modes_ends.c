/* How streams end while megabytes are under way: what was sent arrives, or a reset says that it did not. */
#include "side/child.h"
#include "side/traffic.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUCH (2 << 20)
#define SOME 100000

static struct traffic *t;

typedef struct connection maker(void);

static struct connection begun(const char *group, struct connection c)
{
    check_group(group);
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = SOME });
    CHECK(pattern_exchange(c.here, SOME, 5000) == SOME && far_answer().value == SOME, "bytes have gone both ways");
    return c;
}

/* More than this an end does not lose: all that it has sent. */
static void all_arrives(struct connection c, long long sent)
{
    struct answer a = far((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent + 1 });
    check(a.value == sent && a.error == 0, "all arrives, and then the end", "%lld of %lld, then %s", a.value, sent, strerror(a.error));
}

static void shut_when_full(maker *make)
{
    struct connection c = begun("shutdown with much unsent", make());
    long long sent = fill_for_now(c.here);
    EQUAL(shutdown(c.here, SHUT_WR), 0, "shutdown");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), EPIPE, "nothing more goes in");
    all_arrives(c, sent);
    far_send(c.there, SOME, 0);
    EQUAL(pattern_receive(c.here, SOME, 0), SOME, "the other way still goes");
    finish(c);
}

static void closed_when_full(maker *make)
{
    struct connection c = begun("close with much unsent", make());
    long long sent = fill_for_now(c.here);
    close(c.here);
    all_arrives(c, sent);
    far_close(c.there);
}

static void closed_with_bytes_unread(maker *make)
{
    struct connection c = begun("close with bytes unread", make());
    far_send(c.there, SOME, 0);
    EQUAL(pattern_receive(c.here, SOME / 2, 0), SOME / 2, "a part is read");
    EQUAL(polled(c.here, POLLIN, 10000), POLLIN, "a part is not");
    close(c.here);
    EQUAL(far_failure(c.there), ECONNRESET, "the far end sees a reset");
    far_close(c.there);
}

/* All was read to the last byte: no reset, though the last token or byte was only just taken. */
static void closed_with_all_read(maker *make)
{
    struct connection c = begun("close with all read", make());
    far_send(c.there, SOME, 0);
    EQUAL(pattern_receive(c.here, SOME, 0), SOME, "all is read");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "as much goes back");
    close(c.here);
    all_arrives(c, SOME);
    far_close(c.there);
}

static void lingers_not(maker *make)
{
    struct linger at_once = { 1, 0 };
    struct connection c = begun("SO_LINGER 0 with much unsent", make());
    fill_for_now(c.here);
    MUST(setsockopt(c.here, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
    close(c.here);
    struct answer a = far((struct order){ .kind = RECEIVE, .fd = c.there, .count = 1LL << 40 });
    EQUAL(a.error, ECONNRESET, "the far end sees a reset");
    far_close(c.there);
}

/* A thread's call, and how it ended. */
struct call {
    int fd;
    pid_t id;
    int sends;
    int error;
    long long done;
};

static void *called(void *call)
{
    static __thread unsigned char bytes[PIECE];
    struct call *c = call;
    ssize_t n;
    __atomic_store_n(&c->id, syscall(SYS_gettid), __ATOMIC_RELEASE);
    do {
        n = c->sends ? send(c->fd, bytes, PIECE, MSG_NOSIGNAL) : recv(c->fd, bytes, PIECE, 0);
        c->done += n > 0 ? n : 0;
    } while (n > 0);
    c->error = n < 0 ? errno : 0;
    return NULL;
}

static void waits(struct call *call, unsigned long *thread)
{
    *thread = thread_of(called, call);
    CHECK(EVENTUALLY(__atomic_load_n(&call->id, __ATOMIC_ACQUIRE)) && falls_asleep(call->id), "a thread waits");
}

static void reset_while_we_receive(maker *make)
{
    struct connection c = begun("reset while we receive", make());
    struct call call = { .fd = c.here };
    unsigned long thread;
    waits(&call, &thread);
    far_reset(c.there);
    thread_result(thread);
    EQUAL(call.error, ECONNRESET, "recv fails");
    EQUAL(recv(c.here, &call, 1, 0), 0, "the next gives the end");
    close(c.here);
}

static void reset_while_we_send(maker *make)
{
    struct connection c = begun("reset while we send", make());
    struct call call = { .fd = c.here, .sends = 1 };
    unsigned long thread;
    waits(&call, &thread);
    far_reset(c.there);
    thread_result(thread);
    CHECK(call.error == ECONNRESET || call.error == EPIPE, "send fails");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "the next too");
    close(c.here);
}

static void ended_while_we_receive(maker *make)
{
    struct connection c = begun("closed while we receive", make());
    struct call call = { .fd = c.here };
    unsigned long thread;
    waits(&call, &thread);
    far_send(c.there, SOME, 0);
    far_close(c.there);
    thread_result(thread);
    EQUAL(call.done, SOME, "all comes");
    EQUAL(call.error, 0, "and the end");
    close(c.here);
}

/* Another thread of ours says that this is the end, while one waits. */
static void shut_while_we_wait(maker *make)
{
    struct connection c = begun("shutdown while we receive", make());
    struct call call = { .fd = c.here }, sender = { .fd = c.here, .sends = 1 };
    unsigned long thread;
    waits(&call, &thread);
    EQUAL(shutdown(c.here, SHUT_RDWR), 0, "shutdown");
    thread_result(thread);
    EQUAL(call.error, 0, "recv gives the end");
    finish(c);

    c = begun("shutdown while we send", with_small_buffers(make()));
    sender.fd = c.here;
    waits(&sender, &thread);
    EQUAL(shutdown(c.here, SHUT_WR), 0, "shutdown");
    thread_result(thread);
    EQUAL(sender.error, EPIPE, "send fails");
    finish(c);
}

/* Takes no turn, which a process that is killed would never give back. */
static void sends_for_ever(int fd)
{
    unsigned state = 7;
    for (;;) {
        long long n = pattern_send(fd, draw_length(&state), t->out.done);
        if (n <= 0)
            _exit(1);
        __atomic_store_n(&t->out.done, t->out.done + n, __ATOMIC_RELEASE);
    }
}

/* A process that sends as fast as it can is killed: what its calls took arrives, and nothing that is not whole. */
static void killed_while_it_sends(maker *make)
{
    struct connection c = begun("killed while it sends", make());
    t->out.done = 0;
    pid_t pid = MUST(fork());
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sends_for_ever(c.here);
    }
    close(c.here);
    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = 1LL << 40 });
    CHECK(EVENTUALLY(__atomic_load_n(&t->out.done, __ATOMIC_ACQUIRE) > MUCH), "it sends");
    MUST(kill(pid, SIGKILL));
    EQUAL(child_status(pid), 256 + SIGKILL, "it is killed");
    struct answer a = far_answer();
    check(a.value >= t->out.done && (a.error == 0 || a.error == ECONNRESET), "all that it had sent arrives", "%lld of %lld, then %s",
          a.value, t->out.done, strerror(a.error));
    far_close(c.there);
}

/* The same with a parent that has the socket too and goes on. */
static void killed_while_it_waits(maker *make)
{
    struct connection c = begun("one of two killed while it receives", make());
    pid_t pid = MUST(fork());
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        recv(c.here, &pid, 1, 0);
        _exit(1);
    }
    CHECK(falls_asleep(pid), "it waits");
    MUST(kill(pid, SIGKILL));
    EQUAL(child_status(pid), 256 + SIGKILL, "it is killed");
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = MUCH });
    EQUAL(pattern_exchange(c.here, MUCH, PIECE), MUCH, "the other one goes on");
    EQUAL(far_answer().value, MUCH, "and all arrives there");
    finish(c);
}

/* A process that has the connection alone stands still for a while, again and again. */
static void stopped(maker *make)
{
    int status, good = 0, go[2];
    char byte;
    check_group("stopped");
    MUST(pipe(go));
    traffic_begin(t, make(), 2 * MUCH);
    pid_t pid = MUST(fork());
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        int moved = traffic_move(t, t->c.here, t->count);
        /* However fast it was, it is there to be stopped. */
        _exit(!moved || read(go[0], &byte, 1) != 0);
    }
    close(t->c.here);
    close(go[0]);
    for (int i = 0; i < 10; i++) {
        EVENTUALLY(__atomic_load_n(&t->in.done, __ATOMIC_ACQUIRE) >= i * 30000);
        MUST(kill(pid, SIGSTOP));
        good += waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
        MUST(kill(pid, SIGCONT));
    }
    close(go[1]);
    EQUAL(good, 10, "ten times");
    EQUAL(child_status(pid), 0, "it moves all");
    EQUAL(far_answer().value, t->count, "every byte arrives there");
    CHECK(far_ended(t->c.there), "then the end");
    far_close(t->c.there);
}

/* One of two that have the socket stands still while it waits for bytes: the other one sends. */
static void stopped_while_it_waits(maker *make)
{
    int status;
    struct connection c = begun("one of two stopped", make());
    pid_t pid = MUST(fork());
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(pattern_receive(c.here, SOME, 0) != SOME);
    }
    CHECK(falls_asleep(pid), "it waits");
    MUST(kill(pid, SIGSTOP));
    EQUAL(waitpid(pid, &status, WUNTRACED), pid, "it is stopped");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "the other one sends");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "which arrives");
    far_send(c.there, SOME, 0);
    MUST(kill(pid, SIGCONT));
    EQUAL(child_status(pid), 0, "it goes on and gets what came");
    finish(c);
}

static void all(maker *make)
{
    shut_when_full(make);
    closed_when_full(make);
    closed_with_bytes_unread(make);
    closed_with_all_read(make);
    lingers_not(make);
    reset_while_we_receive(make);
    reset_while_we_send(make);
    ended_while_we_receive(make);
    shut_while_we_wait(make);
    killed_while_it_sends(make);
    killed_while_it_waits(make);
    stopped(make);
    stopped_while_it_waits(make);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    t = traffic_new();
    all(active);
    all(passive);
    return check_result();
}
