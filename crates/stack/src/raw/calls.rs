//! The socket interface of raw and ping sockets.

use core::net::{IpAddr, SocketAddr};

use errno::Errno;
use wire::{icmpv4, icmpv6};

use super::{Raw, SEND_ONLY, Socket, portless};
use crate::datagram::{Base, Target};
use crate::net::sysctl::Sysctl;
use crate::net::{Body, IpFields, Net, Path};
use crate::options::{Domain, SendMeta, SockOpt};
use crate::socket::{Shutdown, SocketId, SocketKind};
use crate::time::Instant;

/// Largest packet with its header.
const PACKET_MAX: usize = 65_535;
/// Where ICMPv6 has its checksum.
const ICMP6_CHECKSUM: u16 = 2;

impl Raw {
    /// Errors: EPROTONOSUPPORT (a ping socket of another protocol than its family's; protocol 0).
    pub fn socket(&mut self, net: &Net, domain: Domain, kind: SocketKind, protocol: u8) -> Result<SocketId, Errno> {
        let icmp = if domain == Domain::V4 { wire::proto::ICMP } else { wire::proto::ICMPV6 };
        if protocol == 0 || (kind == SocketKind::Ping && protocol != icmp) {
            return Err(Errno::EPROTONOSUPPORT);
        }
        let mut base = Base::new(domain, net.sysctl(Sysctl::Ip6V6Only) != 0);
        base.options.header_included = kind == SocketKind::Raw && protocol == SEND_ONLY;
        if kind == SocketKind::Raw && domain == Domain::V6 && protocol == wire::proto::ICMPV6 {
            base.options.checksum6 = Some(ICMP6_CHECKSUM); // RFC 3542 §3.1
        }
        let id = self.sockets.insert(kind, Socket { base, kind, protocol, ident: 0 })?;
        if kind == SocketKind::Raw && protocol != SEND_ONLY {
            self.protocols.entry((domain, protocol)).or_default().push(id.index);
        }
        Ok(id)
    }

    /// For a ping socket the port is its identifier.
    pub fn bind(&mut self, net: &Net, id: SocketId, addr: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.named(id)?;
        let (ip, scope) = socket.base.check_bind(net, addr)?;
        if id.kind == SocketKind::Ping {
            if socket.ident != 0 {
                return Err(Errno::EINVAL);
            }
            self.take_ident(id, addr.port())?;
        }
        let socket = self.sockets.named_mut(id)?;
        socket.base.local = ip;
        socket.base.bound_addr = !ip.is_unspecified();
        socket.base.scope = scope;
        socket.base.forget_path();
        Ok(())
    }

    /// Gives a ping socket an identifier: the wanted one, or (0) one that is free.
    fn take_ident(&mut self, id: SocketId, wanted: u16) -> Result<(), Errno> {
        let domain = self.sockets.named(id)?.base.domain;
        let ident = if wanted != 0 {
            Some(wanted).filter(|i| !self.idents.contains_key(&(domain, *i)))
        } else {
            let start = self.random.next_u32() as u16;
            (0..=u16::MAX).map(|n| start.wrapping_add(n)).find(|&i| i != 0 && !self.idents.contains_key(&(domain, i)))
        };
        let ident = ident.ok_or(Errno::EADDRINUSE)?;
        self.idents.insert((domain, ident), id.index);
        self.sockets.named_mut(id)?.ident = ident;
        Ok(())
    }

    pub fn connect(&mut self, net: &mut Net, id: SocketId, addr: Option<SocketAddr>) -> Result<(), Errno> {
        let socket = self.sockets.named_mut(id)?;
        let base = &mut socket.base;
        if !base.bound_addr {
            base.local = base.domain.unspecified();
        }
        base.forget_path();
        let Some(addr) = addr else {
            base.peer = None;
            return Ok(());
        };
        let meta = SendMeta { dst: Some(addr), src: None, link: None, ttl: None, tos: None, dont_route: false };
        let target = base.target(net, &meta)?;
        let path = net.path(target.dst, target.src, target.bound)?;
        base.peer = Some(portless(path.dst));
        if !base.bound_addr {
            base.local = path.src;
        }
        if net.needs_scope(path.dst) {
            base.scope = target.bound;
        }
        if id.kind == SocketKind::Ping && socket.ident == 0 {
            self.take_ident(id, 0)?;
        }
        Ok(())
    }

    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let s = self.sockets.named(id)?;
        Ok(s.base.shown(s.base.local, s.local_port(), s.base.confined()))
    }

    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let s = self.sockets.named(id)?;
        let peer = s.base.peer.ok_or(Errno::ENOTCONN)?;
        Ok(s.base.shown(peer.ip(), 0, s.base.confined()))
    }

    pub fn set_option(&mut self, net: &mut Net, now: Instant, id: SocketId, option: SockOpt) -> Result<(), Errno> {
        let socket = self.sockets.named_mut(id)?;
        if let Some(result) = socket.base.membership(net, now, &option) {
            return result;
        }
        if let SockOpt::BindToDevice(Some(link)) = option {
            net.link_name(link).ok_or(Errno::ENODEV)?;
        }
        socket.base.forget_path();
        let (raw, domain, protocol) = (socket.kind == SocketKind::Raw, socket.base.domain, socket.protocol);
        let options = &mut socket.base.options;
        match option {
            SockOpt::HeaderIncluded(v) if raw && domain == Domain::V4 => options.header_included = v,
            SockOpt::IcmpFilter(v) if raw && domain == Domain::V4 => {
                if protocol != wire::proto::ICMP {
                    return Err(Errno::EOPNOTSUPP);
                }
                options.icmp_filter = v;
            }
            SockOpt::Icmp6Filter(v) if raw && domain == Domain::V6 && protocol == wire::proto::ICMPV6 => {
                options.icmp6_filter = v
            }
            SockOpt::Checksum6(v) if raw && domain == Domain::V6 => {
                // RFC 3542 §3.1: ICMPv6's is not to be changed; and it stands at an even place.
                if protocol == wire::proto::ICMPV6 || v.is_some_and(|o| o % 2 != 0) {
                    return Err(Errno::EINVAL);
                }
                options.checksum6 = v;
            }
            other => return options.set(domain, other),
        }
        Ok(())
    }

    pub fn option(&self, net: &Net, id: SocketId, which: &SockOpt) -> Result<SockOpt, Errno> {
        let s = self.sockets.named(id)?;
        let (raw, options) = (s.kind == SocketKind::Raw, &s.base.options);
        Ok(match which {
            SockOpt::HeaderIncluded(_) if raw && s.base.domain == Domain::V4 => {
                SockOpt::HeaderIncluded(options.header_included)
            }
            SockOpt::IcmpFilter(_) if raw && s.protocol == wire::proto::ICMP => {
                SockOpt::IcmpFilter(options.icmp_filter)
            }
            SockOpt::Icmp6Filter(_) if raw && s.protocol == wire::proto::ICMPV6 => {
                SockOpt::Icmp6Filter(options.icmp6_filter)
            }
            SockOpt::Checksum6(_) if raw && s.base.domain == Domain::V6 => SockOpt::Checksum6(options.checksum6),
            other => {
                let mtu = s.base.peer.and_then(|p| net.path(p.ip(), None, s.base.confined()).ok()).map(|p| p.mtu);
                return options.get(s.base.domain, other, mtu);
            }
        })
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
        let Some(mut socket) = self.sockets.remove(id) else { return };
        socket.base.leave_all(net, now);
        let key = (socket.base.domain, socket.protocol);
        if let Some(list) = self.protocols.get_mut(&key) {
            list.retain(|&i| i != id.index);
            if list.is_empty() {
                self.protocols.remove(&key);
            }
        }
        if socket.ident != 0 {
            self.idents.remove(&(socket.base.domain, socket.ident));
        }
    }

    pub fn reach(&mut self, net: &Net, id: SocketId, meta: &SendMeta) -> Result<(), Errno> {
        let base = &mut self.sockets.named_mut(id)?.base;
        let target = base.reach(net, meta)?;
        // Raw IPv6 does not speak IPv4.
        if target.dst.is_ipv4() == (base.domain == Domain::V4) { Ok(()) } else { Err(Errno::ENETUNREACH) }
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
        if payload.len() > PACKET_MAX {
            return Err(Errno::EMSGSIZE);
        }
        if id.kind == SocketKind::Ping {
            socket.check_echo(payload)?;
            if socket.ident == 0 {
                self.take_ident(id, 0)?;
            }
        }
        let socket = self.sockets.named_mut(id)?;
        let target = socket.base.target(net, meta)?;
        if target.dst.is_ipv4() != (socket.base.domain == Domain::V4) {
            return Err(Errno::ENETUNREACH); // raw IPv6 does not speak IPv4
        }
        let mut path = socket.base.way(net, &target)?;
        if (meta.dont_route || socket.base.options.dont_route) && path.next_hop != path.dst {
            return Err(Errno::ENETUNREACH);
        }
        let sent = socket.transmit(net, now, &mut path, meta, payload);
        socket.keep(&target, path);
        self.counters.sent += u64::from(sent.is_ok());
        sent.map(|()| payload.len())
    }
}

impl Socket {
    fn keep(&mut self, target: &Target, path: Path) {
        self.base.keep(target, path);
    }

    /// icmp(7): a ping socket sends echo requests and nothing else.
    fn check_echo(&self, payload: &[u8]) -> Result<(), Errno> {
        let request = if self.base.domain == Domain::V4 { icmpv4::ECHO_REQUEST } else { icmpv6::ECHO_REQUEST };
        match payload {
            [kind, 0, _, _, _, _, _, _, ..] if *kind == request => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn transmit(
        &mut self,
        net: &mut Net,
        now: Instant,
        path: &mut Path,
        meta: &SendMeta,
        payload: &[u8],
    ) -> Result<(), Errno> {
        if self.base.options.header_included {
            return net.send_header_included(now, path, payload);
        }
        let ip = self.base.options.ip_fields(self.protocol, path, payload.len(), meta);
        if self.kind == SocketKind::Ping {
            let mut header = [0; 8];
            header.copy_from_slice(&payload[..8]);
            header[2..4].fill(0);
            header[4..6].copy_from_slice(&self.ident.to_be_bytes());
            let pseudo = match path.dst {
                IpAddr::V4(_) => 0,
                IpAddr::V6(_) => wire::checksum::pseudo(path.src, path.dst, self.protocol, payload.len() as u32),
            };
            let sum = wire::checksum::combine(
                pseudo,
                wire::checksum::combine(wire::checksum::partial(&header), wire::checksum::partial(&payload[8..])),
            );
            header[2..4].copy_from_slice(&wire::checksum::finish(sum).to_be_bytes());
            return self.put(net, now, path, &ip, &mut header, &payload[8..]);
        }
        match self.base.options.checksum6.filter(|_| path.dst.is_ipv6()) {
            Some(offset) => {
                let end = usize::from(offset) + 2;
                let mut header = payload.get(..end).ok_or(Errno::EINVAL)?.to_vec();
                header[end - 2..].fill(0);
                let ip = IpFields { checksum: Some(offset), zero_is_none: self.protocol == wire::proto::UDP, ..ip };
                self.put(net, now, path, &ip, &mut header, &payload[end..])
            }
            None => self.put(net, now, path, &ip, &mut [], payload),
        }
    }

    fn put(
        &self,
        net: &mut Net,
        now: Instant,
        path: &mut Path,
        ip: &IpFields,
        header: &mut [u8],
        body: &[u8],
    ) -> Result<(), Errno> {
        if path.group && self.base.options.loops(path.dst) {
            net.loop_group(path, ip, header, &Body::Bytes(body));
        }
        net.send(now, path, ip, header, Body::Bytes(body))
    }
}
