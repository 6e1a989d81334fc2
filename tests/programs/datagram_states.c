/* Datagram sockets that are shut down, have an error pending, or are given odd names and nothing to move. */
#include "side/far.h"

#include <limits.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

static char byte;

static int datagram(void)
{
    return MUST(socket(side.family, SOCK_DGRAM, 0));
}

static void *receive(void *fd)
{
    return (void *)(long)recv(*(int *)fd, &byte, 1, 0);
}

static void shut_down_unconnected(void)
{
    int fd = own_datagram(), idle = own_datagram();
    union address at = name_of(idle);
    pthread_t thread;
    void *got;
    check_group("unconnected");
    if (pthread_create(&thread, NULL, receive, &fd) != 0)
        check_broken("pthread_create", __FILE__, __LINE__);
    FAILS(shutdown(fd, SHUT_RDWR), ENOTCONN, "shutdown");
    EQUAL(pthread_join(thread, &got), 0, "who waits in recv wakes");
    EQUAL((long)got, 0, "with nothing");
    FAILS(sendto(fd, "x", 1, 0, &at.any, address_len(&at)), EPIPE, "sends no more");
    CHECK(polled(fd, POLLIN | POLLRDHUP, 0) & POLLRDHUP, "poll shows the end");
    close(fd);
    close(idle);
}

static void shut_down_connected(void)
{
    union address far_at;
    int there = MUST(far_datagram(&far_at)), fd = own_datagram();
    union address mine = name_of(fd);
    check_group("connected");
    MUST(connect(fd, &far_at.any, address_len(&far_at)));
    EQUAL(shutdown(fd, SHUT_WR), 0, "shutdown for writing");
    FAILS(send(fd, "x", 1, 0), EPIPE, "send");
    FAILS(sendto(fd, "x", 1, 0, &far_at.any, address_len(&far_at)), EPIPE, "sendto");
    far_sendto(there, &mine, 5, 0);
    CHECK(polled(fd, POLLIN, 10000), "it receives");
    EQUAL(recv(fd, &byte, 1, 0), 1, "a datagram");
    EQUAL(shutdown(fd, SHUT_WR), 0, "shutdown again");
    EQUAL(shutdown(fd, SHUT_RD), 0, "shutdown for reading");
    EQUAL(recv(fd, &byte, 1, 0), 0, "recv does not wait");
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN, "recv that would not");
    close(fd);
    far_close(there);
}

static void an_error_pending(void)
{
    union address closed, far_at;
    int there = MUST(far_datagram(&far_at)), fd = own_datagram();
    check_group("pending error");
    far_close(MUST(far_datagram(&closed)));
    MUST(connect(fd, &closed.any, address_len(&closed)));
    EQUAL(send(fd, "x", 1, 0), 1, "goes to nobody");
    CHECK(polled(fd, POLLIN, 10000), "poll wakes");
    EQUAL(pending_error(fd), ECONNREFUSED, "SO_ERROR tells");
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN, "and recv not again");
    EQUAL(send(fd, "x", 1, 0), 1, "goes again");
    CHECK(polled(fd, POLLIN, 10000), "poll wakes again");
    EQUAL(connect(fd, &far_at.any, address_len(&far_at)), 0, "connects elsewhere");
    FAILS(send(fd, "x", 1, 0), ECONNREFUSED, "send tells what was before");
    EQUAL(send(fd, "", 1, 0), 1, "and then sends");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 1, "which arrives");
    close(fd);
    far_close(there);
}

static void names(void)
{
    union address far_at, at, wrong;
    int there = MUST(far_datagram(&far_at)), fd = datagram();
    check_group("names");
    FAILS(sendto(fd, "x", 1, 0, &far_at.any, 0), EINVAL, "sendto with an address of no length");
    wrong = far_at;
    wrong.any.sa_family = AF_UNIX;
    FAILS(sendto(fd, "x", 1, 0, &wrong.any, sizeof(wrong)), side.family == AF_INET6 ? EINVAL : EAFNOSUPPORT,
          "sendto with a wrong family");
    at = address(side.own, 0);
    if (side.family == AF_INET6) {
        at.any.sa_family = AF_INET;
        FAILS(bind(fd, &at.any, sizeof(struct sockaddr_in)), EINVAL, "bind to IPv4, which is short");
        FAILS(bind(fd, &at.any, sizeof(struct sockaddr_in6)), EAFNOSUPPORT, "bind to IPv4, long enough");
    } else {
        far_at.any.sa_family = AF_UNSPEC;
        EQUAL(sendto(fd, "", 1, 0, &far_at.any, sizeof(far_at.v4)), 1, "sendto with AF_UNSPEC goes to the address");
        EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 1, "and arrives");
        close(fd);
        fd = datagram();
        at.any.sa_family = AF_UNSPEC;
        FAILS(bind(fd, &at.any, sizeof(at.v4)), EAFNOSUPPORT, "bind with AF_UNSPEC to an address");
        at.v4.sin_addr.s_addr = 0;
        EQUAL(bind(fd, &at.any, sizeof(at.v4)), 0, "bind with AF_UNSPEC to any address");
    }
    close(fd);
    far_close(there);
}

static void nothing_to_move(void)
{
    union address far_at, mine;
    int there = MUST(far_datagram(&far_at)), fd = own_datagram();
    struct iovec none[IOV_MAX + 1] = { 0 };
    struct msghdr m = { 0 };
    check_group("nothing");
    mine = name_of(fd);
    far_sendto(there, &mine, 7, 0);
    CHECK(polled(fd, POLLIN, 10000), "a datagram comes");
    EQUAL(read(fd, NULL, 0), 0, "read");
    EQUAL(readv(fd, none, 2), 0, "readv");
    FAILS(readv(fd, none, IOV_MAX + 1), EINVAL, "readv of too many");
    m.msg_name = &mine, m.msg_namelen = (socklen_t)-1;
    FAILS(recvmsg(fd, &m, MSG_DONTWAIT), EINVAL, "recvmsg with a name of negative length");
    EQUAL(recv(fd, &byte, 1, MSG_TRUNC), 7, "it is still there");
    MUST(connect(fd, &far_at.any, address_len(&far_at)));
    FAILS(writev(fd, none, IOV_MAX + 1), EINVAL, "writev of too many");
    EQUAL(writev(fd, none, 2), 0, "writev sends nothing");
    EQUAL(write(fd, NULL, 0), 0, "write sends an empty datagram");
    EQUAL(send(fd, "", 1, 0), 1, "and send one of a byte");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 0, "the empty one arrives");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 1, "and the other");
    close(fd);
    far_close(there);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    shut_down_unconnected();
    shut_down_connected();
    an_error_pending();
    names();
    nothing_to_move();
    return check_result();
}
