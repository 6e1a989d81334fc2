//! Finding and mending losses: fast retransmit and recovery with SACK (RFC 6675) and without
//! (RFC 6582), and the retransmission time-out (RFC 6298 §5.4–5.6, RFC 5681 §3.1).

use core::ops::Range;
use wire::tcp::SeqNr;

use super::connection::{Connection, Recovery};
use super::scoreboard::DUP_THRESH;
use super::segment::Env;

/// What to send next in fast recovery (RFC 6675 §4 `NextSeg`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextSegment {
    Retransmit(Range<SeqNr>),
    New,
}

impl Connection {
    /// A duplicate came in: begin fast recovery when enough of them say so.
    pub fn look_for_loss(&mut self, env: &mut Env<'_>) {
        let lost = self.duplicate_acks >= DUP_THRESH || (self.sack && self.board.is_lost(self.snd_una, self.mss));
        // RFC 6582 §3.2 step 1: duplicates of a window that was dealt with already mean nothing.
        // Without SACK nothing tells duplicates of old segments from new ones at the very end of that
        // window, so that one byte more must be acknowledged.
        let dealt_with =
            if self.sack { self.recovered_to.gt(self.snd_una) } else { self.recovered_to.ge(self.snd_una) };
        if self.recovery != Recovery::None || !lost || dealt_with {
            return;
        }
        env.counters.fast_retransmits += 1;
        self.control.on_loss(env.now, self.snd_max.diff(self.snd_una) as u32);
        self.recovery = Recovery::Fast { until: self.snd_max, high_rxt: self.snd_una };
        self.recovered_to = self.snd_max;
        self.snd_nxt = self.snd_max;
        self.probe = None;
        // The first retransmission goes out whatever the window says (RFC 6675 §5 step 4.3).
        self.clocks.retransmit = env.now + self.rtt.rto();
    }

    /// `acked` bytes were acknowledged while `in_flight` were outstanding.
    pub fn after_progress(&mut self, env: &mut Env<'_>, acked: u32, in_flight: u32) {
        match self.recovery {
            Recovery::None => {
                self.duplicate_acks = 0;
                self.control.on_ack(env.now, acked, in_flight, self.rtt.srtt());
                if self.sack && self.board.is_lost(self.snd_una, self.mss) {
                    self.look_for_loss(env);
                }
            }
            Recovery::Fast { until, high_rxt } => {
                if self.snd_una.ge(until) {
                    self.recovery = Recovery::None;
                    self.duplicate_acks = 0;
                    self.control.on_recovered(env.now);
                } else {
                    // A partial acknowledgement: without SACK the next hole is right here
                    // (RFC 6582 §3.2 step 3), so it is to be sent again.
                    let high_rxt = if !self.sack || high_rxt.lt(self.snd_una) { self.snd_una } else { high_rxt };
                    self.recovery = Recovery::Fast { until, high_rxt };
                    self.duplicate_acks = self.duplicate_acks.saturating_sub(acked.div_ceil(self.mss));
                }
            }
            Recovery::Timeout { until } => {
                self.duplicate_acks = 0;
                self.control.on_ack(env.now, acked, in_flight.max(self.control.cwnd()), self.rtt.srtt());
                if self.snd_una.ge(until) {
                    self.recovery = Recovery::None;
                }
            }
        }
    }

    /// RFC 6675 §4: which segment goes next in fast recovery.
    pub fn next_segment(&self) -> NextSegment {
        let Recovery::Fast { until, high_rxt } = self.recovery else { return NextSegment::New };
        let mss = self.mss;
        let cut = |gap: Range<SeqNr>| {
            let end = if (gap.end.diff(gap.start) as u32) > mss { gap.start + mss } else { gap.end };
            NextSegment::Retransmit(gap.start..end)
        };
        if !self.sack {
            // One segment a partial acknowledgement.
            if high_rxt == self.snd_una {
                let end = if until.lt(self.snd_max) { until } else { self.snd_max };
                return cut(self.snd_una..end);
            }
            return NextSegment::New;
        }
        // Rule 1: the first hole that is lost and was not sent again. The oldest segment counts as
        // lost from the start: that is why recovery began.
        let mut spare = None;
        for gap in self.board.gaps(high_rxt, until) {
            if self.board.next_sacked(gap.start).is_none() && gap.start != self.snd_una {
                break; // nothing above it is SACKed: not a hole
            }
            if gap.start == self.snd_una || self.board.is_lost(gap.start, mss) {
                return cut(gap);
            }
            spare.get_or_insert(gap);
        }
        // Rule 2: new data; the caller falls back to rule 3 when there is none.
        match spare {
            Some(gap) if self.nothing_unsent() || self.window_beyond(self.snd_nxt) == 0 => cut(gap),
            _ => NextSegment::New,
        }
    }

    /// Notes that `range` was sent again in fast recovery.
    pub fn retransmitted(&mut self, range: &Range<SeqNr>) {
        if let Recovery::Fast { until, high_rxt } = self.recovery
            && range.end.gt(high_rxt)
        {
            self.recovery = Recovery::Fast { until, high_rxt: range.end };
        }
    }

    /// The retransmission timer ran out: everything outstanding is sent anew, slowly at first.
    pub fn on_retransmission_timeout(&mut self, env: &mut Env<'_>) {
        env.counters.timeouts += 1;
        // A window that is shut has each time-out answered: it is one loss for all that.
        let first = self.retries == 1 && !(self.snd_wnd == 0 && matches!(self.recovery, Recovery::Timeout { .. }));
        self.control.on_rto(env.now, self.snd_max.diff(self.snd_una) as u32, first);
        self.rtt.back_off();
        self.recovery = Recovery::Timeout { until: self.snd_max };
        self.recovered_to = self.snd_max;
        self.duplicate_acks = 0;
        // RFC 2018 §8: the receiver may have thrown away what it reported.
        self.board.clear();
        self.snd_nxt = self.snd_una;
        self.probe = None;
        self.clocks.retransmit = env.now + self.rtt.rto();
    }
}
