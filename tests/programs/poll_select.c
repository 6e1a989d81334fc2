/* poll and select on sockets and a pipe, their time limits, and their signal masks. */
#include "side/far.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/select.h>
#include <unistd.h>

#define SOON 10000

static void several(struct connection c)
{
    int ends[2], listener = own_listener(2), udp = own_datagram();
    union address at = name_of(listener), mine = name_of(udp), far_at;
    MUST(pipe(ends));
    struct pollfd p[] = {
        { .fd = listener, .events = POLLIN }, { .fd = c.here, .events = POLLIN }, { .fd = ends[0], .events = POLLIN },
        { .fd = udp, .events = POLLIN },      { .fd = -1, .events = POLLIN },     { .fd = 4000, .events = 0 },
    };
    check_group("poll");
    EQUAL(poll(p, 5, 0), 0, "nothing yet");
    EQUAL(poll(p, 6, SOON), 1, "a number that is no descriptor");
    EQUAL(p[5].revents, POLLNVAL, "is POLLNVAL");
    EQUAL(p[4].revents, 0, "a negative one is passed over");
    MUST(write(ends[1], "x", 1));
    EQUAL(poll(p, 5, SOON), 1, "the pipe");
    EQUAL(p[2].revents, POLLIN, "is named");
    int there = MUST(far_connect(&at));
    CHECK(EVENTUALLY(poll(p, 5, 0) == 2) && p[0].revents == POLLIN, "and the listener");
    far_send(c.there, 1, 0);
    CHECK(EVENTUALLY(poll(p, 5, 0) == 3) && p[1].revents == POLLIN, "and the connection");
    int far_udp = MUST(far_datagram(&far_at));
    far_sendto(far_udp, &mine, 0, 0);
    CHECK(EVENTUALLY(poll(p, 5, 0) == 4) && p[3].revents == POLLIN, "and the datagram socket, for an empty datagram");
    p[1].events = POLLOUT;
    EQUAL(poll(p + 1, 1, 0) == 1 && p[1].revents == POLLOUT, 1, "only what was asked for");
    far_close(far_udp);
    far_close(there);
    close(udp);
    close(listener);
    close(ends[0]);
    close(ends[1]);
    finish(c);
}

static void states(void)
{
    int fresh = MUST(socket(side.family, SOCK_STREAM, 0)), listener = own_listener(1);
    check_group("states");
    /* Linux adds POLLHUP; a socket made of a pair cannot say it and be used afterwards. */
    EQUAL(polled(fresh, POLLIN | POLLOUT | POLLRDHUP, 0) & ~POLLHUP, POLLOUT, "fresh");
    EQUAL(polled(listener, POLLIN | POLLOUT | POLLRDHUP, 0), 0, "listening");
    close(fresh);
    close(listener);
}

static void time_limits(struct connection c)
{
    struct pollfd p = { .fd = c.here, .events = POLLIN };
    struct timespec limit = { .tv_nsec = 30000000 };
    struct timeval tv = { .tv_usec = 30000 };
    fd_set reading;
    check_group("time limit");
    long long start = now_ms();
    EQUAL(poll(&p, 1, 30), 0, "poll");
    CHECK(now_ms() - start >= 29 && now_ms() - start < 2000, "poll in time");
    start = now_ms();
    EQUAL(ppoll(&p, 1, &limit, NULL), 0, "ppoll");
    CHECK(now_ms() - start >= 29 && now_ms() - start < 2000, "ppoll in time");
    FD_ZERO(&reading);
    FD_SET(c.here, &reading);
    start = now_ms();
    EQUAL(select(c.here + 1, &reading, NULL, NULL, &tv), 0, "select");
    CHECK(now_ms() - start >= 29 && now_ms() - start < 2000, "select in time");
    CHECK(!FD_ISSET(c.here, &reading) && tv.tv_sec == 0 && tv.tv_usec == 0, "select clears set and time");
    FD_SET(c.here, &reading);
    EQUAL(pselect(c.here + 1, &reading, NULL, NULL, &limit, NULL), 0, "pselect");
    far_tell((struct order){ .kind = SEND, .fd = c.there, .count = 1 });
    EQUAL(poll(&p, 1, -1), 1, "poll without limit");
    far_answer();
    finish(c);
}

static void three_sets(struct connection c)
{
    int ends[2];
    fd_set reading, writing, exceptional;
    struct timeval limit = { .tv_sec = 10 };
    check_group("select");
    MUST(pipe(ends));
    int last = (ends[1] > c.here ? ends[1] : c.here) + 1;
    FD_ZERO(&reading);
    FD_ZERO(&writing);
    FD_ZERO(&exceptional);
    FD_SET(c.here, &reading);
    FD_SET(ends[0], &reading);
    FD_SET(c.here, &writing);
    FD_SET(ends[1], &writing);
    FD_SET(c.here, &exceptional);
    EQUAL(select(last, &reading, &writing, &exceptional, &limit), 2, "two can be written");
    CHECK(FD_ISSET(c.here, &writing) && FD_ISSET(ends[1], &writing), "socket and pipe");
    CHECK(!FD_ISSET(c.here, &reading) && !FD_ISSET(ends[0], &reading) && !FD_ISSET(c.here, &exceptional), "none else");
    far_send(c.there, 1, 0);
    MUST(write(ends[1], "x", 1));
    CHECK(polled(c.here, POLLIN, SOON) == POLLIN, "bytes come");
    FD_SET(c.here, &reading);
    FD_SET(ends[0], &reading);
    EQUAL(select(last, &reading, NULL, NULL, NULL), 2, "two can be read");
    far_shutdown(c.there, SHUT_WR);
    char byte;
    EQUAL(read(c.here, &byte, 1), 1, "the byte");
    FD_ZERO(&reading);
    FD_SET(c.here, &reading);
    EQUAL(select(last, &reading, NULL, NULL, NULL), 1, "the end can be read");
    close(ends[0]);
    close(ends[1]);
    finish(c);
    FD_SET(c.here, &reading);
    FAILS(select(last, &reading, NULL, NULL, &limit), EBADF, "a closed one");
}

static volatile sig_atomic_t caught;

static void catch(int signal)
{
    (void)signal;
    caught++;
}

/* A signal that is blocked but inside the call gets through at once. */
static void signal_masks(struct connection c)
{
    sigset_t usr1, before;
    struct pollfd p = { .fd = c.here, .events = POLLIN };
    struct sigaction action = { .sa_handler = catch, .sa_flags = SA_RESTART };
    fd_set reading;
    check_group("signal mask");
    MUST(sigaction(SIGUSR1, &action, NULL));
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    MUST(sigprocmask(SIG_BLOCK, &usr1, &before));
    MUST(raise(SIGUSR1));
    EQUAL(caught, 0, "the signal waits");
    EQUAL(poll(&p, 1, 10), 0, "poll is not disturbed");
    FAILS(ppoll(&p, 1, NULL, &before), EINTR, "ppoll lets it in");
    EQUAL(caught, 1, "ppoll: it was handled");
    MUST(raise(SIGUSR1));
    FD_ZERO(&reading);
    FD_SET(c.here, &reading);
    FAILS(pselect(c.here + 1, &reading, NULL, NULL, NULL, &before), EINTR, "pselect lets it in");
    EQUAL(caught, 2, "pselect: it was handled");
    MUST(raise(SIGUSR1));
    far_send(c.there, 1, 0);
    CHECK(polled(c.here, POLLIN, SOON) == POLLIN, "bytes are there");
    EQUAL(ppoll(&p, 1, NULL, &usr1), 1, "ppoll that keeps it out");
    EQUAL(caught, 2, "and it still waits");
    MUST(sigprocmask(SIG_SETMASK, &before, NULL));
    EQUAL(caught, 3, "until it is let in");
    finish(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    several(active());
    states();
    time_limits(passive());
    three_sets(active());
    signal_masks(active());
    return check_result();
}
