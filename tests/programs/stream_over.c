/* What the calls say of a connection that is over in one direction or both, of none at all, and of nothing to move. */
#include "side/far.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static void shut_down_twice(void)
{
    struct connection c = active();
    socklen_t len = sizeof(union address);
    union address peer;
    check_group("shut down");
    EQUAL(shutdown(c.here, SHUT_RDWR), 0, "both ways");
    EQUAL(getpeername(c.here, &peer.any, &len), 0, "the peer is there");
    EQUAL(shutdown(c.here, SHUT_RDWR), 0, "again");
    EQUAL(shutdown(c.here, SHUT_RD), 0, "for reading");
    finish(c);

    c = active();
    EQUAL(shutdown(c.here, SHUT_WR), 0, "for writing");
    EQUAL(shutdown(c.here, SHUT_RD), 0, "then for reading");
    EQUAL(shutdown(c.here, SHUT_RD), 0, "and again");
    FAILS(shutdown(c.here, 3), EINVAL, "in a third way");
    finish(c);

    c = active();
    far_shutdown(c.there, SHUT_WR);
    CHECK(polled(c.here, POLLRDHUP, 10000), "the peer's end comes");
    EQUAL(shutdown(c.here, SHUT_WR), 0, "after the peer");
    CHECK(EVENTUALLY(getpeername(c.here, &peer.any, &(socklen_t){ sizeof(peer) }) < 0), "over on both sides");
    FAILS(shutdown(c.here, SHUT_WR), ENOTCONN, "when it is over");
    FAILS(shutdown(c.here, SHUT_RD), ENOTCONN, "for reading when it is over");
    struct tcp_info info = { 0 };
    len = sizeof(info);
    EQUAL(getsockopt(c.here, IPPROTO_TCP, TCP_INFO, &info, &len), 0, "TCP_INFO when it is over");
    EQUAL(info.tcpi_state, TCP_CLOSE, "which says closed");
    finish(c);
}

static void reset_after_the_end(void)
{
    struct connection c = active();
    char byte;
    check_group("reset after the end");
    far_close(c.there);
    CHECK(polled(c.here, POLLRDHUP, 10000), "the peer's end comes");
    EQUAL(send(c.here, "x", 1, 0), 1, "one more byte goes");
    CHECK(polled(c.here, POLLHUP, 10000), "it is answered by a reset");
    EQUAL(recv(c.here, &byte, 1, 0), 0, "who reads is at the end");
    EQUAL(recv(c.here, &byte, 1, MSG_PEEK), 0, "who looks too");
    EQUAL(pending_error(c.here), EPIPE, "SO_ERROR tells");
    EQUAL(pending_error(c.here), 0, "once");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "send");
    close(c.here);
}

static void nothing_to_move(void)
{
    struct connection c = active();
    struct iovec none[IOV_MAX + 1] = { 0 };
    struct msghdr m = { 0 };
    check_group("nothing");
    EQUAL(read(c.here, NULL, 0), 0, "read");
    EQUAL(readv(c.here, none, 2), 0, "readv");
    EQUAL(write(c.here, NULL, 0), 0, "write");
    EQUAL(writev(c.here, none, 2), 0, "writev");
    EQUAL(send(c.here, NULL, 0, 0), 0, "send");
    FAILS(recv(c.here, NULL, 0, MSG_DONTWAIT), EAGAIN, "recv waits");
    FAILS(readv(c.here, none, IOV_MAX + 1), EINVAL, "readv of too many");
    FAILS(writev(c.here, none, IOV_MAX + 1), EINVAL, "writev of too many");
    m.msg_iov = none, m.msg_iovlen = IOV_MAX + 1;
    FAILS(recvmsg(c.here, &m, MSG_DONTWAIT), EMSGSIZE, "recvmsg of too many");
    FAILS(sendmsg(c.here, &m, 0), EMSGSIZE, "sendmsg of too many");
    m.msg_iovlen = 0;
    far_send(c.there, 10, 0);
    CHECK(polled(c.here, POLLIN, 10000), "bytes come");
    EQUAL(recvmsg(c.here, &m, 0), 0, "recvmsg without buffers");
    EQUAL(recv(c.here, NULL, 0, 0), 0, "recv");
    CHECK(arrived(c.here, 10), "and the bytes are still there");
    far_reset(c.there);
    char bytes[10];
    EQUAL(recv(c.here, bytes, sizeof(bytes), 0), 10, "they are taken");
    CHECK(polled(c.here, POLLHUP, 10000), "the reset comes");
    FAILS(recv(c.here, NULL, 0, 0), ECONNRESET, "recv tells it");
    close(c.here);
}

static void no_connection(void)
{
    int listener = own_listener(5), fresh = MUST(socket(side.family, SOCK_STREAM, 0)), count = 7, way[2];
    union address at = name_of(listener);
    check_group("no connection");
    FAILS(ioctl(listener, FIONREAD, &count), EINVAL, "FIONREAD of a listener");
    FAILS(ioctl(listener, TIOCOUTQ, &count), EINVAL, "SIOCOUTQ of a listener");
    MUST(pipe(way));
    int there = MUST(far_connect(&at));
    CHECK(polled(listener, POLLIN, 10000), "somebody waits");
    FAILS(splice(listener, NULL, way[1], NULL, 100, SPLICE_F_NONBLOCK), ENOTCONN, "splice from a listener");
    EQUAL(writev(fresh, &(struct iovec){ 0 }, 1), 0, "writev of nothing to a fresh socket");
    FAILS(splice(fresh, NULL, way[1], NULL, 100, SPLICE_F_NONBLOCK), ENOTCONN, "splice from a fresh socket");
    int here = MUST(accept(listener, NULL, NULL));
    finish((struct connection){ here, there });
    close(way[0]);
    close(way[1]);
    close(fresh);
    close(listener);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    shut_down_twice();
    reset_after_the_end();
    nothing_to_move();
    no_connection();
    return check_result();
}
