//! Addresses as BSD's tools read and write them: masks, classes, zones, shortened networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with an optional zone (`fe80::1%en0`).
pub fn parse_address(text: &str) -> Option<(IpAddr, Option<&str>)> {
    match text.split_once('%') {
        Some((addr, zone)) if !zone.is_empty() => match addr.parse() {
            Ok(IpAddr::V6(a)) => Some((IpAddr::V6(a), Some(zone))),
            _ => None,
        },
        Some(_) => None,
        None => text.parse().ok().map(|a| (a, None)),
    }
}

/// A zone belongs to a link-local address and to no other (RFC 4007).
pub fn is_link_local(addr: &IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(a) => a.is_unicast_link_local() || (a.octets()[0] == 0xff && a.octets()[1] & 0xf == 2),
    }
}

/// An address with its zone where it needs one.
pub fn zoned(addr: &IpAddr, interface: Option<&str>) -> String {
    match interface {
        Some(name) if is_link_local(addr) => format!("{addr}%{name}"),
        _ => addr.to_string(),
    }
}

/// `255.255.255.0` or `0xffffff00` as a prefix length; `None` when the bits are not in one row.
pub fn parse_mask(text: &str) -> Option<u8> {
    let bits = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => text.parse::<Ipv4Addr>().ok()?.to_bits(),
    };
    (bits.leading_ones() + bits.trailing_zeros() == 32 || bits == u32::MAX).then_some(bits.leading_ones() as u8)
}

/// The bits of an IPv4 mask of this length (0 to 32).
pub fn mask_bits(prefix_len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0)
}

/// The network part of an address.
pub fn network(addr: IpAddr, prefix_len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask_bits(prefix_len))),
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
        }
    }
}

/// The broadcast address of a network; none for one of one or two addresses (RFC 3021).
pub fn broadcast(addr: Ipv4Addr, prefix_len: u8) -> Option<Ipv4Addr> {
    (prefix_len <= 30).then(|| Ipv4Addr::from_bits(addr.to_bits() | !mask_bits(prefix_len)))
}

/// The mask length that an address without one has by its class (RFC 791 §3.2); what is in no
/// class with networks gets that of the last.
pub fn class_len(addr: Ipv4Addr) -> u8 {
    match addr.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

/// Bits in an address of this family.
pub fn address_bits(addr: &IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// A destination as `netstat -r` writes it: `default`, `10/8`, `192.168.1/24`, `fe80::/64`; a host
/// without its length.
pub fn destination(addr: &IpAddr, prefix_len: u8, zone: Option<&str>) -> String {
    if prefix_len == 0 && addr.is_unspecified() {
        return "default".into();
    }
    if prefix_len == address_bits(addr) {
        return zoned(addr, zone);
    }
    match addr {
        IpAddr::V4(a) => {
            let shown = match prefix_len {
                0..=8 => 1,
                9..=16 => 2,
                17..=24 => 3,
                _ => 4,
            };
            let octets: Vec<String> = a.octets()[..shown].iter().map(u8::to_string).collect();
            format!("{}/{prefix_len}", octets.join("."))
        }
        IpAddr::V6(_) => format!("{}/{prefix_len}", zoned(addr, zone)),
    }
}

/// `10`, `10.1`, `192.168.1`: a network whose last octets are left out. Gives the address and the
/// length that the octets written say.
pub fn parse_short_network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let mut octets = [0u8; 4];
    let mut count = 0;
    for part in text.split('.') {
        *octets.get_mut(count)? = part.parse().ok()?;
        count += 1;
    }
    (count < 4).then_some((Ipv4Addr::from(octets), count as u8 * 8))
}

pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0u8; 6];
    let mut count = 0;
    for part in text.split([':', '-']) {
        if part.len() > 2 {
            return None;
        }
        *mac.get_mut(count)? = u8::from_str_radix(part, 16).ok()?;
        count += 1;
    }
    (count == 6).then_some(mac)
}

pub fn mac(m: &[u8; 6]) -> String {
    m.map(|b| format!("{b:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_in_both_forms_and_must_be_in_one_row() {
        for (text, len) in [("255.255.255.0", 24), ("0xffff0000", 16), ("0.0.0.0", 0), ("255.255.255.255", 32)] {
            assert_eq!(parse_mask(text), Some(len), "{text}");
            assert_eq!(parse_mask(&format!("{:#010x}", mask_bits(len))), Some(len));
        }
        for text in ["255.0.255.0", "0x00ffffff", "24", "", "0x"] {
            assert_eq!(parse_mask(text), None, "{text}");
        }
    }

    #[test]
    fn destinations_are_shortened_as_bsd_does() {
        for (addr, len, text) in [
            ("0.0.0.0", 0, "default"),
            ("10.0.0.0", 8, "10/8"),
            ("172.16.0.0", 12, "172.16/12"),
            ("192.168.1.0", 24, "192.168.1/24"),
            ("192.168.1.128", 25, "192.168.1.128/25"),
            ("192.168.1.1", 32, "192.168.1.1"),
            ("::", 0, "default"),
            ("2001:db8::", 32, "2001:db8::/32"),
            ("fe80::", 64, "fe80::%en0/64"),
            ("::1", 128, "::1"),
        ] {
            let addr: IpAddr = addr.parse().expect("a literal");
            let shown = destination(&addr, len, Some("en0"));
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn short_networks_and_zones_and_macs() {
        assert_eq!(parse_short_network("10"), Some((Ipv4Addr::new(10, 0, 0, 0), 8)));
        assert_eq!(parse_short_network("192.168.1"), Some((Ipv4Addr::new(192, 168, 1, 0), 24)));
        assert_eq!(parse_short_network("10.0.0.300"), None);
        assert_eq!(parse_short_network("10.0.0.3"), None);
        assert_eq!(parse_address("fe80::1%en0").map(|(_, z)| z), Some(Some("en0")));
        assert_eq!(parse_address("10.0.0.1%en0"), None);
        assert_eq!(parse_address("fe80::1%"), None);
        assert_eq!(parse_mac("0:11:22:33:44:55"), Some([0, 0x11, 0x22, 0x33, 0x44, 0x55]));
        assert_eq!(parse_mac("00:11:22:33:44"), None);
        assert_eq!(broadcast(Ipv4Addr::new(10, 0, 0, 1), 31), None);
    }
}
