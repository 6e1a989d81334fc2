/* How a stream ends: half, whole, in order, by reset, and what each side sees of it. */
#include "side/far.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct connection maker(void);

#define ANY (POLLIN | POLLOUT | POLLRDHUP)

static char bytes[4096];

/* What poll says once it says all of this. */
static int comes(int fd, int events)
{
    int got = 0;
    return EVENTUALLY(((got = polled(fd, ANY, 0)) & events) == events) ? got : -1;
}

static void far_end_writes_no_more(struct connection c)
{
    EQUAL(polled(c.here, ANY, 0), POLLOUT, "before: poll");
    far_shutdown(c.there, SHUT_WR);
    EQUAL(comes(c.here, POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP, "half-closed: poll");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "half-closed: the end");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "half-closed: the end again");
    EQUAL(pattern_send(c.here, 100000, 0), 100000, "half-closed: still sends");
    EQUAL(far_receive(c.there, 100000, 0), 100000, "half-closed: it arrives");
    MUST(shutdown(c.here, SHUT_WR));
    CHECK(far_ended(c.there), "the far end sees our end");
    EQUAL(comes(c.here, POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "both ended: poll");
    EQUAL(pending_error(c.here), 0, "both ended: no error");
    finish(c);
}

static void we_write_no_more(struct connection c)
{
    EQUAL(pattern_send(c.here, 5000, 0), 5000, "sends first");
    MUST(shutdown(c.here, SHUT_WR));
    EQUAL(far_receive(c.there, 6000, 0), 5000, "what was sent before arrives");
    CHECK(far_ended(c.there), "then the end");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "sending is over");
    EQUAL(shutdown(c.here, SHUT_WR), 0, "shutdown twice");
    far_send(c.there, 1000, 0);
    EQUAL(pattern_receive(c.here, 1000, 0), 1000, "receiving goes on");
    FAILS(recv(c.here, bytes, 1, MSG_DONTWAIT), EAGAIN, "nothing more yet");
    finish(c);
}

static void we_read_no_more(struct connection c)
{
    MUST(shutdown(c.here, SHUT_RD));
    EQUAL(polled(c.here, ANY, 0), POLLIN | POLLOUT | POLLRDHUP, "no reading: poll");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "no reading: the end");
    EQUAL(pattern_send(c.here, 1000, 0), 1000, "no reading: sends");
    EQUAL(far_receive(c.there, 1000, 0), 1000, "no reading: it arrives");
    FAILS(shutdown(c.here, 5), EINVAL, "shutdown of something else");
    finish(c);
}

static void we_do_neither(struct connection c)
{
    MUST(shutdown(c.here, SHUT_RDWR));
    EQUAL(polled(c.here, ANY, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "neither: poll");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "neither: the end");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "neither: sending");
    CHECK(far_ended(c.there), "neither: the far end sees the end");
    finish(c);
}

static void far_end_closes(struct connection c)
{
    far_send(c.there, 1000, 0);
    far_close(c.there);
    EQUAL(pattern_receive(c.here, 2000, 0), 1000, "closed: all bytes before the end");
    EQUAL(comes(c.here, POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP, "closed: poll");
    EQUAL(send(c.here, "x", 1, MSG_NOSIGNAL), 1, "closed: the first send goes");
    EQUAL(comes(c.here, POLLHUP), ANY | POLLERR | POLLHUP, "answered by a reset: poll");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "answered by a reset: the next send");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "answered by a reset: still the end");
    close(c.here);
}

static void far_end_resets(struct connection c)
{
    far_reset(c.there);
    EQUAL(comes(c.here, POLLHUP), ANY | POLLERR | POLLHUP, "reset: poll");
    FAILS(recv(c.here, bytes, 1, 0), ECONNRESET, "reset: recv");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "reset: recv again");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "reset: send");
    EQUAL(polled(c.here, ANY, 0), ANY | POLLHUP, "reset: poll after the error was told");
    FAILS(getpeername(c.here, (struct sockaddr *)bytes, &(socklen_t){ sizeof(bytes) }), ENOTCONN, "reset: no peer");
    FAILS(shutdown(c.here, SHUT_RDWR), ENOTCONN, "reset: shutdown");
    close(c.here);
}

static void far_end_resets_and_we_ask(struct connection c)
{
    far_reset(c.there);
    comes(c.here, POLLHUP);
    EQUAL(pending_error(c.here), ECONNRESET, "reset: SO_ERROR");
    EQUAL(pending_error(c.here), 0, "reset: SO_ERROR is told once");
    EQUAL(recv(c.here, bytes, 1, 0), 0, "reset: recv after SO_ERROR");
    close(c.here);
}

static void far_end_resets_and_we_send(struct connection c)
{
    far_reset(c.there);
    comes(c.here, POLLHUP);
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), ECONNRESET, "reset: send first");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "reset: send second");
    close(c.here);
}

static void bytes_before_a_reset(struct connection c)
{
    far_send(c.there, 10, 0);
    CHECK(arrived(c.here, 10), "ten bytes arrive");
    far_reset(c.there);
    comes(c.here, POLLHUP);
    CHECK(recv(c.here, bytes, 100, 0) == 10 && pattern_holds(bytes, 10, 0), "bytes from before a reset are read");
    FAILS(recv(c.here, bytes, 100, 0), ECONNRESET, "and then the reset");
    close(c.here);
}

static void we_reset(struct connection c)
{
    struct linger at_once = { 1, 0 }, got;
    MUST(setsockopt(c.here, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
    CHECK(getsockopt(c.here, SOL_SOCKET, SO_LINGER, &got, &(socklen_t){ sizeof(got) }) == 0 && got.l_onoff == 1 &&
          got.l_linger == 0, "SO_LINGER reads back");
    close(c.here);
    EQUAL(far_failure(c.there), ECONNRESET, "SO_LINGER 0: the far end sees a reset");
    far_close(c.there);
}

static void we_leave_bytes_unread(struct connection c)
{
    far_send(c.there, 10, 0);
    CHECK(arrived(c.here, 10), "ten bytes wait");
    close(c.here);
    EQUAL(far_failure(c.there), ECONNRESET, "closed with bytes unread: the far end sees a reset");
    far_close(c.there);
}

static void bytes_come_after_we_closed(struct connection c)
{
    close(c.here);
    CHECK(far_ended(c.there), "closed: the far end sees the end");
    EQUAL(far_send(c.there, 1, 0), 1, "closed: the far end sends");
    CHECK(EVENTUALLY(far_send(c.there, 1, 0) < 1), "closed: and is told off");
    far_close(c.there);
}

static void closing_takes_its_time(struct connection c)
{
    struct linger while_sending = { 1, 10 };
    MUST(setsockopt(c.here, SOL_SOCKET, SO_LINGER, &while_sending, sizeof(while_sending)));
    EQUAL(pattern_send(c.here, 30000, 0), 30000, "SO_LINGER: sends");
    long long start = now_ms();
    EQUAL(close(c.here), 0, "SO_LINGER: closes");
    CHECK(now_ms() - start < 5000, "SO_LINGER: only as long as it takes");
    EQUAL(far_receive(c.there, 40000, 0), 30000, "SO_LINGER: all arrives");
    far_close(c.there);
}

static void all(const char *group, maker *make)
{
    check_group(group);
    far_end_writes_no_more(make());
    we_write_no_more(make());
    we_read_no_more(make());
    we_do_neither(make());
    far_end_closes(make());
    far_end_resets(make());
    far_end_resets_and_we_ask(make());
    far_end_resets_and_we_send(make());
    bytes_before_a_reset(make());
    we_reset(make());
    we_leave_bytes_unread(make());
    bytes_come_after_we_closed(make());
    closing_takes_its_time(make());
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    all("made", active);
    all("accepted", passive);
    return check_result();
}
