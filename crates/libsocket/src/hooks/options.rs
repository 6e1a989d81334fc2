//! getsockopt(2) and setsockopt(2).

use core::ffi::{c_int, c_void};
use core::ptr;

use libc::socklen_t;
use sockets::call::{OPTION_MAX, Op, SocketState};

use crate::control::{self, Request};
use crate::real::{self, Errno, answer, raw, sys};
use crate::stream::option_args;
use crate::table::{self, Socket, flag};
use crate::{connection, datagram, hook, rings, stream};

/// Names of `<asm-generic/socket.h>` that the libc crate lacks: the forms with 64-bit time.
const SO_RCVTIMEO_NEW: c_int = 66;
const SO_SNDTIMEO_NEW: c_int = 67;
const SO_TIMESTAMP_NEW: c_int = 63;
const SO_TIMESTAMPNS_NEW: c_int = 64;

/// Options of SOL_SOCKET that the pair itself carries out: timeouts and the low-water mark govern the
/// native sleep, the cookie is the pair's.
fn is_native(level: c_int, name: c_int) -> bool {
    level == libc::SOL_SOCKET
        && matches!(
            name,
            libc::SO_RCVTIMEO
                | libc::SO_SNDTIMEO
                | SO_RCVTIMEO_NEW
                | SO_SNDTIMEO_NEW
                | libc::SO_RCVLOWAT
                | libc::SO_COOKIE
        )
}

/// What the library knows without asking.
fn known(s: &Socket, name: c_int) -> Option<c_int> {
    Some(match name {
        libc::SO_TYPE => s.kind(),
        libc::SO_DOMAIN => c_int::from(s.domain()),
        libc::SO_PROTOCOL => s.protocol(),
        _ => return None,
    })
}

unsafe fn get(s: &Socket, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> Result<usize, Errno> {
    if len.is_null() || value.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the hook's caller vouches for both pointers.
    unsafe {
        let room = usize::try_from(*len as i32).map_err(|_| Errno::EINVAL)?;
        if is_native(level, name) {
            return sys!(SYS_getsockopt, s.fd, level, name, value, len);
        }
        let give = |bytes: &[u8]| {
            let n = bytes.len().min(room);
            ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), n);
            *len = n as socklen_t;
        };
        if level == libc::SOL_SOCKET
            && let Some(v) = known(s, name)
        {
            give(&v.to_ne_bytes());
            return Ok(0);
        }
        let asks_for_error = level == libc::SOL_SOCKET && name == libc::SO_ERROR;
        if asks_for_error && s.is_stream() && s.state() == SocketState::Connecting {
            connection::settle(s)?;
        }
        if asks_for_error && s.has(flag::PIPE_DUE) {
            table::set_flag(s, flag::PIPE_DUE, false);
            give(&Errno::EPIPE.0.to_ne_bytes());
            return Ok(0);
        }
        let mut bytes = [0u8; OPTION_MAX];
        let args = option_args(level, name, room.min(OPTION_MAX) as c_int);
        let reply = match control::call(&Request::new(Op::GetOption, s.handle, &[&args]), &mut bytes) {
            Err(Errno::ENOTCONN) if asks_for_error => {
                give(&[0; 4]);
                return Ok(0);
            }
            other => other?,
        };
        if asks_for_error && bytes[..4] != [0; 4] {
            match s.is_stream() {
                true => stream::failed(s),
                // The message that tells the same.
                false => drop(datagram::pending_error(s)),
            }
        }
        // The daemon has one option for both forms of time; which of them is on, the entry knows.
        let asked = (level == libc::SOL_SOCKET).then_some(name);
        if asked == Some(libc::SO_TIMESTAMP) && s.has(flag::TIMESTAMP_NS)
            || asked == Some(libc::SO_TIMESTAMPNS) && !s.has(flag::TIMESTAMP_NS)
        {
            bytes.fill(0);
        }
        give(&bytes[..reply.len]);
        Ok(0)
    }
}

/// SO_SNDBUF of a datagram socket bounds what waits in the pair; a largest datagram fits always.
fn bound_sends(s: &Socket, value: &[u8]) {
    /// Half of what unix(7) wants for a message of 64 KiB: the kernel doubles it.
    const LEAST: c_int = 40 * 1024;
    if let Some(size) = value.first_chunk().map(|b| c_int::from_ne_bytes(*b)) {
        let _ = real::set_native_option(s.fd, libc::SOL_SOCKET, libc::SO_SNDBUF, size.max(LEAST));
    }
}

unsafe fn set(s: &Socket, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for the value.
    unsafe {
        if is_native(level, name) {
            if name == libc::SO_RCVLOWAT {
                rings::never(s); // waiting for so many bytes is the kernel's to do
            }
            return sys!(SYS_setsockopt, s.fd, level, name, value, len);
        }
        if (len as i32) < 0 {
            return Err(Errno::EINVAL);
        }
        if len as usize > OPTION_MAX {
            return Err(Errno::ENOBUFS);
        }
        if value.is_null() && len > 0 {
            return Err(Errno::EFAULT);
        }
        let bytes = match len {
            0 => &[][..],
            _ => core::slice::from_raw_parts(value.cast::<u8>(), len as usize),
        };
        let args = option_args(level, name, 0);
        control::order(Op::SetOption, s.handle, &[&args[..8], bytes])?;
        table::set_reached(s, 0); // it may reach less now
        if level == libc::SOL_SOCKET {
            match name {
                libc::SO_SNDBUF if !s.is_stream() => bound_sends(s, bytes),
                libc::SO_TIMESTAMP | SO_TIMESTAMP_NEW => table::set_flag(s, flag::TIMESTAMP_NS, false),
                libc::SO_TIMESTAMPNS | SO_TIMESTAMPNS_NEW => table::set_flag(s, flag::TIMESTAMP_NS, true),
                _ => {}
            }
        }
        Ok(0)
    }
}

hook! {
    /// getsockopt(2).
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_getsockopt, fd, level, name, value, len) as c_int,
            Some(s) => answer(|| get(&s, level, name, value, len)) as c_int,
        }
    }

    /// setsockopt(2).
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int {
        match table::current(fd) {
            None => raw!(SYS_setsockopt, fd, level, name, value, len) as c_int,
            Some(s) => answer(|| set(&s, level, name, value, len)) as c_int,
        }
    }
}
