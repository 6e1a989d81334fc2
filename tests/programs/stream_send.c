/* Sending on a stream: gathering, limits, and what happens when nobody takes it. */
#include "side/far.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned char bytes[PIECE];

static void gathering(struct connection c)
{
    struct iovec parts[] = { { bytes, 3 }, { bytes + 3, 0 }, { bytes + 3, 2997 }, { bytes + 3000, 7000 } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 4 };
    pattern_fill(bytes, 10000, 0);
    EQUAL(writev(c.here, parts, 4), 10000, "writev");
    EQUAL(far_receive(c.there, 10000, 0), 10000, "writev arrives in order");
    EQUAL(sendmsg(c.here, &m, 0), 10000, "sendmsg");
    EQUAL(far_receive(c.there, 10000, 0), 10000, "sendmsg arrives in order");
    EQUAL(send(c.here, bytes, 0, 0), 0, "send of nothing");
    EQUAL(write(c.here, bytes, 0), 0, "write of nothing");
    EQUAL(write(c.here, bytes, 5), 5, "write");
    EQUAL(send(c.here, bytes + 5, 5, MSG_MORE), 5, "MSG_MORE");
    EQUAL(send(c.here, bytes + 10, 5, 0), 5, "and the last of it");
    EQUAL(far_receive(c.there, 15, 0), 15, "all of it arrives");
    MUST(set_option(c.here, IPPROTO_TCP, TCP_CORK, 1));
    EQUAL(write(c.here, bytes, 5), 5, "write with TCP_CORK");
    MUST(set_option(c.here, IPPROTO_TCP, TCP_CORK, 0));
    EQUAL(far_receive(c.there, 5, 0), 5, "arrives when the cork is out");
}

static void from_a_file(struct connection c)
{
    int file = MUST(memfd_create("pattern", MFD_CLOEXEC)), pipe_ends[2];
    off_t at = 100;
    pattern_fill(bytes, 30000, 0);
    MUST(write(file, bytes, 30000));
    EQUAL(sendfile(c.here, file, &at, 20000), 20000, "sendfile");
    EQUAL(at, 20100, "sendfile moves the offset given");
    EQUAL(lseek(file, 0, SEEK_CUR), 30000, "sendfile leaves the file's own offset");
    EQUAL(far_receive(c.there, 20000, 100), 20000, "sendfile arrives");
    MUST(lseek(file, 29000, SEEK_SET));
    EQUAL(sendfile(c.here, file, NULL, 5000), 1000, "sendfile ends at the file's end");
    EQUAL(far_receive(c.there, 1000, 29000), 1000, "the file's end arrives");
    close(file);

    MUST(pipe(pipe_ends));
    MUST(write(pipe_ends[1], bytes, 4000));
    EQUAL(splice(pipe_ends[0], NULL, c.here, NULL, 4000, 0), 4000, "splice from a pipe");
    EQUAL(far_receive(c.there, 4000, 0), 4000, "splice arrives");
    far_send(c.there, 500, 0);
    EQUAL(polled(c.here, POLLIN, 10000), POLLIN, "bytes come back");
    EQUAL(splice(c.here, NULL, pipe_ends[1], NULL, 500, 0), 500, "splice into a pipe");
    CHECK(read(pipe_ends[0], bytes, 500) == 500 && pattern_holds(bytes, 500, 0), "splice brings the bytes");
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void until_full(struct connection c)
{
    int queued = 0;
    struct timeval limit = { .tv_usec = 60000 }, none = { 0 };
    long long sent = fill_up(c.here);
    CHECK(sent > 0, "send with MSG_DONTWAIT fills up");
    FAILS(send(c.here, bytes, 1, MSG_DONTWAIT), EAGAIN, "send with MSG_DONTWAIT when full");
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    FAILS(write(c.here, bytes, 1), EAGAIN, "write with O_NONBLOCK when full");
    MUST(fcntl(c.here, F_SETFL, 0));
    CHECK(ioctl(c.here, SIOCOUTQ, &queued) == 0 && queued > 0, "SIOCOUTQ counts what waits");
    MUST(setsockopt(c.here, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
    long long start = now_ms();
    FAILS(send(c.here, bytes, 1, 0), EAGAIN, "SO_SNDTIMEO");
    CHECK(now_ms() - start >= 55 && now_ms() - start < 2000, "SO_SNDTIMEO in time");
    MUST(setsockopt(c.here, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)));

    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent });
    EQUAL(polled(c.here, POLLOUT, 10000), POLLOUT, "poll wakes when there is room");
    EQUAL(far_answer().value, sent, "all of it arrives in order");
    CHECK(EVENTUALLY(ioctl(c.here, SIOCOUTQ, &queued) == 0 && queued == 0), "SIOCOUTQ comes down to 0");
}

static void waiting_for_room(struct connection c)
{
    long long sent = fill_up(c.here), count = 300000;
    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent + count });
    EQUAL(pattern_send(c.here, count, sent), count, "a blocking send waits for room");
    EQUAL(far_answer().value, sent + count, "nothing is lost on the way");
}

static volatile sig_atomic_t pipes_broken;

static void broken_pipe(int signal)
{
    (void)signal;
    pipes_broken++;
}

static void to_nobody(struct connection c)
{
    struct iovec part = { bytes, 1 };
    signal(SIGPIPE, broken_pipe);
    pipes_broken = 0;
    MUST(shutdown(c.here, SHUT_WR));
    FAILS(send(c.here, bytes, 1, MSG_NOSIGNAL), EPIPE, "send with MSG_NOSIGNAL");
    EQUAL(pipes_broken, 0, "MSG_NOSIGNAL: no SIGPIPE");
    FAILS(send(c.here, bytes, 1, 0), EPIPE, "send");
    EQUAL(pipes_broken, 1, "send: SIGPIPE");
    FAILS(write(c.here, bytes, 1), EPIPE, "write");
    EQUAL(pipes_broken, 2, "write: SIGPIPE");
    FAILS(writev(c.here, &part, 1), EPIPE, "writev");
    EQUAL(pipes_broken, 3, "writev: SIGPIPE");
    signal(SIGPIPE, SIG_DFL);
    finish(c);
}

static void all(const char *group, struct connection c)
{
    check_group(group);
    gathering(c);
    from_a_file(c);
    with_small_buffers(c);
    until_full(c);
    waiting_for_room(c);
    to_nobody(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    all("made", active());
    all("accepted", passive());
    return check_result();
}
