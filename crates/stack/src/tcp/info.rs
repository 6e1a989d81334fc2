//! What TCP_INFO tells of a connection (tcp(7)), in units of its own; the daemon lays it out.

use core::net::SocketAddr;

use super::Tcp;
use super::connection::{Phase, Recovery};
use super::endpoint::{State, shown};
use crate::socket::SocketId;
use crate::time::{Duration, Instant};

/// A connection at one moment. Byte counts are bytes, windows too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    /// Linux's TCP_ESTABLISHED = 1, TCP_SYN_SENT = 2, … (`<netinet/tcp.h>`).
    pub state: u8,
    /// 0 open, 1 disorder, 3 recovery, 4 loss.
    pub ca_state: u8,
    pub retries: u8,
    pub probes: u8,
    pub backoff: u8,
    pub timestamps: bool,
    pub sack: bool,
    pub scaling: bool,
    pub snd_scale: u8,
    pub rcv_scale: u8,
    pub rto: Duration,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub last_data_sent: Duration,
    pub last_data_received: Duration,
    pub path_mtu: u32,
    pub srtt: Duration,
    pub rttvar: Duration,
    pub min_rtt: Duration,
    pub ssthresh: u32,
    pub cwnd: u32,
    pub retransmits: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub not_sent: u32,
}

impl Tcp {
    /// The peer of a connection that its owner has closed and that has not come to its end yet: all that a dead
    /// name still tells.
    pub fn departing_peer(&self, id: SocketId) -> Option<SocketAddr> {
        if !self.table.is(id.index, id.generation) {
            return None;
        }
        let e = self.table.at(id.index);
        let departing = !e.held && matches!(e.state, State::Open(_));
        e.peer.filter(|_| departing).map(|peer| shown(e.domain, peer))
    }

    /// `None` for a name that is dead.
    pub fn info(&self, now: Instant, id: SocketId) -> Option<Info> {
        let e = self.table.at(self.index(id).ok()?);
        let state = match &e.state {
            State::Open(c) => match c.phase {
                Phase::Established => 1,
                Phase::FinWait1 => 4,
                Phase::FinWait2 => 5,
                Phase::CloseWait => 8,
                Phase::LastAck => 9,
                Phase::Closing => 11,
            },
            State::SynSent(_) => 2,
            State::SynReceived(_) => 3,
            State::TimeWait(_) => 6,
            State::Closed => 7,
            State::Listen(_) => 10,
        };
        let State::Open(c) = &e.state else { return Some(Info { state, ..Info::default() }) };
        Some(Info {
            state,
            ca_state: match c.recovery {
                Recovery::None if c.duplicate_acks > 0 => 1,
                Recovery::None => 0,
                Recovery::Fast { .. } => 3,
                Recovery::Timeout { .. } => 4,
            },
            retries: c.retries.min(255) as u8,
            probes: c.keep_probes.min(255) as u8,
            backoff: c.retries.min(255) as u8,
            timestamps: c.timestamps.is_some(),
            sack: c.sack,
            scaling: c.rcv_scale > 0,
            snd_scale: c.snd_scale,
            rcv_scale: c.rcv_scale,
            rto: c.rtt.rto(),
            snd_mss: c.mss,
            rcv_mss: c.rcv_mss,
            unacked: c.snd_max.diff(c.snd_una).max(0) as u32,
            sacked: c.board.sacked_bytes(),
            last_data_sent: now.since(c.last_sent),
            last_data_received: now.since(c.last_received),
            path_mtu: e.path.as_ref().map_or(0, |p| p.mtu),
            srtt: c.rtt.srtt().unwrap_or_default(),
            rttvar: c.rtt.rttvar(),
            min_rtt: c.rtt.min_rtt().unwrap_or_default(),
            ssthresh: c.control.ssthresh(),
            cwnd: c.control.cwnd(),
            retransmits: c.retransmits,
            snd_wnd: c.snd_wnd,
            rcv_wnd: c.window_left(),
            not_sent: (c.tx.len() as u32).saturating_sub(c.in_flight()),
        })
    }
}
