/* What epoll tells of each state of a socket, and together with descriptors of the kernel's own. */
#include "side/far.h"
#include "side/watch.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SOON 10000
#define ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP)

static void ends(void)
{
    struct connection c = active();
    int e = watch_new(), edge = watch_new();
    check_group("half-closed by the far end");
    MUST(watch_add(e, c.here, EPOLLRDHUP));
    MUST(watch_add(edge, c.here, EPOLLIN | EPOLLRDHUP | EPOLLET));
    far_shutdown(c.there, SHUT_WR);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLRDHUP, "EPOLLRDHUP");
    EQUAL(watch_sees(edge, c.here, SOON), EPOLLIN | EPOLLRDHUP, "with EPOLLIN, edge");
    MUST(watch_change(e, c.here, ALL));
    EQUAL(watch_sees(e, c.here, 0), ALL, "with all");
    check_group("closed by both");
    MUST(shutdown(c.here, SHUT_WR));
    CHECK(EVENTUALLY(watch_sees(e, c.here, 0) == (ALL | EPOLLHUP)), "EPOLLHUP");
    CHECK(EVENTUALLY(watch_sees(edge, c.here, 0) & EPOLLHUP), "EPOLLHUP, edge");
    finish(c);
    close(edge);

    c = passive();
    check_group("reset");
    MUST(watch_add(e, c.here, EPOLLIN));
    far_reset(c.there);
    CHECK(EVENTUALLY(watch_sees(e, c.here, 0) == (EPOLLIN | EPOLLERR | EPOLLHUP)), "EPOLLERR and EPOLLHUP unasked");
    close(c.here);
    close(e);
}

static void a_fresh_socket(void)
{
    int e = watch_new(), fd = MUST(socket(side.family, SOCK_STREAM, 0));
    check_group("fresh");
    MUST(watch_add(e, fd, ALL));
    /* Linux adds EPOLLHUP; a socket made of a pair cannot say it and be used afterwards. */
    EQUAL(watch_sees(e, fd, 0) & ~EPOLLHUP, EPOLLOUT, "EPOLLOUT");
    close(e);
    close(fd);
}

static void connecting(void)
{
    union address at;
    int e = watch_new(), listener = MUST(far_listen(1, &at));
    int fd = MUST(socket(side.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    check_group("connecting");
    FAILS(connect(fd, &at.any, address_len(&at)), EINPROGRESS, "begins");
    MUST(watch_add(e, fd, EPOLLIN | EPOLLOUT | EPOLLET));
    EQUAL(watch_sees(e, fd, SOON), EPOLLOUT, "EPOLLOUT");
    EQUAL(pending_error(fd), 0, "without an error");
    int there = MUST(far_accept(listener));
    far_send(there, 1, 0);
    CHECK(EVENTUALLY((watch_sees(e, fd, SOON) & ~EPOLLOUT) == EPOLLIN), "and bytes by the same watch");
    finish((struct connection){ fd, there });
    far_close(listener);

    fd = MUST(socket(side.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    check_group("refused");
    FAILS(connect(fd, &at.any, address_len(&at)), EINPROGRESS, "begins");
    MUST(watch_add(e, fd, EPOLLIN | EPOLLOUT));
    EQUAL(watch_sees(e, fd, SOON), EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP, "everything at once");
    EQUAL(pending_error(fd), ECONNREFUSED, "SO_ERROR");
    close(fd);
    close(e);

    e = watch_new();
    fd = MUST(socket(side.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    listener = MUST(far_listen(1, &at));
    check_group("watched before connect");
    MUST(watch_add(e, fd, EPOLLOUT | EPOLLET));
    EQUAL(watch_sees(e, fd, 0) & ~EPOLLHUP, EPOLLOUT, "first as a fresh one");
    FAILS(connect(fd, &at.any, address_len(&at)), EINPROGRESS, "begins");
    CHECK(EVENTUALLY(watch_sees(e, fd, 0) == EPOLLOUT), "then EPOLLOUT");
    finish((struct connection){ fd, MUST(far_accept(listener)) });
    far_close(listener);
    close(e);
}

static void listening(uint32_t how, const char *group)
{
    int e = watch_new(), listener = own_listener(3), here[2];
    union address at = name_of(listener);
    check_group(group);
    MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
    MUST(watch_add(e, listener, EPOLLIN | EPOLLOUT | how));
    EQUAL(watch_sees(e, listener, 0), 0, "nobody there");
    int one = MUST(far_connect(&at));
    EQUAL(watch_sees(e, listener, SOON), EPOLLIN, "somebody there");
    EQUAL(watch_sees(e, listener, 0), how ? 0 : EPOLLIN, how ? "told once" : "still there");
    int two = MUST(far_connect(&at));
    EQUAL(watch_sees(e, listener, SOON), EPOLLIN, "a second one");
    here[0] = MUST(accept(listener, NULL, NULL));
    EQUAL(polled(listener, POLLIN, SOON), POLLIN, "one is left");
    here[1] = MUST(accept(listener, NULL, NULL));
    FAILS(accept(listener, NULL, NULL), EAGAIN, "nobody left");
    EQUAL(watch_sees(e, listener, 0), 0, "nobody there again");
    finish((struct connection){ here[0], one });
    finish((struct connection){ here[1], two });
    close(listener);
    close(e);
}

static void datagrams(void)
{
    int e = watch_new(), fd = own_datagram();
    union address mine = name_of(fd), at;
    int there = MUST(far_datagram(&at));
    char bytes[10];
    check_group("datagrams, edge");
    MUST(watch_add(e, fd, EPOLLIN | EPOLLET));
    far_sendto(there, &mine, 1, 0);
    EQUAL(watch_sees(e, fd, SOON), EPOLLIN, "the first");
    EQUAL(watch_sees(e, fd, 0), 0, "told once");
    far_sendto(there, &mine, 2, 0);
    EQUAL(watch_sees(e, fd, SOON), EPOLLIN, "the second, on an unread one");
    EQUAL(recv(fd, bytes, 10, 0), 1, "one is read");
    EQUAL(recv(fd, bytes, 10, 0), 2, "the other is read");
    close(fd);
    far_close(there);
    close(e);
}

/* A socket among a pipe, an eventfd and a timerfd. */
static void among_others(struct connection c)
{
    int e = watch_new(), pipe_ends[2], event = MUST(eventfd(0, 0)), timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec soon = { .it_value = { .tv_nsec = 20000000 } };
    struct epoll_event events[8];
    uint64_t number = 3;
    check_group("among others");
    MUST(pipe(pipe_ends));
    MUST(watch_add(e, c.here, EPOLLIN));
    MUST(watch_add(e, pipe_ends[0], EPOLLIN));
    MUST(watch_add(e, event, EPOLLIN));
    MUST(watch_add(e, timer, EPOLLIN));
    EQUAL(watch_sees(e, c.here, 0), 0, "nothing yet");
    MUST(write(pipe_ends[1], "x", 1));
    EQUAL(watch_sees(e, pipe_ends[0], SOON), EPOLLIN, "the pipe");
    MUST(read(pipe_ends[0], &number, 1));
    number = 3;
    MUST(write(event, &number, sizeof(number)));
    EQUAL(watch_sees(e, event, SOON), EPOLLIN, "the eventfd");
    MUST(read(event, &number, sizeof(number)));
    MUST(timerfd_settime(timer, 0, &soon, NULL));
    EQUAL(watch_sees(e, timer, SOON), EPOLLIN, "the timerfd");
    MUST(read(timer, &number, sizeof(number)));
    far_send(c.there, 1, 0);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "the socket");
    MUST(write(pipe_ends[1], "x", 1));
    number = 3;
    MUST(write(event, &number, sizeof(number)));
    EQUAL(epoll_wait(e, events, 8, SOON), 3, "three at once");
    EQUAL(epoll_wait(e, events, 2, SOON), 2, "as many as there is room for");
    close(event);
    close(timer);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(e);
    finish(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    a_fresh_socket();
    connecting();
    listening(0, "listening, level");
    listening(EPOLLET, "listening, edge");
    ends();
    datagrams();
    among_others(active());
    among_others(passive());
    return check_result();
}
