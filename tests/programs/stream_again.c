/* A socket used anew: after a connect that failed, as a listener that was shut down, after connect(2) to AF_UNSPEC. */
#include "side/far.h"

#include <unistd.h>

static const struct sockaddr unspec = { .sa_family = AF_UNSPEC };

static int stream(void)
{
    return MUST(socket(side.family, SOCK_STREAM, 0));
}

static int connect_to(int fd, const union address *at)
{
    return connect(fd, &at->any, address_len(at));
}

static union address closed_port(void)
{
    union address at;
    far_close(MUST(far_listen(1, &at)));
    return at;
}

/* A fresh socket that a connect has failed on. */
static int refused(void)
{
    union address at = closed_port();
    int fd = stream();
    FAILS(connect_to(fd, &at), ECONNREFUSED, "connect");
    return fd;
}

/* Both directions, and the end. */
static void works(int fd, int there)
{
    EQUAL(send(fd, "", 1, 0), 1, "sends");
    EQUAL(far_receive(there, 1, 0), 1, "it arrives");
    far_send(there, 10, 0);
    CHECK(arrived(fd, 10), "receives");
    finish((struct connection){ fd, there });
}

/* A listener of ours: somebody gets through. */
static void listens(int fd)
{
    union address at = name_of(fd);
    int there = MUST(far_connect(&at));
    works(MUST(accept(fd, NULL, NULL)), there);
}

static void after_a_failure(void)
{
    char byte;
    union address own = address(side.own, 0), good;
    check_group("after a failure");
    int fd = refused();
    FAILS(recv(fd, &byte, 1, 0), ENOTCONN, "recv");
    FAILS(recv(fd, &byte, 1, MSG_PEEK), ENOTCONN, "a look");
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE, "send");
    FAILS(recv(fd, &byte, 1, 0), ENOTCONN, "recv after it");
    FAILS(shutdown(fd, SHUT_RDWR), ENOTCONN, "shutdown");
    close(fd);

    fd = refused();
    EQUAL(bind(fd, &own.any, address_len(&own)), 0, "it can be bound");
    EQUAL(listen(fd, 5), 0, "and listen");
    listens(fd);
    close(fd);

    fd = refused();
    EQUAL(listen(fd, 5), 0, "it can listen unbound");
    close(fd);

    fd = own_socket(SOCK_STREAM);
    union address at = closed_port(), bound = name_of(fd);
    FAILS(connect_to(fd, &at), ECONNREFUSED, "connect of a bound socket");
    int listener = MUST(far_listen(5, &good));
    EQUAL(connect_to(fd, &good), 0, "connects elsewhere");
    union address now = name_of(fd);
    now.v4.sin_port = bound.v4.sin_port;
    CHECK(same_address(&now, &bound), "from the address it was bound to");
    works(fd, MUST(far_accept(listener)));
    far_close(listener);
}

static void a_failure_not_told(void)
{
    union address at = closed_port();
    char byte;
    int fd = MUST(socket(side.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    check_group("a failure told by send");
    FAILS(connect_to(fd, &at), EINPROGRESS, "begins");
    CHECK(polled(fd, POLLOUT, 10000) & POLLERR, "poll wakes");
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), ECONNREFUSED, "send tells");
    EQUAL(recv(fd, &byte, 1, 0), 0, "then the stream is at its end");
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE, "and takes no more");
    close(fd);
}

static void a_listener_shut_down(void)
{
    union address good;
    int far_listener = MUST(far_listen(5, &good)), fd = own_listener(5);
    check_group("listener shut down");
    EQUAL(shutdown(fd, SHUT_WR), 0, "shutdown for writing says nothing");
    EQUAL(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1, "it listens still");
    EQUAL(shutdown(fd, SHUT_RD), 0, "shutdown");
    EQUAL(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0, "it does not listen any more");
    FAILS(accept(fd, NULL, NULL), EINVAL, "accept");
    FAILS(shutdown(fd, SHUT_RD), ENOTCONN, "a second time");
    EQUAL(listen(fd, 5), 0, "listens again");
    EQUAL(polled(fd, POLLIN | POLLOUT | POLLRDHUP, 0), 0, "and is silent");
    listens(fd);
    EQUAL(shutdown(fd, SHUT_RDWR), 0, "shutdown of both");
    EQUAL(connect_to(fd, &good), 0, "connects");
    works(fd, MUST(far_accept(far_listener)));
    far_close(far_listener);
}

static void disconnected(void)
{
    union address good;
    char byte;
    check_group("disconnected");
    int listener = MUST(far_listen(5, &good)), fd = stream();
    EQUAL(connect(fd, &unspec, sizeof(unspec)), 0, "a fresh socket");
    FAILS(connect(fd, &unspec, 1), EINVAL, "a family cut short");
    EQUAL(connect_to(fd, &good), 0, "connects");
    int there = MUST(far_accept(listener));
    far_send(there, 10, 0);
    CHECK(arrived(fd, 10), "bytes lie unread");
    EQUAL(connect(fd, &unspec, sizeof(unspec)), 0, "a connection");
    EQUAL(far_failure(there), ECONNRESET, "the other end is reset");
    far_close(there);
    FAILS(getpeername(fd, &good.any, &(socklen_t){ sizeof(good) }), ENOTCONN, "has no peer");
    EQUAL(pending_error(fd), ECONNRESET, "says why, once");
    EQUAL(pending_error(fd), 0, "not twice");
    FAILS(recv(fd, &byte, 1, 0), ENOTCONN, "recv");
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE, "send");
    far_close(listener);
    listener = MUST(far_listen(5, &good));
    EQUAL(connect_to(fd, &good), 0, "connects again");
    EQUAL(pending_error(fd), 0, "without an error");
    works(fd, MUST(far_accept(listener)));
    far_close(listener);

    fd = own_listener(5);
    EQUAL(connect(fd, &unspec, sizeof(unspec)), 0, "a listener");
    FAILS(accept(fd, NULL, NULL), EINVAL, "does not accept");
    EQUAL(listen(fd, 5), 0, "listens again");
    listens(fd);
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    after_a_failure();
    a_failure_not_told();
    a_listener_shut_down();
    disconnected();
    return check_result();
}
