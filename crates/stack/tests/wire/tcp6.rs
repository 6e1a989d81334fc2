//! TCP over IPv6, link-local addresses included (RFC 9293 §3.7.1, RFC 4007 §6, RFC 8200 §8).

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use stack::{Domain, Errno, SocketKind};
use wire::tcp::{SeqNr, TcpFlags, TcpHeader, TcpOptions};
use wire::{checksum, proto};

use crate::harness::*;

const ISS: u32 = 7_000;

fn segment(src: (Ipv6Addr, u16), dst: (Ipv6Addr, u16), flags: TcpFlags, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    let header = TcpHeader {
        src_port: src.1,
        dst_port: dst.1,
        seq: SeqNr(seq),
        ack: SeqNr(ack),
        flags,
        window: 60_000,
        ..TcpHeader::default()
    };
    let options = TcpOptions { mss: flags.contains(TcpFlags::SYN).then_some(1440), ..TcpOptions::NONE };
    let mut tcp = vec![0; 60];
    let n = header.emit(&options, &mut tcp);
    tcp.truncate(n);
    tcp.extend_from_slice(data);
    let pseudo = checksum::pseudo_v6(src.0, dst.0, proto::TCP, tcp.len() as u32);
    let sum = checksum::finish(checksum::combine(pseudo, checksum::partial(&tcp)));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut packet = Ip6::new(proto::TCP, tcp);
    (packet.header.src, packet.header.dst) = (src.0, dst.0);
    packet.frame()
}

#[track_caller]
fn expect_tcp(host: &mut Host) -> (Ip6, TcpHeader, TcpOptions, Vec<u8>) {
    let packet = host.expect_ip6();
    assert_eq!(packet.header.next_header, proto::TCP);
    let pseudo = checksum::pseudo_v6(packet.header.src, packet.header.dst, proto::TCP, packet.payload.len() as u32);
    assert!(wire::tcp::verify(&packet.payload, pseudo), "the checksum is right");
    let (header, options, data) = TcpHeader::parse(&packet.payload).expect("a segment");
    let data = data.to_vec();
    (packet, header, options, data)
}

/// RFC 9293 §3.5, §3.7.1: a listener answers over IPv6, from the address that was asked, link-local or
/// global, with an MSS of the MTU less 60.
#[test]
fn a_listener_answers_over_ipv6() {
    for (peer, ours) in [(PEER6, HOST6), (PEER_LL, HOST_LL)] {
        let mut host = Host::usual6();
        let listener = host.stack.socket(Domain::V6, SocketKind::Tcp, 0).expect("room");
        host.stack.bind(listener, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 80), true).expect("free");
        host.stack.listen(listener, 5).expect("bound");
        host.receive(segment((peer, 999), (ours, 80), TcpFlags::SYN, ISS, 0, b""));
        let (packet, synack, options, _) = expect_tcp(&mut host);
        assert_eq!((packet.header.src, packet.header.dst, packet.dst_mac), (ours, peer, PEER_MAC));
        assert_eq!((synack.flags, synack.ack), (TcpFlags::SYN | TcpFlags::ACK, SeqNr(ISS + 1)));
        assert_eq!(options.mss, Some(1440));
        let ack = synack.seq.0.wrapping_add(1);
        host.receive(segment((peer, 999), (ours, 80), TcpFlags::ACK, ISS + 1, ack, b"over IPv6"));
        let id = host.stack.accept(listener).expect("complete");
        let scope = if ours == HOST_LL { host.link.0 } else { 0 };
        assert_eq!(host.stack.peer_addr(id), Ok(SocketAddrV6::new(peer, 999, 0, scope).into()));
        let mut data = [0; 9];
        host.stack.rx_ring(id).expect("open").peek(0, &mut data);
        assert_eq!(&data, b"over IPv6");
    }
}

/// RFC 4007 §6: a link-local peer is reached over the link that its scope names, and not without one;
/// its errors find the connection.
#[test]
fn a_link_local_peer_is_reached_by_its_scope() {
    let mut host = Host::usual6();
    let id = host.stack.socket(Domain::V6, SocketKind::Tcp, 0).expect("room");
    let peer = |scope| Some(SocketAddr::from(SocketAddrV6::new(PEER_LL, 80, 0, scope)));
    let now = host.now;
    assert!(!matches!(host.stack.connect(now, id, peer(0)), Err(Errno::EINPROGRESS)));
    let link = host.link.0;
    assert_eq!(host.stack.connect(now, id, peer(link)), Err(Errno::EINPROGRESS));
    host.run();
    let (packet, syn, _, _) = expect_tcp(&mut host);
    assert_eq!((packet.header.src, packet.header.dst, syn.flags), (HOST_LL, PEER_LL, TcpFlags::SYN));
    let error =
        wire::icmpv6::Icmpv6Message::DestUnreachable { code: wire::icmpv6::UNREACH_PORT, original: &packet.packet() };
    let mut answer = Ip6::new(proto::ICMPV6, error.to_vec(PEER_LL, HOST_LL));
    (answer.header.src, answer.header.dst) = (PEER_LL, HOST_LL);
    host.receive(answer.frame());
    assert_eq!(host.stack.take_error(id), Some(Errno::ECONNREFUSED));
}

/// RFC 9293 §3.5.2, §3.10.7.1: what belongs to no connection is reset over IPv6 too, but not for a group.
#[test]
fn a_stray_segment_is_reset_over_ipv6() {
    let mut host = Host::usual6();
    host.receive(segment((PEER6, 999), (HOST6, 81), TcpFlags::SYN, ISS, 0, b"ab"));
    let (_, rst, _, _) = expect_tcp(&mut host);
    assert_eq!((rst.flags, rst.seq, rst.ack), (TcpFlags::RST | TcpFlags::ACK, SeqNr(0), SeqNr(ISS + 3)));
    host.receive(segment((PEER6, 999), (wire::addr::ALL_NODES_V6, 81), TcpFlags::SYN, ISS, 0, b""));
    host.expect_nothing();
}

/// RFC 8201 §4: a smaller path MTU is taken by the connection, and what was lost sent again.
#[test]
fn a_packet_too_big_makes_segments_smaller() {
    let mut host = Host::usual6();
    let listener = host.stack.socket(Domain::V6, SocketKind::Tcp, 0).expect("room");
    host.stack.bind(listener, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 80), true).expect("free");
    host.stack.listen(listener, 5).expect("bound");
    host.receive(segment((PEER6, 999), (HOST6, 80), TcpFlags::SYN, ISS, 0, b""));
    let ack = expect_tcp(&mut host).1.seq.0.wrapping_add(1);
    host.receive(segment((PEER6, 999), (HOST6, 80), TcpFlags::ACK, ISS + 1, ack, b""));
    let id = host.stack.accept(listener).expect("complete");
    let (ring, pool) = host.stack.tx_ring(id).expect("open");
    ring.push(pool, &[1; 1440]);
    host.stack.sent(id);
    host.run();
    let (packet, _, _, data) = expect_tcp(&mut host);
    assert_eq!(data.len(), 1440);
    host.receive(icmp6_frame(wire::icmpv6::Icmpv6Message::PacketTooBig {
        mtu: 1280,
        original: &packet.packet()[..1000],
    }));
    let sizes = [expect_tcp(&mut host).3.len(), expect_tcp(&mut host).3.len()];
    assert_eq!(sizes, [1220, 220]);
}
