//! Counters under the sentences that `netstat -s` prints. Plain numbers of one shard; readers sum.

/// Declares a struct of counters and how to read it out.
macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident = $group:literal { $($field:ident: $text:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $(pub $field: u64,)*
        }

        impl $name {
            /// Calls `each` with (protocol, sentence, value) of every counter.
            pub fn for_each(&self, each: &mut dyn FnMut(&'static str, &'static str, u64)) {
                let Self { $($field),* } = self;
                $(each($group, $text, *$field);)*
            }
        }
    )*};
}
pub(crate) use counters;

counters! {
    Ether = "ether" {
        runts: "frames too short",
        not_ours: "frames for another station",
        unknown_type: "frames of an unknown type",
        link_down: "frames on a link that is down",
        looped_full: "packets to ourselves dropped due to full queue",
    }
    Arp = "arp" {
        sent: "packets sent",
        reply_sent: "reply packets sent",
        request_sent: "request packets sent",
        announce_sent: "announcements sent",
        received: "packets received",
        reply_received: "reply packets received",
        request_received: "valid request packets received",
        malformed: "packets with bad format",
        bad_source: "packets with bad sender address",
        not_local: "packets from another subnet",
        broadcast_sender: "packets with group hardware address",
        duplicate: "duplicates for a local IP address",
        updates: "entries updated",
        overwrite_permanent: "attempts to overwrite a static entry",
        dropped_queue: "packets dropped due to full neighbour queue",
        dropped_failed: "packets dropped due to unresolved neighbour",
        table_full: "packets dropped due to full neighbour table",
        deferred: "packets deferred pending resolution",
    }
    Ip4 = "ip" {
        received: "total packets received",
        bad_checksum: "bad header checksums",
        too_small: "with size smaller than minimum",
        too_short: "with data size < data length",
        bad_header_len: "with header length < data size",
        bad_options: "with bad options",
        bad_version: "with incorrect version number",
        bad_address: "datagrams with bad address in header",
        fragments: "fragments received",
        fragments_dropped: "fragments dropped (dup or out of space)",
        fragments_malformed: "malformed fragments dropped",
        fragments_overlap: "fragments dropped due to overlap",
        fragments_timeout: "fragments dropped after timeout",
        reassembled: "packets reassembled ok",
        delivered: "packets for this host",
        unknown_protocol: "packets for unknown/unsupported protocol",
        forwarded: "packets forwarded",
        not_forwardable: "packets not forwardable",
        sent: "packets sent from this host",
        sent_raw: "packets sent with fabricated ip header",
        no_buffers: "output packets dropped due to no bufs, etc.",
        no_route: "output packets discarded due to no route",
        fragmented: "output datagrams fragmented",
        fragments_created: "fragments created",
        cannot_fragment: "datagrams that can't be fragmented",
        filtered: "packets dropped by the filter",
        group_not_joined: "multicasts received for which no memberships exist",
    }
    Ip6 = "ip6" {
        received: "total packets received",
        too_small: "with size smaller than minimum",
        too_short: "with data size < data length",
        bad_options: "with bad options",
        bad_version: "with incorrect version number",
        fragments: "fragments received",
        fragments_dropped: "fragments dropped (dup or out of space)",
        fragments_malformed: "malformed fragments dropped",
        fragments_overlap: "fragments that exceeded limit or overlap",
        fragments_timeout: "fragments dropped after timeout",
        reassembled: "packets reassembled ok",
        delivered: "packets for this host",
        unknown_protocol: "packets for unknown/unsupported protocol",
        forwarded: "packets forwarded",
        not_forwardable: "packets not forwardable",
        sent: "packets sent from this host",
        sent_raw: "packets sent with fabricated ip header",
        no_buffers: "output packets dropped due to no bufs, etc.",
        no_route: "output packets discarded due to no route",
        fragmented: "output datagrams fragmented",
        fragments_created: "fragments created",
        cannot_fragment: "datagrams that can't be fragmented",
        bad_scope: "packets that violated scope rules",
        group_not_joined: "multicast packets which we don't join",
        bad_headers: "packets whose headers are not continuous",
        filtered: "packets dropped by the filter",
    }
    Icmp4 = "icmp" {
        errors: "calls to icmp_error",
        not_about_icmp: "errors not generated because old message was icmp",
        not_about_group: "errors not generated because old packet was to a group or broadcast",
        limited: "errors not generated due to rate limiting",
        bad_code: "messages with bad code fields",
        too_short: "messages < minimum length",
        bad_checksum: "bad checksums",
        bad_length: "messages with bad length",
        group_echo: "multicast echo requests ignored",
        received: "messages received",
        sent: "messages sent",
        echo_requests: "echo requests received",
        echo_replies: "echo replies received",
        responses: "message responses generated",
        unreachable_received: "destination unreachable messages received",
        exceeded_received: "time exceeded messages received",
        redirects_received: "redirects received",
        redirects_bad: "redirects ignored",
        path_mtu: "path MTU changes",
    }
    Icmp6 = "icmp6" {
        errors: "calls to icmp6_error",
        not_about_icmp: "errors not generated because old message was icmp6 error or so",
        not_about_group: "errors not generated because old packet was to a group",
        limited: "errors not generated because of rate limitation",
        bad_code: "messages with bad code fields",
        too_short: "messages < minimum length",
        bad_checksum: "bad checksums",
        bad_length: "messages with bad length",
        received: "messages received",
        sent: "messages sent",
        echo_requests: "echo requests received",
        echo_replies: "echo replies received",
        responses: "message responses generated",
        unreachable_received: "destination unreachable messages received",
        too_big_received: "packet too big messages received",
        exceeded_received: "time exceeded messages received",
        parameter_received: "parameter problem messages received",
        bad_ns: "bad neighbor solicitation messages",
        bad_na: "bad neighbor advertisement messages",
        bad_rs: "bad router solicitation messages",
        bad_ra: "bad router advertisement messages",
        bad_redirect: "bad redirect messages",
        ns_received: "neighbor solicitations received",
        na_received: "neighbor advertisements received",
        ra_received: "router advertisements received",
        redirects_received: "redirects received",
        ns_sent: "neighbor solicitations sent",
        na_sent: "neighbor advertisements sent",
        rs_sent: "router solicitations sent",
        path_mtu: "path MTU changes",
        duplicates: "duplicate addresses found",
        dropped_queue: "packets dropped due to full neighbour queue",
        dropped_failed: "packets dropped due to unresolved neighbour",
        table_full: "packets dropped due to full neighbour table",
        deferred: "packets deferred pending resolution",
        too_many_options: "messages with too many ND options",
        nd_fragmented: "neighbour discovery messages in fragments ignored",
    }
    Igmp = "igmp" {
        received: "messages received",
        too_short: "messages received with too few bytes",
        bad_checksum: "messages received with bad checksum",
        queries: "membership queries received",
        bad_queries: "membership queries received with invalid fields",
        reports: "membership reports received",
        reports_sent: "membership reports sent",
    }
    Mld = "mld" {
        bad_queries: "membership queries received with invalid fields",
        queries: "membership queries received",
        reports: "membership reports received",
        reports_sent: "membership reports sent",
    }
}

/// All counters of one `Net`.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub ether: Ether,
    pub arp: Arp,
    pub ip4: Ip4,
    pub ip6: Ip6,
    pub icmp4: Icmp4,
    pub icmp6: Icmp6,
    pub igmp: Igmp,
    pub mld: Mld,
}

impl Counters {
    pub fn for_each(&self, each: &mut dyn FnMut(&'static str, &'static str, u64)) {
        let Self { ether, arp, ip4, ip6, icmp4, icmp6, igmp, mld } = self;
        ip4.for_each(each);
        icmp4.for_each(each);
        igmp.for_each(each);
        ip6.for_each(each);
        icmp6.for_each(each);
        mld.for_each(each);
        arp.for_each(each);
        ether.for_each(each);
    }
}

/// What a link carried, as `netstat -i` and `nicinfo` show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub rx_multicast: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
    pub tx_multicast: u64,
}
