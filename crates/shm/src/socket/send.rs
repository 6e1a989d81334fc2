//! The send ring, from the program to the daemon: TCP's send buffer. The program appends; the daemon names any bytes
//! held to the driver, again for a retransmission, and lets them go when they are acknowledged.

use std::sync::Arc;

use super::layout::Direction;
use super::map::Map;
use crate::region::Region;
use crate::ring::Ring;
use crate::slice::Slice;
use crate::sync::Ordering::{Acquire, Relaxed, Release};

/// A writer that found no room is woken when this part of what may be held is free (Linux: a third).
const ROOM_PART: usize = 4;

/// What both sides take for room that is worth waking somebody: at least a byte.
fn worthwhile(limit: usize) -> usize {
    (limit / ROOM_PART).max(1)
}

/// The daemon's end. Offsets count from the head (the oldest byte not acknowledged).
pub struct SendBuffer {
    map: Arc<Map>,
    region: Arc<Region>,
    /// Ours alone; the shared head is a copy for the program.
    head: u32,
    /// Bytes from the head on that the program has published and we have taken note of.
    len: u32,
    /// Bytes that the program is to leave in the ring at most (SO_SNDBUF); the shared one is a copy.
    limit: u32,
    faults: u32,
    /// Kept as long as the ring is in use.
    kept: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

impl std::fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendBuffer({} of {})", self.len, self.limit)
    }
}

impl SendBuffer {
    pub(crate) fn new(map: Arc<Map>, region: Arc<Region>) -> SendBuffer {
        let limit = region.size() as u32;
        let mut buffer = SendBuffer { map, region, head: 0, len: 0, limit: 0, faults: 0, kept: None };
        buffer.set_limit(limit as usize);
        buffer
    }

    /// Keeps something as long as the ring is in use, which is longer than its socket: what is sent is kept until it is
    /// acknowledged.
    pub fn keep(&mut self, what: Arc<dyn std::any::Any + Send + Sync>) {
        self.kept = Some(what);
    }

    /// Begins anew with the bytes that `held` holds, at a change to ring mode, while the program keeps its hands
    /// off. False, and nothing done, when they do not fit.
    pub fn restart(&mut self, held: &Ring) -> bool {
        if held.len() > self.size() {
            return false;
        }
        let mut at = 0;
        for slice in held.slices(0, held.len()).iter().flatten() {
            slice.for_each_chunk(|bytes| {
                self.region.copy_in_wrapped(at, bytes);
                at += bytes.len();
            });
        }
        (self.head, self.len) = (0, held.len() as u32);
        self.shared().token.reset();
        self.shared().consumer.head.store(0, Release);
        self.shared().producer.tail.store(self.len, Release);
        true
    }

    /// Takes note of what the program has published since; gives back how many bytes that is. A tail that cannot
    /// be (more than the ring holds, or behind what was published before) counts as a fault and changes nothing.
    pub fn refresh(&mut self) -> usize {
        let published = self.shared().producer.tail.load(Acquire).wrapping_sub(self.head);
        if published as usize > self.size() || published < self.len {
            self.faults += 1;
            return 0;
        }
        let new = published - self.len;
        self.len = published;
        new as usize
    }

    /// The `n` oldest bytes are acknowledged. Panics when there are fewer.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consume of more than the ring holds");
        self.head = self.head.wrapping_add(n as u32);
        self.len -= n as u32;
        // Release: our reads of these bytes come before the program writes over them.
        self.shared().consumer.head.store(self.head, Release);
    }

    /// Bytes held: those of the last [`SendBuffer::refresh`] that were not consumed since.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the ring holds at most.
    pub fn size(&self) -> usize {
        self.region.size()
    }

    /// Bytes that the program may leave in the ring.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// At least one byte, at most the ring's size. A smaller limit takes effect as bytes leave.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(1, self.size()) as u32;
        self.shared().consumer.limit.store(self.limit, Relaxed);
    }

    /// Bytes that the program may add, as far as we have taken note.
    pub fn room(&self) -> usize {
        (self.limit as usize).saturating_sub(self.len())
    }

    /// Whether there is room that a waiting writer is to be woken for.
    pub fn has_worthwhile_room(&self) -> bool {
        self.room() >= worthwhile(self.limit())
    }

    /// Nothing that the program writes from now on is sent; it is told so when it next looks.
    pub fn close(&self) {
        self.shared().consumer.closed.store(1, Release);
    }

    /// The bytes `offset..offset + len` as one or two slices; `None` when they are not all there, or none.
    pub fn slices(&self, offset: usize, len: usize) -> Option<[Slice; 2]> {
        let there = len > 0 && offset.checked_add(len).is_some_and(|end| end <= self.len());
        there.then(|| Slice::wrapped(&self.region, self.at(offset), len))
    }

    /// Copies out from `offset` on; gives back how many bytes there were.
    pub fn peek(&self, offset: usize, to: &mut [u8]) -> usize {
        let n = to.len().min(self.len().saturating_sub(offset));
        self.region.copy_out_wrapped(self.at(offset), &mut to[..n]);
        n
    }

    /// Whether the program sleeps until there is room; asked once a batch, after the last [`SendBuffer::consume`].
    pub fn room_wanted(&self) -> bool {
        self.shared().producer.sleepers.any()
    }

    /// Tails that could not be, so far.
    pub fn faults(&self) -> u64 {
        self.faults.into()
    }

    fn at(&self, offset: usize) -> usize {
        (self.head as usize).wrapping_add(offset)
    }

    fn shared(&self) -> &Direction {
        &self.map.header().tx
    }
}

/// The program's end. All calls in the send turn; both positions are in shared memory, since threads and
/// processes take turns, and are clamped like everything there.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    map: &'a Map,
    region: &'a Region,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(map: &'a Map, region: &'a Region) -> Writer<'a> {
        Writer { map, region }
    }

    /// Appends and publishes as many bytes as there is room for; gives back how many. The daemon learns of it by
    /// [`TokenWord::announce`](super::TokenWord::announce). A writer killed in here has published all or nothing.
    pub fn write(&self, bytes: &[u8]) -> usize {
        self.write_pieces([bytes])
    }

    /// As [`Writer::write`], of bytes that lie in several places.
    pub fn write_pieces<'b>(&self, pieces: impl IntoIterator<Item = &'b [u8]>) -> usize {
        let tail = self.shared().producer.tail.load(Relaxed);
        let room = self.room();
        let mut done = 0;
        for piece in pieces {
            let n = piece.len().min(room - done);
            self.region.copy_in_wrapped((tail as usize).wrapping_add(done), &piece[..n]);
            done += n;
            if done == room {
                break;
            }
        }
        self.shared().producer.tail.store(tail.wrapping_add(done as u32), Release);
        done
    }

    /// Bytes that may be written now.
    pub fn room(&self) -> usize {
        self.limit().saturating_sub(self.held())
    }

    /// Bytes that are not acknowledged yet (SIOCOUTQ).
    pub fn held(&self) -> usize {
        let head = self.shared().consumer.head.load(Acquire);
        (self.shared().producer.tail.load(Relaxed).wrapping_sub(head) as usize).min(self.region.size())
    }

    /// Bytes that the ring is to hold at most.
    pub fn limit(&self) -> usize {
        (self.shared().consumer.limit.load(Relaxed) as usize).min(self.region.size())
    }

    /// Bytes of room to [wait](Writer::sleep_until_room) for.
    pub fn worthwhile_room(&self) -> usize {
        worthwhile(self.limit())
    }

    /// Nothing more is sent: the connection is over.
    pub fn is_closed(&self) -> bool {
        self.shared().consumer.closed.load(Acquire) != 0
    }

    /// Asks to be woken when there are `n` bytes of room. False: there are already, do not sleep. True: sleep outside the
    /// turn, on the descriptor, and call [`Writer::awake`] when that has ended, for whatever reason.
    pub fn sleep_until_room(&self, n: usize) -> bool {
        self.shared().producer.sleepers.join(|| self.room() >= n)
    }

    /// Takes one [`Writer::sleep_until_room`] back.
    pub fn awake(&self) {
        self.shared().producer.sleepers.leave();
    }

    fn shared(&self) -> &Direction {
        &self.map.header().tx
    }
}
