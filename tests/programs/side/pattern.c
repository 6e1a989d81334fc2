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

long long pattern_exchange(int fd, long long count, size_t piece)
{
    unsigned char bytes[PIECE];
    long long sent = 0, received = 0;
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (sent < count || received < count) {
        struct pollfd p = { .fd = fd, .events = (sent < count ? POLLOUT : 0) | (received < count ? POLLIN : 0) };
        if (poll(&p, 1, 20000) <= 0)
            break;
        if (p.revents & POLLIN) {
            ssize_t n = recv(fd, bytes, at_most(count - received, piece), 0);
            if (n == 0 || (n < 0 && errno != EAGAIN) || (n > 0 && !pattern_holds(bytes, n, received)))
                break;
            received += n > 0 ? n : 0;
        }
        if (p.revents & (POLLOUT | POLLERR | POLLHUP) && sent < count) {
            size_t len = at_most(count - sent, piece);
            pattern_fill(bytes, len, sent);
            ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN)
                break;
            sent += n > 0 ? n : 0;
        }
    }
    fcntl(fd, F_SETFL, flags);
    return sent == count ? received : -1;
}
