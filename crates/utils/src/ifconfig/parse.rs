//! The command line of `ifconfig` as a value.

use std::net::{IpAddr, Ipv4Addr};

use crate::command::Failure;
use crate::getopt::Getopt;
use crate::inet;
use sockets::config::iff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Inet,
    Inet6,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Invocation<'a> {
    pub prefix: Option<&'a str>,
    pub verbose: bool,
    pub what: What<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// One interface or all of them.
    Show {
        name: Option<&'a str>,
        family: Option<Family>,
    },
    /// Names alone; with `up` only those that are (or are not) up.
    List {
        up: Option<bool>,
    },
    Change {
        name: &'a str,
        change: Change,
    },
}

/// What one command line does to an interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub address: Option<AddressChange>,
    pub set: u32,
    pub clear: u32,
    pub mtu: Option<u32>,
    pub mac: Option<[u8; 6]>,
    pub destroy: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum AddressChange {
    /// `alias`: beside the addresses that are there; without it the first of its family goes.
    Add { addr: IpAddr, prefix_len: u8, broadcast: Option<IpAddr>, peer: Option<IpAddr>, alias: bool },
    /// Without an address: the first of the family.
    Delete { addr: Option<IpAddr>, family: Family },
}

pub fn parse(words: &[String]) -> Result<Invocation<'_>, Failure> {
    let mut options = Getopt::new(words, "p:alduv");
    let (mut prefix, mut verbose, mut list, mut up) = (None, false, false, None);
    while let Some((letter, value)) = options.option()? {
        match letter {
            'p' => prefix = Some(value),
            'v' => verbose = true,
            'l' => list = true,
            'u' => up = Some(true),
            'd' => up = Some(false),
            // `-a`: all interfaces, which is what no interface means too.
            _ => {}
        }
    }
    let mut rest = options.rest();
    let what = match rest {
        _ if list => {
            no_more(rest)?;
            What::List { up }
        }
        [] => What::Show { name: None, family: None },
        [only] if family(only).is_some() => What::Show { name: None, family: family(only) },
        [name, after @ ..] => {
            rest = after;
            let first = rest.first().and_then(|w| family(w));
            if first.is_some() {
                rest = &rest[1..];
            }
            match rest {
                [] => What::Show { name: Some(name), family: first },
                _ => What::Change { name, change: change(first, rest)? },
            }
        }
    };
    Ok(Invocation { prefix, verbose, what })
}

fn no_more(rest: &[String]) -> Result<(), Failure> {
    match rest.first() {
        Some(extra) => Err(Failure::usage(format!("{extra}: not expected"))),
        None => Ok(()),
    }
}

fn family(word: &str) -> Option<Family> {
    match word {
        "inet" => Some(Family::Inet),
        "inet6" => Some(Family::Inet6),
        _ => None,
    }
}

/// The address words of one command line, until all are known.
#[derive(Default)]
struct AddressWords {
    family: Option<Family>,
    addr: Option<IpAddr>,
    len: Option<u8>,
    /// `netmask`, which only IPv4 has.
    netmask: bool,
    broadcast: Option<IpAddr>,
    peer: Option<IpAddr>,
    alias: bool,
    delete: bool,
}

fn change(family: Option<Family>, words: &[String]) -> Result<Change, Failure> {
    let mut out = Change::default();
    let mut address = AddressWords { family, ..AddressWords::default() };
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Failure::new(format!("{word}: needs a value")));
        match word {
            "up" => out.set |= iff::UP,
            "down" => out.clear |= iff::UP,
            "promisc" => out.set |= iff::PROMISC,
            "-promisc" => out.clear |= iff::PROMISC,
            "debug" => out.set |= iff::DEBUG,
            "-debug" => out.clear |= iff::DEBUG,
            "destroy" => out.destroy = true,
            "alias" | "add" => address.alias = true,
            "-alias" | "delete" | "remove" => address.delete = true,
            "mtu" => {
                let text = value()?;
                out.mtu = Some(text.parse().map_err(|_| bad("mtu", text))?);
            }
            "link" | "lladdr" | "ether" => {
                let text = value()?;
                out.mac = Some(inet::parse_mac(text).ok_or_else(|| bad("link-level address", text))?);
            }
            "netmask" => {
                let text = value()?;
                address.len = Some(inet::parse_mask(text).ok_or_else(|| bad("netmask", text))?);
                address.netmask = true;
            }
            "prefixlen" => {
                let text = value()?;
                address.len = Some(text.parse().map_err(|_| bad("prefixlen", text))?);
            }
            "broadcast" => {
                let text = value()?;
                let addr: Ipv4Addr = text.parse().map_err(|_| bad("broadcast address", text))?;
                address.broadcast = Some(IpAddr::V4(addr));
            }
            text => address.positional(text)?,
        }
    }
    if let Some(both) = [(iff::UP, "up and down"), (iff::PROMISC, "promisc and -promisc")]
        .iter()
        .find_map(|(flag, words)| (out.set & out.clear & flag != 0).then_some(words))
    {
        return Err(Failure::new(format!("{both}: exclude each other")));
    }
    out.address = address.finish()?;
    Ok(out)
}

fn bad(what: &str, text: &str) -> Failure {
    Failure::new(format!("bad {what}: {text}"))
}

impl AddressWords {
    /// A word that is no keyword: the address, then that of the other end.
    fn positional(&mut self, text: &str) -> Result<(), Failure> {
        let (host, len) = match text.split_once('/') {
            Some((host, len)) => (host, Some(len.parse().map_err(|_| bad("prefix length", text))?)),
            None => (text, None),
        };
        let (addr, _) =
            inet::parse_address(host).ok_or_else(|| match host.starts_with(|c: char| c.is_ascii_digit()) {
                true => bad("address", host),
                false => Failure::new(format!("{host}: neither a parameter nor an address")),
            })?;
        match (self.addr, self.peer) {
            (None, _) => {
                self.addr = Some(addr);
                self.len = len.or(self.len);
            }
            (Some(first), None) if len.is_none() && first.is_ipv4() == addr.is_ipv4() => self.peer = Some(addr),
            _ => return Err(Failure::new(format!("{text}: one address too many"))),
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<AddressChange>, Failure> {
        let Some(addr) = self.addr else {
            let family = self.family.unwrap_or(Family::Inet);
            return match self {
                AddressWords { delete: true, .. } => Ok(Some(AddressChange::Delete { addr: None, family })),
                AddressWords { alias: true, .. } => Err(Failure::new("alias: needs an address")),
                AddressWords { netmask: true, .. } => Err(Failure::new("netmask: needs an address")),
                AddressWords { len: Some(_), .. } => Err(Failure::new("prefixlen: needs an address")),
                AddressWords { broadcast: Some(_), .. } => Err(Failure::new("broadcast: needs an address")),
                _ => Ok(None),
            };
        };
        let own = if addr.is_ipv4() { Family::Inet } else { Family::Inet6 };
        if self.family.is_some_and(|f| f != own) {
            let family = if own == Family::Inet { "inet6" } else { "inet" };
            return Err(Failure::new(format!("{addr}: not an {family} address")));
        }
        if self.delete {
            return Ok(Some(AddressChange::Delete { addr: Some(addr), family: own }));
        }
        if own == Family::Inet6 && (self.netmask || self.broadcast.is_some()) {
            let word = if self.netmask { "netmask" } else { "broadcast" };
            return Err(Failure::new(format!("{word}: not for inet6")));
        }
        let prefix_len = match (self.len, addr) {
            (Some(len), _) if len > inet::address_bits(&addr) => return Err(bad("prefix length", &len.to_string())),
            (Some(len), _) => len,
            (None, IpAddr::V4(a)) => inet::class_len(a),
            (None, IpAddr::V6(_)) => 64,
        };
        let Self { broadcast, peer, alias, .. } = self;
        Ok(Some(AddressChange::Add { addr, prefix_len, broadcast, peer, alias }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn changed(text: &str) -> Result<Change, String> {
        let words = words(text);
        match parse(&words).map_err(|f| f.message)?.what {
            What::Change { change, .. } => Ok(change),
            other => panic!("{other:?}"),
        }
    }

    fn added(text: &str) -> (String, u8, Option<String>) {
        match changed(text).expect(text).address {
            Some(AddressChange::Add { addr, prefix_len, broadcast, .. }) => {
                (addr.to_string(), prefix_len, broadcast.map(|b| b.to_string()))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_the_systems_description_is_read() {
        assert_eq!(added("en0 192.168.1.100 netmask 255.255.255.0 up"), ("192.168.1.100".into(), 24, None));
        assert_eq!(changed("en0 192.168.1.100 netmask 255.255.255.0 up").map(|c| c.set), Ok(iff::UP));
        assert_eq!(added("fec0 192.168.1.100/24 up").1, 24);
        assert_eq!(added("fec1 10.0.0.1/8 up").1, 8);
        let w = words("-p /dev/io-net2 en0 10.1.0.1/24 up");
        assert_eq!(parse(&w).map(|i| i.prefix), Ok(Some("/dev/io-net2")));
        let w = words("-a");
        assert_eq!(parse(&w).map(|i| i.what), Ok(What::Show { name: None, family: None }));
        let w = words("en0");
        assert_eq!(parse(&w).map(|i| i.what), Ok(What::Show { name: Some("en0"), family: None }));
    }

    #[test]
    fn an_address_without_a_mask_has_its_class() {
        for (addr, len) in [("10.0.0.1", 8), ("172.16.0.1", 16), ("192.168.1.1", 24), ("2001:db8::1", 64)] {
            assert_eq!(added(&format!("en0 {addr}")).1, len, "{addr}");
        }
    }

    #[test]
    fn masks_lengths_and_families_may_be_said_in_every_bsd_way() {
        assert_eq!(added("en0 inet 10.1.2.3 netmask 0xffff0000 broadcast 10.1.255.255").1, 16);
        assert_eq!(added("en0 inet6 fe80::1%en0 prefixlen 64").0, "fe80::1");
        assert_eq!(added("en0 netmask 255.255.0.0 10.1.2.3").1, 16);
        let tun = changed("tun0 10.0.0.1 10.0.0.2 up").expect("two ends").address;
        assert!(matches!(tun, Some(AddressChange::Add { peer: Some(p), .. }) if p.to_string() == "10.0.0.2"));
    }

    #[test]
    fn addresses_are_deleted_by_name_or_as_the_first_of_a_family() {
        let delete = |addr: Option<&str>, family| {
            let addr = addr.map(|a| a.parse().expect("a literal"));
            Ok(Some(AddressChange::Delete { addr, family }))
        };
        assert_eq!(changed("en0 10.0.0.1 -alias").map(|c| c.address), delete(Some("10.0.0.1"), Family::Inet));
        assert_eq!(changed("en0 inet6 delete").map(|c| c.address), delete(None, Family::Inet6));
        assert_eq!(changed("en0 delete").map(|c| c.address), delete(None, Family::Inet));
    }

    #[test]
    fn other_parameters() {
        let c = changed("en0 mtu 9000 lladdr 2:0:0:0:0:1 promisc down").expect("all known");
        assert_eq!((c.mtu, c.mac, c.set, c.clear), (Some(9000), Some([2, 0, 0, 0, 0, 1]), iff::PROMISC, iff::UP));
        assert!(changed("en0 destroy").expect("known").destroy);
    }

    #[test]
    fn an_error_names_the_word_that_was_wrong() {
        for (line, message) in [
            ("en0 10.0.0.300", "bad address: 10.0.0.300"),
            ("en0 upp", "upp: neither a parameter nor an address"),
            ("en0 10.0.0.1 netmask 255.0.255.0", "bad netmask: 255.0.255.0"),
            ("en0 10.0.0.1/33", "bad prefix length: 33"),
            ("en0 mtu", "mtu: needs a value"),
            ("en0 mtu big", "bad mtu: big"),
            ("en0 inet6 10.0.0.1", "10.0.0.1: not an inet6 address"),
            ("en0 netmask 255.0.0.0", "netmask: needs an address"),
            ("en0 2001:db8::1 netmask 255.0.0.0", "netmask: not for inet6"),
            ("en0 10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.3: one address too many"),
            ("en0 up down", "up and down: exclude each other"),
        ] {
            assert_eq!(changed(line), Err(message.into()), "{line}");
        }
    }
}
