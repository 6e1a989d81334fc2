//! A synchronised connection: the transmission control block of RFC 9293 §3.3.1 from ESTABLISHED to
//! the last acknowledgement. What happens on a segment stands in `receive` and `acknowledge`, what is
//! sent in `transmit`, losses in `recovery`, clocks in `timers`.

use errno::Errno;
use wire::tcp::SeqNr;

use super::assembler::Assembler;
use super::buffers::{ReceiveQueue, SendQueue};
use super::congestion::Control;
use super::options::Options;
use super::rtt::RttEstimator;
use super::scoreboard::Scoreboard;
use crate::time::{Duration, Instant};

/// Where a synchronised connection stands (RFC 9293 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Established,
    /// The peer closed, we have not.
    CloseWait,
    /// We closed, our FIN is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged, the peer has not closed.
    FinWait2,
    /// Both closed at once, our FIN is not acknowledged.
    Closing,
    /// The peer closed first, then we; our FIN is not acknowledged.
    LastAck,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Established => "ESTABLISHED",
            Phase::CloseWait => "CLOSE_WAIT",
            Phase::FinWait1 => "FIN_WAIT_1",
            Phase::FinWait2 => "FIN_WAIT_2",
            Phase::Closing => "CLOSING",
            Phase::LastAck => "LAST_ACK",
        }
    }

    /// Our side has queued its FIN: nothing more may be added to the send ring.
    pub fn send_closed(self) -> bool {
        !matches!(self, Phase::Established | Phase::CloseWait)
    }

    /// The peer's FIN has been received in order.
    pub fn receive_closed(self) -> bool {
        matches!(self, Phase::CloseWait | Phase::Closing | Phase::LastAck)
    }

    /// Our FIN has been queued and is not acknowledged.
    pub fn fin_outstanding(self) -> bool {
        matches!(self, Phase::FinWait1 | Phase::Closing | Phase::LastAck)
    }
}

/// What became of a connection by a segment or a time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    Keep,
    /// Both FINs are exchanged; the active closer waits (RFC 9293 §3.6.1).
    TimeWait,
    /// Over in good order.
    Closed,
    /// Over with an error, which the program is told.
    Failed(Errno),
}

/// Timestamps, when both sides agreed on them (RFC 7323 §3).
#[derive(Clone, Copy, Debug)]
pub struct Timestamps {
    /// Added to our clock so that peers cannot tell uptime or relate connections.
    pub offset: u32,
    /// TS.Recent: the peer's value to echo, and when it was taken.
    pub recent: u32,
    pub recent_at: Instant,
}

impl Timestamps {
    /// TS.Recent older than this is not trusted (RFC 7323 §5.5).
    pub const RECENT_VALID: Duration = Duration::from_secs(24 * 24 * 3600);

    /// Our clock, in milliseconds.
    pub fn value(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }
}

/// Loss recovery in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    None,
    /// Fast recovery (RFC 6675, RFC 6582) until `until` is acknowledged; up to `high_rxt`
    /// retransmissions were made.
    Fast {
        until: SeqNr,
        high_rxt: SeqNr,
    },
    /// After a time-out: everything up to `until` is being sent anew.
    Timeout {
        until: SeqNr,
    },
}

/// Clocks of a connection; [`Instant::FAR`] is "not running".
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Retransmission (RFC 6298 §5) or, with a closed window, the persist clock.
    pub retransmit: Instant,
    pub persist: Instant,
    pub delayed_ack: Instant,
    pub keepalive: Instant,
    /// An orphan's stay in FIN_WAIT_2.
    pub fin_wait_2: Instant,
}

impl Clocks {
    pub const STOPPED: Clocks = Clocks {
        retransmit: Instant::FAR,
        persist: Instant::FAR,
        delayed_ack: Instant::FAR,
        keepalive: Instant::FAR,
        fin_wait_2: Instant::FAR,
    };

    pub fn next(&self) -> Instant {
        let Clocks { retransmit, persist, delayed_ack, keepalive, fin_wait_2 } = *self;
        retransmit.min(persist).min(delayed_ack).min(keepalive).min(fin_wait_2)
    }
}

#[derive(Debug)]
pub struct Connection {
    pub src_port: u16,
    pub dst_port: u16,
    pub phase: Phase,

    // Send sequence space. `tx` holds the bytes from `snd_una` on; our FIN stands right behind them.
    pub snd_una: SeqNr,
    /// Next to send; goes back to `snd_una` after a time-out.
    pub snd_nxt: SeqNr,
    /// Highest ever sent.
    pub snd_max: SeqNr,
    pub snd_wnd: u32,
    pub snd_wl1: SeqNr,
    pub snd_wl2: SeqNr,
    /// Largest window the peer ever offered.
    pub max_wnd: u32,
    pub snd_scale: u8,
    pub tx: SendQueue,
    /// Where the last segment ends that was smaller than `mss` (Nagle).
    pub small_until: SeqNr,
    /// Payload bytes of a full segment, our options taken off.
    pub mss: u32,
    /// The MSS that the peer announced.
    pub peer_mss: u16,

    // Receive sequence space. `rx` ends at `rcv_nxt`.
    pub rcv_nxt: SeqNr,
    /// Right edge of the window as last advertised.
    pub rcv_adv: SeqNr,
    pub rcv_scale: u8,
    pub rx: ReceiveQueue,
    pub ahead: Assembler,
    /// Where the peer's FIN stands when it came out of order.
    pub fin_at: Option<SeqNr>,
    /// Payload bytes of the peer's segments, estimated from the largest seen (RFC 9293 §3.8.6.3).
    pub rcv_mss: u32,

    pub timestamps: Option<Timestamps>,
    pub last_ack_sent: SeqNr,
    pub sack: bool,
    pub board: Scoreboard,
    pub duplicate_acks: u32,
    pub recovery: Recovery,
    /// Losses up to here are dealt with: older duplicates start no recovery (RFC 6582 §3.2).
    pub recovered_to: SeqNr,
    pub rtt: RttEstimator,
    /// A sequence number being timed and when its segment went out (Karn's rule).
    pub probe: Option<(SeqNr, Instant)>,
    pub control: Box<dyn Control>,

    /// An acknowledgement is due with the next flush.
    pub ack_now: bool,
    /// Bytes received since the last acknowledgement was sent.
    pub unacked_in: u32,
    /// Segments still to be acknowledged at once, not in pairs: at the start, when the sender's window is
    /// small, and after an acknowledgement was late. None for a connection of requests and responses,
    /// where the response carries the acknowledgement.
    pub quick_acks: u8,
    /// A duplicate range to report (RFC 2883).
    pub dsack: Option<(SeqNr, SeqNr)>,

    pub clocks: Clocks,
    /// Time-outs in a row, of whichever clock runs.
    pub retries: u32,
    /// When the data now retried was first found missing; for TCP_USER_TIMEOUT.
    pub retrying_since: Option<Instant>,
    pub keep_probes: u32,
    /// Window probes since data was last acknowledged: bounds how long an orphan waits on a window.
    pub window_probes: u32,
    pub last_received: Instant,
    pub last_sent: Instant,

    /// A program holds the socket; without one, data that arrives is refused.
    pub held: bool,
    /// Bytes that the program took in the current round trip, for sizing `rx`.
    pub taken: u32,
    pub taken_since: Instant,
    pub retransmits: u32,
}

impl Connection {
    /// Segments acknowledged one by one before pairs begin (as Linux does).
    pub const QUICK_ACKS: u8 = 16;

    /// Bytes between the oldest unacknowledged and the next to send.
    pub fn in_flight(&self) -> u32 {
        self.snd_nxt.diff(self.snd_una).max(0) as u32
    }

    /// Sequence number behind the last byte in `tx`: where our FIN stands once queued.
    pub fn tx_end(&self) -> SeqNr {
        self.snd_una + self.tx.len() as u32
    }

    /// Everything in `tx`, and the FIN if queued, has been sent at least once and nothing is to be
    /// sent again.
    pub fn nothing_unsent(&self) -> bool {
        let end = self.tx_end() + u32::from(self.phase.fin_outstanding());
        self.snd_nxt.ge(end)
    }

    /// Bytes thought to be in the network (RFC 6675 "pipe"); without SACK each duplicate
    /// acknowledgement stands for a segment that left it.
    pub fn pipe(&self) -> u32 {
        match self.recovery {
            Recovery::Fast { high_rxt, .. } if self.sack => {
                self.board.pipe(self.snd_una, self.snd_max, high_rxt, self.mss)
            }
            Recovery::Fast { .. } => {
                (self.snd_max.diff(self.snd_una) as u32).saturating_sub(self.duplicate_acks * self.mss)
            }
            _ if self.board.is_empty() => self.in_flight(),
            _ => self.board.gaps(self.snd_una, self.snd_nxt).map(|g| g.end.diff(g.start) as u32).sum(),
        }
    }

    /// Takes note of what the program has read where it shares the ring.
    pub fn note_read(&mut self) {
        let n = self.rx.refresh();
        self.taken = self.taken.saturating_add(n as u32);
    }

    /// Room in the receive ring, as a window.
    pub fn receive_room(&self) -> u32 {
        self.rx.free().min(u32::MAX as usize) as u32
    }

    /// Bytes still open to the right edge last advertised.
    pub fn window_left(&self) -> u32 {
        self.rcv_adv.diff(self.rcv_nxt).max(0) as u32
    }

    /// The window to advertise now: never less than what was promised, and opened only by a
    /// worthwhile step (RFC 9293 §3.8.6.2.2).
    pub fn window(&self) -> u32 {
        let room = self.receive_room();
        let left = self.window_left();
        let step = (self.rx.limit() as u32 / 2).min(self.rcv_mss.max(self.mss));
        let window = if room >= left + step { room } else { left };
        let unit = 1u32 << self.rcv_scale;
        let max = 65_535u32 << self.rcv_scale;
        // Rounded up, what is left does not shrink by the scaling. But a peer that sends less than a
        // unit at a time would so be given a little more each time, for ever: when the buffer is exceeded
        // by a small part, the field says less than was promised (RFC 7323 §2.4 has senders prepared
        // for that), and what was promised is still taken.
        let beyond = (unit as usize).max(self.rx.limit() / 32);
        let would_hold = self.rx.len() + window.next_multiple_of(unit) as usize;
        let round_up = window == left && would_hold < self.rx.limit() + beyond;
        if round_up { window.next_multiple_of(unit).min(max) } else { window.min(max) }
    }

    /// Sets the clocks that depend on the state after anything happened.
    pub fn keepalive_from(&mut self, now: Instant, options: &Options) {
        self.clocks.keepalive = if options.keepalive && self.held {
            self.keep_probes = 0;
            now + Duration::from_secs(u64::from(options.keep_idle))
        } else {
            Instant::FAR
        };
    }
}
