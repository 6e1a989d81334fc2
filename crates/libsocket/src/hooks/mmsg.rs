//! recvmmsg(2) and sendmmsg(2): many messages in one call.

use core::ffi::{c_int, c_uint};

use libc::{mmsghdr, timespec};

use crate::hooks::data::{recv_msg, send_msg};
use crate::real::{self, Errno, answer};
use crate::table::{self, Socket};
use crate::{hook, identify, native};

/// Most messages in one call (UIO_MAXIOV).
const MOST: c_uint = 1024;

/// What a call that has done `done` messages answers to an error.
fn outcome(done: usize, e: Errno) -> Result<usize, Errno> {
    if done > 0 { Ok(done) } else { Err(e) }
}

unsafe fn recv_many(
    s: &Socket,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> Result<usize, Errno> {
    let begun = real::monotonic_ns();
    let mut done = 0;
    let mut wait = 0;
    while done < count.min(MOST) as usize {
        // SAFETY: the hook's caller vouches for the array and the timeout.
        unsafe {
            let one = &mut *messages.add(done);
            match recv_msg(s, &mut one.msg_hdr, flags & !libc::MSG_WAITFORONE | wait) {
                Ok(n) => one.msg_len = n as c_uint,
                Err(e) => return outcome(done, e),
            }
            done += 1;
            if flags & libc::MSG_WAITFORONE != 0 {
                wait = libc::MSG_DONTWAIT;
            }
            // The time is looked at after each datagram only, as the kernel does (recvmmsg(2), BUGS).
            if !timeout.is_null() {
                let limit = (*timeout).tv_sec as u64 * 1_000_000_000 + (*timeout).tv_nsec as u64;
                if real::monotonic_ns() - begun >= limit {
                    break;
                }
            }
        }
    }
    Ok(done)
}

hook! {
    /// recvmmsg(2).
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int, timeout: *mut timespec) -> c_int {
        match table::socket(fd) {
            None => {
                let got = native::recvmmsg(fd, messages, n, flags, timeout);
                for i in 0..got.max(0) as usize {
                    identify::received(&(*messages.add(i)).msg_hdr);
                }
                got
            }
            Some(s) => answer(|| recv_many(&s, messages, n, flags, timeout)) as c_int,
        }
    }

    /// sendmmsg(2).
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int {
        match table::socket(fd) {
            None => {
                for i in 0..if messages.is_null() { 0 } else { n.min(MOST) as usize } {
                    identify::sending(&(*messages.add(i)).msg_hdr);
                }
                native::sendmmsg(fd, messages, n, flags)
            }
            Some(s) => answer(|| {
                let mut done = 0;
                while done < n.min(MOST) as usize {
                    let one = &mut *messages.add(done);
                    match send_msg(&s, &one.msg_hdr, flags) {
                        Ok(n) => one.msg_len = n as c_uint,
                        Err(e) => return outcome(done, e),
                    }
                    done += 1;
                }
                Ok(done)
            }) as c_int,
        }
    }
}
