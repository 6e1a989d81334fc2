//! The socket interface of UDP.

use core::net::SocketAddr;

use errno::Errno;
use wire::udp::UdpHeader;

use super::{Socket, Udp};
use crate::datagram::{Base, Target};
use crate::net::sysctl::Sysctl;
use crate::net::{Body, IpFields, Net};
use crate::options::{Domain, SendMeta, SockOpt};
use crate::socket::{Shutdown, SocketId, SocketKind};
use crate::time::Instant;

/// Largest payload: what the length field leaves.
const PAYLOAD_MAX: usize = 65_535 - UdpHeader::LEN;

impl Udp {
    pub fn socket(&mut self, net: &Net, domain: Domain) -> Result<SocketId, Errno> {
        let v6only = domain == Domain::V6 && net.sysctl(Sysctl::Ip6V6Only) != 0;
        self.sockets.insert(SocketKind::Udp, Socket { base: Base::new(domain, v6only), port: 0, bound_port: false })
    }

    /// Errors: EINVAL (bound already), EADDRINUSE, EADDRNOTAVAIL, EACCES (reserved port).
    pub fn bind(&mut self, net: &Net, id: SocketId, addr: SocketAddr, privileged: bool) -> Result<(), Errno> {
        let socket = self.sockets.named(id)?;
        if socket.port != 0 {
            return Err(Errno::EINVAL);
        }
        let (ip, scope) = socket.base.check_bind(net, addr)?;
        let reserved = net.sysctl(Sysctl::PortReserved);
        let port = match addr.port() {
            0 if socket.base.options.bind_no_port => {
                // The port is left to connect or send (ip(7), IP_BIND_ADDRESS_NO_PORT).
                let socket = self.sockets.named_mut(id)?;
                socket.base.local = ip;
                socket.base.bound_addr = !ip.is_unspecified();
                socket.base.scope = scope;
                return Ok(());
            }
            0 => self.ephemeral(net, id.index, ip)?,
            port if i64::from(port) <= reserved && !privileged => return Err(Errno::EACCES),
            port => port,
        };
        if self.conflicts(id.index, ip, port) {
            return Err(Errno::EADDRINUSE);
        }
        let socket = self.sockets.named_mut(id)?;
        socket.base.local = ip;
        socket.base.bound_addr = !ip.is_unspecified();
        socket.base.scope = scope;
        socket.port = port;
        socket.bound_port = addr.port() != 0;
        self.enter(id.index);
        Ok(())
    }

    pub fn connect(&mut self, net: &mut Net, id: SocketId, addr: Option<SocketAddr>) -> Result<(), Errno> {
        let socket = self.sockets.named_mut(id)?;
        let Some(addr) = addr else {
            self.disconnect(id);
            return Ok(());
        };
        let meta = SendMeta { dst: Some(addr), src: None, link: None, ttl: None, tos: None, dont_route: false };
        // A second connect chooses the source anew.
        let kept = socket.base.local;
        if !socket.base.bound_addr && socket.base.peer.is_some() {
            socket.base.local = socket.base.domain.unspecified();
        }
        let chosen = socket.base.target(net, &meta).and_then(|t| Ok((t, net.path(t.dst, t.src, t.bound)?)));
        socket.base.local = kept;
        let (target, path) = chosen?;
        let port = addr.port();
        self.ensure_port(net, id.index)?;
        self.take_out(id.index);
        let socket = self.sockets.named_mut(id)?;
        socket.base.peer = Some(SocketAddr::new(path.dst, port));
        if !socket.base.bound_addr {
            socket.base.local = path.src;
        }
        if net.needs_scope(path.dst) {
            socket.base.scope = target.bound;
        }
        socket.base.keep(&target, path);
        self.enter(id.index);
        Ok(())
    }

    /// connect(2) with AF_UNSPEC: what was not bound by name is free again.
    fn disconnect(&mut self, id: SocketId) {
        self.take_out(id.index);
        if let Ok(socket) = self.sockets.named_mut(id) {
            socket.base.peer = None;
            socket.base.forget_path();
            if !socket.base.bound_addr {
                socket.base.local = socket.base.domain.unspecified();
                socket.base.scope = None;
            }
            if !socket.bound_port {
                socket.port = 0;
            }
        }
        self.enter(id.index);
    }

    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let s = self.sockets.named(id)?;
        Ok(s.base.shown(s.base.local, s.port, s.base.confined()))
    }

    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let s = self.sockets.named(id)?;
        let peer = s.base.peer.ok_or(Errno::ENOTCONN)?;
        Ok(s.base.shown(peer.ip(), peer.port(), s.base.confined()))
    }

    pub fn set_option(&mut self, net: &mut Net, now: Instant, id: SocketId, option: SockOpt) -> Result<(), Errno> {
        let socket = self.sockets.named_mut(id)?;
        if let Some(result) = socket.base.membership(net, now, &option) {
            return result;
        }
        if matches!(option, SockOpt::V6Only(_)) && socket.port != 0 {
            return Err(Errno::EINVAL); // ipv6(7): only before bind
        }
        if let SockOpt::BindToDevice(Some(link)) = option {
            net.link_name(link).ok_or(Errno::ENODEV)?;
        }
        socket.base.forget_path();
        let domain = socket.base.domain;
        socket.base.options.set(domain, option)
    }

    pub fn option(&self, net: &Net, id: SocketId, which: &SockOpt) -> Result<SockOpt, Errno> {
        let s = self.sockets.named(id)?;
        let mtu = s.base.peer.and_then(|p| net.path(p.ip(), None, s.base.confined()).ok()).map(|p| p.mtu);
        s.base.options.get(s.base.domain, which, mtu)
    }

    pub fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let socket = self.sockets.named_mut(id)?;
        if socket.base.peer.is_none() {
            return Err(Errno::ENOTCONN);
        }
        socket.base.no_read |= how != Shutdown::Write;
        socket.base.no_write |= how != Shutdown::Read;
        Ok(())
    }

    pub fn close(&mut self, net: &mut Net, now: Instant, id: SocketId) {
        if self.sockets.named(id).is_err() {
            return;
        }
        self.take_out(id.index);
        if let Some(mut socket) = self.sockets.remove(id) {
            socket.base.leave_all(net, now);
        }
    }

    pub fn reach(&mut self, net: &Net, id: SocketId, meta: &SendMeta) -> Result<(), Errno> {
        let target = self.sockets.named_mut(id)?.base.reach(net, meta)?;
        if target.port == 0 { Err(Errno::EINVAL) } else { Ok(()) }
    }

    pub fn send(
        &mut self,
        net: &mut Net,
        now: Instant,
        id: SocketId,
        meta: &SendMeta,
        payload: &[u8],
    ) -> Result<usize, Errno> {
        let socket = self.sockets.named_mut(id)?;
        if socket.base.no_write {
            return Err(Errno::EPIPE);
        }
        if let Some(error) = socket.base.error.take() {
            return Err(error);
        }
        if payload.len() > PAYLOAD_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let target = socket.base.target(net, meta)?;
        if target.port == 0 {
            return Err(Errno::EINVAL);
        }
        self.ensure_port(net, id.index)?;
        let socket = self.sockets.named_mut(id)?;
        let sent = socket.send(net, now, meta, &target, payload);
        self.counters.sent += u64::from(sent.is_ok());
        sent
    }
}

impl Socket {
    fn send(
        &mut self,
        net: &mut Net,
        now: Instant,
        meta: &SendMeta,
        target: &Target,
        payload: &[u8],
    ) -> Result<usize, Errno> {
        let mut path = self.base.way(net, target)?;
        if (meta.dont_route || self.base.options.dont_route) && path.next_hop != path.dst {
            return Err(Errno::ENETUNREACH);
        }
        let len = UdpHeader::LEN + payload.len();
        let ip = IpFields {
            checksum: Some(6),
            zero_is_none: true,
            ..self.base.options.ip_fields(wire::proto::UDP, &path, len, meta)
        };
        let mut header = [0; UdpHeader::LEN];
        UdpHeader { src_port: self.port, dst_port: target.port, len: len as u16, checksum: 0 }.emit(&mut header);
        if path.group && self.base.options.loops(path.dst) {
            net.loop_group(&path, &ip, &header, &Body::Bytes(payload));
        }
        let sent = net.send(now, &mut path, &ip, &mut header, Body::Bytes(payload));
        self.base.keep(target, path);
        sent.map(|()| payload.len())
    }
}
