//! The engine's views as records of `sockets::config`.

use core::net::IpAddr;

use sockets::config::{self, Interface, InterfaceAddress, LinkCounters, Neighbour, Route, SocketRow, rtf};
use stack::net::{Address, AddressOrigin, AddressState, LinkView, NeighbourState, NeighbourView, RouteEntry};
use stack::stack::SocketView;
use stack::{Domain, Instant, Offloads, SocketKind, Stack};

use crate::links::PortCounters;

pub fn interface(now: Instant, link: &LinkView<'_>, port: PortCounters) -> Interface {
    let c = link.counters;
    Interface {
        index: link.id.0,
        name: link.name.to_owned(),
        flags: link.flags,
        mtu: link.mtu,
        mac: (link.flags & config::iff::LOOPBACK == 0).then_some(link.mac.0),
        media: link.media.to_owned(),
        driver: link.driver.to_owned(),
        link_up: link.link_up,
        offloads: offloads(link.offloads),
        addresses: link.addresses.iter().map(|a| address(now, a)).collect(),
        counters: LinkCounters {
            rx_packets: c.rx_packets,
            rx_bytes: c.rx_bytes,
            rx_errors: c.rx_errors + port.rx_errors,
            rx_dropped: c.rx_dropped + port.rx_dropped,
            rx_multicast: c.rx_multicast,
            tx_packets: c.tx_packets,
            tx_bytes: c.tx_bytes,
            tx_errors: c.tx_errors + port.tx_errors,
            tx_dropped: c.tx_dropped + port.tx_dropped,
            collisions: 0,
        },
    }
}

fn offloads(o: Offloads) -> Vec<String> {
    let Offloads { tx_csum, tso4, tso6, uso, rx_csum, gro } = o;
    [(tx_csum, "tx-csum"), (rx_csum, "rx-csum"), (tso4, "tso4"), (tso6, "tso6"), (uso, "uso"), (gro, "gro")]
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name.to_owned())
        .collect()
}

pub fn address(now: Instant, a: &Address) -> InterfaceAddress {
    let left =
        |until: Instant| (until != Instant::FAR).then(|| u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX));
    InterfaceAddress {
        broadcast: a.broadcast.map(IpAddr::V4),
        tentative: a.state == AddressState::Tentative,
        duplicated: a.state == AddressState::Duplicated,
        deprecated: a.state == AddressState::Deprecated,
        autoconf: a.origin == AddressOrigin::Autoconf,
        valid_s: left(a.valid_until),
        preferred_s: left(a.preferred_until),
        ..InterfaceAddress::new(a.addr, a.prefix_len)
    }
}

pub fn route(stack: &Stack, r: &RouteEntry) -> Route {
    let mut flags = r.flags & !stack::net::rtf::LOCAL;
    if r.flags & stack::net::rtf::LOCAL != 0 {
        flags |= rtf::LOCAL;
    }
    Route {
        destination: r.dst,
        prefix_len: r.prefix_len,
        gateway: r.gateway,
        interface: stack.net.link_name(r.link).map(str::to_owned),
        flags,
        mtu: r.mtu,
        source: r.source,
        uses: 0,
    }
}

pub fn neighbour(stack: &Stack, n: &NeighbourView) -> Neighbour {
    let state = match n.state {
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Permanent => "permanent",
    };
    Neighbour {
        addr: n.addr,
        interface: stack.net.link_name(n.link).unwrap_or_default().to_owned(),
        mac: n.mac.map(|m| m.0),
        state: state.to_owned(),
        router: n.is_router,
    }
}

/// `pid` and `uid` are those of the socket's opener, 0 when nobody holds it.
pub fn socket(v: &SocketView, pid: u32, uid: u32, mode: &str) -> SocketRow {
    let name = match v.kind {
        SocketKind::Tcp => "tcp",
        SocketKind::Udp => "udp",
        SocketKind::Raw => "raw",
        SocketKind::Ping => "icmp",
    };
    let six = if v.domain == Domain::V6 { "6" } else { "" };
    SocketRow {
        protocol: format!("{name}{six}"),
        recv_queue: v.recv_queue as u64,
        send_queue: v.send_queue as u64,
        local: Some(v.local),
        peer: v.peer,
        state: v.state.to_owned(),
        pid,
        uid,
        mode: mode.to_owned(),
    }
}
