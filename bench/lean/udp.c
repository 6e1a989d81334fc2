/* Datagrams: sent as fast as one thread can, counted where they arrive. The sender then says that it
 * is done until the counter has answered; both words may be lost and are repeated. */
#define _GNU_SOURCE
#include "lean.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define FINAL 0xff
#define ANSWER_US 20000
#define ATTEMPTS 200
/* A clock reading for each so many datagrams. */
#define BATCH 16

static int udp_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

static struct sockaddr_in address(const struct options *o)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)o->port) };
    if (o->addr && inet_pton(AF_INET, o->addr, &a.sin_addr) != 1)
        die("address");
    return a;
}

/* A full queue on the way out is no failure of a datagram socket: the datagram is lost. */
static int lost(ssize_t sent)
{
    if (sent >= 0)
        return 0;
    if (errno != ENOBUFS && errno != EAGAIN)
        die("send");
    return 1;
}

static void finish(int fd, char *buffer, size_t size)
{
    struct timeval patience = { .tv_usec = ANSWER_US };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        die("SO_RCVTIMEO");
    buffer[0] = (char)FINAL;
    for (int i = 0; i < ATTEMPTS; i++) {
        lost(send(fd, buffer, size, 0));
        if (recv(fd, buffer, size, 0) > 0)
            return;
        buffer[0] = (char)FINAL;
    }
    errno = ETIMEDOUT;
    die("no answer from the counting end");
}

int udp_send(const struct options *o)
{
    int fd = udp_socket();
    struct sockaddr_in a = address(o);
    char *buffer = calloc(1, o->size);
    unsigned long long count = 0, drops = 0;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("connect");
    say("begin");
    uint64_t t0 = now_ns(), cpu0 = cpu_us(), end = t0 + (uint64_t)(o->secs * 1e9);
    while (now_ns() < end)
        for (int i = 0; i < BATCH; i++) {
            if (lost(send(fd, buffer, o->size, 0)))
                drops++;
            else
                count++;
        }
    uint64_t cpu = cpu_us() - cpu0, ns = now_ns() - t0;
    say("result count=%llu drops=%llu ns=%llu cpu_us=%llu", count, drops, (unsigned long long)ns,
        (unsigned long long)cpu);
    finish(fd, buffer, o->size);
    return 0;
}

/* Answers each final word, until the sender is silent for long: then it has heard. */
static void answer(int fd, char *buffer, size_t size)
{
    struct timeval patience = { .tv_usec = ANSWER_US * 10 };
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        die("SO_RCVTIMEO");
    while (recvfrom(fd, buffer, size, 0, (struct sockaddr *)&from, &length) > 0)
        if ((unsigned char)buffer[0] == FINAL)
            sendto(fd, buffer, size, 0, (struct sockaddr *)&from, length);
}

int udp_count(const struct options *o)
{
    int fd = udp_socket();
    struct sockaddr_in a = address(o);
    char *buffer = malloc(o->size);
    unsigned long long count = 0;
    uint64_t first = 0, cpu0 = 0;
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        die("bind");
    say("ready");
    for (;;) {
        ssize_t n = recv(fd, buffer, o->size, 0);
        if (n != (ssize_t)o->size)
            die("recv");
        if ((unsigned char)buffer[0] == FINAL)
            break;
        if (count++ == 0) {
            first = now_ns();
            cpu0 = cpu_us();
        }
    }
    say("result count=%llu ns=%llu cpu_us=%llu", count, (unsigned long long)(now_ns() - first),
        (unsigned long long)(cpu_us() - cpu0));
    answer(fd, buffer, o->size);
    return 0;
}
