/* Socket options: what is set is what is read, what cannot be is refused, what is unknown is ENOPROTOOPT. */
#include "side/far.h"
#include "side/rows.h"

#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static const struct row settable[] = {
    { SOL_SOCKET, SO_REUSEADDR, 1, 1, "SO_REUSEADDR" },
    { SOL_SOCKET, SO_REUSEPORT, 1, 1, "SO_REUSEPORT" },
    { SOL_SOCKET, SO_KEEPALIVE, 1, 1, "SO_KEEPALIVE" },
    { SOL_SOCKET, SO_KEEPALIVE, 7, 1, "SO_KEEPALIVE is a truth value" },
    { SOL_SOCKET, SO_BROADCAST, 1, 1, "SO_BROADCAST" },
    { SOL_SOCKET, SO_OOBINLINE, 1, 1, "SO_OOBINLINE" },
    { SOL_SOCKET, SO_PRIORITY, 3, 3, "SO_PRIORITY" },
    { SOL_SOCKET, SO_RCVLOWAT, 9, 9, "SO_RCVLOWAT" },
    { SOL_SOCKET, SO_RCVBUF, 65536, 131072, "SO_RCVBUF reads double" },
    { SOL_SOCKET, SO_SNDBUF, 65536, 131072, "SO_SNDBUF reads double" },
    { IPPROTO_TCP, TCP_NODELAY, 1, 1, "TCP_NODELAY" },
    { IPPROTO_TCP, TCP_CORK, 1, 1, "TCP_CORK" },
    { IPPROTO_TCP, TCP_KEEPIDLE, 77, 77, "TCP_KEEPIDLE" },
    { IPPROTO_TCP, TCP_KEEPINTVL, 8, 8, "TCP_KEEPINTVL" },
    { IPPROTO_TCP, TCP_KEEPCNT, 4, 4, "TCP_KEEPCNT" },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, 5000, 5000, "TCP_USER_TIMEOUT" },
    { IPPROTO_TCP, TCP_SYNCNT, 3, 3, "TCP_SYNCNT" },
    { IPPROTO_TCP, TCP_LINGER2, 11, 11, "TCP_LINGER2" },
    { IPPROTO_TCP, TCP_LINGER2, 300, 120, "TCP_LINGER2 has a limit" },
    { IPPROTO_TCP, TCP_LINGER2, -5, -1, "TCP_LINGER2 below 0" },
    { IPPROTO_TCP, TCP_WINDOW_CLAMP, -1, 1152, "TCP_WINDOW_CLAMP below 0" },
    { IPPROTO_TCP, TCP_MAXSEG, 0, 536, "TCP_MAXSEG 0 is the default" },
    { IPPROTO_TCP, TCP_QUICKACK, 1, 1, "TCP_QUICKACK" },
    { IPPROTO_TCP, TCP_MAXSEG, 1000, 1000, "TCP_MAXSEG" },
    { IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000, 5000, "TCP_WINDOW_CLAMP" },
    { SOL_SOCKET, SO_DONTROUTE, 1, 1, "SO_DONTROUTE on" },
};

static const struct row settable4[] = {
    { IPPROTO_IP, IP_TTL, 33, 33, "IP_TTL" },
    { IPPROTO_IP, IP_TOS, 0x10, 0x10, "IP_TOS" },
    { IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DO, "IP_MTU_DISCOVER" },
    { IPPROTO_IP, IP_FREEBIND, 1, 1, "IP_FREEBIND" },
    { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 1, "IP_BIND_ADDRESS_NO_PORT" },
    { IPPROTO_IP, IP_RECVTOS, 1, 1, "IP_RECVTOS" },
    { IPPROTO_IP, IP_PKTINFO, 1, 1, "IP_PKTINFO" },
};

static const struct row settable6[] = {
    { IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33, 33, "IPV6_UNICAST_HOPS" },
    { IPPROTO_IPV6, IPV6_TCLASS, 0x10, 0x10, "IPV6_TCLASS" },
    { IPPROTO_IPV6, IPV6_V6ONLY, 1, 1, "IPV6_V6ONLY" },
    { IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, IPV6_PMTUDISC_DO, "IPV6_MTU_DISCOVER" },
    { IPPROTO_IPV6, IPV6_RECVTCLASS, 1, 1, "IPV6_RECVTCLASS" },
    { IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, 1, "IPV6_RECVPKTINFO" },
};

static void at_first(void)
{
    int fd = MUST(socket(side.family, SOCK_STREAM, 0));
    char name[16] = "";
    socklen_t len = sizeof(name);
    check_group("at first");
    EQUAL(option(fd, IPPROTO_TCP, TCP_NODELAY), 0, "TCP_NODELAY");
    EQUAL(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0, "SO_KEEPALIVE");
    EQUAL(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7200, "TCP_KEEPIDLE");
    EQUAL(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 75, "TCP_KEEPINTVL");
    EQUAL(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 9, "TCP_KEEPCNT");
    EQUAL(option(fd, SOL_SOCKET, SO_RCVLOWAT), 1, "SO_RCVLOWAT");
    EQUAL(option(fd, IPPROTO_TCP, TCP_LINGER2), 60, "TCP_LINGER2");
    EQUAL(option(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP), 0, "TCP_WINDOW_CLAMP");
    struct ucred nobody;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &nobody, &(socklen_t){ sizeof(nobody) }) == 0 && nobody.pid == 0 &&
          nobody.uid == (uid_t)-1, "SO_PEERCRED knows nobody");
    uint64_t one = 0, two = 0;
    int other = MUST(socket(side.family, SOCK_STREAM, 0));
    CHECK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &one, &(socklen_t){ sizeof(one) }) == 0 &&
          getsockopt(other, SOL_SOCKET, SO_COOKIE, &two, &(socklen_t){ sizeof(two) }) == 0 && one && two && one != two,
          "SO_COOKIE tells sockets apart");
    close(other);
    CHECK(option(fd, SOL_SOCKET, SO_SNDBUF) > 4096, "SO_SNDBUF");
    CHECK(option(fd, SOL_SOCKET, SO_RCVBUF) > 4096, "SO_RCVBUF");
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0 && name[0] && len == 16, "TCP_CONGESTION");
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0, "TCP_CONGESTION takes reno");
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8), ENOENT, "TCP_CONGESTION takes no unknown name");
    if (side.family == AF_INET) {
        EQUAL(option(fd, IPPROTO_IP, IP_TTL), 64, "IP_TTL");
        EQUAL(option(fd, IPPROTO_IP, IP_TOS), 0, "IP_TOS");
    } else {
        EQUAL(option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64, "IPV6_UNICAST_HOPS");
        EQUAL(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0, "IPV6_V6ONLY");
    }
    close(fd);
}

static void what_cannot_be(void)
{
    int fd = MUST(socket(side.family, SOCK_STREAM, 0)), value = 1;
    socklen_t len = sizeof(value);
    check_group("refused");
    FAILS(set_option(fd, SOL_SOCKET, 9999, 1), ENOPROTOOPT, "setsockopt: unknown, of the socket");
    FAILS(set_option(fd, IPPROTO_TCP, 9999, 1), ENOPROTOOPT, "setsockopt: unknown, of TCP");
    FAILS(set_option(fd, 9999, 1, 1), ENOPROTOOPT, "setsockopt: unknown level");
    FAILS(getsockopt(fd, SOL_SOCKET, 9999, &value, &len), ENOPROTOOPT, "getsockopt: unknown, of the socket");
    FAILS(getsockopt(fd, IPPROTO_TCP, 9999, &value, &len), ENOPROTOOPT, "getsockopt: unknown, of TCP");
    FAILS(set_option(fd, SOL_SOCKET, SO_TYPE, 1), ENOPROTOOPT, "SO_TYPE cannot be set");
    FAILS(set_option(fd, SOL_SOCKET, SO_ERROR, 1), ENOPROTOOPT, "SO_ERROR cannot be set");
    FAILS(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), EINVAL, "a value cut short");
    FAILS(set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0), EINVAL, "TCP_KEEPIDLE 0");
    FAILS(set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 1000), EINVAL, "TCP_KEEPCNT 1000");
    FAILS(set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 40), EINVAL, "TCP_MAXSEG 40");
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0), EINVAL, "TCP_CONGESTION without a name");
    EQUAL(set_option(fd, SOL_SOCKET, SO_RCVBUF, -1), 0, "SO_RCVBUF -1");
    CHECK(option(fd, SOL_SOCKET, SO_RCVBUF) > 100000, "which is the most");
    FAILS(getsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, &len), ENOPROTOOPT, "SO_RCVBUFFORCE cannot be read");
    if (side.family == AF_INET) {
        FAILS(set_option(fd, IPPROTO_IP, IP_TTL, 300), EINVAL, "IP_TTL 300");
        FAILS(set_option(fd, IPPROTO_IP, 9999, 1), ENOPROTOOPT, "setsockopt: unknown, of IP");
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), ENOPROTOOPT, "IPv6 options on IPv4");
    } else {
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 300), EINVAL, "IPV6_UNICAST_HOPS 300");
        FAILS(set_option(fd, IPPROTO_IPV6, 9999, 1), ENOPROTOOPT, "setsockopt: unknown, of IPv6");
    }
    value = 0x55555555;
    len = 1;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len) == 0 && len == 1 && value == 0x55555500 + SOCK_STREAM,
          "a short buffer gets the beginning");
    struct { int value; char more[12]; } big = { 0, "untouched" };
    len = sizeof(big);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &big, &len) == 0 && len == 4 && !strcmp(big.more, "untouched"),
          "a large buffer is told the length");
    close(fd);
}

static int state_of(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -1 : info.tcpi_state;
}

static void information(struct connection c)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    int fresh = MUST(socket(side.family, SOCK_STREAM, 0)), listener = own_listener(1);
    check_group("TCP_INFO");
    EQUAL(state_of(fresh), TCP_CLOSE, "of a fresh socket");
    EQUAL(state_of(listener), TCP_LISTEN, "of a listener");
    memset(&info, 0, sizeof(info));
    CHECK(getsockopt(c.here, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && len == sizeof(info), "of a connection");
    EQUAL(info.tcpi_state, TCP_ESTABLISHED, "established");
    CHECK(info.tcpi_snd_mss >= 500 && info.tcpi_snd_cwnd > 0, "has mss and cwnd");
    CHECK(info.tcpi_rtt > 0, "has an rtt");
    CHECK(info.tcpi_options & TCPI_OPT_WSCALE && info.tcpi_options & TCPI_OPT_SACK &&
          info.tcpi_options & TCPI_OPT_TIMESTAMPS, "has its options");
    CHECK(option(c.here, IPPROTO_TCP, TCP_MAXSEG) >= 500, "TCP_MAXSEG");
    EQUAL(setsockopt(c.here, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)) < 0 && errno == ENOPROTOOPT, 1, "cannot be set");
    pattern_send(c.here, 5000, 0);
    far_receive(c.there, 5000, 0);
    far_shutdown(c.there, SHUT_WR);
    CHECK(EVENTUALLY(state_of(c.here) == TCP_CLOSE_WAIT), "close wait");
    finish(c);
    c = active();
    MUST(shutdown(c.here, SHUT_WR));
    CHECK(EVENTUALLY(state_of(c.here) == TCP_FIN_WAIT2), "fin wait 2");
    finish(c);
    close(fresh);
    close(listener);
}

static void inherited(void)
{
    int listener = own_listener(1);
    union address at = name_of(listener);
    check_group("inherited by accept");
    MUST(set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1));
    MUST(set_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 55));
    MUST(set_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1));
    struct connection c = { .there = MUST(far_connect(&at)) };
    c.here = MUST(accept(listener, NULL, NULL));
    EQUAL(option(c.here, IPPROTO_TCP, TCP_NODELAY), 1, "TCP_NODELAY");
    EQUAL(option(c.here, IPPROTO_TCP, TCP_KEEPIDLE), 55, "TCP_KEEPIDLE");
    EQUAL(option(c.here, SOL_SOCKET, SO_KEEPALIVE), 1, "SO_KEEPALIVE");
    finish(c);
    close(listener);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    at_first();
    check_group("set");
    reads_back(SOCK_STREAM, 0, ROWS(settable));
    if (side.family == AF_INET)
        reads_back(SOCK_STREAM, 0, ROWS(settable4));
    else
        reads_back(SOCK_STREAM, 0, ROWS(settable6));
    what_cannot_be();
    information(active());
    inherited();
    return check_result();
}
