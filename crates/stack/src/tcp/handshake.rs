//! Opening a connection: our SYN, the answer to a SYN, and the way into a synchronised state
//! (RFC 9293 §3.5, §3.10.7.2–4).

use errno::Errno;
use wire::tcp::{SeqNr, TcpFlags, TcpOptions};

use super::assembler::Assembler;
use super::buffers::{ReceiveQueue, SendQueue};
use super::congestion;
use super::connection::{Clocks, Connection, Phase, Recovery, Timestamps};
use super::endpoint::{FlowKey, Handshake, SynReceived, SynSent, effective_mss, path_mss};
use super::options::Options;
use super::rtt::{RTO_INITIAL, RTO_MAX, RttEstimator};
use super::scoreboard::Scoreboard;
use super::segment::{Env, Outgoing, Segment};
use crate::net::Path;
use crate::time::Instant;

/// What a peer without the MSS option gets (RFC 9293 §3.7.1).
const MSS_DEFAULT_V4: u16 = 536;
const MSS_DEFAULT_V6: u16 = 1220;

/// What came of a segment in SYN_SENT.
#[must_use]
pub enum SynSentOutcome {
    Keep,
    /// The peer's SYN-ACK: the connection stands; acknowledge.
    Established(Box<Connection>),
    /// Both SYNs crossed: the state is SYN_RECEIVED now, the SYN-ACK is to be sent.
    Crossed(SynReceived),
    Refused,
    /// An acknowledgement of nothing that was sent: reset, and go on waiting.
    Reset,
}

/// What came of a segment in SYN_RECEIVED.
#[must_use]
pub enum SynReceivedOutcome {
    Keep,
    /// A duplicate SYN: the SYN-ACK is to be sent again.
    Repeat,
    /// Not of this connection's window, or a reset that somebody guessed: to be answered by an
    /// acknowledgement and nothing else.
    Acknowledge,
    Established(Box<Connection>),
    /// RST in the window: back to the listener, or refused after a simultaneous open.
    Gone,
    /// An unacceptable acknowledgement: reset.
    Reset,
}

impl Handshake {
    pub fn new(now: Instant, iss: SeqNr, ts_offset: u32, path: &Path, options: &Options) -> Handshake {
        let mut mss = path_mss(path).min(65_535) as u16;
        if let Some(max) = options.max_seg {
            mss = mss.min(max);
        }
        Handshake { iss, sent: 0, first_sent: now, retransmit: Instant::FAR, rto: RTO_INITIAL, ts_offset, mss }
    }

    /// Notes that the SYN or SYN-ACK goes out now, and arms its clock (RFC 6298 §5).
    fn sending(&mut self, now: Instant) {
        if self.sent > 0 {
            self.rto = (self.rto * 2).min(RTO_MAX);
        }
        self.sent += 1;
        self.retransmit = now + self.rto;
    }
}

/// First receive window: what fits the field unscaled (RFC 7323 §2.2: a SYN's window never is).
fn syn_window(options: &Options) -> u16 {
    options.receive_buffer().min(65_535) as u16
}

impl SynSent {
    pub fn send(&mut self, env: &mut Env<'_>, key: &FlowKey, path: &mut Path, options: &Options) -> Result<(), Errno> {
        self.handshake.sending(env.now);
        if self.handshake.sent > 1 {
            env.counters.syn_timeouts += 1;
        }
        let ts = Timestamps { offset: self.handshake.ts_offset, recent: 0, recent_at: env.now };
        let out = Outgoing {
            src_port: key.local.port(),
            dst_port: key.peer.port(),
            seq: self.handshake.iss,
            ack: None,
            flags: TcpFlags::SYN,
            window: syn_window(options),
            options: TcpOptions {
                mss: Some(self.handshake.mss),
                window_scale: Some(env.settings.window_scale()),
                sack_permitted: true,
                timestamps: Some((ts.value(env.now), 0)),
                ..TcpOptions::default()
            },
            data: None,
            gso_size: None,
            ip: options.ip(path.dst),
        };
        env.send(path, out)
    }

    /// RFC 9293 §3.10.7.3.
    pub fn on_segment(
        &mut self,
        env: &mut Env<'_>,
        key: &FlowKey,
        path: &Path,
        options: &Options,
        segment: &Segment<'_>,
    ) -> SynSentOutcome {
        let ack = segment.has(TcpFlags::ACK);
        // First: the only thing that can be acknowledged is our SYN.
        let acceptable = segment.header.ack == self.handshake.iss + 1;
        if ack && !acceptable {
            return if segment.has(TcpFlags::RST) { SynSentOutcome::Keep } else { SynSentOutcome::Reset };
        }
        // Second: a reset counts only with an acceptable acknowledgement.
        if segment.has(TcpFlags::RST) {
            return if ack { SynSentOutcome::Refused } else { SynSentOutcome::Keep };
        }
        if !segment.has(TcpFlags::SYN) {
            return SynSentOutcome::Keep;
        }
        let received = SynReceived::from_syn(env, self.handshake, key, options, segment, None, self.shutdown);
        if !ack {
            return SynSentOutcome::Crossed(received);
        }
        let mut connection = received.open(env, key, path, options, segment);
        connection.ack_now = true;
        connection.snd_wnd = u32::from(segment.header.window); // not scaled in a SYN
        connection.max_wnd = connection.snd_wnd;
        SynSentOutcome::Established(connection)
    }
}

impl SynReceived {
    /// What the peer's SYN says, for the state that follows it.
    pub fn from_syn(
        env: &Env<'_>,
        handshake: Handshake,
        key: &FlowKey,
        _options: &Options,
        segment: &Segment<'_>,
        parent: Option<(u32, u32)>,
        shutdown: bool,
    ) -> SynReceived {
        let offered = &segment.options;
        let default = if key.peer.is_ipv4() { MSS_DEFAULT_V4 } else { MSS_DEFAULT_V6 };
        SynReceived {
            handshake,
            irs: segment.seq(),
            peer_mss: offered.mss.unwrap_or(default).max(64),
            scale: offered.window_scale,
            sack: offered.sack_permitted,
            timestamps: offered.timestamps.map(|(value, _)| Timestamps {
                offset: handshake.ts_offset,
                recent: value,
                recent_at: env.now,
            }),
            snd_wnd: u32::from(segment.header.window),
            parent,
            shutdown,
        }
    }

    /// Sends the SYN-ACK. Options are echoed only where the peer offered them.
    pub fn send(&mut self, env: &mut Env<'_>, key: &FlowKey, path: &mut Path, options: &Options) {
        self.handshake.sending(env.now);
        let out = Outgoing {
            src_port: key.local.port(),
            dst_port: key.peer.port(),
            seq: self.handshake.iss,
            ack: Some(self.irs + 1),
            flags: TcpFlags::SYN,
            window: syn_window(options),
            options: TcpOptions {
                mss: Some(self.handshake.mss),
                window_scale: self.scale.map(|_| env.settings.window_scale()),
                sack_permitted: self.sack,
                timestamps: self.timestamps.map(|ts| (ts.value(env.now), ts.recent)),
                ..TcpOptions::default()
            },
            data: None,
            gso_size: None,
            ip: options.ip(path.dst),
        };
        let _ = env.send(path, out);
    }

    /// An acknowledgement of the peer's SYN by itself.
    pub fn acknowledge(&self, env: &mut Env<'_>, key: &FlowKey, path: &mut Path, options: &Options) {
        let scale = self.scale.map_or(0, |_| env.settings.window_scale());
        let out = Outgoing {
            src_port: key.local.port(),
            dst_port: key.peer.port(),
            seq: self.handshake.iss + 1,
            ack: Some(self.irs + 1),
            flags: TcpFlags::ACK,
            window: syn_window(options) >> scale,
            options: TcpOptions {
                timestamps: self.timestamps.map(|ts| (ts.value(env.now), ts.recent)),
                ..TcpOptions::default()
            },
            data: None,
            gso_size: None,
            ip: options.ip(path.dst),
        };
        env.counters.acks_sent += 1;
        let _ = env.send(path, out);
    }

    /// RFC 9293 §3.10.7.4 in SYN_RECEIVED.
    pub fn on_segment(
        &mut self,
        env: &mut Env<'_>,
        key: &FlowKey,
        path: &Path,
        options: &Options,
        segment: &Segment<'_>,
    ) -> SynReceivedOutcome {
        let next = self.irs + 1;
        let window = u32::from(syn_window(options));
        let inside = |seq: SeqNr| seq.ge(next) && seq.lt(next + window);
        if segment.has(TcpFlags::RST) {
            // RFC 9293 §3.10.7.4, second: exact, within the window, or neither.
            return match segment.seq() {
                seq if seq == next => SynReceivedOutcome::Gone,
                seq if inside(seq) => SynReceivedOutcome::Acknowledge,
                _ => SynReceivedOutcome::Keep,
            };
        }
        if segment.has(TcpFlags::SYN) {
            let same = segment.seq() == self.irs;
            if same && segment.has(TcpFlags::ACK) && segment.header.ack == self.handshake.iss + 1 {
                // Simultaneous open: the peer's SYN-ACK acknowledges our SYN (RFC 9293 §3.5 figure 7).
                self.snd_wnd = u32::from(segment.header.window);
                let mut connection = self.open(env, key, path, options, segment);
                connection.ack_now = true;
                return SynReceivedOutcome::Established(connection);
            }
            return SynReceivedOutcome::Repeat;
        }
        if let (Some(ts), Some((value, _))) = (&self.timestamps, segment.options.timestamps)
            && (value.wrapping_sub(ts.recent) as i32) < 0
        {
            env.counters.paws_dropped += 1;
            return SynReceivedOutcome::Acknowledge;
        }
        let end = segment.end();
        if !inside(segment.seq()) && !(end.gt(next) && inside(end + u32::MAX)) {
            return SynReceivedOutcome::Acknowledge;
        }
        if !segment.has(TcpFlags::ACK) {
            return SynReceivedOutcome::Keep;
        }
        if segment.header.ack != self.handshake.iss + 1 {
            return SynReceivedOutcome::Reset;
        }
        if let (Some(ts), Some((value, _))) = (&mut self.timestamps, segment.options.timestamps) {
            ts.recent = value;
            ts.recent_at = env.now;
        }
        self.snd_wnd = u32::from(segment.header.window) << self.scale.unwrap_or(0);
        SynReceivedOutcome::Established(self.open(env, key, path, options, segment))
    }

    /// The synchronised connection that this handshake leads to.
    fn open(
        &self,
        env: &mut Env<'_>,
        key: &FlowKey,
        path: &Path,
        options: &Options,
        segment: &Segment<'_>,
    ) -> Box<Connection> {
        let mss = effective_mss(path, options, self.peer_mss.into(), self.timestamps.is_some());
        let next = self.irs + 1;
        let una = self.handshake.iss + 1;
        let mut rtt = RttEstimator::default();
        if self.handshake.sent == 1 {
            rtt.sample(env.now.since(self.handshake.first_sent));
        } else {
            rtt.after_syn_retransmission();
        }
        let mut control =
            congestion::by_name(options.congestion, mss).unwrap_or_else(|| Box::new(congestion::NewReno::new(mss)));
        if self.handshake.sent > 2 {
            // RFC 6928 §2: a SYN lost more than once leaves one segment of the initial window.
            control.on_rto(env.now, 0, false);
        }
        env.counters.established += 1;
        let mut connection = Box::new(Connection {
            src_port: key.local.port(),
            dst_port: key.peer.port(),
            phase: Phase::Established,
            snd_una: una,
            snd_nxt: una,
            snd_max: una,
            snd_wnd: self.snd_wnd,
            snd_wl1: segment.seq(),
            snd_wl2: una,
            max_wnd: self.snd_wnd,
            snd_scale: self.scale.unwrap_or(0),
            tx: SendQueue::new(options.sndbuf),
            small_until: una,
            mss,
            peer_mss: self.peer_mss,
            rcv_nxt: next,
            rcv_adv: next + u32::from(syn_window(options)),
            rcv_scale: if self.scale.is_some() { env.settings.window_scale() } else { 0 },
            rx: ReceiveQueue::new(options.receive_buffer()),
            ahead: Assembler::default(),
            fin_at: None,
            rcv_mss: mss.min(536),
            timestamps: self.timestamps,
            last_ack_sent: next,
            sack: self.sack,
            board: Scoreboard::default(),
            duplicate_acks: 0,
            recovery: Recovery::None,
            recovered_to: self.handshake.iss,
            rtt,
            probe: None,
            control,
            ack_now: false,
            unacked_in: 0,
            quick_acks: Connection::QUICK_ACKS,
            dsack: None,
            clocks: Clocks::STOPPED,
            retries: 0,
            retrying_since: None,
            keep_probes: 0,
            window_probes: 0,
            last_received: env.now,
            last_sent: env.now,
            held: true,
            taken: 0,
            taken_since: env.now,
            retransmits: 0,
        });
        connection.keepalive_from(env.now, options);
        if self.shutdown {
            connection.phase = Phase::FinWait1;
        }
        connection
    }
}
