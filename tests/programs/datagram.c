/* Datagrams: whole, one by one, to and from anybody or one peer alone. */
#include "side/far.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned char bytes[65536];

static ssize_t send_to(int fd, size_t len, const union address *to)
{
    pattern_fill(bytes, len, 0);
    return sendto(fd, bytes, len, 0, &to->any, address_len(to));
}

static int comes(int fd)
{
    return polled(fd, POLLIN, 10000) == POLLIN;
}

static void there_and_back(int fd, int there, const union address *far_at)
{
    union address mine = name_of(fd), from;
    socklen_t len = sizeof(from);
    int count = -1;
    check_group("there and back");
    EQUAL(option(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM, "SO_TYPE");
    EQUAL(option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP, "SO_PROTOCOL");
    EQUAL(polled(fd, POLLIN | POLLOUT, 0), POLLOUT, "poll of an empty socket");
    EQUAL(send_to(fd, 100, far_at), 100, "sendto");
    struct answer a = far((struct order){ .kind = RECVFROM, .fd = there });
    EQUAL(a.value, 100, "arrives there");
    CHECK(same_address(&a.address, &mine), "from our address");
    far_sendto(there, &mine, 200, 0);
    CHECK(comes(fd), "poll wakes");
    CHECK(ioctl(fd, FIONREAD, &count) == 0 && count == 200, "FIONREAD is the first one's length");
    EQUAL(recvfrom(fd, bytes, sizeof(bytes), 0, &from.any, &len), 200, "recvfrom");
    CHECK(pattern_holds(bytes, 200, 0), "bytes are right");
    CHECK(same_address(&from, far_at) && len == address_len(far_at), "from the far end's address");
    EQUAL(polled(fd, POLLIN, 0), 0, "poll sees no second");
    CHECK(ioctl(fd, FIONREAD, &count) == 0 && count == 0, "FIONREAD of nothing");
}

static void without_content(int fd, int there, const union address *far_at)
{
    union address mine = name_of(fd), from;
    socklen_t len = sizeof(from);
    check_group("empty");
    EQUAL(send_to(fd, 0, far_at), 0, "sendto");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 0, "arrives there");
    far_sendto(there, &mine, 0, 0);
    CHECK(comes(fd), "poll wakes");
    EQUAL(recvfrom(fd, bytes, 10, 0, &from.any, &len), 0, "recvfrom");
    CHECK(same_address(&from, far_at), "from the far end's address");
    FAILS(recv(fd, bytes, 10, MSG_DONTWAIT), EAGAIN, "only one");
}

static void too_long_for_the_buffer(int fd, int there)
{
    union address mine = name_of(fd);
    struct iovec part = { bytes, 30 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    check_group("cut short");
    for (int i = 0; i < 4; i++)
        far_sendto(there, &mine, 100, 0);
    CHECK(comes(fd), "comes");
    EQUAL(recv(fd, bytes, 30, MSG_PEEK), 30, "MSG_PEEK");
    EQUAL(recv(fd, bytes, 30, MSG_PEEK | MSG_TRUNC), 100, "MSG_PEEK with MSG_TRUNC tells the length");
    EQUAL(recv(fd, bytes, 30, 0), 30, "recv");
    CHECK(comes(fd), "the second comes");
    EQUAL(recv(fd, bytes, 30, MSG_TRUNC), 100, "MSG_TRUNC tells the length");
    CHECK(comes(fd), "the third comes");
    EQUAL(recvmsg(fd, &m, 0), 30, "recvmsg");
    EQUAL(m.msg_flags, MSG_TRUNC, "recvmsg sets MSG_TRUNC");
    CHECK(comes(fd), "the fourth comes");
    part.iov_len = 100;
    EQUAL(recvmsg(fd, &m, 0), 100, "recvmsg of all");
    EQUAL(m.msg_flags, 0, "recvmsg sets no flag");
    FAILS(recv(fd, bytes, 30, MSG_DONTWAIT), EAGAIN, "what was cut is gone");
}

static void in_pieces(int fd, int there, const union address *far_at)
{
    union address mine = name_of(fd), from;
    struct iovec out[] = { { bytes, 10 }, { bytes + 10, 20 } };
    unsigned char a[7], b[100];
    struct iovec in[] = { { a, sizeof(a) }, { b, sizeof(b) } };
    struct msghdr m = { .msg_iov = out, .msg_iovlen = 2, .msg_name = (void *)far_at, .msg_namelen = address_len(far_at) };
    check_group("in pieces");
    pattern_fill(bytes, 30, 0);
    EQUAL(sendmsg(fd, &m, 0), 30, "sendmsg");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 30, "arrives there as one");
    far_sendto(there, &mine, 30, 0);
    CHECK(comes(fd), "comes");
    m = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof(from) };
    EQUAL(recvmsg(fd, &m, 0), 30, "recvmsg");
    CHECK(pattern_holds(a, 7, 0) && pattern_holds(b, 23, 7), "fills in order");
    CHECK(same_address(&from, far_at) && m.msg_namelen == address_len(far_at), "names the far end");
}

static void many_in_one_call(int fd, int there, const union address *far_at)
{
    union address mine = name_of(fd), from[4];
    struct mmsghdr out[3], in[4];
    struct iovec parts[4];
    unsigned char places[4][100];
    check_group("many");
    pattern_fill(bytes, 100, 0);
    memset(out, 0, sizeof(out));
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){ bytes, 10 + i };
        out[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = (void *)far_at,
                                          .msg_namelen = address_len(far_at) };
    }
    EQUAL(sendmmsg(fd, out, 3, 0), 3, "sendmmsg");
    CHECK(out[0].msg_len == 10 && out[1].msg_len == 11 && out[2].msg_len == 12, "sendmmsg tells lengths");
    for (int i = 0; i < 3; i++)
        EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 10 + i, "arrives there");

    memset(in, 0, sizeof(in));
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct iovec){ places[i], sizeof(places[i]) };
        in[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &from[i],
                                         .msg_namelen = sizeof(from[i]) };
    }
    far_sendto(there, &mine, 20, 0);
    far_sendto(there, &mine, 21, 0);
    CHECK(comes(fd), "comes");
    EQUAL(recvmmsg(fd, in, 2, 0, NULL), 2, "recvmmsg waits for as many as asked");
    CHECK(in[0].msg_len == 20 && in[1].msg_len == 21 && pattern_holds(places[1], 21, 0), "recvmmsg fills in order");
    CHECK(same_address(&from[0], far_at) && same_address(&from[1], far_at), "recvmmsg names the far end");
    far_sendto(there, &mine, 22, 0);
    CHECK(comes(fd), "a third comes");
    EQUAL(recvmmsg(fd, in, 4, MSG_WAITFORONE, NULL), 1, "recvmmsg with MSG_WAITFORONE");
    EQUAL(in[0].msg_len, 22, "its length");
    FAILS(recvmmsg(fd, in, 4, MSG_DONTWAIT, NULL), EAGAIN, "recvmmsg of nothing");
}

static void one_peer(int there, const union address *far_at)
{
    union address other_at, peer, nobody = { .any.sa_family = AF_UNSPEC };
    int fd = own_datagram(), other = MUST(far_datagram(&other_at));
    union address mine = name_of(fd);
    check_group("connected");
    FAILS(getpeername(fd, &peer.any, &(socklen_t){ sizeof(peer) }), ENOTCONN, "no peer before");
    FAILS(send(fd, bytes, 1, 0), EDESTADDRREQ, "send before");
    EQUAL(connect(fd, &far_at->any, address_len(far_at)), 0, "connect");
    peer = peer_of(fd);
    CHECK(same_address(&peer, far_at), "getpeername");
    pattern_fill(bytes, 100, 0);
    EQUAL(send(fd, bytes, 10, 0), 10, "send");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 10, "arrives there");
    EQUAL(write(fd, bytes, 11), 11, "write");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 11, "arrives there too");
    EQUAL(send_to(fd, 12, &other_at), 12, "sendto somebody else");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = other }).value, 12, "arrives at somebody else");
    far_sendto(other, &mine, 50, 0);
    far_sendto(there, &mine, 20, 0);
    CHECK(comes(fd), "comes");
    EQUAL(read(fd, bytes, sizeof(bytes)), 20, "only the peer is heard");
    FAILS(recv(fd, bytes, 1, MSG_DONTWAIT), EAGAIN, "nobody else");
    EQUAL(connect(fd, &other_at.any, address_len(&other_at)), 0, "connect to somebody else");
    far_sendto(other, &mine, 51, 0);
    CHECK(comes(fd), "comes from there");
    EQUAL(read(fd, bytes, sizeof(bytes)), 51, "the new peer is heard");
    EQUAL(connect(fd, &nobody.any, sizeof(nobody.any)), 0, "connect to AF_UNSPEC");
    FAILS(getpeername(fd, &peer.any, &(socklen_t){ sizeof(peer) }), ENOTCONN, "no peer after");
    FAILS(send(fd, bytes, 1, 0), EDESTADDRREQ, "send after");
    close(fd);

    fd = MUST(socket(side.family, SOCK_DGRAM, 0));
    MUST(bind(fd, &mine.any, address_len(&mine)));
    MUST(connect(fd, &far_at->any, address_len(far_at)));
    MUST(connect(fd, &nobody.any, sizeof(nobody.any)));
    union address again = name_of(fd);
    CHECK(same_address(&again, &mine), "AF_UNSPEC leaves the port that was bound");
    close(fd);

    fd = MUST(socket(side.family, SOCK_DGRAM, 0));
    MUST(connect(fd, &far_at->any, address_len(far_at)));
    mine = name_of(fd);
    union address own = address(side.own, port_of(&mine));
    CHECK(same_address(&mine, &own) && port_of(&mine), "connect chooses address and port");
    EQUAL(send(fd, bytes, 0, 0), 0, "send of nothing");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 0, "arrives as nothing");
    close(fd);
    far_close(other);
}

static void waiting(int fd, int there)
{
    union address mine = name_of(fd);
    struct timeval limit = { .tv_usec = 60000 }, none = { 0 };
    check_group("waiting");
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    long long start = now_ms();
    FAILS(recv(fd, bytes, 1, 0), EAGAIN, "SO_RCVTIMEO");
    CHECK(now_ms() - start >= 55 && now_ms() - start < 2000, "SO_RCVTIMEO in time");
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)));
    far_tell((struct order){ .kind = SENDTO, .fd = there, .address = mine, .count = 9 });
    EQUAL(recv(fd, bytes, sizeof(bytes), 0), 9, "recv waits");
    far_answer();
    MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
    FAILS(recv(fd, bytes, 1, 0), EAGAIN, "O_NONBLOCK");
    FAILS(read(fd, bytes, 1), EAGAIN, "O_NONBLOCK with read");
    MUST(fcntl(fd, F_SETFL, 0));
    EQUAL(shutdown(fd, SHUT_RD) < 0 && errno == ENOTCONN, 1, "shutdown of an unconnected socket");
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    union address far_at;
    int fd = own_datagram(), there = MUST(far_datagram(&far_at));
    there_and_back(fd, there, &far_at);
    without_content(fd, there, &far_at);
    too_long_for_the_buffer(fd, there);
    in_pieces(fd, there, &far_at);
    many_in_one_call(fd, there, &far_at);
    one_peer(there, &far_at);
    waiting(fd, there);
    return check_result();
}
