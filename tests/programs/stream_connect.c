/* Connecting: at once, later, refused, never, and again. */
#include "side/far.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

static int unblocked(void)
{
    return MUST(socket(side.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

/* An address of the far end where nobody listens. */
static union address closed_port(void)
{
    union address at;
    far_close(MUST(far_listen(1, &at)));
    return at;
}

static int connect_to(int fd, const union address *at)
{
    return connect(fd, &at->any, address_len(at));
}

static void without_waiting(void)
{
    union address at;
    int listener = MUST(far_listen(5, &at)), fd = unblocked();
    check_group("non-blocking");
    FAILS(connect_to(fd, &at), EINPROGRESS, "begins");
    EQUAL(polled(fd, POLLOUT, 10000), POLLOUT, "poll wakes");
    EQUAL(pending_error(fd), 0, "SO_ERROR");
    union address peer = peer_of(fd);
    CHECK(same_address(&peer, &at), "getpeername");
    EQUAL(connect_to(fd, &at), 0, "connect tells the success");
    FAILS(connect_to(fd, &at), EISCONN, "and then that it is there");
    struct connection c = { fd, MUST(far_accept(listener)) };
    EQUAL(send(fd, "", 1, 0), 1, "sends");
    far_send(c.there, 10, 0);
    EQUAL(polled(fd, POLLIN, 10000), POLLIN, "receives");
    finish(c);
    far_close(listener);
}

static void refused(void)
{
    union address at = closed_port(), good;
    int listener = MUST(far_listen(5, &good)), fd = MUST(socket(side.family, SOCK_STREAM, 0));
    check_group("refused");
    FAILS(connect_to(fd, &at), ECONNREFUSED, "connect");
    EQUAL(pending_error(fd), 0, "the error was told");
    FAILS(getpeername(fd, &at.any, &(socklen_t){ sizeof(at) }), ENOTCONN, "there is no peer");
    EQUAL(connect_to(fd, &good), 0, "the same socket connects elsewhere");
    finish((struct connection){ fd, MUST(far_accept(listener)) });

    fd = MUST(socket(side.family, SOCK_STREAM, 0));
    at = closed_port();
    FAILS(connect_to(fd, &at), ECONNREFUSED, "connect of a second socket");
    int other = MUST(socket(side.family, SOCK_STREAM, 0));
    EQUAL(connect_to(other, &good), 0, "another socket connects after it");
    finish((struct connection){ other, MUST(far_accept(listener)) });
    close(fd);
    far_close(listener);
}

static void refused_without_waiting(void)
{
    union address at = closed_port();
    int fd = unblocked();
    char byte;
    check_group("refused, non-blocking");
    FAILS(connect_to(fd, &at), EINPROGRESS, "begins");
    EQUAL(polled(fd, POLLOUT, 10000), POLLOUT | POLLERR | POLLHUP, "poll wakes");
    EQUAL(polled(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP, "poll in full");
    EQUAL(pending_error(fd), ECONNREFUSED, "SO_ERROR");
    EQUAL(pending_error(fd), 0, "SO_ERROR is told once");
    close(fd);

    fd = unblocked();
    at = closed_port();
    FAILS(connect_to(fd, &at), EINPROGRESS, "begins again");
    CHECK(polled(fd, POLLOUT, 10000) & POLLERR, "poll wakes again");
    FAILS(connect_to(fd, &at), ECONNREFUSED, "connect tells it");
    close(fd);

    fd = unblocked();
    at = closed_port();
    FAILS(connect_to(fd, &at), EINPROGRESS, "begins a third time");
    CHECK(polled(fd, POLLOUT, 10000) & POLLERR, "poll wakes a third time");
    FAILS(recv(fd, &byte, 1, 0), ECONNREFUSED, "recv tells it");
    close(fd);
}

static void out_of_reach(void)
{
    union address away = address(side.family == AF_INET6 ? "2001:db8:ffff::9" : "203.0.113.9", 9), other;
    int fd = MUST(socket(side.family, SOCK_STREAM, 0));
    check_group("out of reach");
    FAILS(connect_to(fd, &away), ENETUNREACH, "a network without a route");
    other = address(side.family == AF_INET6 ? "127.0.0.1" : "::1", 9);
    FAILS(connect(fd, &other.any, sizeof(other)), EAFNOSUPPORT, "the other family");
    close(fd);
}

/* Fills the far end's queue until one connection stays under way; that one is given back. */
static int one_that_waits(const union address *at, int *others, int *count)
{
    for (*count = 0; *count < 16; ++*count) {
        int fd = unblocked();
        if (connect_to(fd, at) < 0 && errno != EINPROGRESS)
            check_broken("connect", __FILE__, __LINE__);
        if (!polled(fd, POLLOUT, 200))
            return fd;
        others[*count] = fd;
    }
    check_broken("the backlog has no end", __FILE__, __LINE__);
}

static void a_full_backlog(void)
{
    union address at;
    int others[16], count, listener = MUST(far_listen(0, &at)), fd = one_that_waits(&at, others, &count);
    struct timeval limit = { .tv_usec = 100000 };
    check_group("full backlog");
    EQUAL(count, 1, "a backlog of 0 holds one");
    FAILS(connect_to(fd, &at), EALREADY, "connect while under way");
    EQUAL(pending_error(fd), 0, "no error yet");
    FAILS(recv(fd, &limit, 1, 0), EAGAIN, "recv while under way");
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EAGAIN, "send while under way");
    FAILS(getpeername(fd, &at.any, &(socklen_t){ sizeof(at) }), ENOTCONN, "no peer yet");

    int blocking = MUST(socket(side.family, SOCK_STREAM, 0));
    MUST(setsockopt(blocking, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
    long long start = now_ms();
    FAILS(connect_to(blocking, &at), EINPROGRESS, "SO_SNDTIMEO limits connect");
    CHECK(now_ms() - start >= 95 && now_ms() - start < 2000, "SO_SNDTIMEO in time");
    EQUAL(close(blocking), 0, "giving up");

    for (int i = 0; i < count; i++)
        far_close(MUST(far_accept(listener)));
    EQUAL(polled(fd, POLLOUT, 10000), POLLOUT, "gets in when there is room");
    EQUAL(pending_error(fd), 0, "without an error");
    for (int i = 0; i < count; i++)
        close(others[i]);
    finish((struct connection){ fd, MUST(far_accept(listener)) });
    far_close(listener);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    without_waiting();
    refused();
    refused_without_waiting();
    out_of_reach();
    a_full_backlog();
    return check_result();
}
