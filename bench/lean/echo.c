/* Request and response: one message out, the same back, one at a time. */
#include "lean.h"

#include <stdlib.h>
#include <unistd.h>

#define MAX_SAMPLES (8u << 20)

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int echo_server(const struct options *o)
{
    int fd;
    char *buffer = malloc(o->size);
    connections(o, &fd);
    nodelay(fd);
    uint64_t cpu0 = cpu_us();
    unsigned long long count = 0;
    for (; recv_message(fd, buffer, o->size); count++)
        send_all(fd, buffer, o->size);
    say("result count=%llu cpu_us=%llu", count, (unsigned long long)(cpu_us() - cpu0));
    close(fd);
    free(buffer);
    return 0;
}

static void round_trip(int fd, char *buffer, size_t size)
{
    send_all(fd, buffer, size);
    recv_all(fd, buffer, size);
}

int echo_client(const struct options *o)
{
    int fd;
    char *buffer = calloc(1, o->size);
    uint32_t *samples = malloc(MAX_SAMPLES * sizeof *samples);
    size_t n = 0;
    connections(o, &fd);
    nodelay(fd);
    for (uint64_t end = now_ns() + (uint64_t)(o->warm * 1e9); now_ns() < end;)
        round_trip(fd, buffer, o->size);
    say("begin");
    uint64_t cpu0 = cpu_us(), t0 = now_ns(), end = t0 + (uint64_t)(o->secs * 1e9), t = t0;
    while (t < end && n < MAX_SAMPLES) {
        round_trip(fd, buffer, o->size);
        uint64_t after = now_ns();
        samples[n++] = (uint32_t)(after - t);
        t = after;
    }
    uint64_t cpu = cpu_us() - cpu0;
    say("measured");
    qsort(samples, n, sizeof *samples, by_size);
    say("result count=%zu ns=%llu cpu_us=%llu p50_ns=%u p99_ns=%u max_ns=%u", n, (unsigned long long)(t - t0),
        (unsigned long long)cpu, samples[n / 2], samples[n * 99 / 100], samples[n - 1]);
    close(fd);
    free(samples);
    free(buffer);
    return 0;
}
