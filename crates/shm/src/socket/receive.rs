//! The receive ring, from the daemon to the program: TCP's receive buffer. The daemon puts payload at its final place,
//! out of order too, and publishes the tail when what lies before it is complete; the program reads and moves the head.

use std::sync::Arc;

use super::layout::Direction;
use super::map::Map;
use crate::region::Region;
use crate::ring::Ring;
use crate::sync::Ordering::{Acquire, Relaxed, Release};

/// The daemon's end.
pub struct ReceiveBuffer {
    map: Arc<Map>,
    region: Arc<Region>,
    /// Ours alone; the shared tail is a copy for the program.
    tail: u32,
    /// Bytes before the tail that the program has not let go, as far as we have taken note.
    unread: u32,
    /// Bytes to hold at most (SO_RCVBUF).
    limit: u32,
    /// We are counted among the sleepers.
    asleep: bool,
    faults: u32,
}

impl std::fmt::Debug for ReceiveBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiveBuffer({} of {})", self.unread, self.limit)
    }
}

impl ReceiveBuffer {
    pub(crate) fn new(map: Arc<Map>, region: Arc<Region>) -> ReceiveBuffer {
        let limit = region.size() as u32;
        ReceiveBuffer { map, region, tail: 0, unread: 0, limit, asleep: false, faults: 0 }
    }

    /// Begins anew at a change to ring mode, while the program keeps its hands off: with `before` bytes that it has
    /// [put there](Reader::room_for_start), and those that `held` holds in order. False, and nothing done, when they do not
    /// fit. Once the change is committed they are announced.
    pub fn restart(&mut self, before: usize, held: &Ring) -> bool {
        if before.saturating_add(held.len()) > self.size() {
            return false;
        }
        (self.tail, self.unread) = (before as u32, before as u32);
        self.shared().token.reset();
        self.shared().consumer.head.store(0, Release);
        for slice in held.slices(0, held.len()).iter().flatten() {
            slice.for_each_chunk(|bytes| {
                self.place(0, bytes);
                self.tail += bytes.len() as u32;
                self.unread += bytes.len() as u32;
            });
        }
        self.shared().producer.tail.store(self.tail, Release);
        true
    }

    /// Takes note of what the program has let go; gives back the bytes that may be added after the tail. They never
    /// become fewer but by [`ReceiveBuffer::advance`]: a head that cannot be (behind, or beyond the tail) counts as
    /// a fault and changes nothing.
    pub fn refresh(&mut self) -> usize {
        let unread = self.tail.wrapping_sub(self.shared().consumer.head.load(Acquire));
        if unread > self.unread {
            self.faults += 1;
        } else {
            self.unread = unread;
        }
        self.free()
    }

    /// Writes `bytes` so that they begin `ahead` bytes after the tail, without publishing them. Panics when they do
    /// not lie within [`ReceiveBuffer::free`].
    pub fn place(&mut self, ahead: usize, bytes: &[u8]) {
        assert!(ahead.saturating_add(bytes.len()) <= self.free(), "payload outside the window");
        self.region.copy_in_wrapped((self.tail as usize).wrapping_add(ahead), bytes);
    }

    /// Publishes the next `n` bytes, which have been placed. Panics when they do not lie within
    /// [`ReceiveBuffer::free`].
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.free(), "payload outside the window");
        self.tail = self.tail.wrapping_add(n as u32);
        self.unread += n as u32;
        self.shared().producer.tail.store(self.tail, Release);
    }

    /// Bytes that the ring has room for after the tail, as of the last [`ReceiveBuffer::refresh`], whatever the limit.
    pub fn free(&self) -> usize {
        self.size() - self.unread as usize
    }

    /// Bytes to hold at most: for a window to go by.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// At least one byte, at most the ring's size.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(1, self.size()) as u32;
    }

    /// Bytes published and not let go, as of the last [`ReceiveBuffer::refresh`].
    pub fn unread(&self) -> usize {
        self.unread as usize
    }

    /// Bytes that the ring holds at most.
    pub fn size(&self) -> usize {
        self.region.size()
    }

    /// Copies out from `offset` bytes after the head on, what was placed ahead of the tail included: for a change to
    /// pair mode. Panics when that is not inside the ring.
    pub fn peek(&self, offset: usize, to: &mut [u8]) {
        assert!(offset.saturating_add(to.len()) <= self.size(), "peek outside the ring");
        let head = self.tail.wrapping_sub(self.unread) as usize;
        self.region.copy_out_wrapped(head.wrapping_add(offset), to);
    }

    /// Whether each arrival is to have a token ([`Repeat::Edge`](super::Repeat::Edge)).
    pub fn edge_watched(&self) -> bool {
        self.shared().consumer.edge.load(Relaxed) != 0
    }

    /// Asks the program to announce it when it has let bytes go: the window is closed. False: there are `n` bytes free
    /// already.
    pub fn sleep_until_room(&mut self, n: usize) -> bool {
        self.awake();
        let map = self.map.clone();
        self.asleep = map.header().rx.producer.sleepers.join(|| self.refresh() >= n);
        self.asleep
    }

    /// Takes [`ReceiveBuffer::sleep_until_room`] back, if it stands.
    pub fn awake(&mut self) {
        if std::mem::take(&mut self.asleep) {
            self.shared().producer.sleepers.leave();
        }
    }

    /// Heads that could not be, so far.
    pub fn faults(&self) -> u64 {
        self.faults.into()
    }

    fn shared(&self) -> &Direction {
        &self.map.header().rx
    }
}

/// The program's end. All calls in the receive turn.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    map: &'a Map,
    region: &'a Region,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(map: &'a Map, region: &'a Region) -> Reader<'a> {
        Reader { map, region }
    }

    /// The first `n` bytes of the ring, for a call of the kernel's that writes there what came in pair mode, before the
    /// ring [begins anew](ReceiveBuffer::restart) with them. `None` when they do not fit. Valid as long as the mapping.
    pub fn room_for_start(&self, n: usize) -> Option<libc::iovec> {
        (n <= self.region.size()).then(|| libc::iovec { iov_base: self.region.at(0, n).cast(), iov_len: n })
    }

    /// Bytes to read.
    pub fn len(&self) -> usize {
        let tail = self.shared().producer.tail.load(Acquire);
        let unread = tail.wrapping_sub(self.shared().consumer.head.load(Relaxed)) as usize;
        // More than the ring holds: a position is spoilt, and there is nothing that could be read as it was sent.
        if unread > self.region.size() { 0 } else { unread }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies out from `offset` bytes after the head on (MSG_PEEK); gives back how many bytes there were.
    pub fn peek(&self, offset: usize, to: &mut [u8]) -> usize {
        self.peek_pieces(offset, [to])
    }

    /// As [`Reader::peek`], to several places in turn.
    pub fn peek_pieces<'b>(&self, offset: usize, pieces: impl IntoIterator<Item = &'b mut [u8]>) -> usize {
        let there = self.len().saturating_sub(offset);
        let head = (self.shared().consumer.head.load(Relaxed) as usize).wrapping_add(offset);
        let mut done = 0;
        for piece in pieces {
            let n = piece.len().min(there - done);
            self.region.copy_out_wrapped(head.wrapping_add(done), &mut piece[..n]);
            done += n;
            if done == there {
                break;
            }
        }
        done
    }

    /// Copies out and lets go; gives back how many bytes there were. A reader killed in here has let go of all
    /// or of nothing.
    pub fn read(&self, to: &mut [u8]) -> usize {
        let n = self.peek(0, to);
        self.skip(n)
    }

    /// Lets go of at most `n` bytes (MSG_TRUNC, or after [`Reader::peek`]); gives back how many.
    pub fn skip(&self, n: usize) -> usize {
        let n = n.min(self.len());
        let head = self.shared().consumer.head.load(Relaxed);
        // Release: our reads of these bytes come before the daemon writes over them.
        self.shared().consumer.head.store(head.wrapping_add(n as u32), Release);
        n
    }

    /// Whether the daemon wants to hear that bytes were let go; asked after the last [`Reader::read`] of a call. Then
    /// the program announces itself on the tokens to the daemon, as if it had written.
    pub fn room_wanted(&self) -> bool {
        self.shared().producer.sleepers.any()
    }

    /// From now on each arrival has a token of its own: an edge-triggered watcher was registered.
    pub fn watch_edge(&self) {
        self.shared().consumer.edge.store(1, Relaxed);
    }

    fn shared(&self) -> &Direction {
        &self.map.header().rx
    }
}
