//! The options of datagram sockets (socket(7), ip(7), ipv6(7), udp(7)). Those that only say what a
//! program wants to see beside a datagram are kept for the daemon to ask about.

use core::net::{IpAddr, Ipv4Addr};

use errno::Errno;

use crate::frame::LinkId;
use crate::net::{IpFields, Path};
use crate::options::{Domain, SendMeta, SockOpt};

/// Sizes of buffers as getsockopt(2) shows them: Linux's defaults and bounds.
const BUFFER_DEFAULT: u32 = 212_992;
const RCVBUF_MIN: u32 = 2304;
const SNDBUF_MIN: u32 = 4608;
const BUFFER_MAX: u32 = 8 << 20;
/// Values of IP_MTU_DISCOVER: 0 is "don't", 5 as 4, but cut where it must be.
const PMTUDISC_WANT: u8 = 1;
const PMTUDISC_DO: u8 = 2;
const PMTUDISC_PROBE: u8 = 3;
const PMTUDISC_INTERFACE: u8 = 4;
const PMTUDISC_MAX: u8 = 5;
/// RFC 8200 §5.
const IPV6_MTU_MIN: u32 = 1280;

#[derive(Clone, Debug)]
pub struct Options {
    pub reuse_addr: bool,
    pub reuse_port: bool,
    pub broadcast: bool,
    pub dont_route: bool,
    pub bound: Option<LinkId>,
    pub free_bind: bool,
    pub v6only: bool,
    pub recv_err: bool,
    pub recv_err6: bool,
    pub header_included: bool,
    pub checksum6: Option<u16>,
    pub icmp_filter: u32,
    pub icmp6_filter: [u32; 8],
    pub multicast_loop: bool,
    pub multicast_loop6: bool,
    /// Kept only, as on Linux: datagram sockets have nothing to keep alive or to linger for.
    keepalive: bool,
    linger: Option<u32>,
    rcvbuf: u32,
    sndbuf: u32,
    oob_inline: bool,
    /// Kept only: there are no queueing disciplines.
    priority: u32,
    timestamp: bool,
    ttl: Option<u8>,
    tos: u8,
    mtu_discover: u8,
    pub bind_no_port: bool,
    recv_pktinfo: bool,
    recv_ttl: bool,
    recv_tos: bool,
    multicast_ttl: u8,
    multicast_if: (Option<Ipv4Addr>, Option<LinkId>),
    hops: Option<u8>,
    tclass: u8,
    recv_pktinfo6: bool,
    recv_hops: bool,
    recv_tclass: bool,
    multicast_hops: u8,
    multicast_if6: Option<LinkId>,
    mtu_discover6: u8,
    /// Largest packet before it is fragmented, when less than the path's MTU (IPV6_MTU).
    fragment_at6: Option<u32>,
    dont_fragment6: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            dont_route: false,
            bound: None,
            free_bind: false,
            v6only: false,
            recv_err: false,
            recv_err6: false,
            header_included: false,
            checksum6: None,
            icmp_filter: 0,
            icmp6_filter: [0; 8],
            multicast_loop: true,
            multicast_loop6: true,
            keepalive: false,
            linger: None,
            rcvbuf: BUFFER_DEFAULT,
            sndbuf: BUFFER_DEFAULT,
            oob_inline: false,
            priority: 0,
            timestamp: false,
            ttl: None,
            tos: 0,
            mtu_discover: PMTUDISC_WANT,
            bind_no_port: false,
            recv_pktinfo: false,
            recv_ttl: false,
            recv_tos: false,
            multicast_ttl: 1,
            multicast_if: (None, None),
            hops: None,
            tclass: 0,
            recv_pktinfo6: false,
            recv_hops: false,
            recv_tclass: false,
            multicast_hops: 1,
            multicast_if6: None,
            mtu_discover6: PMTUDISC_WANT,
            fragment_at6: None,
            dont_fragment6: false,
        }
    }
}

impl Options {
    /// Sets what UDP and raw sockets have in common. ENOPROTOOPT for everything else.
    pub fn set(&mut self, domain: Domain, option: SockOpt) -> Result<(), Errno> {
        if domain == Domain::V4 && option.is_v6() {
            return Err(Errno::ENOPROTOOPT);
        }
        match option {
            SockOpt::ReuseAddr(v) => self.reuse_addr = v,
            SockOpt::ReusePort(v) => self.reuse_port = v,
            SockOpt::KeepAlive(v) => self.keepalive = v,
            SockOpt::Linger(v) => self.linger = v,
            SockOpt::RcvBuf(v) => self.rcvbuf = v.saturating_mul(2).clamp(RCVBUF_MIN, BUFFER_MAX),
            SockOpt::SndBuf(v) => self.sndbuf = v.saturating_mul(2).clamp(SNDBUF_MIN, BUFFER_MAX),
            SockOpt::OobInline(v) => self.oob_inline = v,
            SockOpt::Broadcast(v) => self.broadcast = v,
            SockOpt::DontRoute(v) => self.dont_route = v,
            SockOpt::BindToDevice(v) => self.bound = v,
            SockOpt::Priority(v) => self.priority = v,
            SockOpt::Timestamp(v) => self.timestamp = v,
            SockOpt::Ttl(Some(0)) => return Err(Errno::EINVAL),
            SockOpt::Ttl(v) => self.ttl = v,
            SockOpt::Tos(v) => self.tos = v,
            SockOpt::MtuDiscover(v) if v > PMTUDISC_MAX => return Err(Errno::EINVAL),
            SockOpt::MtuDiscover(v) => self.mtu_discover = v,
            SockOpt::RecvErr(v) => self.recv_err = v,
            SockOpt::FreeBind(v) => self.free_bind = v,
            SockOpt::BindAddressNoPort(v) => self.bind_no_port = v,
            SockOpt::RecvPktInfo(v) => self.recv_pktinfo = v,
            SockOpt::RecvTtl(v) => self.recv_ttl = v,
            SockOpt::RecvTos(v) => self.recv_tos = v,
            SockOpt::MulticastTtl(v) => self.multicast_ttl = v,
            SockOpt::MulticastLoop(v) => self.multicast_loop = v,
            SockOpt::MulticastIf { addr, link } => self.multicast_if = (addr.filter(|a| !a.is_unspecified()), link),
            SockOpt::V6Only(v) => self.v6only = v,
            SockOpt::UnicastHops(v) => self.hops = v,
            SockOpt::TrafficClass(v) => self.tclass = v,
            SockOpt::RecvPktInfo6(v) => self.recv_pktinfo6 = v,
            SockOpt::RecvHopLimit(v) => self.recv_hops = v,
            SockOpt::RecvTClass(v) => self.recv_tclass = v,
            SockOpt::MulticastHops(v) => self.multicast_hops = v,
            SockOpt::MulticastLoop6(v) => self.multicast_loop6 = v,
            SockOpt::MulticastIf6(v) => self.multicast_if6 = v,
            SockOpt::MtuDiscover6(v) if v > PMTUDISC_MAX => return Err(Errno::EINVAL),
            SockOpt::MtuDiscover6(v) => self.mtu_discover6 = v,
            SockOpt::Mtu6(1..IPV6_MTU_MIN) => return Err(Errno::EINVAL),
            SockOpt::Mtu6(v) => self.fragment_at6 = (v != 0).then_some(v),
            SockOpt::DontFragment6(v) => self.dont_fragment6 = v,
            SockOpt::RecvErr6(v) => self.recv_err6 = v,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// The value of the option that `which` is one of; `mtu` is that of a connected socket's path.
    pub fn get(&self, domain: Domain, which: &SockOpt, mtu: Option<u32>) -> Result<SockOpt, Errno> {
        if domain == Domain::V4 && which.is_v6() {
            return Err(Errno::ENOPROTOOPT);
        }
        Ok(match which {
            SockOpt::ReuseAddr(_) => SockOpt::ReuseAddr(self.reuse_addr),
            SockOpt::ReusePort(_) => SockOpt::ReusePort(self.reuse_port),
            SockOpt::KeepAlive(_) => SockOpt::KeepAlive(self.keepalive),
            SockOpt::Linger(_) => SockOpt::Linger(self.linger),
            SockOpt::RcvBuf(_) => SockOpt::RcvBuf(self.rcvbuf),
            SockOpt::SndBuf(_) => SockOpt::SndBuf(self.sndbuf),
            SockOpt::OobInline(_) => SockOpt::OobInline(self.oob_inline),
            SockOpt::Broadcast(_) => SockOpt::Broadcast(self.broadcast),
            SockOpt::DontRoute(_) => SockOpt::DontRoute(self.dont_route),
            SockOpt::BindToDevice(_) => SockOpt::BindToDevice(self.bound),
            SockOpt::Priority(_) => SockOpt::Priority(self.priority),
            SockOpt::Timestamp(_) => SockOpt::Timestamp(self.timestamp),
            SockOpt::Ttl(_) => SockOpt::Ttl(self.ttl),
            SockOpt::Tos(_) => SockOpt::Tos(self.tos),
            SockOpt::MtuDiscover(_) => SockOpt::MtuDiscover(self.mtu_discover),
            SockOpt::Mtu(_) => SockOpt::Mtu(mtu.ok_or(Errno::ENOTCONN)?),
            SockOpt::RecvErr(_) => SockOpt::RecvErr(self.recv_err),
            SockOpt::FreeBind(_) => SockOpt::FreeBind(self.free_bind),
            SockOpt::BindAddressNoPort(_) => SockOpt::BindAddressNoPort(self.bind_no_port),
            SockOpt::RecvPktInfo(_) => SockOpt::RecvPktInfo(self.recv_pktinfo),
            SockOpt::RecvTtl(_) => SockOpt::RecvTtl(self.recv_ttl),
            SockOpt::RecvTos(_) => SockOpt::RecvTos(self.recv_tos),
            SockOpt::MulticastTtl(_) => SockOpt::MulticastTtl(self.multicast_ttl),
            SockOpt::MulticastLoop(_) => SockOpt::MulticastLoop(self.multicast_loop),
            SockOpt::MulticastIf { .. } => {
                SockOpt::MulticastIf { addr: self.multicast_if.0, link: self.multicast_if.1 }
            }
            SockOpt::V6Only(_) => SockOpt::V6Only(self.v6only),
            SockOpt::UnicastHops(_) => SockOpt::UnicastHops(self.hops),
            SockOpt::TrafficClass(_) => SockOpt::TrafficClass(self.tclass),
            SockOpt::RecvPktInfo6(_) => SockOpt::RecvPktInfo6(self.recv_pktinfo6),
            SockOpt::RecvHopLimit(_) => SockOpt::RecvHopLimit(self.recv_hops),
            SockOpt::RecvTClass(_) => SockOpt::RecvTClass(self.recv_tclass),
            SockOpt::MulticastHops(_) => SockOpt::MulticastHops(self.multicast_hops),
            SockOpt::MulticastLoop6(_) => SockOpt::MulticastLoop6(self.multicast_loop6),
            SockOpt::MulticastIf6(_) => SockOpt::MulticastIf6(self.multicast_if6),
            SockOpt::MtuDiscover6(_) => SockOpt::MtuDiscover6(self.mtu_discover6),
            SockOpt::Mtu6(_) => SockOpt::Mtu6(mtu.ok_or(Errno::ENOTCONN)?),
            SockOpt::DontFragment6(_) => SockOpt::DontFragment6(self.dont_fragment6),
            SockOpt::RecvErr6(_) => SockOpt::RecvErr6(self.recv_err6),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }

    /// Link and source that were set for groups.
    pub fn multicast_way(&self, dst: IpAddr) -> (Option<LinkId>, Option<IpAddr>) {
        match dst {
            IpAddr::V4(_) => (self.multicast_if.1, self.multicast_if.0.map(IpAddr::V4)),
            IpAddr::V6(_) => (self.multicast_if6, None),
        }
    }

    /// A copy of what is sent to a group goes to our own members too.
    pub fn loops(&self, dst: IpAddr) -> bool {
        // Broadcasts always come back.
        !dst.is_multicast() || if dst.is_ipv4() { self.multicast_loop } else { self.multicast_loop6 }
    }

    /// Errors without a connection, or soft ones, are for the program that asked for them.
    pub fn wants_errors(&self, dst: IpAddr) -> bool {
        if dst.is_ipv4() { self.recv_err } else { self.recv_err6 }
    }

    /// "Too big" from the path is believed, and an error for the program (ip(7), IP_MTU_DISCOVER).
    pub fn minds_mtu(&self, dst: IpAddr) -> bool {
        (PMTUDISC_WANT..PMTUDISC_INTERFACE).contains(&self.discover(dst))
    }

    fn discover(&self, dst: IpAddr) -> u8 {
        if dst.is_ipv4() { self.mtu_discover } else { self.mtu_discover6 }
    }

    /// The size from which on packets to `dst` are cut.
    pub fn fragment_at(&self, dst: IpAddr, mtu: u32) -> u32 {
        if dst.is_ipv4() { mtu } else { mtu.min(self.fragment_at6.unwrap_or(mtu)) }
    }

    /// The IP header of a datagram of `len` bytes after it.
    pub fn ip_fields(&self, proto: u8, path: &Path, len: usize, meta: &SendMeta) -> IpFields {
        let v4 = path.dst.is_ipv4();
        let (unicast, group) = if v4 { (self.ttl, self.multicast_ttl) } else { (self.hops, self.multicast_hops) };
        let own_ttl = if path.dst.is_multicast() { Some(group) } else { unicast };
        let header = if v4 { 20 } else { 40 };
        let dont_fragment = match self.discover(path.dst) {
            _ if !v4 && self.dont_fragment6 => true,
            PMTUDISC_DO | PMTUDISC_PROBE => true,
            // No mark on the packet, and yet no fragments.
            PMTUDISC_INTERFACE => header + len > path.mtu as usize,
            // ip(7): "don't fragment" goes on what fits; what does not is cut here.
            PMTUDISC_WANT => v4 && header + len <= path.mtu as usize,
            _ => false,
        };
        IpFields {
            proto,
            ttl: meta.ttl.or(own_ttl),
            tos: meta.tos.unwrap_or(if v4 { self.tos } else { self.tclass }),
            dont_fragment,
            checksum: None,
            zero_is_none: false,
            gso_size: None,
        }
    }
}
