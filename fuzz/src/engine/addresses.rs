//! Who is who on the fuzzed network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::MacAddr;

use crate::bytes::Bytes;

pub const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub const SECOND_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

pub const HOST4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const PEER4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
pub const SECOND4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub const SECOND_PEER4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub const PEER6_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x12, 0x34);
pub const SECOND6: Ipv6Addr = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1);
pub const SECOND_PEER6: Ipv6Addr = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2);

pub fn host6_local() -> Ipv6Addr {
    wire::addr::link_local_from_mac(HOST_MAC)
}

/// An IPv4 address of some interest. 0 is the peer, 1 the host.
pub fn pick4(bytes: &mut Bytes<'_>) -> Ipv4Addr {
    match bytes.u8() {
        0 => PEER4,
        1 => HOST4,
        2 => Ipv4Addr::new(10, 0, 0, 3),
        3 => Ipv4Addr::new(10, 0, 0, 255),
        4 => Ipv4Addr::BROADCAST,
        5 => GROUP4,
        6 => wire::addr::ALL_SYSTEMS_V4,
        7 => Ipv4Addr::UNSPECIFIED,
        8 => Ipv4Addr::LOCALHOST,
        9 => SECOND4,
        10 => SECOND_PEER4,
        11 => Ipv4Addr::new(203, 0, 113, 1),
        12 => Ipv4Addr::new(169, 254, 1, 1),
        n => Ipv4Addr::new(10, 0, 0, n),
    }
}

/// An IPv6 address of some interest. 0 is the peer, 1 the host.
pub fn pick6(bytes: &mut Bytes<'_>) -> Ipv6Addr {
    match bytes.u8() {
        0 => PEER6,
        1 => HOST6,
        2 => PEER6_LOCAL,
        3 => host6_local(),
        4 => wire::addr::solicited_node(HOST6),
        5 => wire::addr::ALL_NODES_V6,
        6 => GROUP6,
        7 => Ipv6Addr::UNSPECIFIED,
        8 => Ipv6Addr::LOCALHOST,
        9 => SECOND6,
        10 => SECOND_PEER6,
        11 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        12 => wire::addr::solicited_node(host6_local()),
        13 => PEER4.to_ipv6_mapped(),
        14 => Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 1),
        n => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n.into()),
    }
}

/// A source and a destination, of one family; mostly the peer and the host.
pub fn pick_pair(bytes: &mut Bytes<'_>, v4: bool) -> (IpAddr, IpAddr) {
    let usual = bytes.u8() < 160;
    match (v4, usual) {
        (true, true) => (PEER4.into(), HOST4.into()),
        (true, false) => (pick4(bytes).into(), pick4(bytes).into()),
        (false, true) => (PEER6.into(), HOST6.into()),
        (false, false) => (pick6(bytes).into(), pick6(bytes).into()),
    }
}
