//! Finding our sockets among descriptors that came from elsewhere: through exec(2), or by
//! SCM_RIGHTS over a unix socket.

use core::ffi::c_int;
use core::ptr;

use sockets::call::{IDENTIFY_MAX, Op, SocketInfo};

use crate::control::{self, Request};
use crate::real::{self, sys};
use crate::rings;
use crate::table::{self, flag};

/// Whether the kernel says that this may be one of our pairs.
fn may_be_ours(fd: c_int) -> bool {
    let option = |name| real::native_option::<c_int>(fd, libc::SOL_SOCKET, name);
    option(libc::SO_DOMAIN) == Ok(libc::AF_UNIX)
        && matches!(option(libc::SO_TYPE), Ok(libc::SOCK_STREAM | libc::SOCK_SEQPACKET))
        && option(libc::SO_ACCEPTCONN) == Ok(0)
}

/// Enters those of `fds` that are sockets of the instance, and clears what the table held for the
/// others. With no daemon to ask, nothing is ours.
pub fn descriptors(fds: &[c_int]) {
    let mut candidates = [0; IDENTIFY_MAX];
    for part in fds.chunks(IDENTIFY_MAX) {
        let mut n = 0;
        for &fd in part {
            table::clear(fd);
            if may_be_ours(fd) {
                candidates[n] = fd;
                n += 1;
            }
        }
        if n > 0 {
            ask(&candidates[..n]);
        }
    }
}

fn ask(fds: &[c_int]) {
    let mut room = [0u8; IDENTIFY_MAX * SocketInfo::LEN];
    let request = Request { fds, ..Request::new(Op::Identify, 0, &[]) };
    let Ok(reply) = control::call(&request, &mut room) else { return };
    for (&fd, bytes) in fds.iter().zip(room[..reply.len].chunks_exact(SocketInfo::LEN)) {
        match SocketInfo::parse(bytes) {
            Ok(info) if info.handle != 0 => {
                table::insert(fd, &info);
                if let Some(s) = table::socket(fd) {
                    table::set_flag(&s, flag::PAIR_ONLY, true); // others had it
                }
            }
            _ => {}
        }
    }
}

/// What the daemon knows of one descriptor now.
pub fn one(fd: c_int) -> Result<SocketInfo, real::Errno> {
    let mut room = [0u8; SocketInfo::LEN];
    let request = Request { fds: &[fd], ..Request::new(Op::Identify, 0, &[]) };
    let reply = control::call(&request, &mut room)?;
    SocketInfo::parse(&room[..reply.len])
}

/// Looks through all descriptors of the process, at its start. /proc may be missing: then only the
/// standard three are looked at.
pub fn inherited() {
    let mut found = [0; IDENTIFY_MAX];
    let mut n = 0;
    let mut see = |fd: c_int| {
        if may_be_ours(fd) {
            found[n] = fd;
            n += 1;
            if n == found.len() {
                ask(&found);
                n = 0;
            }
        }
    };
    // SAFETY: a constant path and a local buffer with its true length.
    let dir = unsafe { sys!(SYS_openat, libc::AT_FDCWD, c"/proc/self/fd".as_ptr(), DIRECTORY) };
    match dir {
        Ok(dir) => {
            each_entry(dir as c_int, &mut see);
            real::close(dir as c_int);
        }
        Err(_) => (0..3).for_each(see),
    }
    if n > 0 {
        ask(&found[..n]);
    }
}

const DIRECTORY: c_int = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;

/// Calls `see` with each number that names an entry of the directory (getdents64(2)).
fn each_entry(dir: c_int, see: &mut impl FnMut(c_int)) {
    /// Offset of `d_reclen` and of `d_name` in `struct linux_dirent64`.
    const RECLEN: usize = 16;
    const NAME: usize = 19;
    let mut buf = [0u8; 2048];
    loop {
        // SAFETY: a local buffer with its true length.
        let got = unsafe { sys!(SYS_getdents64, dir, buf.as_mut_ptr(), buf.len()) };
        let Ok(got @ 1..) = got else { return };
        let mut rest = &buf[..got];
        while rest.len() > NAME {
            let len = usize::from(u16::from_ne_bytes([rest[RECLEN], rest[RECLEN + 1]]));
            if len <= NAME || len > rest.len() {
                return;
            }
            let name = rest[NAME..len].split(|&b| b == 0).next().unwrap_or_default();
            if let Some(fd) = core::str::from_utf8(name).ok().and_then(|t| t.parse::<c_int>().ok())
                && fd != dir
            {
                see(fd);
            }
            rest = &rest[len..];
        }
    }
}

/// After recvmsg(2) on a descriptor that is not ours: what came by SCM_RIGHTS.
///
/// # Safety
/// `m` is as recvmsg(2) left it.
pub unsafe fn received(m: &libc::msghdr) {
    // SAFETY: handed on to the caller.
    unsafe { passed(m, descriptors) }
}

/// Before sendmsg(2): streams that are about to be in another process, by SCM_RIGHTS.
///
/// # Safety
/// As sendmsg(2).
pub unsafe fn sending(m: &libc::msghdr) {
    // SAFETY: handed on to the caller.
    unsafe { passed(m, |fds| fds.iter().filter_map(|fd| table::socket(*fd)).for_each(|s| rings::never(&s))) }
}

/// Calls `each` with the descriptors of a message, at most [`IDENTIFY_MAX`] at a time.
unsafe fn passed(m: &libc::msghdr, each: impl Fn(&[c_int])) {
    if m.msg_controllen < size_of::<libc::cmsghdr>() || m.msg_control.is_null() {
        return;
    }
    // SAFETY: the control messages are well-formed (cmsg(3)), by the kernel or by the caller.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(m);
        while !c.is_null() {
            if (*c).cmsg_level == libc::SOL_SOCKET && (*c).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*c).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let mut fds = [0 as c_int; IDENTIFY_MAX];
                let total = bytes / 4;
                let mut at = 0;
                while at < total {
                    let n = (total - at).min(IDENTIFY_MAX);
                    let from = libc::CMSG_DATA(c).cast::<c_int>().add(at);
                    ptr::copy_nonoverlapping(from.cast::<u8>(), fds.as_mut_ptr().cast(), n * 4);
                    each(&fds[..n]);
                    at += n;
                }
            }
            c = libc::CMSG_NXTHDR(m, c);
        }
    }
}
