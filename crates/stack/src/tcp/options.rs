//! The options of a TCP socket, and how they are set and read.

use core::net::IpAddr;

use errno::Errno;
use shm::Pool;

use super::endpoint::State;
use super::settings::Settings;
use super::{Tcp, congestion};
use crate::frame::LinkId;
use crate::net::Net;
use crate::options::{Domain, SockOpt};
use crate::socket::SocketId;
use crate::time::{Duration, Instant};

/// Smallest and largest MSS that TCP_MAXSEG takes (tcp(7): Linux has 88 and 32,767).
const MAXSEG: core::ops::RangeInclusive<u16> = 88..=32_767;
/// Smallest socket buffer in bytes.
const BUFFER_MIN: u32 = 2048;
/// Smallest TCP_WINDOW_CLAMP (Linux: half the smallest receive buffer).
const CLAMP_MIN: u32 = 1152;
/// Values of IP_MTU_DISCOVER (ip(7)): not at all, for what the kernel likes, always, …
const PMTUDISC_DONT: u8 = 0;
const PMTUDISC_WANT: u8 = 1;
/// … the interface's MTU and no other, the same without "don't fragment".
const PMTUDISC_INTERFACE: u8 = 4;
const PMTUDISC_MAX: u8 = 5;

/// What a program wants to see beside what it receives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    pktinfo: bool,
    ttl: bool,
    tos: bool,
    pktinfo6: bool,
    hops: bool,
    tclass: bool,
}

/// What a socket's options say of the IP header of its segments.
#[derive(Clone, Copy, Debug)]
pub struct IpChoice {
    pub ttl: Option<u8>,
    pub tos: u8,
    pub dont_fragment: bool,
}

impl Default for IpChoice {
    fn default() -> IpChoice {
        IpChoice { ttl: None, tos: 0, dont_fragment: true }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub reuse_addr: bool,
    pub reuse_port: bool,
    pub keepalive: bool,
    pub linger: Option<u32>,
    pub rcvbuf: usize,
    pub rcvbuf_fixed: bool,
    pub sndbuf: usize,
    pub sndbuf_fixed: bool,
    /// Kept only: urgent data is in line always.
    pub oob_inline: bool,
    pub bound: Option<LinkId>,
    /// Kept only: there are no queueing disciplines.
    pub priority: u32,
    /// Kept only, as socket(7) has it for streams.
    pub broadcast: bool,
    pub dont_route: bool,
    pub ttl: Option<u8>,
    pub hops6: Option<u8>,
    pub tos: u8,
    pub tclass: u8,
    pub v6only: bool,
    pub free_bind: bool,
    pub bind_no_port: bool,
    pub mtu_discover: u8,
    pub mtu_discover6: u8,
    /// Kept only, as on Linux: a stream's recvmsg(2) has none of these beside its bytes.
    pub beside: Beside,
    pub no_delay: bool,
    pub cork: bool,
    pub max_seg: Option<u16>,
    pub keep_idle: u32,
    pub keep_interval: u32,
    pub keep_count: u32,
    pub syn_count: u32,
    pub linger2: i32,
    /// Seconds.
    pub defer_accept: u32,
    /// Bytes; 0 is none.
    pub window_clamp: u32,
    pub quick_ack: bool,
    /// Milliseconds; 0 is the default.
    pub user_timeout: u32,
    pub congestion: &'static str,
}

impl Options {
    pub fn new(settings: &Settings) -> Options {
        Options {
            reuse_addr: false,
            reuse_port: false,
            keepalive: false,
            linger: None,
            rcvbuf: settings.rcvbuf,
            rcvbuf_fixed: false,
            sndbuf: settings.sndbuf,
            sndbuf_fixed: false,
            oob_inline: false,
            bound: None,
            priority: 0,
            broadcast: false,
            dont_route: false,
            ttl: None,
            hops6: None,
            tos: 0,
            tclass: 0,
            v6only: false,
            free_bind: false,
            bind_no_port: false,
            mtu_discover: PMTUDISC_WANT,
            mtu_discover6: PMTUDISC_WANT,
            beside: Beside::default(),
            no_delay: false,
            cork: false,
            max_seg: None,
            keep_idle: settings.keep_idle,
            keep_interval: settings.keep_interval,
            keep_count: settings.keep_count,
            syn_count: settings.syn_retries,
            linger2: 0,
            defer_accept: 0,
            window_clamp: 0,
            quick_ack: false,
            user_timeout: 0,
            congestion: settings.congestion,
        }
    }

    /// The IP header of segments to `dst`.
    pub fn ip(&self, dst: IpAddr) -> IpChoice {
        match dst {
            IpAddr::V4(_) => IpChoice {
                ttl: self.ttl,
                tos: self.tos,
                dont_fragment: (PMTUDISC_DONT + 1..PMTUDISC_INTERFACE).contains(&self.mtu_discover),
            },
            IpAddr::V6(_) => IpChoice { ttl: self.hops6, tos: self.tclass, dont_fragment: true },
        }
    }

    /// Whether "too big" from the path to `dst` is believed.
    pub fn accepts_mtu(&self, dst: IpAddr) -> bool {
        match dst {
            IpAddr::V4(_) => self.mtu_discover != PMTUDISC_DONT && self.mtu_discover < PMTUDISC_INTERFACE,
            IpAddr::V6(_) => self.mtu_discover6 < PMTUDISC_INTERFACE,
        }
    }

    /// `bytes` of receive buffer, or as many as TCP_WINDOW_CLAMP leaves of them.
    pub fn clamped(&self, bytes: usize) -> usize {
        match self.window_clamp {
            0 => bytes,
            clamp => bytes.min(clamp as usize),
        }
    }

    /// Size of a connection's receive ring to begin with.
    pub fn receive_buffer(&self) -> usize {
        self.clamped(self.rcvbuf)
    }

    /// How long an orphan stays in FIN_WAIT_2 (TCP_LINGER2).
    pub fn fin_timeout(&self, settings: &Settings) -> Duration {
        match self.linger2 {
            0 => settings.fin_timeout,
            n if n < 0 => Duration::ZERO,
            n => Duration::from_secs(n.unsigned_abs().into()).min(settings.fin_timeout),
        }
    }

    /// Sets one option. What must act on a live connection is the caller's to do afterwards.
    pub fn set(&mut self, domain: Domain, settings: &Settings, option: SockOpt) -> Result<(), Errno> {
        let at_least = |v: u32, min: u32, max: u32| if (min..=max).contains(&v) { Ok(v) } else { Err(Errno::EINVAL) };
        match option {
            SockOpt::ReuseAddr(v) => self.reuse_addr = v,
            SockOpt::ReusePort(v) => self.reuse_port = v,
            SockOpt::KeepAlive(v) => self.keepalive = v,
            SockOpt::Linger(v) => self.linger = v,
            SockOpt::RcvBuf(v) => {
                // socket(7): the kernel doubles the value; twice is what is shown and used.
                self.rcvbuf = v.max(BUFFER_MIN).saturating_mul(2).min(settings.rcvbuf_max as u32) as usize;
                self.rcvbuf_fixed = true;
            }
            SockOpt::SndBuf(v) => {
                self.sndbuf = v.max(BUFFER_MIN).saturating_mul(2).min(settings.sndbuf_max as u32) as usize;
                self.sndbuf_fixed = true;
            }
            SockOpt::OobInline(v) => self.oob_inline = v,
            SockOpt::BindToDevice(v) => self.bound = v,
            SockOpt::Priority(v) => self.priority = v,
            SockOpt::Broadcast(v) => self.broadcast = v,
            SockOpt::DontRoute(v) => self.dont_route = v,
            SockOpt::Ttl(v) => {
                if v == Some(0) {
                    return Err(Errno::EINVAL);
                }
                self.ttl = v;
            }
            SockOpt::Tos(v) => self.tos = v & !3, // ECN bits are TCP's own (ip(7))
            SockOpt::MtuDiscover(v) => self.mtu_discover = at_least(v.into(), 0, PMTUDISC_MAX.into())? as u8,
            SockOpt::FreeBind(v) => self.free_bind = v,
            SockOpt::BindAddressNoPort(v) => self.bind_no_port = v,
            SockOpt::RecvPktInfo(v) => self.beside.pktinfo = v,
            SockOpt::RecvTtl(v) => self.beside.ttl = v,
            SockOpt::RecvTos(v) => self.beside.tos = v,
            ref v6 if domain == Domain::V4 && v6.is_v6() => return Err(Errno::ENOPROTOOPT),
            SockOpt::MtuDiscover6(v) => self.mtu_discover6 = at_least(v.into(), 0, PMTUDISC_MAX.into())? as u8,
            SockOpt::RecvPktInfo6(v) => self.beside.pktinfo6 = v,
            SockOpt::RecvHopLimit(v) => self.beside.hops = v,
            SockOpt::RecvTClass(v) => self.beside.tclass = v,
            SockOpt::V6Only(v) => self.v6only = v,
            SockOpt::UnicastHops(v) => self.hops6 = v,
            SockOpt::TrafficClass(v) => self.tclass = v & !3,
            SockOpt::NoDelay(v) => self.no_delay = v,
            SockOpt::Cork(v) => self.cork = v,
            SockOpt::MaxSeg(0) => self.max_seg = None, // tcp(7): as if it had not been set
            SockOpt::MaxSeg(v) => {
                if !MAXSEG.contains(&v) {
                    return Err(Errno::EINVAL);
                }
                self.max_seg = Some(v);
            }
            // Ranges of tcp(7).
            SockOpt::KeepIdle(v) => self.keep_idle = at_least(v, 1, 32_767)?,
            SockOpt::KeepInterval(v) => self.keep_interval = at_least(v, 1, 32_767)?,
            SockOpt::KeepCount(v) => self.keep_count = at_least(v, 1, 127)?,
            SockOpt::SynCount(v) => self.syn_count = at_least(v, 1, 127)?,
            SockOpt::Linger2(v) => self.linger2 = v,
            SockOpt::DeferAccept(v) => self.defer_accept = v,
            SockOpt::WindowClamp(0) => self.window_clamp = 0,
            SockOpt::WindowClamp(v) => self.window_clamp = v.max(CLAMP_MIN),
            SockOpt::QuickAck(v) => self.quick_ack = v,
            SockOpt::UserTimeout(v) => self.user_timeout = v,
            SockOpt::Congestion(name) => {
                self.congestion = congestion::NAMES.iter().find(|n| **n == name).ok_or(Errno::ENOENT)?;
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// The value of the option that `which` is one of. `mss` and `mtu` are the connection's.
    pub fn get(
        &self,
        domain: Domain,
        settings: &Settings,
        which: &SockOpt,
        mss: u16,
        mtu: Option<u32>,
    ) -> Result<SockOpt, Errno> {
        Ok(match which {
            SockOpt::ReuseAddr(_) => SockOpt::ReuseAddr(self.reuse_addr),
            SockOpt::ReusePort(_) => SockOpt::ReusePort(self.reuse_port),
            SockOpt::KeepAlive(_) => SockOpt::KeepAlive(self.keepalive),
            SockOpt::Linger(_) => SockOpt::Linger(self.linger),
            SockOpt::RcvBuf(_) => SockOpt::RcvBuf(self.rcvbuf as u32),
            SockOpt::SndBuf(_) => SockOpt::SndBuf(self.sndbuf as u32),
            SockOpt::OobInline(_) => SockOpt::OobInline(self.oob_inline),
            SockOpt::DontRoute(_) => SockOpt::DontRoute(self.dont_route),
            SockOpt::Broadcast(_) => SockOpt::Broadcast(self.broadcast),
            SockOpt::BindToDevice(_) => SockOpt::BindToDevice(self.bound),
            SockOpt::Priority(_) => SockOpt::Priority(self.priority),
            SockOpt::Ttl(_) => SockOpt::Ttl(self.ttl),
            SockOpt::Tos(_) => SockOpt::Tos(self.tos),
            SockOpt::MtuDiscover(_) => SockOpt::MtuDiscover(self.mtu_discover),
            SockOpt::Mtu(_) => SockOpt::Mtu(mtu.ok_or(Errno::ENOTCONN)?),
            SockOpt::FreeBind(_) => SockOpt::FreeBind(self.free_bind),
            SockOpt::BindAddressNoPort(_) => SockOpt::BindAddressNoPort(self.bind_no_port),
            SockOpt::RecvPktInfo(_) => SockOpt::RecvPktInfo(self.beside.pktinfo),
            SockOpt::RecvTtl(_) => SockOpt::RecvTtl(self.beside.ttl),
            SockOpt::RecvTos(_) => SockOpt::RecvTos(self.beside.tos),
            v6 if domain == Domain::V4 && v6.is_v6() => return Err(Errno::ENOPROTOOPT),
            SockOpt::Mtu6(_) => SockOpt::Mtu6(mtu.ok_or(Errno::ENOTCONN)?),
            SockOpt::MtuDiscover6(_) => SockOpt::MtuDiscover6(self.mtu_discover6),
            SockOpt::RecvPktInfo6(_) => SockOpt::RecvPktInfo6(self.beside.pktinfo6),
            SockOpt::RecvHopLimit(_) => SockOpt::RecvHopLimit(self.beside.hops),
            SockOpt::RecvTClass(_) => SockOpt::RecvTClass(self.beside.tclass),
            SockOpt::V6Only(_) => SockOpt::V6Only(self.v6only),
            SockOpt::UnicastHops(_) => SockOpt::UnicastHops(self.hops6),
            SockOpt::TrafficClass(_) => SockOpt::TrafficClass(self.tclass),
            SockOpt::NoDelay(_) => SockOpt::NoDelay(self.no_delay),
            SockOpt::Cork(_) => SockOpt::Cork(self.cork),
            SockOpt::MaxSeg(_) => SockOpt::MaxSeg(mss),
            SockOpt::KeepIdle(_) => SockOpt::KeepIdle(self.keep_idle),
            SockOpt::KeepInterval(_) => SockOpt::KeepInterval(self.keep_interval),
            SockOpt::KeepCount(_) => SockOpt::KeepCount(self.keep_count),
            SockOpt::SynCount(_) => SockOpt::SynCount(self.syn_count),
            SockOpt::Linger2(_) if self.linger2 == 0 => SockOpt::Linger2(settings.fin_timeout.as_secs() as i32),
            SockOpt::Linger2(_) => SockOpt::Linger2(self.linger2),
            SockOpt::DeferAccept(_) => SockOpt::DeferAccept(self.defer_accept),
            SockOpt::WindowClamp(_) => SockOpt::WindowClamp(self.window_clamp),
            SockOpt::QuickAck(_) => SockOpt::QuickAck(self.quick_ack),
            SockOpt::UserTimeout(_) => SockOpt::UserTimeout(self.user_timeout),
            SockOpt::Congestion(_) => SockOpt::Congestion(self.congestion.to_owned()),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

impl Tcp {
    pub fn set_option(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        id: SocketId,
        option: SockOpt,
    ) -> Result<(), Errno> {
        let index = self.index(id)?;
        let e = self.table.at_mut(index);
        if matches!(option, SockOpt::V6Only(_)) && e.local.port() != 0 {
            return Err(Errno::EINVAL);
        }
        if option == SockOpt::WindowClamp(0) && !matches!(e.state, State::Closed) {
            return Err(Errno::EINVAL); // as Linux: a clamp is taken away only before the connection
        }
        if let SockOpt::BindToDevice(Some(link)) = option {
            net.link_name(link).ok_or(Errno::ENODEV)?;
        }
        e.options.set(e.domain, &self.settings, option.clone())?;
        let live = self.with(net, pool, now, index, |env, e| {
            let State::Open(c) = &mut e.state else { return false };
            match option {
                SockOpt::RcvBuf(_) | SockOpt::WindowClamp(_) => c.rx.set_limit(e.options.receive_buffer()),
                SockOpt::SndBuf(_) => c.tx.set_limit(e.options.sndbuf),
                SockOpt::KeepAlive(_) | SockOpt::KeepIdle(_) | SockOpt::KeepInterval(_) => {
                    c.keepalive_from(env.now, &e.options);
                }
                SockOpt::MaxSeg(v) => c.mss = c.mss.min(v.into()),
                SockOpt::QuickAck(true) if c.unacked_in > 0 => c.ack_now = true,
                SockOpt::Congestion(name) => {
                    if let Some(control) = congestion::by_name(&name, c.mss) {
                        c.control = control;
                    }
                }
                SockOpt::NoDelay(_) | SockOpt::Cork(_) => {}
                _ => return false,
            }
            true
        });
        if live {
            self.mark_dirty(index);
            self.settle(index);
        }
        Ok(())
    }

    pub fn option(&self, _net: &Net, id: SocketId, which: &SockOpt) -> Result<SockOpt, Errno> {
        let e = self.table.at(self.index(id)?);
        let mss = match &e.state {
            State::Open(c) => c.mss.min(65_535) as u16,
            _ => e.options.max_seg.unwrap_or(536),
        };
        e.options.get(e.domain, &self.settings, which, mss, e.path.as_ref().map(|p| p.mtu))
    }
}
