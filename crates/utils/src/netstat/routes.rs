//! `netstat -r`: the routing tables.

use sockets::config::{Route, rtf};

use crate::inet;

/// The letters, in the order they are printed.
const FLAGS: &[(u32, char)] = &[
    (rtf::UP, 'U'),
    (rtf::GATEWAY, 'G'),
    (rtf::HOST, 'H'),
    (rtf::REJECT, 'R'),
    (rtf::BLACKHOLE, 'B'),
    (rtf::DYNAMIC, 'D'),
    (rtf::CONNECTED, 'C'),
    (rtf::LOCAL, 'L'),
    (rtf::STATIC, 'S'),
];

/// Both tables, or the one asked for; a table without a route has no heading.
pub fn tables(routes: &[Route], ipv4: bool, ipv6: bool) -> String {
    let mut text = String::from("Routing tables\n");
    for (wanted, v4, name, dst, gw) in [(ipv4, true, "Internet", 18, 18), (ipv6, false, "Internet6", 34, 30)] {
        let mut rows: Vec<&Route> = routes.iter().filter(|r| r.destination.is_ipv4() == v4).collect();
        if !wanted || rows.is_empty() {
            continue;
        }
        rows.sort_by_key(|r| (r.destination, r.prefix_len));
        text.push_str(&format!("\n{name}:\n"));
        let heading = ["Destination", "Gateway", "Flags", "Refs", "Use", "Mtu", "Interface"];
        text.push_str(&row(&heading.map(str::to_owned), dst, gw, ""));
        text.extend(rows.into_iter().map(|r| row(&cells(r), dst, gw, " ")));
    }
    text
}

fn cells(r: &Route) -> [String; 7] {
    let interface = r.interface.as_deref();
    [
        inet::destination(&r.destination, r.prefix_len, interface),
        r.gateway.map_or_else(|| format!("link#{}", interface.unwrap_or("?")), |g| inet::zoned(&g, interface)),
        FLAGS.iter().filter(|(bit, _)| r.flags & bit != 0).map(|(_, letter)| letter).collect(),
        "-".into(),
        r.uses.to_string(),
        r.mtu.map_or_else(|| "-".into(), |mtu| mtu.to_string()),
        interface.unwrap_or("-").to_owned(),
    ]
}

/// `lock` is the column between Mtu and Interface.
fn row(c: &[String; 7], dst: usize, gw: usize, lock: &str) -> String {
    let [destination, gateway, flags, refs, uses, mtu, interface] = c;
    format!("{destination:<dst$} {gateway:<gw$} {flags:<6} {refs:>6} {uses:>8} {mtu:>6}{lock} {interface}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_netbsds() {
        let route = |destination: &str, prefix_len, gateway: Option<&str>, interface: &str, flags| Route {
            destination: destination.parse().expect("a literal of this test"),
            prefix_len,
            gateway: gateway.map(|g| g.parse().expect("a literal of this test")),
            interface: Some(interface.into()),
            flags: rtf::UP | flags,
            mtu: None,
            source: None,
            uses: 7,
        };
        let routes = [
            route("192.168.1.0", 24, None, "en0", rtf::CONNECTED),
            route("0.0.0.0", 0, Some("192.168.1.1"), "en0", rtf::GATEWAY | rtf::STATIC),
            route("127.0.0.1", 32, None, "lo0", rtf::HOST | rtf::LOCAL),
            route("fe80::", 64, None, "en0", rtf::CONNECTED),
        ];
        assert_eq!(
            tables(&routes, true, true),
            "\
Routing tables

Internet:
Destination        Gateway            Flags    Refs      Use    Mtu Interface
default            192.168.1.1        UGS         -        7      -  en0
127.0.0.1          link#lo0           UHL         -        7      -  lo0
192.168.1/24       link#en0           UC          -        7      -  en0

Internet6:
Destination                        Gateway                        Flags    Refs      Use    Mtu Interface
fe80::%en0/64                      link#en0                       UC          -        7      -  en0
"
        );
        assert_eq!(tables(&routes[..1], false, true), "Routing tables\n");
    }
}
