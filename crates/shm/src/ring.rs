//! A byte ring: TCP's send and receive buffer. Bytes enter at the tail, leave at the head, and may
//! be placed ahead of the tail (out-of-order data at its final place).
//!
//! Memory comes from a [`Pool`] at the first byte, doubles while the ring is full and below its
//! limit, and goes back when the ring is empty: an idle connection holds none.
//!
//! This ring is the daemon's alone (pair mode). In ring mode its place is taken by
//! [`socket::SendBuffer`](crate::socket::SendBuffer) and [`socket::ReceiveBuffer`](crate::socket::ReceiveBuffer),
//! whose bytes a program shares. They are rings over a [`Region`] as well, name bytes by the same [`Slice`],
//! and answer to the same calls (`place`, `advance`, `slices`, `peek`, `consume`); but they have one size for
//! life, and one of their two ends is moved by the program. Hence two types over one piece (`Region`, `Slice`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use crate::region::{Pool, REGION_MIN, Region};
use crate::slice::Slice;

/// Most bytes moved by one [`Ring::fill_from`] or [`Ring::drain_to`].
const MOVE_MAX: usize = 1024 * 1024;
/// Most bytes that one [`Ring::fill_from`] asks for: what a core's cache holds until it is sent on.
const ASK_MAX: usize = 256 * 1024;

/// See the module's head. Offsets given to methods count from the head (the oldest byte held).
#[derive(Default)]
pub struct Ring {
    region: Option<Arc<Region>>,
    /// Place of the oldest byte, counted without end; taken modulo the region's size.
    head: usize,
    len: usize,
    limit: usize,
    /// Bytes to ask a descriptor for next: it follows what came before, up and down.
    ask: usize,
}

impl Ring {
    /// A ring that will hold at most `limit` bytes.
    pub fn new(limit: usize) -> Ring {
        Ring { region: None, head: 0, len: 0, limit, ask: REGION_MIN }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A smaller limit takes effect as bytes leave.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes that may still be added.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.len)
    }

    /// Bytes of memory held now.
    pub fn memory(&self) -> usize {
        self.region.as_ref().map_or(0, |r| r.size())
    }

    /// Makes room for `ahead` bytes after the tail.
    fn reserve(&mut self, pool: &mut Pool, ahead: usize, keep_ahead: usize) {
        let need = self.len + ahead;
        let have = self.memory();
        if need <= have {
            return;
        }
        let bigger = pool.take(need.max(2 * have).max(REGION_MIN));
        if let Some(old) = self.region.take() {
            // What lies ahead of the tail (out of order) moves along with what is in order.
            let live = (self.len + keep_ahead).min(old.size());
            let mut buf = [0u8; 4096];
            let mut done = 0;
            while done < live {
                let from = (self.head + done) & (old.size() - 1);
                let to = (self.head + done) & (bigger.size() - 1);
                let n = (live - done).min(buf.len()).min(old.size() - from).min(bigger.size() - to);
                old.copy_out(from, &mut buf[..n]);
                bigger.copy_in(to, &buf[..n]);
                done += n;
            }
            pool.give(old);
        }
        self.region = Some(bigger);
    }

    /// Writes `bytes` so that they begin `ahead` bytes after the tail, without moving the tail. Bytes
    /// placed ahead earlier stay as long as they lie below `placed_end` (bytes after the tail).
    pub fn place(&mut self, pool: &mut Pool, ahead: usize, bytes: &[u8], placed_end: usize) {
        if bytes.is_empty() {
            return;
        }
        self.reserve(pool, ahead + bytes.len(), placed_end);
        let region = self.region.as_ref().expect("reserve gave memory for at least one byte");
        region.copy_in_wrapped(self.head + self.len + ahead, bytes);
    }

    /// Takes `n` placed bytes into the ring.
    pub fn advance(&mut self, n: usize) {
        self.len += n;
        debug_assert!(self.len <= self.memory());
    }

    /// Appends as many bytes as the limit lets in; gives back how many.
    pub fn push(&mut self, pool: &mut Pool, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.free());
        self.place(pool, 0, &bytes[..n], 0);
        self.advance(n);
        n
    }

    /// Lets the `n` oldest bytes go. Memory goes back when nothing is left and `nothing_ahead`.
    pub fn consume(&mut self, pool: &mut Pool, n: usize, nothing_ahead: bool) {
        assert!(n <= self.len, "consume of more than the ring holds");
        self.head = self.head.wrapping_add(n);
        self.len -= n;
        if self.len == 0 && nothing_ahead {
            self.release(pool);
        }
    }

    /// Gives the memory back; whatever was held or placed is gone.
    pub fn release(&mut self, pool: &mut Pool) {
        self.len = 0;
        self.head = 0;
        if let Some(region) = self.region.take() {
            pool.give(region);
        }
    }

    /// The bytes `offset..offset + len` as one or two slices (the second empty when not needed).
    pub fn slices(&self, offset: usize, len: usize) -> Option<[Slice; 2]> {
        if len == 0 || offset + len > self.len {
            return None;
        }
        let region = self.region.as_ref()?;
        Some(Slice::wrapped(region, self.head + offset, len))
    }

    /// Copies out from `offset` on; gives back how many bytes there were.
    pub fn peek(&self, offset: usize, to: &mut [u8]) -> usize {
        let n = to.len().min(self.len.saturating_sub(offset));
        if let (Some(region), true) = (self.region.as_ref(), n > 0) {
            region.copy_out_wrapped(self.head + offset, &mut to[..n]);
        }
        n
    }

    fn iovecs(region: &Region, at: usize, len: usize) -> [libc::iovec; 2] {
        let (start, first) = region.wrap(at, len);
        [
            libc::iovec { iov_base: region.at(start, first).cast(), iov_len: first },
            libc::iovec { iov_base: region.at(0, len - first).cast(), iov_len: len - first },
        ]
    }

    /// Reads from a descriptor straight into the free space, at most `max` bytes; never blocks on
    /// a non-blocking descriptor. `Ok(0)` is end of file; the caller sees to it that there is room.
    pub fn fill_from(&mut self, pool: &mut Pool, fd: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        let room = self.free().min(max).min(MOVE_MAX);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Memory for what there is, not for what there might be.
        let step = room.min(self.ask.max(REGION_MIN));
        self.reserve(pool, step, 0);
        let region = self.region.as_ref().expect("reserve gave memory for at least one byte");
        let mut iov = Self::iovecs(region, self.head + self.len, step);
        let count = if iov[1].iov_len == 0 { 1 } else { 2 };
        // SAFETY: msghdr is plain data; the iovecs point into `region`, which outlives the call.
        let got = unsafe { libc::readv(fd.as_raw_fd(), iov.as_mut_ptr(), count) };
        if got < 0 {
            let error = io::Error::last_os_error();
            if self.len == 0 {
                self.release(pool);
            }
            return Err(error);
        }
        let got = got as usize;
        if got == step {
            self.ask = (4 * step).clamp(REGION_MIN, ASK_MAX);
        } else if got < step / 4 {
            self.ask = (step / 2).max(REGION_MIN);
        }
        self.len += got;
        if self.len == 0 {
            self.release(pool);
        }
        Ok(got)
    }

    /// Writes the oldest bytes (from `offset` on) to a socket, at most `max`, without consuming them.
    /// Never raises SIGPIPE and never blocks.
    pub fn drain_to(&self, fd: BorrowedFd<'_>, offset: usize, max: usize) -> io::Result<usize> {
        let n = self.len.saturating_sub(offset).min(max).min(MOVE_MAX);
        let Some(region) = self.region.as_ref().filter(|_| n > 0) else { return Ok(0) };
        let mut iov = Self::iovecs(region, self.head + offset, n);
        // SAFETY: an all-zero msghdr is valid; the iovecs point into `region`, which outlives the call.
        let sent = unsafe {
            let mut msg: libc::msghdr = std::mem::zeroed();
            msg.msg_iov = iov.as_mut_ptr();
            msg.msg_iovlen = if iov[1].iov_len == 0 { 1 } else { 2 };
            libc::sendmsg(fd.as_raw_fd(), &msg, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} of {}, {} of memory)", self.len, self.limit, self.memory())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn bytes(from: usize, n: usize) -> Vec<u8> {
        (from..from + n).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn bytes_leave_in_the_order_they_came_across_growth_and_wrap() {
        let mut pool = Pool::new();
        let mut ring = Ring::new(100_000);
        let (mut put, mut got) = (0, 0);
        for round in 0..200 {
            put += ring.push(&mut pool, &bytes(put, 1 + (round * 977) % 9000));
            let mut out = vec![0; (round * 733) % 8000];
            let n = ring.peek(0, &mut out);
            assert_eq!(out[..n], bytes(got, n));
            ring.consume(&mut pool, n, true);
            got += n;
        }
        assert_eq!(put - got, ring.len());
    }

    #[test]
    fn out_of_order_bytes_lie_at_their_final_place_even_when_the_ring_grows() {
        let mut pool = Pool::new();
        let mut ring = Ring::new(1 << 20);
        ring.push(&mut pool, &bytes(0, 10));
        ring.place(&mut pool, 100, &bytes(110, 50), 0);
        ring.place(&mut pool, 40_000, &bytes(40_010, 500), 150);
        ring.place(&mut pool, 0, &bytes(10, 100), 40_500);
        ring.advance(150);
        let mut out = vec![0; 160];
        assert_eq!(ring.peek(0, &mut out), 160);
        assert_eq!(out, bytes(0, 160));
    }

    #[test]
    fn an_empty_ring_holds_no_memory_and_the_pool_reuses_it() {
        let mut pool = Pool::new();
        let mut ring = Ring::new(1 << 20);
        ring.push(&mut pool, &[1; 100]);
        assert_eq!(ring.memory(), REGION_MIN);
        ring.consume(&mut pool, 100, true);
        assert_eq!((ring.memory(), pool.kept_bytes()), (0, REGION_MIN));
        ring.push(&mut pool, &[1; 100]);
        assert_eq!(pool.kept_bytes(), 0);
    }

    #[test]
    fn a_slice_outlives_the_ring_that_it_was_cut_from() {
        let mut pool = Pool::new();
        let mut ring = Ring::new(1000);
        ring.push(&mut pool, b"hello world");
        let [a, _] = ring.slices(6, 5).expect("the bytes are there");
        ring.release(&mut pool);
        assert_eq!(pool.kept_bytes(), 0, "a region that is still named is not reused");
        let mut out = [0; 5];
        a.copy_out(0, &mut out);
        assert_eq!(&out, b"world");
    }

    #[test]
    fn a_ring_fills_from_and_drains_to_descriptors() {
        let (a, b) = UnixStream::pair().expect("socketpair");
        let (c, d) = UnixStream::pair().expect("socketpair");
        for s in [&a, &b, &c, &d] {
            s.set_nonblocking(true).expect("fcntl");
        }
        let mut pool = Pool::new();
        let mut ring = Ring::new(64 * 1024);
        let data = bytes(0, 300_000);
        let (mut sent, mut received) = (0, Vec::new());
        while received.len() < data.len() {
            if let Ok(n) = std::io::Write::write(&mut &a, &data[sent..]) {
                sent += n;
            }
            let _ = ring.fill_from(&mut pool, b.as_fd(), usize::MAX);
            if let Ok(n) = ring.drain_to(c.as_fd(), 0, usize::MAX) {
                ring.consume(&mut pool, n, true);
            }
            let mut buf = [0; 70_000];
            if let Ok(n) = std::io::Read::read(&mut &d, &mut buf) {
                received.extend_from_slice(&buf[..n]);
            }
        }
        assert_eq!(received, data);
        assert!(ring.limit() >= ring.len());
    }
}
