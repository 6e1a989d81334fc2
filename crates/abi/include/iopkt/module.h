/*
 * The C interface between io-pkt and its loadable modules: drivers (devnp-*.so)
 * and protocols (lsm-*.so). Written by hand; a test compares it with the Rust
 * side (crates/abi/src/raw.rs), so the two can not drift apart.
 *
 * A driver exports one object, `iopkt_driver`; a protocol exports one object,
 * `iopkt_protocol`. See docs/modules.md for a guide and
 * examples/modules/ for complete modules in C.
 *
 * Rules that hold everywhere:
 *  - Functions that give back int: 0 or a count on success, -errno on failure.
 *  - Strings are NUL-terminated UTF-8 and belong to whoever passes them; the
 *    receiver copies what it wants to keep.
 *  - Memory is never freed across the border, and no exception or panic
 *    crosses it.
 *  - Structures may grow at their end. `size` says how much of one is there;
 *    fields beyond it are absent, callbacks beyond it are NULL.
 */
#ifndef IOPKT_MODULE_H
#define IOPKT_MODULE_H

#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0 means "not settled yet": a module is to be rebuilt with the daemon. */
#define IOPKT_ABI_VERSION 0u

/* ------------------------------------------------------------------ options */

enum iopkt_option_type {
    IOPKT_OPT_BOOL = 0,   /* key, key=on|off|yes|no|true|false|1|0 */
    IOPKT_OPT_U32 = 1,    /* key=123 or key=0x7b */
    IOPKT_OPT_STRING = 2, /* key=word or key="two words" */
    IOPKT_OPT_MAC = 3     /* key=02000a0b0c0d or key=02:00:0a:0b:0c:0d */
};

/* One option that the module knows. A table of these ends with name == NULL.
 * The host adds name=, unit=, mac=, mtu= and verbose to a driver's table,
 * verbose to a protocol's, and rejects unknown keys and values of the wrong
 * type before the module sees them. */
struct iopkt_option {
    const char *name;
    const char *help;
    uint32_t type; /* enum iopkt_option_type */
    uint32_t reserved;
};

/* ------------------------------------------------------------------- frames */

/* Checksum and segmentation work, laid out as Linux's struct virtio_net_hdr and
 * with its constants, in host byte order. All positions count from the first
 * byte of the frame (its Ethernet header). */
#define IOPKT_CSUM_PARTIAL 1u /* sum from csum_start is to be stored at +csum_offset, where the pseudo-header's sum stands */
#define IOPKT_CSUM_GOOD 2u    /* received: the checksum was verified */

#define IOPKT_GSO_NONE 0u
#define IOPKT_GSO_TCPV4 1u
#define IOPKT_GSO_TCPV6 4u
#define IOPKT_GSO_UDP 5u    /* cut into datagrams (USO), not into IP fragments */
#define IOPKT_GSO_ECN 0x80u /* set beside TCPV4/TCPV6: only the first segment keeps CWR */

struct iopkt_offload {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;  /* bytes of all headers, Ethernet included; a hint on receive */
    uint16_t gso_size; /* payload bytes of one segment */
    uint16_t csum_start;
    uint16_t csum_offset;
};

/* Memory for received frames: one mapping of a memfd, cut into frames of `stride`
 * bytes. The host owns it; a driver gets to see it through iopkt_link_ops.pool. */
struct iopkt_pool {
    uint32_t size; /* of this structure */
    int32_t memfd;
    uint8_t *base;
    uint64_t length;
    uint32_t stride;
    uint32_t headroom;   /* where in a frame the data is to begin */
    uint32_t own_first;  /* the frames that the driver owns from the start: */
    uint32_t own_count;  /* as many as iopkt_link_info.own_frames asked for, if there are */
};

/* Memory of the driver's own, in which it leaves received frames for the host to
 * read: a ring that the kernel or the hardware fills. */
struct iopkt_memory {
    uint32_t size; /* of this structure */
    uint32_t reserved;
    const uint8_t *base;
    uint64_t length;
};

/* One place for a received frame. On entry `data` names `room` writable bytes;
 * on return `len` of them are filled. A driver with frames of its own in the
 * pool may exchange: it puts another of them into data and pool_offset and
 * keeps the one that was offered. One that has shown memory of its own may lend
 * a frame there: it puts that into data and leaves pool_offset as it is. The host
 * reads it until rx_done, and offers the same place of the pool again. */
struct iopkt_rx {
    uint8_t *data;
    uint64_t pool_offset; /* of data, in the pool's mapping */
    uint32_t room;
    uint32_t len;
    struct iopkt_offload offload;
    uint16_t reserved[3];
};

/* One frame to send. Everything it points to is valid during the call only. */
struct iopkt_tx {
    const struct iovec *iov;
    uint32_t iov_count;
    uint32_t len; /* sum of the iovecs */
    struct iopkt_offload offload;
    uint16_t reserved[3];
};

/* -------------------------------------------------------------------- links */

/* What a link takes off the stack. */
#define IOPKT_CAP_TX_CSUM 0x01u /* fills in checksums (IOPKT_CSUM_PARTIAL) */
#define IOPKT_CAP_RX_CSUM 0x02u /* says which received checksums are good */
#define IOPKT_CAP_TSO4 0x04u
#define IOPKT_CAP_TSO6 0x08u
#define IOPKT_CAP_USO 0x10u
#define IOPKT_CAP_RX_GSO 0x20u  /* may deliver merged frames of up to 64 KiB */

/* An address plan that is known to work on the link (the user link's NAT). */
#define IOPKT_CONFIG_IPV4 1u
#define IOPKT_CONFIG_IPV6 2u
struct iopkt_suggested_config {
    uint32_t size;
    uint32_t valid; /* IOPKT_CONFIG_*: which family's fields hold something */
    uint8_t ipv4[4];
    uint8_t ipv4_gateway[4];
    uint8_t ipv4_dns[4]; /* 0.0.0.0: none */
    uint8_t ipv4_prefix_len;
    uint8_t ipv6_prefix_len;
    uint8_t reserved[2];
    uint8_t ipv6[16];
    uint8_t ipv6_gateway[16];
    uint8_t ipv6_dns[16]; /* ::: none */
};

#define IOPKT_UNIT_ANY 0xffffffffu

struct iopkt_link_info {
    uint32_t size;
    uint32_t unit;           /* IOPKT_UNIT_ANY, or the unit it insists on */
    const char *base;        /* its family's name such as "fec"; NULL: "en" */
    const char *description; /* one line; "AF_PACKET on eth0" */
    const char *media;       /* "10GBase-T full-duplex"; NULL: unknown */
    uint8_t mac[6];
    uint8_t reserved[2];
    uint32_t mtu;     /* bytes of IP in a frame */
    uint32_t mtu_max; /* the most that set_mtu will take */
    uint32_t caps;    /* IOPKT_CAP_* */
    uint32_t queues;  /* 1..IOPKT_QUEUES_MAX */
    uint32_t up;      /* link state now */
    uint32_t own_frames; /* pool frames that the driver wants to own (DMA, AF_XDP) */
    const struct iopkt_suggested_config *config; /* may be NULL */
};

#define IOPKT_QUEUES_MAX 64u

/* Counters in the terms of nicinfo(1). `valid` tells which of the optional ones,
 * from tx_multicast on, the driver keeps: bit n for the nth of them. */
struct iopkt_link_stats {
    uint32_t size;
    uint32_t reserved;
    uint64_t valid;
    uint64_t tx_packets;
    uint64_t tx_bytes;
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_multicast;            /* bit 0 */
    uint64_t tx_broadcast;
    uint64_t rx_multicast;
    uint64_t rx_broadcast;
    uint64_t tx_failed_allocs;
    uint64_t rx_failed_allocs;        /* bit 5 */
    uint64_t rx_dropped;              /* the link had no room for a frame that came */
    uint64_t tx_dropped;              /* frames given up after the driver had accepted them */
    uint64_t align_errors;            /* bit 8 */
    uint64_t single_collisions;
    uint64_t multi_collisions;
    uint64_t fcs_errors;
    uint64_t tx_deferred;
    uint64_t late_collisions;
    uint64_t xcoll_aborted;
    uint64_t internal_tx_errors;
    uint64_t no_carrier;              /* bit 16 */
    uint64_t internal_rx_errors;
    uint64_t excessive_deferrals;
    uint64_t length_field_mismatch;
    uint64_t length_field_outrange;
    uint64_t oversized_packets;
    uint64_t sqe_errors;
    uint64_t symbol_errors;
    uint64_t jabber_detected;         /* bit 24 */
    uint64_t short_packets;
    uint64_t total_collision_frames;
    uint64_t dribble_bits;            /* bit 27 */
};

/* Argument of set_flags. */
#define IOPKT_LINK_UP 1u
#define IOPKT_LINK_PROMISC 2u
#define IOPKT_LINK_ALLMULTI 4u

/* What the host calls. A queue's fd, rx and tx come from one thread at a time;
 * different queues may be served by different threads at once. All others come
 * from one thread at a time, which may run beside those of the queues. Optional
 * entries may be NULL.
 *
 * Errors (-errno) of rx: the host counts them and asks again after a pause that
 * grows from 100 ms to 5 s while they last. -ENODEV of rx or tx: the device is
 * gone; the link is down, and the host calls neither again. */
struct iopkt_link_ops {
    uint32_t size;
    uint32_t reserved;
    /* A descriptor that polls readable while rx has something to do: frames, or
     * a change of state to report. The driver keeps it; -1: poll me always. */
    int (*fd)(void *link_ctx, uint32_t queue);
    /* Fills up to n places, never sleeps. Fewer than n: nothing more for now. */
    int (*rx)(void *link_ctx, uint32_t queue, struct iopkt_rx *frames, uint32_t n);
    /* Takes frames in order, never sleeps. Fewer than n: full; come back with the
     * rest when tx_fd polls writable. A frame that can never be sent is taken
     * and counted. */
    int (*tx)(void *link_ctx, uint32_t queue, const struct iopkt_tx *frames, uint32_t n);
    /* A descriptor that polls writable when tx will take more. NULL: same as fd. */
    int (*tx_fd)(void *link_ctx, uint32_t queue);
    int (*set_flags)(void *link_ctx, uint32_t flags);                             /* optional */
    int (*multicast)(void *link_ctx, const uint8_t (*macs)[6], uint32_t n);       /* optional: the whole list */
    int (*set_mac)(void *link_ctx, const uint8_t *mac);                           /* optional */
    int (*set_mtu)(void *link_ctx, uint32_t mtu);                                 /* optional */
    int (*stats)(void *link_ctx, struct iopkt_link_stats *stats);                 /* optional; comes zeroed */
    int (*pool)(void *link_ctx, uint32_t queue, const struct iopkt_pool *pool);   /* optional; before the first rx */
    /* Ends the link: its threads, descriptors and memory. No call follows, and the
     * driver makes none for this link once it returns. */
    void (*detach)(void *link_ctx);
    /* The queue's memory for frames to lend, there until detach; comes zeroed and
     * stays so when there is none. Called before the first rx. Optional. */
    int (*memory)(void *link_ctx, uint32_t queue, struct iopkt_memory *memory);
    /* The frames lent by the last rx have been read. Comes after each rx that lent
     * any, before the next rx, from the thread of rx. Needed with memory. */
    void (*rx_done)(void *link_ctx, uint32_t queue);
};

/* --------------------------------------------------------------------- host */

#define IOPKT_LOG_ERROR 0u
#define IOPKT_LOG_WARN 1u
#define IOPKT_LOG_INFO 2u
#define IOPKT_LOG_DEBUG 3u

struct iopkt_link; /* the host's name for a link */

/* What a driver may call. `host_ctx` is valid until the last link made with it
 * is detached (or attach has failed). log and link_state may be called from any
 * thread, the others within attach only. */
struct iopkt_host {
    uint32_t abi_version;
    uint32_t size;
    void (*log)(void *host_ctx, uint32_t level, const char *text);
    /* The reason why attach fails, one clear sentence that names the word that
     * was wrong. Call it before giving back -errno. */
    void (*fail)(void *host_ctx, const char *text);
    /* The value of the nth occurrence of an option, or NULL. A bare flag's value
     * is "". Valid until attach returns. */
    const char *(*option)(void *host_ctx, const char *key, uint32_t nth);
    /* A number or flag that the host has checked already; `otherwise` if absent. */
    uint32_t (*option_u32)(void *host_ctx, const char *key, uint32_t otherwise);
    /* Makes a network interface. The ops may be called from here on, though not
     * before attach has returned. NULL: refused; give back -EIO. When attach fails
     * later, the host detaches the links made so far. */
    struct iopkt_link *(*link_new)(void *host_ctx, const struct iopkt_link_info *info,
                                   const struct iopkt_link_ops *ops, void *link_ctx);
    /* Reports link up or down. From a thread of the driver's own: make the queue's
     * fd readable as well, so that the host looks. media may be NULL: as before. */
    void (*link_state)(struct iopkt_link *link, int up, const char *media);
};

struct iopkt_driver {
    uint32_t abi_version; /* IOPKT_ABI_VERSION */
    uint32_t size;        /* sizeof(struct iopkt_driver) */
    const char *name;     /* "packet" */
    const char *description;
    const struct iopkt_option *options; /* NULL: none of its own */
    /* Opens the device and makes its links (at least one). `options` is the text
     * as the operator gave it, already checked against the table. */
    int (*attach)(const struct iopkt_host *host, void *host_ctx, const char *options);
};

/* ---------------------------------------------------------------- protocols */

#define IOPKT_LINK_NAME_MAX 16u

struct iopkt_link_desc {
    uint32_t index; /* as in if_nametoindex(3) */
    uint32_t mtu;
    uint32_t up;
    uint8_t mac[6];
    uint8_t reserved[2];
    char name[IOPKT_LINK_NAME_MAX];
};

/* A frame (Ethernet header first) or an IP packet (IP header first) that arrived
 * on a link. `data` is valid during the call only. */
typedef void (*iopkt_input_fn)(void *arg, uint32_t link, const uint8_t *data, uint32_t len);
typedef void (*iopkt_timer_fn)(void *arg);

/* What a protocol may call; all calls, both ways, are made by one thread. */
struct iopkt_stack {
    uint32_t abi_version;
    uint32_t size;
    void (*log)(void *stack_ctx, uint32_t level, const char *text);
    void (*fail)(void *stack_ctx, const char *text);
    const char *(*option)(void *stack_ctx, const char *key, uint32_t nth);
    uint32_t (*option_u32)(void *stack_ctx, const char *key, uint32_t otherwise);
    /* -EEXIST when another module has it, -EINVAL for one that the stack serves itself. */
    int (*register_ethertype)(void *stack_ctx, uint16_t ethertype, iopkt_input_fn input, void *arg);
    int (*register_ipproto)(void *stack_ctx, uint8_t protocol, iopkt_input_fn input, void *arg);
    /* Sends a whole frame, Ethernet header first; copied at once. -ENXIO: no such
     * link, -EMSGSIZE, -ENOBUFS. */
    int (*transmit)(void *stack_ctx, uint32_t link, const uint8_t *frame, uint32_t len);
    /* Fills up to n descriptions, gives back how many links there are. */
    int (*links)(void *stack_ctx, struct iopkt_link_desc *out, uint32_t n);
    /* Calls fn every `ms` milliseconds until detach. */
    int (*timer)(void *stack_ctx, uint32_t ms, iopkt_timer_fn fn, void *arg);
};

struct iopkt_protocol {
    uint32_t abi_version;
    uint32_t size;
    const char *name;
    const char *description;
    const struct iopkt_option *options;
    /* *module_ctx is the module's own; it comes back at detach. */
    int (*attach)(const struct iopkt_stack *stack, void *stack_ctx, const char *options, void **module_ctx);
    void (*detach)(void *module_ctx); /* may be NULL: can not be unloaded */
};

/* The symbols. A module defines one of them. */
extern const struct iopkt_driver iopkt_driver;
extern const struct iopkt_protocol iopkt_protocol;

#ifdef __cplusplus
}
#endif
#endif
