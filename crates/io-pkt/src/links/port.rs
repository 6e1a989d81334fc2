//! One link: its driver's queue, the frames that wait for it, the captures on it, and its
//! descriptors in epoll.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use errno::Errno;
use rustix::event::epoll::{self, EventData, EventFlags};
use stack::{Instant, LinkId, RxCsum, RxFrame, Sink, Stack, TxBatch, TxFrame};

use super::TOKEN;
use super::penalty::Penalty;
use crate::capture::Capture;
use crate::modules::{self, FramePool, LinkDevice, LinkQueue, Packet};
use crate::protocols::Protocols;

/// Frames received by one call to a driver.
pub(super) const RX_BURST: usize = 64;
/// Bursts taken from one link in one turn.
const TURN_BURSTS: usize = 4;
/// Frames kept for a link that takes no more for now; those beyond are dropped.
const BACKLOG_MAX: usize = 1024;

/// What this side of a link counts; the engine counts what goes well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    pub rx_errors: u64,
    pub tx_errors: u64,
    /// The driver had no room for a frame that came.
    pub rx_dropped: u64,
    /// No room in the driver, nor in our queue; or given up by the driver.
    pub tx_dropped: u64,
}

/// A frame that waits until its link takes frames again.
pub(super) struct Waiting {
    pub(super) head: Vec<u8>,
    pub(super) slices: Vec<shm::Slice>,
    pub(super) offload: abi::Offload,
}

/// What ENODEV from a driver makes of its link: down for good, and its driver is not called for frames
/// any more. `ifconfig X destroy` takes it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    /// The engine does not know yet.
    Lost,
    Gone,
}

pub(super) struct Port {
    pub(super) id: LinkId,
    // The queue goes before the device: it is the one that answers ENODEV meanwhile.
    pub(super) queue: LinkQueue,
    pub(super) device: LinkDevice,
    pub(super) pool: FramePool,
    pub(super) backlog: VecDeque<Waiting>,
    pub(super) captures: Vec<Capture>,
    pub(super) counters: PortCounters,
    pub(super) fd: Option<RawFd>,
    pub(super) tx_fd: Option<RawFd>,
    pub(super) readable: bool,
    /// Waits for the driver to poll writable.
    pub(super) wants_room: bool,
    pub(super) penalty: Penalty,
    pub(super) presence: Presence,
    pub(super) flags: abi::LinkFlags,
}

impl Port {
    /// What was counted here and, of drops, by the driver.
    pub(super) fn counters(&mut self) -> PortCounters {
        let mut counters = self.counters;
        // What a driver does not keep is zero.
        if let Ok(driver) = self.device.stats() {
            counters.rx_dropped = counters.rx_dropped.saturating_add(driver.rx_dropped);
            counters.tx_dropped = counters.tx_dropped.saturating_add(driver.tx_dropped);
        }
        counters
    }

    /// Up to a turn's bursts. True: the link is drained.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        sink: &mut dyn Sink,
        protocols: &mut Protocols,
    ) -> Result<bool, Errno> {
        for _ in 0..TURN_BURSTS {
            let n = self.queue.rx(&mut self.pool)?;
            if n == 0 {
                return Ok(true);
            }
            let empty = RxFrame { data: &[], csum: RxCsum::Unknown, gso_size: None };
            let mut frames = [empty; RX_BURST];
            for (to, from) in frames.iter_mut().zip(self.pool.frames()) {
                *to = modules::rx_frame(from);
            }
            let frames = &frames[..n.min(RX_BURST)];
            if !self.captures.is_empty() {
                self.captures.retain_mut(|c| frames.iter().all(|f| c.received(f.data).is_ok()));
            }
            if protocols.is_empty() {
                stack.handle_frames(now, self.id, frames, sink);
            } else {
                for frame in frames {
                    if !protocols.input_frame(self.id, frame.data) {
                        stack.handle_frames(now, self.id, std::slice::from_ref(frame), sink);
                    }
                }
            }
            let drained = n < self.pool.burst();
            self.queue.done(&mut self.pool);
            if drained {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn send(&mut self, batch: &TxBatch, frames: &[TxFrame]) {
        if !self.captures.is_empty() {
            self.captures.retain_mut(|c| frames.iter().all(|f| c.sent(batch, f).is_ok()));
        }
        if self.presence != Presence::There {
            self.counters.tx_errors += frames.len() as u64;
            return;
        }
        let mut sent = 0;
        if self.backlog.is_empty() {
            sent = match self.queue.tx(frames.iter().map(|f| modules::packet(batch, f))) {
                Ok(n) => n,
                Err(Errno::EAGAIN | Errno::ENOBUFS) => 0,
                Err(error) => {
                    self.counters.tx_errors += frames.len() as u64;
                    self.note_loss(error);
                    return;
                }
            };
        }
        for frame in &frames[sent..] {
            let Packet { head, slices, offload } = modules::packet(batch, frame);
            self.keep(Waiting { head: head.to_vec(), slices: slices.to_vec(), offload });
        }
    }

    pub(super) fn keep(&mut self, frame: Waiting) {
        if self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back(frame);
        } else {
            self.counters.tx_dropped += 1;
        }
    }

    pub(super) fn send_backlog(&mut self) {
        let packets = self.backlog.iter().map(|w| Packet { head: &w.head, slices: &w.slices, offload: w.offload });
        match self.queue.tx(packets) {
            Ok(n) => drop(self.backlog.drain(..n)),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => {}
            Err(error) => {
                self.drop_backlog();
                self.note_loss(error);
            }
        }
    }

    fn drop_backlog(&mut self) {
        self.counters.tx_errors += self.backlog.len() as u64;
        self.backlog.clear();
    }

    fn note_loss(&mut self, error: Errno) {
        if error == Errno::ENODEV && self.presence == Presence::There {
            self.presence = Presence::Lost;
        }
    }

    /// The driver said ENODEV: nothing is expected of it any more.
    pub(super) fn lose(&mut self, epoll: &OwnedFd) {
        self.presence = Presence::Lost;
        self.unwatch(epoll);
        self.drop_backlog();
        (self.readable, self.wants_room) = (false, false);
    }

    /// Tells the engine of a loss, once.
    pub(super) fn tell_loss(&mut self, now: Instant, stack: &mut Stack) {
        if self.presence == Presence::Lost {
            self.presence = Presence::Gone;
            tracing::warn!("{}: the driver says that the device is gone", self.device.name());
            stack.net.set_link_state(now, self.id, false, None);
        }
    }

    /// Has the driver's descriptor watched, or not at all: one that polls with an error would be
    /// reported whatever one asks for.
    pub(super) fn watch_rx(&self, epoll: &OwnedFd, place: usize, on: bool) {
        let Some(fd) = self.fd else { return };
        if !on {
            let _ = epoll::delete(epoll, borrow(fd));
            return;
        }
        let mut flags = EventFlags::IN;
        if self.wants_room && self.tx_fd == self.fd {
            flags |= EventFlags::OUT;
        }
        let _ = epoll::add(epoll, borrow(fd), EventData::new_u64(TOKEN | (place as u64) << 1), flags);
    }

    /// Watches for the driver's room, or stops to.
    pub(super) fn watch_room(&mut self, epoll: &OwnedFd, place: u64, on: bool) {
        self.wants_room = on;
        let Some(tx_fd) = self.tx_fd else {
            self.wants_room = false; // tried again each turn
            return;
        };
        if self.fd == Some(tx_fd) {
            let flags = if on { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let _ = epoll::modify(epoll, borrow(tx_fd), EventData::new_u64(TOKEN | place << 1), flags);
        } else if on {
            let _ = epoll::add(epoll, borrow(tx_fd), EventData::new_u64(TOKEN | place << 1 | 1), EventFlags::OUT);
        } else {
            let _ = epoll::delete(epoll, borrow(tx_fd));
        }
    }

    pub(super) fn unwatch(&self, epoll: &OwnedFd) {
        for fd in [self.fd, self.tx_fd].into_iter().flatten() {
            let _ = epoll::delete(epoll, borrow(fd));
        }
    }
}

/// A driver's descriptor, for a call to epoll.
pub(super) fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    crate::sys::borrow_for_call(fd)
}
