/*
 * A driver whose rx, tx, or both give the same error again and again: `rx=`, `tx=` the error number (0: works, with nothing to
 * receive), `after=` how many calls of each go well first. Its descriptor polls readable always, or with `hangup` as hung up.
 */
#include <errno.h>
#include <fcntl.h>
#include <iopkt/module.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint32_t rx_error, tx_error, rx_left, tx_left;
static uint64_t rx_calls, tx_calls;
static int event;

static int fd(void *ctx, uint32_t queue)
{
    (void)ctx, (void)queue;
    return event;
}

static int rx(void *ctx, uint32_t queue, struct iopkt_rx *frames, uint32_t n)
{
    (void)ctx, (void)queue, (void)frames, (void)n;
    rx_calls++;
    if (rx_left > 0)
        return rx_left--, 0;
    return -(int)rx_error;
}

static int tx(void *ctx, uint32_t queue, const struct iopkt_tx *frames, uint32_t n)
{
    (void)ctx, (void)queue, (void)frames;
    tx_calls++;
    if (tx_left > 0)
        return tx_left--, (int)n;
    return tx_error ? -(int)tx_error : (int)n;
}

/* How often it was called. */
static int stats(void *ctx, struct iopkt_link_stats *stats)
{
    (void)ctx;
    stats->rx_packets = rx_calls;
    stats->tx_packets = tx_calls;
    return 0;
}

static void detach(void *ctx)
{
    (void)ctx;
    close(event);
}

static const struct iopkt_link_ops ops = {.size = sizeof ops, .fd = fd, .rx = rx, .tx = tx, .stats = stats, .detach = detach};

/* The reading end of a pipe without a writer. */
static int hung_up(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    close(fds[1]);
    return fds[0];
}

static int attach(const struct iopkt_host *host, void *host_ctx, const char *options)
{
    struct iopkt_link_info info = {
        .size = sizeof info, .unit = IOPKT_UNIT_ANY, .mac = {2, 0, 0, 0, 0, 8}, .mtu = 1500, .mtu_max = 1500, .queues = 1, .up = 1};
    (void)options;
    rx_error = host->option_u32(host_ctx, "rx", 0);
    tx_error = host->option_u32(host_ctx, "tx", 0);
    rx_left = tx_left = host->option_u32(host_ctx, "after", 0);
    event = host->option_u32(host_ctx, "hangup", 0) ? hung_up() : eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    return event < 0 || host->link_new(host_ctx, &info, &ops, NULL) == NULL ? -EIO : 0;
}

static const struct iopkt_option option_table[] = {
    {.name = "rx", .type = IOPKT_OPT_U32},
    {.name = "tx", .type = IOPKT_OPT_U32},
    {.name = "after", .type = IOPKT_OPT_U32},
    {.name = "hangup", .type = IOPKT_OPT_BOOL},
    {.name = NULL},
};

const struct iopkt_driver iopkt_driver = {
    .abi_version = IOPKT_ABI_VERSION,
    .size = sizeof iopkt_driver,
    .name = "failing",
    .description = "fails always in the same way",
    .options = option_table,
    .attach = attach,
};
