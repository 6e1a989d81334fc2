//! Frames of the hostile network: headers that are right around contents that need not be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::checksum;
use wire::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetHeader};
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;
use wire::{MacAddr, proto};

use super::addresses::{HOST_MAC, PEER_MAC};

/// The station address that a packet to `dst` goes to.
fn station(dst: IpAddr) -> MacAddr {
    match dst {
        IpAddr::V4(a) if a.is_broadcast() || a.octets() == [10, 0, 0, 255] => MacAddr::BROADCAST,
        IpAddr::V4(a) if a.is_multicast() => MacAddr::multicast_v4(a),
        IpAddr::V6(a) if a.is_multicast() => MacAddr::multicast_v6(a),
        _ => HOST_MAC,
    }
}

pub fn ethernet(dst: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; EthernetHeader::LEN];
    EthernetHeader { dst, src: PEER_MAC, ethertype }.emit(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// Makes the checksum of a transport's message right, where the protocol has one and there is room for it.
pub fn fix_checksum(protocol: u8, src: IpAddr, dst: IpAddr, message: &mut [u8]) {
    let (at, pseudo) = match (protocol, src) {
        (proto::TCP, _) => (16, true),
        (proto::UDP, _) => (6, true),
        (proto::ICMP, IpAddr::V4(_)) | (proto::IGMP, IpAddr::V4(_)) => (2, false),
        (proto::ICMPV6, IpAddr::V6(_)) => (2, true),
        _ => return,
    };
    let Some(field) = message.get_mut(at..at + 2) else { return };
    field.fill(0);
    let mut sum = checksum::partial(message);
    if pseudo {
        sum = checksum::combine(sum, checksum::pseudo(src, dst, protocol, message.len() as u32));
    }
    let ck = checksum::finish(sum);
    message[at..at + 2].copy_from_slice(&ck.to_be_bytes());
}

/// The header fields of an IPv4 packet that steps choose.
#[derive(Clone, Copy)]
pub struct Ip4<'a> {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub proto: u8,
    pub ttl: u8,
    pub tos: u8,
    pub id: u16,
    pub df: bool,
    pub mf: bool,
    /// In bytes.
    pub offset: u16,
    pub options: &'a [u8],
}

impl Ip4<'_> {
    pub fn new(src: Ipv4Addr, dst: Ipv4Addr, proto: u8) -> Ip4<'static> {
        Ip4 { src, dst, proto, ttl: 64, tos: 0, id: 1, df: false, mf: false, offset: 0, options: &[] }
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let options = &self.options[..self.options.len().min(Ipv4Header::MAX_OPTIONS_LEN)];
        let payload = &payload[..payload.len().min(65_000)];
        let header_len = Ipv4Header::LEN + options.len().next_multiple_of(4);
        let header = Ipv4Header {
            tos: self.tos,
            total_len: (header_len + payload.len()) as u16,
            id: self.id,
            df: self.df,
            mf: self.mf,
            frag_offset: self.offset,
            ttl: self.ttl,
            proto: self.proto,
            src: self.src,
            dst: self.dst,
            header_len: header_len as u8,
        };
        let mut packet = vec![0; header_len];
        header.emit_with_options(options, &mut packet).expect("the options fit");
        packet.extend_from_slice(payload);
        packet
    }

    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        ethernet(station(self.dst.into()), ETHERTYPE_IPV4, &self.packet(payload))
    }
}

/// The header fields of an IPv6 packet that steps choose.
#[derive(Clone, Copy)]
pub struct Ip6 {
    pub src: Ipv6Addr,
    pub dst: Ipv6Addr,
    pub next_header: u8,
    pub hop_limit: u8,
    pub traffic_class: u8,
}

impl Ip6 {
    pub fn new(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8) -> Ip6 {
        Ip6 { src, dst, next_header, hop_limit: 255, traffic_class: 0 }
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let payload = &payload[..payload.len().min(65_000)];
        let Ip6 { src, dst, next_header, hop_limit, traffic_class } = *self;
        let payload_len = payload.len() as u16;
        let mut packet = vec![0; Ipv6Header::LEN];
        Ipv6Header { traffic_class, flow_label: 0, payload_len, next_header, hop_limit, src, dst }.emit(&mut packet);
        packet.extend_from_slice(payload);
        packet
    }

    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        ethernet(station(self.dst.into()), ETHERTYPE_IPV6, &self.packet(payload))
    }
}

/// A message of a transport in a packet of the family of its addresses, in a frame.
pub fn transport_frame(src: IpAddr, dst: IpAddr, protocol: u8, message: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Ip4::new(src, dst, protocol).frame(message),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Ip6::new(src, dst, protocol).frame(message),
        _ => Vec::new(),
    }
}
