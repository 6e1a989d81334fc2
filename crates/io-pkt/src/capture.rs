//! A tap on a link: frames both ways as pcap records (tcpdump's file format, LINKTYPE_ETHERNET) into
//! a descriptor that the asker passed along. Never waits: what the reader is too slow for is dropped and counted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use stack::{TxBatch, TxFrame};

/// pcap's magic for microsecond timestamps, in our byte order.
const MAGIC: u32 = 0xa1b2_c3d4;
const LINKTYPE_ETHERNET: u32 = 1;
/// Largest snaplen, and what 0 means, in bytes: a whole merged frame.
pub const SNAPLEN_MAX: u32 = 262_144;
/// Most captures on one link.
pub const CAPTURES_MAX: usize = 8;

pub struct Capture {
    out: OwnedFd,
    snaplen: usize,
    /// The rest of a record that the reader has not made room for.
    pending: Vec<u8>,
    written: usize,
    pub dropped: u64,
}

impl Capture {
    /// Begins a capture into `out`.
    ///
    /// Errors: those of fcntl(2).
    pub fn new(out: OwnedFd, snaplen: u32) -> io::Result<Capture> {
        let out = non_blocking(out)?;
        let snaplen = if snaplen == 0 { SNAPLEN_MAX } else { snaplen.min(SNAPLEN_MAX) };
        let mut pending = Vec::with_capacity(24);
        pending.extend_from_slice(&MAGIC.to_ne_bytes());
        pending.extend_from_slice(&2u16.to_ne_bytes());
        pending.extend_from_slice(&4u16.to_ne_bytes());
        pending.extend_from_slice(&[0; 8]); // time zone, accuracy
        pending.extend_from_slice(&snaplen.to_ne_bytes());
        pending.extend_from_slice(&LINKTYPE_ETHERNET.to_ne_bytes());
        let mut capture = Capture { out, snaplen: snaplen as usize, pending, written: 0, dropped: 0 };
        capture.flush()?;
        Ok(capture)
    }

    /// False once the other end of the pipe or socket is closed.
    pub fn has_reader(&self) -> bool {
        let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.out, PollFlags::OUT)];
        poll(&mut fds, Some(&zero)).is_ok() && !fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Writes one received frame. An error says that the reader is gone.
    pub fn received(&mut self, frame: &[u8]) -> io::Result<()> {
        let kept = frame.len().min(self.snaplen);
        self.record(frame.len(), kept, |record| record.extend_from_slice(&frame[..kept]))
    }

    /// Writes one frame on its way out, as the link gets it: before it is cut and summed.
    pub fn sent(&mut self, batch: &TxBatch, frame: &TxFrame) -> io::Result<()> {
        let len = batch.len_of(frame);
        let kept = len.min(self.snaplen);
        self.record(len, kept, |record| {
            let start = record.len();
            let head = batch.head(frame);
            record.extend_from_slice(&head[..head.len().min(kept)]);
            for slice in batch.slices(frame) {
                let room = kept - (record.len() - start);
                let at = record.len();
                record.resize(at + slice.len().min(room), 0);
                slice.copy_out(0, &mut record[at..]);
            }
        })
    }

    fn record(&mut self, len: usize, kept: usize, bytes: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.flush()?;
        if !self.pending.is_empty() {
            self.dropped += 1;
            return Ok(());
        }
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        for word in [t.tv_sec as u32, (t.tv_nsec / 1000) as u32, kept as u32, len as u32] {
            self.pending.extend_from_slice(&word.to_ne_bytes());
        }
        bytes(&mut self.pending);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.pending.len() {
            match rustix::io::write(&self.out, &self.pending[self.written..]) {
                Ok(n) => self.written += n,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.pending.clear();
        self.written = 0;
        Ok(())
    }
}

/// The same file, not blocking: by an open file of our own where that can be had, so that the asker's
/// own descriptor keeps its flags.
fn non_blocking(fd: OwnedFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(own) => Ok(own),
        Err(_) => {
            let flags = rustix::fs::fcntl_getfl(&fd)?;
            rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
            Ok(fd)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_loses_whole_records_and_never_blocks_us() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let mut capture = Capture::new(writer, 0).expect("a capture");
        let frame = vec![7; 60_000];
        for _ in 0..10 {
            capture.received(&frame).expect("the reader is there");
        }
        assert!(capture.dropped >= 7);
        let mut bytes = vec![0; 24 + 16 + frame.len()];
        let mut got = 0;
        while got < bytes.len() {
            got += rustix::io::read(&reader, &mut bytes[got..]).expect("bytes");
        }
        assert_eq!(u32::from_ne_bytes(bytes[0..4].try_into().expect("four")), MAGIC);
        assert_eq!(u32::from_ne_bytes(bytes[32..36].try_into().expect("four")) as usize, frame.len());
        assert!(bytes[40..].iter().all(|b| *b == 7));
        assert!(capture.has_reader());
        drop(reader);
        assert!(!capture.has_reader());
        assert!(capture.received(&frame).is_err());
    }
}
