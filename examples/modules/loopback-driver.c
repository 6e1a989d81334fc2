/*
 * A driver in C, complete: a link with nobody at its far end. What the stack
 * sends comes back with the two Ethernet addresses exchanged (or, with
 * echo=off, is counted and forgotten).
 *
 *   cc -shared -fPIC -I crates/abi/include -o devnp-loopback.so loopback-driver.c
 *   io-pkt-v6-hc -d ./devnp-loopback.so depth=16
 */
#include <errno.h>
#include <iopkt/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FRAME_MAX 1514u
#define DEPTH_MAX 1024u

struct frame {
    uint32_t len;
    uint8_t bytes[FRAME_MAX];
};

/* The host serves the queue from one thread; stats comes from another at any
 * time, hence the atomic counters. */
struct loopback {
    const struct iopkt_host *host;
    void *host_ctx;
    int event; /* readable while frames wait */
    int echo;
    uint32_t depth, head, count;
    uint64_t tx_packets, tx_bytes, tx_dropped, rx_packets, rx_bytes;
    struct frame ring[];
};

static void add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static int loopback_fd(void *ctx, uint32_t queue)
{
    struct loopback *lb = ctx;
    (void)queue;
    return lb->event;
}

static int loopback_tx(void *ctx, uint32_t queue, const struct iopkt_tx *frames, uint32_t n)
{
    struct loopback *lb = ctx;
    uint32_t i, k;
    (void)queue;
    for (i = 0; i < n; i++) {
        struct frame *to;
        uint8_t mac[6];
        add(&lb->tx_packets, 1);
        add(&lb->tx_bytes, frames[i].len);
        if (!lb->echo)
            continue;
        if (lb->count == lb->depth || frames[i].len > FRAME_MAX || frames[i].len < 14) {
            add(&lb->tx_dropped, 1);
            continue;
        }
        to = &lb->ring[(lb->head + lb->count++) % lb->depth];
        to->len = 0;
        for (k = 0; k < frames[i].iov_count; k++) {
            memcpy(to->bytes + to->len, frames[i].iov[k].iov_base, frames[i].iov[k].iov_len);
            to->len += (uint32_t)frames[i].iov[k].iov_len;
        }
        memcpy(mac, to->bytes, 6);
        memcpy(to->bytes, to->bytes + 6, 6);
        memcpy(to->bytes + 6, mac, 6);
        if (lb->count == 1)
            eventfd_write(lb->event, 1);
    }
    return (int)n;
}

static int loopback_rx(void *ctx, uint32_t queue, struct iopkt_rx *frames, uint32_t n)
{
    struct loopback *lb = ctx;
    eventfd_t ignored;
    uint32_t i;
    (void)queue;
    for (i = 0; i < n && lb->count > 0; i++) {
        const struct frame *from = &lb->ring[lb->head];
        memcpy(frames[i].data, from->bytes, from->len); /* room is always 64 KiB and more */
        frames[i].len = from->len;
        frames[i].offload.flags = IOPKT_CSUM_GOOD;
        add(&lb->rx_packets, 1);
        add(&lb->rx_bytes, from->len);
        lb->head = (lb->head + 1) % lb->depth;
        lb->count--;
    }
    if (lb->count == 0)
        eventfd_read(lb->event, &ignored);
    return (int)i;
}

static int loopback_stats(void *ctx, struct iopkt_link_stats *stats)
{
    struct loopback *lb = ctx;
    stats->tx_packets = __atomic_load_n(&lb->tx_packets, __ATOMIC_RELAXED);
    stats->tx_bytes = __atomic_load_n(&lb->tx_bytes, __ATOMIC_RELAXED);
    stats->rx_packets = __atomic_load_n(&lb->rx_packets, __ATOMIC_RELAXED);
    stats->rx_bytes = __atomic_load_n(&lb->rx_bytes, __ATOMIC_RELAXED);
    stats->tx_dropped = __atomic_load_n(&lb->tx_dropped, __ATOMIC_RELAXED);
    stats->valid = 1u << 7; /* tx_dropped */
    return 0;
}

static void loopback_detach(void *ctx)
{
    struct loopback *lb = ctx;
    lb->host->log(lb->host_ctx, IOPKT_LOG_DEBUG, "detached");
    close(lb->event);
    free(lb);
}

static const struct iopkt_link_ops ops = {
    .size = sizeof ops,
    .fd = loopback_fd,
    .rx = loopback_rx,
    .tx = loopback_tx,
    .stats = loopback_stats,
    .detach = loopback_detach,
};

static int loopback_attach(const struct iopkt_host *host, void *host_ctx, const char *options)
{
    uint32_t depth = host->option_u32(host_ctx, "depth", 64);
    struct iopkt_link_info info = {
        .size = sizeof info,
        .unit = IOPKT_UNIT_ANY,
        .base = "lb",
        .description = "loopback example in C",
        .mac = {0x02, 0x4c, 0x42, 0x00, 0x00, 0x01},
        .mtu = 1500,
        .mtu_max = 1500,
        .caps = IOPKT_CAP_RX_CSUM,
        .queues = 1,
        .up = 1,
    };
    struct loopback *lb;
    (void)options; /* host->option has them one by one */

    if (depth < 1 || depth > DEPTH_MAX) {
        char text[80];
        snprintf(text, sizeof text, "depth=%u is out of range; expected 1 to %u", depth, DEPTH_MAX);
        host->fail(host_ctx, text);
        return -EINVAL;
    }
    lb = calloc(1, sizeof *lb + depth * sizeof lb->ring[0]);
    if (lb == NULL)
        return -ENOMEM;
    lb->host = host;
    lb->host_ctx = host_ctx;
    lb->depth = depth;
    lb->echo = (int)host->option_u32(host_ctx, "echo", 1);
    lb->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lb->event < 0 || host->link_new(host_ctx, &info, &ops, lb) == NULL) {
        if (lb->event >= 0)
            close(lb->event);
        free(lb);
        return -EIO;
    }
    host->log(host_ctx, IOPKT_LOG_DEBUG, "attached");
    return 0;
}

static const struct iopkt_option option_table[] = {
    {.name = "echo", .type = IOPKT_OPT_BOOL, .help = "send back what is sent (on)"},
    {.name = "depth", .type = IOPKT_OPT_U32, .help = "frames that may wait (64)"},
    {.name = NULL},
};

const struct iopkt_driver iopkt_driver = {
    .abi_version = IOPKT_ABI_VERSION,
    .size = sizeof iopkt_driver,
    .name = "loopback",
    .description = "example: frames come back",
    .options = option_table,
    .attach = loopback_attach,
};
