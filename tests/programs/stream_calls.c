/* The life of a stream socket call by call: names, states, and the errors of calls in the wrong state. */
#include "side/far.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *nowhere(void)
{
    return side.family == AF_INET6 ? "2001:db8:ffff::9" : "203.0.113.9";
}

static void a_fresh_socket(void)
{
    char byte;
    int fd = MUST(socket(side.family, SOCK_STREAM, 0));
    union address mine = name_of(fd), any = any_address(side.family, 0);
    check_group("fresh");
    CHECK(same_address(&mine, &any), "its name is the wildcard");
    FAILS(getpeername(fd, &mine.any, &(socklen_t){ sizeof(mine) }), ENOTCONN, "has no peer");
    FAILS(recv(fd, &byte, 1, 0), ENOTCONN, "recv");
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE, "send");
    FAILS(accept(fd, NULL, NULL), EINVAL, "accept");
    FAILS(shutdown(fd, SHUT_WR), ENOTCONN, "shutdown");
    EQUAL(option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM, "SO_TYPE");
    EQUAL(option(fd, SOL_SOCKET, SO_DOMAIN), side.family, "SO_DOMAIN");
    EQUAL(option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP, "SO_PROTOCOL");
    EQUAL(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0, "SO_ACCEPTCONN");
    EQUAL(pending_error(fd), 0, "SO_ERROR");
    EQUAL(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDWR, "flags");
    EQUAL(fcntl(fd, F_GETFD), 0, "descriptor flags");
    MUST(listen(fd, 1));
    mine = name_of(fd);
    CHECK(port_of(&mine) != 0, "listen without bind takes a port");
    close(fd);
    FAILS(recv(fd, &byte, 1, 0), EBADF, "recv after close");
    FAILS(getsockname(fd, &mine.any, &(socklen_t){ sizeof(mine) }), EBADF, "getsockname after close");
}

static void socket_arguments(void)
{
    check_group("socket");
    int fd = MUST(socket(side.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK, "SOCK_NONBLOCK");
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC, "SOCK_CLOEXEC");
    close(fd);
    FAILS(socket(side.family, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT, "a stream of UDP");
    FAILS(socket(side.family, SOCK_STREAM, 1234), EINVAL, "a protocol that cannot be");
    FAILS(socket(side.family, 77, 0), EINVAL, "a type that cannot be");
    FAILS(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT, "a family that cannot be");
}

static void binding(void)
{
    union address at = address(side.own, 0), away = address(nowhere(), 0);
    check_group("bind");
    int one = own_socket(SOCK_STREAM), two = MUST(socket(side.family, SOCK_STREAM, 0));
    union address taken = name_of(one);
    CHECK(port_of(&taken) != 0, "port 0 becomes a port");
    FAILS(bind(one, &at.any, address_len(&at)), EINVAL, "twice");
    FAILS(bind(two, &taken.any, address_len(&taken)), EADDRINUSE, "a port that is taken");
    FAILS(bind(two, &away.any, address_len(&away)), EADDRNOTAVAIL, "an address that is not ours");
    FAILS(bind(two, &at.any, sizeof(sa_family_t)), EINVAL, "an address cut short");
    at.any.sa_family = AF_UNIX;
    FAILS(bind(two, &at.any, sizeof(at.v6)), EAFNOSUPPORT, "an address of another family");
    close(one);
    EQUAL(bind(two, &taken.any, address_len(&taken)), 0, "a port that was given up");
    close(two);
}

static void on_other_things(void)
{
    int null = MUST(open("/dev/null", O_RDWR)), udp = MUST(socket(side.family, SOCK_DGRAM, 0));
    union address a = address(side.own, 1);
    check_group("other things");
    FAILS(accept(null, NULL, NULL), ENOTSOCK, "accept on a file");
    FAILS(connect(null, &a.any, address_len(&a)), ENOTSOCK, "connect on a file");
    FAILS(getsockopt(null, SOL_SOCKET, SO_TYPE, &(int){ 0 }, &(socklen_t){ sizeof(int) }), ENOTSOCK, "options of a file");
    FAILS(accept(udp, NULL, NULL), EOPNOTSUPP, "accept on a datagram socket");
    FAILS(listen(udp, 1), EOPNOTSUPP, "listen on a datagram socket");
    FAILS(accept(4000, NULL, NULL), EBADF, "accept on nothing");
    FAILS(connect(4000, &a.any, address_len(&a)), EBADF, "connect on nothing");
    close(null);
    close(udp);
}

static void accepting(void)
{
    int listener = own_listener(5);
    union address at = name_of(listener), from;
    check_group("accept");
    EQUAL(option(listener, SOL_SOCKET, SO_ACCEPTCONN), 1, "SO_ACCEPTCONN");
    FAILS(connect(listener, &at.any, address_len(&at)), EISCONN, "connect on a listener");
    FAILS(recv(listener, &from, 1, 0), ENOTCONN, "recv on a listener");
    EQUAL(listen(listener, 7), 0, "listen again");
    MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
    FAILS(accept(listener, NULL, NULL), EAGAIN, "nobody there");
    FAILS(accept4(listener, NULL, NULL, 1), EINVAL, "accept4 with unknown flags");

    struct answer there = far((struct order){ .kind = CONNECT, .address = at });
    EQUAL(polled(listener, POLLIN, 10000), POLLIN, "poll wakes");
    socklen_t len = sizeof(from);
    int fd = MUST(accept(listener, &from.any, &len));
    EQUAL(len, address_len(&at), "address length");
    CHECK(same_address(&from, &there.address), "address is the far end's");
    union address mine = name_of(fd), peer = peer_of(fd);
    CHECK(same_address(&mine, &at), "getsockname is the listener's");
    CHECK(same_address(&peer, &from), "getpeername is the far end's");
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, 0, "O_NONBLOCK is not inherited");
    EQUAL(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0, "SO_ACCEPTCONN of the connection");
    FAILS(connect(fd, &at.any, address_len(&at)), EISCONN, "connect on the connection");
    FAILS(accept(fd, NULL, NULL), EINVAL, "accept on the connection");
    finish((struct connection){ fd, there.value });

    there = far((struct order){ .kind = CONNECT, .address = at });
    CHECK(polled(listener, POLLIN, 10000) == POLLIN, "poll wakes again");
    len = 4;
    memset(&from, 0x55, sizeof(from));
    fd = MUST(accept4(listener, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK, "accept4 SOCK_NONBLOCK");
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC, "accept4 SOCK_CLOEXEC");
    EQUAL(len, address_len(&at), "a short buffer is told the true length");
    CHECK(((unsigned char *)&from)[4] == 0x55, "a short buffer is not overrun");
    finish((struct connection){ fd, there.value });
    close(listener);
}

static void connecting(void)
{
    union address at;
    int listener = MUST(far_listen(5, &at)), fd = own_socket(SOCK_STREAM);
    union address bound = name_of(fd);
    check_group("connect");
    EQUAL(connect(fd, &at.any, address_len(&at)), 0, "connects");
    union address mine = name_of(fd), peer = peer_of(fd);
    CHECK(same_address(&mine, &bound), "getsockname is what was bound");
    CHECK(same_address(&peer, &at), "getpeername is where it went");
    struct answer there = far((struct order){ .kind = ACCEPT, .fd = listener });
    CHECK(same_address(&there.address, &bound), "the far end sees the bound address");
    FAILS(connect(fd, &at.any, address_len(&at)), EISCONN, "twice");
    FAILS(bind(fd, &bound.any, address_len(&bound)), EINVAL, "bind afterwards");
    FAILS(listen(fd, 1), EINVAL, "listen afterwards");
    finish((struct connection){ fd, there.value });

    fd = MUST(socket(side.family, SOCK_STREAM, 0));
    FAILS(connect(fd, &at.any, 1), EINVAL, "an address cut short");
    MUST(connect(fd, &at.any, address_len(&at)));
    union address own = address(side.own, 0);
    mine = name_of(fd);
    own.v4.sin_port = mine.v4.sin_port;
    CHECK(same_address(&mine, &own) && port_of(&mine) >= 1024, "an unbound socket gets address and port");
    close(fd);
    far_close(listener);
}

/* The own end closes first and waits in TIME_WAIT; a server that is started again wants its port. */
static void starting_again(void)
{
    int listener = MUST(socket(side.family, SOCK_STREAM, 0)), on = 1;
    union address at = address(side.own, 0);
    check_group("start again");
    MUST(set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1));
    MUST(bind(listener, &at.any, address_len(&at)));
    MUST(listen(listener, 5));
    at = name_of(listener);
    int there = MUST(far_connect(&at)), fd = MUST(accept(listener, NULL, NULL));
    close(fd);
    CHECK(far_ended(there), "the far end sees the end");
    far_close(there);

    int again = MUST(socket(side.family, SOCK_STREAM, 0));
    MUST(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    CHECK(bind(again, &at.any, address_len(&at)) < 0 ? errno == EADDRINUSE : listen(again, 5) < 0 && errno == EADDRINUSE,
          "not while the old one listens");
    close(again);
    close(listener);
    again = MUST(socket(side.family, SOCK_STREAM, 0));
    FAILS(bind(again, &at.any, address_len(&at)), EADDRINUSE, "not without SO_REUSEADDR");
    MUST(set_option(again, SOL_SOCKET, SO_REUSEADDR, 1));
    EQUAL(bind(again, &at.any, address_len(&at)), 0, "binds with SO_REUSEADDR");
    EQUAL(listen(again, 5), 0, "listens");
    there = far_connect(&at);
    CHECK(there >= 0 && (fd = accept(again, NULL, NULL)) >= 0, "serves");
    finish((struct connection){ fd, there });
    close(again);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    a_fresh_socket();
    socket_arguments();
    binding();
    on_other_things();
    accepting();
    connecting();
    starting_again();
    return check_result();
}
