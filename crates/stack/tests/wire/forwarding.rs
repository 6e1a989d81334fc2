//! Packets between links: RFC 1812 §5, RFC 8200 §3, RFC 4443 §3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stack::{LinkId, Offloads};
use wire::icmpv4::{self, Icmpv4Message};
use wire::icmpv6::{self, Icmpv6Message};
use wire::proto;

use crate::harness::*;

const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const THERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
const THERE_MAC: wire::MacAddr = wire::MacAddr([2, 0, 0, 0, 0, 9]);

/// A router between [`PEER`] on en0 and [`THERE`] on en1, whose MTU is 1400.
fn router(on: i64) -> (Host, LinkId) {
    let mut host = Host::v6("2001:db8::100/64");
    host.add_address("192.168.1.100/24");
    let en0 = host.link;
    let en1 = host.add_link("en1", wire::MacAddr([2, 0, 0, 0, 0, 8]), 1400, Offloads::default());
    host.link = en1;
    host.add_address("10.0.0.1/24");
    host.add_address("2001:db8:2::1/64");
    host.sysctl("net.inet.ip.forwarding", on);
    host.sysctl("net.inet6.ip6.forwarding", on);
    host.settle();
    host.know(THERE.into(), THERE_MAC);
    host.know(THERE6.into(), THERE_MAC);
    host.link = en0;
    host.know(PEER.into(), PEER_MAC);
    host.know(PEER6.into(), PEER_MAC);
    (host, en1)
}

fn packet(len: usize) -> Ip4 {
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, THERE, 1, 2, &vec![7; len]));
    packet.header.dst = THERE;
    packet
}

fn packet6(len: usize) -> Ip6 {
    let mut packet = Ip6::new(proto::UDP, udp6(PEER6, THERE6, 1, 2, &vec![7; len]));
    packet.header.dst = THERE6;
    packet
}

/// RFC 1122 §3.3.1: a host passes nothing on unless it is told to be a router.
#[test]
fn a_host_passes_nothing_on() {
    let (mut host, _) = router(0);
    host.receive(packet(10).frame());
    host.receive(packet6(10).frame());
    host.expect_nothing();
    assert_eq!(host.counter("ip", "packets not forwardable"), 1);
}

/// RFC 1812 §5.2.1, §5.3.1: it goes on with one hop less and a checksum to match.
#[test]
fn a_packet_goes_on_with_one_hop_less() {
    let (mut host, en1) = router(1);
    host.receive(packet(10).frame());
    let out = Ip4::of(&host.expect_on(en1));
    assert_eq!((out.dst_mac, out.header.ttl, out.udp().1), (THERE_MAC, 63, vec![7; 10]));
    host.receive(packet6(10).frame());
    let out = Ip6::of(&host.expect_on(en1));
    assert_eq!((out.dst_mac, out.header.hop_limit, out.payload), (THERE_MAC, 63, packet6(10).payload));
}

/// RFC 792, RFC 4443 §3.3: the last hop is spent: time exceeded.
#[test]
fn the_last_hop_is_time_exceeded() {
    let (mut host, _) = router(1);
    let mut dying = packet(10);
    dying.header.ttl = 1;
    host.receive(dying.frame());
    let answer = host.expect_ip4();
    assert_eq!(answer.header.src, HOST);
    assert!(matches!(answer.icmp(), Icmpv4Message::TimeExceeded { code: icmpv4::TIME_TTL, .. }));
    let mut dying = packet6(10);
    dying.header.hop_limit = 1;
    host.receive(dying.frame());
    assert!(matches!(host.expect_ip6().icmp(), Icmpv6Message::TimeExceeded { code: icmpv6::TIME_HOP_LIMIT, .. }));
}

/// RFC 1812 §5.2.7.1, RFC 4443 §3.1: no route.
#[test]
fn no_route_is_unreachable() {
    let (mut host, _) = router(1);
    let mut lost = packet(10);
    lost.header.dst = FAR;
    host.receive(lost.frame());
    assert!(matches!(host.expect_ip4().icmp(), Icmpv4Message::DestUnreachable { code: icmpv4::UNREACH_NET, .. }));
    let mut lost = packet6(10);
    lost.header.dst = FAR6;
    host.receive(lost.frame());
    assert!(matches!(host.expect_ip6().icmp(), Icmpv6Message::DestUnreachable { code: icmpv6::UNREACH_NO_ROUTE, .. }));
}

/// RFC 1191 §4, RFC 4443 §3.2: too large for the next link, and not to be cut.
#[test]
fn too_large_names_the_mtu() {
    let (mut host, _) = router(1);
    let mut large = packet(1400);
    large.header.df = true;
    host.receive(large.frame());
    assert!(matches!(
        host.expect_ip4().icmp(),
        Icmpv4Message::DestUnreachable { code: icmpv4::UNREACH_FRAG_NEEDED, next_hop_mtu: 1400, .. }
    ));
    host.receive(packet6(1400).frame());
    assert!(matches!(host.expect_ip6().icmp(), Icmpv6Message::PacketTooBig { mtu: 1400, .. }));
}

/// RFC 791 §2.3: too large, and free to be cut.
#[test]
fn a_packet_is_cut_on_its_way() {
    let (mut host, en1) = router(1);
    host.receive(packet(1400).frame());
    let (a, b) = (Ip4::of(&host.expect_on(en1)), Ip4::of(&host.expect_on(en1)));
    assert_eq!((a.header.ttl, a.header.mf, a.header.frag_offset, a.payload.len()), (63, true, 0, 1376));
    assert_eq!((b.header.mf, b.header.frag_offset), (false, 1376));
    assert_eq!([a.payload, b.payload].concat(), packet(1400).payload);
}

/// RFC 1812 §5.3.7, RFC 4291 §2.5.6: link-local and impossible addresses stay where they are.
#[test]
fn link_local_addresses_are_not_passed_on() {
    let (mut host, _) = router(1);
    let mut local = packet6(10);
    local.header.src = PEER_LL;
    host.receive(local.frame());
    let mut zero = packet(10);
    zero.header.src = Ipv4Addr::UNSPECIFIED;
    host.receive(zero.frame());
    host.expect_nothing();
}

/// RFC 1812 §4.3.3.1: the neighbour beyond does not answer: host unreachable, to the sender.
#[test]
fn an_absent_neighbour_is_host_unreachable() {
    let (mut host, en1) = router(1);
    host.stack.net.delete_neighbour(host.now, Some(en1), IpAddr::V4(THERE)).expect("known");
    host.receive(packet(10).frame());
    host.advance(3100);
    for _ in 0..3 {
        host.expect_arp();
    }
    let answer = host.expect_ip4();
    assert_eq!(answer.header.dst, PEER);
    assert!(matches!(answer.icmp(), Icmpv4Message::DestUnreachable { code: icmpv4::UNREACH_HOST, .. }));
}

/// route(8), -reject and -blackhole: refused with an error, or in silence.
#[test]
fn reject_and_blackhole_routes_refuse() {
    let (mut host, _) = router(1);
    let mut add = |dst: &str, flags: u32| {
        let cidr: wire::IpCidr = dst.parse().expect("literal");
        let spec = stack::net::RouteSpec {
            dst: cidr.addr,
            prefix_len: cidr.prefix_len,
            gateway: None,
            link: None,
            flags,
            mtu: None,
            source: None,
        };
        host.stack.net.add_route(host.now, spec, false).expect("added");
    };
    add("198.51.100.0/24", stack::net::rtf::REJECT);
    add("203.0.113.0/24", stack::net::rtf::BLACKHOLE);
    let mut lost = packet(10);
    lost.header.dst = Ipv4Addr::new(203, 0, 113, 1);
    host.receive(lost.frame());
    host.expect_nothing();
    lost.header.dst = FAR;
    host.receive(lost.frame());
    assert!(matches!(host.expect_ip4().icmp(), Icmpv4Message::DestUnreachable { .. }));
    let id = host.udp("0.0.0.0:1000");
    assert_eq!(host.send_to(id, "198.51.100.7:9", b"x"), Err(stack::Errno::EHOSTUNREACH));
}

/// RFC 1122 §3.3.4.2, weak model: an address of another of our links is ours on every link.
#[test]
fn an_address_of_another_link_is_ours() {
    let (mut host, _) = router(0);
    let mut request = Ip4::new(proto::ICMP, Icmpv4Message::EchoRequest { id: 1, seq: 1, data: b"" }.to_vec());
    request.header.dst = Ipv4Addr::new(10, 0, 0, 1);
    host.receive(request.frame());
    assert_eq!(host.expect_ip4().header.src, Ipv4Addr::new(10, 0, 0, 1));
}
