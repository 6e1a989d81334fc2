//! Listeners: each connection that the engine completed becomes one message on the listener's pair,
//! with the new pair's end attached. What the program has not taken yet counts against the backlog.

use std::os::fd::{AsFd, OwnedFd};

use errno::Errno;
use sockets::WireAddr;
use sockets::call::AcceptMessage;
use stack::Instant;

use super::pairs::{Pair, Purpose};
use super::table::{Flow, NewSocket, Phase, Stream, ready};
use super::{Shard, watch, watch_room};
use crate::sys;

/// What one message with a descriptor costs in SO_SNDBUF until one has been measured, in bytes.
const MESSAGE_COST: usize = 768;
/// EPOLLOUT comes when the queue has fallen to a quarter of SO_SNDBUF (the kernel's
/// `unix_writable`), hence room for four times the backlog.
const ROOM_FACTOR: usize = 4;
/// When the kernel had no descriptor or no room for one in flight, the listener is tried again.
pub(super) const RETRY: stack::Duration = stack::Duration::from_millis(50);

/// What only listeners have.
#[derive(Debug)]
pub struct Listener {
    backlog: usize,
    /// Bytes of send queue that one message takes.
    cost: usize,
    /// Accepted in the engine, and the pair had no room for its message.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    program: OwnedFd,
    message: [u8; AcceptMessage::LEN],
}

impl Shard {
    /// listen(2): the pair becomes the queue of accepted connections.
    pub(crate) fn listen(&mut self, slot: u32, backlog: i32, now: Instant) -> Result<(), Errno> {
        let somaxconn = self.stack.config().somaxconn;
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else {
            return Err(Errno::EOPNOTSUPP);
        };
        if !matches!(stream.phase, Phase::Fresh | Phase::Listening) {
            return Err(Errno::EINVAL);
        }
        // listen(2): a negative backlog means the most, as in Linux's unsigned comparison.
        let backlog = usize::try_from(backlog).unwrap_or(somaxconn).min(somaxconn);
        self.stack.listen(id, backlog)?;
        self.pairs.send_buffer(pair, (backlog + 1) * MESSAGE_COST * ROOM_FACTOR);
        match &mut stream.listener {
            Some(listener) => listener.backlog = backlog,
            None => stream.listener = Some(Box::new(Listener { backlog, cost: MESSAGE_COST, held: None })),
        }
        stream.phase = Phase::Listening;
        self.offer(slot, now);
        Ok(())
    }

    /// Hands over what can be handed over, and tells the engine how much waits.
    pub(super) fn offer(&mut self, slot: u32, now: Instant) {
        loop {
            match self.hand_over_held(slot) {
                Ok(()) => {}
                Err(later) => {
                    self.watch_listener(slot, true);
                    if later {
                        self.retry_later(slot, now);
                    }
                    break;
                }
            }
            if !self.accept_one(slot, now) {
                break;
            }
        }
        self.count_unclaimed(slot);
    }

    /// Sends the held connection's message. `Err(true)`: no event will say when to try again.
    fn hand_over_held(&mut self, slot: u32) -> Result<(), bool> {
        let Some(socket) = self.table.get_mut(slot) else { return Ok(()) };
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return Ok(()) };
        let Some(listener) = &mut stream.listener else { return Ok(()) };
        let Some(held) = listener.held.take() else { return Ok(()) };
        let empty = sys::send_queue(pair.as_fd()).is_ok_and(|n| n == 0);
        match sys::send_with_descriptor(pair.as_fd(), &held.message, held.program.as_fd()) {
            Ok(_) => {
                if empty && let Ok(cost @ 1..) = sys::send_queue(pair.as_fd()) {
                    listener.cost = cost;
                }
                Ok(())
            }
            Err(e) => match e.raw_os_error() {
                Some(libc::EAGAIN) => {
                    listener.held = Some(held);
                    Err(false)
                }
                Some(libc::ETOOMANYREFS | libc::ENOBUFS | libc::ENOMEM | libc::EINTR) => {
                    listener.held = Some(held);
                    self.counters.accept_full += 1;
                    Err(true)
                }
                // The program's end is shut down: the connection's end closes, its peer is told.
                _ => Ok(()),
            },
        }
    }

    /// Takes one connection from the engine into `held`. False when there is none, or no descriptor.
    fn accept_one(&mut self, slot: u32, now: Instant) -> bool {
        let Some(socket) = self.table.get(slot) else { return false };
        let (listener, domain, kind, protocol, owner) =
            (socket.id, socket.domain, socket.kind, socket.protocol, socket.owner);
        // The pair comes first: a connection once taken cannot be given back.
        let pair = match self.spare.take().map_or_else(|| self.pairs.make(Purpose::ConnectedStream), Ok) {
            Ok(pair) => pair,
            Err(_) => {
                self.counters.descriptors_exhausted += 1;
                self.retry_later(slot, now);
                return false;
            }
        };
        let Some(id) = self.stack.accept(listener) else {
            self.spare = Some(pair);
            return false;
        };
        let Pair { ours, program, cookie } = pair;
        let flow = Flow::Stream(Stream::new(Phase::Connected));
        let new = self.table.insert(NewSocket { id, domain, kind, protocol, owner, flow });
        if watch(&self.epoll, &ours, self.table.token(new)).is_err() {
            self.counters.descriptors_exhausted += 1;
            self.abort(new, now);
            return true;
        }
        self.table.attach(new, ours, cookie);
        let addr = |a: Result<core::net::SocketAddr, Errno>| a.map_or(WireAddr::UNSPEC, WireAddr::from);
        let (peer, local) = (addr(self.stack.peer_addr(id)), addr(self.stack.local_addr(id)));
        let Some(connection) = self.table.get_mut(new) else { return true };
        connection.set(ready::WRITABLE, true);
        let message = AcceptMessage { info: connection.info(), peer, local }.to_bytes();
        self.queue(new); // bytes may wait already
        if let Some(listener) = self.table.get_mut(slot).and_then(|s| s.stream()).and_then(|s| s.listener.as_mut()) {
            listener.held = Some(Held { program, message });
        }
        true
    }

    /// Messages in the pair, counted by the send queue, and the held one. Near the backlog, the
    /// program's reading is watched, so that the engine hears of it.
    fn count_unclaimed(&mut self, slot: u32) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        let Some(listener) = &stream.listener else { return };
        let queued = sys::send_queue(pair.as_fd()).unwrap_or(0).div_ceil(listener.cost);
        let unclaimed = queued + usize::from(listener.held.is_some());
        let pressed = listener.held.is_some() || (unclaimed > 0 && unclaimed * 2 >= listener.backlog);
        self.stack.set_unclaimed(id, unclaimed);
        self.watch_listener(slot, pressed);
    }

    /// Brings the counts up to date for one who asks; no event tells of a program that accepts at ease.
    pub(crate) fn count_all_unclaimed(&mut self) {
        let listeners: Vec<u32> = self
            .table
            .slots()
            .filter(|s| self.table.get(*s).is_some_and(|s| s.phase() == Some(Phase::Listening)))
            .collect();
        for slot in listeners {
            self.count_unclaimed(slot);
        }
    }

    fn watch_listener(&mut self, slot: u32, on: bool) {
        let token = self.table.token(slot);
        let Some(socket) = self.table.get_mut(slot) else { return };
        let Some(pair) = &socket.pair else { return };
        if (socket.ready & ready::WATCHES_ROOM != 0) != on && watch_room(&self.epoll, pair, token, on) {
            socket.set(ready::WATCHES_ROOM, on);
        }
    }

    fn retry_later(&mut self, slot: u32, now: Instant) {
        let token = self.table.token(slot);
        if !self.retries.contains(&token) {
            self.retries.push(token);
        }
        self.retry_at = self.retry_at.min(now + RETRY);
    }

    /// Listeners that no event will wake are looked at again.
    pub(super) fn run_retries(&mut self, now: Instant) {
        if now < self.retry_at {
            return;
        }
        self.retry_at = Instant::FAR;
        for token in std::mem::take(&mut self.retries) {
            if let Some(slot) = self.table.by_token(token) {
                self.offer(slot, now);
            }
        }
    }
}
