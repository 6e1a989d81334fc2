//! Ethernet and ARP.

use wire::arp::{ArpOp, ArpPacket};
use wire::ethernet::EthernetHeader;

pub fn ethernet(data: &[u8]) {
    let Ok((header, payload)) = EthernetHeader::parse(data) else {
        assert!(data.len() < EthernetHeader::LEN);
        return;
    };
    assert_eq!(payload, &data[EthernetHeader::LEN..]);
    let mut out = [0xa5; EthernetHeader::LEN];
    header.emit(&mut out);
    assert_eq!(out, data[..EthernetHeader::LEN]);
}

pub fn arp(data: &[u8]) {
    let Ok(packet) = ArpPacket::parse(data) else { return };
    let mut out = [0xa5; ArpPacket::LEN];
    packet.emit(&mut out);
    assert_eq!(out, data[..ArpPacket::LEN]);
    assert_eq!(ArpOp::from(u16::from(packet.op)), packet.op);
}
