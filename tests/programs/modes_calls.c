/* Every call that sends and every call that receives, one after the other as the dice fall, on one stream: no byte is lost, doubled or out of place. */
#include "side/child.h"
#include "side/traffic.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define MUCH (6 << 20)
#define MANY 512

static struct traffic *t;

/* One way's own memory, since both ways are moved by a thread each. */
struct half {
    int fd, pipe[2], file;
    unsigned state;
    long long done;
    off_t filled; /* of the file */
    const char *last; /* the call that was made last */
    unsigned char bytes[PIECE];
    struct iovec parts[MANY];
};

/* Cuts `len` bytes into pieces of random lengths, none of them among them; gives how many. */
static int cut(struct half *h, size_t len, int most)
{
    size_t at = 0;
    int n = 0;
    for (; n < most - 1 && at < len; n++) {
        size_t part = draw(&h->state, 4) ? draw(&h->state, 400) : draw(&h->state, 9000);
        part = part < len - at ? part : len - at;
        h->parts[n] = (struct iovec){ h->bytes + at, part };
        at += part;
    }
    h->parts[n] = (struct iovec){ h->bytes + at, len - at };
    return n + 1;
}

/* Calls that send `len` bytes, which lie in `bytes`; what they give. */

static ssize_t by_send(struct half *h, size_t len)
{
    return send(h->fd, h->bytes, len, MSG_NOSIGNAL);
}

static ssize_t by_write(struct half *h, size_t len)
{
    return write(h->fd, h->bytes, len);
}

static ssize_t by_sendto(struct half *h, size_t len)
{
    return sendto(h->fd, h->bytes, len, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t by_writev(struct half *h, size_t len)
{
    return writev(h->fd, h->parts, cut(h, len, MANY));
}

static ssize_t by_sendmsg(struct half *h, size_t len)
{
    struct msghdr m = { .msg_iov = h->parts, .msg_iovlen = cut(h, len, MANY) };
    return sendmsg(h->fd, &m, MSG_NOSIGNAL);
}

/* A stream knows no messages: those of one call follow on each other. */
static ssize_t by_sendmmsg(struct half *h, size_t len)
{
    struct mmsghdr m[8] = { 0 };
    size_t n = 0, sent = 0;
    int count = cut(h, len, 8);
    for (int i = 0; i < count; i++)
        m[i].msg_hdr = (struct msghdr){ .msg_iov = &h->parts[i], .msg_iovlen = 1 };
    int done = sendmmsg(h->fd, m, count, MSG_NOSIGNAL);
    for (; (int)n < done; n++)
        sent += m[n].msg_len;
    return done < 0 ? -1 : (ssize_t)sent;
}

static ssize_t by_sendfile(struct half *h, size_t len)
{
    /* A new place each time: what was sent from the file before may still lie in it. */
    off_t at = h->filled;
    h->filled += len;
    if (pwrite(h->file, h->bytes, len, at) != (ssize_t)len)
        return -1;
    return sendfile(h->fd, h->file, &at, len);
}

/* What the socket did not take is taken back out of the pipe. */
static ssize_t by_splice(struct half *h, size_t len)
{
    ssize_t in = write(h->pipe[1], h->bytes, len < 30000 ? len : 30000), sent = 0, n = 1;
    while (sent < in && (n = splice(h->pipe[0], NULL, h->fd, NULL, in - sent, draw(&h->state, 2) ? SPLICE_F_MORE : 0)) > 0)
        sent += n;
    return n < 0 ? -1 : sent;
}

static ssize_t by_pwritev2(struct half *h, size_t len)
{
    return pwritev2(h->fd, h->parts, cut(h, len, MANY), -1, 0);
}

/* By number, as a program does that has no libc's name for it. */
static ssize_t by_syscall_write(struct half *h, size_t len)
{
    return syscall(SYS_write, h->fd, h->bytes, len);
}

static ssize_t by_syscall_sendto(struct half *h, size_t len)
{
    return syscall(SYS_sendto, h->fd, h->bytes, len, MSG_NOSIGNAL, NULL, 0);
}

/* glibc's other names. */
ssize_t __write(int fd, const void *from, size_t len);
ssize_t __read(int fd, void *to, size_t len);
ssize_t __send(int fd, const void *from, size_t len, int flags);

static ssize_t by___write(struct half *h, size_t len)
{
    return __write(h->fd, h->bytes, len);
}

static ssize_t by___send(struct half *h, size_t len)
{
    return __send(h->fd, h->bytes, len, MSG_NOSIGNAL);
}

static ssize_t by_send_more(struct half *h, size_t len)
{
    return send(h->fd, h->bytes, len, MSG_NOSIGNAL | MSG_MORE);
}

static ssize_t by_send_at_once(struct half *h, size_t len)
{
    return send(h->fd, h->bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t by_write_at_once(struct half *h, size_t len)
{
    int flags = fcntl(h->fd, F_GETFL);
    /* The other way is a thread's that may wait: it bears EAGAIN. */
    fcntl(h->fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t n = write(h->fd, h->bytes, len);
    int error = errno;
    fcntl(h->fd, F_SETFL, flags & ~O_NONBLOCK);
    errno = error;
    return n;
}

/* Calls that receive at most `len` bytes into `bytes`. */

static ssize_t by_recv(struct half *h, size_t len)
{
    return recv(h->fd, h->bytes, len, 0);
}

static ssize_t by_read(struct half *h, size_t len)
{
    return read(h->fd, h->bytes, len);
}

static ssize_t by_recvfrom(struct half *h, size_t len)
{
    return recvfrom(h->fd, h->bytes, len, 0, NULL, NULL);
}

static ssize_t by_readv(struct half *h, size_t len)
{
    return readv(h->fd, h->parts, cut(h, len, MANY));
}

static ssize_t by_recvmsg(struct half *h, size_t len)
{
    struct msghdr m = { .msg_iov = h->parts, .msg_iovlen = cut(h, len, MANY) };
    return recvmsg(h->fd, &m, 0);
}

static ssize_t by_preadv2(struct half *h, size_t len)
{
    return preadv2(h->fd, h->parts, cut(h, len, MANY), -1, 0);
}

static ssize_t by_syscall_read(struct half *h, size_t len)
{
    return syscall(SYS_read, h->fd, h->bytes, len);
}

static ssize_t by_syscall_recvfrom(struct half *h, size_t len)
{
    return syscall(SYS_recvfrom, h->fd, h->bytes, len, 0, NULL, NULL);
}

static ssize_t by___read(struct half *h, size_t len)
{
    return __read(h->fd, h->bytes, len);
}

/* Each message may be shorter than its place: what came is moved together. */
static ssize_t by_recvmmsg(struct half *h, size_t len)
{
    struct mmsghdr m[8] = { 0 };
    size_t at = 0;
    int count = cut(h, len, 8), used = 0;
    for (int i = 0; i < count; i++)
        if (h->parts[i].iov_len)
            m[used++].msg_hdr = (struct msghdr){ .msg_iov = &h->parts[i], .msg_iovlen = 1 };
    int got = recvmmsg(h->fd, m, used, MSG_WAITFORONE, NULL);
    for (int i = 0; i < got; i++) {
        memmove(h->bytes + at, m[i].msg_hdr.msg_iov->iov_base, m[i].msg_len);
        at += m[i].msg_len;
    }
    return got < 0 ? -1 : (ssize_t)at;
}

static ssize_t by_recv_at_once(struct half *h, size_t len)
{
    return recv(h->fd, h->bytes, len, MSG_DONTWAIT);
}

static ssize_t by_waitall(struct half *h, size_t len)
{
    long long left = t->count - h->done;
    len = (long long)len < left ? len : (size_t)left;
    return recv(h->fd, h->bytes, len, MSG_WAITALL);
}

/* Looks at more and more, each time at the same bytes again, then takes them. */
static ssize_t by_peeking(struct half *h, size_t len)
{
    ssize_t seen = 0;
    for (size_t ask = 1; ask < 2 * len; ask *= 7) {
        ssize_t n = recv(h->fd, h->bytes, ask < len ? ask : len, MSG_PEEK);
        if (n <= 0)
            return n;
        if (!pattern_holds(h->bytes, n, FROM_THERE + h->done) || (n < seen && (size_t)n < ask)) {
            errno = EILSEQ;
            return -1;
        }
        seen = n;
    }
    return recv(h->fd, h->bytes, seen, 0);
}

/* Never less can be read than FIONREAD says. */
static ssize_t by_count(struct half *h, size_t len)
{
    int there = 0;
    if (ioctl(h->fd, FIONREAD, &there) < 0)
        return -1;
    if (there == 0)
        return recv(h->fd, h->bytes, 1, 0);
    there = there < PIECE ? there : PIECE;
    (void)len;
    ssize_t n = recv(h->fd, h->bytes, there, MSG_DONTWAIT);
    if (n != there) {
        errno = ENODATA;
        return -1;
    }
    return n;
}

/* What is thrown away is counted: the next byte tells whether rightly. */
static ssize_t by_throwing_away(struct half *h, size_t len)
{
    len = len < 3000 ? len : 3000;
    ssize_t n = recv(h->fd, NULL, len, MSG_TRUNC | MSG_DONTWAIT);
    if (n > 0)
        pattern_fill(h->bytes, n, FROM_THERE + h->done);
    return n;
}

static ssize_t by_splice_out(struct half *h, size_t len)
{
    ssize_t n = splice(h->fd, NULL, h->pipe[1], NULL, len < 30000 ? len : 30000, 0);
    return n <= 0 || read_whole(h->pipe[0], h->bytes, n) ? n : -1;
}

struct call {
    const char *name;
    ssize_t (*make)(struct half *h, size_t len);
};

#define CALL(name) { #name, name }

static const struct call sending[] = {
    CALL(by_send), CALL(by_write), CALL(by_sendto), CALL(by_writev), CALL(by_sendmsg), CALL(by_sendmmsg), CALL(by_sendfile),
    CALL(by_splice), CALL(by_send_more), CALL(by_send_at_once), CALL(by_write_at_once), CALL(by_pwritev2),
    CALL(by_syscall_write), CALL(by_syscall_sendto), CALL(by___write), CALL(by___send),
};

static const struct call receiving[] = {
    CALL(by_recv), CALL(by_read), CALL(by_recvfrom), CALL(by_readv), CALL(by_recvmsg), CALL(by_recvmmsg), CALL(by_recv_at_once),
    CALL(by_waitall), CALL(by_peeking), CALL(by_count), CALL(by_throwing_away), CALL(by_splice_out), CALL(by_preadv2),
    CALL(by_syscall_read), CALL(by_syscall_recvfrom), CALL(by___read),
};

#define SOME_OF(table) (table), sizeof(table) / sizeof((table)[0])

static struct half *half_of(int fd, unsigned seed)
{
    struct half *h = calloc(1, sizeof(*h));
    h->fd = fd;
    h->state = seed;
    h->file = MUST(memfd_create("half", MFD_CLOEXEC));
    MUST(pipe2(h->pipe, O_CLOEXEC));
    return h;
}

static void half_free(struct half *h)
{
    close(h->file);
    close(h->pipe[0]);
    close(h->pipe[1]);
    free(h);
}

/* One call of the table on the next bytes. False when it failed. */
static int one_out(struct half *h, const struct call *calls, unsigned count)
{
    const struct call *call = &calls[draw(&h->state, count)];
    long long left = t->count - h->done;
    size_t len = draw_length(&h->state);
    len = (long long)len < left ? len : (size_t)left;
    pattern_fill(h->bytes, len, h->done);
    h->last = call->name;
    ssize_t n = call->make(h, len);
    if (n > 0)
        h->done += n;
    else if (n < 0 && errno == EAGAIN)
        polled(h->fd, POLLOUT, 10000);
    else
        return 0;
    return 1;
}

static int one_in(struct half *h, const struct call *calls, unsigned count)
{
    const struct call *call = &calls[draw(&h->state, count)];
    h->last = call->name;
    ssize_t n = call->make(h, draw_length(&h->state));
    if (n > 0 && !pattern_holds(h->bytes, n, FROM_THERE + h->done)) {
        errno = EILSEQ;
        return 0;
    }
    if (n > 0)
        h->done += n;
    else if (n < 0 && errno == EAGAIN)
        polled(h->fd, POLLIN, 10000);
    else
        return 0;
    return 1;
}

/* The errno of the call that failed; the other way and the far end do not go on either. */
static void *failed(struct half *h)
{
    long error = errno ? errno : EPIPE;
    shutdown(h->fd, SHUT_RDWR);
    return (void *)error;
}

static void *all_out(void *half)
{
    struct half *h = half;
    while (h->done < t->count)
        if (!one_out(h, SOME_OF(sending)))
            return failed(h);
    return NULL;
}

static void *all_in(void *half)
{
    struct half *h = half;
    while (h->done < t->count)
        if (!one_in(h, SOME_OF(receiving)))
            return failed(h);
    return NULL;
}

static void any_call(const char *group, struct connection c, unsigned seed)
{
    struct half *out = half_of(c.here, seed), *in = half_of(c.here, seed + 1);
    int queued = -1;
    check_group(group);
    traffic_begin(t, c, MUCH);
    unsigned long sender = thread_of(all_out, out), receiver = thread_of(all_in, in);
    t->out.error = thread_result(sender);
    t->in.error = thread_result(receiver);
    t->out.done = out->done;
    t->in.done = in->done;
    check(!t->out.error, "every call that sends", "%s: %s", out->last, strerror(t->out.error));
    check(!t->in.error, "every call that receives", "%s: %s", in->last, strerror(t->in.error));
    CHECK(EVENTUALLY(ioctl(c.here, SIOCOUTQ, &queued) == 0 && queued == 0), "SIOCOUTQ is 0 when all is acknowledged");
    CHECK(ioctl(c.here, FIONREAD, &queued) == 0 && queued == 0, "FIONREAD is 0 when all is read");
    half_free(out);
    half_free(in);
    traffic_settled(t);
}

/* Each call alone for a while, so that the first one of the socket is each of them. */
static void one_call(struct connection c, const struct call *out, const struct call *in)
{
    struct half *to = half_of(c.here, 5), *from = half_of(c.here, 6);
    int good = 1;
    check_group(out ? out->name : in->name);
    traffic_begin(t, c, 200000);
    while (good && (to->done < t->count || from->done < t->count)) {
        if (to->done < t->count)
            good = out ? one_out(to, out, 1) : one_out(to, sending, 1);
        if (good && from->done < t->count)
            good = in ? one_in(from, in, 1) : one_in(from, receiving, 1);
    }
    check(good, "goes well", "after %lld bytes out and %lld in: %s", to->done, from->done, strerror(errno));
    t->out.done = to->done;
    t->in.done = from->done;
    half_free(to);
    half_free(from);
    traffic_settled(t);
}

/* The limits of waiting come in the middle of a stream, and again. */
static void limits(struct connection c)
{
    struct timeval limit = { .tv_usec = 20000 }, none = { 0 };
    static unsigned char bytes[PIECE];
    long long received = 0;
    check_group("time limits");
    MUST(setsockopt(c.here, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    MUST(setsockopt(c.here, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
    for (int i = 0; i < 3; i++) {
        FAILS(recv(c.here, bytes, 1, 0), EAGAIN, "SO_RCVTIMEO");
        far_send(c.there, 30000, received);
        received += pattern_receive(c.here, 30000, received);
        EQUAL(received, (i + 1) * 30000, "what comes after it");
    }
    far_send(c.there, 100, received);
    CHECK(arrived(c.here, 100), "a part of what is asked for is there");
    CHECK(recv(c.here, bytes, 1000, MSG_WAITALL) == 100 && pattern_holds(bytes, 100, received), "which MSG_WAITALL gives at the limit");
    FAILS(recv(c.here, bytes, 1000, MSG_PEEK), EAGAIN, "and nothing more");

    /* The far end reads nothing: a send comes to its limit, before or after it has taken some. */
    long long sent = 0;
    for (int limits_seen = 0; limits_seen < 3;) {
        pattern_fill(bytes, PIECE, sent);
        ssize_t n = send(c.here, bytes, PIECE, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            check_broken("send", __FILE__, __LINE__);
        limits_seen += n < 0;
        sent += n > 0 ? n : 0;
    }
    check(1, "SO_SNDTIMEO", " ");
    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent + MUCH });
    MUST(setsockopt(c.here, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)));
    MUST(setsockopt(c.here, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)));
    EQUAL(pattern_send(c.here, MUCH, sent), MUCH, "without a limit all goes");
    EQUAL(far_answer().value, sent + MUCH, "what went before the limit arrives, and what went after it");
    finish(c);
}

/* SO_RCVLOWAT holds a receive back until so much is there, or the end. */
static void low_water(struct connection c)
{
    static unsigned char bytes[PIECE];
    long long done = 0;
    check_group("SO_RCVLOWAT");
    MUST(set_option(c.here, SOL_SOCKET, SO_RCVLOWAT, 1000));
    far_tell((struct order){ .kind = TRADE, .fd = c.there, .count = 300000, .value = 3 });
    int short_ones = 0;
    while (done < 300000) {
        ssize_t n = recv(c.here, bytes, 2000, 0);
        if (n <= 0 || !pattern_holds(bytes, n, done))
            break;
        done += n;
        short_ones += n < 1000 && done < 300000;
        if (done > 298000)
            MUST(set_option(c.here, SOL_SOCKET, SO_RCVLOWAT, 1));
    }
    EQUAL(done, 300000, "every byte comes");
    CHECK(short_ones < 5, "never less than asked for before the last ones");
    EQUAL(pattern_send(c.here, 300000, 0), 300000, "and goes");
    EQUAL(far_answer().value, 300000, "every byte arrives there");
    finish(c);
}

/* What SIOCOUTQ says falls to nothing and does not exceed what was sent; what FIONREAD says can be read. */
static void counts(struct connection c)
{
    int queued = 0, there = 0, good = 1;
    long long done = 0;
    static unsigned char bytes[PIECE];
    check_group("counts");
    long long sent = fill_up(c.here);
    CHECK(ioctl(c.here, SIOCOUTQ, &queued) == 0 && queued > 0, "SIOCOUTQ of a full socket");
    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent });
    CHECK(EVENTUALLY(ioctl(c.here, SIOCOUTQ, &queued) == 0 && queued == 0), "comes down to 0");
    EQUAL(far_answer().value, sent, "when all has arrived");
    EQUAL(polled(c.here, POLLOUT, 0), POLLOUT, "and there is room");
    far_tell((struct order){ .kind = TRADE, .fd = c.there, .count = MUCH, .value = 9 });
    while (good && done < MUCH) {
        EVENTUALLY(ioctl(c.here, FIONREAD, &there) < 0 || there > 0);
        there = there < PIECE ? there : PIECE;
        ssize_t n = recv(c.here, bytes, there, MSG_DONTWAIT);
        good = there > 0 && n == there && pattern_holds(bytes, n, done);
        done += n;
    }
    check(good, "FIONREAD bytes can always be read", "%d announced after %lld", there, done);
    CHECK(ioctl(c.here, FIONREAD, &there) == 0 && there == 0, "FIONREAD of an empty socket");
    EQUAL(pattern_send(c.here, MUCH, 0), MUCH, "all goes the other way");
    EQUAL(far_answer().value, MUCH, "and arrives");
    finish(c);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    t = traffic_new();
    any_call("made, any call", active(), 1);
    any_call("accepted, any call", passive(), 2);
    any_call("small buffers, any call", with_small_buffers(active()), 3);
    for (unsigned i = 0; i < sizeof(sending) / sizeof(sending[0]); i++)
        one_call(i % 2 ? active() : passive(), &sending[i], NULL);
    for (unsigned i = 0; i < sizeof(receiving) / sizeof(receiving[0]); i++)
        one_call(i % 2 ? passive() : active(), NULL, &receiving[i]);
    limits(with_small_buffers(active()));
    low_water(passive());
    counts(active());
    return check_result();
}
