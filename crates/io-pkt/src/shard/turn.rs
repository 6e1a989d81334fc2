//! One turn of a shard's loop.

use std::io;
use std::os::fd::AsFd;

use stack::Instant;

use super::datagram::Delivery;
use super::table::{Phase, ready};
use super::{End, Shard, now, token};
use crate::{links, sys};

/// Kernel events taken at a time.
const EVENTS: usize = 256;
/// Kernel events taken before each control message.
const EVENTS_BEFORE_REQUEST: usize = 64;
/// Rounds of flush and events before the frames go out anyway.
const ROUNDS: usize = 64;
/// Control messages handled in one turn.
const REQUESTS: usize = 64;

impl Shard {
    /// Runs until a signal or a request ends it. What is open is closed by dropping the shard.
    pub fn run(&mut self) -> io::Result<End> {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            self.turn(&mut events)?;
            if let Some(end) = self.end {
                return Ok(end);
            }
        }
    }

    fn turn(&mut self, events: &mut [libc::epoll_event]) -> io::Result<()> {
        let timeout = self.sleep();
        let n = match self.wait.events(self.epoll.as_fd(), events, timeout) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e),
        };
        let now = now();
        for event in &events[..n] {
            self.note(event.u64, event.events);
        }
        self.receive_frames(now);
        self.work(now);
        if self.asked || self.control.has_pending() {
            self.asked = (0..REQUESTS).all(|_| self.handle_request(now));
        }
        self.run_retries(now);
        self.look_for_the_dead(now);
        if self.stack.next_deadline() <= now {
            let Shard { stack, table, counters, errors, packets, .. } = self;
            let mut sink = Delivery { table, counters, errors, packets };
            stack.handle_timeout(now, &mut sink);
        }
        self.settle(now);
        self.be_thrifty(now);
        Ok(())
    }

    /// Takes what programs did before a control message: what they wrote and closed comes before
    /// what they ask, as it would in a kernel.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_BEFORE_REQUEST];
        let n = sys::epoll_wait(self.epoll.as_fd(), &mut events, Some(0)).unwrap_or(0);
        for event in &events[..n] {
            self.note(event.u64, event.events);
        }
        self.work(now);
    }

    /// Serves the sockets that have something to do.
    fn work(&mut self, now: Instant) {
        for _ in 0..self.work.len() {
            let Some(slot) = self.work.pop_front() else { break };
            self.service(slot, now);
        }
    }

    /// How long nothing will happen by itself, in nanoseconds; `None` for ever.
    fn sleep(&self) -> Option<u64> {
        if !self.work.is_empty() || self.asked || self.control.has_pending() || self.links.has_pending() {
            return Some(0);
        }
        let deadline = self
            .stack
            .next_deadline()
            .min(self.retry_at)
            .min(self.links.next_deadline())
            .min(self.thrift.at)
            .min(self.departed.at);
        (deadline != Instant::FAR).then(|| {
            let us = deadline.0.saturating_sub(now().0);
            us.saturating_mul(1000)
        })
    }

    fn note(&mut self, token: u64, events: u32) {
        match token {
            token::CONTROL => self.asked = true,
            token::SIGNALS => {
                while let Some(signal) = sys::take_signal(self.signals.as_fd()) {
                    self.end = Some(End::Signal(signal));
                }
            }
            t if t >= links::TOKEN => self.links.note(t & !links::TOKEN, events),
            _ => {
                let Some(slot) = self.table.by_token(token) else { return };
                let Some(socket) = self.table.get_mut(slot) else { return };
                let bits = [
                    (libc::EPOLLIN, ready::READABLE),
                    (libc::EPOLLOUT, ready::WRITABLE),
                    (libc::EPOLLRDHUP, ready::READ_HANGUP | ready::READABLE),
                    (libc::EPOLLHUP, ready::HANGUP | ready::READABLE),
                    (libc::EPOLLERR, ready::ERROR),
                ];
                for (bit, flags) in bits {
                    if events & bit as u32 != 0 {
                        socket.set(flags, true);
                    }
                }
                self.queue(slot);
            }
        }
    }

    fn service(&mut self, slot: u32, now: Instant) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        socket.set(ready::QUEUED, false);
        match socket.phase() {
            None => self.service_datagrams(slot, now),
            Some(Phase::Ended) => {}
            Some(_) => self.service_stream(slot, now),
        }
    }

    fn receive_frames(&mut self, now: Instant) {
        let Shard { links, stack, table, counters, errors, packets, .. } = self;
        let mut sink = Delivery { table, counters, errors, packets };
        links.receive(now, stack, &mut sink);
    }

    /// Lets the engine act until it is quiet, then sends its frames.
    pub(crate) fn settle(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            let Shard { stack, table, counters, errors, packets, .. } = self;
            let mut sink = Delivery { table, counters, errors, packets };
            stack.flush(now, &mut sink);
            let mut acted = false;
            while let Some((id, events)) = self.stack.poll_event() {
                acted = true;
                self.stream_event(id, events, now);
            }
            self.report_errors();
            if !acted {
                break;
            }
        }
        let Shard { links, stack, batch, packets, news, .. } = self;
        links.run_protocols(now, stack, packets);
        batch.clear();
        stack.take_transmit(batch);
        links.transmit(batch);
        batch.clear(); // lets the slices of rings go
        links.apply_requests(stack);
        news.tell(now, stack.net.take_config_events());
    }
}
