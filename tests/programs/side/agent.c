#include "agent.h"
#include "pattern.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int read_whole(int fd, void *to, unsigned len)
{
    char *at = to;
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        at += n;
        len -= n;
    }
    return 1;
}

int write_whole(int fd, const void *from, unsigned len)
{
    const char *at = from;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        at += n;
        len -= n;
    }
    return 1;
}

/* Closes the descriptor of a call that failed, with its errno kept. */
static int or_close(int fd, int result)
{
    int error = errno;
    if (result >= 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static int make_listener(const struct order *o)
{
    int on = 1, fd = socket(o->address.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &o->address.any, address_len(&o->address)) < 0)
        return or_close(fd, -1);
    return or_close(fd, listen(fd, o->value));
}

static int make_connection(const struct order *o)
{
    int fd = socket(o->address.any.sa_family, SOCK_STREAM, 0);
    return fd < 0 ? -1 : or_close(fd, connect(fd, &o->address.any, address_len(&o->address)));
}

static int make_datagram(const struct order *o)
{
    int on = 1, fd = socket(o->address.any.sa_family, SOCK_DGRAM, 0);
    if (fd < 0)
        return -1;
    if (o->address.any.sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on));
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
    } else {
        setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
        setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
    }
    return or_close(fd, bind(fd, &o->address.any, address_len(&o->address)));
}

static long long send_datagram(const struct order *o)
{
    static unsigned char bytes[65536];
    pattern_fill(bytes, o->count, o->offset);
    return sendto(o->fd, bytes, o->count, 0, &o->address.any, address_len(&o->address));
}

static void note_ancillary(struct msghdr *m, struct answer *a)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
            memcpy(&a->ttl, CMSG_DATA(c), sizeof(int));
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
            memcpy(&a->ttl, CMSG_DATA(c), sizeof(int));
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            a->tos = *CMSG_DATA(c);
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
            memcpy(&a->tos, CMSG_DATA(c), sizeof(int));
    }
}

static long long receive_datagram(const struct order *o, struct answer *a)
{
    static unsigned char bytes[65536];
    char control[256];
    struct iovec part = { bytes, sizeof(bytes) };
    struct msghdr m = { .msg_name = &a->address, .msg_namelen = sizeof(a->address), .msg_iov = &part, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = sizeof(control) };
    a->ttl = a->tos = -1;
    ssize_t n = recvmsg(o->fd, &m, 0);
    if (n < 0)
        return -1;
    note_ancillary(&m, a);
    errno = 0;
    return pattern_holds(bytes, n, o->offset) ? n : -1;
}

/* Reads byte by byte, so that nothing after the line is taken. */
static long long hear(int fd, char *text, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && recv(fd, text + len, 1, 0) == 1)
        if (text[len++] == '\n')
            break;
    text[len] = 0;
    return len;
}

/* What cannot be sent at once is waited for: whoever asks for an echo reads it. */
static long long echo(int fd)
{
    static unsigned char bytes[PIECE];
    long long count = 0;
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        if (!write_whole(fd, bytes, n))
            return -1;
        count += n;
    }
    return n < 0 ? -1 : count;
}

/* At most so many of a crowd are there at the same time. */
#define CROWD_MOST 512

/* One of them has something for us: gives how many bytes, 0 when it has ended. */
static long long of_one(int fd)
{
    static unsigned char bytes[PIECE];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    return n > 0 && write_whole(fd, bytes, n) ? n : 0;
}

static long long crowd(int listener, long long to_come)
{
    static struct pollfd p[CROWD_MOST + 1];
    int there = 0;
    long long count = 0;
    while (to_come > 0 || there > 0) {
        p[there] = (struct pollfd){ .fd = to_come > 0 && there < CROWD_MOST ? listener : -1, .events = POLLIN };
        if (poll(p, there + 1, -1) < 0)
            return -1;
        int somebody_new = p[there].revents;
        for (int i = there - 1; i >= 0; i--) {
            long long n = p[i].revents ? of_one(p[i].fd) : -1;
            count += n > 0 ? n : 0;
            if (n == 0) {
                close(p[i].fd);
                p[i] = p[--there];
            }
        }
        if (somebody_new) {
            p[there] = (struct pollfd){ .fd = accept(listener, NULL, NULL), .events = POLLIN };
            if (p[there++].fd < 0)
                return -1;
            to_come--;
        }
    }
    return count;
}

static long long obey(const struct order *o, struct answer *a)
{
    long long value;
    switch (o->kind) {
    case LISTEN:
        value = make_listener(o);
        break;
    case DATAGRAM:
        value = make_datagram(o);
        break;
    case CONNECT:
        value = make_connection(o);
        break;
    case ACCEPT: {
        socklen_t len = sizeof(a->address);
        return accept(o->fd, &a->address.any, &len);
    }
    case SEND:
        return pattern_send(o->fd, o->count, o->offset);
    case RECEIVE:
        return pattern_receive(o->fd, o->count, o->offset);
    case EXCHANGE:
        return pattern_exchange(o->fd, o->count, PIECE);
    case TRADE:
        return pattern_trade(o->fd, o->count, o->offset, 0, o->value);
    case CROWD:
        return crowd(o->fd, o->count);
    case ECHO:
        return echo(o->fd);
    case SAY:
        return send(o->fd, o->text, strlen(o->text), MSG_NOSIGNAL);
    case HEAR:
        return hear(o->fd, a->text, sizeof(a->text));
    case SHUTDOWN:
        return shutdown(o->fd, o->value);
    case SET:
        return setsockopt(o->fd, o->level, o->option, &o->value, sizeof(o->value));
    case CLOSE:
        return close(o->fd);
    case RESET:
        setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
        return close(o->fd);
    case SENDTO:
        return send_datagram(o);
    case RECVFROM:
        return receive_datagram(o, a);
    default:
        errno = ENOSYS;
        return -1;
    }
    if (value >= 0)
        a->address = name_of(value);
    return value;
}

void agent_serve(int control)
{
    struct order o;
    while (read_whole(control, &o, sizeof(o))) {
        struct answer a;
        memset(&a, 0, sizeof(a));
        errno = 0;
        a.value = obey(&o, &a);
        a.error = errno;
        if (!write_whole(control, &a, sizeof(a)))
            return;
    }
}
