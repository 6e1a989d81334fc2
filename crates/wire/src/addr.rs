//! IP networks and netmasks as operators write them, and the special addresses that the stack derives (RFC 4291, RFC
//! 4632).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::error::TextError;
use crate::mac::MacAddr;

/// `ff02::1`, all nodes on the link (RFC 4291 §2.7.1).
pub const ALL_NODES_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// `ff02::2`, all routers on the link (RFC 4291 §2.7.1).
pub const ALL_ROUTERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// `ff02::16`, where MLDv2 reports go (RFC 3810 §5.2.14).
pub const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// `224.0.0.1`, all systems on the link (RFC 1112 §4).
pub const ALL_SYSTEMS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// `224.0.0.2`, all routers on the link; where IGMPv2 leaves go (RFC 2236 §9).
pub const ALL_ROUTERS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// `224.0.0.22`, where IGMPv3 reports go (RFC 3376 §4.2.14).
pub const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// What [`Cidr`] needs of an address: its bits, right-aligned in 128, and how many there are.
pub trait Address: Copy + Eq + fmt::Display + FromStr {
    /// Bits of the address: 32 or 128.
    fn width(self) -> u8;
    /// The address as a number.
    fn bits(self) -> u128;
    /// The address of `self`'s family with these bits; bits beyond [`Self::width`] are dropped.
    fn with_bits(self, bits: u128) -> Self;
}

impl Address for Ipv4Addr {
    fn width(self) -> u8 {
        32
    }
    fn bits(self) -> u128 {
        self.to_bits().into()
    }
    fn with_bits(self, bits: u128) -> Self {
        Self::from_bits(bits as u32)
    }
}

impl Address for Ipv6Addr {
    fn width(self) -> u8 {
        128
    }
    fn bits(self) -> u128 {
        self.to_bits()
    }
    fn with_bits(self, bits: u128) -> Self {
        Self::from_bits(bits)
    }
}

impl Address for IpAddr {
    fn width(self) -> u8 {
        match self {
            Self::V4(addr) => addr.width(),
            Self::V6(addr) => addr.width(),
        }
    }
    fn bits(self) -> u128 {
        match self {
            Self::V4(addr) => addr.bits(),
            Self::V6(addr) => addr.bits(),
        }
    }
    fn with_bits(self, bits: u128) -> Self {
        match self {
            Self::V4(addr) => addr.with_bits(bits).into(),
            Self::V6(addr) => addr.with_bits(bits).into(),
        }
    }
}

/// An address with the length of its network prefix. Bits of the host part are kept: `10.0.0.1/8` is not `10.0.0.0/8`.
///
/// A `prefix_len` above the address's width, which only a literal can bring about, counts as the width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Cidr<A> {
    /// The address.
    pub addr: A,
    /// Bits of the network part, 0..=32 or 0..=128.
    pub prefix_len: u8,
}

/// An IPv4 network.
pub type Ipv4Cidr = Cidr<Ipv4Addr>;
/// An IPv6 network.
pub type Ipv6Cidr = Cidr<Ipv6Addr>;
/// A network of either family.
pub type IpCidr = Cidr<IpAddr>;

impl<A: Address> Cidr<A> {
    /// `PrefixLen` if the prefix is longer than the address.
    pub fn new(addr: A, prefix_len: u8) -> Result<Self, TextError> {
        if prefix_len > addr.width() {
            return Err(TextError::PrefixLen);
        }
        Ok(Self { addr, prefix_len })
    }

    /// The network of one address: `/32` or `/128`.
    pub fn host(addr: A) -> Self {
        Self { addr, prefix_len: addr.width() }
    }

    /// From an address and a netmask; `NonContiguousMask` if the mask has holes, `Netmask` if it is of the other
    /// family.
    pub fn from_netmask(addr: A, mask: A) -> Result<Self, TextError> {
        if addr.width() != mask.width() {
            return Err(TextError::Netmask);
        }
        Ok(Self { addr, prefix_len: prefix_len_of(mask)? })
    }

    /// The netmask: `255.0.0.0` for a `/8`.
    pub fn netmask(self) -> A {
        self.addr.with_bits(self.mask_bits())
    }

    /// The network itself: the same prefix with all bits of the host part zero.
    pub fn network(self) -> Self {
        Self { addr: self.addr.with_bits(self.addr.bits() & self.mask_bits()), prefix_len: self.prefix_len }
    }

    /// The last address of the network: for IPv4 the directed broadcast address, if [`Self::broadcast`] says there is
    /// one.
    pub fn last(self) -> A {
        self.addr.with_bits(self.addr.bits() | !self.mask_bits())
    }

    /// The directed broadcast address. None for IPv6, and for `/31` and `/32` (RFC 3021 §2.1).
    pub fn broadcast(self) -> Option<A> {
        (self.addr.width() == 32 && self.prefix_len <= 30).then(|| self.last())
    }

    /// Whether `addr` lies in the network; never if it is of the other family.
    pub fn contains(self, addr: A) -> bool {
        self.addr.width() == addr.width() && (self.addr.bits() ^ addr.bits()) & self.mask_bits() == 0
    }

    /// Whether all of `other` lies in the network.
    pub fn contains_network(self, other: Self) -> bool {
        self.prefix_len <= other.prefix_len && self.contains(other.addr)
    }

    /// The mask, right-aligned to the address's width.
    fn mask_bits(self) -> u128 {
        let width = u32::from(self.addr.width());
        let host_bits = width - width.min(self.prefix_len.into());
        let all = u128::MAX >> (128 - width);
        // A shift by the full width is the empty mask of a default route.
        all.checked_shl(host_bits).unwrap_or(0) & all
    }
}

impl From<Ipv4Cidr> for IpCidr {
    fn from(net: Ipv4Cidr) -> Self {
        Self { addr: net.addr.into(), prefix_len: net.prefix_len }
    }
}

impl From<Ipv6Cidr> for IpCidr {
    fn from(net: Ipv6Cidr) -> Self {
        Self { addr: net.addr.into(), prefix_len: net.prefix_len }
    }
}

impl<A: Address> fmt::Display for Cidr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

impl<A: Address> FromStr for Cidr<A> {
    type Err = TextError;

    /// Reads `10.0.0.1/8`, `10.0.0.1/255.0.0.0` or `fd00::1/64`. An address alone is refused: its prefix would be a
    /// guess.
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (addr, prefix) = text.split_once('/').ok_or(TextError::Cidr)?;
        let addr: A = addr.parse().map_err(|_| TextError::Address)?;
        if let Ok(mask) = prefix.parse::<A>() {
            return Self::from_netmask(addr, mask);
        }
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TextError::PrefixLen);
        }
        Self::new(addr, prefix.parse().map_err(|_| TextError::PrefixLen)?)
    }
}

/// The prefix length of a netmask; `NonContiguousMask` if a one follows a zero.
pub fn prefix_len_of<A: Address>(mask: A) -> Result<u8, TextError> {
    let width = mask.width();
    let bits = mask.bits() << (128 - u32::from(width));
    let ones = bits.leading_ones();
    if ones != bits.count_ones() {
        return Err(TextError::NonContiguousMask);
    }
    // At most 128.
    Ok(ones as u8)
}

/// Reads an IPv4 netmask, dotted or as BSD prints it (`0xffffff00`), and returns its prefix length.
pub fn parse_netmask_v4(text: &str) -> Result<u8, TextError> {
    let mask = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if (1..=8).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).map(Ipv4Addr::from_bits).map_err(|_| TextError::Netmask)?
        }
        Some(_) => return Err(TextError::Netmask),
        None => text.parse().map_err(|_| TextError::Netmask)?,
    };
    prefix_len_of(mask)
}

/// The group in which a node is asked for the link address of `addr`: `ff02::1:ff` and the low 24 bits (RFC 4291
/// §2.7.1).
pub const fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., x, y] = addr.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (x & 0xff), y)
}

/// The link-local address with the modified EUI-64 identifier of `mac` (RFC 4862 §5.3).
pub fn link_local_from_mac(mac: MacAddr) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..].copy_from_slice(&mac.eui64_interface_id());
    octets.into()
}

/// Whether this is a link-local *unicast* address: `fe80::/10` or `169.254.0.0/16` (RFC 4291 §2.5.6, RFC 3927).
pub fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

/// The scope of an IPv6 multicast group, 0..=15: 1 interface, 2 link, 5 site, 14 global (RFC 4291 §2.7). None if not a
/// group.
pub const fn multicast_scope(addr: Ipv6Addr) -> Option<u8> {
    if addr.is_multicast() { Some(addr.octets()[1] & 0xf) } else { None }
}

/// Whether the address means something only together with an interface: link-local unicast, and groups of interface or
/// link scope.
pub fn needs_zone(addr: Ipv6Addr) -> bool {
    addr.is_unicast_link_local() || matches!(multicast_scope(addr), Some(1 | 2))
}

/// Whether the group stays on the link whatever the TTL: `224.0.0.0/24` (RFC 5771 §4).
pub const fn is_local_network_control(addr: Ipv4Addr) -> bool {
    matches!(addr.octets(), [224, 0, 0, _])
}

/// Whether no packet may carry this as its source (RFC 1122 §3.2.1.3): groups, broadcast, and `0/8` but the unspecified
/// address itself, which a host sends before it has another.
pub const fn is_invalid_source_v4(addr: Ipv4Addr) -> bool {
    addr.is_multicast() || addr.is_broadcast() || (addr.octets()[0] == 0 && !addr.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpCidr {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_read_and_print() {
        for text in ["10.0.0.1/8", "0.0.0.0/0", "192.0.2.1/32", "fd00::1/64", "::/0", "::1/128"] {
            assert_eq!(net(text).to_string(), text);
        }
        assert_eq!(net("10.0.0.1/255.255.0.0"), net("10.0.0.1/16"));
        assert_eq!("10.0.0.1/8".parse::<Ipv4Cidr>().map(IpCidr::from), Ok(net("10.0.0.1/8")));
    }

    #[test]
    fn other_text_is_refused_with_its_reason() {
        for (text, error) in [
            ("10.0.0.1", TextError::Cidr),
            ("10.0.0/8", TextError::Address),
            ("10.0.0.1/33", TextError::PrefixLen),
            ("::1/129", TextError::PrefixLen),
            ("10.0.0.1/", TextError::PrefixLen),
            ("10.0.0.1/+8", TextError::PrefixLen),
            ("10.0.0.1/999", TextError::PrefixLen),
            ("10.0.0.1/255.0.255.0", TextError::NonContiguousMask),
            ("10.0.0.1/ffff::", TextError::Netmask),
        ] {
            assert_eq!(text.parse::<IpCidr>(), Err(error), "{text}");
        }
    }

    #[test]
    fn network_broadcast_and_mask_follow_from_the_prefix() {
        let n = net("192.168.77.5/22");
        assert_eq!(n.network(), net("192.168.76.0/22"));
        assert_eq!(n.netmask(), ip("255.255.252.0"));
        assert_eq!(n.broadcast(), Some(ip("192.168.79.255")));
        assert_eq!(net("10.0.0.0/31").broadcast(), None);
        assert_eq!(net("fd00::/64").broadcast(), None);
        assert_eq!(net("fd00::1:2/64").network(), net("fd00::/64"));
        assert_eq!(net("fd00::/64").netmask(), ip("ffff:ffff:ffff:ffff::"));
        assert_eq!(net("1.2.3.4/0").netmask(), ip("0.0.0.0"));
        assert_eq!(net("::5/0").netmask(), ip("::"));
    }

    #[test]
    fn containment_ends_at_the_prefix_and_the_family() {
        assert!(net("10.0.0.1/8").contains(ip("10.255.0.9")) && !net("10.0.0.1/8").contains(ip("11.0.0.0")));
        assert!(net("0.0.0.0/0").contains(ip("203.0.113.1")) && !net("0.0.0.0/0").contains(ip("::1")));
        assert!(
            net("10.0.0.0/8").contains_network(net("10.1.0.0/16"))
                && !net("10.1.0.0/16").contains_network(net("10.0.0.0/8"))
        );
    }

    #[test]
    fn an_impossible_prefix_counts_as_the_width() {
        let n = Cidr { addr: Ipv4Addr::new(10, 0, 0, 1), prefix_len: 200 };
        assert_eq!(n.netmask(), Ipv4Addr::BROADCAST);
        assert!(n.contains(n.addr));
    }

    #[test]
    fn netmasks_read_dotted_and_as_bsd_prints_them() {
        for (text, len) in
            [("0xffffff00", 24), ("0xff000000", 8), ("0x0", 0), ("0XFFFFFFFF", 32), ("255.255.128.0", 17)]
        {
            assert_eq!(parse_netmask_v4(text), Ok(len), "{text}");
        }
        assert_eq!(parse_netmask_v4("0xff00ff00"), Err(TextError::NonContiguousMask));
        for text in ["", "0x", "0xfffffff00", "0x+f", "24", "ffffff00"] {
            assert_eq!(parse_netmask_v4(text), Err(TextError::Netmask), "{text}");
        }
    }

    #[test]
    fn derived_addresses() {
        assert_eq!(solicited_node("fe80::2aa:ff:fe28:9c5a".parse().unwrap()).to_string(), "ff02::1:ff28:9c5a");
        assert_eq!(link_local_from_mac(MacAddr([0, 0xaa, 0, 0x28, 0x9c, 0x5a])).to_string(), "fe80::2aa:ff:fe28:9c5a");
        assert!(is_link_local(ip("169.254.3.4")) && is_link_local(ip("febf::1")) && !is_link_local(ip("fec0::1")));
        assert_eq!(multicast_scope(ALL_NODES_V6), Some(2));
        assert!(needs_zone(ALL_NODES_V6) && !needs_zone("ff0e::1".parse().unwrap()));
        assert!(is_invalid_source_v4(ALL_SYSTEMS_V4) && !is_invalid_source_v4(Ipv4Addr::UNSPECIFIED));
    }

    proptest! {
        #[test]
        fn a_prefix_survives_its_netmask(bits: u128, len in 0u8..=128) {
            let n = Cidr::new(Ipv6Addr::from_bits(bits), len).unwrap();
            prop_assert_eq!(Cidr::from_netmask(n.addr, n.netmask()), Ok(n));
            prop_assert_eq!(n.to_string().parse(), Ok(n));
            prop_assert!(n.contains(n.network().addr) && n.contains(n.last()));
        }
    }
}
