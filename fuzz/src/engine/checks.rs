//! What the engine sends must be well formed: read back with `wire`, checksums and lengths included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stack::{Stack, TxFrame};
use wire::arp::{ArpOp, ArpPacket};
use wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetHeader};
use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::Icmpv6Message;
use wire::igmp::IgmpMessage;
use wire::ipv4::{Ipv4Header, Ipv4Options};
use wire::ipv6::Ipv6Header;
use wire::mld::MldMessage;
use wire::ndp::{NdpMessage, NdpOption};
use wire::tcp::TcpHeader;
use wire::udp::UdpHeader;
use wire::{MacAddr, checksum, proto};

use super::addresses::{PEER_MAC, PEER4, PEER6, PEER6_LOCAL, SECOND_PEER4, SECOND_PEER6};
use super::craft;

/// The largest header that GSO may repeat: Ethernet, IPv6, TCP with options.
const GSO_HEADER_MAX: usize = 14 + 40 + 60;

#[derive(Default)]
pub struct Checker {
    scratch: Vec<u8>,
}

impl Checker {
    /// Panics when the frame is not as it should be. Packets that are only forwarded have their own contents.
    pub fn check(&mut self, stack: &Stack, frame: &TxFrame, bytes: &[u8]) {
        // What was sent on a link before it was removed is still there; the owner has nowhere to send it.
        let Some(link) = stack.net.link(frame.link) else { return };
        let (ethernet, packet) = EthernetHeader::parse(bytes).expect("an Ethernet header");
        assert_eq!(ethernet.src, link.mac);
        assert!(frame.header_len as usize <= bytes.len());
        if let Some(gso) = frame.gso {
            let header_len = usize::from(gso.header_len);
            assert!(gso.size > 0 && (34..=GSO_HEADER_MAX).contains(&header_len) && header_len <= bytes.len());
            let mtu = link.mtu as usize + EthernetHeader::LEN;
            assert!(header_len + usize::from(gso.size) <= mtu, "a segment of {gso:?} is longer than {mtu}");
            assert!(frame.csum.is_some(), "cut segments need their checksums filled in");
        } else {
            assert!(packet.len() <= link.mtu as usize, "{} bytes on an MTU of {}", packet.len(), link.mtu);
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(packet);
        if let Some(csum) = frame.csum {
            let start = usize::from(csum.start) - EthernetHeader::LEN;
            let field = start + usize::from(csum.offset);
            let ck = checksum::finish(checksum::partial(&self.scratch[start..]));
            self.scratch[field..field + 2].copy_from_slice(&ck.to_be_bytes());
        }
        let packet = &self.scratch[..];
        match ethernet.ethertype {
            ETHERTYPE_ARP => {
                let arp = ArpPacket::parse(packet).expect("an ARP packet");
                assert_eq!(arp.sender_mac, link.mac);
                assert!(matches!(arp.op, ArpOp::Request | ArpOp::Reply));
            }
            ETHERTYPE_IPV4 => check_ipv4(stack, packet),
            ETHERTYPE_IPV6 => check_ipv6(stack, packet),
            other => panic!("ethertype {other:#06x}"),
        }
    }
}

fn check_ipv4(stack: &Stack, packet: &[u8]) {
    let (header, options, payload) = Ipv4Header::parse(packet).expect("an IPv4 packet");
    assert_eq!(usize::from(header.total_len), packet.len(), "no more bytes than the packet");
    assert!(header.ttl > 0);
    let (src, dst) = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
    if !(stack.net.is_local(src) || src.is_unspecified()) {
        return;
    }
    assert!(Ipv4Options::new(options).all(|option| option.is_ok()));
    if header.is_fragment() {
        assert!(!header.mf || payload.len().is_multiple_of(8));
        return;
    }
    match header.proto {
        proto::ICMP => {
            let message = Icmpv4Message::parse(payload).expect("an ICMP message");
            // RFC 1812 §4.3.2.3: errors quote as much as fits 576 bytes.
            assert!(message.original().is_none() || packet.len() <= 576);
            assert!(!dst.is_multicast() || message.original().is_none());
        }
        proto::IGMP => {
            IgmpMessage::parse(payload).expect("an IGMP message");
            assert_eq!(header.ttl, 1);
        }
        other => check_transport(src, dst, other, payload),
    }
}

fn check_ipv6(stack: &Stack, packet: &[u8]) {
    let (header, payload) = Ipv6Header::parse(packet).expect("an IPv6 packet");
    assert_eq!(Ipv6Header::LEN + payload.len(), packet.len(), "no more bytes than the packet");
    assert!(header.hop_limit > 0 && !header.src.is_multicast() && !header.dst.is_unspecified());
    let (src, dst) = (IpAddr::V6(header.src), IpAddr::V6(header.dst));
    if !(stack.net.is_local(src) || src.is_unspecified()) {
        return;
    }
    let chain = wire::ipv6::walk(header.next_header, payload).expect("a sound chain of headers");
    if chain.needs_reassembly() {
        let fragment = chain.fragment.expect("it is one");
        assert!(!fragment.header.more || fragment.payload.len().is_multiple_of(8));
        return;
    }
    if chain.upper_proto != proto::ICMPV6 {
        check_transport(src, dst, chain.upper_proto, chain.payload);
        return;
    }
    let message = chain.payload;
    let read = Icmpv6Message::parse(message, header.src, header.dst).expect("an ICMPv6 message");
    if read.is_error() {
        // RFC 4443 §2.4 (c): no larger than the least MTU.
        assert!(packet.len() <= 1280);
    } else if NdpMessage::is_ndp(read.kind()) {
        let (message, options) = NdpMessage::parse(message).expect("a neighbour discovery message");
        message.validate(&options, header.src, header.dst, header.hop_limit).expect("valid by RFC 4861");
    } else if MldMessage::is_mld(read.kind()) {
        MldMessage::parse(message).expect("an MLD message");
        assert_eq!(header.hop_limit, 1);
        assert!(src.is_unspecified() || header.src.is_unicast_link_local(), "RFC 3590");
    }
}

fn check_transport(src: IpAddr, dst: IpAddr, protocol: u8, message: &[u8]) {
    let pseudo = checksum::pseudo(src, dst, protocol, message.len() as u32);
    match protocol {
        proto::TCP => {
            assert!(wire::tcp::verify(message, pseudo), "a TCP checksum");
            TcpHeader::parse(message).expect("a TCP header");
        }
        proto::UDP => {
            let (header, payload) = UdpHeader::parse(message).expect("a UDP header");
            assert_eq!(UdpHeader::LEN + payload.len(), message.len());
            assert!(!header.has_checksum() && src.is_ipv4() || header.verify(payload, pseudo), "a UDP checksum");
        }
        _ => {}
    }
}

/// What the peer, or another on the second link, answers when it is asked for its station address.
pub fn answer_resolution(frame: &[u8]) -> Option<Vec<u8>> {
    const MINE4: [Ipv4Addr; 2] = [PEER4, SECOND_PEER4];
    const MINE6: [Ipv6Addr; 3] = [PEER6, PEER6_LOCAL, SECOND_PEER6];
    let (ethernet, packet) = EthernetHeader::parse(frame).ok()?;
    match ethernet.ethertype {
        ETHERTYPE_ARP => {
            let ask =
                ArpPacket::parse(packet).ok().filter(|a| a.op == ArpOp::Request && MINE4.contains(&a.target_ip))?;
            let reply = ArpPacket {
                op: ArpOp::Reply,
                sender_mac: PEER_MAC,
                sender_ip: ask.target_ip,
                target_mac: ask.sender_mac,
                target_ip: ask.sender_ip,
            };
            let mut out = [0; ArpPacket::LEN];
            reply.emit(&mut out);
            Some(craft::ethernet(ask.sender_mac, ETHERTYPE_ARP, &out))
        }
        ETHERTYPE_IPV6 => {
            let (header, payload) = Ipv6Header::parse(packet).ok()?;
            let (NdpMessage::NeighborSolicit { target }, _) = NdpMessage::parse(payload).ok()? else { return None };
            let is_mine = header.next_header == proto::ICMPV6 && MINE6.contains(&target);
            (is_mine && !header.src.is_unspecified()).then(|| advertisement(target, header.src, ethernet.src))
        }
        _ => None,
    }
}

fn advertisement(target: Ipv6Addr, to: Ipv6Addr, station: MacAddr) -> Vec<u8> {
    let message = NdpMessage::NeighborAdvert { router: false, solicited: true, override_: true, target };
    let options = [NdpOption::TargetLinkAddr(PEER_MAC)];
    let mut out = vec![0; message.len(&options)];
    message.emit(&options, target, to, &mut out);
    craft::ethernet(station, ETHERTYPE_IPV6, &craft::Ip6::new(target, to, proto::ICMPV6).packet(&out))
}
