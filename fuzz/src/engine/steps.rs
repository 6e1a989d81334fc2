//! The steps that an input is made of.

use std::net::{IpAddr, SocketAddr};

use stack::options::SendMeta;
use stack::{Domain, Duration, RxCsum, Shutdown, SockOpt, SocketKind};
use wire::arp::{ArpOp, ArpPacket};
use wire::ethernet::ETHERTYPE_ARP;
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::ipv6::FragmentHeader;
use wire::tcp::TcpFlags;
use wire::{MacAddr, icmpv4, icmpv6, ndp, proto};

use super::addresses::*;
use super::craft::{self, Ip4, Ip6};
use super::tcp_peer::{Segment, segment_frame};
use super::world::World;
use crate::bytes::Bytes;

const PAUSES_MS: [u64; 12] = [0, 1, 10, 50, 250, 1_000, 3_000, 10_000, 31_000, 70_000, 600_000, 7_300_000];
/// Sockets and connections that one input opens.
const SOCKETS_MAX: usize = 32;

pub fn any(world: &mut World, bytes: &mut Bytes<'_>) {
    match bytes.u8() % 24 {
        0 => raw_frame(world, bytes),
        1 | 2 => ip4(world, bytes),
        3 | 4 => ip6(world, bytes),
        5 | 6 => fragment4(world, bytes),
        7 | 8 => fragment6(world, bytes),
        9 | 10 => neighbour(world, bytes),
        11 => arp(world, bytes),
        12 => udp(world, bytes),
        13 => segment(world, bytes),
        14 => syn(world, bytes),
        15 | 16 => quoted_error(world, bytes),
        17 => group_message(world, bytes),
        18 | 19 => program(world, bytes),
        20 => operator(world, bytes),
        _ => pause(world, bytes),
    }
}

pub fn pause(world: &mut World, bytes: &mut Bytes<'_>) {
    let ms = bytes.pick(&PAUSES_MS);
    world.pass(Duration::from_millis(ms));
}

pub fn raw_frame(world: &mut World, bytes: &mut Bytes<'_>) {
    let mode = bytes.u8();
    let csum = if mode & 1 == 0 { RxCsum::Unknown } else { RxCsum::Good };
    let gso_size = (mode & 2 != 0).then(|| bytes.u16());
    let link = world.second.filter(|_| mode & 4 != 0).unwrap_or(world.link);
    let frame = bytes.slice(2048);
    world.deliver(link, frame, csum, gso_size);
}

/// Hands over a frame on the first link; mostly with its transport's checksum to be verified.
fn arrive(world: &mut World, frame: &[u8]) {
    world.deliver(world.link, frame, RxCsum::Unknown, None);
}

fn protocol(bytes: &mut Bytes<'_>) -> u8 {
    match bytes.u8() {
        0 => proto::ICMP,
        1 => proto::TCP,
        2 => proto::UDP,
        3 => proto::ICMPV6,
        4 => proto::IGMP,
        5 => 253,
        6 => proto::HOPOPTS,
        7 => proto::DSTOPTS,
        8 => proto::IPV6_ROUTE,
        9 => proto::IPV6_FRAG,
        n => n,
    }
}

/// Contents with a checksum that fits, but for one mode in sixteen.
fn contents(bytes: &mut Bytes<'_>, protocol: u8, src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let broken = bytes.u8() & 0xf == 0xf;
    let mut message = bytes.slice(1500).to_vec();
    if !broken {
        craft::fix_checksum(protocol, src, dst, &mut message);
    }
    message
}

fn ip4(world: &mut World, bytes: &mut Bytes<'_>) {
    let (IpAddr::V4(src), IpAddr::V4(dst)) = pick_pair(bytes, true) else { return };
    let protocol = protocol(bytes);
    let [ttl, tos, flags] = bytes.array();
    let options = if flags & 1 == 0 { &[][..] } else { bytes.slice(40) };
    let message = contents(bytes, protocol, src.into(), dst.into());
    arrive(world, &Ip4 { ttl, tos, df: flags & 2 != 0, options, ..Ip4::new(src, dst, protocol) }.frame(&message));
}

fn ip6(world: &mut World, bytes: &mut Bytes<'_>) {
    let (IpAddr::V6(src), IpAddr::V6(dst)) = pick_pair(bytes, false) else { return };
    let upper = protocol(bytes);
    let [hop_limit, traffic_class, chain] = bytes.array();
    // Extension headers in front: their first byte names what follows, which the last one must get right.
    let mut payload = Vec::new();
    let mut next_header = upper;
    let mut place: Option<usize> = None;
    for _ in 0..chain & 3 {
        let kind = bytes.pick(&[proto::HOPOPTS, proto::DSTOPTS, proto::IPV6_ROUTE, proto::IPV6_FRAG]);
        match place {
            None => next_header = kind,
            Some(at) => payload[at] = kind,
        }
        place = Some(payload.len());
        let units = usize::from(bytes.u8() % 3);
        payload.extend([upper, if kind == proto::IPV6_FRAG { 0 } else { units as u8 }]);
        payload.extend(bytes.array::<6>());
        if kind != proto::IPV6_FRAG {
            (0..units).for_each(|_| payload.extend(bytes.array::<8>()));
        }
    }
    payload.extend(contents(bytes, upper, src.into(), dst.into()));
    arrive(world, &Ip6 { hop_limit, traffic_class, ..Ip6::new(src, dst, next_header) }.frame(&payload));
}

fn fragment4(world: &mut World, bytes: &mut Bytes<'_>) {
    let (IpAddr::V4(src), IpAddr::V4(dst)) = pick_pair(bytes, true) else { return };
    let protocol = protocol(bytes);
    let [id, flags] = bytes.array();
    let offset = bytes.u16() % 8192 * 8;
    let options = if flags & 2 == 0 { &[][..] } else { bytes.slice(40) };
    let data = piece(bytes, flags);
    let ip = Ip4 { id: id.into(), mf: flags & 1 != 0, offset, options, ..Ip4::new(src, dst, protocol) };
    arrive(world, &ip.frame(&data));
}

fn fragment6(world: &mut World, bytes: &mut Bytes<'_>) {
    let (IpAddr::V6(src), IpAddr::V6(dst)) = pick_pair(bytes, false) else { return };
    let next = protocol(bytes);
    let [id, flags] = bytes.array();
    let header = FragmentHeader { next, offset: bytes.u16() % 8192 * 8, more: flags & 1 != 0, id: id.into() };
    let mut payload = vec![0; FragmentHeader::LEN];
    header.emit(&mut payload);
    payload.extend(piece(bytes, flags));
    let mut next_header = proto::IPV6_FRAG;
    if flags & 2 != 0 {
        let options = [&[proto::IPV6_FRAG, 0][..], &bytes.array::<6>()].concat();
        payload.splice(0..0, options);
        next_header = proto::DSTOPTS;
    }
    arrive(world, &Ip6::new(src, dst, next_header).frame(&payload));
}

/// Data of a fragment: the input's, or many of one kind.
fn piece(bytes: &mut Bytes<'_>, flags: u8) -> Vec<u8> {
    match flags & 4 {
        0 => bytes.slice(1480).to_vec(),
        _ => {
            let [fill, units] = bytes.array();
            vec![fill; usize::from(units) * 8]
        }
    }
}

fn neighbour(world: &mut World, bytes: &mut Bytes<'_>) {
    let kind = bytes.pick(&[
        ndp::NEIGHBOR_ADVERT,
        ndp::NEIGHBOR_SOLICIT,
        ndp::ROUTER_ADVERT,
        ndp::ROUTER_SOLICIT,
        ndp::REDIRECT,
    ]);
    let (src, dst) = match bytes.u8() {
        0..64 => (PEER6_LOCAL, host6_local()),
        64..128 => (PEER6_LOCAL, wire::addr::ALL_NODES_V6),
        128..192 => (PEER6, HOST6),
        _ => (pick6(bytes), pick6(bytes)),
    };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(bytes.array::<4>());
    match kind {
        ndp::ROUTER_ADVERT => message.extend(bytes.array::<8>()),
        ndp::ROUTER_SOLICIT => {}
        ndp::REDIRECT => {
            message.extend(pick6(bytes).octets());
            message.extend(pick6(bytes).octets());
        }
        _ => message.extend(pick6(bytes).octets()),
    }
    for _ in 0..bytes.u8() % 5 {
        let option = match bytes.u8() % 8 {
            0 | 1 => {
                [&[1, 1][..], &bytes.pick(&[PEER_MAC, HOST_MAC, MacAddr([2, 0, 0, 0, 0, 9]), MacAddr::BROADCAST]).0]
                    .concat()
            }
            2 => [&[2, 1][..], &bytes.pick(&[PEER_MAC, HOST_MAC, MacAddr([2, 0, 0, 0, 0, 9])]).0].concat(),
            3 | 4 => {
                let prefix = [&[0xfd, 2, bytes.u8()][..], &[0; 13]].concat();
                [&[3, 4, bytes.pick(&[64, 64, 64, 0, 48, 128])][..], &bytes.array::<9>(), &[0; 4], &prefix].concat()
            }
            5 => [&[5, 1, 0, 0][..], &bytes.array::<4>()].concat(),
            6 => [&[24, 3][..], &bytes.array::<6>(), &[0xfd, 3, bytes.u8()], &[0; 13]].concat(),
            _ => {
                let [kind, units] = bytes.array();
                let units = units % 4;
                [&[kind, units][..], bytes.take((usize::from(units) * 8).saturating_sub(2))].concat()
            }
        };
        message.extend(option);
    }
    icmpv6::finish(&mut message, src, dst);
    let hop_limit = if bytes.u8() == 1 { 64 } else { 255 };
    arrive(world, &Ip6 { hop_limit, ..Ip6::new(src, dst, proto::ICMPV6) }.frame(&message));
}

fn arp(world: &mut World, bytes: &mut Bytes<'_>) {
    let op = bytes.pick(&[ArpOp::Request, ArpOp::Reply, ArpOp::Other(3)]);
    let macs = [PEER_MAC, HOST_MAC, MacAddr([2, 0, 0, 0, 0, 9]), MacAddr::BROADCAST, MacAddr::ZERO, MacAddr([3; 6])];
    let sender_mac = bytes.pick(&macs);
    let packet =
        ArpPacket { op, sender_mac, sender_ip: pick4(bytes), target_mac: bytes.pick(&macs), target_ip: pick4(bytes) };
    let mut out = [0; ArpPacket::LEN];
    packet.emit(&mut out);
    let dst = bytes.pick(&[HOST_MAC, MacAddr::BROADCAST]);
    arrive(world, &craft::ethernet(dst, ETHERTYPE_ARP, &out));
}

fn udp(world: &mut World, bytes: &mut Bytes<'_>) {
    let v4 = bytes.u8() & 1 == 0;
    let (src, dst) = pick_pair(bytes, v4);
    let [src_port, dst_port, mode] = bytes.array();
    let data = bytes.slice(1400);
    let dst_port = if dst_port == 0 { 53 } else { dst_port };
    let len = (8 + data.len()) as u16 + u16::from(mode == 1) - u16::from(mode == 2);
    let mut message = [[0, src_port], [0, dst_port], len.to_be_bytes(), [0, 0]].concat();
    message.extend(data);
    craft::fix_checksum(proto::UDP, src, dst, &mut message);
    arrive(world, &craft::transport_frame(src, dst, proto::UDP, &message));
}

pub fn segment(world: &mut World, bytes: &mut Bytes<'_>) {
    let which = bytes.u8();
    let count = world.peers.len();
    let Some(peer) = world.peers.get_mut(usize::from(which & 0x7f) % count.max(1)) else { return };
    let [mode, flags] = bytes.array();
    // Where the segment stands: mostly next, else about there, else anywhere.
    let seq = peer.nxt.wrapping_add(offset(bytes, mode & 3));
    let ack = match mode >> 2 & 3 {
        0 => peer.rcv_nxt,
        1 => peer.acked,
        n => peer.rcv_nxt.wrapping_add(offset(bytes, n - 1)),
    };
    let window = match mode >> 4 & 3 {
        0 => 4000,
        1 => 0,
        _ => bytes.u16(),
    };
    let timestamps = mode & 0x40 == 0;
    let options = match peer.ts_recent.filter(|_| timestamps) {
        Some(recent) => {
            let value = 1u32.wrapping_add(world.now.as_millis() as u32).wrapping_add(u32::from(which >> 7) << 30);
            let mut options = [&[1, 1, 8, 10][..], &value.to_be_bytes(), &recent.to_be_bytes()].concat();
            if mode & 0x80 != 0 {
                sack(&mut options, peer.acked, bytes);
            }
            options
        }
        None if mode & 0x80 != 0 => bytes.slice(40).to_vec(),
        None => Vec::new(),
    };
    let len = match bytes.u8() {
        n @ 0..128 => usize::from(n % 64),
        n => usize::from(n - 127) * 100,
    };
    let data = vec![which; len];
    let flags = TcpFlags::from_bits(flags.into());
    let segment = Segment {
        flags,
        seq,
        ack,
        window,
        urgent: u16::from(flags.contains(TcpFlags::URG)),
        options: &options,
        data: &data,
    };
    let frame = peer.frame(&segment);
    // What was in order counts as sent.
    if seq == peer.nxt && !flags.contains(TcpFlags::RST) {
        let ends = u32::from(flags.contains(TcpFlags::FIN)) + u32::from(flags.contains(TcpFlags::SYN));
        peer.nxt = peer.nxt.wrapping_add(len as u32 + ends);
    }
    if flags.contains(TcpFlags::ACK) {
        peer.acked = ack;
    }
    let csum = if which & 0x40 != 0 { RxCsum::Good } else { RxCsum::Unknown };
    let gso_size = (csum == RxCsum::Good && len > 1000).then_some(1000);
    world.deliver(world.link, &frame, csum, gso_size);
}

fn offset(bytes: &mut Bytes<'_>, size: u8) -> u32 {
    match size {
        0 => 0,
        1 => i32::from(bytes.u8() as i8) as u32,
        2 => i32::from(bytes.u16() as i16) as u32,
        _ => bytes.u32(),
    }
}

/// A SACK option of up to three blocks after what was acknowledged.
fn sack(options: &mut Vec<u8>, acked: u32, bytes: &mut Bytes<'_>) {
    let blocks = 1 + bytes.u8() % 3;
    options.extend([1, 1, 5, 2 + 8 * blocks]);
    for _ in 0..blocks {
        let left = acked.wrapping_add(u32::from(bytes.u16()));
        let right = left.wrapping_add(offset(bytes, 2));
        options.extend([left.to_be_bytes(), right.to_be_bytes()].concat());
    }
}

/// A segment to the listener (or to no one), from any port.
pub fn syn(world: &mut World, bytes: &mut Bytes<'_>) {
    let mode = bytes.u8();
    let (src, dst) = pick_pair(bytes, mode & 1 == 0);
    let src_port = 1024 + u16::from(bytes.u8() % 8);
    let dst_port = if mode & 2 == 0 { 80 } else { bytes.u16() };
    let (seq, ack) = if mode & 4 == 0 { (1000, 0) } else { (1000 + u32::from(bytes.u8()), bytes.u32()) };
    let flags = if mode & 8 == 0 { TcpFlags::SYN } else { TcpFlags::from_bits(bytes.u8().into()) };
    let options = bytes.slice(40);
    let data = bytes.slice(if mode & 16 == 0 { 0 } else { 100 });
    let window = if mode & 32 == 0 { 4000 } else { bytes.u16() };
    let answered = world.sent.len();
    let segment = Segment { flags, seq, ack, window, urgent: 0, options, data };
    arrive(world, &segment_frame((src, src_port), (dst, dst_port), &segment));
    // The third step of the handshake, when there was a second.
    let sequence =
        world.sent.last().filter(|_| mode & 64 == 0 && answered <= world.sent.len()).and_then(|p| syn_ack_seq(p));
    if let Some(iss) = sequence {
        let flags = TcpFlags::ACK;
        let third =
            Segment { flags, seq: seq.wrapping_add(1), ack: iss.wrapping_add(1), options: &[], data: &[], ..segment };
        arrive(world, &segment_frame((src, src_port), (dst, dst_port), &third));
    }
}

/// The sequence number, if a packet of the host's is a SYN-ACK.
fn syn_ack_seq(packet: &[u8]) -> Option<u32> {
    let tcp = match packet.first()? >> 4 {
        4 => packet.get(20..)?,
        _ => packet.get(40..)?,
    };
    let (header, _, _) = wire::tcp::TcpHeader::parse(tcp).ok()?;
    (header.flags == TcpFlags::SYN.with(TcpFlags::ACK)).then_some(header.seq.0)
}

/// An ICMP error about a packet that the host sent, perhaps changed a little.
pub fn quoted_error(world: &mut World, bytes: &mut Bytes<'_>) {
    let [which, kind, code] = bytes.array();
    let word = bytes.array::<4>();
    let count = world.sent.len();
    let Some(packet) = world.sent.get(usize::from(which & 0x3f) % count.max(1)) else { return };
    let mut quoted = packet.clone();
    if which & 0x40 != 0 {
        let at = usize::from(bytes.u8()) % quoted.len();
        quoted[at] ^= bytes.u8();
    }
    if which & 0x80 != 0 {
        quoted.truncate(usize::from(bytes.u8()));
    }
    let v4 = packet[0] >> 4 == 4;
    let kind = if v4 {
        [
            icmpv4::DEST_UNREACHABLE,
            icmpv4::TIME_EXCEEDED,
            icmpv4::PARAMETER_PROBLEM,
            icmpv4::REDIRECT,
            icmpv4::SOURCE_QUENCH,
        ][usize::from(kind) % 5]
    } else {
        [
            icmpv6::DEST_UNREACHABLE,
            icmpv6::PACKET_TOO_BIG,
            icmpv6::TIME_EXCEEDED,
            icmpv6::PARAMETER_PROBLEM,
            ndp::REDIRECT,
        ][usize::from(kind) % 5]
    };
    let mut message = [&[kind, code, 0, 0][..], &word, &quoted].concat();
    let (src, dst) = pick_pair(bytes, v4);
    let protocol = if v4 { proto::ICMP } else { proto::ICMPV6 };
    craft::fix_checksum(protocol, src, dst, &mut message);
    arrive(world, &craft::transport_frame(src, dst, protocol, &message));
}

fn group_message(world: &mut World, bytes: &mut Bytes<'_>) {
    let v4 = bytes.u8() & 1 == 0;
    let kind = if v4 { bytes.pick(&[0x11, 0x12, 0x16, 0x17, 0x22]) } else { bytes.pick(&[130, 131, 132, 143]) };
    let mut message = vec![kind, bytes.u8(), 0, 0];
    if v4 {
        let group = pick4(bytes);
        message.extend(group.octets());
        message.extend(bytes.slice(64));
        craft::fix_checksum(proto::IGMP, PEER4.into(), group.into(), &mut message);
        let dst = if bytes.u8() & 1 == 0 { wire::addr::ALL_SYSTEMS_V4 } else { group };
        let options = if bytes.u8() & 1 == 0 { &[148, 4, 0, 0][..] } else { &[] };
        arrive(world, &Ip4 { ttl: 1, options, ..Ip4::new(PEER4, dst, proto::IGMP) }.frame(&message));
    } else {
        message.extend(bytes.array::<4>());
        let group = pick6(bytes);
        message.extend(group.octets());
        message.extend(bytes.slice(64));
        let dst = if bytes.u8() & 1 == 0 { wire::addr::ALL_NODES_V6 } else { group };
        icmpv6::finish(&mut message, PEER6_LOCAL, dst);
        let payload = [&[proto::ICMPV6, 0, 5, 2, 0, 0, 1, 0][..], &message].concat();
        arrive(world, &Ip6 { hop_limit: 1, ..Ip6::new(PEER6_LOCAL, dst, proto::HOPOPTS) }.frame(&payload));
    }
}

/// What programs do with their sockets.
pub fn program(world: &mut World, bytes: &mut Bytes<'_>) {
    let [call, which] = bytes.array();
    let now = world.now;
    let at = usize::from(which) % world.sockets.len().max(1);
    let Some(&id) = world.sockets.get(at) else { return };
    match call % 12 {
        0 | 1 => {
            let data = vec![which; usize::from(bytes.u16())];
            if let Some((ring, pool)) = world.stack.tx_ring(id) {
                ring.push(pool, &data);
                world.stack.sent(id);
            }
        }
        2 | 3 => {
            let held = world.stack.rx_ring(id).map_or(0, |ring| ring.len());
            let n = held.min(usize::from(bytes.u16()));
            world.stack.received(now, id, n);
        }
        4 => {
            let how = bytes.pick(&[Shutdown::Write, Shutdown::Read, Shutdown::Both]);
            let _ = world.stack.shutdown(now, id, how);
        }
        5 => {
            world.stack.close(now, id);
            world.sockets.remove(at);
            if world.listener == Some(id) {
                world.listener = None;
            }
        }
        6 | 7 => {
            let v4 = bytes.u8() & 1 == 0;
            let dst = if v4 { IpAddr::V4(pick4(bytes)) } else { pick6(bytes).into() };
            let dst = Some(SocketAddr::new(dst, u16::from(bytes.u8())));
            let [ttl, tos, flags] = bytes.array();
            let meta = SendMeta {
                dst: dst.filter(|_| flags & 1 == 0),
                src: None,
                link: Some(world.link).filter(|_| flags & 2 != 0),
                ttl: Some(ttl.max(1)).filter(|_| flags & 4 != 0),
                tos: Some(tos).filter(|_| flags & 8 != 0),
                dont_route: flags & 16 != 0,
            };
            let mut data = vec![tos; usize::from(bytes.u16())];
            if id.kind != SocketKind::Udp {
                // Programs may send anything on raw sockets; an echo request can be checked when it is sent.
                data = match v4 {
                    true => Icmpv4Message::EchoRequest { id: 1, seq: 1, data: &data }.to_vec(),
                    false => Icmpv6Message::EchoRequest { id: 1, seq: 1, data: &data }.to_vec(HOST6, PEER6),
                };
            }
            let _ = world.stack.send(now, id, &meta, &data);
        }
        8 => {
            let v4 = bytes.u8() & 1 == 0;
            let dst = if v4 { IpAddr::V4(pick4(bytes)) } else { pick6(bytes).into() };
            let _ = world.stack.connect(now, id, Some(SocketAddr::new(dst, 80)));
        }
        9 => set_option(world, bytes, id),
        10 if world.sockets.len() < SOCKETS_MAX => world.connect(bytes.pick(&[Domain::V4, Domain::V6])),
        _ => {
            let _ = (world.stack.take_error(id), world.stack.at_end(id), world.stack.tcp_info(now, id));
            let _ = (world.stack.local_addr(id), world.stack.peer_addr(id));
        }
    }
    world.settle();
}

fn set_option(world: &mut World, bytes: &mut Bytes<'_>, id: stack::SocketId) {
    let number = bytes.u16();
    let wide = u32::from(number) * u32::from(number);
    let on = number & 1 != 0;
    let byte = number as u8;
    let group = if on { IpAddr::V4(pick4(bytes)) } else { pick6(bytes).into() };
    let link = Some(world.link).filter(|_| number & 2 != 0);
    let option = match bytes.u8() % 29 {
        0 => SockOpt::KeepAlive(on),
        1 => SockOpt::Linger(on.then_some(u32::from(byte))),
        2 => SockOpt::RcvBuf(wide),
        3 => SockOpt::SndBuf(wide),
        4 => SockOpt::NoDelay(on),
        5 => SockOpt::Cork(on),
        6 => SockOpt::MaxSeg(number),
        7 => SockOpt::KeepIdle(u32::from(byte)),
        8 => SockOpt::KeepInterval(u32::from(byte)),
        9 => SockOpt::KeepCount(u32::from(byte)),
        10 => SockOpt::Linger2(i32::from(byte as i8)),
        11 => SockOpt::WindowClamp(wide),
        12 => SockOpt::QuickAck(on),
        // Not for ever: connections without a holder must end in the time that `World::end` gives them.
        13 => SockOpt::UserTimeout(wide % 600_000),
        14 => SockOpt::Mtu6(wide),
        15 => SockOpt::Congestion((if on { "reno" } else { "cubic" }).to_owned()),
        16 => SockOpt::JoinGroup { group, link, addr: None },
        17 => SockOpt::LeaveGroup { group, link, addr: None },
        18 => SockOpt::Ttl(on.then_some(byte)),
        19 => SockOpt::UnicastHops(on.then_some(byte)),
        20 => SockOpt::MtuDiscover(byte % 6),
        21 => SockOpt::MtuDiscover6(byte % 6),
        22 => SockOpt::BindToDevice(link),
        23 => SockOpt::Broadcast(on),
        24 => SockOpt::DeferAccept(u32::from(byte)),
        25 => SockOpt::RecvErr(on),
        26 => SockOpt::RecvErr6(on),
        27 => SockOpt::IcmpFilter(wide),
        _ => SockOpt::Checksum6(on.then_some(number)),
    };
    let is_set = world.stack.set_option(world.now, id, option.clone()).is_ok();
    let value = world.stack.option(id, &option);
    let plain = matches!(option, SockOpt::KeepAlive(_) | SockOpt::NoDelay(_) | SockOpt::Broadcast(_));
    assert!(!(is_set && plain) || value == Ok(option), "what was set is what is there");
}

/// What an operator does, and a driver.
fn operator(world: &mut World, bytes: &mut Bytes<'_>) {
    let [what, n] = bytes.array();
    let now = world.now;
    let link = world.second.filter(|_| what & 0x80 != 0).unwrap_or(world.link);
    let net = &mut world.stack.net;
    match what & 0x7f {
        0..16 => net.set_link_state(now, link, n & 1 != 0, None),
        16..32 => {
            let _ = net.set_admin_flags(now, link, u32::from(n & 1), u32::from(!n & 1));
        }
        32..48 => {
            let _ = net.add_address(now, link, pick4(bytes).into(), n % 33, None);
        }
        48..64 => {
            let _ = net.add_address(now, link, pick6(bytes).into(), n % 129, None);
        }
        64..72 => {
            let _ = net.delete_address(now, link, pick4(bytes).into());
        }
        72..80 => {
            let _ = net.delete_address(now, link, pick6(bytes).into());
        }
        80..96 => {
            let _ = net.set_mtu(now, link, u32::from(n) * 64);
        }
        96..104 => {
            let _ = net.flush_routes(now, n & 1 != 0, n & 2 != 0);
        }
        104..112 => {
            let _ = net.set_mac(now, link, MacAddr([2, 0, 0, 0, 0, n]));
        }
        _ => {
            if let Some(second) = world.second.take() {
                let _ = net.remove_link(now, second);
            }
        }
    }
    let _ = (world.stack.net.take_config_events(), world.stack.net.take_link_requests());
    if let Ok(id) = world.stack.socket(Domain::V4, SocketKind::Tcp, 0) {
        let _ = world.stack.bind(id, SocketAddr::new(HOST4.into(), 0), false);
        world.stack.close(world.now, id);
    }
    world.settle();
}
