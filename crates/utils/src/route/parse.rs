//! The command line of `route` as a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockets::config::{Route, rtf};

use crate::command::Failure;
use crate::getopt::Getopt;
use crate::inet;

#[derive(Debug, PartialEq, Eq)]
pub struct Invocation<'a> {
    pub prefix: Option<&'a str>,
    pub quiet: bool,
    pub verb: Verb,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verb {
    Add { route: Route, change: bool },
    Delete { destination: IpAddr, prefix_len: u8, gateway: Option<IpAddr> },
    Get { destination: IpAddr },
    Show { ipv4: bool, ipv6: bool },
    Flush { ipv4: bool, ipv6: bool },
}

/// `-inet`, `-inet6`, or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Family {
    #[default]
    Any,
    Inet,
    Inet6,
}

/// The modifiers, wherever they stood, and the words that are none.
#[derive(Debug, Default)]
struct Words<'a> {
    family: Family,
    host: bool,
    net: bool,
    len: Option<u8>,
    via_interface: bool,
    ifp: Option<&'a str>,
    mtu: Option<u32>,
    flags: u32,
    plain: Vec<&'a str>,
}

pub fn parse(words: &[String]) -> Result<Invocation<'_>, Failure> {
    let mut options = Getopt::new(words, "p:nqvdtf");
    let (mut prefix, mut quiet, mut flush) = (None, false, false);
    while let Some((letter, value)) = options.option()? {
        match letter {
            'p' => prefix = Some(value),
            'q' => quiet = true,
            'f' => flush = true,
            // Addresses are shown as numbers in any case.
            _ => {}
        }
    }
    let (verb, rest) = match options.rest() {
        [verb, rest @ ..] => (verb.as_str(), rest),
        [] if flush => ("flush", &[][..]),
        [] => return Err(Failure::usage("")),
    };
    let words = modifiers(rest)?;
    let verb = match verb {
        "add" => add(words, false)?,
        "change" => add(words, true)?,
        "delete" | "del" => delete(words)?,
        "get" => get(words)?,
        "show" | "flush" => {
            words.no_more_than(0)?;
            let (ipv4, ipv6) = (words.family != Family::Inet6, words.family != Family::Inet);
            if verb == "show" { Verb::Show { ipv4, ipv6 } } else { Verb::Flush { ipv4, ipv6 } }
        }
        other => return Err(Failure::usage(format!("bad keyword: {other}"))),
    };
    Ok(Invocation { prefix, quiet, verb })
}

fn modifiers(rest: &[String]) -> Result<Words<'_>, Failure> {
    let mut out = Words::default();
    let mut rest = rest.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| Failure::new(format!("{word}: needs a value")));
        match word {
            "-inet" => out.family = Family::Inet,
            "-inet6" => out.family = Family::Inet6,
            "-host" => out.host = true,
            "-net" => out.net = true,
            "-netmask" => {
                let text = value()?;
                out.len = Some(inet::parse_mask(text).ok_or_else(|| bad("netmask", text))?);
            }
            "-prefixlen" => {
                let text = value()?;
                out.len = Some(text.parse().map_err(|_| bad("prefixlen", text))?);
            }
            "-interface" | "-iface" => out.via_interface = true,
            "-ifp" => out.ifp = Some(value()?),
            "-mtu" => {
                let text = value()?;
                out.mtu = Some(text.parse().map_err(|_| bad("mtu", text))?);
            }
            "-reject" => out.flags |= rtf::REJECT,
            "-blackhole" => out.flags |= rtf::BLACKHOLE,
            "-static" => out.flags |= rtf::STATIC,
            _ if word.starts_with('-') => return Err(Failure::usage(format!("bad keyword: {word}"))),
            _ => out.plain.push(word),
        }
    }
    Ok(out)
}

fn bad(what: &str, text: &str) -> Failure {
    Failure::new(format!("bad {what}: {text}"))
}

fn add(words: Words<'_>, change: bool) -> Result<Verb, Failure> {
    words.no_more_than(3)?;
    let (destination, prefix_len, zone) = words.destination()?;
    let mut interface = words.ifp.or(zone).map(str::to_owned);
    let mut gateway = None;
    match words.plain.get(1) {
        Some(name) if words.via_interface => interface = Some((*name).to_owned()),
        Some(text) => {
            let (addr, zone) = words.address(text)?;
            if addr.is_ipv4() != destination.is_ipv4() {
                return Err(Failure::new(format!("{text}: not of the family of {destination}")));
            }
            gateway = Some(addr);
            interface = interface.or(zone.map(str::to_owned));
        }
        None if interface.is_some() || words.flags & (rtf::REJECT | rtf::BLACKHOLE) != 0 => {}
        None => return Err(Failure::usage("no gateway named")),
    }
    let host = prefix_len == inet::address_bits(&destination);
    let mut flags = words.flags | rtf::UP | rtf::STATIC;
    flags |= if gateway.is_some() { rtf::GATEWAY } else { 0 };
    flags |= if host { rtf::HOST } else { 0 };
    let route = Route { destination, prefix_len, gateway, interface, flags, mtu: words.mtu, source: None, uses: 0 };
    Ok(Verb::Add { route, change })
}

fn delete(words: Words<'_>) -> Result<Verb, Failure> {
    words.no_more_than(3)?;
    let (destination, prefix_len, _) = words.destination()?;
    let gateway = match words.plain.get(1) {
        Some(_) if words.via_interface => None,
        Some(text) => Some(words.address(text)?.0),
        None => None,
    };
    Ok(Verb::Delete { destination, prefix_len, gateway })
}

fn get(words: Words<'_>) -> Result<Verb, Failure> {
    words.no_more_than(1)?;
    let (destination, _, _) = words.destination()?;
    Ok(Verb::Get { destination })
}

impl<'a> Words<'a> {
    fn no_more_than(&self, count: usize) -> Result<(), Failure> {
        match self.plain.get(count) {
            Some(extra) => Err(Failure::usage(format!("{extra}: not expected"))),
            None => Ok(()),
        }
    }

    fn address(&self, text: &'a str) -> Result<(IpAddr, Option<&'a str>), Failure> {
        let parsed = inet::parse_address(text).filter(|(addr, _)| match self.family {
            Family::Any => true,
            Family::Inet => addr.is_ipv4(),
            Family::Inet6 => addr.is_ipv6(),
        });
        parsed.ok_or_else(|| bad("address", text))
    }

    /// The first word: the network, its length and its zone. What says no length is a host, or a
    /// network of its class when its host part is zero, as BSD has it.
    fn destination(&self) -> Result<(IpAddr, u8, Option<&'a str>), Failure> {
        let text = *self.plain.first().ok_or_else(|| Failure::usage("no destination named"))?;
        if text == "default" {
            // The gateway tells the family when no modifier does.
            let v6 = match self.family {
                Family::Any => self.plain.get(1).is_some_and(|g| g.contains(':')),
                family => family == Family::Inet6,
            };
            let any = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            return Ok((any, 0, None));
        }
        let (head, len) = match text.split_once('/') {
            Some((head, len)) => (head, Some(len.parse::<u8>().map_err(|_| bad("prefix length", len))?)),
            None => (text, self.len_words()?),
        };
        let short = if self.host { None } else { inet::parse_short_network(head) };
        let (addr, zone, own_len) = match short {
            Some((addr, len)) if self.family != Family::Inet6 => (IpAddr::V4(addr), None, Some(len)),
            _ => {
                let (addr, zone) = self.address(head)?;
                (addr, zone, None)
            }
        };
        let bits = inet::address_bits(&addr);
        let len = match len.or(own_len) {
            _ if self.host => bits,
            Some(len) => len,
            None => match addr {
                IpAddr::V4(a) if a.is_unspecified() => 0,
                IpAddr::V4(a) if self.net || inet::network(addr, inet::class_len(a)) == addr => inet::class_len(a),
                IpAddr::V6(_) if self.net => 64,
                _ => bits,
            },
        };
        if len > bits {
            return Err(bad("prefix length", &len.to_string()));
        }
        Ok((inet::network(addr, len), len, zone))
    }

    /// `-netmask`, or a mask as the third word.
    fn len_words(&self) -> Result<Option<u8>, Failure> {
        match (self.len, self.plain.get(2)) {
            (Some(_), Some(extra)) => Err(Failure::usage(format!("{extra}: not expected"))),
            (None, Some(text)) => inet::parse_mask(text).map(Some).ok_or_else(|| bad("netmask", text)),
            (len, None) => Ok(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Verb, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words).map(|i| i.verb).map_err(|f| f.message)
    }

    fn added(line: &str) -> (String, String, u32) {
        match parsed(line).expect(line) {
            Verb::Add { route, .. } => (
                format!("{}/{}", route.destination, route.prefix_len),
                route.gateway.map(|g| g.to_string()).or(route.interface).unwrap_or_default(),
                route.flags & !(rtf::UP | rtf::STATIC),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn destinations_in_every_bsd_form() {
        for (line, destination, gateway, flags) in [
            ("add default 192.168.1.1", "0.0.0.0/0", "192.168.1.1", rtf::GATEWAY),
            ("add default fe80::1%en0", "::/0", "fe80::1", rtf::GATEWAY),
            ("add -inet6 default fe80::1", "::/0", "fe80::1", rtf::GATEWAY),
            ("add 10.0.0.0 192.168.1.1", "10.0.0.0/8", "192.168.1.1", rtf::GATEWAY),
            ("add 10.0.0.5 192.168.1.1", "10.0.0.5/32", "192.168.1.1", rtf::GATEWAY | rtf::HOST),
            ("add -host 10.0.0.0 192.168.1.1", "10.0.0.0/32", "192.168.1.1", rtf::GATEWAY | rtf::HOST),
            ("add -net 10.9.8.7 192.168.1.1", "10.0.0.0/8", "192.168.1.1", rtf::GATEWAY),
            ("add -net 192.168.7 192.168.1.1", "192.168.7.0/24", "192.168.1.1", rtf::GATEWAY),
            ("add 10.1.2.3/16 192.168.1.1", "10.1.0.0/16", "192.168.1.1", rtf::GATEWAY),
            ("add 10.1.0.0 192.168.1.1 255.255.0.0", "10.1.0.0/16", "192.168.1.1", rtf::GATEWAY),
            ("add 10.1.0.0 -netmask 255.255.0.0 192.168.1.1", "10.1.0.0/16", "192.168.1.1", rtf::GATEWAY),
            ("add 2001:db8::/32 fe80::1%en0", "2001:db8::/32", "fe80::1", rtf::GATEWAY),
            ("add 10/8 -interface en0", "10.0.0.0/8", "en0", 0),
            ("add 10.0.0.0/8 -blackhole", "10.0.0.0/8", "", rtf::BLACKHOLE),
            ("add 10.0.0.0/8 127.0.0.1 -reject", "10.0.0.0/8", "127.0.0.1", rtf::REJECT | rtf::GATEWAY),
        ] {
            assert_eq!(added(line), (destination.into(), gateway.into(), flags), "{line}");
        }
    }

    #[test]
    fn the_other_verbs() {
        let dest = "10.0.0.0".parse().expect("a literal");
        let delete = Verb::Delete { destination: dest, prefix_len: 8, gateway: None };
        assert_eq!(parsed("-n delete 10/8"), Ok(delete));
        assert_eq!(parsed("get 10.0.0.0/8"), Ok(Verb::Get { destination: dest }));
        assert_eq!(parsed("show -inet6"), Ok(Verb::Show { ipv4: false, ipv6: true }));
        assert_eq!(parsed("flush"), Ok(Verb::Flush { ipv4: true, ipv6: true }));
    }

    #[test]
    fn an_error_names_the_word_that_was_wrong() {
        for (line, message) in [
            ("add default 10.0.0.300", "bad address: 10.0.0.300"),
            ("add 10.0.0.300 10.0.0.1", "bad address: 10.0.0.300"),
            ("add 10.0.0.0/33 10.0.0.1", "bad prefix length: 33"),
            ("add 10/8", "no gateway named"),
            ("add 10/8 fe80::1", "fe80::1: not of the family of 10.0.0.0"),
            ("add -ifscope en0", "bad keyword: -ifscope"),
            ("frobnicate", "bad keyword: frobnicate"),
            ("add 10.1.0.0 10.0.0.1 255.0.255.0", "bad netmask: 255.0.255.0"),
            ("add", "no destination named"),
            ("show me", "me: not expected"),
        ] {
            assert_eq!(parsed(line), Err(message.into()), "{line}");
        }
    }
}
