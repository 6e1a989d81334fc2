//! What sockets of datagrams have in common, UDP and raw alike: slots with generations, options,
//! memberships, and how the way of a datagram follows from them.

mod options;
mod slots;

pub use options::Options;
pub use slots::Slots;

use core::net::{IpAddr, SocketAddr, SocketAddrV6};

use errno::Errno;

use crate::frame::LinkId;
use crate::net::address::{map, unmap};
use crate::net::{Net, Path};
use crate::options::{Domain, SendMeta, SockOpt};
use crate::time::Instant;

/// Most groups that one socket may join (net.ipv4.igmp_max_memberships has 20 on Linux).
const MEMBERSHIPS_MAX: usize = 256;

/// What every datagram socket has.
#[derive(Debug)]
pub struct Base {
    pub domain: Domain,
    pub options: Options,
    /// In the form it has on the wire (IPv4 for a mapped address); port 0 when not bound.
    pub local: IpAddr,
    /// The program chose the address, the port.
    pub bound_addr: bool,
    /// Link of a scope id that was bound or connected to.
    pub scope: Option<LinkId>,
    pub peer: Option<SocketAddr>,
    pub error: Option<Errno>,
    pub no_read: bool,
    pub no_write: bool,
    memberships: Vec<(IpAddr, LinkId)>,
    /// The way to the peer, or to where the last datagram went.
    path: Option<CachedPath>,
}

#[derive(Debug)]
struct CachedPath {
    dst: IpAddr,
    src: Option<IpAddr>,
    bound: Option<LinkId>,
    path: Path,
}

/// Where a datagram is to go.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub dst: IpAddr,
    pub port: u16,
    pub src: Option<IpAddr>,
    pub bound: Option<LinkId>,
}

impl Base {
    pub fn new(domain: Domain, v6only: bool) -> Base {
        let mut options = Options::default();
        options.v6only = v6only;
        Base {
            domain,
            options,
            local: domain.unspecified(),
            bound_addr: false,
            scope: None,
            peer: None,
            error: None,
            no_read: false,
            no_write: false,
            memberships: Vec::new(),
            path: None,
        }
    }

    /// The link it is confined to, by option or by the scope of its address.
    pub fn confined(&self) -> Option<LinkId> {
        self.options.bound.or(self.scope)
    }

    /// A datagram that came in on `link` may be its.
    pub fn hears(&self, link: LinkId) -> bool {
        self.confined().is_none_or(|l| l == link)
    }

    /// Its local address is wide enough for a packet to `dst`.
    pub fn covers(&self, dst: IpAddr) -> bool {
        match (self.local, dst) {
            (IpAddr::V4(l), IpAddr::V4(d)) => l.is_unspecified() || l == d,
            (IpAddr::V6(l), IpAddr::V6(d)) => l.is_unspecified() || l == d,
            (IpAddr::V6(l), IpAddr::V4(_)) => l.is_unspecified() && !self.options.v6only,
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    /// An address that a program gave, as it is on the wire, with its scope.
    pub fn wire_addr(&self, addr: SocketAddr) -> Result<(SocketAddr, Option<LinkId>), Errno> {
        let scope = match addr {
            SocketAddr::V6(a) if a.scope_id() != 0 && crate::net::address::needs_scope(addr.ip()) => {
                Some(LinkId(a.scope_id()))
            }
            _ => None,
        };
        match (self.domain, addr.ip()) {
            (Domain::V4, IpAddr::V6(_)) => Err(Errno::EAFNOSUPPORT),
            (Domain::V6, ip) if unmap(ip).is_ipv4() && self.options.v6only => Err(Errno::ENETUNREACH),
            (_, ip) => Ok((SocketAddr::new(unmap(ip), addr.port()), scope)),
        }
    }

    /// bind(2) without what concerns ports: gives back the address on the wire.
    pub fn check_bind(&self, net: &Net, addr: SocketAddr) -> Result<(IpAddr, Option<LinkId>), Errno> {
        if addr.is_ipv4() != (self.domain == Domain::V4) {
            return Err(Errno::EAFNOSUPPORT);
        }
        let (addr, scope) = self.wire_addr(addr).map_err(|_| Errno::EINVAL)?;
        let ip = addr.ip();
        if net.needs_scope(ip) && scope.or(self.options.bound).is_none() {
            return Err(Errno::EINVAL); // ipv6(7): a link-local address needs its interface
        }
        if !net.may_bind(ip) && !self.options.free_bind {
            return Err(Errno::EADDRNOTAVAIL);
        }
        Ok((ip, scope))
    }

    /// As getsockname(2) and getpeername(2) show an address.
    pub fn shown(&self, ip: IpAddr, port: u16, link: Option<LinkId>) -> SocketAddr {
        match if self.domain == Domain::V6 { map(ip) } else { ip } {
            IpAddr::V6(a) if crate::net::address::needs_scope(IpAddr::V6(a)) => {
                SocketAddr::V6(SocketAddrV6::new(a, port, 0, link.map_or(0, |l| l.0)))
            }
            ip => SocketAddr::new(ip, port),
        }
    }

    /// Where a datagram goes, by what the call says, then by the connection and the options.
    ///
    /// Errors: EDESTADDRREQ, EAFNOSUPPORT, ENETUNREACH, EACCES (broadcast not allowed), EINVAL.
    pub fn target(&self, net: &Net, meta: &SendMeta) -> Result<Target, Errno> {
        let (to, scope) = match meta.dst {
            Some(dst) => self.wire_addr(dst)?,
            None => (self.peer.ok_or(Errno::EDESTADDRREQ)?, self.scope),
        };
        let dst = to.ip();
        if net.is_broadcast(dst) && !self.options.broadcast {
            return Err(Errno::EACCES);
        }
        let mut bound = meta.link.or(scope).or(self.confined());
        if let (Some(a), Some(b)) = (bound, self.options.bound)
            && a != b
        {
            return Err(Errno::EINVAL);
        }
        let own = Some(self.local).filter(|l| !l.is_unspecified() && !net.is_group(*l) && l.is_ipv4() == dst.is_ipv4());
        let mut src = meta.src.map(unmap).filter(|s| !s.is_unspecified()).or(own);
        if dst.is_multicast() {
            let (link, addr) = self.options.multicast_way(dst);
            bound = bound.or(link);
            src = src.or(addr);
        }
        Ok(Target { dst, port: to.port(), src, bound })
    }

    /// The way to a target: the one of last time, if it is the same and still good.
    pub fn way(&mut self, net: &Net, target: &Target) -> Result<Path, Errno> {
        if let Some(c) = self.path.take()
            && (c.dst, c.src, c.bound) == (target.dst, target.src, target.bound)
            && net.is_current(&c.path)
        {
            return Ok(c.path);
        }
        let mut path = net.path(target.dst, target.src, target.bound)?;
        path.mtu = self.options.fragment_at(path.dst, path.mtu);
        Ok(path)
    }

    /// The errors that sending to `meta`'s destination would give, without sending.
    pub fn reach(&mut self, net: &Net, meta: &SendMeta) -> Result<Target, Errno> {
        let target = self.target(net, meta)?;
        let path = self.way(net, &target)?;
        let astray = (meta.dont_route || self.options.dont_route) && path.next_hop != path.dst;
        self.keep(&target, path);
        if astray { Err(Errno::ENETUNREACH) } else { Ok(target) }
    }

    /// Keeps a way for the next datagram.
    pub fn keep(&mut self, target: &Target, path: Path) {
        self.path = Some(CachedPath { dst: target.dst, src: target.src, bound: target.bound, path });
    }

    pub fn forget_path(&mut self) {
        self.path = None;
    }

    /// Options that act on the network: memberships. `None`: not one of them.
    pub fn membership(&mut self, net: &mut Net, now: Instant, option: &SockOpt) -> Option<Result<(), Errno>> {
        Some(match option {
            SockOpt::JoinGroup { group, link, addr } => self.join(net, now, unmap(*group), *link, addr.map(IpAddr::V4)),
            SockOpt::LeaveGroup { group, link, addr } => {
                self.leave(net, now, unmap(*group), *link, addr.map(IpAddr::V4))
            }
            _ => return None,
        })
    }

    /// The link that a membership means: named, or that of an address, or the one that a packet to
    /// the group would take.
    fn membership_link(
        &self,
        net: &Net,
        group: IpAddr,
        link: Option<LinkId>,
        addr: Option<IpAddr>,
    ) -> Result<LinkId, Errno> {
        if let Some(link) = link {
            return net.link_name(link).map(|_| link).ok_or(Errno::ENODEV);
        }
        match addr.filter(|a| !a.is_unspecified()) {
            Some(addr) => {
                net.links().find(|l| l.addresses.iter().any(|a| a.addr == addr)).map(|l| l.id).ok_or(Errno::ENODEV)
            }
            None => net.group_link(group).ok_or(Errno::ENODEV),
        }
    }

    fn join(
        &mut self,
        net: &mut Net,
        now: Instant,
        group: IpAddr,
        link: Option<LinkId>,
        addr: Option<IpAddr>,
    ) -> Result<(), Errno> {
        if !group.is_multicast() || group.is_ipv4() && self.domain == Domain::V6 && self.options.v6only {
            return Err(Errno::EINVAL);
        }
        let link = self.membership_link(net, group, link, addr)?;
        if self.memberships.contains(&(group, link)) {
            return Err(Errno::EADDRINUSE);
        }
        if self.memberships.len() >= MEMBERSHIPS_MAX {
            return Err(Errno::ENOBUFS);
        }
        net.join_group(now, link, group)?;
        self.memberships.push((group, link));
        Ok(())
    }

    fn leave(
        &mut self,
        net: &mut Net,
        now: Instant,
        group: IpAddr,
        link: Option<LinkId>,
        addr: Option<IpAddr>,
    ) -> Result<(), Errno> {
        let named = link.is_some() || addr.is_some_and(|a| !a.is_unspecified());
        let place = if named {
            let link = self.membership_link(net, group, link, addr)?;
            self.memberships.iter().position(|m| *m == (group, link))
        } else {
            self.memberships.iter().position(|m| m.0 == group)
        };
        let (group, link) = self.memberships.swap_remove(place.ok_or(Errno::EADDRNOTAVAIL)?);
        let _ = net.leave_group(now, link, group);
        Ok(())
    }

    /// The socket is going away.
    pub fn leave_all(&mut self, net: &mut Net, now: Instant) {
        for (group, link) in self.memberships.drain(..) {
            let _ = net.leave_group(now, link, group);
        }
    }
}
