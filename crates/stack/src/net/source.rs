//! Source address selection (RFC 6724 §5), one set of rules for both families.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv6Addr};

use super::address::{Address, AddressState, map};
use super::route::bits;
use crate::frame::LinkId;

/// RFC 6724 §2.1: (prefix, its length, label).
const POLICY: [(Ipv6Addr, u32, u8); 9] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 12),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 13),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

fn label(addr: IpAddr) -> u8 {
    let bits = bits(map(addr));
    let matches = |p: Ipv6Addr, len: u32| len == 0 || (p.to_bits() ^ bits) >> (128 - len) == 0;
    POLICY.iter().find(|(p, len, _)| matches(*p, *len)).map_or(1, |p| p.2)
}

/// RFC 6724 §3.1, 3.2: scopes by the values of multicast scopes.
pub fn scope(addr: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    match addr {
        IpAddr::V4(a) if a.is_loopback() || a.is_link_local() => LINK,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(a) if a.is_multicast() => a.octets()[1] & 15,
        IpAddr::V6(a) if a.is_unicast_link_local() || a.is_loopback() => LINK,
        IpAddr::V6(a) if a.segments()[0] & 0xffc0 == 0xfec0 => SITE,
        IpAddr::V6(_) => GLOBAL,
    }
}

/// The address to send from to `dst` over `out` by way of `next_hop`, out of `candidates` (those of
/// `dst`'s family that are not usable are passed over).
pub fn select<'a>(
    dst: IpAddr,
    next_hop: IpAddr,
    out: LinkId,
    candidates: impl Iterator<Item = (LinkId, &'a Address)>,
) -> Option<IpAddr> {
    // RFC 6724 §4: for multicast and link-local destinations only addresses of the outgoing link.
    let only_out = scope(dst) <= 2 || dst.is_multicast();
    let mut best: Option<(LinkId, &Address)> = None;
    for (link, addr) in candidates {
        let fits = addr.addr.is_ipv4() == dst.is_ipv4() && addr.is_usable() && (link == out || !only_out);
        // The first of equals stays: the one configured first.
        if fits && best.is_none_or(|(l, b)| compare(dst, next_hop, out, (link, addr), (l, b)) == Ordering::Greater) {
            best = Some((link, addr));
        }
    }
    best.map(|(_, a)| a.addr)
}

/// Greater when `a` is the better source.
fn compare(dst: IpAddr, next_hop: IpAddr, out: LinkId, a: (LinkId, &Address), b: (LinkId, &Address)) -> Ordering {
    // Rule 1: the destination itself.
    let rule1 = (a.1.addr == dst).cmp(&(b.1.addr == dst));
    // Rule 2: appropriate scope.
    let (sa, sb, sd) = (scope(a.1.addr), scope(b.1.addr), scope(dst));
    let rule2 = match sa.cmp(&sb) {
        Ordering::Less if sa < sd => Ordering::Less,
        Ordering::Less => Ordering::Greater,
        Ordering::Greater if sb < sd => Ordering::Greater,
        Ordering::Greater => Ordering::Less,
        Ordering::Equal => Ordering::Equal,
    };
    // Rule 3: not deprecated.
    let preferred = |x: &Address| x.state == AddressState::Preferred;
    let rule3 = preferred(a.1).cmp(&preferred(b.1));
    // Rule 5: of the outgoing interface.
    let rule5 = (a.0 == out).cmp(&(b.0 == out));
    // Rule 6: matching label.
    let want = label(dst);
    let rule6 = (label(a.1.addr) == want).cmp(&(label(b.1.addr) == want));
    // Rule 8: longest matching prefix, no longer than the source's own. IPv4 looks at the next hop:
    // the address of the gateway's subnet.
    let toward = if dst.is_ipv4() { next_hop } else { dst };
    let common = |x: &Address| (bits(x.addr) ^ bits(toward)).leading_zeros().min(u32::from(x.prefix_len));
    let rule8 = common(a.1).cmp(&common(b.1));
    rule1.then(rule2).then(rule3).then(rule5).then(rule6).then(rule8)
}

#[cfg(test)]
mod tests {
    use super::super::address::AddressOrigin;
    use super::*;

    fn pick(dst: &str, sources: &[&str]) -> Option<String> {
        let list: Vec<Address> = sources
            .iter()
            .map(|s| {
                let (a, len) = s.split_once('/').expect("addr/len");
                let (len, deprecated) = len.split_once('-').map_or((len, false), |(l, _)| (l, true));
                let mut addr =
                    Address::new(a.parse().expect("address"), len.parse().expect("length"), AddressOrigin::Manual);
                if deprecated {
                    addr.state = AddressState::Deprecated;
                }
                addr
            })
            .collect();
        let dst = dst.parse().expect("address");
        select(dst, dst, LinkId(2), list.iter().map(|a| (LinkId(2), a))).map(|a| a.to_string())
    }

    /// RFC 6724 §10.1, the examples that concern source selection.
    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(pick("2001:db8:1::1", &["2001:db8:3::1/64", "fe80::1/64"]).as_deref(), Some("2001:db8:3::1"));
        assert_eq!(pick("ff05::1", &["2001:db8:3::1/64", "fe80::1/64"]).as_deref(), Some("2001:db8:3::1"));
        assert_eq!(
            pick("2001:db8:1::1", &["2001:db8:1::1/64-deprecated", "2001:db8:2::1/64"]).as_deref(),
            Some("2001:db8:1::1")
        );
        assert_eq!(pick("fe80::1", &["fe80::2/64-deprecated", "2001:db8:1::1/64"]).as_deref(), Some("fe80::2"));
        assert_eq!(pick("2001:db8:1::1", &["2001:db8:1::2/64", "2001:db8:3::2/64"]).as_deref(), Some("2001:db8:1::2"));
        assert_eq!(
            pick("2002:c633:6401::1", &["2002:c633:6401::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"]).as_deref(),
            Some("2002:c633:6401:0:d5e3:7953:13eb:22e8")
        );
    }

    #[test]
    fn a_deprecated_address_yields_to_a_preferred_one() {
        assert_eq!(
            pick("2001:db8:9::1", &["2001:db8:1::2/64-deprecated", "2001:db8:3::2/64"]).as_deref(),
            Some("2001:db8:3::2")
        );
    }

    #[test]
    fn ipv4_takes_the_address_of_the_subnet() {
        assert_eq!(pick("10.0.0.9", &["192.168.1.1/24", "10.0.0.1/24", "10.0.0.2/24"]).as_deref(), Some("10.0.0.1"));
    }
}
