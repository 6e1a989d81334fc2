//! `route`: shows and changes the routing table, with BSD's syntax and words.

mod parse;

use std::ffi::OsString;
use std::net::IpAddr;

use sockets::config::{Reply, Request, Route, rtf};

use crate::client::{ClientError, Instance};
use crate::command::{Command, Failure, texts};
use crate::{inet, netstat, stdout};
use parse::{Invocation, Verb};

pub const COMMAND: Command = Command {
    name: "route",
    summary: "show and change routes",
    usage: &[
        "[-p PREFIX] [-nq] add | change DEST[/LEN] GATEWAY [MODIFIERS]",
        "[-p PREFIX] [-nq] delete DEST[/LEN] [GATEWAY] [MODIFIERS]",
        "[-p PREFIX] [-n] get DEST | show | flush [-inet | -inet6]",
    ],
    details: "\
Modifiers: -inet, -inet6, -host, -net, -netmask MASK, -prefixlen LEN,
-interface (GATEWAY is an interface), -ifp INTERFACE, -mtu BYTES, -reject,
-blackhole. DEST may be the word default.
",
    run,
};

/// Flag names of `route get`.
const FLAGS: &[(u32, &str)] = &[
    (rtf::UP, "UP"),
    (rtf::GATEWAY, "GATEWAY"),
    (rtf::HOST, "HOST"),
    (rtf::REJECT, "REJECT"),
    (rtf::DYNAMIC, "DYNAMIC"),
    (rtf::CONNECTED, "CONNECTED"),
    (rtf::STATIC, "STATIC"),
    (rtf::BLACKHOLE, "BLACKHOLE"),
    (rtf::LOCAL, "LOCAL"),
];

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let words = texts(words)?;
    let Invocation { prefix, quiet, verb } = parse::parse(&words)?;
    let instance = Instance::open(prefix)?;
    let text = match verb {
        Verb::Add { route, change } => {
            let verb = if change { "change" } else { "add" };
            let line = sentence(verb, &route.destination, route.prefix_len, &gateway_word(&route));
            instance.command(&Request::AddRoute { route, change }).map_err(|e| because(&line, e))?;
            line + "\n"
        }
        Verb::Delete { destination, prefix_len, gateway } => {
            let line =
                sentence("delete", &destination, prefix_len, &gateway.map(|g| g.to_string()).unwrap_or_default());
            let request = Request::DeleteRoute { destination, prefix_len, gateway };
            instance.command(&request).map_err(|e| because(&line, e))?;
            line + "\n"
        }
        Verb::Get { destination } => match instance.request(&Request::LookupRoute { destination })? {
            Reply::Route(Some(route)) => describe(&destination, &route),
            Reply::Route(None) => return Err(Failure::new(format!("{destination}: not in table"))),
            _ => return Err(instance.garbled().into()),
        },
        Verb::Show { ipv4, ipv6 } => netstat::routing_tables(&instance.routes()?, ipv4, ipv6),
        Verb::Flush { ipv4, ipv6 } => {
            let before = instance.routes()?;
            instance.command(&Request::FlushRoutes { ipv4, ipv6 })?;
            let after = instance.routes()?;
            before.iter().filter(|r| !after.iter().any(|a| same(a, r))).map(flushed).collect()
        }
    };
    if !quiet {
        stdout::print(&text)?;
    }
    Ok(0)
}

/// `add net default: gateway 192.168.1.1`.
fn sentence(verb: &str, destination: &IpAddr, prefix_len: u8, gateway: &str) -> String {
    let kind = if prefix_len == inet::address_bits(destination) { "host" } else { "net" };
    let name = match prefix_len == 0 && destination.is_unspecified() {
        true => "default".into(),
        false => destination.to_string(),
    };
    match gateway {
        "" => format!("{verb} {kind} {name}"),
        gateway => format!("{verb} {kind} {name}: gateway {gateway}"),
    }
}

fn gateway_word(route: &Route) -> String {
    match (&route.gateway, &route.interface) {
        (Some(gateway), zone) => inet::zoned(gateway, zone.as_deref()),
        (None, Some(interface)) => interface.clone(),
        (None, None) => String::new(),
    }
}

fn because(line: &str, e: ClientError) -> Failure {
    Failure::new(format!("{line}: {e}"))
}

fn same(a: &Route, b: &Route) -> bool {
    (a.destination, a.prefix_len, a.gateway, &a.interface) == (b.destination, b.prefix_len, b.gateway, &b.interface)
}

fn flushed(route: &Route) -> String {
    let destination = inet::destination(&route.destination, route.prefix_len, route.interface.as_deref());
    format!("{destination:<20} {:<20} done\n", gateway_word(route))
}

/// The layout of `route get`.
fn describe(asked: &IpAddr, route: &Route) -> String {
    let mut lines = vec![("route to", asked.to_string())];
    let default = route.prefix_len == 0 && route.destination.is_unspecified();
    let named = |text: String| if default { "default".into() } else { text };
    lines.push(("destination", named(route.destination.to_string())));
    if route.prefix_len != inet::address_bits(&route.destination) {
        let mask = match route.destination {
            IpAddr::V4(_) => std::net::Ipv4Addr::from_bits(inet::mask_bits(route.prefix_len)).to_string(),
            IpAddr::V6(_) => format!("prefixlen {}", route.prefix_len),
        };
        lines.push(("mask", named(mask)));
    }
    let interface = route.interface.as_deref();
    lines.extend(route.gateway.map(|g| ("gateway", inet::zoned(&g, interface))));
    lines.extend(route.source.map(|s| ("local addr", inet::zoned(&s, interface))));
    lines.extend(interface.map(|i| ("interface", i.to_owned())));
    let flags: Vec<&str> = FLAGS.iter().filter(|(bit, _)| route.flags & bit != 0).map(|(_, name)| *name).collect();
    lines.push(("flags", format!("<{}>", flags.join(","))));
    lines.extend(route.mtu.map(|mtu| ("mtu", mtu.to_string())));
    lines.iter().map(|(name, value)| format!("{name:>11}: {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: &str, prefix_len: u8, gateway: Option<&str>) -> Route {
        Route {
            destination: destination.parse().expect("a literal of this test"),
            prefix_len,
            gateway: gateway.map(|g| g.parse().expect("a literal of this test")),
            interface: Some("en0".into()),
            flags: rtf::UP | rtf::GATEWAY | rtf::STATIC,
            mtu: None,
            source: Some("192.168.1.100".parse().expect("a literal")),
            uses: 0,
        }
    }

    #[test]
    fn it_says_what_it_did_in_bsds_words() {
        let r = route("0.0.0.0", 0, Some("192.168.1.1"));
        assert_eq!(sentence("add", &r.destination, 0, &gateway_word(&r)), "add net default: gateway 192.168.1.1");
        let r = route("10.0.0.5", 32, Some("10.0.0.1"));
        assert_eq!(sentence("add", &r.destination, 32, &gateway_word(&r)), "add host 10.0.0.5: gateway 10.0.0.1");
        let r = route("fd00::", 8, Some("fe80::1"));
        assert_eq!(sentence("add", &r.destination, 8, &gateway_word(&r)), "add net fd00::: gateway fe80::1%en0");
        assert_eq!(sentence("delete", &r.destination, 8, ""), "delete net fd00::");
    }

    #[test]
    fn get_describes_the_route() {
        let asked = "8.8.8.8".parse().expect("a literal");
        assert_eq!(
            describe(&asked, &route("0.0.0.0", 0, Some("192.168.1.1"))),
            "   route to: 8.8.8.8\ndestination: default\n       mask: default\n    gateway: 192.168.1.1\n \
             local addr: 192.168.1.100\n  interface: en0\n      flags: <UP,GATEWAY,STATIC>\n"
        );
    }
}
