//! Addresses as operators write them. What reads, prints; and what is printed reads as the same.

use std::fmt::Display;
use std::str::FromStr;

use wire::addr::{Address, parse_netmask_v4};
use wire::{Cidr, IpCidr, Ipv4Cidr, Ipv6Cidr, MacAddr};

pub fn addresses(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    reads_back::<MacAddr>(text);
    network::<std::net::Ipv4Addr>(text.parse::<Ipv4Cidr>(), text);
    network::<std::net::Ipv6Addr>(text.parse::<Ipv6Cidr>(), text);
    network::<std::net::IpAddr>(text.parse::<IpCidr>(), text);
    match parse_netmask_v4(text) {
        Ok(len) => assert!(len <= 32),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn reads_back<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str)
where
    T::Err: Display + std::fmt::Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse(), Ok(value)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn network<A: Address + std::fmt::Debug>(parsed: Result<Cidr<A>, wire::TextError>, text: &str) {
    reads_back::<Cidr<A>>(text);
    let Ok(net) = parsed else { return };
    assert!(net.prefix_len <= net.addr.width());
    assert!(net.contains(net.addr) && net.contains(net.network().addr) && net.contains(net.last()));
    assert_eq!(Cidr::from_netmask(net.addr, net.netmask()), Ok(net));
    assert_eq!(net.network().network(), net.network());
    assert!(net.network().contains_network(net));
}
