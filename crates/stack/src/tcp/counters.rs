//! TCP's counters, with the sentences of `netstat -s`.

macro_rules! counters {
    ($($name:ident: $text:literal,)*) => {
        #[derive(Clone, Debug, Default)]
        pub struct Counters { $(#[doc = $text] pub $name: u64,)* }

        impl Counters {
            /// Calls `each` with every counter's sentence and value.
            pub fn for_each(&self, each: &mut dyn FnMut(&'static str, u64)) {
                $(each($text, self.$name);)*
            }
        }
    };
}

counters! {
    sent: "packets sent",
    sent_data: "data packets sent",
    sent_bytes: "data bytes sent",
    retransmitted: "data packets retransmitted",
    retransmitted_bytes: "data bytes retransmitted",
    acks_sent: "ack-only packets sent",
    delayed_acks: "delayed acks sent",
    window_updates_sent: "window update packets sent",
    window_probes_sent: "window probe packets sent",
    resets_sent: "resets sent",
    challenge_acks: "challenge acks sent",
    challenge_acks_limited: "challenge acks held back by the rate limit",
    received: "packets received",
    received_bytes: "data bytes received in sequence",
    received_acks: "acks received",
    duplicate_acks: "duplicate acks received",
    received_duplicate: "completely duplicate packets received",
    received_out_of_order: "out-of-order packets received",
    out_of_order_dropped: "out-of-order packets dropped (list or buffer full)",
    received_after_window: "packets of data received after the window",
    received_after_close: "packets received after close",
    paws_dropped: "packets dropped by old timestamps",
    missing_timestamp: "packets dropped for a missing timestamp",
    bad_checksum: "packets discarded for bad checksums",
    malformed: "packets discarded for bad header fields",
    bad_resets: "resets with a wrong sequence number",
    no_connection: "packets for no connection",
    connects: "connection requests",
    accepts: "connection accepts",
    established: "connections established",
    closed: "connections closed",
    failed: "connection attempts failed",
    dropped: "connections dropped by reset or time-out",
    listen_overflows: "listen queue overflows",
    syns_dropped: "SYNs dropped (half-open queue or table full)",
    fast_retransmits: "fast retransmits",
    timeouts: "retransmit time-outs",
    syn_timeouts: "connection request time-outs",
    persist_timeouts: "persist time-outs",
    keepalive_timeouts: "keepalive probes sent",
    keepalive_drops: "connections dropped by keepalive",
    retry_drops: "connections dropped by retransmit time-out",
    time_wait_evicted: "TIME_WAIT connections evicted (table full)",
    time_wait_reused: "TIME_WAIT connections reused",
    sack_blocks: "SACK blocks received",
    sack_blocks_bad: "SACK blocks discarded",
    path_mtu_changes: "path MTU reductions taken",
    ports_exhausted: "connects refused, no free port",
}
