/* Bulk transfer: one thread a stream, blocking calls of one size. Both ends keep time for themselves;
 * the receiving end's count is the one that says what crossed. */
#define _GNU_SOURCE
#include "lean.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
    _Alignas(64) atomic_ullong bytes;
    int fd;
    size_t size;
    pthread_t thread;
};

static struct stream streams[MAX_STREAMS];
static atomic_int stop;

static void *sink(void *arg)
{
    struct stream *s = arg;
    char *buffer = malloc(s->size);
    ssize_t n;
    while ((n = recv(s->fd, buffer, s->size, 0)) > 0)
        atomic_fetch_add_explicit(&s->bytes, (unsigned long long)n, memory_order_relaxed);
    if (n < 0)
        die("recv");
    close(s->fd);
    free(buffer);
    return NULL;
}

static void *source(void *arg)
{
    struct stream *s = arg;
    char *buffer = calloc(1, s->size), byte;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        ssize_t n = send(s->fd, buffer, s->size, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        atomic_fetch_add_explicit(&s->bytes, (unsigned long long)n, memory_order_relaxed);
    }
    if (shutdown(s->fd, SHUT_WR) != 0)
        die("shutdown");
    /* Until the far end has read everything and closed. */
    while (recv(s->fd, &byte, 1, 0) > 0)
        ;
    close(s->fd);
    free(buffer);
    return NULL;
}

static unsigned long long total(const struct options *o)
{
    unsigned long long sum = 0;
    for (int i = 0; i < o->count; i++)
        sum += atomic_load_explicit(&streams[i].bytes, memory_order_relaxed);
    return sum;
}

static int transfer(const struct options *o, void *(*work)(void *))
{
    int fds[MAX_STREAMS];
    connections(o, fds);
    for (int i = 0; i < o->count; i++) {
        streams[i].fd = fds[i];
        streams[i].size = o->size;
        if (pthread_create(&streams[i].thread, NULL, work, &streams[i]) != 0)
            die("pthread_create");
    }
    pause_for(o->warm);
    say("begin");
    uint64_t t0 = now_ns(), cpu0 = cpu_us();
    unsigned long long bytes0 = total(o);
    pause_for(o->secs);
    unsigned long long bytes = total(o) - bytes0;
    uint64_t cpu = cpu_us() - cpu0, ns = now_ns() - t0;
    say("result count=%llu ns=%llu cpu_us=%llu", bytes, (unsigned long long)ns, (unsigned long long)cpu);
    atomic_store(&stop, 1);
    for (int i = 0; i < o->count; i++)
        pthread_join(streams[i].thread, NULL);
    return 0;
}

int bulk_sink(const struct options *o)
{
    return transfer(o, sink);
}

int bulk_source(const struct options *o)
{
    return transfer(o, source);
}
