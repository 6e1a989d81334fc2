//! read(2) to sendmsg(2): the calls that move bytes.

use core::ffi::{c_int, c_long, c_void};

use libc::{iovec, msghdr, off64_t, size_t, sockaddr, socklen_t, ssize_t};

use crate::hooks::sandbox;
use crate::real::{Errno, answer, check, raw};
use crate::table::{self, Socket};
use crate::{datagram, hook, identify, native, rings, stream};

/// Most pieces in readv(2) and writev(2), which say EINVAL beyond (the `msg` calls EMSGSIZE).
const IOV_MAX: c_int = 1024;

/// A message of one buffer, or of the caller's array.
fn message(iov: *mut iovec, n: usize) -> msghdr {
    // SAFETY: all zeroes is a valid msghdr.
    let mut m: msghdr = unsafe { core::mem::zeroed() };
    m.msg_iov = iov;
    m.msg_iovlen = n as _;
    m
}

unsafe fn recv_one(s: &Socket, buf: *mut c_void, len: usize, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for the buffer.
    unsafe {
        if s.is_stream() {
            return stream::recv(s, buf.cast(), len, flags);
        }
        let mut iov = iovec { iov_base: buf, iov_len: len };
        datagram::recv_msg(s, &mut message(&mut iov, 1), flags)
    }
}

unsafe fn send_one(s: &Socket, buf: *const c_void, len: usize, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for the buffer.
    unsafe {
        if s.is_stream() {
            return stream::send(s, buf.cast(), len, flags);
        }
        let mut iov = iovec { iov_base: buf.cast_mut(), iov_len: len };
        datagram::send_msg(s, &message(&mut iov, 1), flags)
    }
}

/// recvmsg(2) on a socket of ours.
pub unsafe fn recv_msg(s: &Socket, m: &mut msghdr, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for the message.
    unsafe { if s.is_stream() { stream::recv_msg(s, m, flags) } else { datagram::recv_msg(s, m, flags) } }
}

/// sendmsg(2) on a socket of ours.
pub unsafe fn send_msg(s: &Socket, m: &msghdr, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for the message.
    unsafe { if s.is_stream() { stream::send_msg(s, m, flags) } else { datagram::send_msg(s, m, flags) } }
}

unsafe fn recv_from(
    s: &Socket,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for all pointers.
    unsafe {
        if s.is_stream() {
            let n = stream::recv(s, buf.cast(), len, flags)?;
            stream::give_no_name(from, from_len);
            return Ok(n);
        }
        let mut iov = iovec { iov_base: buf, iov_len: len };
        let mut m = message(&mut iov, 1);
        if !from.is_null() && !from_len.is_null() {
            if (*from_len as i32) < 0 {
                return Err(Errno::EINVAL);
            }
            m.msg_name = from.cast();
            m.msg_namelen = *from_len;
        }
        let n = datagram::recv_msg(s, &mut m, flags)?;
        if !from.is_null() && !from_len.is_null() {
            *from_len = m.msg_namelen;
        }
        Ok(n)
    }
}

/// Whether write(2) must be write(2) on the pair too. Otherwise it is send(2), with which SIGPIPE is ours to raise: for a
/// reset that is still to be told TCP raises none.
fn by_the_same_call(s: &Socket) -> bool {
    s.is_stream() && sandbox::is_confined()
}

/// Runs a call that moves bytes inside the kernel (sendfile(2), splice(2)) into a socket of ours.
unsafe fn into_stream(s: &Socket, native: impl FnOnce() -> c_long) -> Result<usize, Errno> {
    if !s.is_stream() {
        return Err(Errno::EINVAL);
    }
    rings::never(s);
    stream::write(s, || native() as ssize_t)
}

/// A name whose length has a sign (recvmsg(2), sendmsg(2): EINVAL, before anything is moved).
fn has_bad_name(m: &msghdr) -> bool {
    !m.msg_name.is_null() && (m.msg_namelen as i32) < 0
}

/// The flags of preadv2(2) as recv(2) has them. On a socket most mean nothing; one that is unknown is EOPNOTSUPP.
fn message_flags(flags: c_int) -> Result<c_int, Errno> {
    const KNOWN: c_int = libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_NOWAIT | libc::RWF_APPEND;
    match flags & !KNOWN {
        0 if flags & libc::RWF_NOWAIT != 0 => Ok(libc::MSG_DONTWAIT),
        0 => Ok(0),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn ends_the_program_if(too_long: bool) {
    if too_long {
        // SAFETY: abort(3) does not come back.
        unsafe { libc::abort() }
    }
}

hook! {
    /// read(2).
    fn read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
        match table::socket(fd) {
            None => native::read(fd, buf, n),
            // Nothing asked for is nothing to wait for: read(2), unlike recv(2), goes no further.
            Some(_) if n == 0 => 0,
            Some(s) if s.is_stream() => answer(|| stream::read(&s, buf.cast(), n)),
            Some(s) => answer(|| recv_one(&s, buf, n, 0)),
        }
    }

    /// write(2).
    fn write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
        match table::socket(fd) {
            None => native::write(fd, buf, n),
            Some(s) if by_the_same_call(&s) => answer(|| stream::write(&s, || native::write(fd, buf, n))),
            Some(s) => answer(|| send_one(&s, buf, n, 0)),
        }
    }

    /// readv(2).
    fn readv(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t {
        match table::socket(fd) {
            None => native::readv(fd, iov, n),
            Some(_) if !(0..=IOV_MAX).contains(&n) => answer(|| Err(Errno::EINVAL)),
            Some(s) => answer(|| {
                let mut m = message(iov.cast_mut(), n as usize);
                match stream::room_of(&m) {
                    0 => Ok(0),
                    _ if s.is_stream() => stream::readv(&s, iov, n),
                    _ => recv_msg(&s, &mut m, 0),
                }
            }),
        }
    }

    /// writev(2).
    fn writev(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t {
        match table::socket(fd) {
            None => native::writev(fd, iov, n),
            Some(_) if !(0..=IOV_MAX).contains(&n) => answer(|| Err(Errno::EINVAL)),
            // A `write` of nothing is a datagram; a `writev` of nothing does not reach the socket.
            Some(s) => answer(|| {
                let m = message(iov.cast_mut(), n as usize);
                match stream::room_of(&m) {
                    0 => Ok(0),
                    _ if by_the_same_call(&s) => stream::write(&s, || native::writev(fd, iov, n)),
                    _ => send_msg(&s, &m, 0),
                }
            }),
        }
    }

    /// preadv2(2). A stream has no places, but -1 means the current one.
    fn preadv2(fd: c_int, iov: *const iovec, n: c_int, at: off64_t, flags: c_int) -> ssize_t {
        match table::socket(fd) {
            Some(s) if at == -1 && (0..=IOV_MAX).contains(&n) => answer(|| {
                let mut m = message(iov.cast_mut(), n as usize);
                match stream::room_of(&m) {
                    0 => Ok(0),
                    _ => recv_msg(&s, &mut m, message_flags(flags)?),
                }
            }),
            _ => raw!(SYS_preadv2, fd, iov, n, at, at >> 32, flags) as ssize_t,
        }
    }

    /// preadv2(2), the large-file name.
    fn preadv64v2(fd: c_int, iov: *const iovec, n: c_int, at: off64_t, flags: c_int) -> ssize_t {
        preadv2(fd, iov, n, at, flags)
    }

    /// pwritev2(2).
    fn pwritev2(fd: c_int, iov: *const iovec, n: c_int, at: off64_t, flags: c_int) -> ssize_t {
        match table::socket(fd) {
            Some(s) if at == -1 && (0..=IOV_MAX).contains(&n) => answer(|| {
                let m = message(iov.cast_mut(), n as usize);
                match stream::room_of(&m) {
                    0 => Ok(0),
                    _ => send_msg(&s, &m, message_flags(flags)?),
                }
            }),
            _ => raw!(SYS_pwritev2, fd, iov, n, at, at >> 32, flags) as ssize_t,
        }
    }

    /// pwritev2(2), the large-file name.
    fn pwritev64v2(fd: c_int, iov: *const iovec, n: c_int, at: off64_t, flags: c_int) -> ssize_t {
        pwritev2(fd, iov, n, at, flags)
    }

    /// recv(2).
    fn recv(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int) -> ssize_t {
        match table::socket(fd) {
            None => native::recv(fd, buf, n, flags),
            Some(s) => answer(|| recv_one(&s, buf, n, flags)),
        }
    }

    /// send(2).
    fn send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t {
        match table::socket(fd) {
            None => native::send(fd, buf, n, flags),
            Some(s) => answer(|| send_one(&s, buf, n, flags)),
        }
    }

    /// recvfrom(2).
    fn recvfrom(
        fd: c_int, buf: *mut c_void, n: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t,
    ) -> ssize_t {
        match table::socket(fd) {
            None => native::recvfrom(fd, buf, n, flags, from, len),
            Some(s) => answer(|| recv_from(&s, buf, n, flags, from, len)),
        }
    }

    /// sendto(2).
    fn sendto(
        fd: c_int, buf: *const c_void, n: size_t, flags: c_int, to: *const sockaddr, len: socklen_t,
    ) -> ssize_t {
        match table::socket(fd) {
            None => native::sendto(fd, buf, n, flags, to, len),
            // An address of no length is none at all for sendmsg(2), but too short a one here.
            Some(s) if !s.is_stream() && !to.is_null() && len == 0 => answer(|| Err(Errno::EINVAL)),
            Some(s) => answer(|| {
                let mut iov = iovec { iov_base: buf.cast_mut(), iov_len: n };
                let mut m = message(&mut iov, 1);
                m.msg_name = to.cast_mut().cast();
                m.msg_namelen = if to.is_null() { 0 } else { len };
                send_msg(&s, &m, flags)
            }),
        }
    }

    /// recvmsg(2). On descriptors of the kernel's it looks for sockets of ours among those that
    /// came by SCM_RIGHTS.
    fn recvmsg(fd: c_int, m: *mut msghdr, flags: c_int) -> ssize_t {
        match table::socket(fd) {
            None => {
                let n = native::recvmsg(fd, m, flags);
                if n >= 0 {
                    identify::received(&*m);
                }
                n
            }
            Some(_) if m.is_null() => answer(|| Err(Errno::EFAULT)),
            Some(_) if has_bad_name(&*m) => answer(|| Err(Errno::EINVAL)),
            Some(s) => answer(|| recv_msg(&s, &mut *m, flags)),
        }
    }

    /// sendmsg(2).
    fn sendmsg(fd: c_int, m: *const msghdr, flags: c_int) -> ssize_t {
        match table::socket(fd) {
            None => {
                if !m.is_null() {
                    identify::sending(&*m);
                }
                native::sendmsg(fd, m, flags)
            }
            Some(_) if m.is_null() => answer(|| Err(Errno::EFAULT)),
            Some(_) if has_bad_name(&*m) => answer(|| Err(Errno::EINVAL)),
            Some(s) => answer(|| send_msg(&s, &*m, flags)),
        }
    }

    /// sendfile(2).
    fn sendfile(out: c_int, from: c_int, offset: *mut off64_t, n: size_t) -> ssize_t {
        match table::socket(out) {
            None => raw!(SYS_sendfile, out, from, offset, n) as ssize_t,
            Some(s) => answer(|| into_stream(&s, || raw!(SYS_sendfile, out, from, offset, n))),
        }
    }

    /// sendfile(2), the large-file name.
    fn sendfile64(out: c_int, from: c_int, offset: *mut off64_t, n: size_t) -> ssize_t {
        sendfile(out, from, offset, n)
    }

    /// splice(2).
    fn splice(
        from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: libc::c_uint,
    ) -> ssize_t {
        let native = || native::splice(from, from_at, to, to_at, n, flags) as c_long;
        match (table::socket(from), table::socket(to)) {
            (None, None) => native() as ssize_t,
            (_, Some(s)) => answer(|| into_stream(&s, native)),
            (Some(s), None) if s.is_stream() => answer(|| {
                stream::ready_to_read(&s, 0)?;
                rings::never(&s);
                stream::explain_read(&s, check(native()), n)
            }),
            (Some(_), None) => answer(|| Err(Errno::EINVAL)),
        }
    }

    /// read(2) as `_FORTIFY_SOURCE` calls it.
    fn __read_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t) -> ssize_t {
        ends_the_program_if(n > room);
        read(fd, buf, n)
    }

    /// recv(2) as `_FORTIFY_SOURCE` calls it.
    fn __recv_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int) -> ssize_t {
        ends_the_program_if(n > room);
        recv(fd, buf, n, flags)
    }

    /// recvfrom(2) as `_FORTIFY_SOURCE` calls it.
    fn __recvfrom_chk(
        fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t,
    ) -> ssize_t {
        ends_the_program_if(n > room);
        recvfrom(fd, buf, n, flags, from, len)
    }

    /// read(2) by glibc's other name.
    fn __read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t {
        read(fd, buf, n)
    }

    /// write(2) by glibc's other name.
    fn __write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t {
        write(fd, buf, n)
    }

    /// send(2) by glibc's other name.
    fn __send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t {
        send(fd, buf, n, flags)
    }
}
