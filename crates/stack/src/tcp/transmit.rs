//! What a connection sends: data within both windows, the FIN, acknowledgements, probes
//! (RFC 9293 §3.8, RFC 5681, RFC 1122 §4.2.3.4).

use wire::tcp::{SackBlocks, SeqNr, TcpFlags, TcpOptions};

use super::connection::{Connection, Recovery};
use super::endpoint::Flow;
use super::recovery::NextSegment;
use super::segment::{Env, Outgoing};
use crate::time::Instant;

/// Most payload bytes handed to a link at once: with all headers it stays under 64 KiB.
const BURST_MAX: u32 = 65_535 - 60 - 60;

/// Why nothing (more) is sent now.
enum Pause {
    /// Nothing is left, or congestion control says wait for acknowledgements.
    Wait,
    /// The peer's window is the limit and nothing is in flight to open it: probe.
    Persist,
}

impl Connection {
    /// Sends what may be sent, and an acknowledgement if one is due and nothing carried it.
    pub fn transmit(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        self.note_read();
        self.restart_after_idle(env.now);
        while self.retransmit_one(env, flow) {}
        match self.send_new(env, flow) {
            Pause::Persist if self.clocks.persist == Instant::FAR => {
                self.clocks.persist = env.now + self.rtt.rto();
            }
            Pause::Persist => {}
            Pause::Wait => self.clocks.persist = Instant::FAR,
        }
        if self.ack_now {
            self.send_ack(env, flow);
        }
    }

    /// RFC 5681 §4.1: after a time-out's worth of silence the window starts small again.
    fn restart_after_idle(&mut self, now: Instant) {
        if self.snd_max == self.snd_una && !self.tx.is_empty() && now.since(self.last_sent) > self.rtt.rto() {
            self.control.on_idle();
        }
    }

    /// One retransmission of fast recovery; false when there is none to make.
    fn retransmit_one(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) -> bool {
        let Recovery::Fast { high_rxt, .. } = self.recovery else { return false };
        let NextSegment::Retransmit(range) = self.next_segment() else { return false };
        // The first one is free (RFC 6675 §5 step 4.3), the others need room in the pipe.
        let first = high_rxt == self.snd_una && range.start == self.snd_una;
        if !first && self.control.cwnd() < self.pipe() + self.mss {
            return false;
        }
        let len = self.data_len(range.start, range.end.diff(range.start) as u32).min(self.segment_room());
        let fin = self.phase.fin_outstanding() && range.start + len == self.tx_end();
        if len == 0 && !fin {
            return false;
        }
        self.retransmitted(&(range.start..range.start + len + u32::from(fin)));
        self.send_data(env, flow, range.start, len, fin)
    }

    /// Bytes of `tx` there are from `seq` on, at most `len`.
    fn data_len(&self, seq: SeqNr, len: u32) -> u32 {
        len.min(self.tx_end().diff(seq).max(0) as u32)
    }

    /// Sends from `snd_nxt` on as far as windows and Nagle let it.
    fn send_new(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) -> Pause {
        loop {
            let mut until = self.tx_end();
            if self.snd_nxt.lt(self.snd_max) {
                // Sending anew after a time-out: step over what the peer holds already.
                if let Some(end) = self.board.sacked_until(self.snd_nxt) {
                    self.snd_nxt = end;
                    continue;
                }
                if let Some(start) = self.board.next_sacked(self.snd_nxt)
                    && start.lt(until)
                {
                    until = start;
                }
            }
            let have = until.diff(self.snd_nxt).max(0) as u32;
            let at_end = until == self.tx_end();
            let fin = at_end && self.phase.fin_outstanding() && self.snd_nxt.le(self.tx_end());
            if have == 0 && !fin {
                return Pause::Wait;
            }
            let window = self.window_beyond(self.snd_nxt);
            let budget = self.congestion_room();
            let idle = self.snd_nxt == self.snd_una && self.snd_max == self.snd_una;
            let Some(len) = self.segment_len(flow, have, at_end, window, budget) else {
                let window_is_the_limit = window < have.min(self.mss) && window < budget;
                // tcp(7): output is corked for a while only.
                return if idle && (window_is_the_limit || flow.options.cork) { Pause::Persist } else { Pause::Wait };
            };
            // The FIN takes a place in the window like a byte.
            let with_fin = fin && len == have && len < window;
            if len == 0 && !with_fin {
                return if idle { Pause::Persist } else { Pause::Wait };
            }
            let start = self.snd_nxt;
            if !self.send_data(env, flow, start, len, with_fin) {
                return Pause::Wait;
            }
            self.snd_nxt = start + len + u32::from(with_fin);
            if self.snd_nxt.gt(self.snd_max) {
                self.snd_max = self.snd_nxt;
            }
        }
    }

    /// Bytes of the peer's window from `seq` on.
    pub fn window_beyond(&self, seq: SeqNr) -> u32 {
        (self.snd_una + self.snd_wnd).diff(seq).max(0) as u32
    }

    /// Bytes that congestion control lets go out now.
    fn congestion_room(&self) -> u32 {
        let mut cwnd = self.control.cwnd();
        if self.recovery == Recovery::None && !self.sack {
            // Limited transmit (RFC 3042): a segment each for the first two duplicates. With SACK what
            // they report has left the pipe already (RFC 6675 §5 step 3).
            cwnd += self.duplicate_acks.min(2) * self.mss;
        }
        cwnd.saturating_sub(self.pipe())
    }

    /// How many of `have` bytes to send as one piece; `None` for not now.
    fn segment_len(&self, flow: &Flow<'_>, have: u32, at_end: bool, window: u32, budget: u32) -> Option<u32> {
        let again = self.snd_nxt.lt(self.snd_max);
        let usable = window.min(budget);
        if have == 0 {
            return Some(0); // a FIN alone
        }
        if usable == 0 {
            return None;
        }
        let gso = if flow.path.dst.is_ipv4() { flow.path.offloads.tso4 } else { flow.path.offloads.tso6 };
        let mss = self.segment_room();
        let most = if gso { (BURST_MAX / mss).max(1) * mss } else { mss };
        let len = have.min(usable).min(most);
        if len >= mss {
            // Whole segments; a rest goes along only when it may go at all.
            let rest = len % mss;
            let whole = len - rest;
            let rest_may_go = rest > 0 && len == have && at_end && (again || self.small_may_go(flow));
            return Some(if rest_may_go { len } else { whole });
        }
        if again {
            return Some(len);
        }
        // Less than a segment. RFC 9293 §3.8.6.2.1 (SWS): all there is and Nagle agrees, or half the
        // largest window.
        let all = len == have && at_end;
        if (all && self.small_may_go(flow)) || (!all && window <= budget && len >= self.max_wnd / 2 && len > 0) {
            return Some(len);
        }
        None
    }

    /// Nagle as RFC 9293 §3.7.4 has it modified by Minshall: a small segment waits while another small
    /// one is unacknowledged, so that the rest of a large write need not wait for the peer's delayed
    /// acknowledgement. TCP_CORK holds it back until it is full.
    fn small_may_go(&self, flow: &Flow<'_>) -> bool {
        if self.phase.fin_outstanding() {
            return true;
        }
        !flow.options.cork && (flow.options.no_delay || self.small_until.le(self.snd_una))
    }

    /// Sends `len` bytes from `seq` on, with the FIN if `fin`. False when nothing went out.
    fn send_data(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>, seq: SeqNr, len: u32, fin: bool) -> bool {
        let offset = seq.diff(self.snd_una) as usize;
        let data = if len > 0 { self.tx.slices(offset, len as usize) } else { None };
        if len > 0 && data.is_none() {
            return false;
        }
        let mut flags = TcpFlags::ACK;
        if fin {
            flags = flags | TcpFlags::FIN;
        }
        if len > 0 && seq + len == self.tx_end() {
            flags = flags | TcpFlags::PSH;
        }
        let mss = self.segment_room();
        let gso_size = (len > mss).then_some(mss as u16);
        let mut out = self.outgoing(env.now, flow, seq, flags);
        out.data = data;
        out.gso_size = gso_size;
        let segments = u64::from(len.div_ceil(mss).max(1));
        if seq.lt(self.snd_max) {
            env.counters.retransmitted += segments;
            env.counters.retransmitted_bytes += u64::from(len);
            self.retransmits += segments as u32;
        } else {
            if len % mss != 0 {
                self.small_until = seq + len;
            }
            env.counters.sent_data += u64::from(len > 0) * segments;
            env.counters.sent_bytes += u64::from(len);
            if env.now.since(self.last_received) < env.settings.delayed_ack {
                self.quick_acks = 0; // an answer: acknowledgements ride along
            }
            if self.probe.is_none() && self.recovery == Recovery::None {
                self.probe = Some((seq + len + u32::from(fin), env.now));
            }
        }
        match env.send(flow.path, out) {
            Err(errno::Errno::EMSGSIZE) => {
                // The path's MTU shrank under us.
                self.adopt_mtu(env, flow);
                self.probe = None;
                return false;
            }
            // As good as lost on the way: the retransmission timer sees to it.
            Ok(()) | Err(_) => {}
        }
        self.acknowledged(env.now);
        self.last_sent = env.now;
        if self.clocks.retransmit == Instant::FAR {
            self.clocks.retransmit = env.now + self.rtt.rto();
        }
        true
    }

    /// Takes over a smaller path MTU (RFC 1191 §3, RFC 8201 §4).
    pub fn adopt_mtu(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        let _ = env.net.refresh(flow.path);
        let mss = flow.mss(u32::from(self.peer_mss), self.timestamps.is_some());
        if mss < self.mss {
            env.counters.path_mtu_changes += 1;
            self.mss = mss;
            self.control.set_mss(mss);
        }
    }

    /// A segment of this connection without data yet.
    fn outgoing(&mut self, now: Instant, flow: &Flow<'_>, seq: SeqNr, flags: TcpFlags) -> Outgoing {
        let window = self.window();
        self.rcv_adv = {
            let edge = self.rcv_nxt + ((window >> self.rcv_scale) << self.rcv_scale);
            if edge.gt(self.rcv_adv) { edge } else { self.rcv_adv }
        };
        let mut options =
            TcpOptions { timestamps: self.timestamps.map(|ts| (ts.value(now), ts.recent)), ..TcpOptions::default() };
        if self.sack {
            options.sack = self.sack_blocks();
        }
        Outgoing {
            src_port: self.src_port,
            dst_port: self.dst_port,
            seq,
            ack: Some(self.rcv_nxt),
            flags,
            window: (window >> self.rcv_scale).min(65_535) as u16,
            options,
            data: None,
            gso_size: None,
            ip: flow.options.ip(flow.path.dst),
        }
    }

    /// SACK blocks that fit an option area: three beside timestamps, four without (RFC 2018 §3).
    fn sack_room(&self) -> usize {
        if self.timestamps.is_some() { 3 } else { 4 }
    }

    /// Payload bytes that fit a segment now: SACK blocks come out of the MSS (RFC 6691).
    fn segment_room(&self) -> u32 {
        let blocks = if self.sack { self.ahead.blocks().count() + usize::from(self.dsack.is_some()) } else { 0 };
        match blocks.min(self.sack_room()) as u32 {
            0 => self.mss,
            blocks => self.mss.saturating_sub(4 + 8 * blocks).max(8),
        }
    }

    /// RFC 2018 §4 and RFC 2883 §4: a duplicate first, then the range with the latest segment.
    fn sack_blocks(&mut self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let room = self.sack_room();
        let duplicate = self.dsack.take();
        let ahead = self.ahead.blocks().map(|r| (self.rcv_nxt + r.start, self.rcv_nxt + r.end));
        for block in duplicate.into_iter().chain(ahead).take(room) {
            blocks.push(block.0, block.1);
        }
        blocks
    }

    /// Every segment carries the acknowledgement: what was due is done.
    fn acknowledged(&mut self, now: Instant) {
        let _ = now;
        self.ack_now = false;
        self.unacked_in = 0;
        self.clocks.delayed_ack = Instant::FAR;
        self.last_ack_sent = self.rcv_nxt;
    }

    /// An acknowledgement by itself, at once.
    pub fn send_ack(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        let seq = if self.snd_nxt.lt(self.snd_max) { self.snd_max } else { self.snd_nxt };
        let out = self.outgoing(env.now, flow, seq, TcpFlags::ACK);
        env.counters.acks_sent += 1;
        let _ = env.send(flow.path, out);
        self.acknowledged(env.now);
    }

    /// A segment before the window, which the peer must answer: for a closed window
    /// (RFC 9293 §3.8.6.1) and for keepalive (RFC 1122 §4.2.3.6).
    pub fn send_probe(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        let out = self.outgoing(env.now, flow, self.snd_una + u32::MAX, TcpFlags::ACK);
        let _ = env.send(flow.path, out);
        self.acknowledged(env.now);
    }

    /// A reset that the peer will accept (RFC 5961 §3).
    pub fn send_reset(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        let seq = if self.snd_nxt.lt(self.snd_max) { self.snd_max } else { self.snd_nxt };
        let mut out = self.outgoing(env.now, flow, seq, TcpFlags::RST);
        out.options = TcpOptions { timestamps: out.options.timestamps, ..TcpOptions::default() };
        env.counters.resets_sent += 1;
        let _ = env.send(flow.path, out);
    }

    /// The program took bytes: tell the peer when that opens the window by a worthwhile step.
    pub fn maybe_update_window(&mut self, env: &mut Env<'_>) {
        let left = self.window_left();
        let window = self.window();
        let step = (self.rx.limit() as u32 / 2).min(2 * self.rcv_mss.max(self.mss));
        if window > left && window - left >= step && !self.phase.receive_closed() {
            env.counters.window_updates_sent += 1;
            self.ack_now = true;
        }
    }
}

impl Connection {
    /// The peer took its window back after we had filled it: the oldest segment goes out again though
    /// there is no room for it, which is the probe that RFC 9293 §3.8.6 asks for.
    pub fn retransmit_into_shut_window(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        let len = self.data_len(self.snd_una, self.segment_room());
        let fin = self.phase.fin_outstanding() && self.snd_una + len == self.tx_end();
        self.window_probes += 1;
        let start = self.snd_una;
        self.send_data(env, flow, start, len, fin);
    }

    /// Sends what the peer's small window holds (at least one byte), as the override time-out asks.
    pub fn send_into_small_window(&mut self, env: &mut Env<'_>, flow: &mut Flow<'_>) {
        let have = self.tx_end().diff(self.snd_nxt).max(0) as u32;
        let len = have.min(self.snd_wnd).min(self.mss);
        let start = self.snd_nxt;
        if len > 0 && self.send_data(env, flow, start, len, false) {
            self.snd_nxt = start + len;
            self.snd_max = self.snd_nxt;
            self.clocks.persist = Instant::FAR;
        }
    }
}
