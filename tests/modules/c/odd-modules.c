/* Drivers that are wrong in one way each; the definition says in which. */
#include <errno.h>
#include <iopkt/module.h>
#include <stddef.h>
#include <stdio.h>

static int detached;

static int odd_fd(void *ctx, uint32_t queue)
{
    (void)ctx, (void)queue;
    return -1;
}

static int odd_rx(void *ctx, uint32_t queue, struct iopkt_rx *frames, uint32_t n)
{
    static int call;
    (void)ctx, (void)queue;
    switch (call++) {
    case 0:
        return (int)n + 1;
    case 1:
        frames[0].len = frames[0].room + 1;
        return 1;
    case 2:
        return -EIO;
    default:
        return -0x7fffffff - 1;
    }
}

static int odd_tx(void *ctx, uint32_t queue, const struct iopkt_tx *frames, uint32_t n)
{
    (void)ctx, (void)queue, (void)frames, (void)n;
    return 1000;
}

static void odd_detach(void *ctx)
{
    (void)ctx;
    detached++;
}

static const struct iopkt_link_ops ops = {
    .size = sizeof ops,
    .fd = odd_fd,
    .rx = odd_rx,
    .tx = odd_tx,
#ifndef BAD_OPS
    .detach = odd_detach,
#endif
};

static int odd_attach(const struct iopkt_host *host, void *host_ctx, const char *options)
{
    struct iopkt_link_info info = {
        .size = sizeof info, .unit = IOPKT_UNIT_ANY, .mac = {2}, .mtu = 1500, .mtu_max = 1500, .queues = 1};
    (void)options, (void)ops, (void)odd_detach;
#ifdef SILENT
    (void)host, (void)host_ctx, (void)info;
    return -ENXIO;
#elif defined(NO_LINK)
    (void)host, (void)host_ctx, (void)info;
    return 0;
#else
#ifdef NO_QUEUES
    info.queues = 0;
#endif
    if (host->link_new(host_ctx, &info, &ops, NULL) == NULL)
        return -EIO;
#ifdef LATE_FAILURE
    {
        char text[64];
        snprintf(text, sizeof text, "changed its mind after the link; %d ended before", detached);
        host->fail(host_ctx, text);
        return -EIO;
    }
#endif
    return 0;
#endif
}

#ifndef NO_SYMBOL
static const struct iopkt_option option_table[] = {
#ifdef BAD_TABLE
    {.name = "key", .type = 99},
#endif
    {.name = NULL},
};

const struct iopkt_driver iopkt_driver = {
#ifdef VERSION
    .abi_version = 7,
#else
    .abi_version = IOPKT_ABI_VERSION,
#endif
#ifdef SIZE
    .size = 16,
#else
    .size = sizeof iopkt_driver,
#endif
#ifndef NO_NAME
    .name = "odd",
#endif
    .description = "wrong on purpose",
    .options = option_table,
#ifndef NO_ATTACH
    .attach = odd_attach,
#endif
};
#else
const void *const unused = (const void *)odd_attach;
#endif
#if defined(NO_ATTACH) && !defined(NO_SYMBOL)
const void *const unused = (const void *)odd_attach;
#endif
