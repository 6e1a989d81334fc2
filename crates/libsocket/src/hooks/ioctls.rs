//! ioctl(2) on sockets (socket(7), tcp(7), udp(7), netdevice(7)).

use core::ffi::{c_int, c_ulong, c_void};
use core::ptr;

use sockets::call::{Op, Reader, SocketState};

use crate::control::{self, Request};
use crate::real::{Errno, answer, raw, sys};
use crate::table::{self, Socket};
use crate::{datagram, hook, rings};

/// Numbers of `<linux/sockios.h>`, with the length of their argument below.
const SIOCATMARK: c_ulong = 0x8905;
const SIOCGSTAMP: c_ulong = 0x8906;
const SIOCGSTAMPNS: c_ulong = 0x8907;
const SIOCADDRT: c_ulong = 0x890b;
const SIOCDELRT: c_ulong = 0x890c;
const SIOCGIFCONF: c_ulong = 0x8912;
const SIOCETHTOOL: c_ulong = 0x8946;
const SIOCDARP: c_ulong = 0x8953;
const SIOCSARP: c_ulong = 0x8955;
/// `struct ifreq`, `struct rtentry`, `struct arpreq`, in bytes.
const IFREQ: usize = 40;
const RTENTRY: usize = 120;
const ARPREQ: usize = 68;

/// Length of the argument of a request that the daemon answers; `None` for all others.
fn argument_len(request: c_ulong) -> Option<usize> {
    match request {
        SIOCADDRT | SIOCDELRT => Some(RTENTRY),
        SIOCDARP..=SIOCSARP => Some(ARPREQ),
        SIOCGIFCONF | SIOCETHTOOL => None,
        0x8910..=0x89ff => Some(IFREQ),
        _ => None,
    }
}

unsafe fn ask_daemon(s: &Socket, request: c_ulong, arg: *mut c_void, len: usize) -> Result<usize, Errno> {
    if arg.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the hook's caller vouches for an argument of the length that the request has.
    unsafe {
        let mut room = [0u8; 4 + RTENTRY];
        let bytes = core::slice::from_raw_parts(arg.cast::<u8>(), len);
        let number = request.to_ne_bytes();
        let reply = control::call(&Request::new(Op::Ioctl, s.handle, &[&number, bytes]), &mut room)?;
        let mut r = Reader::new(&room[..reply.len]);
        let result = r.i32()?;
        let back = r.rest();
        ptr::copy_nonoverlapping(back.as_ptr(), arg.cast::<u8>(), back.len().min(len));
        Ok(result.max(0) as usize)
    }
}

/// SIOCOUTQ: what still lies in the pair, and what the stack holds beyond it.
fn unsent(s: &Socket) -> Result<c_int, Errno> {
    if let Some(lease) = rings::Lease::take(table::ring(s.fd)) {
        return Ok(rings::unsent(&lease) as c_int);
    }
    let mut native: c_int = 0;
    // SAFETY: the kernel writes one int.
    unsafe { sys!(SYS_ioctl, s.fd, libc::TIOCOUTQ, &mut native as *mut c_int)? };
    if !s.is_stream() {
        return Ok(native);
    }
    // The kernel counts the memory of what is queued, which for nothing is exactly 0.
    let mut room = [0u8; 12];
    let reply = control::call(&Request::new(Op::Queued, s.handle, &[]), &mut room)?;
    let mut r = Reader::new(&room[..reply.len]);
    let (_unread, unsent, unacked) = (r.u32()?, r.u32()?, r.u32()?);
    Ok(native.saturating_add(unsent.saturating_add(unacked).min(i32::MAX as u32) as c_int))
}

unsafe fn on_socket(s: &Socket, request: c_ulong, arg: *mut c_void) -> Result<usize, Errno> {
    // SAFETY: the hook's caller vouches for the argument.
    unsafe {
        let give = |value: c_int| {
            if arg.is_null() {
                return Err(Errno::EFAULT);
            }
            ptr::write_unaligned(arg.cast(), value);
            Ok(0)
        };
        match request {
            // tcp(7): a listener has connections, not bytes.
            libc::FIONREAD | libc::TIOCOUTQ if s.is_stream() && s.state() == SocketState::Listening => {
                Err(Errno::EINVAL)
            }
            libc::FIONREAD if !s.is_stream() => give(datagram::first_length(s)? as c_int),
            libc::FIONREAD => match rings::Lease::take(table::ring(s.fd)) {
                Some(lease) => give(rings::unread(&lease) as c_int),
                None => sys!(SYS_ioctl, s.fd, request, arg),
            },
            libc::TIOCOUTQ => give(unsent(s)?),
            SIOCATMARK => give(0),
            SIOCGSTAMP | SIOCGSTAMPNS => Err(Errno::ENOENT),
            SIOCETHTOOL => Err(Errno::EOPNOTSUPP),
            SIOCGIFCONF => crate::hooks::interfaces::ifconf(arg.cast()),
            _ => match argument_len(request) {
                Some(len) => ask_daemon(s, request, arg, len),
                None => sys!(SYS_ioctl, s.fd, request, arg),
            },
        }
    }
}

hook! {
    /// ioctl(2). (Three arguments, as with `fcntl`.)
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
        match table::socket(fd) {
            None => raw!(SYS_ioctl, fd, request, arg) as c_int,
            Some(s) => answer(|| on_socket(&s, request, arg)) as c_int,
        }
    }
}
