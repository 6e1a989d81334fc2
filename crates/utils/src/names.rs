//! Host names as the instance knows them: its `hosts`, then the servers of its `resolv.conf`,
//! asked through the instance.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use resolver::{Action, Conf, Hosts, Lookup, RecordType};
use sockets::addr::{AF_INET, AF_INET6};
use sockets::datagram::flag;
use sockets::paths;

use crate::client::Instance;
use crate::command::Failure;
use crate::datagram::{Datagram, Received};
use crate::inet;

const SOCK_DGRAM: i32 = 2;

/// An address of the wanted family for a name, an address, or an address with a zone.
pub fn resolve(instance: &Instance, name: &str, v6: bool) -> Result<SocketAddr, Failure> {
    if let Some((addr, zone)) = inet::parse_address(name) {
        if addr.is_ipv6() != v6 {
            let family = if v6 { "IPv6" } else { "IPv4" };
            return Err(Failure::new(format!("{name}: not an {family} address")));
        }
        let scope = match zone {
            Some(zone) => index(instance, zone)?,
            None => 0,
        };
        return Ok(match addr {
            IpAddr::V4(_) => SocketAddr::new(addr, 0),
            IpAddr::V6(a) => SocketAddrV6::new(a, 0, 0, scope).into(),
        });
    }
    let found = in_hosts(instance, name, v6).map_or_else(|| ask_servers(instance, name, v6), Ok)?;
    Ok(SocketAddr::new(found, 0))
}

fn index(instance: &Instance, zone: &str) -> Result<u32, Failure> {
    let interfaces = instance.interfaces()?;
    let found = interfaces.iter().find(|i| i.name == zone).map(|i| i.index);
    found.or_else(|| zone.parse().ok()).ok_or_else(|| Failure::new(format!("{zone}: no such interface")))
}

fn text(instance: &Instance, name: &str) -> String {
    fs::read_to_string(instance.dir().join(name)).unwrap_or_default()
}

fn in_hosts(instance: &Instance, name: &str, v6: bool) -> Option<IpAddr> {
    let hosts = Hosts::parse(&text(instance, paths::HOSTS));
    hosts.by_name(name).map(|h| h.addr).find(|a| a.is_ipv6() == v6)
}

fn ask_servers(instance: &Instance, name: &str, v6: bool) -> Result<IpAddr, Failure> {
    let why = |text: &str| Failure::new(format!("cannot resolve {name}: {text}"));
    let interfaces = instance.interfaces()?;
    let scope = |zone: &str| interfaces.iter().find(|i| i.name == zone).map(|i| i.index);
    let conf = Conf::parse(&text(instance, paths::RESOLV_CONF), scope);
    let domain = if conf.servers.iter().any(SocketAddr::is_ipv6) { AF_INET6 } else { AF_INET };
    let kind = if v6 { RecordType::AAAA } else { RecordType::A };
    let mut lookup = Lookup::new(conf, name, &[kind], true, random_id);
    let mut socket = Datagram::open(instance, domain, SOCK_DGRAM, wire::proto::UDP)?;
    let begin = Instant::now();
    loop {
        match lookup.poll(begin.elapsed()) {
            Action::Send { server, message } => {
                if socket.send(as_domain(server, domain), None, &message).is_err() {
                    lookup.handle_failure();
                }
            }
            // An address fits a datagram; a server that says it does not is passed over.
            Action::Ask { .. } => lookup.handle_failure(),
            Action::Wait { until } => match socket.receive(begin + until) {
                Received::Datagram(header, _) if header.has(flag::ERROR) => lookup.handle_failure(),
                Received::Datagram(header, message) => {
                    if let Some(from) = header.addr.socket_addr() {
                        lookup.handle_reply(unmapped(from), message);
                    }
                }
                Received::Nothing if process::interrupt::seen() => return Err(why("interrupted")),
                Received::Nothing => {}
                Received::Closed => return Err(why("the instance has ended")),
            },
            Action::Finished => break,
        }
    }
    match lookup.finish() {
        Ok(answer) => {
            answer.addresses.into_iter().find(|a| a.is_ipv6() == v6).ok_or_else(|| why("no address of this family"))
        }
        Err(resolver::Failure::NoSuchName) => Err(why("unknown host")),
        Err(resolver::Failure::NoData) => Err(why("no address of this family")),
        Err(resolver::Failure::TryAgain) => Err(why("no name server answers")),
    }
}

/// An IPv6 socket reaches an IPv4 server by its mapped address (RFC 3493 §3.7).
fn as_domain(addr: SocketAddr, domain: u16) -> SocketAddr {
    match addr {
        SocketAddr::V4(a) if domain == AF_INET6 => SocketAddr::new(a.ip().to_ipv6_mapped().into(), a.port()),
        other => other,
    }
}

fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(addr, |v4| SocketAddr::new(v4.into(), addr.port())),
        IpAddr::V4(_) => addr,
    }
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(2) => u16::from_ne_bytes(bytes),
        _ => std::process::id() as u16,
    }
}

/// The address that the instance would send from.
pub fn source(instance: &Instance, to: &SocketAddr) -> Option<Ipv6Addr> {
    use sockets::config::{Reply, Request};
    match instance.request(&Request::LookupRoute { destination: to.ip() }) {
        Ok(Reply::Route(Some(route))) => match route.source {
            Some(IpAddr::V6(a)) => Some(a),
            _ => None,
        },
        _ => None,
    }
}
