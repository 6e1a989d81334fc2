//! What an acknowledgement does (RFC 9293 §3.10.7.4 fifth; RFC 5681; RFC 6675; RFC 5961 §5).

use wire::tcp::SeqNr;

use super::connection::{Connection, Disposition, Phase, Recovery};
use super::endpoint::Flow;
use super::segment::{Env, Segment};
use crate::socket::Events;
use crate::time::{Duration, Instant};

impl Connection {
    /// Takes in ACK, SACK and window fields. `Some` when the segment goes no further.
    pub fn on_ack(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>, segment: &Segment<'_>) -> Option<Disposition> {
        let ack = segment.header.ack;
        if ack.gt(self.snd_max) {
            // Something not sent yet is acknowledged.
            flow.challenge_ack(env, self);
            return Some(Disposition::Keep);
        }
        if ack.lt(self.snd_una) {
            // RFC 5961 §5.2: too old to be true.
            if (self.snd_una.diff(ack) as u32) > self.max_wnd {
                flow.challenge_ack(env, self);
                return Some(Disposition::Keep);
            }
            return None;
        }
        env.counters.received_acks += 1;
        let newly_sacked = self.take_sack(env, ack, segment);
        let window = u32::from(segment.header.window) << self.snd_scale;
        let window_changed = window != self.snd_wnd;
        self.update_window(env, segment, window);
        if ack == self.snd_una {
            self.on_duplicate(env, segment, newly_sacked, window_changed);
            return None;
        }
        self.on_progress(env, flow, segment, ack)
    }

    /// Takes in the SACK blocks (RFC 2018 §4, validity by RFC 2018 §5 and RFC 2883).
    fn take_sack(&mut self, env: &mut Env<'_>, ack: SeqNr, segment: &Segment<'_>) -> u32 {
        if !self.sack {
            return 0;
        }
        let mut new = 0;
        for (start, end) in segment.options.sack.iter() {
            env.counters.sack_blocks += 1;
            if start.lt(end) && start.gt(ack) && end.le(self.snd_max) {
                new += self.board.insert(start..end);
            } else if !(start.lt(end) && end.le(self.snd_max)) {
                env.counters.sack_blocks_bad += 1;
            } // else: below ACK, a D-SACK report
        }
        new
    }

    /// RFC 9293 §3.10.7.4: only a segment newer than the last update changes the window.
    fn update_window(&mut self, env: &mut Env<'_>, segment: &Segment<'_>, window: u32) {
        let (seq, ack) = (segment.seq(), segment.header.ack);
        if self.snd_wl1.lt(seq) || (self.snd_wl1 == seq && self.snd_wl2.le(ack)) {
            let opened = self.snd_wnd == 0 && window > 0;
            self.snd_wnd = window;
            self.snd_wl1 = seq;
            self.snd_wl2 = ack;
            self.max_wnd = self.max_wnd.max(window);
            if opened {
                // The intervals of the probes say nothing of the path.
                self.rtt.progress();
                self.clocks.persist = Instant::FAR;
                self.retries = 0;
                self.retrying_since = None;
                if self.snd_max.gt(self.snd_una) {
                    self.clocks.retransmit = env.now + self.rtt.rto();
                }
            }
        }
        if self.clocks.persist != Instant::FAR || self.snd_wnd == 0 {
            self.retries = 0; // the peer lives, however long it keeps its window shut
            self.retrying_since = None;
        }
    }

    /// RFC 5681 §2's duplicate: data outstanding, nothing carried, window unchanged; with SACK, one
    /// that reports something new (RFC 6675 §2).
    fn on_duplicate(&mut self, env: &mut Env<'_>, segment: &Segment<'_>, newly_sacked: u32, window_changed: bool) {
        if self.snd_max == self.snd_una {
            return;
        }
        // With SACK, whether it carries data or moves the window makes no difference (RFC 6675 §2).
        let duplicate = if self.sack { newly_sacked > 0 } else { !window_changed && segment.seq_len() == 0 };
        if !duplicate {
            return;
        }
        env.counters.duplicate_acks += 1;
        self.duplicate_acks += 1;
        self.look_for_loss(env);
    }

    /// New data is acknowledged.
    fn on_progress(
        &mut self,
        env: &mut Env<'_>,
        flow: &mut Flow<'_>,
        segment: &Segment<'_>,
        ack: SeqNr,
    ) -> Option<Disposition> {
        let in_flight = self.snd_max.diff(self.snd_una) as u32;
        let acked = ack.diff(self.snd_una) as u32;
        let fin_acked = self.phase.fin_outstanding() && ack == self.tx_end() + 1;
        self.sample_rtt(env.now, segment, ack);
        self.tx.consume(env.pool, (acked - u32::from(fin_acked)) as usize);
        self.snd_una = ack;
        if self.snd_nxt.lt(ack) {
            self.snd_nxt = ack;
        }
        self.board.acknowledge(ack);
        // These marks stay within reach of comparison, however much is sent without need of them.
        if self.small_until.lt(ack) {
            self.small_until = ack;
        }
        if self.recovered_to.lt(ack) {
            self.recovered_to = ack + u32::MAX; // the byte before
        }
        self.rtt.progress();
        self.retries = 0;
        self.window_probes = 0;
        self.retrying_since = None;
        self.after_progress(env, acked, in_flight);
        // RFC 6298 §5.2 and §5.3.
        self.clocks.retransmit = if self.snd_max == ack { Instant::FAR } else { env.now + self.rtt.rto() };
        env.net.confirm_reachable(env.now, flow.path);
        self.grow_send_buffer(env, flow);
        flow.events(Events::WRITABLE);
        if fin_acked {
            match self.phase {
                Phase::FinWait1 => {
                    self.phase = Phase::FinWait2;
                    if !self.held {
                        self.clocks.fin_wait_2 = env.now + flow.options.fin_timeout(env.settings);
                    }
                }
                Phase::Closing => return Some(Disposition::TimeWait),
                Phase::LastAck => return Some(Disposition::Closed),
                _ => {}
            }
        }
        None
    }

    /// RFC 6298 §3: only of segments sent once, unless timestamps tell them apart (RFC 7323 §4).
    fn sample_rtt(&mut self, now: Instant, segment: &Segment<'_>, ack: SeqNr) {
        match self.probe {
            Some((seq, sent)) if ack.ge(seq) => {
                self.probe = None;
                self.rtt.sample(now.since(sent));
            }
            Some(_) => {}
            None => {
                if let (Some(ts), Some((_, echo))) = (&self.timestamps, segment.options.timestamps)
                    && echo != 0
                {
                    let ms = ts.value(now).wrapping_sub(echo);
                    if ms < 1 << 20 {
                        self.rtt.sample(Duration::from_millis(u64::from(ms)).max(Duration::from_micros(500)));
                    }
                }
            }
        }
    }

    /// Where window and buffer are in balance the buffer would be the limit: let it grow.
    fn grow_send_buffer(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        if flow.options.sndbuf_fixed {
            return;
        }
        let want = 2 * self.control.cwnd() as usize;
        if want > self.tx.limit() && !matches!(self.recovery, Recovery::Timeout { .. }) {
            self.tx.set_limit(want.min(env.settings.sndbuf_max).max(self.tx.limit()));
        }
    }
}
