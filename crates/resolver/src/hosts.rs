//! hosts(5).

use core::net::IpAddr;

/// One line: an address, its canonical name, and its aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub addr: IpAddr,
    pub name: String,
    pub aliases: Vec<String>,
}

impl Host {
    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    }
}

/// The whole file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    hosts: Vec<Host>,
}

impl Hosts {
    /// Lines that are not an address and a name are passed over.
    pub fn parse(text: &str) -> Hosts {
        let host = |line: &str| {
            let mut words = line.split('#').next()?.split_ascii_whitespace();
            let addr = words.next()?.parse().ok()?;
            let name = words.next()?.to_owned();
            Some(Host { addr, name, aliases: words.map(str::to_owned).collect() })
        };
        Hosts { hosts: text.lines().filter_map(host).collect() }
    }

    /// All lines on which `name` (a final dot aside) stands.
    pub fn by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Host> {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.hosts.iter().filter(move |h| h.is_called(name))
    }

    /// The first line with this address.
    pub fn by_addr(&self, addr: IpAddr) -> Option<&Host> {
        self.hosts.iter().find(|h| h.addr == addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_found_without_regard_to_case() {
        let hosts =
            Hosts::parse("127.0.0.1 localhost\n10.0.0.1\tweb.example WWW # main\nbad line\n::1 localhost\n10.0.0.2\n");
        let found: Vec<IpAddr> = hosts.by_name("LOCALHOST.").map(|h| h.addr).collect();
        assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().expect("a literal"), "::1".parse().expect("a literal")]);
        assert_eq!(hosts.by_name("www").next().map(|h| h.name.as_str()), Some("web.example"));
        assert!(hosts.by_name("main").next().is_none());
        assert!(hosts.by_addr("10.0.0.2".parse().expect("a literal")).is_none());
    }
}
