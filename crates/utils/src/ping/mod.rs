//! `ping` and `ping6`: ICMP echo (RFC 792, RFC 4443), with BSD's options and layout.

mod echo;
mod options;
mod session;
mod summary;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use sockets::Errno;
use sockets::addr::{AF_INET, AF_INET6};

use crate::client::{ClientError, Instance};
use crate::command::{Command, Failure, texts};
use crate::datagram::Datagram;
use crate::{inet, names, stdout};
use echo::Family;
use options::Options;

const USAGE: &[&str] = &[
    "[-p PREFIX] [-aDfnoqv] [-c COUNT] [-I INTERFACE | -S SOURCE] [-i SECONDS]",
    "     [-s BYTES] [-t TTL] [-W SECONDS] [-w DEADLINE] HOST",
];
const DETAILS: &str = "\
-a bell, -c stop after COUNT answers, -D don't fragment, -f flood (at most 100
a second without answers), -I send from this interface or address, -i between
sends, -o stop after the first answer, -q only the summary, -s bytes of data,
-t (or -m, -h) time to live, -W wait for the last answer, -w end after that time.
Exit status: 0 when an answer came, 2 when none did, 1 on an error.
";

pub const PING: Command = Command {
    name: "ping",
    summary: "ask an IPv4 host whether it is there",
    usage: USAGE,
    details: DETAILS,
    run: |words| run(words, false),
};

pub const PING6: Command = Command {
    name: "ping6",
    summary: "ask an IPv6 host whether it is there",
    usage: USAGE,
    details: DETAILS,
    run: |words| run(words, true),
};

/// No answer came.
const SILENCE: u8 = 2;

const SOCK_DGRAM: i32 = 2;
const SOCK_RAW: i32 = 3;

/// Linux's numbers (ip(7), ipv6(7), socket(7)).
mod option {
    pub const SOL_SOCKET: i32 = 1;
    pub const SO_BROADCAST: i32 = 6;
    pub const SO_BINDTODEVICE: i32 = 25;
    pub const IPPROTO_IP: i32 = 0;
    pub const IP_MTU_DISCOVER: i32 = 10;
    pub const IP_RECVTTL: i32 = 12;
    pub const IPPROTO_IPV6: i32 = 41;
    pub const IPV6_MTU_DISCOVER: i32 = 23;
    pub const IPV6_RECVHOPLIMIT: i32 = 51;
    /// IP_PMTUDISC_DO, IPV6_PMTUDISC_DO.
    pub const PMTUDISC_DO: i32 = 2;
}

fn run(words: Vec<OsString>, v6: bool) -> Result<u8, Failure> {
    let words = texts(words)?;
    let options = options::parse(&words)?;
    process::interrupt::catch().map_err(|e| Failure::new(format!("signals: {e}")))?;
    let instance = Instance::open(options.prefix)?;
    // BSD's ping says to use ping6; this one understands an IPv6 address at once.
    let v6 = v6 || matches!(inet::parse_address(options.host), Some((IpAddr::V6(_), _)));
    let to = names::resolve(&instance, options.host, v6)?;
    let (socket, raw) = open(&instance, v6)?;
    let to = prepare(&instance, &socket, &options, to)?;
    let shown = shown_address(&instance, &to)?;
    let heading = match v6 {
        false => format!("PING {} ({shown}): {} data bytes\n", options.host, options.size),
        true => {
            let from = names::source(&instance, &to).map(|s| format!("{s} --> ")).unwrap_or_default();
            format!("PING6({}=40+8+{} bytes) {from}{shown}\n", 48 + options.size, options.size)
        }
    };
    stdout::print(&heading)?;
    let family = if v6 { Family::V6 } else { Family::V4 { raw } };
    let zone = shown.split_once('%').map(|(_, zone)| zone.to_owned());
    let tally = session::Session::new(socket, family, raw, to, zone, &options).run()?;
    stdout::print(&tally.summary(options.host, v6))?;
    Ok(if tally.received > 0 { 0 } else { SILENCE })
}

/// A raw socket, which sees who answered with an error; else an ICMP datagram socket.
fn open(instance: &Instance, v6: bool) -> Result<(Datagram<'_>, bool), Failure> {
    let (domain, protocol) = if v6 { (AF_INET6, wire::proto::ICMPV6) } else { (AF_INET, wire::proto::ICMP) };
    let about = |e: ClientError| Failure::new(format!("socket: {e}"));
    match Datagram::open(instance, domain, SOCK_RAW, protocol) {
        Ok(socket) => Ok((socket, true)),
        Err(ClientError::Refused {
            errno: Errno::EPERM | Errno::EACCES | Errno::ESOCKTNOSUPPORT | Errno::EPROTONOSUPPORT,
            ..
        }) => Ok((Datagram::open(instance, domain, SOCK_DGRAM, protocol).map_err(about)?, false)),
        Err(e) => Err(about(e)),
    }
}

/// Sets what the options ask; gives back the destination with its zone.
fn prepare(instance: &Instance, socket: &Datagram<'_>, o: &Options<'_>, to: SocketAddr) -> Result<SocketAddr, Failure> {
    use option::*;
    let one = 1i32.to_ne_bytes();
    let (level, ttl, mtu) = match to {
        SocketAddr::V4(_) => (IPPROTO_IP, IP_RECVTTL, IP_MTU_DISCOVER),
        SocketAddr::V6(_) => (IPPROTO_IPV6, IPV6_RECVHOPLIMIT, IPV6_MTU_DISCOVER),
    };
    socket.set_option(level, ttl, &one)?;
    if to.is_ipv4() {
        socket.set_option(SOL_SOCKET, SO_BROADCAST, &one)?;
    }
    if o.dont_fragment {
        socket.set_option(level, mtu, &PMTUDISC_DO.to_ne_bytes())?;
    }
    let mut to = to;
    if let Some(name) = o.interface {
        match inet::parse_address(name) {
            Some(_) => socket.bind(names::resolve(instance, name, to.is_ipv6())?)?,
            None => {
                let known = instance.interfaces()?;
                let found = known
                    .iter()
                    .find(|i| i.name == name)
                    .ok_or_else(|| Failure::new(format!("{name}: no such interface")))?;
                socket.set_option(SOL_SOCKET, SO_BINDTODEVICE, name.as_bytes())?;
                if let SocketAddr::V6(a) = to
                    && a.scope_id() == 0
                    && inet::is_link_local(&to.ip())
                {
                    to = SocketAddrV6::new(*a.ip(), 0, 0, found.index).into();
                }
            }
        }
    }
    Ok(to)
}

/// The address with the name of its zone.
fn shown_address(instance: &Instance, to: &SocketAddr) -> Result<String, Failure> {
    match to {
        SocketAddr::V6(a) if a.scope_id() != 0 => {
            let interfaces = instance.interfaces()?;
            let zone = interfaces.iter().find(|i| i.index == a.scope_id()).map(|i| i.name.as_str());
            Ok(inet::zoned(&to.ip(), zone))
        }
        _ => Ok(to.ip().to_string()),
    }
}
