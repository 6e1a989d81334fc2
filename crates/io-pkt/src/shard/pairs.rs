//! Pairs: the descriptors that programs get (docs: the design's §4, "Stream sockets").

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::table::Flow;

/// SO_SNDBUF of the ends of a connected stream, in bytes.
pub const STREAM_BUFFER: usize = 512 * 1024;
/// SO_SNDBUF of the daemon's end of a datagram pair until the program sets SO_RCVBUF: what
/// net.core.rmem_default is on Linux.
pub const DATAGRAM_BUFFER: usize = 212_992;

/// A new pair. The program's end is to be handed over and forgotten: while the daemon holds it, end
/// of file does not come.
pub struct Pair {
    pub ours: OwnedFd,
    pub program: OwnedFd,
    /// SO_COOKIE of the program's end.
    pub cookie: u64,
}

/// What a pair is for; it decides the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A stream socket without a peer: the least room, so that two fillers take POLLOUT away.
    FreshStream,
    /// An accepted connection.
    ConnectedStream,
    Datagram,
}

impl Purpose {
    pub fn of(flow: &Flow) -> Purpose {
        match flow {
            Flow::Stream(_) => Purpose::FreshStream,
            Flow::Datagram(_) => Purpose::Datagram,
        }
    }
}

/// Makes pairs and sizes them.
#[derive(Debug)]
pub struct Pairs {
    /// SO_SNDBUFFORCE has not been refused yet (socket(7): CAP_NET_ADMIN).
    may_force: Cell<bool>,
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs { may_force: Cell::new(true) }
    }
}

impl Pairs {
    /// Errors: EMFILE, ENFILE, ENOMEM.
    pub fn make(&self, purpose: Purpose) -> io::Result<Pair> {
        let kind = if purpose == Purpose::Datagram { SocketType::SEQPACKET } else { SocketType::STREAM };
        // The program's end blocks until the program says otherwise: O_NONBLOCK is of the open file, so
        // only the daemon's end may have it from the start.
        let (ours, program) = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        match purpose {
            // Our end gets its size when the first one is full: most connections carry little.
            Purpose::FreshStream => sockopt::set_socket_send_buffer_size(&program, 0)?,
            Purpose::ConnectedStream => self.send_buffer(&program, STREAM_BUFFER),
            Purpose::Datagram => {
                self.send_buffer(&ours, DATAGRAM_BUFFER);
                sockopt::set_socket_passcred(&ours, true)?;
            }
        }
        let cookie = sockopt::socket_cookie(&program)?;
        Ok(Pair { ours, program, cookie })
    }

    /// SO_SNDBUF, past net.core.wmem_max where we may.
    pub fn send_buffer(&self, fd: impl AsFd, bytes: usize) {
        let fd = fd.as_fd();
        if self.may_force.get() {
            match sockopt::set_socket_send_buffer_size_force(fd, bytes) {
                Ok(()) => return,
                Err(_) => self.may_force.set(false),
            }
        }
        let _ = sockopt::set_socket_send_buffer_size(fd, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn writable(fd: &OwnedFd) -> bool {
        let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(fd, PollFlags::OUT)];
        poll(&mut fds, Some(&zero)).expect("poll") == 1
    }

    #[test]
    fn two_fillers_take_pollout_from_a_fresh_stream_and_reading_them_gives_it_back() {
        let pair = Pairs::default().make(Purpose::FreshStream).expect("a pair");
        assert!(writable(&pair.program));
        for _ in 0..sockets::call::CONNECT_FILLERS {
            rustix::io::write(&pair.program, &[0]).expect("a filler");
        }
        assert!(!writable(&pair.program));
        let mut fillers = [0; 2];
        rustix::io::read(&pair.ours, &mut fillers).expect("fillers");
        assert!(writable(&pair.program));
    }

    #[test]
    fn an_empty_datagram_is_told_from_end_of_file() {
        let pair = Pairs::default().make(Purpose::Datagram).expect("a pair");
        let mut burst = crate::sys::DatagramBurst::default();
        rustix::net::send(&pair.program, &[], rustix::net::SendFlags::empty()).expect("an empty message");
        drop(pair.program);
        assert_eq!(burst.receive(pair.ours.as_fd(), 1).expect("a message"), 1);
        assert!(matches!(burst.message(0), Some(crate::sys::Arrived::Message([]))));
        assert_eq!(burst.receive(pair.ours.as_fd(), 1).expect("end of file"), 1);
        assert!(burst.message(0).is_none());
    }
}
