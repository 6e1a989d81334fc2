//! What options of TCP sockets do to packets and to who gets a connection (ip(7), ipv6(7), socket(7), tcp(7)).
//! The rest of TCP is in `tests/tcp`; here there are two families and several links.

use std::net::IpAddr;

use stack::{Domain, Errno, LinkId, SockOpt, SocketId, SocketKind};
use wire::tcp::{SeqNr, TcpFlags, TcpHeader, TcpOptions};
use wire::{MacAddr, checksum, proto};

use crate::harness::*;

const PEER_PORT: u16 = 5000;
const SERVER_PORT: u16 = 80;
const SECOND_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x11]);

fn set(host: &mut Host, id: SocketId, option: SockOpt) {
    host.stack.set_option(host.now, id, option).expect("an option of TCP");
}

fn tcp_of(host: &mut Host, domain: Domain) -> SocketId {
    host.stack.socket(domain, SocketKind::Tcp, 0).expect("room for a socket")
}

/// A socket with these options that listens on [`SERVER_PORT`] of every address.
fn listener(host: &mut Host, domain: Domain, options: &[SockOpt]) -> Result<SocketId, Errno> {
    let id = tcp_of(host, domain);
    for option in options {
        set(host, id, option.clone());
    }
    host.stack.bind(id, (domain.unspecified(), SERVER_PORT).into(), true)?;
    host.stack.listen(id, 5)?;
    Ok(id)
}

/// Segment of the peer's to [`SERVER_PORT`], with its checksum.
fn segment(src: IpAddr, dst: IpAddr, from: u16, flags: TcpFlags, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    let header = TcpHeader {
        src_port: from,
        dst_port: SERVER_PORT,
        seq: SeqNr(seq),
        ack: SeqNr(ack),
        flags,
        window: 60_000,
        urgent: 0,
        checksum: 0,
        header_len: 0,
    };
    let mut bytes = vec![0; 60];
    let n = header.emit(&TcpOptions::default(), &mut bytes);
    bytes.truncate(n);
    bytes.extend_from_slice(data);
    let pseudo = checksum::pseudo(src, dst, proto::TCP, bytes.len() as u32);
    let sum = checksum::finish(checksum::combine(pseudo, checksum::partial(&bytes)));
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn from_peer(from: u16, flags: TcpFlags, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    Ip4::new(proto::TCP, segment(PEER.into(), HOST.into(), from, flags, seq, ack, data)).frame()
}

fn header_of(payload: &[u8]) -> TcpHeader {
    TcpHeader::parse(payload).expect("a TCP segment").0
}

/// Has the peer open a connection from this port; false when the host does not answer with a SYN-ACK.
fn opened(host: &mut Host, on: LinkId, from: u16) -> bool {
    host.receive_on(on, from_peer(from, TcpFlags::SYN, 100, 0, b""));
    let Some(frame) = host.next_frame() else { return false };
    let answer = header_of(&Ip4::of(&frame).payload);
    if answer.flags != TcpFlags::SYN | TcpFlags::ACK {
        return false;
    }
    host.receive_on(on, from_peer(from, TcpFlags::ACK, 101, answer.seq.0.wrapping_add(1), b""));
    true
}

/// ip(7), IP_TTL, IP_TOS: of all segments, the SYN's on; the ECN bits are TCP's own.
#[test]
fn ttl_and_tos_are_in_every_segment() {
    let mut host = Host::usual();
    let id = tcp_of(&mut host, Domain::V4);
    set(&mut host, id, SockOpt::Ttl(Some(33)));
    set(&mut host, id, SockOpt::Tos(0x13));
    let to = (IpAddr::from(PEER), SERVER_PORT).into();
    assert_eq!(host.stack.connect(host.now, id, Some(to)), Err(Errno::EINPROGRESS));
    host.run();
    let syn = host.expect_ip4();
    assert_eq!((syn.header.ttl, syn.header.tos), (33, 0x10));
}

/// ipv6(7), IPV6_UNICAST_HOPS, IPV6_TCLASS: an IPv6 connection has those, and not its socket's IPv4 ones.
#[test]
fn hop_limit_and_traffic_class_are_in_every_segment_of_ipv6() {
    let mut host = Host::usual6();
    let options =
        [SockOpt::UnicastHops(Some(44)), SockOpt::TrafficClass(0x28), SockOpt::Ttl(Some(5)), SockOpt::Tos(0x10)];
    listener(&mut host, Domain::V6, &options).expect("the port is free");
    let syn = segment(PEER6.into(), HOST6.into(), PEER_PORT, TcpFlags::SYN, 100, 0, b"");
    host.receive(Ip6::new(proto::TCP, syn).frame());
    let synack = host.expect_ip6();
    assert_eq!((synack.header.hop_limit, synack.header.traffic_class), (44, 0x28));
    let next = header_of(&synack.payload).seq.0.wrapping_add(1);
    let data = segment(PEER6.into(), HOST6.into(), PEER_PORT, TcpFlags::ACK | TcpFlags::FIN, 101, next, b"x");
    host.receive(Ip6::new(proto::TCP, data).frame());
    let ack = host.expect_ip6();
    assert_eq!((ack.header.hop_limit, ack.header.traffic_class), (44, 0x28));
}

/// ip(7): an IPv4 connection of an IPv6 socket has the IPv4 options.
#[test]
fn a_mapped_connection_has_the_ipv4_options() {
    let mut host = Host::v6("2001:db8::100/64");
    host.add_address("192.168.1.100/24");
    host.settle();
    host.know(PEER.into(), PEER_MAC);
    let options =
        [SockOpt::UnicastHops(Some(44)), SockOpt::TrafficClass(0x28), SockOpt::Ttl(Some(5)), SockOpt::Tos(0x10)];
    listener(&mut host, Domain::V6, &options).expect("the port is free");
    host.receive(from_peer(PEER_PORT, TcpFlags::SYN, 100, 0, b""));
    let synack = host.expect_ip4();
    assert_eq!((synack.header.ttl, synack.header.tos), (5, 0x10));
}

/// ip(7), IP_MTU_DISCOVER: "don't fragment" is off with IP_PMTUDISC_DONT, _INTERFACE and _OMIT.
#[test]
fn mtu_discovery_decides_on_dont_fragment() {
    for (value, df) in [(0, false), (1, true), (2, true), (3, true), (4, false), (5, false)] {
        let mut host = Host::usual();
        let id = tcp_of(&mut host, Domain::V4);
        set(&mut host, id, SockOpt::MtuDiscover(value));
        let _ = host.stack.connect(host.now, id, Some((IpAddr::from(PEER), SERVER_PORT).into()));
        host.run();
        assert_eq!(host.expect_ip4().header.df, df, "IP_MTU_DISCOVER {value}");
    }
    let mut host = Host::usual();
    let id = tcp_of(&mut host, Domain::V4);
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::MtuDiscover(6)), Err(Errno::EINVAL));
}

/// socket(7), SO_DONTROUTE: only to who is on the link.
#[test]
fn dontroute_reaches_neighbours_only() {
    let mut host = Host::usual();
    let id = tcp_of(&mut host, Domain::V4);
    set(&mut host, id, SockOpt::DontRoute(true));
    let far = (IpAddr::from(FAR), SERVER_PORT).into();
    assert_eq!(host.stack.connect(host.now, id, Some(far)), Err(Errno::ENETUNREACH));
    let near = (IpAddr::from(PEER), SERVER_PORT).into();
    assert_eq!(host.stack.connect(host.now, id, Some(near)), Err(Errno::EINPROGRESS));
}

/// socket(7), SO_BINDTODEVICE: a listener hears its link and no other.
#[test]
fn a_listener_bound_to_a_link_hears_that_link_only() {
    let mut host = Host::usual();
    let other = host.add_link("en1", SECOND_MAC, 1500, stack::Offloads::default());
    let en0 = host.link;
    let id = listener(&mut host, Domain::V4, &[SockOpt::BindToDevice(Some(other))]).expect("free");
    assert!(!opened(&mut host, en0, PEER_PORT), "not its link: reset");
    host.stack.close(host.now, id);
    let id = listener(&mut host, Domain::V4, &[SockOpt::BindToDevice(Some(en0))]).expect("free");
    assert!(opened(&mut host, en0, PEER_PORT));
    assert!(host.stack.accept(id).is_some());
}

/// socket(7): listeners of different links share a port, and the one of the link goes before one of all links.
#[test]
fn the_listener_of_the_link_is_preferred() {
    let mut host = Host::usual();
    let other = host.add_link("en1", SECOND_MAC, 1500, stack::Offloads::default());
    let en0 = host.link;
    let mine = listener(&mut host, Domain::V4, &[SockOpt::BindToDevice(Some(en0))]).expect("free");
    let others = listener(&mut host, Domain::V4, &[SockOpt::BindToDevice(Some(other))]).expect("another link");
    assert_eq!(listener(&mut host, Domain::V4, &[]), Err(Errno::EADDRINUSE), "all links: overlaps both");
    assert!(opened(&mut host, en0, PEER_PORT));
    assert!(host.stack.accept(others).is_none() && host.stack.accept(mine).is_some());
    let gone = SockOpt::BindToDevice(Some(LinkId(99)));
    assert_eq!(host.stack.set_option(host.now, mine, gone), Err(Errno::ENODEV));
}

/// socket(7), SO_REUSEPORT: connections are spread over the listeners, one flow always to the same.
#[test]
fn listeners_of_one_port_share_its_connections() {
    let mut host = Host::usual();
    let en0 = host.link;
    let shared = [SockOpt::ReusePort(true)];
    let listeners: Vec<_> = (0..4).map(|_| listener(&mut host, Domain::V4, &shared).expect("shared")).collect();
    let mut accepted = [0; 4];
    for from in 2000..2200 {
        assert!(opened(&mut host, en0, from), "port {from}");
        for (i, &id) in listeners.iter().enumerate() {
            while let Some(connection) = host.stack.accept(id) {
                accepted[i] += 1;
                host.stack.close(host.now, connection);
            }
        }
        while host.next_frame().is_some() {}
    }
    assert_eq!(accepted.iter().sum::<i32>(), 200);
    assert!(accepted.iter().all(|n| (25..=75).contains(n)), "{accepted:?}");
    assert_eq!(listener(&mut host, Domain::V4, &[]), Err(Errno::EADDRINUSE), "one without the option");
}

/// tcp(7), TCP_DEFER_ACCEPT: the program gets the connection when its first bytes are there, or when the time is
/// over and the peer still answers.
#[test]
fn a_deferred_connection_comes_with_its_data() {
    let mut host = Host::usual();
    let en0 = host.link;
    let id = listener(&mut host, Domain::V4, &[SockOpt::DeferAccept(4)]).expect("free");
    host.receive(from_peer(PEER_PORT, TcpFlags::SYN, 100, 0, b""));
    let next = header_of(&host.expect_ip4().payload).seq.0.wrapping_add(1);
    host.receive(from_peer(PEER_PORT, TcpFlags::ACK, 101, next, b""));
    assert!(host.stack.accept(id).is_none(), "nothing was sent");
    host.receive(from_peer(PEER_PORT, TcpFlags::ACK, 101, next, b"GET"));
    let connection = host.stack.accept(id).expect("with its data");
    assert_eq!(host.stack.rx_ring(connection).map(|r| r.len()), Some(3));
    while host.next_frame().is_some() {}

    assert!(opened(&mut host, en0, PEER_PORT + 1), "one that stays silent");
    host.advance(5000);
    assert!(host.stack.accept(id).is_none(), "its SYN-ACK was repeated, and not answered yet");
    let mut repeated = None;
    while let Some(frame) = host.next_frame() {
        let h = header_of(&Ip4::of(&frame).payload);
        repeated = (h.dst_port == PEER_PORT + 1).then_some(h.seq.0).or(repeated);
    }
    let next = repeated.expect("a SYN-ACK").wrapping_add(1);
    host.receive(from_peer(PEER_PORT + 1, TcpFlags::ACK, 101, next, b""));
    assert!(host.stack.accept(id).is_some(), "the time is over");
}

/// tcp(7), TCP_WINDOW_CLAMP bounds the window from the SYN on; Linux' least value is 1,152.
#[test]
fn the_window_is_clamped() {
    let mut host = Host::usual();
    listener(&mut host, Domain::V4, &[SockOpt::WindowClamp(5000)]).expect("free");
    host.receive(from_peer(PEER_PORT, TcpFlags::SYN, 100, 0, b""));
    assert_eq!(header_of(&host.expect_ip4().payload).window, 5000);
    let id = tcp_of(&mut host, Domain::V4);
    set(&mut host, id, SockOpt::WindowClamp(1));
    assert_eq!(host.stack.option(id, &SockOpt::WindowClamp(0)), Ok(SockOpt::WindowClamp(1152)));
    set(&mut host, id, SockOpt::WindowClamp(0));
    host.stack.bind(id, "0.0.0.0:81".parse().expect("literal"), true).expect("free");
    host.stack.listen(id, 1).expect("bound");
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::WindowClamp(0)), Err(Errno::EINVAL));
}

/// tcp(7): what a fresh socket shows.
#[test]
fn a_fresh_socket_has_linuxs_values() {
    let mut host = Host::usual();
    let id = tcp_of(&mut host, Domain::V4);
    for value in [
        SockOpt::Linger2(60),
        SockOpt::MtuDiscover(1),
        SockOpt::DeferAccept(0),
        SockOpt::WindowClamp(0),
        SockOpt::MaxSeg(536),
        SockOpt::KeepIdle(7200),
        SockOpt::SynCount(6),
        SockOpt::UserTimeout(0),
    ] {
        assert_eq!(host.stack.option(id, &value), Ok(value.clone()));
    }
    assert_eq!(host.stack.option(id, &SockOpt::Mtu(0)), Err(Errno::ENOTCONN));
}

/// An option that TCP does nothing with is refused, set and read.
#[test]
fn what_tcp_does_not_do_is_refused() {
    let mut host = Host::usual6();
    let id = tcp_of(&mut host, Domain::V6);
    for option in [
        SockOpt::Timestamp(true),
        SockOpt::RecvErr(true),
        SockOpt::RecvErr6(true),
        SockOpt::DontFragment6(true),
        SockOpt::HeaderIncluded(true),
        SockOpt::MulticastTtl(3),
        SockOpt::MulticastHops(3),
        SockOpt::Checksum6(Some(2)),
    ] {
        assert_eq!(host.stack.set_option(host.now, id, option.clone()), Err(Errno::ENOPROTOOPT), "{option:?}");
        assert_eq!(host.stack.option(id, &option), Err(Errno::ENOPROTOOPT), "{option:?}");
    }
    assert_eq!(host.stack.set_option(host.now, id, SockOpt::Mtu6(1280)), Err(Errno::ENOPROTOOPT));
    let four = tcp_of(&mut host, Domain::V4);
    for option in [SockOpt::V6Only(true), SockOpt::TrafficClass(1), SockOpt::RecvTClass(true), SockOpt::MtuDiscover6(1)]
    {
        assert_eq!(host.stack.set_option(host.now, four, option.clone()), Err(Errno::ENOPROTOOPT), "{option:?}");
    }
}
