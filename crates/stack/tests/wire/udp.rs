//! UDP: RFC 768, RFC 1122 §4.1, RFC 8085, udp(7), socket(7).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stack::{Domain, Errno, LinkId, Offloads, RxCsum, RxFrame, SendMeta, Shutdown, SockOpt};
use wire::icmpv4::{self, Icmpv4Message};
use wire::icmpv6::{self, Icmpv6Message};
use wire::{MacAddr, proto};

use crate::harness::*;

/// RFC 768: header, length and checksum as drawn there.
#[test]
fn a_datagram_is_sent_as_rfc_768_draws_it() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    assert_eq!(host.send_to(id, "192.168.1.1:2000", b"hello"), Ok(5));
    let packet = host.expect_ip4();
    assert_eq!((packet.header.src, packet.header.dst, packet.header.ttl, packet.header.df), (HOST, PEER, 64, true));
    let (header, data) = packet.udp();
    assert_eq!((header.src_port, header.dst_port, header.len, data), (1000, 2000, 13, b"hello".to_vec()));
    assert!(header.has_checksum());
}

/// RFC 768: a datagram goes to the socket of its port, with where it came from.
#[test]
fn a_datagram_reaches_the_socket_of_its_port() {
    let mut host = Host::usual();
    let other = host.udp("0.0.0.0:999");
    let id = host.udp("0.0.0.0:1000");
    host.receive(udp4_frame(2000, 1000, b"hello"));
    let (to, meta, data) = host.datagram();
    assert_eq!(
        (to, meta.src, meta.dst, data),
        (id, "192.168.1.1:2000".parse().expect("literal"), IpAddr::V4(HOST), b"hello".to_vec())
    );
    assert_eq!((meta.link, meta.ttl, meta.group), (host.link, 64, false));
    assert_ne!(to, other);
}

/// RFC 768: a datagram may be empty.
#[test]
fn an_empty_datagram_is_delivered() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    host.receive(udp4_frame(2000, 1000, b""));
    assert_eq!(host.datagram().2, b"");
}

/// RFC 1122 §4.1.3.4: a datagram with a wrong checksum is discarded in silence.
#[test]
fn a_wrong_checksum_is_discarded() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, HOST, 2000, 1000, b"hello"));
    packet.payload[9] ^= 1;
    host.receive(packet.frame());
    host.expect_no_datagram();
    host.expect_nothing();
    assert_eq!(host.counter("udp", "with bad checksum"), 1);
}

/// RFC 768: a checksum of zero means that there is none.
#[test]
fn a_datagram_without_checksum_is_accepted_over_ipv4() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, HOST, 2000, 1000, b"hello"));
    packet.payload[6..8].fill(0);
    host.receive(packet.frame());
    assert_eq!(host.datagram().2, b"hello");
}

/// RFC 8200 §8.1: over IPv6 there must be one.
#[test]
fn a_datagram_without_checksum_is_discarded_over_ipv6() {
    let mut host = Host::usual6();
    host.udp("[::]:1000");
    let mut packet = Ip6::new(proto::UDP, udp6(PEER6, HOST6, 2000, 1000, b"hello"));
    packet.payload[6..8].fill(0);
    host.receive(packet.frame());
    host.expect_no_datagram();
    assert_eq!(host.counter("udp", "with no checksum"), 1);
}

/// RFC 768: a sum that comes out as zero is sent as all ones.
#[test]
fn a_computed_zero_is_sent_as_all_ones() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    for n in 0..=65_535u16 {
        host.send_to(id, "192.168.1.1:2000", &n.to_be_bytes()).expect("sent");
        let (header, _) = host.expect_ip4().udp();
        assert_ne!(header.checksum, 0);
        if header.checksum == 0xffff {
            return;
        }
    }
    panic!("no payload sums to zero");
}

/// RFC 1122 §4.1.3.1: no socket is answered by port unreachable.
#[test]
fn no_socket_is_port_unreachable() {
    let mut host = Host::usual();
    let frame = udp4_frame(2000, 1000, b"hello");
    host.receive(frame.clone());
    let answer = host.expect_ip4();
    let Icmpv4Message::DestUnreachable { code: icmpv4::UNREACH_PORT, original, .. } = answer.icmp() else {
        panic!("{:?}", answer.icmp())
    };
    assert_eq!(original, &frame[14..]);
}

/// RFC 1122 §3.2.2: but not for a broadcast.
#[test]
fn a_broadcast_to_no_socket_is_not_answered() {
    let mut host = Host::usual();
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, SUBNET_BROADCAST, 2000, 1000, b"x"));
    (packet.header.dst, packet.dst_mac) = (SUBNET_BROADCAST, BROADCAST);
    host.receive(packet.frame());
    host.expect_nothing();
    assert_eq!(host.counter("udp", "broadcast/multicast datagrams dropped due to no socket"), 1);
}

/// RFC 768: the length field counts; a shorter packet is malformed, what follows it is padding.
#[test]
fn the_length_field_is_held_against_the_packet() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    let good = udp4(PEER, HOST, 2000, 1000, b"hello");
    for len in [7u16, 14] {
        let mut payload = good.clone();
        payload[4..6].copy_from_slice(&len.to_be_bytes());
        host.receive(Ip4::new(proto::UDP, payload).frame());
    }
    host.receive(Ip4::new(proto::UDP, good[..6].to_vec()).frame());
    host.expect_no_datagram();
    assert_eq!(host.counter("udp", "with bad data length field"), 2);
    assert_eq!(host.counter("udp", "with incomplete header"), 1);
    let mut padded = good;
    padded.extend_from_slice(b"padding");
    host.receive(Ip4::new(proto::UDP, padded).frame());
    assert_eq!(host.datagram().2, b"hello");
}

/// udp(7): a connected socket hears its peer only, and is preferred for it.
#[test]
fn a_connected_socket_hears_its_peer() {
    let mut host = Host::usual();
    let any = host.udp("0.0.0.0:1000");
    host.stack.set_option(host.now, any, SockOpt::ReuseAddr(true)).expect("set");
    let id = host.udp_of(Domain::V4);
    host.stack.set_option(host.now, id, SockOpt::ReuseAddr(true)).expect("set");
    host.stack.bind(id, "0.0.0.0:1000".parse().expect("literal"), true).expect("shared");
    host.stack.connect(host.now, id, Some("192.168.1.1:2000".parse().expect("literal"))).expect("connected");
    assert_eq!(host.stack.local_addr(id), Ok("192.168.1.100:1000".parse().expect("literal")));
    assert_eq!(host.stack.peer_addr(id), Ok("192.168.1.1:2000".parse().expect("literal")));
    host.receive(udp4_frame(2000, 1000, b"peer"));
    host.receive(udp4_frame(2001, 1000, b"stranger"));
    assert_eq!((host.datagram().0, host.datagram().0), (id, any));
}

/// udp(7), RFC 1122 §4.1.3.3: an error is passed up to a connected socket.
#[test]
fn a_connected_socket_learns_that_the_port_is_closed() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.connect(host.now, id, Some("192.168.1.1:2000".parse().expect("literal"))).expect("connected");
    host.send(id, b"anyone?").expect("sent");
    let sent = host.expect();
    host.receive(icmp4_frame(Icmpv4Message::DestUnreachable {
        code: icmpv4::UNREACH_PORT,
        next_hop_mtu: 0,
        original: &sent[14..],
    }));
    assert_eq!(host.inbox.errors, [id]);
    assert_eq!(host.stack.take_error(id), Some(Errno::ECONNREFUSED));
    assert_eq!(host.stack.take_error(id), None);
}

/// udp(7): an unconnected one does not, unless it asked by IP_RECVERR.
#[test]
fn an_unconnected_socket_learns_only_if_it_asked() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.send_to(id, "192.168.1.1:2000", b"anyone?").expect("sent");
    let sent = host.expect();
    let error = icmp4_frame(Icmpv4Message::DestUnreachable {
        code: icmpv4::UNREACH_PORT,
        next_hop_mtu: 0,
        original: &sent[14..],
    });
    host.receive(error.clone());
    assert_eq!(host.stack.take_error(id), None);
    host.stack.set_option(host.now, id, SockOpt::RecvErr(true)).expect("set");
    host.receive(error);
    assert_eq!(host.send_to(id, "192.168.1.1:2000", b"again"), Err(Errno::ECONNREFUSED));
}

/// The same for IPv6 (RFC 4443 §3.1).
#[test]
fn a_connected_ipv6_socket_learns_that_the_port_is_closed() {
    let mut host = Host::usual6();
    let id = host.udp("[::]:1000");
    host.stack.connect(host.now, id, Some("[2001:db8::2]:2000".parse().expect("literal"))).expect("connected");
    host.send(id, b"anyone?").expect("sent");
    let sent = host.expect();
    host.receive(icmp6_frame(Icmpv6Message::DestUnreachable { code: icmpv6::UNREACH_PORT, original: &sent[14..] }));
    assert_eq!(host.stack.take_error(id), Some(Errno::ECONNREFUSED));
}

/// socket(7): a broadcast needs SO_BROADCAST.
#[test]
fn a_broadcast_needs_permission() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    for dst in ["192.168.1.255:9", "255.255.255.255:9"] {
        assert_eq!(host.send_to(id, dst, b"x"), Err(Errno::EACCES));
    }
    host.stack.set_option(host.now, id, SockOpt::Broadcast(true)).expect("set");
    host.send_to(id, "192.168.1.255:9", b"x").expect("sent");
    assert_eq!(host.expect_ip4().dst_mac, MacAddr::BROADCAST);
}

/// RFC 1122 §4.1.3: a broadcast goes to every socket of its port.
#[test]
fn a_broadcast_reaches_every_socket_of_the_port() {
    let mut host = Host::usual();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = host.udp_of(Domain::V4);
        host.stack.set_option(host.now, id, SockOpt::ReuseAddr(true)).expect("set");
        host.stack.bind(id, "0.0.0.0:1000".parse().expect("literal"), true).expect("shared");
        ids.push(id);
    }
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, SUBNET_BROADCAST, 2000, 1000, b"all"));
    (packet.header.dst, packet.dst_mac) = (SUBNET_BROADCAST, BROADCAST);
    host.receive(packet.frame());
    let got: Vec<_> = (0..3).map(|_| host.datagram()).collect();
    assert_eq!(got.iter().map(|g| g.0).collect::<Vec<_>>(), ids);
    assert!(got.iter().all(|g| g.1.group));
}

/// ip(7): a group's datagram comes once the group is joined, and no longer when it is left.
#[test]
fn a_group_is_heard_while_it_is_joined() {
    let mut host = Host::usual();
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let id = host.udp("0.0.0.0:1000");
    let mut packet = Ip4::new(proto::UDP, udp4(PEER, group, 2000, 1000, b"all"));
    (packet.header.dst, packet.dst_mac) = (group, MacAddr::multicast_v4(group));
    host.receive(packet.frame());
    host.expect_no_datagram();
    let join = SockOpt::JoinGroup { group: group.into(), link: None, addr: None };
    host.stack.set_option(host.now, id, join.clone()).expect("joined");
    assert_eq!(host.stack.set_option(host.now, id, join), Err(Errno::EADDRINUSE));
    host.receive(packet.frame());
    assert_eq!(host.datagram().2, b"all");
    host.stack
        .set_option(host.now, id, SockOpt::LeaveGroup { group: group.into(), link: None, addr: None })
        .expect("left");
    host.receive(packet.frame());
    host.expect_no_datagram();
}

/// RFC 1112 §6.1, ip(7): to a group the TTL is 1, and members here hear it too unless told not to.
#[test]
fn what_is_sent_to_a_group_comes_back_to_members() {
    let mut host = Host::usual();
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let id = host.udp("0.0.0.0:1000");
    host.stack
        .set_option(host.now, id, SockOpt::JoinGroup { group: group.into(), link: None, addr: None })
        .expect("joined");
    host.settle();
    host.send_to(id, "239.1.2.3:1000", b"all").expect("sent");
    let packet = host.expect_ip4();
    assert_eq!((packet.header.ttl, packet.dst_mac), (1, MacAddr::multicast_v4(group)));
    assert_eq!(host.datagram().2, b"all");
    host.stack.set_option(host.now, id, SockOpt::MulticastLoop(false)).expect("set");
    host.send_to(id, "239.1.2.3:1000", b"all").expect("sent");
    host.expect_no_datagram();
}

/// bind(2), socket(7): a port is one socket's unless both allow sharing.
#[test]
fn a_port_is_shared_only_by_consent() {
    let mut host = Host::usual();
    host.udp("192.168.1.100:1000");
    let id = host.udp_of(Domain::V4);
    let addr = |s: &str| s.parse::<SocketAddr>().expect("literal");
    assert_eq!(host.stack.bind(id, addr("0.0.0.0:1000"), true), Err(Errno::EADDRINUSE));
    assert_eq!(host.stack.bind(id, addr("192.168.1.100:1000"), true), Err(Errno::EADDRINUSE));
    assert_eq!(host.stack.bind(id, addr("10.9.9.9:1000"), true), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(host.stack.bind(id, addr("0.0.0.0:80"), false), Err(Errno::EACCES));
    assert_eq!(host.stack.bind(id, addr("127.0.0.1:1000"), true), Ok(()));
    assert_eq!(host.stack.bind(id, addr("127.0.0.1:1001"), true), Err(Errno::EINVAL));
}

/// RFC 6056 §3.2: ephemeral ports are of the dynamic range, differ, and end in EADDRINUSE.
#[test]
fn ephemeral_ports_are_of_the_range() {
    let mut host = Host::usual();
    host.sysctl("net.inet.ip.anonportmin", 65_500);
    let mut ports = std::collections::BTreeSet::new();
    for _ in 65_500..=65_535 {
        let id = host.udp("0.0.0.0:0");
        ports.insert(host.stack.local_addr(id).expect("bound").port());
    }
    assert_eq!(ports.len(), 36);
    assert!(ports.iter().all(|p| *p >= 65_500));
    let id = host.udp_of(Domain::V4);
    assert_eq!(host.stack.bind(id, "0.0.0.0:0".parse().expect("literal"), false), Err(Errno::EADDRINUSE));
}

/// socket(7), SO_REUSEPORT: a group shares the flows, each flow always to the same member.
#[test]
fn a_reuseport_group_shares_the_flows() {
    let mut host = Host::usual();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = host.udp_of(Domain::V4);
        host.stack.set_option(host.now, id, SockOpt::ReusePort(true)).expect("set");
        host.stack.bind(id, "0.0.0.0:1000".parse().expect("literal"), true).expect("shared");
        ids.push(id);
    }
    let mut used = std::collections::BTreeSet::new();
    for port in 2000..2100 {
        host.receive(udp4_frame(port, 1000, b"1"));
        host.receive(udp4_frame(port, 1000, b"2"));
        let (first, second) = (host.datagram().0, host.datagram().0);
        assert_eq!(first, second);
        used.insert(first);
    }
    assert_eq!(used.len(), 4);
}

/// RFC 3493 §3.7: an IPv6 socket hears IPv4 as mapped addresses, unless IPV6_V6ONLY.
#[test]
fn a_dual_stack_socket_speaks_both() {
    let mut host = Host::v6("2001:db8::100/64");
    host.add_address("192.168.1.100/24");
    host.settle();
    host.know(PEER.into(), PEER_MAC);
    let id = host.udp("[::]:1000");
    host.receive(udp4_frame(2000, 1000, b"four"));
    let (to, meta, _) = host.datagram();
    assert_eq!((to, meta.src), (id, "[::ffff:192.168.1.1]:2000".parse().expect("literal")));
    host.send_to(id, "[::ffff:192.168.1.1]:2000", b"back").expect("sent");
    assert_eq!(host.expect_ip4().udp().1, b"back");
    let four = host.udp_of(Domain::V4);
    assert_eq!(host.stack.bind(four, "0.0.0.0:1000".parse().expect("literal"), true), Err(Errno::EADDRINUSE));
    let six = host.udp_of(Domain::V6);
    host.stack.set_option(host.now, six, SockOpt::V6Only(true)).expect("set");
    host.stack.bind(six, "[::]:1001".parse().expect("literal"), true).expect("free");
    host.receive(udp4_frame(2000, 1001, b"four"));
    host.expect_no_datagram();
    host.stack.bind(four, "0.0.0.0:1001".parse().expect("literal"), true).expect("does not overlap");
}

/// RFC 768: what does not fit the length field is refused; what fits it is cut by IP.
#[test]
fn the_largest_datagram_is_65507_bytes() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    assert_eq!(host.send_to(id, "192.168.1.1:2000", &vec![0; 65_508]), Err(Errno::EMSGSIZE));
    assert_eq!(host.send_to(id, "192.168.1.1:2000", &vec![0; 65_507]), Ok(65_507));
}

/// ip(7), IP_MTU_DISCOVER: with IP_PMTUDISC_DO what is larger than the path's MTU is refused.
#[test]
fn a_datagram_that_must_not_be_cut_is_refused() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.set_option(host.now, id, SockOpt::MtuDiscover(2)).expect("set");
    assert_eq!(host.send_to(id, "192.168.1.1:2000", &[0; 1473]), Err(Errno::EMSGSIZE));
    assert_eq!(host.send_to(id, "192.168.1.1:2000", &[0; 1472]), Ok(1472));
    assert!(host.expect_ip4().header.df);
}

/// ip(7), IP_PMTUDISC_INTERFACE: not marked, and yet never cut; _OMIT: cut at the interface's MTU. Neither
/// believes what routers say of a smaller one.
#[test]
fn the_interfaces_mtu_alone_may_decide() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.connect(host.now, id, Some("198.51.100.7:2000".parse().expect("literal"))).expect("connected");
    host.stack.set_option(host.now, id, SockOpt::MtuDiscover(4)).expect("set");
    assert_eq!(host.send(id, &[0; 1473]), Err(Errno::EMSGSIZE));
    host.send(id, &[0; 1472]).expect("sent");
    let sent = host.expect();
    assert!(!Ip4::of(&sent).header.df);
    host.receive(icmp4_frame(Icmpv4Message::DestUnreachable {
        code: icmpv4::UNREACH_FRAG_NEEDED,
        next_hop_mtu: 1000,
        original: &sent[14..42],
    }));
    assert_eq!(host.stack.option(id, &SockOpt::Mtu(0)), Ok(SockOpt::Mtu(1500)));
    host.stack.set_option(host.now, id, SockOpt::MtuDiscover(5)).expect("set");
    host.send(id, &[0; 1473]).expect("in two pieces");
    assert!(host.expect_ip4().header.mf && !host.expect_ip4().header.mf);
}

/// RFC 3542 §11.1, §11.2 (ipv6(7), IPV6_MTU, IPV6_DONTFRAG): a largest packet of one's own; no fragments at all.
#[test]
fn a_socket_may_choose_where_ipv6_cuts_its_datagrams() {
    let mut host = Host::usual6();
    let id = host.udp_of(Domain::V6);
    host.stack.bind(id, "[::]:1000".parse().expect("literal"), true).expect("free");
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::Mtu6(1279)), Err(Errno::EINVAL));
    host.stack.set_option(host.now, id, SockOpt::Mtu6(1280)).expect("set");
    host.send_to(id, "[2001:db8::2]:2000", &[0; 1233]).expect("in two pieces");
    assert_eq!((host.expect_ip6().header.next_header, host.expect_ip6().header.next_header), (44, 44));
    host.stack.set_option(host.now, id, SockOpt::DontFragment6(true)).expect("set");
    assert_eq!(host.send_to(id, "[2001:db8::2]:2000", &[0; 1233]), Err(Errno::EMSGSIZE));
    host.send_to(id, "[2001:db8::2]:2000", &[0; 1232]).expect("fits");
    assert_eq!(host.stack.option(id, &SockOpt::DontFragment6(false)), Ok(SockOpt::DontFragment6(true)));
    assert_eq!(host.stack.option(id, &SockOpt::Mtu6(0)), Err(Errno::ENOTCONN));
}

/// ip(7), IP_BIND_ADDRESS_NO_PORT: bind takes the address, the port comes with the first use.
#[test]
fn a_bind_without_port_leaves_the_port_for_later() {
    let mut host = Host::usual();
    let id = host.udp_of(Domain::V4);
    host.stack.set_option(host.now, id, SockOpt::BindAddressNoPort(true)).expect("set");
    host.stack.bind(id, "192.168.1.100:0".parse().expect("literal"), false).expect("ours");
    assert_eq!(host.stack.local_addr(id), Ok("192.168.1.100:0".parse().expect("literal")));
    host.send_to(id, "192.168.1.1:2000", b"x").expect("sent");
    assert_ne!(host.stack.local_addr(id).map(|a| a.port()), Ok(0));
}

/// socket(7), send(2): SO_DONTROUTE and MSG_DONTROUTE reach who is on the link, and nobody behind a gateway.
#[test]
fn a_datagram_that_must_not_be_routed_goes_to_neighbours_only() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    for (to, result) in [("192.168.1.1:2000", Ok(1)), ("198.51.100.7:2000", Err(Errno::ENETUNREACH))] {
        let meta = SendMeta { dst: Some(to.parse().expect("literal")), dont_route: true, ..NO_META };
        assert_eq!(host.stack.send(host.now, id, &meta, b"x"), result, "{to}");
        host.stack.set_option(host.now, id, SockOpt::DontRoute(true)).expect("set");
        assert_eq!(host.send_to(id, to, b"x"), result, "{to}");
        host.stack.set_option(host.now, id, SockOpt::DontRoute(false)).expect("set");
    }
}

/// RFC 1191 §3: a smaller path MTU is believed: the next datagram is cut to it.
#[test]
fn a_smaller_path_mtu_is_learned() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.connect(host.now, id, Some("198.51.100.7:2000".parse().expect("literal"))).expect("connected");
    host.send(id, &[0; 1400]).expect("sent");
    let sent = host.expect();
    host.receive(icmp4_frame(Icmpv4Message::DestUnreachable {
        code: icmpv4::UNREACH_FRAG_NEEDED,
        next_hop_mtu: 1000,
        original: &sent[14..42],
    }));
    assert_eq!(host.stack.option(id, &SockOpt::Mtu(0)), Ok(SockOpt::Mtu(1000)));
    assert_eq!(host.stack.take_error(id), Some(Errno::EMSGSIZE));
    host.send(id, &[0; 1400]).expect("sent");
    let (first, second) = (host.expect_ip4(), host.expect_ip4());
    assert!(first.header.mf && !second.header.mf && first.header.total_len <= 1000);
}

/// ip(7): packet information chooses source, TTL and TOS of one datagram.
#[test]
fn ancillary_data_chooses_the_headers_fields() {
    let mut host = Host::usual();
    host.add_address("192.168.1.101/24");
    host.settle();
    let id = host.udp("0.0.0.0:1000");
    let meta = SendMeta {
        dst: Some("192.168.1.1:2000".parse().expect("literal")),
        src: Some("192.168.1.101".parse().expect("literal")),
        link: None,
        ttl: Some(7),
        tos: Some(0x10),
        dont_route: false,
    };
    host.stack.send(host.now, id, &meta, b"x").expect("sent");
    host.run();
    let header = host.expect_ip4().header;
    assert_eq!((header.src, header.ttl, header.tos), (Ipv4Addr::new(192, 168, 1, 101), 7, 0x10));
}

/// A link that merges datagrams (UDP GRO) hands over several at once: the program sees each.
#[test]
fn a_merged_frame_is_delivered_as_datagrams() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    let frame = udp4_frame(2000, 1000, &[[1; 100], [2; 100], [3; 100]].concat()[..250]);
    let burst = [RxFrame { data: &frame, csum: RxCsum::Good, gso_size: Some(100) }];
    host.stack.handle_frames(host.now, host.link, &burst, &mut host.inbox);
    let lengths: Vec<usize> = (0..3).map(|_| host.datagram().2.len()).collect();
    assert_eq!(lengths, [100, 100, 50]);
}

/// To our own address a datagram takes no wire.
#[test]
fn a_datagram_to_ourselves_is_delivered() {
    let mut host = Host::usual();
    let a = host.udp("0.0.0.0:1000");
    let b = host.udp("0.0.0.0:2000");
    for dst in ["127.0.0.1:2000", "192.168.1.100:2000", "0.0.0.0:2000"] {
        host.send_to(a, dst, &[9; 40_000]).expect("sent");
        let (to, meta, data) = host.datagram();
        assert_eq!((to, meta.link, data.len()), (b, LinkId::LOOPBACK, 40_000));
    }
    host.expect_nothing();
}

/// The same, to a closed port: the error comes back at once.
#[test]
fn a_closed_port_of_our_own_refuses() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.connect(host.now, id, Some("127.0.0.1:2000".parse().expect("literal"))).expect("connected");
    host.send(id, b"anyone?").expect("sent");
    assert_eq!(host.stack.take_error(id), Some(Errno::ECONNREFUSED));
}

/// A link that fills in checksums is given the pseudo-header's sum and where the field stands.
#[test]
fn the_checksum_is_left_to_a_link_that_fills_it_in() {
    let mut host = Host::build(false, 1500, Offloads { tx_csum: true, ..Offloads::default() });
    host.add_address("192.168.1.100/24");
    host.settle();
    host.know(PEER.into(), PEER_MAC);
    let id = host.udp("0.0.0.0:1000");
    let meta = SendMeta { dst: Some("192.168.1.1:2000".parse().expect("literal")), ..NO_META };
    host.stack.send(host.now, id, &meta, b"abc").expect("sent");
    let mut batch = stack::TxBatch::default();
    host.stack.take_transmit(&mut batch);
    let csum = batch.frames[0].csum.expect("left to the link");
    let mut frame = batch.to_vec(&batch.frames[0]);
    let (start, field) = (usize::from(csum.start), usize::from(csum.start + csum.offset));
    let ck = wire::checksum::finish(wire::checksum::partial(&frame[start..]));
    frame[field..field + 2].copy_from_slice(&ck.to_be_bytes());
    assert_eq!(Ip4::of(&frame).udp().1, b"abc");
}

/// A program that does not read loses datagrams, and it is counted.
#[test]
fn a_full_socket_drops() {
    let mut host = Host::usual();
    host.udp("0.0.0.0:1000");
    host.inbox.full = true;
    host.receive(udp4_frame(2000, 1000, b"x"));
    assert_eq!(host.counter("udp", "dropped due to full socket buffers"), 1);
}

/// connect(2): AF_UNSPEC dissolves the association.
#[test]
fn a_socket_can_be_disconnected() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.connect(host.now, id, Some("192.168.1.1:2000".parse().expect("literal"))).expect("connected");
    host.stack.connect(host.now, id, None).expect("disconnected");
    assert_eq!(host.stack.peer_addr(id), Err(Errno::ENOTCONN));
    assert_eq!(host.stack.local_addr(id), Ok("0.0.0.0:1000".parse().expect("literal")));
    assert_eq!(host.send(id, b"x"), Err(Errno::EDESTADDRREQ));
    host.receive(udp4_frame(3000, 1000, b"anyone"));
    assert_eq!(host.datagram().0, id);
}

/// shutdown(2): after the sending side is shut, EPIPE.
#[test]
fn a_shut_socket_does_not_send() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    assert_eq!(host.stack.shutdown(host.now, id, Shutdown::Write), Err(Errno::ENOTCONN));
    host.stack.connect(host.now, id, Some("192.168.1.1:2000".parse().expect("literal"))).expect("connected");
    host.stack.shutdown(host.now, id, Shutdown::Write).expect("shut");
    assert_eq!(host.send(id, b"x"), Err(Errno::EPIPE));
}

/// A closed socket's name is dead, its port free.
#[test]
fn a_closed_socket_is_gone() {
    let mut host = Host::usual();
    let id = host.udp("0.0.0.0:1000");
    host.stack.close(host.now, id);
    assert_eq!(host.stack.local_addr(id), Err(Errno::EBADF));
    let again = host.udp("0.0.0.0:1000");
    assert_ne!(id, again);
}

/// RFC 1122 §3.3.1.1: without a route there is nowhere to send.
#[test]
fn no_route_is_network_unreachable() {
    let mut host = Host::v4("192.168.1.100/24");
    let id = host.udp("0.0.0.0:1000");
    assert_eq!(host.send_to(id, "198.51.100.7:9", b"x"), Err(Errno::ENETUNREACH));
}

/// Options that a UDP socket does not have are refused, those it has are kept.
#[test]
fn options_are_kept_or_refused() {
    let mut host = Host::usual();
    let id = host.udp_of(Domain::V4);
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::NoDelay(true)), Err(Errno::ENOPROTOOPT));
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::V6Only(true)), Err(Errno::ENOPROTOOPT));
    host.stack.set_option(host.now, id, SockOpt::RcvBuf(10_000)).expect("set");
    assert_eq!(host.stack.option(id, &SockOpt::RcvBuf(0)), Ok(SockOpt::RcvBuf(20_000)));
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::Ttl(Some(0))), Err(Errno::EINVAL));
}
