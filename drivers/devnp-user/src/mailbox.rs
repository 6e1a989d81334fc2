//! Frames from one thread to another: the sender appends to a batch, the receiver takes all of it at
//! once. A descriptor tells that there is something to take.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::Failure;

/// Bytes of frames that may wait, beyond which the sender is told to stop (or drops).
const BYTES_MAX: usize = 4 << 20;
/// Frames that may wait.
const FRAMES_MAX: usize = 8192;

/// Frames back to back.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
    /// How many were read.
    read: usize,
}

impl Batch {
    /// The next frame.
    pub fn next(&mut self) -> Option<&[u8]> {
        let end = *self.ends.get(self.read)?;
        let start = if self.read == 0 { 0 } else { self.ends[self.read - 1] };
        self.read += 1;
        Some(&self.bytes[start..end])
    }

    pub fn is_read(&self) -> bool {
        self.read == self.ends.len()
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES_MAX || self.ends.len() >= FRAMES_MAX
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.read = 0;
    }
}

pub struct Mailbox {
    waiting: Mutex<Waiting>,
    /// Readable while frames wait.
    filled: EventFd,
    /// Writable while there is room.
    room: EventFd,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// The sender was told to stop.
    stopped: bool,
    /// Somebody asked for the receiver without a frame for it.
    nudged: bool,
}

impl Mailbox {
    pub fn new() -> Result<Mailbox, Failure> {
        Ok(Mailbox { waiting: Mutex::default(), filled: EventFd::new()?, room: EventFd::new()? })
    }

    /// Appends a frame of at most `len` bytes, which `fill` writes and counts. False: no room; the
    /// descriptor [`Mailbox::room`] tells when there is.
    pub fn put(&self, len: usize, fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let mut waiting = self.lock();
        if waiting.batch.is_full() {
            if !std::mem::replace(&mut waiting.stopped, true) {
                self.room.saturate();
            }
            return false;
        }
        let first = waiting.batch.ends.is_empty();
        let start = waiting.batch.bytes.len();
        waiting.batch.bytes.resize(start + len, 0);
        let end = start + fill(&mut waiting.batch.bytes[start..]).min(len);
        waiting.batch.bytes.truncate(end);
        waiting.batch.ends.push(end);
        if first {
            self.filled.raise();
        }
        true
    }

    /// Exchanges a batch that was read for what waits; false: nothing does.
    pub fn take(&self, read: &mut Batch) -> bool {
        read.clear();
        let mut waiting = self.lock();
        if waiting.batch.ends.is_empty() {
            waiting.nudged = false;
            self.filled.lower();
            return false;
        }
        std::mem::swap(&mut waiting.batch, read);
        if std::mem::take(&mut waiting.stopped) {
            self.room.lower();
        }
        true
    }

    /// Makes the receiver look.
    pub fn nudge(&self) {
        if !std::mem::replace(&mut self.lock().nudged, true) {
            self.filled.raise();
        }
    }

    pub fn filled(&self) -> BorrowedFd<'_> {
        self.filled.0.as_fd()
    }

    pub fn room(&self) -> BorrowedFd<'_> {
        self.room.0.as_fd()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// eventfd(2): readable when its count is not zero, writable unless it is at its greatest.
struct EventFd(OwnedFd);

impl EventFd {
    fn new() -> Result<EventFd, Failure> {
        // SAFETY: a new descriptor, owned at once.
        unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if fd < 0 {
                return Err(Failure::last_os("eventfd"));
            }
            Ok(EventFd(OwnedFd::from_raw_fd(fd)))
        }
    }

    fn raise(&self) {
        self.write(1);
    }

    /// Not writable any more.
    fn saturate(&self) {
        self.write(u64::MAX - 1);
    }

    fn write(&self, n: u64) {
        // SAFETY: eight bytes are read. It can fail only when the count is at its greatest already.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const n).cast(), size_of::<u64>()) };
    }

    /// Not readable, and writable.
    fn lower(&self) {
        let mut n = 0u64;
        // SAFETY: eight bytes are written. It fails when the count is zero already.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut n).cast(), size_of::<u64>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls(fd: BorrowedFd<'_>, events: i16) -> bool {
        let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    fn put(mailbox: &Mailbox, frame: &[u8]) -> bool {
        mailbox.put(frame.len(), |to| {
            to.copy_from_slice(frame);
            frame.len()
        })
    }

    #[test]
    fn frames_come_out_in_order_and_the_descriptor_tells() {
        let mailbox = Mailbox::new().unwrap();
        let mut batch = Batch::default();
        assert!(!polls(mailbox.filled(), libc::POLLIN));
        assert!(put(&mailbox, b"one") && put(&mailbox, b"") && put(&mailbox, b"three"));
        assert!(polls(mailbox.filled(), libc::POLLIN));
        assert!(mailbox.take(&mut batch));
        assert_eq!(batch.next(), Some(&b"one"[..]));
        assert!(put(&mailbox, b"four"));
        assert_eq!(batch.next(), Some(&b""[..]));
        assert!(!batch.is_read());
        assert_eq!(batch.next(), Some(&b"three"[..]));
        assert!(batch.is_read());
        assert_eq!(batch.next(), None);
        assert!(mailbox.take(&mut batch));
        assert_eq!(batch.next(), Some(&b"four"[..]));
        assert!(polls(mailbox.filled(), libc::POLLIN), "until somebody looked again");
        assert!(!mailbox.take(&mut batch));
        assert!(!polls(mailbox.filled(), libc::POLLIN));
        mailbox.nudge();
        assert!(polls(mailbox.filled(), libc::POLLIN));
        assert!(!mailbox.take(&mut batch));
        assert!(!polls(mailbox.filled(), libc::POLLIN));
    }

    #[test]
    fn a_full_box_stops_the_sender_until_it_is_emptied() {
        let mailbox = Mailbox::new().unwrap();
        let frame = vec![7; 65_000];
        let mut sent = 0;
        while put(&mailbox, &frame) {
            sent += 1;
        }
        assert_eq!(sent, BYTES_MAX.div_ceil(frame.len()));
        assert!(!put(&mailbox, b"x"));
        assert!(!polls(mailbox.room(), libc::POLLOUT));
        let mut batch = Batch::default();
        assert!(mailbox.take(&mut batch));
        assert!(polls(mailbox.room(), libc::POLLOUT));
        assert!(put(&mailbox, b"x"));
    }
}
