//! Bytes between a stream socket's pair and the engine's rings, and the ends of both.
//!
//! The program's close shows as EPOLLHUP on our end, its `shutdown(WR)` as EPOLLRDHUP alone. After
//! we have shut our own end down for writing (the peer's FIN), HUP may mean either; then nothing is
//! left to move, so the pair is closed and the socket buried: it still answers questions.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use errno::Errno;
use rustix::net::Shutdown as PairShutdown;
use stack::{Events, Instant, Shutdown, SockOpt, SocketId};

use super::pairs::STREAM_BUFFER;
use super::table::{Flow, Phase, Stream, Waiter, ready};
use super::{Shard, watch_room};
use crate::control::tcp_info;
use crate::sys;

/// Most bytes taken from one pair in one turn, so that one fast writer does not keep others waiting.
const TURN_BYTES: usize = 256 * 1024;
/// A read of fewer bytes than this, with more room offered, found the pair empty
/// (`shm::region::REGION_MIN`, the least that `fill_from` asks for).
const SHORT_READ: usize = shm::region::REGION_MIN;

/// How the taking of a pair's bytes came to rest.
enum Taken {
    /// Nothing more now, or no room.
    Rest,
    /// The turn's share is used up.
    More,
    /// The program closed with received bytes unread.
    Reset,
}

impl Shard {
    /// Does whatever the readiness of a stream socket's pair allows.
    pub(super) fn service_stream(&mut self, slot: u32, now: Instant) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        let phase = socket.phase();
        if phase == Some(Phase::Connected) {
            return self.pump(slot, now);
        }
        if phase == Some(Phase::Fresh) && socket.is(ready::READABLE) && !socket.is(ready::SUSPECT | ready::HANGUP) {
            // Fillers, as a rule: the call that they belong to comes in this turn.
            socket.set(ready::SUSPECT, true);
            return self.queue(slot);
        }
        // Nothing is read before there is a connection. A descriptor of the pair's other end, left lying
        // in the queue, would keep that end open for ever, with nobody there.
        let litter = socket.is(ready::READABLE) && socket.pair().is_some_and(sys::holds_more_than_fillers);
        if litter {
            self.counters.pairs_littered += 1;
        }
        if litter || socket.is(ready::HANGUP) {
            return self.discard(slot, now);
        }
        if phase == Some(Phase::Listening) {
            self.offer(slot, now);
        }
    }

    /// Moves bytes both ways, then looks whether the socket has come to its end.
    pub(super) fn pump(&mut self, slot: u32, now: Instant) {
        if self.has_rings(slot) {
            return self.pump_rings(slot, now);
        }
        match self.take_from_program(slot, now) {
            Taken::Rest => {}
            Taken::More => self.queue(slot),
            Taken::Reset => return self.abort(slot, now),
        }
        self.give_to_program(slot, now);
        self.tell_end(slot);
        self.finish_if_over(slot, now);
    }

    /// The program's bytes into the send ring, up to the FIN that its shutdown or close asks for.
    fn take_from_program(&mut self, slot: u32, now: Instant) -> Taken {
        let Shard { table, stack, scratch, counters, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return Taken::Rest };
        let id = socket.id;
        if socket.is(ready::ERROR) {
            return Taken::Reset;
        }
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return Taken::Rest };
        let hangup = socket.ready & (ready::HANGUP | ready::READ_HANGUP) != 0;
        let mut readable = socket.ready & ready::READABLE != 0;
        let mut taken = 0;
        let mut result = Taken::Rest;
        while readable && !stream.tx_ended {
            if taken >= TURN_BYTES {
                result = Taken::More;
                break;
            }
            let got = if stream.fillers > 0 {
                drop_fillers(stream, pair, scratch)
            } else if let Some((ring, pool)) = stack.tx_ring(id) {
                let want = ring.free().min(TURN_BYTES - taken);
                if want == 0 {
                    break; // until Events::WRITABLE
                }
                let got = ring.fill_from(pool, pair.as_fd(), want);
                if let Ok(n @ 1..) = got {
                    stack.sent(id);
                    taken += n;
                    readable = hangup || n >= want.min(SHORT_READ);
                }
                got
            } else {
                // The engine takes no more: what the program still writes is lost, as after a reset.
                let got = rustix::io::read(pair, &mut scratch[..]).map_err(io::Error::from);
                counters.bytes_after_end += got.as_ref().map_or(0, |n| *n as u64);
                got
            };
            match got {
                Ok(0) => {
                    stream.tx_ended = true;
                    stream.fin_after_drain = false;
                    let _ = stack.shutdown(now, id, Shutdown::Write);
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Taken::Reset,
            }
        }
        if !readable && stream.fin_after_drain {
            stream.fin_after_drain = false;
            stream.tx_ended = true;
            let _ = rustix::net::shutdown(pair, PairShutdown::Read);
            let _ = stack.shutdown(now, id, Shutdown::Write);
        }
        socket.set(ready::READABLE, readable);
        result
    }

    /// The receive ring into the pair.
    pub(super) fn give_to_program(&mut self, slot: u32, now: Instant) {
        let Shard { table, stack, epoll, pairs, .. } = self;
        let token = table.token(slot);
        let Some(socket) = table.get_mut(slot) else { return };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        while let Some(ring) = stack.rx_ring(id).filter(|r| !r.is_empty()) {
            if stream.rx_discard {
                let all = ring.len();
                stack.received(now, id, all);
                continue;
            }
            if socket.ready & ready::WRITABLE == 0 {
                break;
            }
            match ring.drain_to(pair.as_fd(), 0, usize::MAX) {
                Ok(0) => break,
                Ok(n) => stack.received(now, id, n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && !stream.roomy => {
                    stream.roomy = true;
                    pairs.send_buffer(pair, STREAM_BUFFER);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    socket.ready &= !ready::WRITABLE;
                    if socket.ready & ready::WATCHES_ROOM == 0 && watch_room(epoll, pair, token, true) {
                        socket.ready |= ready::WATCHES_ROOM;
                    }
                    return;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The program's end is closed, or shut down for reading.
                Err(_) if socket.ready & ready::HANGUP == 0 => stream.rx_discard = true,
                Err(_) => break,
            }
        }
        if socket.ready & (ready::WATCHES_ROOM | ready::WRITABLE) == ready::WATCHES_ROOM | ready::WRITABLE {
            // An edge for each read of the program's would wake us for nothing.
            watch_room(epoll, pair, token, false);
            socket.ready &= !ready::WATCHES_ROOM;
        }
    }

    /// The end of file behind the receive ring's bytes.
    pub(super) fn tell_end(&mut self, slot: u32) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        if !stream.rx_ended && self.stack.at_end(socket.id) {
            let _ = rustix::net::shutdown(pair, PairShutdown::Write);
            stream.rx_ended = true;
        }
    }

    pub(super) fn finish_if_over(&mut self, slot: u32, now: Instant) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        let (hangup, error, id) = (socket.is(ready::HANGUP), socket.is(ready::ERROR), socket.id);
        let Some(stream) = socket.stream() else { return };
        let over = stream.tx_ended && stream.rx_ended;
        // What lies unread on the pair of a socket in ring mode is tokens.
        let error = error && stream.ring.is_none();
        let unread = self.stack.held(id).is_some_and(|held| held.rx > 0);
        if error {
            self.abort(slot, now);
        } else if over {
            self.bury(slot, now);
        } else if hangup && unread {
            // RFC 9293 §3.6.1, RFC 1122 §4.2.2.13: closed with data unread, hence a reset.
            self.discard(slot, now);
        } else if hangup && stream.tx_ended {
            if stream.rx_discard { self.bury(slot, now) } else { self.discard(slot, now) }
        }
    }

    /// What the engine says of a stream socket.
    pub(super) fn stream_event(&mut self, id: SocketId, events: Events, now: Instant) {
        let Some(slot) = self.table.by_id(id) else { return };
        let Some(socket) = self.table.get_mut(slot) else { return };
        if events.contains(Events::FAILED) {
            return self.failed(slot, now);
        }
        let Some(stream) = socket.stream() else { return };
        match stream.phase {
            Phase::Connecting if events.contains(Events::CONNECTED) => {
                stream.phase = Phase::Connected;
                let waiter = stream.waiter.take();
                socket.set(ready::READABLE, true); // the fillers
                let (domain, owner) = (socket.domain, socket.owner);
                self.pump(slot, now);
                if let Some(Waiter { rcvid, restock }) = waiter {
                    let next = if restock { self.restock(now, domain, owner) } else { None };
                    self.reply(rcvid, Ok(next.unwrap_or_default()), now);
                }
            }
            Phase::Connected if stream.ring.is_some() => self.ring_event(slot, events, now),
            Phase::Connected => {
                if events.contains(Events::WRITABLE) && socket.is(ready::READABLE) {
                    self.queue(slot);
                }
                self.give_to_program(slot, now);
                self.tell_end(slot);
                self.finish_if_over(slot, now);
            }
            Phase::Listening if events.contains(Events::ACCEPTABLE) => self.offer(slot, now),
            _ => {}
        }
    }

    /// The connection ended in error, or could not be made. Our end is closed: bytes that the program
    /// has not read stay readable, then it sees the end and asks for SO_ERROR.
    fn failed(&mut self, slot: u32, now: Instant) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        let (id, mut hangup) = (socket.id, socket.is(ready::HANGUP));
        let error = self.stack.take_error(id).or(socket.error);
        socket.error = error;
        // The program may have closed since epoll was asked; once our end is closed, nobody would tell.
        if let (Flow::Stream(Stream { rx_ended: false, .. }), Some(pair)) = (&socket.flow, &socket.pair) {
            hangup |= sys::is_hung_up(pair.as_fd());
        }
        let Some(stream) = socket.stream() else { return };
        match stream.phase {
            _ if hangup => self.discard(slot, now),
            Phase::Connecting => {
                // The unread fillers make it POLLERR | POLLHUP.
                stream.connect_failed = true;
                let waiter = stream.waiter.take();
                self.bury(slot, now);
                // connect(2) tells the error, so that SO_ERROR has none left.
                if self.refuse(waiter, error.unwrap_or(Errno::ECONNABORTED))
                    && let Some(socket) = self.table.get_mut(slot)
                {
                    socket.error = None;
                }
            }
            Phase::Connected => {
                // Not through `tell_end`: the program must not take a reset for an end in good order.
                if self.gives_by_pair(slot) {
                    self.give_to_program(slot, now);
                }
                self.bury(slot, now);
            }
            _ => {}
        }
    }

    /// Closes our end and keeps the socket for questions. The engine's side goes, port and all, unless
    /// a connect failed, which may be tried again.
    fn bury(&mut self, slot: u32, now: Instant) {
        self.drop_rings(slot);
        let Shard { table, stack, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return };
        socket.pair = None;
        socket.ready = 0;
        let id = socket.id;
        let Some(stream) = socket.stream() else { return };
        stream.phase = Phase::Ended;
        stream.fillers = 0;
        if !stream.connect_failed {
            let local = stack.local_addr(id).unwrap_or_else(|_| (socket.domain.unspecified(), 0).into());
            socket.closed = Some(local);
            stack.close(now, id);
        }
        let owner = socket.owner.pid;
        if let Some(oldest) = self.table.bury(slot) {
            self.discard(oldest, now);
        }
        if !self.control.has_client_of(owner) {
            self.may_be_dying(owner, now);
        }
    }

    /// The program closed with bytes unread: a reset, whatever was still to be sent.
    pub(super) fn abort(&mut self, slot: u32, now: Instant) {
        if let Some(socket) = self.table.get(slot) {
            let _ = self.stack.set_option(now, socket.id, SockOpt::Linger(Some(0)));
        }
        self.discard(slot, now);
    }

    /// The last descriptor is gone: the socket too. A connection ends by itself in the engine.
    pub(crate) fn discard(&mut self, slot: u32, now: Instant) {
        let Some(mut socket) = self.table.remove(slot) else { return };
        if socket.closed.is_none() {
            self.stack.close(now, socket.id);
        }
        let waiter = socket.stream().and_then(|s| s.waiter.take());
        self.refuse(waiter, Errno::ECONNABORTED);
    }

    /// The instance ends: peers are told at once.
    pub(crate) fn close_all(&mut self, now: Instant) {
        let slots: Vec<u32> = self.table.slots().collect();
        for slot in slots {
            self.abort(slot, now);
        }
        self.settle(now);
    }

    // --- control calls ---------------------------------------------------------------------------

    /// connect(2) of a stream socket with `fillers` bytes on the pair.
    pub(crate) fn connect_stream(
        &mut self,
        slot: u32,
        peer: Option<core::net::SocketAddr>,
        fillers: u32,
        now: Instant,
    ) -> Result<(), Errno> {
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let Some(stream) = socket.stream() else { return Err(Errno::EBADF) };
        let before = stream.phase;
        if before == Phase::Fresh {
            socket.error = None; // of a life before
        }
        let id = socket.id;
        let result = match before {
            Phase::Fresh => self.stack.connect(now, id, peer),
            Phase::Connecting => Err(Errno::EALREADY),
            Phase::Connected | Phase::Listening => Err(Errno::EISCONN),
            Phase::Ended => Err(Errno::ECONNABORTED),
        };
        let Some(socket) = self.table.get_mut(slot) else { return result };
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return result };
        match result {
            Err(Errno::EINPROGRESS) => {
                stream.phase = Phase::Connecting;
                stream.fillers = fillers;
                socket.ready &= !ready::READABLE; // what comes now is more than fillers
            }
            _ if before == Phase::Fresh => {
                stream.fillers = fillers;
                while stream.fillers > 0 {
                    if !matches!(drop_fillers(stream, pair, &mut self.scratch), Ok(1..)) {
                        break;
                    }
                }
                stream.fillers = 0;
                socket.ready &= !(ready::READABLE | ready::SUSPECT);
                if result.is_ok() {
                    stream.phase = Phase::Connected;
                    socket.set(ready::READABLE, true);
                    self.queue(slot);
                }
            }
            _ => {}
        }
        result
    }

    /// Keeps a connect(2) waiting for the result of its handshake.
    pub(crate) fn answer_when_connected(&mut self, slot: u32, waiter: Waiter) {
        if let Some(stream) = self.table.get_mut(slot).and_then(|s| s.stream()) {
            stream.waiter = Some(waiter);
        }
    }

    /// Tells who waits that there is no connection. False when nobody waits, or does no more: a signal came,
    /// or the process died.
    pub(crate) fn refuse(&mut self, waiter: Option<Waiter>, error: Errno) -> bool {
        waiter.is_some_and(|w| self.control.error(w.rcvid, error).is_ok())
    }

    /// Whether Linux would call it connected: not any more once both ends have sent and acknowledged their FIN,
    /// though the engine may keep it in TIME-WAIT.
    pub(crate) fn is_connected(&self, id: SocketId, now: Instant) -> bool {
        let held = self.stack.tcp_info(now, id).map(|i| !matches!(i.state, tcp_info::TIME_WAIT | tcp_info::CLOSED));
        held.unwrap_or_else(|| self.stack.departing_peer(id).is_some())
    }

    /// shutdown(2) of a stream socket.
    pub(crate) fn shutdown_stream(&mut self, slot: u32, how: Shutdown, now: Instant) -> Result<(), Errno> {
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else {
            return if self.is_connected(id, now) { Ok(()) } else { Err(Errno::ENOTCONN) };
        };
        match stream.phase {
            // What is in the ring is the program's to take: it goes back to pair mode first.
            Phase::Connected if how != Shutdown::Write && stream.ring.is_some() => Err(Errno::EBUSY),
            Phase::Connected => {
                if how != Shutdown::Write {
                    let _ = self.stack.shutdown(now, id, Shutdown::Read);
                    let _ = rustix::net::shutdown(pair, PairShutdown::Write);
                    stream.rx_discard = true;
                    stream.rx_ended = true;
                }
                if how != Shutdown::Read && !stream.tx_ended {
                    stream.fin_after_drain = true;
                    socket.ready |= ready::READABLE;
                }
                self.queue(slot);
                Ok(())
            }
            Phase::Listening | Phase::Connecting if how != Shutdown::Write || stream.phase == Phase::Connecting => {
                let result = self.stack.shutdown(now, id, how);
                if result.is_ok() {
                    let _ = rustix::net::shutdown(pair, PairShutdown::Write);
                    if stream.phase == Phase::Listening {
                        // What remains is a socket that is bound; its pair is used up.
                        *stream = Stream::new(Phase::Fresh);
                    }
                }
                result
            }
            Phase::Listening => Ok(()),
            Phase::Fresh | Phase::Connecting | Phase::Ended => Err(Errno::ENOTCONN),
        }
    }
}

/// Reads fillers away, never more; what read(2) says.
fn drop_fillers(stream: &mut Stream, pair: &OwnedFd, scratch: &mut [u8]) -> io::Result<usize> {
    let want = (stream.fillers as usize).min(scratch.len());
    let got = rustix::io::read(pair, &mut scratch[..want])?;
    stream.fillers -= got as u32;
    Ok(got)
}
