/*
 * A protocol in C, complete: it takes frames of one EtherType (88b5, the first
 * of those that IEEE 802 sets aside for experiments), counts them, and answers
 * each whose payload begins with "ping" by one that begins with "pong" and
 * carries the count. Now and then it says hello on every link that is up.
 *
 *   cc -shared -fPIC -I crates/abi/include -o lsm-ethertype-count.so ethertype-count.c
 *   io-pkt-v6-hc -d packet if=eth0 -p ./lsm-ethertype-count.so hello=1000
 */
#include <errno.h>
#include <iopkt/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 16u
#define FRAME_MIN 60u

struct counter {
    const struct iopkt_stack *stack;
    void *stack_ctx;
    uint16_t ethertype;
    uint32_t frames;
};

static void put_header(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint16_t ethertype)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    frame[12] = (uint8_t)(ethertype >> 8);
    frame[13] = (uint8_t)ethertype;
}

/* Our address on a link; NULL when the link is gone. */
static const uint8_t *own_mac(struct counter *c, uint32_t link, struct iopkt_link_desc *links)
{
    int n = c->stack->links(c->stack_ctx, links, LINKS_MAX);
    int i;
    for (i = 0; i < n && i < (int)LINKS_MAX; i++)
        if (links[i].index == link)
            return links[i].mac;
    return NULL;
}

static void input(void *arg, uint32_t link, const uint8_t *data, uint32_t len)
{
    struct counter *c = arg;
    struct iopkt_link_desc links[LINKS_MAX];
    uint8_t answer[FRAME_MIN] = {0};
    const uint8_t *mac;

    c->frames++;
    if (len < 18 || memcmp(data + 14, "ping", 4) != 0)
        return;
    mac = own_mac(c, link, links);
    if (mac == NULL)
        return;
    put_header(answer, data + 6, mac, c->ethertype);
    snprintf((char *)answer + 14, sizeof answer - 14, "pong %u", c->frames);
    if (c->stack->transmit(c->stack_ctx, link, answer, sizeof answer) < 0)
        c->stack->log(c->stack_ctx, IOPKT_LOG_WARN, "the answer could not be sent");
}

static void hello(void *arg)
{
    static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct counter *c = arg;
    struct iopkt_link_desc links[LINKS_MAX];
    int n = c->stack->links(c->stack_ctx, links, LINKS_MAX);
    int i;
    for (i = 0; i < n && i < (int)LINKS_MAX; i++) {
        uint8_t frame[FRAME_MIN] = {0};
        if (!links[i].up)
            continue;
        put_header(frame, everyone, links[i].mac, c->ethertype);
        snprintf((char *)frame + 14, sizeof frame - 14, "hello from %s", links[i].name);
        c->stack->transmit(c->stack_ctx, links[i].index, frame, sizeof frame);
    }
}

static int count_attach(const struct iopkt_stack *stack, void *stack_ctx, const char *options,
                        void **module_ctx)
{
    struct counter *c = calloc(1, sizeof *c);
    uint32_t every = stack->option_u32(stack_ctx, "hello", 0);
    int result;
    (void)options;
    if (c == NULL)
        return -ENOMEM;
    c->stack = stack;
    c->stack_ctx = stack_ctx;
    c->ethertype = (uint16_t)stack->option_u32(stack_ctx, "ethertype", 0x88b5);
    result = stack->register_ethertype(stack_ctx, c->ethertype, input, c);
    if (result == 0 && every > 0)
        result = stack->timer(stack_ctx, every, hello, c);
    if (result < 0) {
        char text[80];
        snprintf(text, sizeof text, "EtherType %04x is %s", c->ethertype,
                 result == -EEXIST ? "taken by another module" : "not for modules to take");
        stack->fail(stack_ctx, text);
        free(c);
        return result;
    }
    *module_ctx = c;
    return 0;
}

static void count_detach(void *module_ctx)
{
    struct counter *c = module_ctx;
    char text[48];
    snprintf(text, sizeof text, "%u frames counted", c->frames);
    c->stack->log(c->stack_ctx, IOPKT_LOG_INFO, text);
    free(c);
}

static const struct iopkt_option option_table[] = {
    {.name = "ethertype", .type = IOPKT_OPT_U32, .help = "which EtherType (0x88b5)"},
    {.name = "hello", .type = IOPKT_OPT_U32, .help = "milliseconds between greetings (0: none)"},
    {.name = NULL},
};

const struct iopkt_protocol iopkt_protocol = {
    .abi_version = IOPKT_ABI_VERSION,
    .size = sizeof iopkt_protocol,
    .name = "ethertype-count",
    .description = "example: counts and answers frames of one EtherType",
    .options = option_table,
    .attach = count_attach,
    .detach = count_detach,
};
