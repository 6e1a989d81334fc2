#include "far.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

struct side side;

static int control = -1;

static int forked_agent(void)
{
    int ends[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    if (MUST(fork()) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        agent_serve(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

static int agent_elsewhere(void)
{
    union address there = address(side.far, AGENT_PORT);
    int fd = MUST(socket(side.family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    MUST(connect(fd, &there.any, address_len(&there)));
    return fd;
}

void begin(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "4") && strcmp(argv[1], "6"))) {
        fprintf(stderr, "usage: %s 4|6 OWN [FAR]\n", argv[0]);
        exit(2);
    }
    check_deadline(60);
    side.family = argv[1][0] == '6' ? AF_INET6 : AF_INET;
    side.own = argv[2];
    side.alone = argc < 4;
    side.far = side.alone ? side.own : argv[3];
    control = side.alone ? forked_agent() : agent_elsewhere();
}

int far_control(void)
{
    return control;
}

void far_tell(struct order o)
{
    if (!write_whole(control, &o, sizeof(o)))
        check_broken("the agent takes no orders", __FILE__, __LINE__);
}

struct answer far_answer(void)
{
    struct answer a;
    if (!read_whole(control, &a, sizeof(a)))
        check_broken("the agent is gone", __FILE__, __LINE__);
    errno = a.error;
    return a;
}

struct answer far(struct order o)
{
    far_tell(o);
    return far_answer();
}

int far_listen(int backlog, union address *at)
{
    struct answer a = far((struct order){ .kind = LISTEN, .address = address(side.far, 0), .value = backlog });
    *at = a.address;
    return a.value;
}

int far_accept(int listener)
{
    return far((struct order){ .kind = ACCEPT, .fd = listener }).value;
}

int far_connect(const union address *to)
{
    return far((struct order){ .kind = CONNECT, .address = *to }).value;
}

long long far_send(int fd, long long count, long long offset)
{
    return far((struct order){ .kind = SEND, .fd = fd, .count = count, .offset = offset }).value;
}

long long far_receive(int fd, long long count, long long offset)
{
    return far((struct order){ .kind = RECEIVE, .fd = fd, .count = count, .offset = offset }).value;
}

int far_ended(int fd)
{
    struct answer a = far((struct order){ .kind = RECEIVE, .fd = fd, .count = 1 });
    return a.value == 0 && a.error == 0;
}

int far_failure(int fd)
{
    return far((struct order){ .kind = RECEIVE, .fd = fd, .count = 1 }).error;
}

int far_shutdown(int fd, int how)
{
    return far((struct order){ .kind = SHUTDOWN, .fd = fd, .value = how }).value;
}

int far_set(int fd, int level, int name, int value)
{
    return far((struct order){ .kind = SET, .fd = fd, .level = level, .option = name, .value = value }).value;
}

int far_close(int fd)
{
    return far((struct order){ .kind = CLOSE, .fd = fd }).value;
}

int far_reset(int fd)
{
    return far((struct order){ .kind = RESET, .fd = fd }).value;
}

int far_datagram(union address *at)
{
    struct answer a = far((struct order){ .kind = DATAGRAM, .address = address(side.far, 0) });
    *at = a.address;
    return a.value;
}

long long far_sendto(int fd, const union address *to, long long count, long long offset)
{
    return far((struct order){ .kind = SENDTO, .fd = fd, .address = *to, .count = count, .offset = offset }).value;
}

struct connection active(void)
{
    union address at;
    int listener = MUST(far_listen(5, &at));
    struct connection c = { .here = MUST(socket(side.family, SOCK_STREAM, 0)) };
    MUST(connect(c.here, &at.any, address_len(&at)));
    c.there = MUST(far_accept(listener));
    far_close(listener);
    return c;
}

struct connection passive(void)
{
    int listener = own_listener(5);
    union address at = name_of(listener);
    struct connection c = { .there = MUST(far_connect(&at)) };
    c.here = MUST(accept(listener, NULL, NULL));
    close(listener);
    return c;
}

struct connection with_small_buffers(struct connection c)
{
    MUST(set_option(c.here, SOL_SOCKET, SO_SNDBUF, 65536));
    MUST(far_set(c.there, SOL_SOCKET, SO_RCVBUF, 65536));
    return c;
}

int own_socket(int type)
{
    union address at = address(side.own, 0);
    int fd = MUST(socket(side.family, type, 0));
    MUST(bind(fd, &at.any, address_len(&at)));
    return fd;
}

int own_listener(int backlog)
{
    int fd = own_socket(SOCK_STREAM);
    MUST(listen(fd, backlog));
    return fd;
}

int own_datagram(void)
{
    return own_socket(SOCK_DGRAM);
}

void finish(struct connection c)
{
    close(c.here);
    far_close(c.there);
}

int arrived(int fd, int count)
{
    int readable = 0;
    return EVENTUALLY(ioctl(fd, FIONREAD, &readable) == 0 && readable >= count) && readable == count;
}

int polled(int fd, int events, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = events };
    return MUST(poll(&p, 1, timeout_ms)) ? p.revents : 0;
}

int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

/* Sends pieces of this size without waiting until none goes; gives how much went. */
static long long fill(int fd, long long offset, size_t piece)
{
    static unsigned char bytes[PIECE];
    long long sent = 0;
    for (;;) {
        pattern_fill(bytes, piece, offset + sent);
        ssize_t n = send(fd, bytes, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? sent : -1;
        sent += n;
    }
}

long long fill_up(int fd)
{
    long long sent = 0, n;
    do {
        sent += MUST(fill(fd, sent, PIECE));
        polled(fd, POLLOUT, 200);
        sent += n = MUST(fill(fd, sent, 1));
    } while (n > 0);
    return sent;
}

long long fill_for_now(int fd)
{
    return MUST(fill(fd, 0, PIECE));
}

int pending_error(int fd)
{
    return option(fd, SOL_SOCKET, SO_ERROR);
}
