/* What travels beside a datagram: the address it was sent to, its interface, TTL and TOS. */
#include "side/far.h"

#include <net/if.h>
#include <string.h>
#include <unistd.h>

static unsigned char bytes[100];

/* What one recvmsg brought; -1 for what it did not. */
struct beside {
    ssize_t length;
    int flags, ttl, tos, interface, controls;
    union address to;
};

static struct beside receive(int fd, size_t room)
{
    char control[512];
    struct iovec part = { bytes, sizeof(bytes) };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room };
    struct beside b = { .ttl = -1, .tos = -1, .interface = -1 };
    b.length = polled(fd, POLLIN, 10000) ? recvmsg(fd, &m, 0) : -1;
    b.flags = m.msg_flags;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); b.length >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
        b.controls++;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
            memcpy(&b.ttl, CMSG_DATA(c), sizeof(int));
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            b.tos = *CMSG_DATA(c);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            b.interface = info.ipi_ifindex;
            b.to.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = info.ipi_addr };
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
            memcpy(&b.ttl, CMSG_DATA(c), sizeof(int));
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
            memcpy(&b.tos, CMSG_DATA(c), sizeof(int));
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            b.interface = info.ipi6_ifindex;
            b.to.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr };
        }
    }
    return b;
}

/* The names of one thing in the two families. */
static int level(void)
{
    return side.family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

static int either(int four, int six)
{
    return side.family == AF_INET6 ? six : four;
}

static void coming_in(int there)
{
    int fd = MUST(socket(side.family, SOCK_DGRAM, 0));
    union address any = any_address(side.family, 0);
    check_group("coming in");
    MUST(bind(fd, &any.any, address_len(&any)));
    any = name_of(fd);
    union address own = address(side.own, port_of(&any)), to = address(side.own, 0);
    far_sendto(there, &own, 10, 0);
    struct beside b = receive(fd, 512);
    CHECK(b.length == 10 && b.controls == 0, "nothing unless asked for");

    EQUAL(set_option(fd, level(), either(IP_PKTINFO, IPV6_RECVPKTINFO), 1), 0, "ask for PKTINFO");
    EQUAL(set_option(fd, level(), either(IP_RECVTTL, IPV6_RECVHOPLIMIT), 1), 0, "ask for TTL");
    EQUAL(set_option(fd, level(), either(IP_RECVTOS, IPV6_RECVTCLASS), 1), 0, "ask for TOS");
    EQUAL(option(fd, level(), either(IP_PKTINFO, IPV6_RECVPKTINFO)), 1, "PKTINFO reads back");
    far_set(there, level(), either(IP_TTL, IPV6_UNICAST_HOPS), 44);
    far_set(there, level(), either(IP_TOS, IPV6_TCLASS), 0x48);
    far_sendto(there, &own, 11, 0);
    b = receive(fd, 512);
    CHECK(b.length == 11 && b.controls == 3, "three things come");
    CHECK(same_address(&b.to, &to), "PKTINFO: the address it was sent to");
    char name[IF_NAMESIZE];
    CHECK(b.interface > 0 && if_indextoname(b.interface, name) != NULL, "PKTINFO: an interface");
    EQUAL(b.ttl, 44, "TTL");
    EQUAL(b.tos, 0x48, "TOS");
    EQUAL(b.flags, 0, "no flags");

    far_sendto(there, &own, 12, 0);
    b = receive(fd, CMSG_SPACE(4));
    CHECK(b.length == 12 && b.flags == MSG_CTRUNC, "MSG_CTRUNC when there is too little room");
    far_sendto(there, &own, 13, 0);
    b = receive(fd, 0);
    CHECK(b.length == 13 && b.flags == MSG_CTRUNC, "MSG_CTRUNC when there is none");

    EQUAL(set_option(fd, level(), either(IP_RECVTTL, IPV6_RECVHOPLIMIT), 0), 0, "ask no more for TTL");
    far_sendto(there, &own, 14, 0);
    b = receive(fd, 512);
    CHECK(b.length == 14 && b.controls == 2 && b.ttl == -1, "it comes no more");
    close(fd);
}

static ssize_t send_beside(int fd, const union address *to, int type, const void *what, size_t len)
{
    char control[128] __attribute__((aligned(8)));
    struct iovec part = { bytes, 10 };
    struct msghdr m = { .msg_name = (void *)to, .msg_namelen = address_len(to), .msg_iov = &part, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = CMSG_SPACE(len) };
    memset(control, 0, sizeof(control));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = level();
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), what, len);
    pattern_fill(bytes, 10, 0);
    return sendmsg(fd, &m, 0);
}

static void going_out(int there, const union address *far_at)
{
    int fd = own_datagram(), ttl = 33, tos = 0x28;
    struct answer a;
    check_group("going out");
    EQUAL(send_beside(fd, far_at, either(IP_TTL, IPV6_HOPLIMIT), &ttl, sizeof(ttl)), 10, "with TTL");
    a = far((struct order){ .kind = RECVFROM, .fd = there });
    CHECK(a.value == 10 && a.ttl == 33, "TTL arrives");
    EQUAL(send_beside(fd, far_at, either(IP_TOS, IPV6_TCLASS), &tos, sizeof(tos)), 10, "with TOS");
    a = far((struct order){ .kind = RECVFROM, .fd = there });
    CHECK(a.value == 10 && a.tos == 0x28 && a.ttl == 64, "TOS arrives, TTL is as ever");
    MUST(set_option(fd, level(), either(IP_TTL, IPV6_UNICAST_HOPS), 77));
    MUST(set_option(fd, level(), either(IP_TOS, IPV6_TCLASS), 0x10));
    EQUAL(sendto(fd, bytes, 10, 0, &far_at->any, address_len(far_at)), 10, "with options");
    a = far((struct order){ .kind = RECVFROM, .fd = there });
    CHECK(a.value == 10 && a.tos == 0x10 && a.ttl == 77, "they arrive");
    ttl = 300;
    FAILS(send_beside(fd, far_at, either(IP_TTL, IPV6_HOPLIMIT), &ttl, sizeof(ttl)), EINVAL, "a TTL that cannot be");
    FAILS(send_beside(fd, far_at, 9999, &ttl, sizeof(ttl)), EINVAL, "something unknown");
    close(fd);
}

static void from_a_chosen_address(int there, const union address *far_at)
{
    int fd = MUST(socket(side.family, SOCK_DGRAM, 0));
    union address own = address(side.own, 0);
    struct in_pktinfo four = { .ipi_spec_dst = own.v4.sin_addr };
    struct in6_pktinfo six = { .ipi6_addr = own.v6.sin6_addr };
    check_group("PKTINFO out");
    if (side.family == AF_INET)
        EQUAL(send_beside(fd, far_at, IP_PKTINFO, &four, sizeof(four)), 10, "goes");
    else
        EQUAL(send_beside(fd, far_at, IPV6_PKTINFO, &six, sizeof(six)), 10, "goes");
    struct answer a = far((struct order){ .kind = RECVFROM, .fd = there });
    own = address(side.own, port_of(&a.address));
    CHECK(a.value == 10 && same_address(&a.address, &own), "from the address chosen");
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    union address far_at;
    int there = MUST(far_datagram(&far_at));
    going_out(there, &far_at);
    from_a_chosen_address(there, &far_at);
    coming_in(there);
    return check_result();
}
