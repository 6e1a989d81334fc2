/* Connections: connect, one request, one response, close. The client is a thread a connection at a
 * time, blocking; the server is one thread on epoll, as servers are. It ends with its standard input. */
#define _GNU_SOURCE
#include "lean.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define MAX_SIZE 4096

static atomic_ullong done;
static uint64_t end_ns;

struct client {
    const struct options *o;
    int nth;
    pthread_t thread;
};

static void *client(void *arg)
{
    struct client *c = arg;
    char buffer[MAX_SIZE] = { 0 };
    for (int i = c->nth; now_ns() < end_ns; i++) {
        int fd = tcp_connect(c->o, i);
        send_all(fd, buffer, c->o->size);
        recv_all(fd, buffer, c->o->size);
        close(fd);
        atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    }
    return NULL;
}

int rate_client(const struct options *o)
{
    struct client clients[MAX_STREAMS];
    if (o->size > MAX_SIZE) {
        errno = EMSGSIZE;
        die("-b");
    }
    say("begin");
    uint64_t t0 = now_ns(), cpu0 = cpu_us();
    end_ns = t0 + (uint64_t)(o->secs * 1e9);
    for (int i = 0; i < o->count; i++) {
        clients[i] = (struct client){ .o = o, .nth = i };
        if (pthread_create(&clients[i].thread, NULL, client, &clients[i]) != 0)
            die("pthread_create");
    }
    for (int i = 0; i < o->count; i++)
        pthread_join(clients[i].thread, NULL);
    uint64_t cpu = cpu_us() - cpu0, ns = now_ns() - t0;
    say("result count=%llu ns=%llu cpu_us=%llu", atomic_load(&done), (unsigned long long)ns,
        (unsigned long long)cpu);
    return 0;
}

#define LISTENER (1ull << 32)

static void watch(int epoll, int fd, uint64_t kind)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = kind | (uint64_t)fd };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void accept_waiting(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(epoll, fd, 0);
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept");
}

/* A request is one segment; its peer closes when it has the response. */
static void serve(int fd, size_t size)
{
    char buffer[MAX_SIZE];
    ssize_t n = recv(fd, buffer, size, 0);
    if (n == (ssize_t)size) {
        send_all(fd, buffer, size);
        atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    } else if (n >= 0 || errno != EAGAIN) {
        close(fd);
    }
}

int rate_server(const struct options *o)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    char byte;
    if (epoll < 0)
        die("epoll_create1");
    raise_nofile();
    for (int i = 0; i < o->ports; i++) {
        int listener = tcp_listen(o, i);
        if (fcntl(listener, F_SETFL, O_NONBLOCK) != 0)
            die("O_NONBLOCK");
        watch(epoll, listener, LISTENER);
    }
    watch(epoll, STDIN_FILENO, 0);
    say("ready");
    uint64_t cpu0 = cpu_us();
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = (int)(uint32_t)events[i].data.u64;
            if (fd == STDIN_FILENO && read(fd, &byte, 1) == 0) {
                say("result count=%llu cpu_us=%llu", atomic_load(&done), (unsigned long long)(cpu_us() - cpu0));
                return 0;
            }
            if (fd == STDIN_FILENO)
                continue;
            if (events[i].data.u64 & LISTENER)
                accept_waiting(epoll, fd);
            else
                serve(fd, o->size);
        }
    }
}
