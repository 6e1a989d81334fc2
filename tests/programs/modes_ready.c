/* Readiness while bytes come and go in calls of all sizes: nothing waits that is not told, nothing is told that is not there. */
#include "side/child.h"
#include "side/traffic.h"
#include "side/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <unistd.h>

#define MUCH (2 << 20)
#define ROUNDS 300
/* Nothing that is under way takes as long: who waits longer was forgotten. */
#define HANG 8000

static struct traffic *t;
static unsigned char bytes[PIECE];

enum kind { LEVEL, EDGE, ONCE, NESTED, BY_POLL, BY_SELECT };
static const char *const kind_names[] = { "level", "edge", "one-shot", "nested", "poll", "select" };
#define KINDS 6

struct watcher {
    enum kind kind;
    int fd, epoll, outer;
    uint32_t asked;
};

static struct watcher watcher_of(int fd, enum kind kind)
{
    struct watcher w = { .kind = kind, .fd = fd, .epoll = watch_new(), .outer = watch_new() };
    if (kind == EDGE)
        MUST(watch_add(w.epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
    else if (kind == LEVEL || kind == ONCE || kind == NESTED)
        MUST(watch_add(w.epoll, fd, 0));
    if (kind == NESTED)
        MUST(watch_add(w.outer, w.epoll, EPOLLIN));
    return w;
}

static void watcher_end(struct watcher *w)
{
    close(w->epoll);
    close(w->outer);
}

static uint32_t by_select(int fd, uint32_t events, int timeout_ms)
{
    fd_set in, out;
    struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
    FD_ZERO(&in);
    FD_ZERO(&out);
    if (events & EPOLLIN)
        FD_SET(fd, &in);
    if (events & EPOLLOUT)
        FD_SET(fd, &out);
    MUST(select(fd + 1, &in, &out, NULL, &limit));
    return (FD_ISSET(fd, &in) ? EPOLLIN : 0) | (FD_ISSET(fd, &out) ? EPOLLOUT : 0);
}

/* What happened of these events within the time; an edge is of any kind. */
static uint32_t ready(struct watcher *w, uint32_t events, int timeout_ms)
{
    switch (w->kind) {
    case EDGE:
        break;
    case BY_POLL:
        return polled(w->fd, events, timeout_ms);
    case BY_SELECT:
        return by_select(w->fd, events, timeout_ms);
    case ONCE:
        MUST(watch_change(w->epoll, w->fd, events | EPOLLONESHOT));
        break;
    case NESTED:
    case LEVEL:
        if (events != w->asked)
            MUST(watch_change(w->epoll, w->fd, events));
        w->asked = events;
        if (w->kind == NESTED && watch_sees(w->outer, w->epoll, timeout_ms) != EPOLLIN)
            return 0;
    }
    return watch_sees(w->epoll, w->fd, timeout_ms);
}

static int unread(int fd)
{
    int count = 0;
    MUST(ioctl(fd, FIONREAD, &count));
    return count;
}

/* The socket does not wait. Calls of one way until EAGAIN or the end; for others than EDGE one call. Gives how many bytes moved. */
static long long drained(struct traffic *tr, int (*move)(struct traffic *, int, long long), struct lane *lane, int once)
{
    long long before = lane->done, last;
    do {
        last = lane->done;
    } while (move(tr, tr->c.here, tr->count) && !once && lane->done > last);
    return lane->done - before;
}

static void trade(enum kind kind, struct connection c)
{
    int hangs = 0, lies = 0, edge = kind == EDGE;
    check_group(kind_names[kind]);
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    struct watcher w = watcher_of(c.here, kind);
    traffic_begin(t, c, MUCH);
    while (!hangs && !t->in.error && !t->out.error && (t->in.done < MUCH || t->out.done < MUCH)) {
        uint32_t wanted = (t->in.done < MUCH ? EPOLLIN : 0) | (t->out.done < MUCH ? EPOLLOUT : 0);
        uint32_t got = ready(&w, wanted, HANG);
        hangs += got == 0;
        /* After an edge both ways are tried: an event stays true until EAGAIN. */
        if (edge || got & EPOLLIN)
            lies += drained(t, traffic_in, &t->in, !edge) == 0 && !edge;
        if (edge || got & EPOLLOUT)
            lies += drained(t, traffic_out, &t->out, !edge) == 0 && !edge;
    }
    check(hangs == 0, "no wait in vain", "%d bytes lie unread, %lld in, %lld out", unread(c.here), t->in.done, t->out.done);
    EQUAL(lies, 0, "each event is followed by a call that moves bytes");
    watcher_end(&w);
    MUST(fcntl(c.here, F_SETFL, 0));
    traffic_settled(t);
}

/* The whole record, or -1 when it cannot be sent in time. */
static int record_out(struct watcher *w, size_t len, long long offset)
{
    size_t done = 0;
    pattern_fill(bytes, len, offset);
    while (done < len) {
        ssize_t n = send(w->fd, bytes + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && (errno != EAGAIN || !ready(w, EPOLLOUT, HANG)))
            return -1;
        done += n > 0 ? n : 0;
    }
    return 0;
}

/* Reads exactly what FIONREAD says each time, and waits again, until so many bytes are there. */
static int record_in(struct watcher *w, size_t len, long long offset)
{
    size_t done = 0;
    while (done < len) {
        int count = 0;
        while (!(count = unread(w->fd)))
            if (!ready(w, EPOLLIN, HANG))
                return -1;
        ssize_t n = recv(w->fd, bytes, count < PIECE ? count : PIECE, 0);
        if (n <= 0 || !pattern_holds(bytes, n, offset + done))
            return -1;
        done += n;
    }
    return 0;
}

/* Records there and back: each time everything has been read, and nobody is under way. */
static void echo(enum kind kind, struct connection c)
{
    char group[40];
    unsigned state = kind + 1;
    int good = 0, quiet = 0;
    long long done = 0;
    snprintf(group, sizeof(group), "%s, records", kind_names[kind]);
    check_group(group);
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    struct watcher w = watcher_of(c.here, kind);
    far_tell((struct order){ .kind = ECHO, .fd = c.there });
    for (int i = 0; i < ROUNDS; i++) {
        size_t len = draw(&state, 8) ? 1 + draw(&state, 2000) : draw_length(&state);
        if (record_out(&w, len, done) || record_in(&w, len, done))
            break;
        done += len;
        good++;
        quiet += kind == EDGE || ready(&w, EPOLLIN, 0) == 0;
    }
    check(good == ROUNDS, "each record comes back", "after %d: %d bytes lie unread", good, unread(c.here));
    EQUAL(quiet, good, "and nothing is told when all is read");
    watcher_end(&w);
    MUST(shutdown(c.here, SHUT_WR));
    EQUAL(far_answer().value, done, "all were echoed");
    finish(c);
}

/* After EAGAIN the edge comes, each time anew. */
static void edge_after_full(struct connection c)
{
    struct watcher w;
    long long sent = 0;
    int good = 1;
    check_group("edge after EAGAIN");
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    w = watcher_of(c.here, EDGE);
    for (int i = 0; i < 3 && good; i++) {
        ssize_t n;
        while (pattern_fill(bytes, PIECE, sent), (n = send(c.here, bytes, PIECE, MSG_NOSIGNAL)) > 0)
            sent += n;
        good = errno == EAGAIN;
        far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent, .offset = 0 });
        while (good && !(ready(&w, 0, HANG) & EPOLLOUT))
            good = 0;
        good = good && far_answer().value == sent;
        sent = 0;
    }
    CHECK(good, "room is told three times");
    watcher_end(&w);
    finish(c);
}

/* Two threads wait, in one epoll descriptor or in one each; an event descriptor ends it. */
struct pair_of_waiters {
    int epoll[2], done;
    uint32_t how;
};

struct waiter {
    struct pair_of_waiters *both;
    int number;
};

static void *reads_when_told(void *waiter)
{
    struct waiter *w = waiter;
    int e = w->both->epoll[w->number], fd = t->c.here;
    uint64_t one = 1;
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(e, &event, 1, HANG) != 1)
            return "a wait in vain";
        if (event.data.fd == w->both->done)
            return NULL;
        while (traffic_in(t, fd, MUCH) && unread(fd) > 0)
            ;
        if (t->in.done == MUCH || t->in.error)
            MUST(write(w->both->done, &one, sizeof(one)));
        if (w->both->how & EPOLLONESHOT)
            watch_change(e, fd, EPOLLIN | w->both->how);
    }
}

static void two_wait(const char *group, struct connection c, int one_set, uint32_t how)
{
    struct pair_of_waiters both = { .done = MUST(eventfd(0, 0)), .how = how };
    struct waiter waiters[2] = { { &both, 0 }, { &both, 1 } };
    unsigned long threads[2];
    check_group(group);
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    both.epoll[0] = watch_new();
    both.epoll[1] = one_set ? both.epoll[0] : watch_new();
    for (int i = 0; i < 2 - one_set; i++) {
        MUST(watch_add(both.epoll[i], c.here, EPOLLIN | how));
        MUST(watch_add(both.epoll[i], both.done, EPOLLIN));
    }
    traffic_begin(t, c, MUCH);
    for (int i = 0; i < 2; i++)
        threads[i] = thread_of(reads_when_told, &waiters[i]);
    while (t->out.done < MUCH && !t->out.error)
        if (polled(c.here, POLLOUT, HANG) == 0 || (traffic_out(t, c.here, MUCH), 0))
            break;
    for (int i = 0; i < 2; i++) {
        const char *what = (const char *)thread_result(threads[i]);
        check(!what, "one of two threads", "%s after %lld bytes, %d unread", what, t->in.done, unread(c.here));
    }
    MUST(fcntl(c.here, F_SETFL, 0));
    close(both.epoll[0]);
    if (!one_set)
        close(both.epoll[1]);
    close(both.done);
    traffic_settled(t);
}

#define ANY (EPOLLIN | EPOLLOUT | EPOLLRDHUP)

/* The events beside OUT and ERR come to be these. */
static int becomes(struct watcher *w, uint32_t events)
{
    return EVENTUALLY((ready(w, ANY, 0) & ~(EPOLLOUT | EPOLLERR)) == events);
}

static struct connection begun(const char *group, struct connection c)
{
    check_group(group);
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = 200000 });
    CHECK(pattern_exchange(c.here, 200000, 5000) == 200000 && far_answer().value == 200000, "bytes have gone both ways");
    return c;
}

static void ends(enum kind kind)
{
    struct connection c = begun("half-closed, bytes unread", active());
    struct watcher w = watcher_of(c.here, kind);
    far_send(c.there, 1000, 0);
    far_shutdown(c.there, SHUT_WR);
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP), "IN, RDHUP");
    EQUAL(pattern_receive(c.here, 2000, 0), 1000, "the bytes, and the end");
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP), "IN, RDHUP still");
    EQUAL(ready(&w, ANY, 0) & EPOLLOUT, EPOLLOUT, "OUT");
    EQUAL(pattern_send(c.here, 50000, 0), 50000, "the other way goes on");
    EQUAL(far_receive(c.there, 50000, 0), 50000, "and arrives");
    MUST(shutdown(c.here, SHUT_WR));
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP | EPOLLHUP), "shut on both sides: HUP");
    watcher_end(&w);
    finish(c);

    c = begun("closed by the far end", passive());
    w = watcher_of(c.here, kind);
    far_send(c.there, 1000, 0);
    far_close(c.there);
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP), "IN, RDHUP");
    EQUAL(pattern_receive(c.here, 2000, 0), 1000, "the bytes, and the end");
    MUST(send(c.here, "x", 1, MSG_NOSIGNAL));
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP | EPOLLHUP), "sent into the void: HUP");
    watcher_end(&w);
    close(c.here);

    c = begun("reset, bytes unread here", active());
    w = watcher_of(c.here, kind);
    far_send(c.there, 1000, 0);
    CHECK(arrived(c.here, 1000), "bytes wait");
    far_reset(c.there);
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP | EPOLLHUP), "IN, RDHUP, HUP");
    CHECK(recv(c.here, bytes, 2000, 0) == 1000 && pattern_holds(bytes, 1000, 0), "the bytes from before");
    FAILS(recv(c.here, bytes, 1, 0), ECONNRESET, "then the reset");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "then the end");
    watcher_end(&w);
    close(c.here);

    c = begun("closed with bytes unread there", passive());
    w = watcher_of(c.here, kind);
    EQUAL(pattern_send(c.here, 1000, 0), 1000, "bytes go");
    /* The far end has one of them, so it has them all. */
    EQUAL(far_receive(c.there, 1, 0), 1, "one is read");
    far_close(c.there);
    CHECK(becomes(&w, EPOLLIN | EPOLLRDHUP | EPOLLHUP), "IN, RDHUP, HUP");
    FAILS(recv(c.here, bytes, 1, 0), ECONNRESET, "the reset");
    watcher_end(&w);
    close(c.here);
}

/* Whether something waits, and no more than at the last look. */
static int has_filled(int fd, int *before)
{
    int n = 0;
    MUST(ioctl(fd, FIONREAD, &n));
    int filled = n > 0 && n == *before;
    *before = n;
    return filled;
}

/* The first read finds all queues on the way full: then no more comes that could tell of what is there. */
static void full_at_first(struct connection c)
{
    int waits = 0;
    long long done = 0;
    check_group("full at the first read");
    far_tell((struct order){ .kind = SEND, .fd = c.there, .count = MUCH });
    CHECK(EVENTUALLY(has_filled(c.here, &waits)), "the queue has filled");
    while (done < MUCH && polled(c.here, POLLIN, HANG) == POLLIN) {
        ssize_t n = recv(c.here, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n <= 0 || !pattern_holds(bytes, n, done))
            break;
        done += n;
    }
    EQUAL(done, MUCH, "poll tells of every byte");
    EQUAL(far_answer().value, MUCH, "all of it was sent");
    finish(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    t = traffic_new();
    full_at_first(active());
    full_at_first(passive());
    for (int kind = 0; kind < KINDS; kind++) {
        trade(kind, kind % 2 ? passive() : active());
        echo(kind, kind % 2 ? active() : passive());
    }
    edge_after_full(with_small_buffers(active()));
    two_wait("two threads, a set each", active(), 0, 0);
    two_wait("two threads, a set each, edge", passive(), 0, EPOLLET);
    two_wait("two threads, one set", passive(), 1, 0);
    two_wait("two threads, one set, one-shot", active(), 1, EPOLLONESHOT);
    two_wait("two threads, one set, edge and one-shot", active(), 1, EPOLLET | EPOLLONESHOT);
    ends(LEVEL);
    ends(BY_POLL);
    return check_result();
}
