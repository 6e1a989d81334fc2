//! Where a connection's bytes lie: in rings of the stack's own, or in rings that the program shares (ring mode,
//! `docs/rings.md`), whose far ends it moves by itself.

use shm::socket::{ReceiveBuffer, SendBuffer};
use shm::{Pool, Ring, Slice};

/// The bytes from `snd_una` on.
#[derive(Debug)]
pub enum SendQueue {
    Own(Ring),
    Shared(SendBuffer),
}

impl SendQueue {
    pub fn new(limit: usize) -> SendQueue {
        SendQueue::Own(Ring::new(limit))
    }

    pub fn len(&self) -> usize {
        match self {
            SendQueue::Own(ring) => ring.len(),
            SendQueue::Shared(buffer) => buffer.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes to hold at most.
    pub fn limit(&self) -> usize {
        match self {
            SendQueue::Own(ring) => ring.limit(),
            SendQueue::Shared(buffer) => buffer.limit(),
        }
    }

    /// A shared ring holds no more than its size, whatever it is told.
    pub fn set_limit(&mut self, limit: usize) {
        match self {
            SendQueue::Own(ring) => ring.set_limit(limit),
            SendQueue::Shared(buffer) => buffer.set_limit(limit),
        }
    }

    pub fn slices(&self, offset: usize, len: usize) -> Option<[Slice; 2]> {
        match self {
            SendQueue::Own(ring) => ring.slices(offset, len),
            SendQueue::Shared(buffer) => buffer.slices(offset, len),
        }
    }

    /// The `n` oldest bytes are acknowledged.
    pub fn consume(&mut self, pool: &mut Pool, n: usize) {
        match self {
            SendQueue::Own(ring) => ring.consume(pool, n, true),
            SendQueue::Shared(buffer) => buffer.consume(n),
        }
    }

    /// Lets everything go, for good: who shares it is told that nothing more is sent.
    pub fn release(&mut self, pool: &mut Pool) {
        match self {
            SendQueue::Own(ring) => ring.release(pool),
            SendQueue::Shared(buffer) => {
                buffer.close();
                *self = SendQueue::new(0);
            }
        }
    }

    /// The bytes that a shared ring holds as far as they were taken note of, in a ring of our own.
    pub fn copied(&mut self, pool: &mut Pool) -> Option<Ring> {
        let SendQueue::Shared(buffer) = self else { return None };
        let mut ring = Ring::new(buffer.len());
        copy(&mut ring, pool, buffer.len(), |at, to| {
            buffer.peek(at, to);
        });
        ring.advance(buffer.len());
        ring.set_limit(buffer.limit());
        Some(ring)
    }
}

/// The bytes up to `rcv_nxt` that the program has not taken, and what came ahead of its turn.
#[derive(Debug)]
pub enum ReceiveQueue {
    Own(Ring),
    Shared(ReceiveBuffer),
}

impl Default for ReceiveQueue {
    fn default() -> Self {
        ReceiveQueue::new(0)
    }
}

impl ReceiveQueue {
    /// A window may be rounded up beyond the limit (`Connection::window`): a shared ring, which cannot
    /// grow, keeps this part of its size for that.
    const SLACK_PART: usize = 16;

    pub fn new(limit: usize) -> ReceiveQueue {
        ReceiveQueue::Own(Ring::new(limit))
    }

    /// Of a shared ring as of the last [`ReceiveQueue::refresh`].
    pub fn len(&self) -> usize {
        match self {
            ReceiveQueue::Own(ring) => ring.len(),
            ReceiveQueue::Shared(buffer) => buffer.unread(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn limit(&self) -> usize {
        match self {
            ReceiveQueue::Own(ring) => ring.limit(),
            ReceiveQueue::Shared(buffer) => buffer.limit(),
        }
    }

    /// A shared ring holds no more than its size, whatever it is told.
    pub fn set_limit(&mut self, limit: usize) {
        match self {
            ReceiveQueue::Own(ring) => ring.set_limit(limit),
            ReceiveQueue::Shared(buffer) => {
                let most = buffer.size() - buffer.size() / Self::SLACK_PART;
                buffer.set_limit(limit.min(most));
            }
        }
    }

    /// Bytes that may still be offered to the peer.
    pub fn free(&self) -> usize {
        self.limit().saturating_sub(self.len())
    }

    /// Takes note of what the program has read from a shared ring; gives back how many bytes.
    pub fn refresh(&mut self) -> usize {
        let ReceiveQueue::Shared(buffer) = self else { return 0 };
        let before = buffer.unread();
        buffer.refresh();
        before - buffer.unread()
    }

    /// Writes payload that begins `ahead` bytes after the last in order; what was placed before lies below `placed_end`.
    pub fn place(&mut self, pool: &mut Pool, ahead: usize, bytes: &[u8], placed_end: usize) {
        match self {
            ReceiveQueue::Own(ring) => ring.place(pool, ahead, bytes, placed_end),
            ReceiveQueue::Shared(buffer) => buffer.place(ahead, bytes),
        }
    }

    /// Takes `n` placed bytes in.
    pub fn advance(&mut self, n: usize) {
        match self {
            ReceiveQueue::Own(ring) => ring.advance(n),
            ReceiveQueue::Shared(buffer) => buffer.advance(n),
        }
    }

    /// Lets the `n` oldest bytes of a ring of our own go. (From a shared one the program takes them.)
    pub fn consume(&mut self, pool: &mut Pool, n: usize, nothing_ahead: bool) {
        if let ReceiveQueue::Own(ring) = self {
            ring.consume(pool, n, nothing_ahead);
        }
    }

    pub fn release(&mut self, pool: &mut Pool) {
        match self {
            ReceiveQueue::Own(ring) => ring.release(pool),
            ReceiveQueue::Shared(_) => *self = ReceiveQueue::default(),
        }
    }

    /// The bytes of a shared ring in a ring of our own, with the `ahead` bytes after the last in order.
    pub fn copied(&mut self, pool: &mut Pool, ahead: usize) -> Option<Ring> {
        self.refresh();
        let ReceiveQueue::Shared(buffer) = self else { return None };
        let mut ring = Ring::new(buffer.unread());
        copy(&mut ring, pool, buffer.unread() + ahead, |at, to| buffer.peek(at, to));
        ring.advance(buffer.unread());
        ring.set_limit(buffer.limit());
        Some(ring)
    }
}

/// Places `len` bytes in an empty ring, piece by piece.
fn copy(ring: &mut Ring, pool: &mut Pool, len: usize, peek: impl Fn(usize, &mut [u8])) {
    let mut piece = [0; 4096];
    let mut at = 0;
    while at < len {
        let n = piece.len().min(len - at);
        peek(at, &mut piece[..n]);
        ring.place(pool, at, &piece[..n], at);
        at += n;
    }
}
