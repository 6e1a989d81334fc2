//! Ethernet (EUI-48) addresses and what IP derives from them.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::error::TextError;

/// An Ethernet address, in transmission order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`, "not known".
    pub const ZERO: Self = Self([0; 6]);

    /// The group address that carries an IPv4 multicast group: 01:00:5e and the low 23 bits (RFC 1112 §6.4).
    pub const fn multicast_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address that carries an IPv6 multicast group: 33:33 and the low 32 bits (RFC 2464 §7).
    pub const fn multicast_v6(group: Ipv6Addr) -> Self {
        let o = group.octets();
        Self([0x33, 0x33, o[12], o[13], o[14], o[15]])
    }

    /// The six bytes.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether the group bit is set; true for broadcast too.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether this is `ff:ff:ff:ff:ff:ff`.
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether this can be the address of one station: neither a group nor zero.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The modified EUI-64 interface identifier: ff:fe in the middle, universal/local bit inverted (RFC 4291 appendix
    /// A).
    pub const fn eui64_interface_id(self) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.0;
        [a ^ 0x02, b, c, 0xff, 0xfe, d, e, f]
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = TextError;

    /// Accepts `00:11:22:33:44:55`, `00-11-22-33-44-55`, `001122334455` and groups of one digit as BSD prints them
    /// (`0:1:2:a:b:c`).
    fn from_str(text: &str) -> Result<Self, TextError> {
        let separator = if text.contains(':') {
            Some(':')
        } else if text.contains('-') {
            Some('-')
        } else {
            None
        };
        parse_groups(text, separator).map(Self).ok_or(TextError::Mac)
    }
}

fn parse_groups(text: &str, separator: Option<char>) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    match separator {
        Some(separator) => {
            let mut groups = text.split(separator);
            for octet in &mut octets {
                *octet = parse_octet(groups.next()?, 1)?;
            }
            groups.next().is_none().then_some(octets)
        }
        None => {
            if text.len() != 12 {
                return None;
            }
            for (i, octet) in octets.iter_mut().enumerate() {
                *octet = parse_octet(text.get(2 * i..2 * i + 2)?, 2)?;
            }
            Some(octets)
        }
    }
}

fn parse_octet(digits: &str, min_digits: usize) -> Option<u8> {
    // `from_str_radix` would accept a leading '+'.
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain || !(min_digits..=2).contains(&digits.len()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x00, 0x11, 0x22, 0x33, 0x44, 0x55]);

    #[test]
    fn every_written_form_reads_as_the_same_address() {
        for text in ["00:11:22:33:44:55", "00-11-22-33-44-55", "001122334455", "0:11:22:33:44:55"] {
            assert_eq!(text.parse(), Ok(MAC), "{text}");
        }
        assert_eq!("0:1:2:A:b:c".parse(), Ok(MacAddr([0, 1, 2, 10, 11, 12])));
        assert_eq!(MAC.to_string(), "00:11:22:33:44:55");
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            ":",
            "00:11:22:33:44",
            "00:11:22:33:44:55:66",
            "00:11:22:33:44:5g",
            "00:11:22:33:44:",
            "001:1:2:3:4:5",
            "00112233445",
            "0011223344556",
            "+0:1:2:3:4:5",
            "00:11-22:33:44:55",
            "0é1122334455",
            "00:11:22:33:44:55 ",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(TextError::Mac), "{text}");
        }
    }

    #[test]
    fn groups_map_to_their_link_addresses() {
        assert_eq!(MacAddr::multicast_v4(Ipv4Addr::new(239, 255, 1, 2)).to_string(), "01:00:5e:7f:01:02");
        assert_eq!(MacAddr::multicast_v6("ff02::1:ff12:3456".parse().unwrap()).to_string(), "33:33:ff:12:34:56");
    }

    #[test]
    fn casts_are_told_apart() {
        assert!(MAC.is_unicast() && !MAC.is_multicast() && !MAC.is_broadcast());
        assert!(
            MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast() && !MacAddr::BROADCAST.is_unicast()
        );
        assert!(!MacAddr::ZERO.is_unicast());
    }

    #[test]
    fn interface_id_inverts_the_universal_bit() {
        assert_eq!(
            MacAddr([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]).eui64_interface_id(),
            [0x36, 0x56, 0x78, 0xff, 0xfe, 0x9a, 0xbc, 0xde]
        );
    }
}
