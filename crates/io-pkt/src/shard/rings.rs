//! Ring mode (`docs/rings.md`): a hot stream's bytes lie in memory that its program shares, and only tokens travel
//! through the pair. The program asks for each change; the daemon makes it between two turns of its loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use errno::Errno;
use shm::socket::{Arena, Cleared, DaemonMode, Mode, ReceiveBuffer, Repeat, SendBuffer, Sizes};
use stack::{Duration, Events, Instant, Shutdown};

use super::Shard;
use super::table::{Flow, Phase, ready};
use crate::sys;

/// Bytes of a ring, at least; more where what is held would not fit.
const RING_BYTES: usize = 1 << 20;
/// Bytes of a ring at most, and on a path whose round trip is longer than [`NEAR`].
const RING_BYTES_MAX: usize = 4 << 20;
/// A path with a round trip below this keeps no more than [`RING_BYTES`] in flight.
const NEAR: Duration = Duration::from_millis(1);
/// Bytes of all rings of an instance. Beyond, sockets stay in pair mode.
const MEMORY_MAX: usize = 256 << 20;
/// Looks for what the program reads just now, before it is left for the next turn.
const LOOKS: usize = 4;
/// Calls for the tokens of a pair: a program that goes on writing is not followed.
const READS: usize = 64;

/// Bytes of rings handed out, of all sockets.
#[derive(Debug, Default)]
pub(super) struct Memory(Arc<AtomicUsize>);

/// A connection's part of [`Memory`], until it is dropped: with the send ring, which outlives the socket.
#[derive(Debug)]
struct Share {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Memory {
    fn take(&self, bytes: usize) -> Option<Share> {
        let after = self.0.load(Relaxed) + bytes;
        (after <= MEMORY_MAX).then(|| {
            self.0.store(after, Relaxed);
            Share { all: self.0.clone(), bytes }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Relaxed);
    }
}

/// Why a stream is in pair mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairBecause {
    /// The program has not asked for more: too little has been moved, others have the socket too, or it is
    /// used past the library.
    #[default]
    NotAsked,
    /// It asked, and something would not have fitted or was on its way.
    PutOff,
    NoMemory,
    /// It was in ring mode, and something was about to be done that needs pair mode.
    Left,
}

impl PairBecause {
    pub fn name(self) -> &'static str {
        match self {
            PairBecause::NotAsked => "pair",
            PairBecause::PutOff => "pair (ring put off)",
            PairBecause::NoMemory => "pair (no memory for rings)",
            PairBecause::Left => "pair (ring left)",
        }
    }
}

/// What a stream socket shares with its program.
pub struct SharedRings {
    arena: Arena,
    mode: DaemonMode,
    /// Until ring mode has begun; then the engine has them.
    ends: Option<(SendBuffer, ReceiveBuffer)>,
}

impl SharedRings {
    /// `None` in pair mode.
    pub fn name(&self) -> Option<&'static str> {
        (self.mode.now() == Mode::Ring).then_some("ring")
    }
}

impl std::fmt::Debug for SharedRings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedRings({:?})", self.mode.now())
    }
}

impl Shard {
    /// The mode of a socket that has an arena.
    fn mode(&self, slot: u32) -> Option<Mode> {
        match &self.table.get(slot)?.flow {
            Flow::Stream(stream) => stream.ring.as_ref().map(|rings| rings.mode.now()),
            Flow::Datagram(_) => None,
        }
    }

    pub(super) fn has_rings(&self, slot: u32) -> bool {
        self.mode(slot).is_some()
    }

    /// Whether bytes go to the program by writing them to the pair.
    pub(super) fn gives_by_pair(&self, slot: u32) -> bool {
        self.mode(slot).is_none_or(|mode| mode == Mode::Pair)
    }

    /// Memory for ring mode; the descriptor is the program's.
    ///
    /// Errors: ENOTCONN without a connection, EALREADY in ring mode, ENOBUFS when all that may be shared is, what
    /// memfd_create(2) and mmap(2) say.
    pub(crate) fn make_arena(&mut self, slot: u32) -> Result<OwnedFd, Errno> {
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return Err(Errno::ENOTCONN) };
        if stream.phase != Phase::Connected || stream.rx_ended || stream.tx_ended || stream.fillers > 0 {
            return Err(Errno::ENOTCONN);
        }
        if stream.ring.as_ref().is_some_and(|r| r.ends.is_none()) {
            return Err(Errno::EALREADY);
        }
        stream.ring = None;
        let held = self.stack.held(id).ok_or(Errno::ENOTCONN)?;
        let far = held.round_trip.is_some_and(|t| t >= NEAR);
        let least = if far { RING_BYTES_MAX } else { RING_BYTES };
        let size = |n: usize| n.next_power_of_two().clamp(least, RING_BYTES_MAX) as u32;
        let coming = rustix::io::ioctl_fionread(pair).unwrap_or(0) as usize;
        let going = sys::send_queue(pair.as_fd()).unwrap_or(0);
        let sizes = Sizes { tx: size(held.tx + coming), rx: size(held.rx + held.window + going) };
        let Some(memory) = self.ring_memory.take(sizes.tx as usize + sizes.rx as usize) else {
            stream.pair_because = PairBecause::NoMemory;
            self.counters.rings_without_memory += 1;
            return Err(Errno::ENOBUFS);
        };
        let errno = |e: io::Error| Errno(e.raw_os_error().unwrap_or(libc::ENOMEM));
        let (arena, memfd) = Arena::create(sizes).map_err(errno)?;
        let (mut send, receive, mode) = arena.daemon();
        send.keep(Arc::new(memory));
        stream.ring = Some(Box::new(SharedRings { arena, mode, ends: Some((send, receive)) }));
        Ok(memfd)
    }

    /// Makes the change of mode that the program asks for.
    ///
    /// Errors: EINVAL without an arena; EAGAIN, ENOBUFS, ENOTCONN: the mode is what it was.
    pub(crate) fn change_mode(&mut self, slot: u32, before: usize, now: Instant) -> Result<(), Errno> {
        let Some(socket) = self.table.get_mut(slot) else { return Err(Errno::EBADF) };
        let Some(rings) = socket.stream().and_then(|s| s.ring.as_mut()) else { return Err(Errno::EINVAL) };
        let asked = rings.mode.asked(rings.arena.words().mode()).map(|change| change.to);
        let result = match (asked, rings.mode.now()) {
            (Some(Mode::Ring), _) => self.to_ring(slot, before, now),
            (Some(_), _) => return self.to_pair(slot),
            (None, Mode::Drain) => {
                self.resume_pair(slot, now);
                return Ok(());
            }
            (None, Mode::Ring) => {
                // The pair is empty now: what its fullness may have kept from being announced.
                self.ring_event(slot, Events::READABLE, now);
                return Ok(());
            }
            (None, Mode::Pair) => Ok(()), // given up
        };
        if let Some(stream) = self.table.get_mut(slot).and_then(|s| s.stream())
            && stream.ring.as_ref().is_some_and(|r| r.ends.is_some())
        {
            stream.ring = None;
            stream.pair_because = PairBecause::PutOff;
            self.counters.rings_put_off += 1;
            self.pump(slot, now);
        }
        result
    }

    fn to_ring(&mut self, slot: u32, before: usize, now: Instant) -> Result<(), Errno> {
        self.take_all(slot)?;
        let Shard { table, stack, epoll, .. } = self;
        let token = table.token(slot);
        let Some(socket) = table.get_mut(slot) else { return Err(Errno::EBADF) };
        let id = socket.id;
        let Some(rings) = socket.stream().and_then(|s| s.ring.as_mut()) else { return Err(Errno::EINVAL) };
        let Some((send, receive)) = &mut rings.ends else { return Err(Errno::EALREADY) };
        let word = rings.arena.words().mode();
        let Some(change) = rings.mode.asked(word) else { return Err(Errno::EAGAIN) };
        if let Err(error) = stack.copy_into(id, before, send, receive) {
            rings.mode.refuse(word, change);
            return Err(error);
        }
        if !rings.mode.commit(word, change) {
            return Err(Errno::EAGAIN);
        }
        if let Some((send, receive)) = rings.ends.take() {
            stack.share(id, send, receive);
        }
        socket.set(ready::READABLE, false);
        if socket.is(ready::WATCHES_ROOM)
            && let Some(pair) = &socket.pair
        {
            super::watch_room(epoll, pair, token, false); // for tokens there always is room
        }
        socket.set(ready::WATCHES_ROOM, false);
        self.counters.rings_begun += 1;
        self.ring_event(slot, Events::READABLE, now);
        Ok(())
    }

    /// Reads the pair empty into the send ring, whatever that may hold: there is an end to what a pair does.
    fn take_all(&mut self, slot: u32) -> Result<(), Errno> {
        let Shard { table, stack, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return Err(Errno::EBADF) };
        let id = socket.id;
        let Some(pair) = &socket.pair else { return Err(Errno::ENOTCONN) };
        let Some((ring, pool)) = stack.tx_ring(id) else { return Err(Errno::ENOTCONN) };
        let limit = ring.limit();
        ring.set_limit(RING_BYTES_MAX.max(limit));
        let result = loop {
            match ring.fill_from(pool, pair.as_fd(), usize::MAX) {
                Ok(0) => break Err(Errno::ENOTCONN),
                Ok(_) if ring.free() == 0 => break Err(Errno::ENOBUFS),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Err(Errno::ENOTCONN),
            }
        };
        ring.set_limit(limit);
        stack.sent(id);
        if result == Err(Errno::ENOTCONN) {
            // The end of the program's bytes, once more to be seen.
            socket.set(ready::READABLE, true);
            self.queue(slot);
        }
        result
    }

    fn to_pair(&mut self, slot: u32) -> Result<(), Errno> {
        let Shard { table, stack, scratch, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return Err(Errno::EBADF) };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return Err(Errno::ENOTCONN) };
        let Some(rings) = &mut stream.ring else { return Err(Errno::EINVAL) };
        let word = rings.arena.words().mode();
        let Some(change) = rings.mode.asked(word) else { return Err(Errno::EAGAIN) };
        stack.note_sent(id);
        let (tx, rx) = stack.copies(id).unwrap_or_default();
        read_tokens(pair.as_fd(), scratch, u32::MAX);
        if !rings.mode.commit(word, change) {
            return Err(Errno::EAGAIN);
        }
        stack.unshare(id, tx, rx);
        socket.set(ready::READABLE, false);
        Ok(())
    }

    /// The program has read its last token, and written its last filler: pair mode. Only on its word: an edge may be that
    /// of a filler.
    fn resume_pair(&mut self, slot: u32, now: Instant) {
        let Shard { table, scratch, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return };
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        let Some(rings) = &mut stream.ring else { return };
        read_tokens(pair.as_fd(), scratch, u32::MAX);
        if rings.mode.resume(rings.arena.words().mode()) {
            stream.ring = None;
            stream.pair_because = PairBecause::Left;
            self.counters.rings_left += 1;
            // Whatever was an edge meanwhile was none for bytes.
            socket.set(ready::READABLE | ready::WRITABLE, true);
            self.pump(slot, now);
        }
    }

    /// Readiness of the pair of a socket that has an arena.
    pub(super) fn pump_rings(&mut self, slot: u32, now: Instant) {
        let Some(socket) = self.table.get_mut(slot) else { return };
        let hangup = socket.is(ready::HANGUP);
        let Some(stream) = socket.stream() else { return };
        let Some(rings) = &mut stream.ring else { return };
        match rings.mode.now() {
            Mode::Ring => {}
            mode if hangup => {
                // Nobody is left to end a change. In `Drain` what lies in the pair is fillers.
                stream.ring = None;
                if mode == Mode::Drain
                    && let Some(pair) = &socket.pair
                {
                    read_tokens(pair.as_fd(), &mut self.scratch, u32::MAX);
                }
                socket.set(ready::READABLE, true);
                return self.pump(slot, now);
            }
            // Until the program says that it has drained the pair, or asks again.
            Mode::Drain | Mode::Pair => return,
        }
        self.take_from_ring(slot, now);
        self.give_by_ring(slot, false, now);
        self.tell_end(slot);
        self.finish_if_over(slot, now);
    }

    /// What the engine says of a socket in ring mode.
    pub(super) fn ring_event(&mut self, slot: u32, events: Events, now: Instant) {
        if self.mode(slot) != Some(Mode::Ring) {
            return;
        }
        if events.contains(Events::WRITABLE) {
            self.take_from_ring(slot, now);
        }
        self.give_by_ring(slot, events.contains(Events::READABLE), now);
        self.tell_end(slot);
        self.finish_if_over(slot, now);
    }

    /// Takes note of what the program wrote, up to its end, and then of its tokens, unless it waits for room and there is
    /// none: they keep its end from being writable.
    fn take_from_ring(&mut self, slot: u32, now: Instant) {
        let Shard { table, stack, scratch, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return };
        let id = socket.id;
        let ended = socket.ready & (ready::HANGUP | ready::READ_HANGUP) != 0;
        let readable = socket.is(ready::READABLE);
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        let Some(rings) = &stream.ring else { return };
        let new = stack.note_sent(id);
        if (ended || stream.fin_after_drain) && !stream.tx_ended {
            stream.tx_ended = true;
            stream.fin_after_drain = false;
            let _ = stack.shutdown(now, id, Shutdown::Write);
        }
        if !readable {
            return;
        }
        if new > 0 && !stream.tx_ended {
            // More may follow; looking again costs less than a token.
            return self.queue(slot);
        }
        let (wanted, room) =
            stack.shared_tx(id).map_or((false, true), |tx| (tx.room_wanted(), tx.has_worthwhile_room()));
        // Who waits to write after the end is let go, to find out.
        if wanted && !room && !stream.tx_ended {
            return; // until Events::WRITABLE
        }
        let token = rings.arena.words().tx_token();
        let mut read = |n| read_tokens(pair.as_fd(), scratch, n);
        let mut cleared = token.clear(|| stack.note_sent(id) == 0, &mut read);
        if cleared == (Cleared::Quiet { taken: 0 }) {
            // Woken by bytes that nobody counted.
            read(u32::MAX);
            cleared = token.clear(|| stack.note_sent(id) == 0, &mut read);
        }
        // A writer that slept in its filler may have left it uncounted; some of those, and the end would never be writable.
        if wanted
            && let Ok(strays @ 1..) = rustix::io::ioctl_fionread(pair)
            && token.is_quiet()
        {
            read(strays as u32);
        }
        match cleared {
            Cleared::Busy => self.queue(slot),
            Cleared::Quiet { .. } => socket.set(ready::READABLE, false),
        }
    }

    /// Takes note of what the program has read, and announces what has `arrived`.
    fn give_by_ring(&mut self, slot: u32, arrived: bool, now: Instant) {
        let Shard { table, stack, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return };
        let id = socket.id;
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        let Some(rings) = &stream.ring else { return };
        let mut progress = stack.note_read(now, id);
        if arrived && progress.unread > 0 {
            let edge = stack.shared_rx(id).is_some_and(|rx| rx.edge_watched());
            let repeat = if edge { Repeat::Edge } else { Repeat::Never };
            rings.arena.words().rx_token().announce(repeat, || write_token(pair.as_fd()));
        }
        for _ in 0..LOOKS {
            let Some(rx) = stack.shared_rx(id) else { return };
            if !progress.wants_room {
                rx.awake();
                return;
            }
            if rx.sleep_until_room(rx.free() + 1) {
                return;
            }
            progress = stack.note_read(now, id);
        }
        self.queue(slot);
    }

    /// Before our end of the pair is closed: tokens that lie there unread would make it a reset.
    pub(super) fn drop_rings(&mut self, slot: u32) {
        let Shard { table, scratch, .. } = self;
        let Some(socket) = table.get_mut(slot) else { return };
        let (Flow::Stream(stream), Some(pair)) = (&mut socket.flow, &socket.pair) else { return };
        if stream.ring.take().is_some() {
            read_tokens(pair.as_fd(), scratch, u32::MAX);
        }
    }
}

/// Reads at most `n` bytes from a pair, in [`READS`] calls at most; gives back how many there were.
fn read_tokens(pair: BorrowedFd<'_>, scratch: &mut [u8], n: u32) -> u32 {
    let mut left = n as usize;
    for _ in 0..READS {
        let want = left.min(scratch.len());
        if want == 0 {
            break;
        }
        match rustix::io::read(pair, &mut scratch[..want]) {
            Ok(0) => break,
            Ok(got) => left -= got,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    n - left as u32
}

/// Whether the pair took a token.
fn write_token(pair: BorrowedFd<'_>) -> bool {
    let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
    rustix::net::send(pair, &[1], flags).is_ok()
}
