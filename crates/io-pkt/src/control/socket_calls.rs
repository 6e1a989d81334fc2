//! The calls of `<sys/socket.h>`: each takes its request's body apart, asks shard and engine, and
//! puts the answer together.

use std::os::fd::AsFd;

use errno::Errno;
use msg::Credentials;
use sockets::WireAddr;
use sockets::call::{CONNECT_FILLERS, Op, Reader, SocketInfo};
use sockets::datagram::flag;
use stack::{Domain, SendMeta, Shutdown, SockOpt, SocketKind};

use super::{Answer, Call, options};
use crate::shard::Shard;
use crate::shard::table::{Datagram, Flow, NewSocket, Phase, Stream, Waiter};

impl Shard {
    /// The socket that a call is about.
    fn slot_of(&self, call: &Call<'_>) -> Result<u32, Errno> {
        self.table.by_handle(call.handle).ok_or(Errno::EBADF)
    }

    pub(super) fn socket_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let mut r = Reader::new(call.body);
        let (domain, kind, protocol) = (r.i32()?, r.i32()?, r.i32()?);
        let domain = match domain {
            libc::AF_INET => Domain::V4,
            libc::AF_INET6 => Domain::V6,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let (engine, protocol) = transport(domain, kind, protocol)?;
        if engine == SocketKind::Raw && !self.is_privileged(&call.client) {
            return Err(Errno::EPERM);
        }
        let make = |shard: &mut Shard| shard.make_socket(call.now, domain, engine, kind as u16, protocol, call.client);
        make(self).or_else(|_| {
            // What was closed just before may have made room.
            self.catch_up(call.now);
            make(self)
        })
    }

    /// A fresh stream socket beside the one that has connected, unless the table is nearly full.
    pub(crate) fn restock(&mut self, now: stack::Instant, domain: Domain, owner: Credentials) -> Option<Answer> {
        let most = self.stack.config().sockets_max;
        let plenty = self.table.len() < most - most / 8;
        let (kind, protocol) = (libc::SOCK_STREAM as u16, libc::IPPROTO_TCP as u8);
        plenty.then(|| self.make_socket(now, domain, SocketKind::Tcp, kind, protocol, owner).ok())?
    }

    fn make_socket(
        &mut self,
        now: stack::Instant,
        domain: Domain,
        engine: SocketKind,
        kind: u16,
        protocol: u8,
        owner: Credentials,
    ) -> Result<Answer, Errno> {
        let id = self.stack.socket(domain, engine, protocol)?;
        let flow = match engine {
            SocketKind::Tcp => Flow::Stream(Stream::new(Phase::Fresh)),
            _ => Flow::Datagram(Datagram::default()),
        };
        let slot = self.table.insert(NewSocket { id, domain, kind, protocol: u16::from(protocol), owner, flow });
        let program = match self.give_pair(slot) {
            Ok(program) => program,
            Err(error) => {
                self.discard_made(slot, now);
                return Err(error);
            }
        };
        let info = self.table.get(slot).map(|s| s.info()).unwrap_or_default();
        Ok(Answer { body: info.to_bytes().to_vec(), fd: Some(program), made: Some(slot), ..Answer::default() })
    }

    /// Takes a socket away for which there is nobody.
    pub(crate) fn discard_made(&mut self, slot: u32, now: stack::Instant) {
        if let Some(handle) = self.table.get(slot).map(|s| s.handle) {
            self.table.unbury(handle);
            self.discard(slot, now);
        }
    }

    pub(super) fn reopen_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let Some(phase) = self.table.get(slot).and_then(|s| s.phase()) else { return Err(Errno::EOPNOTSUPP) };
        // Where the engine has let go of it, or will by itself, it gets a new one there: before anything is changed.
        let fresh = match self.table.get(slot) {
            Some(s) if s.closed.is_some() => Some(self.stack.socket(s.domain, SocketKind::Tcp, s.protocol as u8)?),
            _ => None,
        };
        let program = match self.give_pair(slot) {
            Ok(program) => program,
            Err(error) => {
                fresh.inspect(|id| self.stack.close(call.now, *id));
                return Err(error);
            }
        };
        self.table.unbury(call.handle);
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let waiter = socket.stream().and_then(|s| s.waiter.take());
        if let Some(id) = fresh {
            socket.closed = None;
            self.table.rename(slot, id);
        } else {
            if matches!(phase, Phase::Connecting | Phase::Connected) {
                socket.error = Some(Errno::ECONNRESET);
            }
            let id = socket.id;
            self.stack.connect(call.now, id, None)?;
        }
        self.refuse(waiter, Errno::ECONNABORTED);
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        socket.flow = Flow::Stream(Stream::new(Phase::Fresh));
        Ok(Answer { body: socket.info().to_bytes().to_vec(), fd: Some(program), made: Some(slot), ..Answer::default() })
    }

    pub(super) fn bind_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let addr = Reader::new(call.body).addr()?;
        let privileged = self.is_privileged(&call.client);
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        let (id, domain) = (socket.id, socket.domain);
        // ip(7): AF_UNSPEC is taken for AF_INET when the address is any.
        let addr = match addr.socket_addr() {
            Some(addr) => addr,
            None if domain == Domain::V4 && addr.ip == [0; 16] => (domain.unspecified(), addr.port).into(),
            None => return Err(Errno::EAFNOSUPPORT),
        };
        if addr.is_ipv4() != (domain == Domain::V4) {
            // Linux: a sockaddr_in is too short for an AF_INET6 socket; the other way round the
            // family is wrong.
            return Err(if domain == Domain::V6 { Errno::EINVAL } else { Errno::EAFNOSUPPORT });
        }
        self.stack.bind(id, addr, privileged).map(|()| Answer::default())
    }

    pub(super) fn connect_call(&mut self, call: &Call<'_>, op: Op) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let mut r = Reader::new(call.body);
        let addr = r.addr()?;
        let fillers = if r.rest().is_empty() { CONNECT_FILLERS } else { r.u32()? };
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let peer = addr.socket_addr();
        let id = socket.id;
        match &mut socket.flow {
            Flow::Stream(_) => {
                if fillers > CONNECT_FILLERS {
                    return Err(Errno::EPROTO);
                }
                let result = self.connect_stream(slot, peer, fillers, call.now);
                if op != Op::Connect && result == Err(Errno::EINPROGRESS) {
                    let waiter = Waiter { rcvid: call.rcvid, restock: op == Op::ConnectAndRestock };
                    self.answer_when_connected(slot, waiter);
                    return Ok(Answer { later: true, ..Answer::default() });
                }
                result?;
            }
            Flow::Datagram(datagram) => {
                self.stack.connect(call.now, id, peer)?;
                datagram.connected = peer.is_some();
            }
        }
        Ok(Answer::default())
    }

    pub(super) fn listen_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let backlog = Reader::new(call.body).i32()?;
        self.listen(slot, backlog, call.now).map(|()| Answer::default())
    }

    pub(super) fn shutdown_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let how = match Reader::new(call.body).i32()? {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(Errno::EINVAL),
        };
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        match socket.phase() {
            Some(_) => self.shutdown_stream(slot, how, call.now)?,
            None => self.stack.shutdown(call.now, socket.id, how)?,
        }
        Ok(Answer::default())
    }

    pub(super) fn local_addr_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        let addr = match socket.closed {
            Some(addr) => addr,
            None => self.stack.local_addr(socket.id)?,
        };
        Ok(Answer::of(shown(addr, socket.domain).to_bytes()))
    }

    pub(super) fn peer_addr_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        if socket.phase().is_some() && !self.is_connected(socket.id, call.now) {
            return Err(Errno::ENOTCONN);
        }
        let addr = match socket.closed {
            Some(_) => self.stack.departing_peer(socket.id).ok_or(Errno::ENOTCONN)?,
            None => self.stack.peer_addr(socket.id)?,
        };
        Ok(Answer::of(shown(addr, socket.domain).to_bytes()))
    }

    pub(super) fn identify_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let mut body = Vec::with_capacity(call.fds.len() * SocketInfo::LEN);
        for fd in &call.fds {
            let slot = rustix::net::sockopt::socket_cookie(fd).ok().and_then(|c| self.table.by_cookie(c));
            let info = slot.and_then(|s| self.table.get(s)).map(|s| s.info()).unwrap_or_default();
            body.extend_from_slice(&info.to_bytes());
        }
        Ok(Answer::of(body))
    }

    pub(super) fn queued_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        if socket.phase().is_none() {
            return Err(Errno::EOPNOTSUPP);
        }
        let id = socket.id;
        let held = self.stack.held(id).unwrap_or_default();
        let (unread, held) = (held.rx as u32, held.tx as u32);
        let unsent = self.stack.tcp_info(call.now, id).map_or(0, |i| i.not_sent).min(held);
        let mut body = Vec::with_capacity(12);
        for n in [unread, unsent, held - unsent] {
            body.extend_from_slice(&n.to_ne_bytes());
        }
        Ok(Answer::of(body))
    }

    pub(super) fn ring_arena_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let memfd = self.make_arena(slot)?;
        Ok(Answer { fd: Some(memfd), ..Answer::default() })
    }

    pub(super) fn ring_mode_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let before = Reader::new(call.body).u32()?;
        self.change_mode(slot, before as usize, call.now).map(|()| Answer::default())
    }

    pub(super) fn reach_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let mut r = Reader::new(call.body);
        let (addr, flags) = (r.addr()?, r.u16()?);
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        let dst = Some(addr.socket_addr().ok_or(Errno::EINVAL)?);
        let dont_route = flags & flag::DONTROUTE != 0;
        let meta = SendMeta { dst, src: None, link: None, ttl: None, tos: None, dont_route };
        self.stack.reach(socket.id, &meta).map(|()| Answer::default())
    }

    pub(super) fn set_option_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let mut r = Reader::new(call.body);
        let (level, name) = (r.i32()?, r.i32()?);
        let value = r.rest();
        if value.len() > sockets::call::OPTION_MAX {
            return Err(Errno::EINVAL);
        }
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        let (id, domain) = (socket.id, socket.domain);
        let option = options::parse(&self.stack, domain, id.kind, level, name, value)?;
        if options::is_privileged(level, name, &option) && !self.is_privileged(&call.client) {
            return Err(Errno::EPERM);
        }
        if socket.closed.is_some() {
            return Ok(Answer::default()); // as on Linux: taken, and without effect
        }
        self.stack.set_option(call.now, id, option.clone())?;
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        if let Flow::Datagram(datagram) = &mut socket.flow {
            let wants = |datagram: &mut Datagram, bit: u16, on: bool| {
                if on { datagram.wants |= bit } else { datagram.wants &= !bit }
            };
            match option {
                SockOpt::RecvPktInfo(on) | SockOpt::RecvPktInfo6(on) => wants(datagram, flag::PKTINFO, on),
                SockOpt::RecvTtl(on) | SockOpt::RecvHopLimit(on) => wants(datagram, flag::TTL, on),
                SockOpt::RecvTos(on) | SockOpt::RecvTClass(on) => wants(datagram, flag::TOS, on),
                SockOpt::Timestamp(on) => wants(datagram, flag::TIMESTAMP, on),
                SockOpt::RcvBuf(bytes) => {
                    if let Some(pair) = &socket.pair {
                        self.pairs.send_buffer(pair.as_fd(), bytes as usize);
                    }
                }
                _ => {}
            }
        }
        Ok(Answer::default())
    }

    pub(super) fn get_option_call(&mut self, call: &Call<'_>) -> Result<Answer, Errno> {
        let slot = self.slot_of(call)?;
        let mut r = Reader::new(call.body);
        let (level, name, room) = (r.i32()?, r.i32()?, r.i32()?);
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
        let Some(socket) = self.table.get(slot) else { return Err(Errno::EBADF) };
        let mut value = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                let error = self.take_error(slot).map_or(0, |e| e.0);
                error.to_ne_bytes().to_vec()
            }
            (libc::SOL_SOCKET, libc::SO_TYPE) => i32::from(socket.kind).to_ne_bytes().to_vec(),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => i32::from(socket.protocol).to_ne_bytes().to_vec(),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => i32::from(socket.info().domain).to_ne_bytes().to_vec(),
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => {
                i32::from(socket.phase() == Some(Phase::Listening)).to_ne_bytes().to_vec()
            }
            (libc::SOL_SOCKET, libc::SO_COOKIE) => socket.cookie.to_ne_bytes().to_vec(),
            (libc::IPPROTO_TCP, libc::TCP_INFO) if socket.id.kind == SocketKind::Tcp => {
                super::tcp_info::of(&self.stack, call.now, socket.id)
            }
            _ if socket.closed.is_some() => {
                options::parse(&self.stack, socket.domain, socket.id.kind, level, name, &[0; 128])?;
                0i32.to_ne_bytes().to_vec()
            }
            _ => options::value(&self.stack, socket.domain, socket.id, level, name, room)?,
        };
        value.truncate(room);
        Ok(Answer::of(value))
    }
}

/// As getsockname(2) of this family shows an address.
fn shown(addr: core::net::SocketAddr, domain: Domain) -> WireAddr {
    let addr = WireAddr::from(addr);
    if domain == Domain::V6 { addr.mapped() } else { addr }
}

/// Beyond any protocol and any type that Linux has a name for.
const IPPROTO_MAX: i32 = 263;
const SOCK_MAX: i32 = 11;

/// The engine's kind and the IP protocol that socket(2)'s type and protocol mean.
///
/// Errors as Linux gives them: ESOCKTNOSUPPORT for a type that the family does not have,
/// EPROTONOSUPPORT for a protocol that the type does not have.
fn transport(domain: Domain, kind: i32, protocol: i32) -> Result<(SocketKind, u8), Errno> {
    let icmp = if domain == Domain::V4 { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 };
    if !(0..IPPROTO_MAX).contains(&protocol) || !(0..SOCK_MAX).contains(&kind) {
        return Err(Errno::EINVAL);
    }
    match (kind, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Ok((SocketKind::Tcp, libc::IPPROTO_TCP as u8)),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Ok((SocketKind::Udp, libc::IPPROTO_UDP as u8)),
        (libc::SOCK_DGRAM, p) if p == icmp => Ok((SocketKind::Ping, icmp as u8)),
        (libc::SOCK_RAW, 1..=255) => Ok((SocketKind::Raw, protocol as u8)),
        (libc::SOCK_STREAM | libc::SOCK_DGRAM | libc::SOCK_RAW, _) => Err(Errno::EPROTONOSUPPORT),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_protocol_must_fit_each_other() {
        assert_eq!(transport(Domain::V4, libc::SOCK_STREAM, 0), Ok((SocketKind::Tcp, 6)));
        assert_eq!(transport(Domain::V4, libc::SOCK_DGRAM, libc::IPPROTO_ICMP), Ok((SocketKind::Ping, 1)));
        assert_eq!(transport(Domain::V6, libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6), Ok((SocketKind::Ping, 58)));
        assert_eq!(transport(Domain::V6, libc::SOCK_DGRAM, libc::IPPROTO_ICMP), Err(Errno::EPROTONOSUPPORT));
        assert_eq!(transport(Domain::V4, libc::SOCK_STREAM, libc::IPPROTO_UDP), Err(Errno::EPROTONOSUPPORT));
        assert_eq!(transport(Domain::V4, libc::SOCK_SEQPACKET, 0), Err(Errno::ESOCKTNOSUPPORT));
        assert_eq!(transport(Domain::V4, 0, 0), Err(Errno::ESOCKTNOSUPPORT));
        assert_eq!(transport(Domain::V4, libc::SOCK_STREAM, 256), Err(Errno::EPROTONOSUPPORT));
        assert_eq!(transport(Domain::V4, 99, 0), Err(Errno::EINVAL));
        assert_eq!(transport(Domain::V4, libc::SOCK_STREAM, 1234), Err(Errno::EINVAL));
    }
}
