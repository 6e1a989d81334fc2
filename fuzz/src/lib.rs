//! What may come from outside, tried with any bytes: one function a target, with the invariants asserted in it.
//!
//! libFuzzer looks for inputs (`fuzz/libfuzzer`, nightly); what it found worth keeping lies in `fuzz/corpus/TARGET` and
//! is replayed on stable by `cargo test -p fuzz`, with some mutations of it. `docs/testing.md` says how to run all that.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod control;
pub mod engine;
pub mod formats;
pub mod mutate;
pub mod names;
pub mod rings;
pub mod seeds;

/// Takes any input; panics when an invariant is broken.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus folder and of its libFuzzer binary.
pub const TARGETS: &[(&str, Target)] = &[
    ("ethernet", formats::link::ethernet),
    ("arp", formats::link::arp),
    ("ipv4", formats::ipv4::packet),
    ("ipv4_options", formats::ipv4::options),
    ("ipv6", formats::ipv6::packet),
    ("ipv6_chain", formats::ipv6::chain),
    ("icmpv4", formats::icmp::v4),
    ("icmpv6", formats::icmp::v6),
    ("ndp", formats::ndp::message),
    ("igmp", formats::groups::igmp),
    ("mld", formats::groups::mld),
    ("udp", formats::transport::udp),
    ("tcp", formats::transport::tcp),
    ("tcp_options", formats::transport::tcp_options),
    ("checksum", formats::sums::checksum),
    ("text", formats::text::addresses),
    ("control_call", control::call),
    ("control_config", control::config),
    ("dns_response", names::response),
    ("dns_lookup", names::lookup),
    ("resolv_conf", names::resolv_conf),
    ("hosts", names::hosts),
    ("rings", rings::daemon),
    ("stack_frames", engine::frames),
    ("stack_session", engine::session),
    ("stack_tcp", engine::tcp),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
}
