//! Which socket has which port and flow, who may share one, and ephemeral ports (RFC 6056).

use core::net::IpAddr;

use errno::Errno;

use super::{Flow, Place, Socket, Udp};
use crate::net::Net;
use crate::net::sysctl::Sysctl;
use crate::options::Domain;

impl Udp {
    /// Enters a socket that has a port into the tables.
    pub(super) fn enter(&mut self, index: u32) {
        let Some(s) = self.sockets.at(index) else { return };
        if s.port == 0 {
            return;
        }
        let (port, local, peer) = (s.port, s.base.local, s.base.peer);
        self.by_port.entry(port).or_default().push(index);
        match peer {
            Some(peer) => self.flows.entry(Flow { local: (local, port), peer }).or_default().push(index),
            None => self.bound.entry(Place(local, port)).or_default().push(index),
        }
    }

    /// Takes it out again; to be called before port, address or peer change.
    pub(super) fn take_out(&mut self, index: u32) {
        let Some(s) = self.sockets.at(index) else { return };
        if s.port == 0 {
            return;
        }
        let (port, local, peer) = (s.port, s.base.local, s.base.peer);
        let without = |list: &mut Vec<u32>| {
            list.retain(|&i| i != index);
            list.is_empty()
        };
        if self.by_port.get_mut(&port).is_some_and(without) {
            self.by_port.remove(&port);
        }
        match peer {
            Some(peer) => {
                let flow = Flow { local: (local, port), peer };
                if self.flows.get_mut(&flow).is_some_and(without) {
                    self.flows.remove(&flow);
                }
            }
            None => {
                if self.bound.get_mut(&Place(local, port)).is_some_and(without) {
                    self.bound.remove(&Place(local, port));
                }
            }
        }
    }

    /// Another socket stands in the way of an address (socket(7): SO_REUSEADDR, SO_REUSEPORT; both
    /// must have it).
    pub(super) fn conflicts(&self, index: u32, ip: IpAddr, port: u16) -> bool {
        let Some(me) = self.sockets.at(index) else { return false };
        let others = self.by_port.get(&port).into_iter().flatten().filter(|&&i| i != index);
        others.filter_map(|&i| self.sockets.at(i)).any(|other| {
            let shared_link = match (me.base.options.bound, other.base.options.bound) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            let may_share = (me.base.options.reuse_addr && other.base.options.reuse_addr)
                || (me.base.options.reuse_port && other.base.options.reuse_port);
            shared_link && !may_share && overlap(me, ip, other)
        })
    }

    /// A port of the range that is free, from a random place on (RFC 6056 §3.3.1, algorithm 1).
    /// EADDRINUSE when there is none.
    pub(super) fn ephemeral(&mut self, net: &Net, index: u32, ip: IpAddr) -> Result<u16, Errno> {
        let (a, b) = (net.sysctl(Sysctl::PortFirst) as u16, net.sysctl(Sysctl::PortLast) as u16);
        let (first, last) = (a.min(b), a.max(b));
        let count = u64::from(last - first) + 1;
        let start = self.random.below(count);
        // A free port first; one that may be shared only when none is.
        for strict in [true, false] {
            for i in 0..count {
                let port = first + ((start + i) % count) as u16;
                let taken = if strict { self.by_port.contains_key(&port) } else { self.conflicts(index, ip, port) };
                if !taken {
                    return Ok(port);
                }
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Gives a socket a port if it has none.
    pub(super) fn ensure_port(&mut self, net: &Net, index: u32) -> Result<(), Errno> {
        let Some(s) = self.sockets.at(index) else { return Err(Errno::EBADF) };
        if s.port != 0 {
            return Ok(());
        }
        let port = self.ephemeral(net, index, s.base.local)?;
        if let Some(s) = self.sockets.at_mut(index) {
            s.port = port;
        }
        self.enter(index);
        Ok(())
    }
}

fn overlap(me: &Socket, ip: IpAddr, other: &Socket) -> bool {
    let theirs = other.base.local;
    if ip.is_ipv4() == theirs.is_ipv4() {
        return ip == theirs || ip.is_unspecified() || theirs.is_unspecified();
    }
    // A dual-stack wildcard covers every IPv4 address of the port.
    let covers_v4 = |s: &Socket, ip: IpAddr| {
        ip.is_ipv4() || (ip.is_unspecified() && s.base.domain == Domain::V6 && !s.base.options.v6only)
    };
    covers_v4(me, ip) && covers_v4(other, theirs)
}
