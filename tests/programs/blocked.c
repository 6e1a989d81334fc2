/*
 * `blocked CALL OWN FAR PORT`: waits in CALL for ever, while the stack is killed.
 *
 * Says "blocked" when the call sleeps. When it has returned, reads the time of the kill from standard input (what `kill_now` says)
 * and checks that the call returned within 100 ms of it, with an error, and that later calls do not wait either. A connection is made
 * to FAR, PORT, where somebody must accept it and keep quiet; `connect` goes to FAR, where nobody must answer.
 */
#include "side/address.h"
#include "side/check.h"
#include "side/watch.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static char bytes[65536];
static union address own, there;

static int fresh(int type)
{
    return MUST(socket(own.any.sa_family, type, 0));
}

static int connected(void)
{
    int fd = fresh(SOCK_STREAM);
    MUST(connect(fd, &there.any, address_len(&there)));
    return fd;
}

static int bound(int type)
{
    int fd = fresh(type);
    MUST(bind(fd, &own.any, address_len(&own)));
    return fd;
}

static int listening(void)
{
    int fd = bound(SOCK_STREAM);
    MUST(listen(fd, 1));
    return fd;
}

static int watched(int fd)
{
    int e = watch_new();
    MUST(watch_add(e, fd, EPOLLIN));
    return e;
}

/* A call that waits: what it waits on, the waiting, and whether what it gave says that something is wrong. */
static int make_recv(void) { return connected(); }
static long do_recv(int fd) { return recv(fd, bytes, 1, 0); }
static long do_read(int fd) { return read(fd, bytes, 1); }
static long do_send(int fd)
{
    long n;
    while ((n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0)
        ;
    return n;
}
static int make_accept(void) { return listening(); }
static long do_accept(int fd) { return accept(fd, NULL, NULL); }
static int make_connect(void) { return fresh(SOCK_STREAM); }
static long do_connect(int fd) { return connect(fd, &there.any, address_len(&there)); }
static int make_recvfrom(void) { return bound(SOCK_DGRAM); }
static long do_recvfrom(int fd) { return recvfrom(fd, bytes, 1, 0, NULL, NULL); }

/* What poll gives must be an error or a hang-up: -1 then. */
static long do_poll(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int n = poll(&p, 1, -1);
    return n == 1 && p.revents & (POLLERR | POLLHUP) ? -1 : n;
}

static int make_epoll(void) { return watched(connected()); }
static long do_epoll(int e)
{
    struct epoll_event event;
    int n = epoll_wait(e, &event, 1, -1);
    return n == 1 && event.events & (EPOLLERR | EPOLLHUP) ? -1 : n;
}

/* select has no word for it: the descriptor is readable, and reading fails. */
static long do_select(int fd)
{
    fd_set reading;
    FD_ZERO(&reading);
    FD_SET(fd, &reading);
    return select(fd + 1, &reading, NULL, NULL, NULL) == 1 ? recv(fd, bytes, 1, MSG_DONTWAIT) : 0;
}

static const struct call {
    const char *name;
    int (*make)(void);
    long (*wait)(int fd);
} calls[] = {
    { "recv", make_recv, do_recv },       { "read", make_recv, do_read },
    { "send", make_recv, do_send },       { "accept", make_accept, do_accept },
    { "connect", make_connect, do_connect }, { "recvfrom", make_recvfrom, do_recvfrom },
    { "poll", make_recv, do_poll },       { "poll_listener", make_accept, do_poll },
    { "poll_datagram", make_recvfrom, do_poll }, { "epoll", make_epoll, do_epoll },
    { "select", make_recv, do_select },
};

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Says "blocked" when the main thread has slept for ten looks in a row. */
static void *watcher(void *unused)
{
    int asleep = 0;
    while (asleep < 10) {
        char path[64], line[400] = "", *state;
        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
        FILE *f = fopen(path, "r");
        if (f && fgets(line, sizeof(line), f) && (state = strrchr(line, ')')))
            asleep = state[2] == 'S' ? asleep + 1 : 0;
        if (f)
            fclose(f);
        poll(NULL, 0, 2);
    }
    puts("blocked");
    fflush(stdout);
    return unused;
}

int main(int argc, char **argv)
{
    const struct call *call = NULL;
    for (unsigned i = 0; argc == 5 && i < sizeof(calls) / sizeof(calls[0]); i++)
        if (!strcmp(argv[1], calls[i].name))
            call = &calls[i];
    if (!call) {
        fprintf(stderr, "usage: %s CALL OWN FAR PORT\n", argv[0]);
        return 2;
    }
    own = address(argv[2], 0);
    there = address(argv[3], atoi(argv[4]));
    check_deadline(60);
    check_group(call->name);
    int fd = call->make();
    pthread_t thread;
    if (pthread_create(&thread, NULL, watcher, NULL))
        check_broken("pthread_create", __FILE__, __LINE__);
    long value = call->wait(fd);
    int error = errno;
    long long returned = now_ns(), killed = 0;
    pthread_join(thread, NULL);
    if (scanf("%lld", &killed) != 1)
        check_broken("no time of the kill on standard input", __FILE__, __LINE__);
    long long ms = (returned - killed) / 1000000;
    check(value < 0, "gives an error", "it gave %ld", value);
    check(returned >= killed && ms < 100, "within 100 ms", "it took %lld ms (%s)", ms, strerror(error));
    long long start = now_ms();
    CHECK(recv(call->make == make_epoll ? -1 : fd, bytes, 1, 0) <= 0, "recv afterwards brings nothing");
    CHECK(socket(own.any.sa_family, SOCK_STREAM, 0) < 0, "no new socket");
    CHECK(now_ms() - start < 100, "all at once");
    return check_result();
}
