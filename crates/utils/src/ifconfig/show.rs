//! The layout of `ifconfig IF`, as the system's description shows it.

use std::net::IpAddr;

use sockets::config::{Interface, InterfaceAddress, iff};

use super::parse::Family;
use crate::inet;

/// Names of the flags, in the order of their bits.
const FLAGS: &[(u32, &str)] = &[
    (iff::UP, "UP"),
    (iff::BROADCAST, "BROADCAST"),
    (iff::DEBUG, "DEBUG"),
    (iff::LOOPBACK, "LOOPBACK"),
    (iff::POINTOPOINT, "POINTOPOINT"),
    (iff::RUNNING, "RUNNING"),
    (iff::NOARP, "NOARP"),
    (iff::PROMISC, "PROMISC"),
    (iff::ALLMULTI, "ALLMULTI"),
    (iff::SIMPLEX, "SIMPLEX"),
    (iff::MULTICAST, "MULTICAST"),
];

pub fn interface(i: &Interface, family: Option<Family>, verbose: bool) -> String {
    let mut lines = vec![format!("{}: flags={} mtu {}", i.name, flags(i.flags), i.mtu)];
    if let Some(mac) = &i.mac {
        lines.push(format!("address: {}", inet::mac(mac)));
        if !i.media.is_empty() {
            lines.push(format!("media: {}", i.media));
        }
        if !i.link_up {
            lines.push("status: no carrier".into());
        }
    }
    let wanted = |a: &&InterfaceAddress| family.is_none_or(|f| (f == Family::Inet) == a.addr.is_ipv4());
    let mut addresses: Vec<&InterfaceAddress> = i.addresses.iter().filter(wanted).collect();
    addresses.sort_by_key(|a| a.addr.is_ipv6());
    lines.extend(addresses.into_iter().map(|a| address(i, a)));
    if verbose {
        let c = &i.counters;
        lines.push(format!("driver: {}", i.driver));
        if !i.offloads.is_empty() {
            lines.push(format!("offloads: {}", i.offloads.join(" ")));
        }
        lines.push(format!(
            "input: {} packets, {} bytes, {} multicast, {} errors, {} dropped",
            c.rx_packets, c.rx_bytes, c.rx_multicast, c.rx_errors, c.rx_dropped
        ));
        lines.push(format!(
            "output: {} packets, {} bytes, {} errors, {} dropped, {} collisions",
            c.tx_packets, c.tx_bytes, c.tx_errors, c.tx_dropped, c.collisions
        ));
    }
    lines.join("\n     ") + "\n"
}

/// `8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST>`.
pub fn flags(value: u32) -> String {
    let names: Vec<&str> = FLAGS.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name).collect();
    format!("{value:x}<{}>", names.join(","))
}

fn address(i: &Interface, a: &InterfaceAddress) -> String {
    let peer = a.peer.map(|p| format!(" -> {p}")).unwrap_or_default();
    match a.addr {
        IpAddr::V4(addr) => {
            let broadcast = a.broadcast.map(|b| format!(" broadcast {b}")).unwrap_or_default();
            format!("inet {addr}{peer} netmask {:#010x}{broadcast}", inet::mask_bits(a.prefix_len))
        }
        IpAddr::V6(_) => {
            let shown = inet::zoned(&a.addr, Some(&i.name));
            let mut line = format!("inet6 {shown}{peer} prefixlen {}", a.prefix_len);
            if inet::is_link_local(&a.addr) {
                line.push_str(&format!(" scopeid {:#x}", i.index));
            }
            let states = [
                (a.tentative, "tentative"),
                (a.duplicated, "duplicated"),
                (a.deprecated, "deprecated"),
                (a.autoconf, "autoconf"),
            ];
            for (_, word) in states.iter().filter(|(is, _)| *is) {
                line.push_str(&format!(" {word}"));
            }
            line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockets::config::LinkCounters;

    fn en0() -> Interface {
        let mut inet = InterfaceAddress::new("192.168.1.100".parse().expect("a literal"), 24);
        inet.broadcast = Some("192.168.1.255".parse().expect("a literal"));
        let inet6 = InterfaceAddress::new("fe80::211:22ff:fe33:4455".parse().expect("a literal"), 64);
        Interface {
            index: 1,
            name: "en0".into(),
            flags: iff::UP | iff::BROADCAST | iff::RUNNING | iff::SIMPLEX | iff::MULTICAST,
            mtu: 1500,
            mac: Some([0, 0x11, 0x22, 0x33, 0x44, 0x55]),
            media: "Ethernet autoselect (1000baseT full-duplex)".into(),
            driver: "packet".into(),
            link_up: true,
            offloads: vec!["tx-csum".into(), "tso4".into()],
            addresses: vec![inet, inet6],
            counters: LinkCounters { rx_packets: 3, rx_bytes: 180, ..LinkCounters::default() },
        }
    }

    #[test]
    fn the_example_of_the_systems_description() {
        assert_eq!(
            interface(&en0(), None, false),
            "\
en0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
     address: 00:11:22:33:44:55
     media: Ethernet autoselect (1000baseT full-duplex)
     inet 192.168.1.100 netmask 0xffffff00 broadcast 192.168.1.255
     inet6 fe80::211:22ff:fe33:4455%en0 prefixlen 64 scopeid 0x1
"
        );
    }

    #[test]
    fn the_loopback_has_no_link_lines() {
        let addresses = ["127.0.0.1/8", "::1/128"].map(|text| {
            let (addr, len) = text.split_once('/').expect("a literal");
            InterfaceAddress::new(addr.parse().expect("a literal"), len.parse().expect("a literal"))
        });
        let flags = iff::UP | iff::LOOPBACK | iff::RUNNING | iff::MULTICAST;
        let lo0 = Interface { name: "lo0".into(), flags, mtu: 33136, mac: None, addresses: addresses.into(), ..en0() };
        assert_eq!(
            interface(&lo0, None, false),
            "\
lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 33136
     inet 127.0.0.1 netmask 0xff000000
     inet6 ::1 prefixlen 128
"
        );
    }

    #[test]
    fn one_family_and_the_states_of_an_address() {
        let mut i = en0();
        i.link_up = false;
        i.addresses[1].tentative = true;
        i.addresses[1].autoconf = true;
        let text = interface(&i, Some(Family::Inet6), false);
        assert!(text.ends_with("prefixlen 64 scopeid 0x1 tentative autoconf\n"), "{text}");
        assert!(text.contains("\n     status: no carrier\n") && !text.contains("inet 192"), "{text}");
        assert!(interface(&i, None, true).contains("\n     input: 3 packets, 180 bytes,"));
    }
}
