//! The socket interface of TCP: what programs ask for (RFC 9293 §3.9.1, and the manual pages).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use errno::Errno;
use shm::{Pool, Ring};

use super::Tcp;
use super::buffers::{ReceiveQueue, SendQueue};
use super::connection::{Disposition, Phase};
use super::endpoint::{FlowKey, Handshake, Listener, State, SynSent, scope_of, shown, unmapped};
use super::options::Options;
use super::ports::Ports;
use super::scoped;
use crate::frame::LinkId;
use crate::net::Net;
use crate::net::address::map;
use crate::options::Domain;
use crate::socket::{Events, Shutdown, SocketId};
use crate::time::{Duration, Instant};

/// First port that needs no privilege.
const UNPRIVILEGED: u16 = 1024;
/// A connection in TIME_WAIT may be used anew by us after this long, when timestamps tell old
/// segments from new ones.
const TIME_WAIT_REUSE: Duration = Duration::from_secs(1);

impl Tcp {
    pub fn socket(&mut self, pool: &mut Pool, domain: Domain) -> Result<SocketId, Errno> {
        let index = self.fresh(pool, domain, Options::new(&self.settings))?;
        Ok(Self::id(index, self.table.at(index).generation))
    }

    /// A name is good while a program holds the socket; a connection that ends by itself afterwards
    /// has none. Errors: EBADF.
    pub(super) fn index(&self, id: SocketId) -> Result<u32, Errno> {
        let alive = self.table.is(id.index, id.generation) && self.table.at(id.index).held;
        if alive { Ok(id.index) } else { Err(Errno::EBADF) }
    }

    pub fn bind(&mut self, net: &Net, id: SocketId, addr: SocketAddr, privileged: bool) -> Result<(), Errno> {
        let index = self.index(id)?;
        let e = self.table.at(index);
        if e.local.port() != 0 || !matches!(e.state, State::Closed) {
            return Err(Errno::EINVAL);
        }
        // ipv6(7): such a socket has no IPv4 addresses to be bound to.
        let wire_addr = match family_checked(e.domain, e.options.v6only, addr) {
            Err(Errno::ENETUNREACH) => return Err(Errno::EINVAL),
            checked => checked?,
        };
        if !wire_addr.ip().is_unspecified() {
            if wire_addr.ip().is_multicast() && wire_addr.is_ipv6() {
                return Err(Errno::EINVAL); // as Linux: a stream has no groups
            }
            if net.is_group(wire_addr.ip()) || (!net.may_bind(wire_addr.ip()) && !e.options.free_bind) {
                return Err(Errno::EADDRNOTAVAIL);
            }
            if link_local(wire_addr.ip()) && scope_of(wire_addr) == 0 && e.options.bound.is_none() {
                return Err(Errno::EINVAL);
            }
        }
        let port = match addr.port() {
            0 if e.options.bind_no_port => {
                // The port is left to connect, which may share it (ip(7), IP_BIND_ADDRESS_NO_PORT).
                let e = self.table.at_mut(index);
                e.local = wire_addr;
                e.bound_addr = !wire_addr.ip().is_unspecified();
                return Ok(());
            }
            0 => {
                let range = self.settings.ports.clone();
                let free = |p: &Ports, port: u16| p.users(port).next().is_none();
                self.ports.ephemeral(range, (wire_addr, None), free).ok_or(Errno::EADDRINUSE)?
            }
            port if port < UNPRIVILEGED && !privileged => return Err(Errno::EACCES),
            port => port,
        };
        let wanted = with_port(wire_addr, port);
        if self.conflicts(index, wanted, false) {
            return Err(Errno::EADDRINUSE);
        }
        let e = self.table.at_mut(index);
        e.local = wanted;
        e.bound_addr = !wanted.ip().is_unspecified();
        e.bound_port = addr.port() != 0;
        self.ports.claim(port, index);
        Ok(())
    }

    /// Whether another endpoint stands in the way of `addr` (socket(7), SO_REUSEADDR, SO_REUSEPORT).
    fn conflicts(&self, index: u32, addr: SocketAddr, listening: bool) -> bool {
        let me = self.table.at(index);
        let covers_v4 = |domain: Domain, v6only: bool, ip: IpAddr| match ip {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => ip.is_unspecified() && domain == Domain::V6 && !v6only,
        };
        self.ports.users(addr.port()).filter(|&u| u != index && self.table.exists(u)).any(|u| {
            let other = self.table.at(u);
            let (a, b) = (addr.ip(), other.local.ip());
            let overlap = if a.is_ipv4() == b.is_ipv4() {
                a == b || a.is_unspecified() || b.is_unspecified()
            } else {
                // A dual-stack wildcard covers every IPv4 address of the port.
                covers_v4(me.domain, me.options.v6only, a) && covers_v4(other.domain, other.options.v6only, b)
            };
            let apart = matches!((me.link(), other.link()), (Some(a), Some(b)) if a != b);
            if !overlap || apart {
                return false;
            }
            if me.options.reuse_port && other.options.reuse_port {
                return false;
            }
            let other_listens = matches!(other.state, State::Listen(_));
            if listening {
                return other_listens;
            }
            !(me.options.reuse_addr && other.options.reuse_addr && !other_listens)
        })
    }

    pub fn listen(&mut self, net: &Net, id: SocketId, backlog: usize) -> Result<(), Errno> {
        let index = self.index(id)?;
        let backlog = backlog.min(self.somaxconn);
        let e = self.table.at_mut(index);
        match &mut e.state {
            State::Listen(l) => {
                l.backlog = backlog;
                return Ok(());
            }
            State::Closed if e.peer.is_none() => {}
            _ => return Err(Errno::EINVAL),
        }
        if self.table.at(index).local.port() == 0 {
            let e = self.table.at(index);
            let bound = if e.domain == Domain::V6 { map(e.local.ip()) } else { e.local.ip() };
            let ip = if e.bound_addr { bound } else { e.domain.unspecified() };
            self.bind(net, id, scoped(ip, 0, LinkId(scope_of(e.local))), true)?;
        }
        let local = self.table.at(index).local;
        if self.conflicts(index, local, true) {
            return Err(Errno::EADDRINUSE);
        }
        self.table.at_mut(index).state = State::Listen(Listener { backlog, ..Listener::default() });
        self.listeners.entry(local.port()).or_default().push(index);
        Ok(())
    }

    pub fn connect(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        id: SocketId,
        addr: Option<SocketAddr>,
    ) -> Result<(), Errno> {
        let index = self.index(id)?;
        let e = self.table.at(index);
        let Some(addr) = addr else {
            return self.disconnect(net, pool, now, index);
        };
        match &e.state {
            State::Closed => {}
            State::SynSent(_) | State::SynReceived(_) => return Err(Errno::EALREADY),
            State::Listen(_) | State::Open(_) | State::TimeWait(_) => return Err(Errno::EISCONN),
        }
        let mut peer = family_checked(e.domain, e.options.v6only, addr)?;
        if peer.ip().is_unspecified() {
            // As Linux and the BSDs: "this host".
            let loopback: IpAddr = if peer.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            peer = SocketAddr::new(loopback, peer.port());
        }
        if net.is_group(peer.ip()) {
            return Err(Errno::ENETUNREACH);
        }
        let scope = scope_of(peer);
        let bound = e.options.bound.or((scope != 0).then_some(crate::frame::LinkId(scope))).or_else(|| e.link());
        let source = e.bound_addr.then(|| e.local.ip());
        if source.is_some_and(|s| s.is_ipv4() != peer.is_ipv4()) {
            return Err(Errno::ENETUNREACH);
        }
        let path = net.path(peer.ip(), source, bound)?;
        if e.options.dont_route && path.next_hop != path.dst {
            return Err(Errno::ENETUNREACH);
        }
        let peer = scoped(peer.ip(), peer.port(), path.link);
        let local = scoped(path.src, e.local.port(), path.link);
        let key = self.choose_flow(pool, now, index, local, peer)?;
        let iss = self.initial_number(now, &key);
        let offset = self.secrets.timestamp_offset(key.local, key.peer);
        self.counters.connects += 1;
        self.flows.insert(key, index);
        let e = self.table.at_mut(index);
        let had_port = e.local.port() != 0;
        e.local = key.local;
        e.peer = Some(key.peer);
        e.error = None;
        e.soft_error = None;
        e.leftover = None;
        if !had_port {
            self.ports.claim(key.local.port(), index);
        }
        let sent = self.with(net, pool, now, index, |env, e| {
            let mut path = Box::new(path);
            let handshake = Handshake::new(now, iss, offset, &path, &e.options);
            let mut syn = SynSent { handshake, shutdown: false };
            let sent = syn.send(env, &key, &mut path, &e.options);
            e.path = Some(path);
            e.state = State::SynSent(syn);
            sent
        });
        self.settle(index);
        match sent {
            // A way that is down at this moment may be up at the next SYN.
            Ok(()) | Err(Errno::ENOBUFS) => Err(Errno::EINPROGRESS),
            Err(errno) => {
                self.forget_flow(index);
                let e = self.table.at_mut(index);
                e.state = State::Closed;
                e.peer = None;
                e.path = None;
                Err(errno)
            }
        }
    }

    /// Picks the local port, if none is bound, so that the four-tuple is free.
    fn choose_flow(
        &mut self,
        pool: &mut Pool,
        now: Instant,
        index: u32,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<FlowKey, Errno> {
        let (table, flows) = (&self.table, &self.flows);
        let reusable = |other: u32| match &table.at(other).state {
            State::TimeWait(t) => t.timestamps.is_some_and(|ts| now.since(ts.recent_at) >= TIME_WAIT_REUSE),
            _ => false,
        };
        let key_for = |port: u16| FlowKey { local: with_port(local, port), peer };
        let open = |port: u16| flows.get(&key_for(port)).is_none_or(|&other| reusable(other));
        let key = if local.port() != 0 {
            if !open(local.port()) {
                return Err(Errno::EADDRNOTAVAIL);
            }
            key_for(local.port())
        } else {
            let connected = |u: u32| u == index || !table.exists(u) || table.at(u).peer.is_some();
            let free = |ports: &Ports, port: u16| open(port) && ports.users(port).all(connected);
            match self.ports.ephemeral(self.settings.ports.clone(), (local, Some(peer)), free) {
                Some(port) => key_for(port),
                None => {
                    self.counters.ports_exhausted += 1;
                    return Err(Errno::EADDRNOTAVAIL);
                }
            }
        };
        if let Some(&old) = self.flows.get(&key) {
            self.counters.time_wait_reused += 1;
            self.note_old_numbers(old);
            self.end(pool, old, None);
        }
        Ok(key)
    }

    /// connect(2) to AF_UNSPEC: the socket is free to be used anew, under the name that bind(2) gave it.
    fn disconnect(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) -> Result<(), Errno> {
        match &self.table.at(index).state {
            State::Closed => {}
            State::Listen(_) => self.stop_listening(net, pool, now, index),
            _ => {
                self.abort_in_place(net, pool, now, index);
                self.forget_flow(index);
            }
        }
        let e = self.table.at_mut(index);
        if let State::Open(mut c) = std::mem::replace(&mut e.state, State::Closed) {
            c.tx.release(pool);
            c.rx.release(pool);
        }
        if let Some(mut ring) = e.leftover.take() {
            ring.release(pool);
        }
        e.peer = None;
        e.path = None;
        e.error = None;
        e.soft_error = None;
        e.events = Events::default();
        let port = e.local.port();
        if !e.bound_addr {
            e.local = SocketAddr::new(e.domain.unspecified(), port);
        }
        if !e.bound_port && port != 0 {
            e.local.set_port(0);
            self.ports.release(port, index);
        }
        Ok(())
    }

    /// Sends the reset that ends a connection, leaving the endpoint to the caller.
    fn abort_in_place(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) {
        self.with(net, pool, now, index, |env, e| {
            if let Some((mut flow, State::Open(c))) = e.flow() {
                c.send_reset(env, &mut flow);
            }
        });
    }

    /// Resets a connection and forgets it.
    pub(super) fn abort(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) {
        self.abort_in_place(net, pool, now, index);
        self.table.at_mut(index).held = false;
        self.counters.dropped += 1;
        self.end(pool, index, None);
    }

    pub fn accept(&mut self, listener: SocketId) -> Option<SocketId> {
        let index = self.index(listener).ok()?;
        loop {
            let State::Listen(l) = &mut self.table.at_mut(index).state else { return None };
            let (connection, generation) = l.queue.pop_front()?;
            if !self.table.is(connection, generation) {
                continue; // it was reset while it waited
            }
            let e = self.table.at_mut(connection);
            e.held = true;
            if let State::Open(c) = &mut e.state {
                c.held = true;
            }
            let id = Self::id(connection, e.generation);
            self.settle(connection);
            return Some(id);
        }
    }

    pub fn set_unclaimed(&mut self, listener: SocketId, count: usize) {
        if let Ok(index) = self.index(listener)
            && let State::Listen(l) = &mut self.table.at_mut(index).state
        {
            l.unclaimed = count;
        }
    }

    pub fn tx_ring(&mut self, id: SocketId) -> Option<&mut Ring> {
        let index = self.index(id).ok()?;
        match &mut self.table.at_mut(index).state {
            State::Open(c) if !c.phase.send_closed() => match &mut c.tx {
                SendQueue::Own(ring) => Some(ring),
                SendQueue::Shared(_) => None,
            },
            _ => None,
        }
    }

    pub fn sent(&mut self, id: SocketId) {
        if let Ok(index) = self.index(id) {
            self.mark_dirty(index);
        }
    }

    pub fn rx_ring(&self, id: SocketId) -> Option<&Ring> {
        let e = self.table.at(self.index(id).ok()?);
        let queue = match &e.state {
            State::Open(c) => &c.rx,
            _ => e.leftover.as_deref()?,
        };
        match queue {
            ReceiveQueue::Own(ring) => Some(ring),
            ReceiveQueue::Shared(_) => None,
        }
    }

    pub fn received(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, id: SocketId, n: usize) {
        let Ok(index) = self.index(id) else { return };
        let due = self.with(net, pool, now, index, |env, e| {
            if let Some(ring) = &mut e.leftover {
                ring.consume(env.pool, n, true);
                return false;
            }
            let State::Open(c) = &mut e.state else { return false };
            let nothing_ahead = c.ahead.is_empty();
            c.rx.consume(env.pool, n, nothing_ahead);
            c.taken = c.taken.saturating_add(n as u32);
            if !e.options.rcvbuf_fixed {
                grow_receive_buffer(c, now, e.options.clamped(env.settings.rcvbuf_max));
            }
            c.maybe_update_window(env);
            c.ack_now
        });
        if due {
            self.mark_dirty(index);
        }
    }

    pub fn at_end(&self, id: SocketId) -> bool {
        let Ok(index) = self.index(id) else { return true };
        let e = self.table.at(index);
        match &e.state {
            State::Open(c) => c.phase.receive_closed() && c.rx.is_empty(),
            State::TimeWait(_) | State::Closed => e.leftover.as_ref().is_none_or(|r| r.is_empty()),
            _ => false,
        }
    }

    pub fn shutdown(
        &mut self,
        _net: &mut Net,
        _pool: &mut Pool,
        _now: Instant,
        id: SocketId,
        how: Shutdown,
    ) -> Result<(), Errno> {
        let index = self.index(id)?;
        let write = how != Shutdown::Read;
        match &mut self.table.at_mut(index).state {
            State::Open(c) => {
                if write {
                    close_send_side(&mut c.phase);
                    self.mark_dirty(index);
                }
                Ok(())
            }
            State::SynSent(s) => {
                s.shutdown |= write;
                Ok(())
            }
            State::SynReceived(s) => {
                s.shutdown |= write;
                Ok(())
            }
            State::TimeWait(_) => Ok(()),
            State::Listen(_) if how != Shutdown::Write => {
                // shutdown(2) on a listener ends it, as on Linux.
                self.stop_listening(_net, _pool, _now, index);
                Ok(())
            }
            State::Closed | State::Listen(_) => Err(Errno::ENOTCONN),
        }
    }

    pub fn close(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, id: SocketId) {
        let Ok(index) = self.index(id) else { return };
        let e = self.table.at_mut(index);
        e.held = false;
        e.events = Events::default();
        if let Some(mut ring) = e.leftover.take() {
            ring.release(pool);
        }
        let reset_on_close = e.options.linger == Some(0);
        match &mut e.state {
            State::Closed => self.free(index),
            State::TimeWait(_) => {}
            State::Listen(_) => {
                self.stop_listening(net, pool, now, index);
                self.free(index);
            }
            State::SynSent(_) => self.end(pool, index, None),
            // RFC 9293 §3.10.4: the FIN goes out when the connection stands.
            State::SynReceived(s) => s.shutdown = true,
            State::Open(c) => {
                c.held = false;
                c.rx.refresh();
                // RFC 1122 §4.2.2.13, RFC 2525 §2.17: bytes that nobody will read mean a reset.
                if reset_on_close || !c.rx.is_empty() {
                    self.abort(net, pool, now, index);
                    return;
                }
                close_send_side(&mut c.phase);
                if c.phase == Phase::FinWait2 {
                    c.clocks.fin_wait_2 = now + e.options.fin_timeout(&self.settings);
                }
                c.clocks.keepalive = Instant::FAR;
                self.conclude(net, pool, now, index, Disposition::Keep);
            }
        }
    }

    /// A listener goes: connections that wait in it are reset, half-open ones forgotten.
    fn stop_listening(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) {
        let e = self.table.at_mut(index);
        let generation = e.generation;
        let port = e.local.port();
        let State::Listen(l) = std::mem::replace(&mut e.state, State::Closed) else { return };
        if let Some(list) = self.listeners.get_mut(&port) {
            list.retain(|&i| i != index);
            if list.is_empty() {
                self.listeners.remove(&port);
            }
        }
        for (connection, generation) in l.queue {
            if self.table.is(connection, generation) {
                self.abort(net, pool, now, connection);
            }
        }
        if l.half_open == 0 {
            return;
        }
        let mine = |s: &State| matches!(s, State::SynReceived(r) if r.parent == Some((index, generation)));
        let half: Vec<u32> = self.table.iter().filter(|(_, e)| mine(&e.state)).map(|(i, _)| i).collect();
        for connection in half {
            self.end(pool, connection, None);
        }
    }

    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let e = self.table.at(self.index(id)?);
        Ok(shown(e.domain, e.local))
    }

    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let e = self.table.at(self.index(id)?);
        match (&e.state, e.peer) {
            (State::Open(_), Some(peer)) => Ok(shown(e.domain, peer)),
            _ => Err(Errno::ENOTCONN),
        }
    }

    pub fn take_error(&mut self, id: SocketId) -> Option<Errno> {
        let index = self.index(id).ok()?;
        let e = self.table.at_mut(index);
        e.error.take().or_else(|| e.soft_error.take())
    }
}

/// The on-wire form of an address given to a socket of this family.
fn family_checked(domain: Domain, v6only: bool, addr: SocketAddr) -> Result<SocketAddr, Errno> {
    match (domain, addr.is_ipv4()) {
        (Domain::V4, false) | (Domain::V6, true) => Err(Errno::EAFNOSUPPORT),
        (Domain::V4, true) => Ok(addr),
        (Domain::V6, false) => {
            let wire = unmapped(addr);
            if wire.is_ipv4() && v6only { Err(Errno::ENETUNREACH) } else { Ok(wire) }
        }
    }
}

fn link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(a) if a.is_unicast_link_local())
}

fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

/// The program closed its side for writing: the FIN follows what is in the ring.
fn close_send_side(phase: &mut Phase) {
    *phase = match *phase {
        Phase::Established => Phase::FinWait1,
        Phase::CloseWait => Phase::LastAck,
        other => other,
    };
}

/// A program that empties more than half the buffer each round trip would be held up by it: double
/// it (the sender's window follows).
pub(super) fn grow_receive_buffer(c: &mut super::connection::Connection, now: Instant, max: usize) {
    let round = c.rtt.srtt().unwrap_or(Duration::from_millis(1)).max(Duration::from_millis(1));
    if now.since(c.taken_since) < round {
        return;
    }
    if c.taken as usize > c.rx.limit() / 2 {
        c.rx.set_limit((2 * c.rx.limit()).min(max).max(c.rx.limit()));
    }
    c.taken = 0;
    c.taken_since = now;
}
