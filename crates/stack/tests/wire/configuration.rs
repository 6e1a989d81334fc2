//! The operator's view: links, addresses, routes, neighbours, switches.

use std::net::IpAddr;

use stack::net::{LinkRequest, LinkRequestKind, LinkSetup, RouteSpec, iff, rtf};
use stack::{Errno, LinkId, Offloads};

use crate::harness::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("literal")
}

fn spec(dst: &str, gateway: Option<&str>) -> RouteSpec {
    let cidr: wire::IpCidr = dst.parse().expect("literal");
    RouteSpec {
        dst: cidr.addr,
        prefix_len: cidr.prefix_len,
        gateway: gateway.map(ip),
        link: None,
        flags: 0,
        mtu: None,
        source: None,
    }
}

/// The interface of the spec text: flags=8843 and the addresses as configured.
#[test]
fn an_interface_shows_as_configured() {
    let host = Host::v4("192.168.1.100/24");
    let link = host.stack.net.link(host.link).expect("there");
    assert_eq!((link.name, link.flags, link.mtu), ("en0", 0x8843, 1500));
    let addr = &link.addresses[0];
    assert_eq!((addr.addr, addr.prefix_len, addr.broadcast), (HOST.into(), 24, Some(SUBNET_BROADCAST)));
    let lo0 = host.stack.net.link(LinkId::LOOPBACK).expect("there");
    assert_eq!((lo0.name, lo0.flags, lo0.mtu), ("lo0", 0x8049, 33_192));
}

#[test]
fn names_are_taken_once_and_lo0_stays() {
    let mut host = Host::bare();
    let setup = LinkSetup {
        name: "en0".into(),
        mac: OTHER_MAC,
        mtu: 1500,
        offloads: Offloads::default(),
        driver: String::new(),
        media: String::new(),
        link_up: true,
    };
    assert_eq!(host.stack.net.add_link(host.now, setup), Err(Errno::EEXIST));
    assert_eq!(host.stack.net.remove_link(host.now, LinkId::LOOPBACK), Err(Errno::EINVAL));
    assert_eq!(host.stack.net.remove_link(host.now, LinkId(9)), Err(Errno::ENXIO));
}

/// Everything of a link goes with it, and nothing falls due afterwards.
#[test]
fn a_removed_link_leaves_nothing_behind() {
    let mut host = Host::usual6();
    host.add_address("192.168.1.100/24");
    let id = host.udp("[::]:1000");
    let _ = host.send_to(id, "[2001:db8::77]:9", b"waits");
    host.stack.net.remove_link(host.now, host.link).expect("removed");
    assert!(host.stack.net.routes().all(|r| r.link == LinkId::LOOPBACK));
    assert_eq!((host.stack.net.neighbours().count(), host.stack.net.link_by_name("en0")), (0, None));
    assert!(!host.stack.net.is_local(HOST.into()));
    host.run();
    while host.next_frame().is_some() {}
    host.advance(100_000);
    host.expect_nothing();
    host.receive(udp4_frame(1, 1000, b"x"));
    host.expect_no_datagram();
}

#[test]
fn addresses_are_checked() {
    let mut host = Host::v4("192.168.1.100/24");
    let mut add = |addr: &str, len| host.stack.net.add_address(host.now, host.link, ip(addr), len, None);
    assert_eq!(add("192.168.1.100", 24), Err(Errno::EEXIST));
    assert_eq!(add("10.0.0.1", 33), Err(Errno::EINVAL));
    assert_eq!(add("224.0.0.1", 24), Err(Errno::EINVAL));
    assert_eq!(add("0.0.0.0", 24), Err(Errno::EINVAL));
    assert_eq!(add("2001:db8::1", 64), Err(Errno::EAFNOSUPPORT));
}

/// The subnet's route comes and goes with the last address in it.
#[test]
fn the_subnets_route_lives_as_long_as_an_address_in_it() {
    let mut host = Host::v4("192.168.1.100/24");
    host.add_address("192.168.1.101/24");
    let route = host.stack.net.lookup_route(PEER.into()).expect("connected").clone();
    assert_eq!((route.dst, route.prefix_len, route.flags), (ip("192.168.1.0"), 24, rtf::UP | rtf::CONNECTED));
    host.stack.net.delete_address(host.now, host.link, ip("192.168.1.100")).expect("deleted");
    assert!(host.stack.net.lookup_route(PEER.into()).is_some());
    host.stack.net.delete_address(host.now, host.link, ip("192.168.1.101")).expect("deleted");
    assert!(host.stack.net.lookup_route(PEER.into()).is_none());
    assert_eq!(host.stack.net.delete_address(host.now, host.link, ip("192.168.1.101")), Err(Errno::EADDRNOTAVAIL));
}

#[test]
fn routes_are_added_changed_and_deleted() {
    let mut host = Host::v4("192.168.1.100/24");
    let (now, net) = (host.now, &mut host.stack.net);
    assert_eq!(net.add_route(now, spec("0.0.0.0/0", Some("10.9.9.9")), false), Err(Errno::ENETUNREACH));
    assert_eq!(net.add_route(now, spec("0.0.0.0/0", Some("192.168.1.1")), true), Err(Errno::ESRCH));
    net.add_route(now, spec("0.0.0.0/0", Some("192.168.1.1")), false).expect("added");
    assert_eq!(net.add_route(now, spec("0.0.0.0/0", Some("192.168.1.2")), false), Err(Errno::EEXIST));
    net.add_route(now, spec("0.0.0.0/0", Some("192.168.1.2")), true).expect("changed");
    let route = net.lookup_route(FAR.into()).expect("default");
    assert_eq!((route.gateway, route.flags), (Some(OTHER.into()), rtf::UP | rtf::GATEWAY | rtf::STATIC));
    assert_eq!(net.path(FAR.into(), None, None).expect("a way").next_hop, IpAddr::V4(OTHER));
    net.delete_route(now, ip("0.0.0.0"), 0, None, None).expect("deleted");
    assert_eq!(net.delete_route(now, ip("0.0.0.0"), 0, None, None), Err(Errno::ESRCH));
    net.add_route(now, spec("10.0.0.0/8", Some("192.168.1.1")), false).expect("added");
    assert_eq!((net.flush_routes(now, true, true), net.lookup_route(ip("10.1.1.1"))), (1, None));
}

/// The table is bounded (Config::routes_max).
#[test]
fn the_route_table_is_bounded() {
    let mut host = Host::v4("192.168.1.100/24");
    let mut added = 0;
    for n in 0..2000u32 {
        let dst = format!("10.{}.{}.0/24", n / 256, n % 256);
        added += u32::from(host.stack.net.add_route(host.now, spec(&dst, Some("192.168.1.1")), false).is_ok());
    }
    assert!(added <= 1024, "{added}");
}

/// A path that a transport keeps follows a change of routes.
#[test]
fn a_path_is_renewed_when_routes_change() {
    let mut host = Host::usual();
    let mut path = host.stack.net.path(FAR.into(), None, None).expect("a way");
    host.stack.net.add_route(host.now, spec("0.0.0.0/0", Some("192.168.1.2")), true).expect("changed");
    host.stack.net.refresh(&mut path).expect("renewed");
    assert_eq!(path.next_hop, IpAddr::V4(OTHER));
    host.stack.net.flush_routes(host.now, true, true);
    assert_eq!(host.stack.net.refresh(&mut path), Err(Errno::ENETUNREACH));
}

/// A link without a carrier, or switched off, is down for who would send over it.
#[test]
fn a_link_that_is_down_takes_nothing() {
    let mut host = Host::usual();
    host.stack.net.set_link_state(host.now, host.link, false, None);
    assert_eq!(host.stack.net.path(PEER.into(), None, None).map(|p| p.link), Err(Errno::ENETDOWN));
    host.stack.net.set_link_state(host.now, host.link, true, None);
    host.stack.net.path(PEER.into(), None, None).expect("a way");
    host.run();
    // It is announced again.
    host.expect_arp();
    host.settle();
    host.stack.net.set_admin_flags(host.now, host.link, 0, iff::UP).expect("down");
    assert_eq!(host.stack.net.path(PEER.into(), None, None).map(|p| p.link), Err(Errno::ENETDOWN));
    let requests = host.stack.net.take_link_requests();
    assert_eq!(requests.last(), Some(&LinkRequest { link: host.link, kind: LinkRequestKind::Up(false) }));
    host.udp("0.0.0.0:1000");
    host.receive(udp4_frame(1, 1000, b"x"));
    host.expect_no_datagram();
}

#[test]
fn switches_are_bounded_and_named() {
    let mut host = Host::usual();
    assert_eq!(host.stack.net.set_sysctl("net.inet.ip.no_such", 1), Err(Errno::ENOENT));
    assert_eq!(host.stack.net.set_sysctl("net.inet.ip.ttl", 0), Err(Errno::EINVAL));
    host.sysctl("net.inet.ip.ttl", 33);
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:9", b"x").expect("sent");
    assert_eq!(host.expect_ip4().header.ttl, 33);
}

/// Random frames: a counter goes up, nothing else happens, whatever they are.
#[test]
fn random_frames_do_no_harm() {
    let mut host = Host::usual6();
    host.add_address("192.168.1.100/24");
    host.sysctl("net.inet.ip.forwarding", 1);
    host.sysctl("net.inet6.ip6.forwarding", 1);
    host.settle();
    let mut random = stack::random::Random::new(42);
    let seeds = [
        udp4_frame(1, 2, &[7; 100]),
        udp6_frame(1, 2, &[7; 100]),
        icmp4_frame(wire::icmpv4::Icmpv4Message::EchoRequest { id: 1, seq: 2, data: &[0; 60] }),
        icmp6_frame(wire::icmpv6::Icmpv6Message::EchoRequest { id: 1, seq: 2, data: &[0; 60] }),
        nd_frame(
            PEER6,
            HOST6,
            wire::ndp::NdpMessage::NeighborSolicit { target: HOST6 },
            &[wire::ndp::NdpOption::SourceLinkAddr(PEER_MAC)],
        ),
    ];
    for _ in 0..100_000 {
        let mut frame = seeds[random.below(5) as usize].clone();
        for _ in 0..random.below(8) {
            let at = 12 + random.below(frame.len() as u64 - 12) as usize;
            frame[at] = random.next_u32() as u8;
        }
        frame.truncate(14 + random.below(frame.len() as u64) as usize);
        // Half of them with a header checksum that is right.
        if random.below(2) == 0 && frame.len() >= 34 && frame[12..14] == [8, 0] {
            frame[24..26].fill(0);
            let n = (usize::from(frame[14] & 15) * 4).clamp(20, frame.len() - 14);
            let ck = wire::checksum::finish(wire::checksum::partial(&frame[14..14 + n]));
            frame[24..26].copy_from_slice(&ck.to_be_bytes());
        }
        host.receive(frame);
        if random.below(100) == 0 {
            host.advance(random.below(3000));
        }
        while host.next_frame().is_some() {}
        host.inbox.datagrams.clear();
    }
    host.receive(udp4_frame(9, 10, b"still there?"));
    host.advance(1000);
    assert!(host.next_frame().is_some());
}
