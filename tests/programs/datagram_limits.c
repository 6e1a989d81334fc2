/* Datagrams that are too large, go nowhere, or come back as errors. */
#include "side/far.h"

#include <unistd.h>

static unsigned char bytes[70000];

static ssize_t send_to(int fd, size_t len, const union address *to)
{
    pattern_fill(bytes, len, 0);
    return sendto(fd, bytes, len, 0, &to->any, address_len(to));
}

static void sizes(int fd, int there, const union address *far_at)
{
    size_t largest = side.family == AF_INET6 ? 65527 : 65507, lengths[] = { 1472, 1473, 9000, 65000, largest };
    union address mine = name_of(fd);
    check_group("size");
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        EQUAL(send_to(fd, lengths[i], far_at), (long long)lengths[i], "goes out");
        EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, (long long)lengths[i], "arrives there");
        far_sendto(there, &mine, lengths[i], 0);
        CHECK(polled(fd, POLLIN, 10000), "comes back");
        CHECK(recv(fd, bytes, sizeof(bytes), 0) == (ssize_t)lengths[i] && pattern_holds(bytes, lengths[i], 0), "whole");
    }
    FAILS(send_to(fd, largest + 1, far_at), EMSGSIZE, "one byte too many");
    FAILS(send_to(fd, 70000, far_at), EMSGSIZE, "far too many");
    EQUAL(send_to(fd, 3, far_at), 3, "goes on");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 3, "arrives there after all");
}

static void nowhere(int fd)
{
    union address away = address(side.family == AF_INET6 ? "2001:db8:ffff::9" : "203.0.113.9", 9), none = away;
    check_group("nowhere");
    FAILS(send_to(fd, 1, &away), ENETUNREACH, "a network without a route");
    FAILS(sendto(fd, bytes, 1, 0, NULL, 0), EDESTADDRREQ, "no address");
    FAILS(sendto(fd, bytes, 1, 0, &away.any, 4), EINVAL, "an address cut short");
    none.v4.sin_port = 0;
    FAILS(send_to(fd, 1, &none), EINVAL, "port 0");
    FAILS(recv(fd, bytes, 1, MSG_DONTWAIT), EAGAIN, "nothing came of it");
    if (side.family == AF_INET) {
        union address everybody = address("255.255.255.255", 9);
        FAILS(send_to(fd, 1, &everybody), EACCES, "broadcast without SO_BROADCAST");
        if (!side.alone) {
            everybody = address("192.168.1.255", 9);
            FAILS(send_to(fd, 1, &everybody), EACCES, "the network's broadcast without SO_BROADCAST");
            MUST(set_option(fd, SOL_SOCKET, SO_BROADCAST, 1));
            EQUAL(send_to(fd, 1, &everybody), 1, "broadcast with SO_BROADCAST");
        }
    }
}

static void nobody_there(void)
{
    union address closed;
    int fd = own_datagram();
    check_group("closed port");
    far_close(MUST(far_datagram(&closed)));
    MUST(connect(fd, &closed.any, address_len(&closed)));
    EQUAL(send(fd, "x", 1, 0), 1, "the first send goes");
    /* On Linux it is POLLERR; a datagram socket made of a pair can say POLLIN alone. */
    CHECK(polled(fd, POLLIN, 10000), "poll wakes");
    FAILS(recv(fd, bytes, 1, 0), ECONNREFUSED, "recv");
    EQUAL(polled(fd, POLLIN, 0), 0, "told once");
    EQUAL(send(fd, "x", 1, 0), 1, "a send goes again");
    CHECK(polled(fd, POLLIN, 10000), "poll wakes again");
    EQUAL(pending_error(fd), ECONNREFUSED, "SO_ERROR");
    EQUAL(send(fd, "x", 1, 0), 1, "a third goes");
    CHECK(polled(fd, POLLIN, 10000), "poll wakes a third time");
    FAILS(send(fd, "x", 1, 0), ECONNREFUSED, "send tells");
    close(fd);

    fd = own_datagram();
    EQUAL(send_to(fd, 1, &closed), 1, "unconnected: goes");
    FAILS(recv(fd, bytes, 1, MSG_DONTWAIT), EAGAIN, "unconnected: no error");
    close(fd);
}

static void taken_ports(void)
{
    int one = own_datagram(), two = MUST(socket(side.family, SOCK_DGRAM, 0));
    union address taken = name_of(one);
    check_group("bind");
    FAILS(bind(two, &taken.any, address_len(&taken)), EADDRINUSE, "a port that is taken");
    FAILS(bind(one, &taken.any, address_len(&taken)), EINVAL, "twice");
    close(one);
    EQUAL(bind(two, &taken.any, address_len(&taken)), 0, "a port that was given up");
    int stream = MUST(socket(side.family, SOCK_STREAM, 0));
    EQUAL(bind(stream, &taken.any, address_len(&taken)), 0, "TCP has ports of its own");
    close(stream);
    close(two);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    union address far_at;
    int fd = own_datagram(), there = MUST(far_datagram(&far_at));
    sizes(fd, there, &far_at);
    nowhere(fd);
    nobody_there();
    taken_ports();
    return check_result();
}
