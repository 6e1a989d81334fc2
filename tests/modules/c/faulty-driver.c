/* A driver whose calls fail at random: errors of every kind, counts that are not true, frames of noise, frames of no length. */
#include <errno.h>
#include <iopkt/module.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static unsigned state;
static int event;
static struct iopkt_link *link_;
static const struct iopkt_host *host_;

static unsigned draw(unsigned below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static int failure(void)
{
    static const int errors[] = {EIO, EAGAIN, ENOBUFS, ENOMEM, EINTR, ENETDOWN, EINVAL, ENXIO, 0x7fffffff};
    return -errors[draw(sizeof errors / sizeof errors[0])];
}

static int fd(void *ctx, uint32_t queue)
{
    (void)ctx, (void)queue;
    return event; /* always readable */
}

static int rx(void *ctx, uint32_t queue, struct iopkt_rx *frames, uint32_t n)
{
    uint32_t got = draw(n + 1);
    (void)ctx, (void)queue;
    switch (draw(8)) {
    case 0:
        return failure();
    case 1:
        return (int)n + 1 + (int)draw(1000);
    case 2:
        return 0;
    case 3:
        host_->link_state(link_, (int)draw(2), draw(2) ? "faulty" : NULL);
        break;
    }
    for (uint32_t i = 0; i < got; i++) {
        uint32_t len = draw(4) ? draw(200) : draw(frames[i].room + 2);
        for (uint32_t at = 0; at < len && at < 200 && at < frames[i].room; at++)
            frames[i].data[at] = (uint8_t)draw(256);
        frames[i].len = draw(50) ? len : 0xffffffffu;
        frames[i].offload.flags = (uint8_t)draw(4);
        frames[i].offload.gso_type = (uint8_t)draw(8);
        frames[i].offload.gso_size = (uint16_t)draw(65536);
        frames[i].offload.csum_start = (uint16_t)draw(65536);
        frames[i].offload.csum_offset = (uint16_t)draw(65536);
    }
    return (int)got;
}

static int tx(void *ctx, uint32_t queue, const struct iopkt_tx *frames, uint32_t n)
{
    (void)ctx, (void)queue, (void)frames;
    switch (draw(6)) {
    case 0:
        return failure();
    case 1:
        return (int)n + 1;
    case 2:
        return (int)draw(n + 1);
    default:
        return (int)n;
    }
}

static int set_flags(void *ctx, uint32_t flags)
{
    (void)ctx, (void)flags;
    return draw(2) ? 0 : failure();
}

static void detach(void *ctx)
{
    (void)ctx;
    close(event);
}

static const struct iopkt_link_ops ops = {.size = sizeof ops, .fd = fd, .rx = rx, .tx = tx, .set_flags = set_flags, .detach = detach};

static int attach(const struct iopkt_host *host, void *host_ctx, const char *options)
{
    struct iopkt_link_info info = {.size = sizeof info,
                                   .unit = IOPKT_UNIT_ANY,
                                   .mac = {2, 0, 0, 0, 0, 7},
                                   .mtu = 1500,
                                   .mtu_max = 9000,
                                   .queues = 1,
                                   .caps = IOPKT_CAP_RX_GSO | IOPKT_CAP_RX_CSUM | IOPKT_CAP_TX_CSUM | IOPKT_CAP_TSO4,
                                   .up = 1};
    (void)options;
    state = host->option_u32(host_ctx, "seed", 1);
    event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    host_ = host;
    link_ = event < 0 ? NULL : host->link_new(host_ctx, &info, &ops, NULL);
    return link_ == NULL ? -EIO : 0;
}

static const struct iopkt_option option_table[] = {{.name = "seed", .type = IOPKT_OPT_U32}, {.name = NULL}};

const struct iopkt_driver iopkt_driver = {
    .abi_version = IOPKT_ABI_VERSION,
    .size = sizeof iopkt_driver,
    .name = "faulty",
    .description = "fails at random",
    .options = option_table,
    .attach = attach,
};
