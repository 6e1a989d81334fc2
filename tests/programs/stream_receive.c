/* Receiving on a stream: how much, when, and what the flags change. Once for a connection made, once for one accepted. */
#include "side/far.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned char bytes[4096];

static void parts(struct connection c)
{
    int count = -1;
    far_send(c.there, 10, 0);
    CHECK(arrived(c.here, 10), "FIONREAD counts what is there");
    CHECK(recv(c.here, bytes, 4, 0) == 4 && pattern_holds(bytes, 4, 0), "a part");
    CHECK(ioctl(c.here, FIONREAD, &count) == 0 && count == 6, "FIONREAD after a part");
    EQUAL(recv(c.here, bytes, 0, 0), 0, "nothing asked, nothing taken");
    CHECK(recv(c.here, bytes, sizeof(bytes), 0) == 6 && pattern_holds(bytes, 6, 4), "the rest, less than asked");
    CHECK(ioctl(c.here, FIONREAD, &count) == 0 && count == 0, "FIONREAD after all");
}

static void peeking(struct connection c)
{
    far_send(c.there, 8, 0);
    CHECK(arrived(c.here, 8), "arrives");
    CHECK(recv(c.here, bytes, 6, MSG_PEEK) == 6 && pattern_holds(bytes, 6, 0), "MSG_PEEK");
    CHECK(recv(c.here, bytes, 100, MSG_PEEK) == 8 && pattern_holds(bytes, 8, 0), "MSG_PEEK again, more");
    EQUAL(recv(c.here, NULL, 6, MSG_PEEK | MSG_TRUNC), 6, "MSG_PEEK with MSG_TRUNC only counts");
    EQUAL(recv(c.here, NULL, 3, MSG_TRUNC), 3, "MSG_TRUNC throws away");
    CHECK(recv(c.here, bytes, 100, 0) == 5 && pattern_holds(bytes, 5, 3), "after MSG_TRUNC");
}

static void not_waiting(struct connection c)
{
    FAILS(recv(c.here, bytes, 1, MSG_DONTWAIT), EAGAIN, "MSG_DONTWAIT");
    FAILS(recv(c.here, bytes, 1, MSG_DONTWAIT | MSG_PEEK), EAGAIN, "MSG_DONTWAIT with MSG_PEEK");
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    FAILS(read(c.here, bytes, 1), EAGAIN, "O_NONBLOCK");
    EQUAL(polled(c.here, POLLIN | POLLRDNORM, 0), 0, "poll sees nothing");
    far_send(c.there, 1, 0);
    EQUAL(polled(c.here, POLLIN | POLLRDNORM, 10000), POLLIN | POLLRDNORM, "poll sees the byte");
    EQUAL(read(c.here, bytes, 9), 1, "O_NONBLOCK reads the byte");
    MUST(fcntl(c.here, F_SETFL, 0));
}

static void waiting_for_all(struct connection c)
{
    far_send(c.there, 3, 0);
    CHECK(arrived(c.here, 3), "three bytes arrive");
    far_tell((struct order){ .kind = SEND, .fd = c.there, .count = 3000, .offset = 3 });
    CHECK(recv(c.here, bytes, 3003, MSG_WAITALL) == 3003 && pattern_holds(bytes, 3003, 0), "MSG_WAITALL");
    far_answer();
    far_send(c.there, 3, 0);
    EQUAL(recv(c.here, bytes, 5, MSG_WAITALL | MSG_DONTWAIT | MSG_PEEK) <= 3, 1, "MSG_WAITALL does not undo MSG_DONTWAIT");
    CHECK(arrived(c.here, 3), "three more arrive");
    EQUAL(recv(c.here, bytes, 5, MSG_WAITALL | MSG_DONTWAIT), 3, "MSG_WAITALL and MSG_DONTWAIT give what is there");
}

static void with_a_time_limit(struct connection c)
{
    struct timeval limit = { .tv_usec = 60000 }, got;
    MUST(setsockopt(c.here, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    CHECK(getsockopt(c.here, SOL_SOCKET, SO_RCVTIMEO, &got, &(socklen_t){ sizeof(got) }) == 0 && got.tv_sec == 0 &&
          got.tv_usec == 60000, "SO_RCVTIMEO reads back");
    long long start = now_ms();
    FAILS(recv(c.here, bytes, 1, 0), EAGAIN, "SO_RCVTIMEO");
    CHECK(now_ms() - start >= 55 && now_ms() - start < 2000, "SO_RCVTIMEO in time");
    far_send(c.there, 3, 0);
    CHECK(arrived(c.here, 3), "bytes arrive");
    EQUAL(recv(c.here, bytes, 10, MSG_WAITALL), 3, "MSG_WAITALL gives at the limit what is there");
    limit.tv_usec = 2000000;
    FAILS(setsockopt(c.here, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), EDOM, "a time that cannot be");
    limit.tv_usec = 0;
    MUST(setsockopt(c.here, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
}

static void into_several_places(struct connection c)
{
    unsigned char a[3], b[4], rest[5];
    union address from;
    struct iovec places[] = { { a, sizeof(a) }, { b, sizeof(b) }, { rest, sizeof(rest) } };
    struct msghdr m = { .msg_iov = places, .msg_iovlen = 3, .msg_name = &from, .msg_namelen = sizeof(from) };
    far_send(c.there, 12, 0);
    CHECK(arrived(c.here, 12), "twelve bytes arrive");
    EQUAL(recvmsg(c.here, &m, MSG_PEEK), 12, "recvmsg with MSG_PEEK");
    CHECK(pattern_holds(a, 3, 0) && pattern_holds(b, 4, 3) && pattern_holds(rest, 5, 7), "recvmsg fills in order");
    EQUAL(m.msg_flags, 0, "recvmsg sets no flags");
    EQUAL(m.msg_namelen, 0, "recvmsg names nobody");
    memset(rest, 0, sizeof(rest));
    EQUAL(readv(c.here, places, 3), 12, "readv");
    CHECK(pattern_holds(a, 3, 0) && pattern_holds(b, 4, 3) && pattern_holds(rest, 5, 7), "readv fills in order");
    far_send(c.there, 2, 0);
    socklen_t len = sizeof(from);
    EQUAL(recvfrom(c.here, bytes, 2, MSG_WAITALL, &from.any, &len), 2, "recvfrom");
    EQUAL(len, 0, "recvfrom names nobody");
}

static void of_nothing(struct connection c)
{
    EQUAL(read(c.here, bytes, 0), 0, "read of nothing does not wait");
}

static void before_the_end(struct connection c)
{
    far_send(c.there, 1000, 0);
    far_close(c.there);
    EQUAL(recv(c.here, bytes, 2000, MSG_WAITALL), 1000, "MSG_WAITALL ends at the end of the stream");
    CHECK(pattern_holds(bytes, 1000, 0), "every byte before the end");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "the end");
    EQUAL(recv(c.here, bytes, 1, MSG_PEEK | MSG_DONTWAIT), 0, "the end again");
    close(c.here);
}

static void all(const char *group, struct connection c)
{
    check_group(group);
    parts(c);
    peeking(c);
    not_waiting(c);
    waiting_for_all(c);
    with_a_time_limit(c);
    into_several_places(c);
    of_nothing(c);
    before_the_end(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    all("made", active());
    all("accepted", passive());
    return check_result();
}
