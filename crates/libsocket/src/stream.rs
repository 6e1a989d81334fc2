//! The bytes of stream sockets. They go through the pair as they are; what the kernel cannot know is added
//! here: the reason for an end (ECONNRESET, ETIMEDOUT, …) is asked of the daemon, since a unix socket only
//! says that it ended.

use core::ffi::c_int;
use core::ptr;

use sockets::call::{Op, SocketState};

use crate::connection::{send_timeout, settle, wait_until_connected};
use crate::control::{self, Request};
use crate::hooks::sandbox;
use crate::native;
use crate::real::{self, Errno, check, sys};
use crate::rings::{self, Moved, Pieces, Way};
use crate::table::{self, Socket, flag};

/// Flags of send(2) that mean the same on the pair.
const SEND_FLAGS: c_int = libc::MSG_DONTWAIT;
/// Flags of recv(2) that mean the same on the pair.
const RECV_FLAGS: c_int = libc::MSG_PEEK | libc::MSG_WAITALL | libc::MSG_DONTWAIT | libc::MSG_OOB;

/// Why a stream ended.
pub enum End {
    /// The socket's pending error, now taken.
    Error(Errno),
    /// In good order.
    Plain,
    /// The daemon is not there any more.
    DaemonGone,
}

/// Takes the socket's pending error from the daemon.
pub fn end(s: &Socket) -> End {
    // It must not ask; the end itself has to do.
    if sandbox::is_confined() {
        return End::Plain;
    }
    let mut value = [0u8; 4];
    let args = option_args(libc::SOL_SOCKET, libc::SO_ERROR, 4);
    match control::call(&Request::new(Op::GetOption, s.handle, &[&args]), &mut value) {
        Ok(reply) if reply.len >= 4 => match i32::from_ne_bytes(value) {
            0 => End::Plain,
            e => End::Error(Errno(e)),
        },
        Err(Errno::ENETDOWN) => End::DaemonGone,
        _ => End::Plain,
    }
}

pub fn option_args(level: c_int, name: c_int, room: c_int) -> [u8; 12] {
    let mut b = [0; 12];
    b[..4].copy_from_slice(&level.to_ne_bytes());
    b[4..8].copy_from_slice(&name.to_ne_bytes());
    b[8..].copy_from_slice(&room.to_ne_bytes());
    b
}

/// Takes bytes the way that the socket is in: by `native` from the pair, or into `iov` from the ring.
///
/// # Safety
/// The array and its buffers are valid, and `native` writes to nothing else.
unsafe fn take(
    s: &Socket,
    iov: *const libc::iovec,
    n: usize,
    flags: c_int,
    native: impl FnOnce() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    match rings::way(s) {
        Way::Pair(used) => {
            let got = native()?;
            if flags & libc::MSG_PEEK == 0 {
                used.moved(got);
            }
            Ok(got)
        }
        Way::Ring(lease) => {
            // SAFETY: handed on to the caller.
            let mut pieces = unsafe { Pieces::new(iov, n, flags & libc::MSG_TRUNC != 0)? };
            // SAFETY: as above.
            match unsafe { rings::receive(s, &lease, &mut pieces, flags)? } {
                Moved::Bytes(n) => Ok(n),
                Moved::ByPair(0) => native(),
                // MSG_WAITALL, broken in two by the change.
                // SAFETY: as above.
                Moved::ByPair(done) => {
                    Ok(the_rest(done, &pieces, |at, n| unsafe { native::recv(s.fd, at.cast(), n, flags & RECV_FLAGS) }))
                }
            }
        }
    }
}

/// Sends bytes the way that the socket is in: by `native` through the pair, or from `iov` through the ring.
///
/// # Safety
/// As [`take`], and `native` reads nothing else.
unsafe fn give(
    s: &Socket,
    iov: *const libc::iovec,
    n: usize,
    flags: c_int,
    native: impl FnOnce() -> isize,
) -> Result<usize, Errno> {
    match rings::way(s) {
        Way::Pair(used) => {
            let sent = explain_write(s, check(native() as _), flags)?;
            used.moved(sent);
            Ok(sent)
        }
        Way::Ring(lease) => {
            // SAFETY: handed on to the caller.
            let mut pieces = unsafe { Pieces::new(iov, n, false)? };
            // SAFETY: as above.
            match unsafe { rings::send(s, &lease, &mut pieces, flags)? } {
                Moved::Bytes(n) => Ok(n),
                Moved::ByPair(0) => explain_write(s, check(native() as _), flags),
                // SAFETY: as above.
                Moved::ByPair(done) => Ok(the_rest(done, &pieces, |at, n| unsafe {
                    native::send(s.fd, at.cast(), n, flags & SEND_FLAGS | libc::MSG_NOSIGNAL)
                })),
            }
        }
    }
}

/// Moves what a change to pair mode has left of a call, until a piece is not moved whole; gives back the bytes of all.
fn the_rest(done: usize, pieces: &Pieces, each: impl Fn(*mut u8, usize) -> isize) -> usize {
    let mut done = done;
    for (at, n) in pieces.rest() {
        let moved = check(each(at, n) as _).unwrap_or(0);
        done += moved;
        if moved != n {
            break;
        }
    }
    done
}

fn one(buf: *mut u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: buf.cast(), iov_len: len }
}

/// read(2).
///
/// # Safety
/// `buf` is valid for `len` bytes.
pub unsafe fn read(s: &Socket, buf: *mut u8, len: usize) -> Result<usize, Errno> {
    ready_to_read(s, 0)?;
    // SAFETY: the caller vouches for the buffer.
    unsafe { take(s, &one(buf, len), 1, 0, || explain_read(s, check(native::read(s.fd, buf.cast(), len) as _), len)) }
}

/// readv(2).
///
/// # Safety
/// As readv(2).
pub unsafe fn readv(s: &Socket, iov: *const libc::iovec, n: c_int) -> Result<usize, Errno> {
    ready_to_read(s, 0)?;
    // SAFETY: the caller vouches for the array. Some of its buffers are not empty.
    unsafe { take(s, iov, n as usize, 0, || explain_read(s, check(native::readv(s.fd, iov, n) as _), 1)) }
}

/// recv(2) into one buffer.
///
/// # Safety
/// `buf` is valid for `len` bytes.
pub unsafe fn recv(s: &Socket, buf: *mut u8, len: usize, flags: c_int) -> Result<usize, Errno> {
    ready_to_read(s, flags)?;
    // SAFETY: the caller vouches for the buffer.
    unsafe {
        take(s, &one(buf, len), 1, flags, || match flags & libc::MSG_TRUNC {
            0 => explain_read(s, check(native::recv(s.fd, buf.cast(), len, flags & RECV_FLAGS) as _), len),
            _ => discard(s, len, flags),
        })
    }
}

/// recvmsg(2). Name and control data come out empty, as TCP gives them (tcp(7)).
///
/// # Safety
/// As recvmsg(2).
pub unsafe fn recv_msg(s: &Socket, m: &mut libc::msghdr, flags: c_int) -> Result<usize, Errno> {
    ready_to_read(s, flags)?;
    // SAFETY: the caller vouches for the message's buffers.
    unsafe {
        let room = room_of(m);
        let mut inner: libc::msghdr = core::mem::zeroed();
        inner.msg_iov = m.msg_iov;
        inner.msg_iovlen = m.msg_iovlen;
        let n = take(s, m.msg_iov, m.msg_iovlen, flags, || match flags & libc::MSG_TRUNC {
            0 => explain_read(s, check(native::recvmsg(s.fd, &mut inner, flags & RECV_FLAGS) as _), room),
            _ => discard(s, room, flags),
        })?;
        m.msg_namelen = 0;
        m.msg_controllen = 0;
        m.msg_flags = inner.msg_flags & libc::MSG_OOB | flags & libc::MSG_CMSG_CLOEXEC;
        Ok(n)
    }
}

/// Sum of the lengths of a message's buffers.
///
/// # Safety
/// The message's iovec array is valid.
pub unsafe fn room_of(m: &libc::msghdr) -> usize {
    let mut room = 0usize;
    for i in 0..m.msg_iovlen {
        // SAFETY: the caller vouches for the array.
        room = room.saturating_add(unsafe { (*m.msg_iov.add(i)).iov_len });
    }
    room
}

/// Whether there is, or was, something to read from. A socket whose connect(2) has told its failure is as good as new.
pub fn ready_to_read(s: &Socket, flags: c_int) -> Result<(), Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno::EAGAIN);
    }
    if s.state() != SocketState::Connected {
        match settle(s)? {
            SocketState::Fresh | SocketState::Listening => return Err(Errno::ENOTCONN),
            SocketState::Failed if !s.has(flag::END_TOLD) => return Err(Errno::ENOTCONN),
            _ => {}
        }
    }
    Ok(())
}

/// MSG_TRUNC on a stream takes bytes off the queue without giving them (tcp(7)); with MSG_PEEK it only
/// counts them.
fn discard(s: &Socket, len: usize, flags: c_int) -> Result<usize, Errno> {
    if flags & libc::MSG_PEEK != 0 {
        return count(s, len, flags);
    }
    let mut sink = [0u8; 4096];
    let mut total = 0;
    while total < len {
        let want = (len - total).min(sink.len());
        let wait = if total > 0 { libc::MSG_DONTWAIT } else { 0 };
        // SAFETY: a local buffer with its true length.
        let got = unsafe {
            sys!(SYS_recvfrom, s.fd, sink.as_mut_ptr(), want, flags & RECV_FLAGS & !libc::MSG_PEEK | wait, 0, 0)
        };
        match got {
            Ok(0) if total > 0 => break,
            Err(_) if total > 0 => break,
            other => total += explain_read(s, other, want)?,
        }
        if got == Ok(0) {
            break;
        }
    }
    Ok(total)
}

/// How many bytes a read of `len` would find, waiting for the first one.
fn count(s: &Socket, len: usize, flags: c_int) -> Result<usize, Errno> {
    let mut first = [0u8; 1];
    let flags = flags & RECV_FLAGS & !libc::MSG_WAITALL;
    // SAFETY: local variables with their true lengths.
    let found = unsafe { sys!(SYS_recvfrom, s.fd, first.as_mut_ptr(), len.min(1), flags, 0, 0) };
    if explain_read(s, found, len)? == 0 {
        return Ok(0);
    }
    Ok(len.min(real::unread(s.fd)?.max(1)))
}

/// Turns what the pair said into what TCP would have said.
pub fn explain_read(s: &Socket, got: Result<usize, Errno>, room: usize) -> Result<usize, Errno> {
    match got {
        Ok(0) => {
            if sandbox::is_confined() {
                return Ok(0);
            }
            let hung_up = real::poll(s.fd, 0, real::NOW)? & libc::POLLHUP != 0;
            if !hung_up || s.has(flag::END_TOLD) || room == 0 && real::unread(s.fd)? > 0 {
                return Ok(0);
            }
            let end = end(s);
            table::set_flag(s, flag::END_TOLD, true);
            match end {
                End::Error(Errno::EPIPE) => {
                    // A reset after the peer's FIN: who reads has had the end already; who writes, or asks for
                    // SO_ERROR, is told.
                    table::set_flag(s, flag::PIPE_DUE, true);
                    Ok(0)
                }
                End::Error(e) => Err(e),
                End::Plain => Ok(0),
                End::DaemonGone => Err(Errno::ECONNRESET),
            }
        }
        Err(Errno::ECONNRESET) => match end(s) {
            End::Error(e) => {
                failed(s);
                Err(e)
            }
            // A failed handshake's fillers, unread: the failure was told before.
            _ if s.state() == SocketState::Failed => Ok(0),
            _ => Err(Errno::ECONNRESET),
        },
        other => other,
    }
}

/// A handshake that has failed is known as such; a connection that has ended stays connected, as far
/// as this library is concerned, and reads as ended.
pub fn failed(s: &Socket) {
    if s.state() == SocketState::Connecting {
        table::set_state(s, SocketState::Failed);
        table::set_flag(s, flag::END_TOLD, true);
        table::set_flag(s, flag::RESULT_DUE, false);
    }
}

/// send(2) from one buffer.
///
/// # Safety
/// `buf` is valid for `len` bytes.
pub unsafe fn send(s: &Socket, buf: *const u8, len: usize, flags: c_int) -> Result<usize, Errno> {
    ready_to_write(s, flags)?;
    // SAFETY: the caller vouches for the buffer.
    unsafe {
        give(s, &one(buf.cast_mut(), len), 1, flags, || {
            native::send(s.fd, buf.cast(), len, flags & SEND_FLAGS | libc::MSG_NOSIGNAL)
        })
    }
}

/// Sends bytes by a call of the kernel's that knows no flags, and so raises SIGPIPE itself: write(2), sendfile(2), …
pub fn write(s: &Socket, native: impl FnOnce() -> isize) -> Result<usize, Errno> {
    ready_to_write(s, 0)?;
    explain_write(s, check(native() as _), libc::MSG_NOSIGNAL)
}

/// sendmsg(2). An address is passed over, as on any connected stream; so is control data, of which
/// none means anything to TCP here.
///
/// # Safety
/// As sendmsg(2).
pub unsafe fn send_msg(s: &Socket, m: &libc::msghdr, flags: c_int) -> Result<usize, Errno> {
    ready_to_write(s, flags)?;
    // SAFETY: the caller vouches for the message's buffers.
    unsafe {
        let mut inner: libc::msghdr = core::mem::zeroed();
        inner.msg_iov = m.msg_iov;
        inner.msg_iovlen = m.msg_iovlen;
        give(s, m.msg_iov, m.msg_iovlen, flags, || {
            native::sendmsg(s.fd, &inner, flags & SEND_FLAGS | libc::MSG_NOSIGNAL)
        })
    }
}

/// Before any bytes go into the pair: it must be connected, or they would be taken for fillers.
pub fn ready_to_write(s: &Socket, flags: c_int) -> Result<(), Errno> {
    // MSG_FASTOPEN: as Linux without the client's half of RFC 7413 (net.ipv4.tcp_fastopen).
    if flags & (libc::MSG_OOB | libc::MSG_FASTOPEN) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if s.state() == SocketState::Connected {
        return Ok(());
    }
    match settle(s)? {
        SocketState::Connected => Ok(()),
        SocketState::Connecting => {
            let now = flags & libc::MSG_DONTWAIT != 0 || real::is_nonblocking(s.fd);
            let timeout = if now { real::NOW } else { send_timeout(s.fd) };
            match wait_until_connected(s, timeout) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Errno::EAGAIN),
                Err(e) => {
                    failed(s);
                    Err(e)
                }
            }
        }
        _ => {
            if flags & libc::MSG_NOSIGNAL == 0 {
                real::raise_sigpipe();
            }
            Err(Errno::EPIPE)
        }
    }
}

/// Turns what the pair said into what TCP would have said, SIGPIPE included.
pub fn explain_write(s: &Socket, sent: Result<usize, Errno>, flags: c_int) -> Result<usize, Errno> {
    match sent {
        Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => {
            if let End::Error(e) = end(s)
                && e != Errno::EPIPE
            {
                return Err(e);
            }
            table::set_flag(s, flag::PIPE_DUE, false);
            if flags & libc::MSG_NOSIGNAL == 0 {
                real::raise_sigpipe();
            }
            Err(Errno::EPIPE)
        }
        other => other,
    }
}

/// recvfrom(2) on a stream: there is no source address to give (tcp(7)).
///
/// # Safety
/// `len` is null or valid.
pub unsafe fn give_no_name(a: *mut libc::sockaddr, len: *mut libc::socklen_t) {
    if !a.is_null() && !len.is_null() {
        // SAFETY: recvfrom(2)'s caller vouches for the length's pointer.
        unsafe { ptr::write(len, 0) };
    }
}
