//! The options of a TCP socket, and how they are set and read.

use errno::Errno;

use super::congestion;
use super::settings::Settings;
use crate::frame::LinkId;
use crate::options::{Domain, SockOpt};
use crate::time::Duration;

/// Smallest and largest MSS that TCP_MAXSEG takes (tcp(7): Linux has 88 and 32,767).
const MAXSEG: core::ops::RangeInclusive<u16> = 88..=32_767;
/// Smallest socket buffer in bytes.
const BUFFER_MIN: u32 = 2048;

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
    pub oob_inline: bool,
    pub bound: Option<LinkId>,
    pub priority: u32,
    pub mark: u32,
    pub ttl: Option<u8>,
    pub hops6: Option<u8>,
    pub tos: u8,
    pub tclass: u8,
    pub v6only: bool,
    pub free_bind: bool,
    pub bind_no_port: bool,
    pub mtu_discover: u8,
    pub no_delay: bool,
    pub cork: bool,
    pub max_seg: Option<u16>,
    pub keep_idle: u32,
    pub keep_interval: u32,
    pub keep_count: u32,
    pub syn_count: u32,
    pub linger2: i32,
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
            mark: 0,
            ttl: None,
            hops6: None,
            tos: 0,
            tclass: 0,
            v6only: false,
            free_bind: false,
            bind_no_port: false,
            mtu_discover: 1,
            no_delay: false,
            cork: false,
            max_seg: None,
            keep_idle: settings.keep_idle,
            keep_interval: settings.keep_interval,
            keep_count: settings.keep_count,
            syn_count: settings.syn_retries,
            linger2: 0,
            window_clamp: 0,
            quick_ack: false,
            user_timeout: 0,
            congestion: settings.congestion,
        }
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
            SockOpt::Mark(v) => self.mark = v,
            SockOpt::Ttl(v) => {
                if v == Some(0) {
                    return Err(Errno::EINVAL);
                }
                self.ttl = v;
            }
            SockOpt::Tos(v) => self.tos = v & !3, // ECN bits are TCP's own (ip(7))
            SockOpt::MtuDiscover(v) | SockOpt::MtuDiscover6(v) => self.mtu_discover = at_least(v.into(), 0, 5)? as u8,
            SockOpt::FreeBind(v) => self.free_bind = v,
            SockOpt::BindAddressNoPort(v) => self.bind_no_port = v,
            SockOpt::V6Only(_) | SockOpt::UnicastHops(_) | SockOpt::TrafficClass(_) if domain == Domain::V4 => {
                return Err(Errno::ENOPROTOOPT);
            }
            SockOpt::V6Only(v) => self.v6only = v,
            SockOpt::UnicastHops(v) => self.hops6 = v,
            SockOpt::TrafficClass(v) => self.tclass = v & !3,
            SockOpt::NoDelay(v) => self.no_delay = v,
            SockOpt::Cork(v) => self.cork = v,
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
            SockOpt::WindowClamp(v) => self.window_clamp = v,
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
    pub fn get(&self, domain: Domain, which: &SockOpt, mss: u16, mtu: Option<u32>) -> Result<SockOpt, Errno> {
        Ok(match which {
            SockOpt::ReuseAddr(_) => SockOpt::ReuseAddr(self.reuse_addr),
            SockOpt::ReusePort(_) => SockOpt::ReusePort(self.reuse_port),
            SockOpt::KeepAlive(_) => SockOpt::KeepAlive(self.keepalive),
            SockOpt::Linger(_) => SockOpt::Linger(self.linger),
            SockOpt::RcvBuf(_) => SockOpt::RcvBuf(self.rcvbuf as u32),
            SockOpt::SndBuf(_) => SockOpt::SndBuf(self.sndbuf as u32),
            SockOpt::OobInline(_) => SockOpt::OobInline(self.oob_inline),
            SockOpt::DontRoute(_) => SockOpt::DontRoute(false),
            SockOpt::Broadcast(_) => SockOpt::Broadcast(false),
            SockOpt::BindToDevice(_) => SockOpt::BindToDevice(self.bound),
            SockOpt::Priority(_) => SockOpt::Priority(self.priority),
            SockOpt::Mark(_) => SockOpt::Mark(self.mark),
            SockOpt::Ttl(_) => SockOpt::Ttl(self.ttl),
            SockOpt::Tos(_) => SockOpt::Tos(self.tos),
            SockOpt::MtuDiscover(_) => SockOpt::MtuDiscover(self.mtu_discover),
            SockOpt::MtuDiscover6(_) => SockOpt::MtuDiscover6(self.mtu_discover),
            SockOpt::Mtu(_) => SockOpt::Mtu(mtu.ok_or(Errno::ENOTCONN)?),
            SockOpt::RecvErr(_) => SockOpt::RecvErr(false),
            SockOpt::RecvErr6(_) => SockOpt::RecvErr6(false),
            SockOpt::FreeBind(_) => SockOpt::FreeBind(self.free_bind),
            SockOpt::BindAddressNoPort(_) => SockOpt::BindAddressNoPort(self.bind_no_port),
            SockOpt::V6Only(_) | SockOpt::UnicastHops(_) | SockOpt::TrafficClass(_) if domain == Domain::V4 => {
                return Err(Errno::ENOPROTOOPT);
            }
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
            SockOpt::Linger2(_) => SockOpt::Linger2(self.linger2),
            SockOpt::DeferAccept(_) => SockOpt::DeferAccept(0),
            SockOpt::WindowClamp(_) => SockOpt::WindowClamp(self.window_clamp),
            SockOpt::QuickAck(_) => SockOpt::QuickAck(self.quick_ack),
            SockOpt::UserTimeout(_) => SockOpt::UserTimeout(self.user_timeout),
            SockOpt::NotSentLowat(_) => SockOpt::NotSentLowat(u32::MAX),
            SockOpt::Congestion(_) => SockOpt::Congestion(self.congestion.to_owned()),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}
