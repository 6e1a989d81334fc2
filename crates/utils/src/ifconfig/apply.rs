//! Carries out what a command line of `ifconfig` asks, in the order that makes it work in one go.

use std::net::IpAddr;

use sockets::config::{Interface, InterfaceAddress, Request, iff};

use super::parse::{AddressChange, Change, Family};
use crate::client::Instance;
use crate::command::Failure;
use crate::inet;

pub fn apply(instance: &Instance, interface: &Interface, change: &Change) -> Result<(), Failure> {
    for request in requests(interface, change)? {
        instance.command(&request)?;
    }
    Ok(())
}

fn requests(interface: &Interface, change: &Change) -> Result<Vec<Request>, Failure> {
    let Change { address, set, clear, mtu, mac, destroy } = change;
    let name = || interface.name.clone();
    if *destroy {
        return Ok(vec![Request::Destroy { interface: name() }]);
    }
    let mut all = Vec::new();
    all.extend(mac.map(|mac| Request::SetLinkAddress { interface: name(), mac }));
    all.extend(mtu.map(|mtu| Request::SetMtu { interface: name(), mtu }));
    let mut set = *set;
    match address {
        None => {}
        Some(AddressChange::Delete { addr, family }) => {
            let addr = match addr.or_else(|| first(interface, *family)) {
                Some(addr) => addr,
                None => return Err(Failure::new(format!("{}: no address to delete", interface.name))),
            };
            all.push(Request::DeleteAddress { interface: name(), addr });
        }
        Some(AddressChange::Add { addr, prefix_len, broadcast, peer, alias }) => {
            // BSD: an IPv4 address without `alias` takes the place of the first one; an IPv6
            // address always comes beside those that are there.
            if let Some(old) = first(interface, Family::Inet)
                && addr.is_ipv4()
                && !alias
                && old != *addr
            {
                all.push(Request::DeleteAddress { interface: name(), addr: old });
            }
            let mut address = InterfaceAddress::new(*addr, *prefix_len);
            address.peer = *peer;
            address.broadcast = broadcast.or_else(|| default_broadcast(interface, *addr, *prefix_len));
            all.push(Request::AddAddress { interface: name(), address });
            // BSD: an interface that gets an address comes up, unless the same line says down.
            set |= iff::UP & !clear;
        }
    }
    if (set, *clear) != (0, 0) {
        all.push(Request::SetFlags { interface: name(), set, clear: *clear });
    }
    Ok(all)
}

fn first(interface: &Interface, family: Family) -> Option<IpAddr> {
    interface.addresses.iter().map(|a| a.addr).find(|a| a.is_ipv4() == (family == Family::Inet))
}

fn default_broadcast(interface: &Interface, addr: IpAddr, prefix_len: u8) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(a) if interface.flags & iff::BROADCAST != 0 => inet::broadcast(a, prefix_len).map(IpAddr::V4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{What, parse};
    use super::*;
    use sockets::config::LinkCounters;

    fn en0(addresses: &[&str]) -> Interface {
        Interface {
            index: 1,
            name: "en0".into(),
            flags: iff::BROADCAST,
            mtu: 1500,
            mac: Some([2, 0, 0, 0, 0, 1]),
            media: String::new(),
            driver: "tap".into(),
            link_up: true,
            offloads: Vec::new(),
            addresses: addresses
                .iter()
                .map(|a| InterfaceAddress::new(a.parse().expect("a literal of this test"), 24))
                .collect(),
            counters: LinkCounters::default(),
        }
    }

    fn asked(line: &str, addresses: &[&str]) -> Vec<Request> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match parse(&words).expect(line).what {
            What::Change { change, .. } => requests(&en0(addresses), &change).expect(line),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_address_replaces_the_first_one_and_brings_the_interface_up() {
        let all = asked("en0 192.168.1.100/24", &["10.0.0.1"]);
        let [Request::DeleteAddress { addr, .. }, Request::AddAddress { address, .. }, Request::SetFlags { set, .. }] =
            all.as_slice()
        else {
            panic!("{all:?}")
        };
        assert_eq!(addr.to_string(), "10.0.0.1");
        assert_eq!(address.broadcast.map(|b| b.to_string()), Some("192.168.1.255".into()));
        assert_eq!(*set, iff::UP);
    }

    #[test]
    fn an_alias_stands_beside_the_first_one_and_down_stays_down() {
        let all = asked("en0 192.168.1.100/24 alias down", &["10.0.0.1"]);
        assert!(matches!(
            all.as_slice(),
            [Request::AddAddress { .. }, Request::SetFlags { set: 0, clear: iff::UP, .. }]
        ));
        let same = asked("en0 10.0.0.1/16", &["10.0.0.1"]);
        assert!(matches!(same.as_slice(), [Request::AddAddress { .. }, Request::SetFlags { .. }]));
    }

    #[test]
    fn the_mtu_comes_before_the_flags() {
        let all = asked("en0 up mtu 9000", &[]);
        assert!(matches!(all.as_slice(), [Request::SetMtu { mtu: 9000, .. }, Request::SetFlags { .. }]));
    }
}
