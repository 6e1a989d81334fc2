//! A segment arrives on a synchronised connection (RFC 9293 §3.10.7.4, with RFC 5961 and RFC 7323).

use errno::Errno;
use wire::tcp::TcpFlags;

use super::buffers::ReceiveQueue;
use super::connection::{Connection, Disposition, Phase, Timestamps};
use super::endpoint::Flow;
use super::segment::{Env, Segment};
use crate::socket::Events;

/// Payload from which on a program is offered the bytes in their frame.
const DIRECT_MIN: usize = 8 * 1024;

impl Connection {
    /// Checks the segment and lets it change the connection. What is to be sent in answer goes out
    /// with the next flush; events are added to `flow`.
    pub fn on_segment(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>, segment: &Segment<'_>) -> Disposition {
        if let Some(d) = self.check_timestamp(env, flow, segment) {
            return d;
        }
        if let Some(d) = self.check_sequence(env, flow, segment) {
            return d;
        }
        // RFC 9293 §3.10.7.4, third: security is not done. Second, RST: RFC 5961 §3.2.
        if segment.has(TcpFlags::RST) {
            if segment.seq() == self.rcv_nxt {
                let error = if self.phase == Phase::CloseWait { Errno::EPIPE } else { Errno::ECONNRESET };
                return match self.phase {
                    Phase::Closing | Phase::LastAck => Disposition::Closed,
                    _ => Disposition::Failed(error),
                };
            }
            env.counters.bad_resets += 1;
            flow.challenge_ack(env, self);
            return Disposition::Keep;
        }
        // Fourth, SYN: RFC 5961 §4.2.
        if segment.has(TcpFlags::SYN) {
            flow.challenge_ack(env, self);
            return Disposition::Keep;
        }
        // Fifth: no ACK, no service.
        if !segment.has(TcpFlags::ACK) {
            return Disposition::Keep;
        }
        self.last_received = env.now;
        self.keepalive_from(env.now, flow.options);
        if let Some(ts) = &mut self.timestamps
            && let Some((value, _)) = segment.options.timestamps
            && segment.seq().le(self.last_ack_sent)
        {
            // RFC 7323 §4.3 (2)
            ts.recent = value;
            ts.recent_at = env.now;
        }
        if let Some(d) = self.on_ack(env, flow, segment) {
            return d;
        }
        self.on_text(env, flow, segment)
    }

    /// PAWS (RFC 7323 §5.3 R1), and §3.2: a segment must carry the option once it was agreed upon.
    fn check_timestamp(
        &mut self,
        env: &mut Env<'_>,
        _flow: &mut Flow<'_>,
        segment: &Segment<'_>,
    ) -> Option<Disposition> {
        let ts = self.timestamps?;
        if segment.has(TcpFlags::RST) {
            return None;
        }
        let Some((value, _)) = segment.options.timestamps else {
            env.counters.missing_timestamp += 1;
            return Some(Disposition::Keep);
        };
        let older = (value.wrapping_sub(ts.recent) as i32) < 0;
        if older && env.now.since(ts.recent_at) < Timestamps::RECENT_VALID {
            env.counters.paws_dropped += 1;
            self.ack_now = true;
            return Some(Disposition::Keep);
        }
        None
    }

    /// First check: the segment must touch the window (RFC 9293 §3.10.7.4, table 6).
    fn check_sequence(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>, segment: &Segment<'_>) -> Option<Disposition> {
        let window = self.window_left();
        let (seq, len) = (segment.seq(), segment.seq_len());
        let inside = |s: wire::tcp::SeqNr| s.ge(self.rcv_nxt) && s.lt(self.rcv_nxt + window);
        let acceptable = match (len, window) {
            (0, 0) => seq == self.rcv_nxt,
            (0, _) => inside(seq) || seq == self.rcv_nxt,
            (_, 0) => false,
            (_, _) => inside(seq) || inside(seq + (len - 1)),
        };
        // A segment that holds our whole window and more has both ends outside.
        let spans = window > 0 && seq.le(self.rcv_nxt) && segment.end().gt(self.rcv_nxt);
        if acceptable || spans {
            return None;
        }
        if segment.has(TcpFlags::RST) {
            env.counters.bad_resets += 1;
            return Some(Disposition::Keep);
        }
        if segment.has(TcpFlags::SYN) {
            flow.challenge_ack(env, self); // RFC 5961 §4.2
            return Some(Disposition::Keep);
        }
        if segment.end().le(self.rcv_nxt) {
            if len > 0 {
                env.counters.received_duplicate += 1;
                self.dsack = Some((seq, seq + segment.payload.len() as u32));
            }
            // One that we have not acknowledged yet may have been overtaken on the way by what followed
            // it: its acknowledgement counts (as Linux has it). Of older ones nothing does.
            if segment.has(TcpFlags::ACK)
                && segment.end().ge(self.last_ack_sent)
                && let Some(d) = self.on_ack(env, flow, segment)
            {
                return Some(d);
            }
        } else {
            env.counters.received_after_window += 1;
            // With a closed window the ACK and window fields still count (RFC 9293 §3.8.6).
            if window == 0
                && seq == self.rcv_nxt
                && segment.has(TcpFlags::ACK)
                && let Some(d) = self.on_ack(env, flow, segment)
            {
                return Some(d);
            }
        }
        self.ack_now = true;
        Some(Disposition::Keep)
    }

    /// Seventh and eighth: the payload and the FIN.
    fn on_text(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>, segment: &Segment<'_>) -> Disposition {
        let window = self.window_left() as usize;
        let mut payload = segment.payload;
        let mut seq = segment.seq();
        let mut fin = segment.has(TcpFlags::FIN);
        if self.phase.receive_closed() {
            // The peer has closed: its text is at an end (§3.10.7.4, seventh, CLOSE-WAIT).
            if segment.seq_len() > 0 {
                self.ack_now = true;
            }
            return Disposition::Keep;
        }
        // Trim to the window.
        let early = self.rcv_nxt.diff(seq).max(0) as usize;
        if early > 0 {
            let cut = early.min(payload.len());
            if cut > 0 {
                self.dsack = Some((seq, seq + cut as u32));
            }
            payload = &payload[cut..];
            seq = seq + cut as u32;
            self.ack_now |= segment.seq_len() > 0;
        }
        // Nothing follows the peer's FIN, and there is one of it.
        if let Some(end) = self.fin_at {
            let before = end.diff(seq).max(0) as usize;
            payload = &payload[..payload.len().min(before)];
            fin = false;
        }
        let offset = seq.diff(self.rcv_nxt).max(0) as usize;
        let room = window.saturating_sub(offset);
        if payload.len() > room {
            payload = &payload[..room];
            fin = false;
            self.ack_now = true;
        }
        if payload.is_empty() && !fin {
            self.ack_now |= segment.seq_len() > 0;
            return Disposition::Keep;
        }
        if !payload.is_empty() && !self.held {
            // RFC 1122 §4.2.2.13: nobody will ever read this.
            env.counters.received_after_close += 1;
            flow.reset(env, self);
            return Disposition::Failed(Errno::ECONNRESET);
        }
        if fin {
            let end = seq + payload.len() as u32;
            if (self.ahead.end() as i32) > end.diff(self.rcv_nxt) {
                return Disposition::Keep; // more had come than this one lets there be: not to be believed
            }
            self.fin_at = Some(end);
        }
        self.rcv_mss = self.rcv_mss.max((payload.len() as u32).min(self.mss.max(536)));
        if offset > 0 {
            self.place_ahead(env, offset, payload);
            self.ack_now = true; // RFC 5681 §4.2
        } else if !payload.is_empty() {
            self.take_in_order(env, flow, payload);
        }
        if self.fin_at.is_some_and(|end| end.le(self.rcv_nxt)) {
            return self.on_fin(flow);
        }
        Disposition::Keep
    }

    fn place_ahead(&mut self, env: &mut Env<'_>, offset: usize, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let range = offset as u32..(offset + payload.len()) as u32;
        if self.ahead.covers(&range) {
            // RFC 2883 §4.2: a duplicate beyond the gap is reported too.
            env.counters.received_duplicate += 1;
            self.dsack = Some((self.rcv_nxt + range.start, self.rcv_nxt + range.end));
            return;
        }
        let end = self.ahead.end() as usize;
        if self.ahead.insert(range) {
            env.counters.received_out_of_order += 1;
            self.rx.place(env.pool, offset, payload, end);
        } else {
            env.counters.out_of_order_dropped += 1;
        }
    }

    fn take_in_order(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>, payload: &[u8]) {
        let had_gap = !self.ahead.is_empty();
        let direct = if had_gap { 0 } else { self.give_directly(flow, payload) };
        let rest = &payload[direct..];
        self.rx.place(env.pool, 0, rest, self.ahead.end() as usize);
        let total = payload.len() as u32 + self.ahead.advance(payload.len() as u32);
        self.rx.advance(total as usize - direct);
        self.rcv_nxt = self.rcv_nxt + total;
        env.counters.received_bytes += u64::from(total);
        if !self.rx.is_empty() {
            flow.events(Events::READABLE);
        }
        self.unacked_in += total;
        let quick = flow.options.quick_ack || self.quick_acks > 0;
        if had_gap || quick || self.unacked_in >= 2 * self.rcv_mss {
            // RFC 5681 §4.2: at once when it fills a gap, and at least for every second segment.
            self.ack_now = true;
            self.quick_acks = self.quick_acks.saturating_sub(1);
        } else if self.clocks.delayed_ack == crate::time::Instant::FAR {
            self.clocks.delayed_ack = env.now + env.settings.delayed_ack;
        }
    }

    /// Large in-order payload goes from its frame to the program without a stop in the ring, when the
    /// ring is empty; small ones are better gathered there, a call for many.
    fn give_directly(&mut self, flow: &mut Flow<'_>, payload: &[u8]) -> usize {
        let Some((sink, id)) = &mut flow.program else { return 0 };
        if payload.len() < DIRECT_MIN || !self.rx.is_empty() || matches!(self.rx, ReceiveQueue::Shared(_)) {
            return 0;
        }
        let n = sink.stream(*id, payload).min(payload.len());
        self.taken = self.taken.saturating_add(n as u32);
        n
    }

    /// Eighth: the peer's FIN is next in line.
    fn on_fin(&mut self, flow: &mut Flow<'_>) -> Disposition {
        self.rcv_nxt = self.rcv_nxt + 1;
        self.fin_at = None;
        self.ack_now = true;
        flow.events(Events::PEER_CLOSED);
        match self.phase {
            Phase::Established => self.phase = Phase::CloseWait,
            Phase::FinWait1 => self.phase = Phase::Closing,
            Phase::FinWait2 => return Disposition::TimeWait,
            Phase::CloseWait | Phase::Closing | Phase::LastAck => {}
        }
        Disposition::Keep
    }
}
