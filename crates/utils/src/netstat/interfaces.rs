//! `netstat -i`: one line for each interface and address.

use sockets::config::{Interface, iff};

use crate::inet;

/// One interface or all of them; bytes in the place of packets and errors when asked.
pub fn table(interfaces: &[Interface], only: Option<&str>, bytes: bool) -> String {
    let mut text = format!("{:<5} {:<5} {:<13} {:<17} ", "Name", "Mtu", "Network", "Address");
    text.push_str(&match bytes {
        true => format!("{:>10} {:>10}\n", "Ibytes", "Obytes"),
        false => format!("{:>8} {:>5} {:>8} {:>5} {:>5}\n", "Ipkts", "Ierrs", "Opkts", "Oerrs", "Colls"),
    });
    for i in interfaces.iter().filter(|i| only.is_none_or(|name| name == i.name)) {
        // An interface that is down has an asterisk.
        let name = format!("{}{}", i.name, if i.flags & iff::UP == 0 { "*" } else { "" });
        let c = &i.counters;
        let counters = match bytes {
            true => format!("{:>10} {:>10}", c.rx_bytes, c.tx_bytes),
            false => format!(
                "{:>8} {:>5} {:>8} {:>5} {:>5}",
                c.rx_packets, c.rx_errors, c.tx_packets, c.tx_errors, c.collisions
            ),
        };
        let link = i.mac.as_ref().map(inet::mac).unwrap_or_default();
        let mut line = |network: &str, address: &str| {
            // NetBSD cuts the network and lets a long address push the counters out.
            text.push_str(&format!("{name:<5} {:<5} {network:<13.13} {address:<17} {counters}\n", i.mtu));
        };
        line("<Link>", &link);
        for a in &i.addresses {
            let network = inet::network(a.addr, a.prefix_len);
            let shown = inet::zoned(&a.addr, Some(&i.name));
            line(&inet::destination(&network, a.prefix_len, Some(&i.name)), &shown);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockets::config::{InterfaceAddress, LinkCounters};

    #[test]
    fn the_layout_is_netbsds() {
        let counters =
            LinkCounters { rx_packets: 10, tx_packets: 9, rx_bytes: 1000, tx_errors: 1, ..Default::default() };
        let en0 = Interface {
            index: 2,
            name: "en0".into(),
            flags: iff::UP,
            mtu: 1500,
            mac: Some([2, 0, 0, 0, 0, 1]),
            media: String::new(),
            driver: "tap".into(),
            link_up: true,
            offloads: Vec::new(),
            addresses: vec![InterfaceAddress::new("10.0.2.15".parse().expect("a literal"), 24)],
            counters,
        };
        let en1 = Interface { name: "en1".into(), flags: 0, addresses: Vec::new(), ..en0.clone() };
        assert_eq!(
            table(&[en0.clone(), en1.clone()], None, false),
            "\
Name  Mtu   Network       Address              Ipkts Ierrs    Opkts Oerrs Colls
en0   1500  <Link>        02:00:00:00:00:01       10     0        9     1     0
en0   1500  10.0.2/24     10.0.2.15               10     0        9     1     0
en1*  1500  <Link>        02:00:00:00:00:01       10     0        9     1     0
"
        );
        assert_eq!(
            table(&[en0, en1], Some("en1"), true),
            "\
Name  Mtu   Network       Address               Ibytes     Obytes
en1*  1500  <Link>        02:00:00:00:00:01       1000          0
"
        );
    }
}
