/*
 * IPv6 sockets and IPv4: the wildcard address hears both families, IPV6_V6ONLY keeps to one. With `4` the agent comes over
 * IPv4 and is seen as ::ffff:a.b.c.d, with `6` over IPv6.
 */
#include "side/far.h"

#include <unistd.h>

static int six(int type, int only)
{
    int fd = MUST(socket(AF_INET6, type, 0));
    MUST(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, only));
    return fd;
}

static int bound(int fd, const union address *at)
{
    return bind(fd, &at->any, address_len(at));
}

static void both_families_come_in(void)
{
    union address any = any_address(AF_INET6, 0), from;
    int listener = six(SOCK_STREAM, 0);
    check_group("wildcard");
    MUST(bound(listener, &any));
    MUST(listen(listener, 2));
    any = name_of(listener);
    union address at = address(side.own, port_of(&any)), seen = mapped(at);
    struct answer a = far((struct order){ .kind = CONNECT, .address = at });
    struct connection c = { .there = MUST(a.value) };
    socklen_t len = sizeof(from);
    c.here = MUST(accept(listener, &from.any, &len));
    union address far_end = mapped(a.address), mine = name_of(c.here), peer = peer_of(c.here);
    EQUAL(len, sizeof(struct sockaddr_in6), "address length");
    CHECK(same_address(&from, &far_end), "accept sees the far end");
    CHECK(same_address(&peer, &far_end), "getpeername");
    CHECK(same_address(&mine, &seen), "getsockname");
    EQUAL(option(c.here, SOL_SOCKET, SO_DOMAIN), AF_INET6, "SO_DOMAIN");
    far_send(c.there, 100, 0);
    EQUAL(pattern_receive(c.here, 100, 0), 100, "receives");
    EQUAL(pattern_send(c.here, 100, 0), 100, "sends");
    EQUAL(far_receive(c.there, 100, 0), 100, "it arrives");
    finish(c);

    int four = MUST(socket(AF_INET, SOCK_STREAM, 0));
    union address other = any_address(AF_INET, port_of(&any));
    FAILS(bound(four, &other), EADDRINUSE, "the IPv4 port is taken too");
    FAILS(set_option(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1), EINVAL, "IPV6_V6ONLY comes too late");
    close(four);
    close(listener);
}

static void each_family_for_itself(void)
{
    union address any = any_address(AF_INET6, 0);
    int listener = six(SOCK_STREAM, 1), four = MUST(socket(AF_INET, SOCK_STREAM, 0));
    check_group("IPV6_V6ONLY");
    MUST(bound(listener, &any));
    MUST(listen(listener, 2));
    any = name_of(listener);
    union address at = address(side.own, port_of(&any)), other = any_address(AF_INET, port_of(&any));
    int there;
    if (side.family == AF_INET) {
        CHECK(far_connect(&at) < 0 && errno == ECONNREFUSED, "IPv4 is refused");
    } else {
        there = far_connect(&at);
        CHECK(there >= 0, "IPv6 comes in");
        finish((struct connection){ accept(listener, NULL, NULL), there });
    }
    EQUAL(bound(four, &other), 0, "the IPv4 port is free");
    EQUAL(listen(four, 1), 0, "and can be listened on");
    there = far_connect(&at);
    CHECK(polled(side.family == AF_INET ? four : listener, POLLIN, 10000) == POLLIN, "each hears its own");
    EQUAL(polled(side.family == AF_INET ? listener : four, POLLIN, 0), 0, "and not the other");
    far_close(there);
    close(four);
    close(listener);
}

static void going_out(void)
{
    union address at;
    int listener = MUST(far_listen(2, &at)), fd = six(SOCK_STREAM, 0);
    union address to = mapped(at);
    check_group("going out");
    EQUAL(connect(fd, &to.any, address_len(&to)), 0, "connects");
    struct answer a = far((struct order){ .kind = ACCEPT, .fd = listener });
    union address mine = name_of(fd), peer = peer_of(fd), seen = mapped(a.address);
    CHECK(same_address(&mine, &seen), "getsockname is what the far end sees");
    CHECK(same_address(&peer, &to), "getpeername");
    finish((struct connection){ fd, MUST(a.value) });
    far_close(listener);
    if (side.family == AF_INET) {
        fd = six(SOCK_STREAM, 1);
        FAILS(connect(fd, &to.any, address_len(&to)), ENETUNREACH, "IPV6_V6ONLY goes to no IPv4");
        FAILS(bound(fd, &to), EINVAL, "IPV6_V6ONLY takes no IPv4 address");
        close(fd);
    }
}

static void datagrams(void)
{
    union address any = any_address(AF_INET6, 0), at, from;
    int fd = six(SOCK_DGRAM, 0), there = MUST(far_datagram(&at));
    char byte[10];
    check_group("datagrams");
    MUST(bound(fd, &any));
    any = name_of(fd);
    union address own = address(side.own, port_of(&any)), to = mapped(at);
    far_sendto(there, &own, 10, 0);
    socklen_t len = sizeof(from);
    EQUAL(recvfrom(fd, byte, sizeof(byte), 0, &from.any, &len), 10, "one comes in");
    CHECK(same_address(&from, &to) && len == sizeof(struct sockaddr_in6), "from the far end");
    EQUAL(sendto(fd, byte, 10, 0, &to.any, address_len(&to)), 10, "one goes out");
    struct answer a = far((struct order){ .kind = RECVFROM, .fd = there });
    EQUAL(a.value, 10, "it arrives");
    CHECK(same_address(&a.address, &own), "from us");
    close(fd);
    far_close(there);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    both_families_come_in();
    each_family_for_itself();
    going_out();
    datagrams();
    return check_result();
}
