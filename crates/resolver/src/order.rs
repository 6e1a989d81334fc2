//! The order in which a program should try addresses (RFC 6724 §6, rules 1 and 6 with the default
//! policy table of §2.1; the rest keeps the order of the answer).

use core::net::{IpAddr, Ipv6Addr};

/// Precedence of a destination in the default policy table; larger is better.
fn precedence(addr: IpAddr) -> u8 {
    let IpAddr::V6(a) = addr else { return 35 };
    let [first, second, ..] = a.segments();
    match (first, second) {
        _ if a == Ipv6Addr::LOCALHOST => 50,
        _ if a.to_ipv4_mapped().is_some() => 35,
        (0x2002, _) => 30,
        (0x2001, 0) => 5,
        (0xfc00..=0xfdff, _) => 3,
        (0xfec0..=0xfeff | 0x3ffe, _) => 1,
        _ => 40,
    }
}

/// Sorts `addresses`; `reachable` tells whether there is a source address for one.
pub fn sort(addresses: &mut [IpAddr], reachable: impl Fn(IpAddr) -> bool) {
    addresses.sort_by_cached_key(|&a| (!reachable(a), u8::MAX - precedence(a)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_reached_comes_first_then_the_policy_table() {
        let list = |words: &[&str]| words.iter().map(|w| w.parse().expect("a literal")).collect::<Vec<IpAddr>>();
        let mut a = list(&["10.0.0.1", "fd00::1", "2001:db8::1", "10.0.0.2"]);
        sort(&mut a, |_| true);
        assert_eq!(a, list(&["2001:db8::1", "10.0.0.1", "10.0.0.2", "fd00::1"]));
        sort(&mut a, |x| x.is_ipv4());
        assert_eq!(a, list(&["10.0.0.1", "10.0.0.2", "2001:db8::1", "fd00::1"]));
    }
}
