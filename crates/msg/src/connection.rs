//! The client's side: open, send, get the reply.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use errno::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::packet;

/// A connection to a channel. One message at a time: a second thread uses a connection of its own.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

fn errno_of(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

impl Connection {
    /// Connects to the channel at `path`.
    ///
    /// Errors: ENOENT and ECONNREFUSED when nobody serves there, EAGAIN when its queue is full,
    /// EACCES, ENAMETOOLONG.
    pub fn open(path: &Path) -> Result<Connection, Errno> {
        let addr = SocketAddrUnix::new(path).map_err(|e| Errno(e.raw_os_error()))?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| Errno(e.raw_os_error()))?;
        rustix::net::connect(&socket, &addr).map_err(|e| Errno(e.raw_os_error()))?;
        Ok(Connection { socket })
    }

    /// Sends a message and waits for its reply; gives back the reply's length and descriptors.
    ///
    /// Errors: ECONNRESET when the server went away or cut us off, EMSGSIZE when the reply is longer
    /// than `reply`, EMFILE when its descriptors found no room here.
    pub fn send(
        &mut self,
        message: &[u8],
        fds: &[BorrowedFd<'_>],
        reply: &mut [u8],
    ) -> Result<(usize, Vec<OwnedFd>), Errno> {
        self.send_parts(&[IoSlice::new(message)], fds, reply)
    }

    /// As [`send`](Connection::send), the message gathered from several pieces.
    pub fn send_parts(
        &mut self,
        parts: &[IoSlice<'_>],
        fds: &[BorrowedFd<'_>],
        reply: &mut [u8],
    ) -> Result<(usize, Vec<OwnedFd>), Errno> {
        loop {
            match packet::send(self.socket.as_fd(), parts, fds, 0) {
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => return Err(Errno::ECONNRESET),
                Err(e) => return Err(errno_of(&e)),
            }
        }
        loop {
            match packet::receive(self.socket.as_fd(), reply, 0) {
                Ok(a) if a.len == 0 && a.fds.is_empty() => return Err(Errno::ECONNRESET),
                Ok(a) if a.truncated => return Err(Errno::EMSGSIZE),
                Ok(a) if a.control_truncated => return Err(Errno::EMFILE),
                Ok(a) => return Ok((a.len, a.fds)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(errno_of(&e)),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
