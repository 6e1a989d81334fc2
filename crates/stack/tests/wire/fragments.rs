//! Fragments and their reassembly: RFC 791 §3.2, RFC 8200 §4.5, RFC 5722, RFC 6946, RFC 7112.

use wire::icmpv4::{self, Icmpv4Message};
use wire::icmpv6::{self, Icmpv6Message};
use wire::ipv6::FragmentHeader;
use wire::proto;

use crate::harness::*;

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8).collect()
}

/// A piece of an IPv4 datagram with identification 77.
fn piece(whole: &[u8], from: usize, to: usize) -> Ip4 {
    let mut packet = Ip4::new(proto::UDP, whole[from..to].to_vec());
    (packet.header.id, packet.header.frag_offset, packet.header.mf) = (77, from as u16, to < whole.len());
    packet
}

fn piece6(whole: &[u8], from: usize, to: usize, id: u32) -> Ip6 {
    let mut payload = vec![0; 8];
    FragmentHeader { next: proto::UDP, offset: from as u16, more: to < whole.len(), id }.emit(&mut payload);
    payload.extend_from_slice(&whole[from..to]);
    Ip6::new(proto::IPV6_FRAG, payload)
}

fn datagram4() -> Vec<u8> {
    udp4(PEER, HOST, 2000, 1000, &bytes(2000))
}

fn datagram6() -> Vec<u8> {
    udp6(PEER6, HOST6, 2000, 1000, &bytes(2000))
}

fn host() -> Host {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    host
}

fn host6() -> Host {
    let mut host = Host::usual6();
    host.udp("[::]:1000");
    host
}

/// RFC 791 §3.2: fragments in order make the datagram.
#[test]
fn fragments_in_order_are_put_together() {
    let (mut host, whole) = (host(), datagram4());
    host.receive(piece(&whole, 0, 1480).frame());
    host.expect_no_datagram();
    host.receive(piece(&whole, 1480, 2008).frame());
    assert_eq!(host.datagram().2, bytes(2000));
    assert_eq!(host.counter("ip", "packets reassembled ok"), 1);
}

/// RFC 791 §3.2: in any order.
#[test]
fn fragments_in_any_order_are_put_together() {
    let (mut host, whole) = (host(), datagram4());
    for (from, to) in [(1600, 2008), (0, 800), (800, 1600)] {
        host.receive(piece(&whole, from, to).frame());
    }
    assert_eq!(host.datagram().2, bytes(2000));
}

/// RFC 8200 §4.5: the same for IPv6.
#[test]
fn ipv6_fragments_are_put_together() {
    let (mut host, whole) = (host6(), datagram6());
    for (from, to) in [(1600, 2008), (0, 800), (800, 1600)] {
        host.receive(piece6(&whole, from, to, 5).frame());
    }
    assert_eq!(host.datagram().2, bytes(2000));
}

/// RFC 791 §2.3: source, destination, protocol and identification tell datagrams apart.
#[test]
fn fragments_of_different_datagrams_do_not_mix() {
    let (mut host, whole) = (host(), datagram4());
    let mut other_id = piece(&whole, 1480, 2008);
    other_id.header.id = 78;
    let mut other_source = piece(&whole, 1480, 2008);
    other_source.header.src = OTHER;
    let mut other_protocol = piece(&whole, 1480, 2008);
    other_protocol.header.proto = proto::SCTP;
    host.receive(piece(&whole, 0, 1480).frame());
    for packet in [other_id, other_source, other_protocol] {
        host.receive(packet.frame());
        host.expect_no_datagram();
    }
    host.receive(piece(&whole, 1480, 2008).frame());
    assert_eq!(host.datagram().2, bytes(2000));
}

/// RFC 8200 §4.5: an exact duplicate is no overlap.
#[test]
fn an_exact_duplicate_is_passed_over() {
    let (mut host, whole) = (host6(), datagram6());
    for (from, to) in [(0, 800), (0, 800), (1600, 2008), (1600, 2008), (800, 1600)] {
        host.receive(piece6(&whole, from, to, 5).frame());
    }
    assert_eq!(host.datagram().2, bytes(2000));
    assert_eq!(host.counter("ip6", "fragments dropped (dup or out of space)"), 2);
}

/// RFC 5722 §4: fragments that overlap discard the datagram, what comes later included.
#[test]
fn overlapping_ipv6_fragments_discard_the_datagram() {
    let (mut host, whole) = (host6(), datagram6());
    for (from, to) in [(0, 800), (792, 1600), (800, 1600), (1600, 2008)] {
        host.receive(piece6(&whole, from, to, 5).frame());
    }
    host.expect_no_datagram();
    host.expect_nothing();
    assert_eq!(host.counter("ip6", "fragments that exceeded limit or overlap"), 3);
    for (from, to) in [(0, 800), (800, 1600), (1600, 2008)] {
        host.receive(piece6(&whole, from, to, 6).frame());
    }
    assert_eq!(host.datagram().2, bytes(2000));
}

/// The same rule for IPv4: an overlap is an attack on whoever looked at the first fragment (RFC 1858).
#[test]
fn overlapping_ipv4_fragments_discard_the_datagram() {
    let (mut host, whole) = (host(), datagram4());
    for (from, to) in [(0, 800), (8, 1600), (800, 1600), (1600, 2008)] {
        host.receive(piece(&whole, from, to).frame());
    }
    host.expect_no_datagram();
}

/// RFC 6946 §4: an atomic fragment is a whole by itself, whatever has its identification.
#[test]
fn an_atomic_fragment_is_delivered_alone() {
    let (mut host, whole) = (host6(), datagram6());
    host.receive(piece6(&whole, 0, 800, 5).frame());
    let small = udp6(PEER6, HOST6, 2000, 1000, b"atomic");
    host.receive(piece6(&small, 0, small.len(), 5).frame());
    assert_eq!(host.datagram().2, b"atomic");
    for (from, to) in [(800, 1600), (1600, 2008)] {
        host.receive(piece6(&whole, from, to, 5).frame());
    }
    assert_eq!(host.datagram().2, bytes(2000));
}

/// RFC 792, RFC 1122 §3.3.2: after the time is up, time exceeded quotes the first fragment.
#[test]
fn an_incomplete_datagram_is_given_up_in_time() {
    let (mut host, whole) = (host(), datagram4());
    let first = piece(&whole, 0, 1480);
    host.receive(first.frame());
    host.advance(29_900);
    host.expect_nothing();
    host.advance(200);
    let packet = host.expect_ip4();
    let Icmpv4Message::TimeExceeded { code: icmpv4::TIME_REASSEMBLY, original } = packet.icmp() else {
        panic!("time exceeded")
    };
    assert_eq!(original, &first.packet()[..548]);
    host.receive(piece(&whole, 1480, 2008).frame());
    host.expect_no_datagram();
    assert_eq!(host.counter("ip", "fragments dropped after timeout"), 1);
}

/// RFC 8200 §4.5: sixty seconds, then ICMPv6 time exceeded, code 1.
#[test]
fn an_incomplete_ipv6_datagram_is_given_up_after_a_minute() {
    let (mut host, whole) = (host6(), datagram6());
    host.receive(piece6(&whole, 0, 800, 5).frame());
    host.advance(59_900);
    host.expect_nothing();
    host.advance(200);
    let packet = host.expect_ip6();
    assert!(matches!(packet.icmp(), Icmpv6Message::TimeExceeded { code: icmpv6::TIME_REASSEMBLY, .. }));
}

/// RFC 792, RFC 8200 §4.5: without the first fragment nobody is told.
#[test]
fn without_the_first_fragment_nobody_is_told() {
    let (mut host, whole) = (host(), datagram4());
    host.receive(piece(&whole, 1480, 2008).frame());
    host.advance(31_000);
    host.expect_nothing();
    let mut host = host6();
    host.receive(piece6(&datagram6(), 1600, 2008, 5).frame());
    host.advance(61_000);
    host.expect_nothing();
}

/// RFC 8200 §4.5: a fragment that is not the last and no multiple of 8 bytes: parameter problem at
/// the payload length.
#[test]
fn an_odd_length_ipv6_fragment_is_a_parameter_problem() {
    let mut host = host6();
    host.receive(piece6(&datagram6(), 0, 801, 5).frame());
    let packet = host.expect_ip6();
    let Icmpv6Message::ParameterProblem { code: 0, pointer, .. } = packet.icmp() else { panic!("a problem") };
    assert_eq!(pointer, 4);
}

/// RFC 791 §3.2: for IPv4 it is discarded.
#[test]
fn an_odd_length_ipv4_fragment_is_discarded() {
    let mut host = host();
    host.receive(piece(&datagram4(), 0, 801).frame());
    host.expect_nothing();
    assert_eq!(host.counter("ip", "malformed fragments dropped"), 1);
}

/// RFC 8200 §4.5: a whole beyond 65,535 bytes: parameter problem at the fragment offset.
#[test]
fn an_ipv6_fragment_beyond_the_largest_packet_is_a_parameter_problem() {
    let mut host = host6();
    let mut payload = vec![0; 8];
    FragmentHeader { next: proto::UDP, offset: 65_528, more: false, id: 5 }.emit(&mut payload);
    payload.extend_from_slice(&[0; 64]);
    host.receive(Ip6::new(proto::IPV6_FRAG, payload).frame());
    let packet = host.expect_ip6();
    let Icmpv6Message::ParameterProblem { code: 0, pointer, .. } = packet.icmp() else { panic!("a problem") };
    assert_eq!(pointer, 42);
}

/// RFC 791 §3.1 ("ping of death"): for IPv4 it is discarded.
#[test]
fn an_ipv4_fragment_beyond_the_largest_packet_is_discarded() {
    let mut host = host();
    let mut packet = Ip4::new(proto::UDP, vec![0; 64]);
    packet.header.frag_offset = 65_528;
    host.receive(packet.frame());
    host.expect_nothing();
    assert_eq!(host.counter("ip", "malformed fragments dropped"), 1);
}

/// RFC 7112 §5: the first fragment holds the whole header chain.
#[test]
fn a_first_fragment_without_the_upper_header_is_refused() {
    let mut host = host6();
    let mut payload = vec![0; 8];
    FragmentHeader { next: proto::DSTOPTS, offset: 0, more: true, id: 5 }.emit(&mut payload);
    payload.extend_from_slice(&[proto::TCP, 0, 1, 4, 0, 0, 0, 0]);
    host.receive(Ip6::new(proto::IPV6_FRAG, payload).frame());
    let packet = host.expect_ip6();
    assert!(matches!(packet.icmp(), Icmpv6Message::ParameterProblem { code: icmpv6::PARAM_INCOMPLETE_CHAIN, .. }));
}

/// Fragments must agree where the datagram ends.
#[test]
fn contradicting_ends_are_refused() {
    let (mut host, whole) = (host(), datagram4());
    host.receive(piece(&whole, 1600, 2008).frame());
    let mut beyond = piece(&whole, 0, 800);
    beyond.header.frag_offset = 2400;
    host.receive(beyond.frame());
    let mut early_end = piece(&whole, 800, 1600);
    early_end.header.mf = false;
    host.receive(early_end.frame());
    assert_eq!(host.counter("ip", "malformed fragments dropped"), 2);
    host.receive(piece(&whole, 0, 800).frame());
    host.receive(piece(&whole, 800, 1600).frame());
    assert_eq!(host.datagram().2, bytes(2000));
}

/// Memory for reassembly is bounded: the oldest datagram goes.
#[test]
fn the_memory_for_reassembly_is_bounded() {
    let (mut host, whole) = (host(), udp4(PEER, HOST, 2000, 1000, &bytes(60_000)));
    for id in 0..40u16 {
        let mut last = piece(&whole, 59_200, 60_008);
        last.header.id = id;
        host.receive(last.frame());
    }
    assert!(host.counter("ip", "fragments dropped (dup or out of space)") >= 20);
    for from in (0..60_008).step_by(1400) {
        let mut packet = piece(&whole, from, (from + 1400).min(60_008));
        packet.header.id = 100;
        host.receive(packet.frame());
    }
    assert_eq!(host.datagram().2, bytes(60_000));
}

/// RFC 791 §2.3: a datagram larger than the MTU is cut at multiples of 8, all with one
/// identification.
#[test]
fn a_large_datagram_is_cut() {
    let mut host = host();
    let id = host.udp("0.0.0.0:999");
    host.send_to(id, "192.168.1.1:2000", &bytes(4000)).expect("sent");
    let pieces: Vec<Ip4> = (0..3).map(|_| host.expect_ip4()).collect();
    host.expect_nothing();
    let places: Vec<(u16, bool, usize)> =
        pieces.iter().map(|p| (p.header.frag_offset, p.header.mf, p.payload.len())).collect();
    assert_eq!(places, [(0, true, 1480), (1480, true, 1480), (2960, false, 1048)]);
    assert!(pieces.iter().all(|p| p.header.id == pieces[0].header.id && !p.header.df));
    let mut whole = Ip4::new(proto::UDP, pieces.iter().flat_map(|p| p.payload.clone()).collect());
    (whole.header.src, whole.header.dst) = (HOST, PEER);
    assert_eq!(whole.udp().1, bytes(4000));
}

/// RFC 8200 §4.5: the same for IPv6, with a fragment header.
#[test]
fn a_large_ipv6_datagram_is_cut() {
    let mut host = host6();
    let id = host.udp("[::]:999");
    host.send_to(id, "[2001:db8::2]:2000", &bytes(3000)).expect("sent");
    let pieces: Vec<Ip6> = (0..3).map(|_| host.expect_ip6()).collect();
    host.expect_nothing();
    let mut whole = Vec::new();
    for p in &pieces {
        assert!(p.header.next_header == proto::IPV6_FRAG && p.payload.len() + 40 <= 1500);
        let (header, data) = FragmentHeader::parse(&p.payload).expect("a fragment header");
        assert_eq!(usize::from(header.offset), whole.len());
        whole.extend_from_slice(data);
    }
    assert_eq!(whole, udp6(HOST6, PEER6, 999, 2000, &bytes(3000)));
}

/// RFC 7739: identifications of different datagrams differ.
#[test]
fn identifications_differ() {
    let mut host = host();
    let id = host.udp("0.0.0.0:999");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        host.send_to(id, "192.168.1.1:2000", &bytes(2000)).expect("sent");
        seen.insert(host.expect_ip4().header.id);
        host.expect_ip4();
    }
    assert_eq!(seen.len(), 100);
}

/// RFC 791 §3.2: a zero-length or lone "more" fragment is nothing.
#[test]
fn an_empty_fragment_is_discarded() {
    let mut host = host();
    let mut packet = Ip4::new(proto::UDP, Vec::new());
    packet.header.mf = true;
    host.receive(packet.frame());
    assert_eq!(host.counter("ip", "malformed fragments dropped"), 1);
}

/// RFC 8200 §4.5: the reassembled packet's headers are those of the fragment at offset 0, whichever
/// came last.
#[test]
fn the_headers_are_those_of_the_first_fragment() {
    let (mut host, whole) = (host6(), datagram6());
    let mut first = piece6(&whole, 0, 800, 5);
    (first.header.hop_limit, first.header.traffic_class) = (77, 0x20);
    let mut last = piece6(&whole, 800, 2008, 5);
    // What a fragment behind the first says of the next header counts for nothing.
    last.payload[0] = proto::TCP;
    (last.header.hop_limit, last.header.traffic_class) = (11, 0x40);
    host.receive(first.frame());
    host.receive(last.frame());
    let (_, meta, data) = host.datagram();
    assert_eq!((meta.ttl, meta.tos, data.len()), (77, 0x20, 2000));
}

/// RFC 791 §3.2: the same for IPv4.
#[test]
fn the_ipv4_header_is_that_of_the_first_fragment() {
    let (mut host, whole) = (host(), datagram4());
    let (mut first, mut last) = (piece(&whole, 0, 800), piece(&whole, 800, 2008));
    (first.header.ttl, first.header.tos) = (77, 0x20);
    (last.header.ttl, last.header.tos) = (11, 0x40);
    host.receive(first.frame());
    host.receive(last.frame());
    let (_, meta, _) = host.datagram();
    assert_eq!((meta.ttl, meta.tos), (77, 0x20));
}

/// RFC 5722 §4: a piece of what has come already is an overlap like any other, even with the same
/// bytes: only a fragment that was the same by itself is a duplicate (RFC 8200 §4.5).
#[test]
fn a_part_of_a_fragment_is_an_overlap() {
    let (mut host, whole) = (host6(), datagram6());
    for (from, to) in [(0, 800), (80, 160), (800, 1600), (1600, 2008)] {
        host.receive(piece6(&whole, from, to, 5).frame());
    }
    host.expect_no_datagram();
}

/// RFC 5722 §4: so is one that spans two others, or the same place with other bytes.
#[test]
fn other_overlaps_discard_the_datagram() {
    let whole = datagram6();
    let mut forged = piece6(&whole, 0, 800, 5);
    *forged.payload.last_mut().expect("not empty") ^= 1;
    for overlap in [piece6(&whole, 0, 1600, 5), forged] {
        let mut host = host6();
        host.receive(piece6(&whole, 0, 800, 5).frame());
        host.receive(piece6(&whole, 800, 1600, 5).frame());
        host.receive(overlap.frame());
        host.receive(piece6(&whole, 1600, 2008, 5).frame());
        host.expect_no_datagram();
        assert_eq!(host.counter("ip6", "fragments that exceeded limit or overlap"), 2);
    }
}

/// RFC 8200 §4.1: a packet has one Fragment header; one inside what was put together, were it of a
/// whole, is refused.
#[test]
fn a_fragment_header_inside_a_reassembled_packet_is_refused() {
    for more in [true, false] {
        let mut host = host6();
        let mut inner = vec![0; 8];
        FragmentHeader { next: proto::UDP, offset: 0, more, id: 9 }.emit(&mut inner);
        inner.extend_from_slice(&udp6(PEER6, HOST6, 2000, 1000, &bytes(100)));
        for (from, to) in [(0, 64), (64, inner.len())] {
            let mut fragment = piece6(&inner, from, to, 5);
            fragment.payload[0] = proto::IPV6_FRAG;
            host.receive(fragment.frame());
        }
        host.expect_no_datagram();
        assert_eq!(host.counter("ip6", "packets reassembled ok"), 1);
    }
}
