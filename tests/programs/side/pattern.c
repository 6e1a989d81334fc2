#include "pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>

static unsigned char byte_at(long long offset)
{
    return (uint32_t)(offset * 2654435761u + (offset >> 16)) >> 24;
}

void pattern_fill(void *to, size_t len, long long offset)
{
    unsigned char *bytes = to;
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(offset + (long long)i);
}

int pattern_holds(const void *bytes, size_t len, long long offset)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < len; i++)
        if (b[i] != byte_at(offset + (long long)i))
            return 0;
    return 1;
}

static size_t at_most(long long left, size_t piece)
{
    return left < (long long)piece ? (size_t)left : piece;
}

long long pattern_send(int fd, long long count, long long offset)
{
    unsigned char piece[PIECE];
    long long done = 0;
    while (done < count) {
        size_t len = at_most(count - done, sizeof(piece));
        pattern_fill(piece, len, offset + done);
        ssize_t n = send(fd, piece, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += n;
    }
    return done;
}

long long pattern_receive(int fd, long long count, long long offset)
{
    unsigned char piece[PIECE];
    long long done = 0;
    while (done < count) {
        ssize_t n = recv(fd, piece, at_most(count - done, sizeof(piece)), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (!pattern_holds(piece, n, offset + done)) {
            errno = EILSEQ;
            break;
        }
        done += n;
    }
    return done;
}

unsigned draw(unsigned *state, unsigned below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

size_t draw_length(unsigned *state)
{
    static const unsigned longest[] = { 16, 1500, 20000, PIECE };
    return 1 + draw(state, longest[draw(state, 4)]);
}

/* One way of a transfer: the next byte, and how many are left. */
struct way {
    long long at, left;
};

/* Receives at most `piece` bytes; 0 when the connection has ended or failed, or a byte was wrong. */
static int take(int fd, struct way *in, size_t piece)
{
    unsigned char bytes[PIECE];
    ssize_t n = recv(fd, bytes, at_most(in->left, piece), 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (!pattern_holds(bytes, n, in->at))
        return 0;
    in->at += n;
    in->left -= n;
    return 1;
}

/* Sends at most `piece` bytes; 0 when the connection has failed. */
static int give(int fd, struct way *out, size_t piece)
{
    unsigned char bytes[PIECE];
    size_t len = at_most(out->left, piece);
    pattern_fill(bytes, len, out->at);
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    out->at += n;
    out->left -= n;
    return 1;
}

/* Both ways at once, in pieces of one size, or, with a state to draw from, of any. Gives the bytes received, -1 when sending failed. */
static long long both_ways(int fd, struct way out, struct way in, size_t piece, unsigned *state)
{
    long long count = in.left;
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (out.left > 0 || in.left > 0) {
        struct pollfd p = { .fd = fd, .events = (out.left > 0 ? POLLOUT : 0) | (in.left > 0 ? POLLIN : 0) };
        if (poll(&p, 1, 20000) <= 0)
            break;
        if (p.revents & POLLIN && !take(fd, &in, state ? draw_length(state) : piece))
            break;
        if (p.revents & (POLLOUT | POLLERR | POLLHUP) && out.left > 0 && !give(fd, &out, state ? draw_length(state) : piece))
            break;
    }
    fcntl(fd, F_SETFL, flags);
    /* Who is at the other end learns that nothing more comes of it. */
    if (out.left > 0 || in.left > 0)
        shutdown(fd, SHUT_RDWR);
    return out.left == 0 ? count - in.left : -1;
}

long long pattern_exchange(int fd, long long count, size_t piece)
{
    return both_ways(fd, (struct way){ 0, count }, (struct way){ 0, count }, piece, NULL);
}

long long pattern_trade(int fd, long long count, long long out, long long in, unsigned seed)
{
    return both_ways(fd, (struct way){ out, count }, (struct way){ in, count }, PIECE, &seed);
}
