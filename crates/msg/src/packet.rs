//! One SEQPACKET packet with its control messages, in and out (unix(7), cmsg(3)).
//!
//! The only room of this crate that talks to the kernel in its own terms.

use std::io::{self, IoSlice};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{Credentials, FDS_MAX};

/// Room for FDS_MAX descriptors and one `struct ucred`, in words so that `cmsghdr` is aligned.
const CONTROL_WORDS: usize = (16 + FDS_MAX * 4 + 16 + 16 + 32) / 8;

/// What came beside the bytes of a packet.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub len: usize,
    /// The packet was longer than the buffer.
    pub truncated: bool,
    /// Some control message did not fit: more than FDS_MAX descriptors, or no free descriptor here.
    pub control_truncated: bool,
    pub credentials: Option<Credentials>,
    pub fds: Vec<OwnedFd>,
}

/// Receives one packet. `flags` as in recvmsg(2). Every descriptor that arrived is owned by the
/// result, so that dropping it closes them.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8], flags: i32) -> io::Result<Arrived> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: an all-zero msghdr is valid.
    let mut msg: libc::msghdr = unsafe { zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
    let n = loop {
        // SAFETY: the iovec and the control buffer are live, writable and of the lengths given.
        let n = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut msg, flags | libc::MSG_CMSG_CLOEXEC) };
        if n >= 0 {
            break n as usize;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted || flags & libc::MSG_DONTWAIT == 0 {
            return Err(error);
        }
    };
    let mut arrived = Arrived {
        len: n.min(buf.len()),
        truncated: msg.msg_flags & libc::MSG_TRUNC != 0,
        control_truncated: msg.msg_flags & libc::MSG_CTRUNC != 0,
        ..Arrived::default()
    };
    // SAFETY: the kernel filled `control` and set msg_controllen; the CMSG macros walk within it.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(&msg);
        while !c.is_null() {
            let data = libc::CMSG_DATA(c);
            let len = ((*c).cmsg_len as usize).saturating_sub(data as usize - c as usize);
            match ((*c).cmsg_level, (*c).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for i in 0..len / size_of::<RawFd>() {
                        let raw: RawFd = data.cast::<RawFd>().add(i).read_unaligned();
                        arrived.fds.push(OwnedFd::from_raw_fd(raw));
                    }
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if len >= size_of::<libc::ucred>() => {
                    let u: libc::ucred = data.cast::<libc::ucred>().read_unaligned();
                    arrived.credentials = Some(Credentials { pid: u.pid as u32, uid: u.uid, gid: u.gid });
                }
                _ => {}
            }
            c = libc::CMSG_NXTHDR(&msg, c);
        }
    }
    Ok(arrived)
}

/// Sends one packet, gathered from `parts`, with at most FDS_MAX descriptors. Never raises SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>], flags: i32) -> io::Result<usize> {
    if fds.len() > FDS_MAX {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut control = [0u64; CONTROL_WORDS];
    // SAFETY: an all-zero msghdr is valid; IoSlice has the layout of iovec (std's documented promise).
    let mut msg: libc::msghdr = unsafe { zeroed() };
    msg.msg_iov = parts.as_ptr() as *mut libc::iovec;
    msg.msg_iovlen = parts.len() as _;
    if !fds.is_empty() {
        let bytes = size_of_val(fds);
        msg.msg_control = control.as_mut_ptr().cast();
        // SAFETY: `control` has room for CMSG_SPACE of FDS_MAX descriptors; BorrowedFd has the layout
        // of RawFd (std's documented promise).
        unsafe {
            msg.msg_controllen = libc::CMSG_SPACE(bytes as u32) as _;
            let c = libc::CMSG_FIRSTHDR(&msg);
            (*c).cmsg_level = libc::SOL_SOCKET;
            (*c).cmsg_type = libc::SCM_RIGHTS;
            (*c).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
            std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(c), bytes);
        }
    }
    // SAFETY: everything `msg` points to is live for the call.
    let n = unsafe { libc::sendmsg(fd.as_raw_fd(), &msg, flags | libc::MSG_NOSIGNAL) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Who made the connection (SO_PEERCRED).
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<Credentials> {
    let u = rustix::net::sockopt::socket_peercred(fd)?;
    Ok(Credentials { pid: u.pid.as_raw_nonzero().get() as u32, uid: u.uid.as_raw(), gid: u.gid.as_raw() })
}
