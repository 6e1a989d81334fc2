//! TIME_WAIT: what is left of a connection whose both sides have closed, and what a late segment, or a new
//! connection of the same name, makes of it (RFC 9293 §3.6.1, §3.10.7.4, RFC 1122 §4.2.2.13, RFC 6191).

use shm::Pool;
use wire::tcp::{SeqNr, TcpFlags, TcpOptions};

use super::Tcp;
use super::connection::Timestamps;
use super::endpoint::{FlowKey, State};
use super::options::Options;
use super::segment::{Env, Outgoing, Segment};
use crate::net::{Net, Path};
use crate::socket::Events;
use crate::time::Instant;

/// All that is left of a connection in TIME_WAIT.
#[derive(Debug)]
pub struct TimeWait {
    pub snd_nxt: SeqNr,
    pub rcv_nxt: SeqNr,
    pub window: u16,
    pub timestamps: Option<Timestamps>,
    pub until: Instant,
}

/// What a segment left of TIME_WAIT.
enum AfterSegment {
    Waits,
    Gone { reused: bool },
}

impl TimeWait {
    /// The acknowledgement that a stray segment gets.
    pub fn acknowledge(&self, env: &mut Env<'_>, local: u16, peer: u16, path: &mut Path, options: &Options) {
        let out = Outgoing {
            src_port: local,
            dst_port: peer,
            seq: self.snd_nxt,
            ack: Some(self.rcv_nxt),
            flags: TcpFlags::ACK,
            window: self.window,
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
}

impl Tcp {
    /// RFC 9293 §3.6.1: what remains for twice the maximum segment lifetime.
    pub(super) fn enter_time_wait(&mut self, net: &mut Net, pool: &mut Pool, now: Instant, index: u32) {
        while let Some(&(oldest, generation)) = self.waiting.front()
            && !(self.table.is(oldest, generation) && matches!(self.table.at(oldest).state, State::TimeWait(_)))
        {
            self.waiting.pop_front();
        }
        if self.time_waits >= self.settings.time_wait_max {
            self.evict_time_wait(pool);
        }
        let until = now + self.settings.time_wait;
        let endpoint = self.table.at_mut(index);
        let State::Open(c) = &mut endpoint.state else { return };
        let wait = TimeWait {
            snd_nxt: c.snd_max,
            rcv_nxt: c.rcv_nxt,
            window: (c.window() >> c.rcv_scale).min(65_535) as u16,
            timestamps: c.timestamps,
            until,
        };
        // The last acknowledgement may be due still.
        let ack_due = c.ack_now;
        c.tx.release(pool);
        let mut rx = std::mem::take(&mut c.rx);
        rx.refresh();
        endpoint.state = State::TimeWait(Box::new(wait));
        self.time_waits += 1;
        self.waiting.push_back((index, endpoint.generation));
        self.counters.closed += 1;
        if endpoint.held {
            if !rx.is_empty() {
                endpoint.leftover = Some(Box::new(rx));
            }
            endpoint.events |= Events::CLOSED;
        } else {
            rx.release(pool);
        }
        if ack_due {
            self.with(net, pool, now, index, |env, e| {
                let (local, peer) = (e.local.port(), e.peer.map_or(0, |p| p.port()));
                if let (State::TimeWait(t), Some(path)) = (&e.state, &mut e.path) {
                    t.acknowledge(env, local, peer, path, &e.options);
                }
            });
        }
        self.settle(index);
    }

    /// True when the segment is dealt with. RFC 9293 §3.10.7.4 in TIME_WAIT, with RFC 1122 §4.2.2.13 and RFC 6191 for a new SYN where
    /// somebody `listens` for it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn on_time_wait(
        &mut self,
        net: &mut Net,
        pool: &mut Pool,
        now: Instant,
        index: u32,
        segment: &Segment<'_>,
        listens: bool,
    ) -> bool {
        let time_wait = self.settings.time_wait;
        let after = self.with(net, pool, now, index, |env, e| {
            let (local, peer) = (e.local.port(), e.peer.map_or(0, |p| p.port()));
            let State::TimeWait(t) = &mut e.state else { return AfterSegment::Waits };
            if listens && segment.header.flags.without(TcpFlags::PSH) == TcpFlags::SYN {
                // RFC 6191 §2: a timestamp of before says old, one of after new, whatever the number.
                let age = match (t.timestamps, segment.options.timestamps) {
                    (Some(ts), Some((value, _))) => value.wrapping_sub(ts.recent) as i32,
                    _ => 0,
                };
                if age > 0 || (age == 0 && segment.seq().gt(t.rcv_nxt)) {
                    return AfterSegment::Gone { reused: true };
                }
            }
            // Second, RST: RFC 9293 §3.10.7.4, with the exact number of RFC 5961 §3.2. (RFC 1337 would pass
            // it over; Linux has that as an option that is off.)
            if segment.has(TcpFlags::RST) {
                let exact = segment.seq() == t.rcv_nxt;
                return if exact { AfterSegment::Gone { reused: false } } else { AfterSegment::Waits };
            }
            // The peer's FIN once more, not just any.
            if segment.has(TcpFlags::FIN) && segment.end() == t.rcv_nxt {
                t.until = env.now + time_wait;
            }
            if segment.seq_len() > 0 || segment.seq() != t.rcv_nxt {
                if let Some(path) = e.path.as_deref_mut() {
                    t.acknowledge(env, local, peer, path, &e.options);
                }
            }
            AfterSegment::Waits
        });
        let AfterSegment::Gone { reused } = after else {
            self.settle(index);
            return true;
        };
        if reused {
            self.counters.time_wait_reused += 1;
            self.note_old_numbers(index);
        }
        self.end(pool, index, None);
        !reused
    }

    /// A TIME_WAIT connection is about to give way to a new one of the same addresses and ports.
    pub(super) fn note_old_numbers(&mut self, index: u32) {
        let e = self.table.at(index);
        if let (State::TimeWait(t), Some(key)) = (&e.state, e.key()) {
            self.reused = Some((key, t.snd_nxt));
        }
    }

    /// The initial sequence number of a new connection: beyond all that a connection of the same name,
    /// which ended just now, can have sent (RFC 1122 §4.2.2.13).
    pub(super) fn initial_number(&mut self, now: Instant, key: &FlowKey) -> SeqNr {
        /// More than that connection's last window without scaling, as Linux has it.
        const BEYOND: u32 = 65_535 + 2;
        let isn = self.secrets.isn(now, key.local, key.peer);
        match self.reused.take() {
            Some((old, snd_nxt)) if old == *key && isn.lt(snd_nxt + BEYOND) => snd_nxt + BEYOND,
            _ => isn,
        }
    }

    pub(super) fn evict_time_wait(&mut self, pool: &mut Pool) {
        while let Some((index, generation)) = self.waiting.pop_front() {
            if self.table.is(index, generation) && matches!(self.table.at(index).state, State::TimeWait(_)) {
                self.counters.time_wait_evicted += 1;
                self.end(pool, index, None);
                return;
            }
        }
    }
}
