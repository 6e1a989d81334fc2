/* Options of datagram sockets: what is set is what is read, what cannot be is refused. */
#include "side/far.h"
#include "side/rows.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifndef IPV6_DONTFRAG
#define IPV6_DONTFRAG 62
#endif

static const struct row settable[] = {
    { SOL_SOCKET, SO_REUSEADDR, 1, 1, "SO_REUSEADDR" },
    { SOL_SOCKET, SO_REUSEPORT, 1, 1, "SO_REUSEPORT" },
    { SOL_SOCKET, SO_BROADCAST, 1, 1, "SO_BROADCAST" },
    { SOL_SOCKET, SO_DONTROUTE, 1, 1, "SO_DONTROUTE" },
    { SOL_SOCKET, SO_PRIORITY, 3, 3, "SO_PRIORITY" },
    { SOL_SOCKET, SO_KEEPALIVE, 1, 1, "SO_KEEPALIVE" },
    { SOL_SOCKET, SO_OOBINLINE, 1, 1, "SO_OOBINLINE" },
    { SOL_SOCKET, SO_RCVBUF, 65536, 131072, "SO_RCVBUF reads double" },
    { SOL_SOCKET, SO_SNDBUF, 65536, 131072, "SO_SNDBUF reads double" },
    { SOL_SOCKET, SO_TIMESTAMP, 1, 1, "SO_TIMESTAMP" },
    { SOL_SOCKET, SO_TIMESTAMPNS, 1, 1, "SO_TIMESTAMPNS" },
};

static const struct row settable4[] = {
    { IPPROTO_IP, IP_TTL, 33, 33, "IP_TTL" },
    { IPPROTO_IP, IP_TOS, 0x13, 0x13, "IP_TOS, all eight bits" },
    { IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT, IP_PMTUDISC_OMIT, "IP_MTU_DISCOVER" },
    { IPPROTO_IP, IP_FREEBIND, 1, 1, "IP_FREEBIND" },
    { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 1, "IP_BIND_ADDRESS_NO_PORT" },
    { IPPROTO_IP, IP_RECVERR, 1, 1, "IP_RECVERR" },
    { IPPROTO_IP, IP_PKTINFO, 1, 1, "IP_PKTINFO" },
    { IPPROTO_IP, IP_RECVTTL, 1, 1, "IP_RECVTTL" },
    { IPPROTO_IP, IP_RECVTOS, 1, 1, "IP_RECVTOS" },
    { IPPROTO_IP, IP_MULTICAST_TTL, 9, 9, "IP_MULTICAST_TTL" },
    { IPPROTO_IP, IP_MULTICAST_TTL, -1, 1, "IP_MULTICAST_TTL -1" },
    { IPPROTO_IP, IP_MULTICAST_LOOP, 0, 0, "IP_MULTICAST_LOOP" },
};

static const struct row settable6[] = {
    { IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33, 33, "IPV6_UNICAST_HOPS" },
    { IPPROTO_IPV6, IPV6_TCLASS, 0x13, 0x13, "IPV6_TCLASS, all eight bits" },
    { IPPROTO_IPV6, IPV6_V6ONLY, 1, 1, "IPV6_V6ONLY" },
    { IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT, IPV6_PMTUDISC_OMIT, "IPV6_MTU_DISCOVER" },
    { IPPROTO_IPV6, IPV6_DONTFRAG, 1, 1, "IPV6_DONTFRAG" },
    { IPPROTO_IPV6, IPV6_RECVERR, 1, 1, "IPV6_RECVERR" },
    { IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, 1, "IPV6_RECVPKTINFO" },
    { IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, 1, "IPV6_RECVHOPLIMIT" },
    { IPPROTO_IPV6, IPV6_RECVTCLASS, 1, 1, "IPV6_RECVTCLASS" },
    { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9, 9, "IPV6_MULTICAST_HOPS" },
    { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, -1, 1, "IPV6_MULTICAST_HOPS -1" },
    { IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, 0, "IPV6_MULTICAST_LOOP" },
};

static void refused(void)
{
    int fd = own_datagram();
    check_group("refused");
    FAILS(set_option(fd, SOL_SOCKET, 9999, 1), ENOPROTOOPT, "unknown, of the socket");
    FAILS(set_option(fd, IPPROTO_UDP, 9999, 1), ENOPROTOOPT, "unknown, of UDP");
    if (side.family == AF_INET) {
        FAILS(set_option(fd, IPPROTO_IP, IP_MTU, 1400), ENOPROTOOPT, "IP_MTU cannot be set");
        FAILS(option(fd, IPPROTO_IP, IP_MTU), ENOTCONN, "IP_MTU without a peer");
        FAILS(set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, 6), EINVAL, "IP_MTU_DISCOVER 6");
        FAILS(set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 256), EINVAL, "IP_MULTICAST_TTL 256");
    } else {
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_MTU, 1279), EINVAL, "IPV6_MTU below the least");
        EQUAL(set_option(fd, IPPROTO_IPV6, IPV6_MTU, 1280), 0, "IPV6_MTU at the least");
        FAILS(option(fd, IPPROTO_IPV6, IPV6_MTU), ENOTCONN, "IPV6_MTU without a peer");
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, 256), EINVAL, "IPV6_TCLASS 256");
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), EINVAL, "IPV6_V6ONLY when bound");
    }
    close(fd);
}

/* Seconds of the timestamp that came with one datagram, and the units of its fraction in a second; 0 without. */
static long long stamp(int fd, int type, long long *fraction)
{
    char control[256], byte;
    struct iovec part = { &byte, 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    if (!polled(fd, POLLIN, 10000) || recvmsg(fd, &m, 0) < 0)
        return -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != type)
        return 0;
    long long both[2];
    memcpy(both, CMSG_DATA(c), sizeof(both));
    *fraction = both[1];
    return both[0];
}

static void forms_of_time(void)
{
    int fd = own_datagram(), there;
    union address at, own = name_of(fd);
    long long fraction = -1, now = time(NULL), got;
    check_group("timestamps");
    there = MUST(far_datagram(&at));
    far_sendto(there, &own, 1, 0);
    EQUAL(stamp(fd, SCM_TIMESTAMP, &fraction), 0, "none unless asked for");
    MUST(set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1));
    far_sendto(there, &own, 1, 0);
    got = stamp(fd, SCM_TIMESTAMP, &fraction);
    CHECK(got >= now - 1 && got <= now + 60 && fraction >= 0 && fraction < 1000000, "SCM_TIMESTAMP");
    MUST(set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
    far_sendto(there, &own, 1, 0);
    got = stamp(fd, SCM_TIMESTAMPNS, &fraction);
    CHECK(got >= now - 1 && got <= now + 60 && fraction >= 0 && fraction < 1000000000, "SCM_TIMESTAMPNS");
    MUST(set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
    EQUAL(option(fd, SOL_SOCKET, SO_TIMESTAMP), 0, "with SO_TIMESTAMPNS, SO_TIMESTAMP is off");
    MUST(set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1));
    EQUAL(option(fd, SOL_SOCKET, SO_TIMESTAMPNS), 0, "and the other way round");
    close(fd);
}

/* A send buffer that was set takes datagrams one after the other. */
static void small_buffers(void)
{
    static unsigned char bytes[60000];
    union address at;
    int there = MUST(far_datagram(&at)), fd = own_datagram();
    check_group("SO_SNDBUF");
    MUST(set_option(fd, SOL_SOCKET, SO_SNDBUF, 128 * 1024));
    pattern_fill(bytes, sizeof(bytes), 0);
    for (int i = 0; i < 3; i++) {
        EQUAL(sendto(fd, bytes, sizeof(bytes), 0, &at.any, address_len(&at)), sizeof(bytes), "goes");
        EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, (long long)sizeof(bytes), "arrives");
    }
    close(fd);
}

static void not_blocking(void)
{
    char byte;
    int fd = own_datagram();
    check_group("FIONBIO");
    MUST(ioctl(fd, FIONBIO, &(int){ 1 }));
    FAILS(recv(fd, &byte, 1, 0), EAGAIN, "does not wait");
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK, "is O_NONBLOCK");
    MUST(ioctl(fd, FIONBIO, &(int){ 0 }));
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, 0, "and is not");
    close(fd);
}

static void groups(void)
{
    int fd = own_datagram();
    check_group("groups");
    if (side.family == AF_INET) {
        struct ip_mreqn one = { .imr_address = address(side.own, 0).v4.sin_addr }, none;
        inet_pton(AF_INET, "224.1.2.3", &one.imr_multiaddr);
        none = one;
        inet_pton(AF_INET, "10.1.2.3", &none.imr_multiaddr);
        EQUAL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &one, sizeof(one)), 0, "join");
        FAILS(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &one, sizeof(one)), EADDRINUSE, "join twice");
        FAILS(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &none, sizeof(none)), EINVAL, "join what is no group");
        EQUAL(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &one, sizeof(one)), 0, "leave");
        FAILS(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &one, sizeof(one)), EADDRNOTAVAIL, "leave twice");
        FAILS(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &one, 4), EINVAL, "cut short");
        FAILS(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &(struct in_addr){ htonl(0xcb007109) }, 4), EADDRNOTAVAIL,
              "IP_MULTICAST_IF of nobody");
        EQUAL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &one.imr_address, 4), 0, "IP_MULTICAST_IF");
        struct in_addr got = { 0 };
        CHECK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &got, &(socklen_t){ sizeof(got) }) == 0 &&
              got.s_addr == one.imr_address.s_addr, "IP_MULTICAST_IF reads back");
    } else {
        struct ipv6_mreq one = { .ipv6mr_interface = 1 };
        inet_pton(AF_INET6, "ff05::1:2", &one.ipv6mr_multiaddr);
        EQUAL(setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &one, sizeof(one)), 0, "join");
        FAILS(setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &one, sizeof(one)), EADDRINUSE, "join twice");
        EQUAL(setsockopt(fd, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &one, sizeof(one)), 0, "leave");
        FAILS(setsockopt(fd, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &one, sizeof(one)), EADDRNOTAVAIL, "leave twice");
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 9999), ENODEV, "IPV6_MULTICAST_IF of nobody");
        FAILS(set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 2), EINVAL, "IPV6_MULTICAST_LOOP 2");
        EQUAL(set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1), 0, "IPV6_MULTICAST_IF");
        EQUAL(option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF), 1, "IPV6_MULTICAST_IF reads back");
    }
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    check_group("set");
    reads_back(SOCK_DGRAM, 0, ROWS(settable));
    if (side.family == AF_INET)
        reads_back(SOCK_DGRAM, 0, ROWS(settable4));
    else
        reads_back(SOCK_DGRAM, 0, ROWS(settable6));
    refused();
    forms_of_time();
    not_blocking();
    small_buffers();
    groups();
    return check_result();
}
