/* TCP connections, made and taken. */
#define _GNU_SOURCE
#include "lean.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

static struct sockaddr_in address(const struct options *o, int nth)
{
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((uint16_t)(o->port + nth % o->ports));
    if (o->addr && inet_pton(AF_INET, o->addr, &a.sin_addr) != 1) {
        errno = EINVAL;
        die(o->addr);
    }
    return a;
}

int tcp_listen(const struct options *o, int nth)
{
    struct sockaddr_in a = address(o, nth);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0)
        die("SO_REUSEADDR");
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("bind");
    if (listen(fd, BACKLOG) != 0)
        die("listen");
    return fd;
}

int tcp_connect(const struct options *o, int nth)
{
    struct sockaddr_in a = address(o, nth);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("connect");
    return fd;
}

void connections(const struct options *o, int *fds)
{
    int listener = -1;
    if (o->listens) {
        listener = tcp_listen(o, 0);
        say("ready");
    }
    for (int i = 0; i < o->count; i++) {
        fds[i] = o->listens ? accept(listener, NULL, NULL) : tcp_connect(o, i);
        if (fds[i] < 0)
            die("accept");
    }
    if (listener >= 0)
        close(listener);
}

void nodelay(int fd)
{
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        die("TCP_NODELAY");
}

int recv_message(int fd, void *to, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = recv(fd, (char *)to + got, n - got, 0);
        if (r == 0 && got == 0)
            return 0;
        if (r == 0)
            errno = ECONNRESET;
        if (r <= 0)
            die("recv");
        got += (size_t)r;
    }
    return 1;
}

void recv_all(int fd, void *to, size_t n)
{
    if (!recv_message(fd, to, n)) {
        errno = ECONNRESET;
        die("recv");
    }
}

void send_all(int fd, const void *from, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        ssize_t r = send(fd, (const char *)from + sent, n - sent, MSG_NOSIGNAL);
        if (r < 0)
            die("send");
        sent += (size_t)r;
    }
}

void raise_nofile(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        die("getrlimit");
    l.rlim_cur = l.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &l) != 0)
        die("setrlimit");
}
