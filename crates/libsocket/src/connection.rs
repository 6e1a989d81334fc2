//! The life of a stream socket: connect, listen, accept, shutdown, and its names.
//!
//! The daemon's end of the pair drives every poll state. A pair that has no peer yet is made not writable
//! by filler bytes, which the daemon reads when the handshake is over; until then nothing else may go in.

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use sockets::WireAddr;
use sockets::call::{AcceptMessage, CONNECT_FILLERS, Op, SocketInfo, SocketState};

use crate::control::{self, Request};
use crate::real::{self, Errno, check, sys};
use crate::rings::Way;
use crate::stream::{End, end};
use crate::table::{self, Socket, flag};
use crate::{address, identify, native, rings, stock};

/// What SO_SNDBUF of a connected pair's end becomes, in bytes.
const SEND_BUFFER: c_int = 512 * 1024;

/// Brings the entry up to date where another process, or the passing of time, may have changed the
/// socket: a fresh one is asked for, a connecting one looked at. Connected stays connected.
pub fn settle(s: &Socket) -> Result<SocketState, Errno> {
    let state = match s.state() {
        state @ (SocketState::Connected | SocketState::Connecting) => state,
        _ => {
            let info = identify::one(s.fd)?;
            if info.handle != s.handle {
                table::clear(s.fd);
                return Err(Errno::ENOTSOCK);
            }
            table::set_state(s, info.state);
            info.state
        }
    };
    if state != SocketState::Connecting {
        return Ok(state);
    }
    let events = real::poll(s.fd, libc::POLLOUT, real::NOW)?;
    if events & (libc::POLLERR | libc::POLLHUP) == 0 && events & libc::POLLOUT != 0 {
        connected(s);
        return Ok(SocketState::Connected);
    }
    Ok(state)
}

/// As [`settle`], but a pair that bears no trace of use is taken to be fresh without asking: nothing is
/// queued, and its send buffer is still at the kernel's minimum. A listener that was shut down is free for a new
/// life, as after a failed connect; its pair is not, and needs to be opened again just so.
fn state_before_use(s: &Socket) -> Result<SocketState, Errno> {
    const UNUSED_BUFFER_MAX: c_int = 8192;
    if s.state() == SocketState::Fresh
        && real::native_option::<c_int>(s.fd, libc::SOL_SOCKET, libc::SO_SNDBUF)? <= UNUSED_BUFFER_MAX
        && queued(s)? == 0
    {
        return Ok(SocketState::Fresh);
    }
    let state = settle(s)?;
    let free = matches!(state, SocketState::Fresh | SocketState::Listening);
    Ok(if free && has_hung_up(s)? { SocketState::Failed } else { state })
}

/// Nothing more will come through the pair.
fn has_hung_up(s: &Socket) -> Result<bool, Errno> {
    Ok(real::poll(s.fd, libc::POLLRDHUP, real::NOW)? & (libc::POLLRDHUP | libc::POLLHUP) != 0)
}

/// SIOCOUTQ of the pair: 0 exactly when nothing is unread.
fn queued(s: &Socket) -> Result<c_int, Errno> {
    let mut n: c_int = 0;
    // SAFETY: the kernel writes one int (unix(7)).
    unsafe { sys!(SYS_ioctl, s.fd, libc::TIOCOUTQ, &mut n as *mut c_int)? };
    Ok(n)
}

fn connected(s: &Socket) {
    table::set_state(s, SocketState::Connected);
    give_room(s.fd);
}

/// The send buffer of a pair that carries data.
pub fn give_room(fd: c_int) {
    // SO_SNDBUFFORCE passes net.core.wmem_max, for those who may (socket(7)).
    static MAY_FORCE: AtomicBool = AtomicBool::new(true);
    let set = |name| real::set_native_option(fd, libc::SOL_SOCKET, name, SEND_BUFFER).is_ok();
    if !MAY_FORCE.load(Ordering::Relaxed) || !set(libc::SO_SNDBUFFORCE) {
        MAY_FORCE.store(false, Ordering::Relaxed);
        set(libc::SO_SNDBUF);
    }
}

/// [`CONNECT_FILLERS`], so that POLLOUT is off until the daemon reads them; none if they are there already.
fn fill(s: &Socket) -> Result<(), Errno> {
    if queued(s)? != 0 {
        return Ok(());
    }
    // SAFETY: one byte of a constant.
    unsafe {
        for _ in 0..CONNECT_FILLERS {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            sys!(SYS_sendto, s.fd, c"".as_ptr(), 1, flags, 0, 0).map_err(lost)?;
        }
    }
    Ok(())
}

/// The pair's other end is closed though the daemon had no reason to: it is gone.
fn lost(e: Errno) -> Errno {
    if matches!(e, Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) { Errno::ENETDOWN } else { e }
}

/// connect(2) on a stream socket.
pub fn connect(s: &Socket, peer: &WireAddr) -> Result<usize, Errno> {
    if peer.family == 0 {
        // AF_UNSPEC ends whatever it is, and it is fresh again (connect(2)).
        return match state_before_use(s)? {
            SocketState::Fresh => Ok(0),
            _ => reopen(s).map(|_| 0),
        };
    }
    let first = !s.has(flag::RESULT_DUE);
    match state_before_use(s)? {
        SocketState::Connected if first => return Err(Errno::EISCONN),
        SocketState::Connected => {
            table::set_flag(s, flag::RESULT_DUE, false);
            return Ok(0);
        }
        SocketState::Listening => return Err(Errno::EISCONN),
        SocketState::Connecting => return wait(s, Errno::EALREADY),
        SocketState::Failed => return connect(&reopen(s)?, peer),
        SocketState::Fresh => {}
    }
    fill(s)?;
    let body: &[&[u8]] = &[&peer.to_bytes(), &CONNECT_FILLERS.to_ne_bytes()];
    let nonblocking = real::is_nonblocking(s.fd);
    if !nonblocking && send_timeout(s.fd).is_none() {
        return connect_and_wait(s, body);
    }
    match control::order(Op::Connect, s.handle, body) {
        Ok(()) => {
            connected(s);
            Ok(0)
        }
        Err(Errno::EINPROGRESS) => {
            table::set_state(s, SocketState::Connecting);
            table::set_flag(s, flag::RESULT_DUE, true);
            if nonblocking {
                return Err(Errno::EINPROGRESS);
            }
            wait(s, Errno::EINPROGRESS)
        }
        Err(e) => Err(e),
    }
}

/// Sleeps in the call to the daemon, natively, so that signals and SA_RESTART are the kernel's.
fn connect_and_wait(s: &Socket, body: &[&[u8]]) -> Result<usize, Errno> {
    table::set_state(s, SocketState::Connecting);
    let op = if stock::is_wanted() { Op::ConnectAndRestock } else { Op::ConnectAndWait };
    let mut room = [0; SocketInfo::LEN];
    match control::call(&Request { interruptible: true, ..Request::new(op, s.handle, body) }, &mut room) {
        Ok(reply) => {
            connected(s);
            if reply.fd >= 0 {
                match SocketInfo::parse(&room[..reply.len]) {
                    Ok(info) => stock::put(reply.fd, &info),
                    Err(_) => real::close(reply.fd),
                }
            }
            Ok(0)
        }
        Err(Errno::EINTR) => {
            // connect(2): the handshake goes on.
            table::set_flag(s, flag::RESULT_DUE, true);
            Err(Errno::EINTR)
        }
        Err(e) => {
            // Only a handshake that failed has cost the socket its pair.
            let over = real::poll(s.fd, 0, real::NOW)? & (libc::POLLERR | libc::POLLHUP) != 0;
            table::set_state(s, if over { SocketState::Failed } else { SocketState::Fresh });
            Err(e)
        }
    }
}

/// Sleeps until the handshake is over, if the socket is a blocking one; otherwise (and when
/// SO_SNDTIMEO has run out) the answer is `busy`.
fn wait(s: &Socket, busy: Errno) -> Result<usize, Errno> {
    let timeout = if real::is_nonblocking(s.fd) { real::NOW } else { send_timeout(s.fd) };
    match wait_until_connected(s, timeout) {
        Ok(true) => {
            table::set_flag(s, flag::RESULT_DUE, false);
            Ok(0)
        }
        Ok(false) => Err(busy),
        Err(e) => Err(e),
    }
}

/// SO_SNDTIMEO; `None` when there is none.
pub fn send_timeout(fd: c_int) -> Option<libc::timespec> {
    let t = real::native_option::<libc::timeval>(fd, libc::SOL_SOCKET, libc::SO_SNDTIMEO).ok()?;
    (t.tv_sec != 0 || t.tv_usec != 0).then_some(libc::timespec { tv_sec: t.tv_sec, tv_nsec: t.tv_usec * 1000 })
}

/// True when connected, false when the time is over first, the handshake's error otherwise.
pub fn wait_until_connected(s: &Socket, timeout: Option<libc::timespec>) -> Result<bool, Errno> {
    const SECOND: u64 = 1_000_000_000;
    let deadline = timeout.map(|t| real::monotonic_ns().saturating_add(t.tv_sec as u64 * SECOND + t.tv_nsec as u64));
    loop {
        let left = deadline.map(|d| {
            let ns = d.saturating_sub(real::monotonic_ns());
            libc::timespec { tv_sec: (ns / SECOND) as i64, tv_nsec: (ns % SECOND) as i64 }
        });
        match sleep(s.fd, left) {
            Ok(0) => return Ok(false),
            Ok(events) if events & libc::POLLNVAL != 0 => return Err(Errno::EBADF),
            Ok(events) if events & (libc::POLLERR | libc::POLLHUP) != 0 => {
                return match end(s) {
                    End::Error(e) => {
                        table::set_state(s, SocketState::Failed);
                        table::set_flag(s, flag::RESULT_DUE, false);
                        Err(e)
                    }
                    End::Plain => {
                        connected(s);
                        Ok(true)
                    }
                    End::DaemonGone => Err(Errno::ENETDOWN),
                };
            }
            Ok(_) => {
                connected(s);
                return Ok(true);
            }
            Err(Errno::EINTR) if real::handlers_restart() => {}
            Err(e) => return Err(e),
        }
    }
}

/// Waits for POLLOUT as a point of cancellation.
fn sleep(fd: c_int, timeout: Option<libc::timespec>) -> Result<i16, Errno> {
    let mut p = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let t = timeout.as_ref().map_or(ptr::null(), |t| t as *const libc::timespec);
    // SAFETY: both structures are locals.
    check(unsafe { native::ppoll(&mut p, 1, t, ptr::null()) } as _)?;
    Ok(p.revents)
}

/// A fresh pair under the same number, with the flags of the old one.
fn reopen(s: &Socket) -> Result<Socket, Errno> {
    let mut room = [0u8; SocketInfo::LEN];
    let reply = control::call(&Request::new(Op::Reopen, s.handle, &[]), &mut room)?;
    let info = SocketInfo::parse(&room[..reply.len])?;
    if reply.fd < 0 {
        return Err(Errno::EPROTO);
    }
    let nonblocking = real::is_nonblocking(s.fd);
    // SAFETY: numbers only.
    let moved = unsafe {
        let cloexec = sys!(SYS_fcntl, s.fd, libc::F_GETFD).is_ok_and(|f| f as c_int & libc::FD_CLOEXEC != 0);
        let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
        sys!(SYS_dup3, reply.fd, s.fd, flags)
    };
    real::close(reply.fd);
    moved?;
    if nonblocking {
        real::set_nonblocking(s.fd);
    }
    table::insert(s.fd, &info);
    table::socket(s.fd).ok_or(Errno::EBADF)
}

/// bind(2). A socket whose connect has failed may be bound, as one that was never connected.
pub fn bind(s: &Socket, addr: &WireAddr) -> Result<usize, Errno> {
    if s.is_stream() && s.state() == SocketState::Failed {
        reopen(s)?;
    }
    control::order(Op::Bind, s.handle, &[&addr.to_bytes()])?;
    Ok(0)
}

/// listen(2).
pub fn listen(s: &Socket, backlog: c_int) -> Result<usize, Errno> {
    match state_before_use(s)? {
        SocketState::Connected | SocketState::Connecting => return Err(Errno::EINVAL),
        SocketState::Failed => return listen(&reopen(s)?, backlog),
        SocketState::Fresh => fill(s)?,
        SocketState::Listening => {}
    }
    control::order(Op::Listen, s.handle, &[&backlog.to_ne_bytes()])?;
    table::set_state(s, SocketState::Listening);
    Ok(0)
}

/// accept4(2): the connection and its peer's address.
pub fn accept(s: &Socket, flags: c_int) -> Result<(c_int, WireAddr), Errno> {
    if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    if !s.is_stream() {
        return Err(Errno::EOPNOTSUPP);
    }
    if s.state() != SocketState::Listening && settle(s)? != SocketState::Listening {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0u8; AcceptMessage::LEN];
    let mut control = [0u64; 4];
    // SAFETY: all pointers are to locals with their true lengths.
    let (n, fd) = unsafe {
        let mut iov = control::iovec_mut(&mut bytes);
        let mut m: libc::msghdr = core::mem::zeroed();
        m.msg_iov = &mut iov;
        m.msg_iovlen = 1;
        m.msg_control = control.as_mut_ptr().cast();
        m.msg_controllen = size_of_val(&control);
        let cloexec = if flags & libc::SOCK_CLOEXEC != 0 { libc::MSG_CMSG_CLOEXEC } else { 0 };
        let n = check(native::recvmsg(s.fd, &mut m, cloexec) as _);
        let n = match n {
            Ok(0) | Err(Errno::ECONNRESET) => return Err(listener_ended(s)),
            other => other?,
        };
        let fd = control::first_descriptor(&m);
        if fd < 0 {
            // No number was free for it (cmsg(3), MSG_CTRUNC): the connection is lost.
            return Err(if m.msg_flags & libc::MSG_CTRUNC != 0 { Errno::EMFILE } else { Errno::EPROTO });
        }
        (n, fd)
    };
    let message = match AcceptMessage::parse(&bytes[..n]) {
        Ok(m) if table::insert(fd, &m.info) => m,
        other => {
            real::close(fd);
            return Err(if other.is_ok() { Errno::EMFILE } else { Errno::EPROTO });
        }
    };
    if flags & libc::SOCK_NONBLOCK != 0 {
        real::set_nonblocking(fd);
    }
    Ok((fd, message.peer))
}

/// A listener whose stream has ended was shut down, or its daemon has died.
fn listener_ended(s: &Socket) -> Errno {
    match end(s) {
        End::DaemonGone => Errno::ENETDOWN,
        _ => Errno::EINVAL,
    }
}

/// shutdown(2) on a stream socket; `how` is 0 to 2.
pub fn shutdown(s: &Socket, how: c_int) -> Result<usize, Errno> {
    let connected = settle(s)? == SocketState::Connected;
    if how != libc::SHUT_WR {
        rings::never(s); // what is unread will be nobody's
    }
    // In pair mode it stays there until the pair is shut down.
    let _pair = match rings::way(s) {
        Way::Pair(used) => used,
        Way::Ring(_) if connected && how == libc::SHUT_WR && rings::shut_for_writing(s) => {
            // The pair stays open: the daemon is told by it what is read.
            control::order(Op::Shutdown, s.handle, &[&how.to_ne_bytes()])?;
            return Ok(0);
        }
        Way::Ring(_) => table::Use::none(),
    };
    if connected && has_hung_up(s)? {
        // Both ends may have ended: then there is no connection to shut down (ENOTCONN).
        control::call(&Request::new(Op::PeerAddr, s.handle, &[]), &mut [0u8; WireAddr::LEN])?;
    }
    if !connected || how != libc::SHUT_WR {
        let told = if connected { libc::SHUT_RD } else { how };
        control::order(Op::Shutdown, s.handle, &[&told.to_ne_bytes()])?;
    }
    if connected {
        // SAFETY: numbers only.
        unsafe { sys!(SYS_shutdown, s.fd, how) }.or_else(|e| if e == Errno::ENOTCONN { Ok(0) } else { Err(e) })?;
    }
    Ok(0)
}

/// getsockname(2) and getpeername(2).
///
/// # Safety
/// As those.
pub unsafe fn name(s: &Socket, op: Op, to: *mut libc::sockaddr, len: *mut libc::socklen_t) -> Result<usize, Errno> {
    if s.is_stream() && s.state() == SocketState::Connecting {
        settle(s)?;
    }
    if to.is_null() || len.is_null() {
        return Err(Errno::EFAULT);
    }
    let mut room = [0u8; WireAddr::LEN];
    let reply = control::call(&Request::new(op, s.handle, &[]), &mut room)?;
    if reply.len != WireAddr::LEN {
        return Err(Errno::EPROTO);
    }
    let mut a = WireAddr::from_bytes(&room);
    if a.family == 0 {
        a.family = s.domain();
    }
    // SAFETY: the caller vouches for both pointers.
    unsafe { address::give(&a, to, len) }?;
    Ok(0)
}
