//! Control calls to the daemon: one request and one reply on a SEQPACKET connection.
//!
//! A few connections are kept, each with a lock that is only ever tried: a signal handler that
//! interrupts a holder finds the next one, and when all are busy the call gets a connection of its
//! own. They live at high descriptor numbers, marked private in the table. A connection that fails
//! means ENETDOWN: there is no way back to the kernel's own network.

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use sockets::call::{IDENTIFY_MAX, Op, ReplyHeader, RequestHeader};

use crate::patience::Patience;
use crate::real::{self, Errno, check, sys};
use crate::{native, place, process, stock, table};

/// Connections kept; more calls than this at the same moment open one each.
const KEPT: usize = 32;
/// The kept connections lie this far below the limit of descriptors.
const ROOM_AT_TOP: usize = 64;
/// Most pieces of a request's body.
const PIECES: usize = 3;

struct Slot {
    busy: AtomicBool,
    /// The descriptor, or -1.
    fd: AtomicI32,
}

#[allow(clippy::declare_interior_mutable_const)]
const IDLE: Slot = Slot { busy: AtomicBool::new(false), fd: AtomicI32::new(-1) };
static SLOTS: [Slot; KEPT] = [IDLE; KEPT];

/// What to ask.
pub struct Request<'a> {
    pub op: Op,
    pub handle: u64,
    /// The body in at most [`PIECES`] pieces.
    pub body: &'a [&'a [u8]],
    /// Descriptors that go along, at most [`IDENTIFY_MAX`].
    pub fds: &'a [c_int],
    /// A descriptor in the reply gets FD_CLOEXEC from the start.
    pub cloexec: bool,
    /// The reply may be long in coming: the wait for it is a point of cancellation, and a signal that does
    /// not restart calls ends it with EINTR.
    pub interruptible: bool,
}

impl<'a> Request<'a> {
    pub fn new(op: Op, handle: u64, body: &'a [&'a [u8]]) -> Request<'a> {
        Request { op, handle, body, fds: &[], cloexec: true, interruptible: false }
    }
}

/// A good reply; its body lies in the caller's room.
#[derive(Debug)]
pub struct Reply {
    pub len: usize,
    /// The descriptor that came along, or -1.
    pub fd: c_int,
}

enum Fault {
    /// The request did not get out: another connection may be tried.
    NotSent,
    /// A signal came before the reply.
    Interrupted,
    /// The daemon went away, or it speaks another language.
    Failed(Errno),
}

/// A call that is answered by success or an errno alone.
pub fn order(op: Op, handle: u64, body: &[&[u8]]) -> Result<(), Errno> {
    call(&Request::new(op, handle, body), &mut []).map(|_| ())
}

/// One call. The daemon's errno is the error; ENETDOWN when it cannot be reached. ENOTCONN for a handle
/// that the daemon has forgotten: both directions of the connection had ended.
pub fn call(request: &Request, room: &mut [u8]) -> Result<Reply, Errno> {
    any_call(request, room).map_err(|e| if e == Errno::EBADF && request.handle != 0 { Errno::ENOTCONN } else { e })
}

fn any_call(request: &Request, room: &mut [u8]) -> Result<Reply, Errno> {
    let kept = process::owns_memory();
    if kept && let Some(lease) = SLOTS.iter().find_map(Lease::take) {
        return call_on(lease, request, room);
    }
    let fd = connect()?;
    let result = exchange(fd, request, room);
    real::close(fd);
    result.map_err(errno_of)
}

/// A slot in use. When it ends with a reply still to come, by a signal or a cancelled thread, its connection
/// goes with it.
struct Lease {
    slot: &'static Slot,
    waits: bool,
}

impl Lease {
    /// `None` when another call has it.
    fn take(slot: &'static Slot) -> Option<Lease> {
        (!slot.busy.swap(true, Ordering::Acquire)).then(|| Lease { slot, waits: false })
    }

    fn exchange(&mut self, fd: c_int, request: &Request, room: &mut [u8]) -> Result<Reply, Fault> {
        self.waits = true;
        let result = exchange(fd, request, room);
        self.waits = matches!(result, Err(Fault::Interrupted | Fault::NotSent | Fault::Failed(Errno::ENETDOWN)));
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let fd = self.slot.fd.load(Ordering::Relaxed);
        if self.waits && fd >= 0 {
            drop_connection(self.slot, fd);
        }
        self.slot.busy.store(false, Ordering::Release);
    }
}

fn call_on(mut lease: Lease, request: &Request, room: &mut [u8]) -> Result<Reply, Errno> {
    let known = lease.slot.fd.load(Ordering::Relaxed);
    if known >= 0 {
        match lease.exchange(known, request, room) {
            Err(Fault::NotSent) => drop_connection(lease.slot, known),
            other => return other.map_err(errno_of),
        }
    }
    let fd = raise(connect()?);
    if table::insert_private(fd) {
        lease.slot.fd.store(fd, Ordering::Relaxed);
        return lease.exchange(fd, request, room).map_err(errno_of);
    }
    let result = exchange(fd, request, room);
    real::close(fd);
    result.map_err(errno_of)
}

fn errno_of(fault: Fault) -> Errno {
    match fault {
        Fault::NotSent => Errno::ENETDOWN,
        Fault::Interrupted => Errno::EINTR,
        Fault::Failed(e) => e,
    }
}

fn drop_connection(slot: &Slot, fd: c_int) {
    slot.fd.store(-1, Ordering::Relaxed);
    table::clear(fd);
    real::close(fd);
}

fn connect() -> Result<c_int, Errno> {
    crate::begin();
    let (address, len) = place::address().ok_or(Errno::ENETDOWN)?;
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the address is a static of `len` valid bytes.
    unsafe {
        let fd = sys!(SYS_socket, libc::AF_UNIX, kind, 0)? as c_int;
        loop {
            match sys!(SYS_connect, fd, address, len) {
                Ok(_) => return Ok(fd),
                Err(Errno::EINTR) => {}
                Err(_) => {
                    real::close(fd);
                    return Err(Errno::ENETDOWN);
                }
            }
        }
    }
}

/// Moves a descriptor of ours out of the program's way, near the top of what is allowed.
pub fn raise(fd: c_int) -> c_int {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes `limit`; the rest is numbers.
    unsafe {
        let got = sys!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, 0, &mut limit as *mut libc::rlimit);
        let soft = if got.is_ok() { (limit.rlim_cur as usize).min(table::SIZE) } else { 0 };
        for floor in [soft.saturating_sub(ROOM_AT_TOP), soft / 2] {
            if let Ok(high) = sys!(SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, floor) {
                real::close(fd);
                return high as c_int;
            }
        }
    }
    fd
}

/// Most descriptors of the library's own.
const PRIVATE_MAX: usize = KEPT + stock::PLACES;

/// The descriptors of the kept connections and of the sockets in stock, in ascending order, and how many
/// there are.
pub fn private() -> ([c_int; PRIVATE_MAX], usize) {
    let mut fds = [0; PRIVATE_MAX];
    let mut n = 0;
    let kept = SLOTS.iter().map(|s| s.fd.load(Ordering::Relaxed)).filter(|fd| *fd >= 0);
    for fd in kept.chain(stock::descriptors()) {
        fds[n] = fd;
        n += 1;
    }
    fds[..n].sort_unstable();
    (fds, n)
}

/// Gives `fd` up to the program, which is about to put a descriptor of its own there.
pub fn vacate(fd: c_int) {
    const TRIES: usize = 1000;
    let Some(slot) = SLOTS.iter().find(|s| s.fd.load(Ordering::Relaxed) == fd) else { return stock::vacate(fd) };
    for _ in 0..TRIES {
        if !slot.busy.swap(true, Ordering::Acquire) {
            drop_connection(slot, fd);
            slot.busy.store(false, Ordering::Release);
            return;
        }
        real::yield_now();
    }
}

/// In the child of a fork: the parent's connections are closed here and new ones made when needed.
pub fn forget_inherited() {
    for slot in &SLOTS {
        let fd = slot.fd.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            table::clear(fd);
            real::close(fd);
        }
        slot.busy.store(false, Ordering::Release);
    }
    stock::forget_inherited();
}

/// Space for the control message with [`IDENTIFY_MAX`] descriptors, aligned as `cmsghdr` wants.
const CMSG_WORDS: usize = (size_of::<libc::cmsghdr>() + 4 * IDENTIFY_MAX).div_ceil(8);

fn exchange(fd: c_int, request: &Request, room: &mut [u8]) -> Result<Reply, Fault> {
    let header = RequestHeader {
        op: request.op,
        len: request.body.iter().map(|b| b.len()).sum::<usize>() as u32,
        handle: request.handle,
    }
    .to_bytes();
    let mut iov = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; PIECES + 1];
    iov[0] = iovec(&header);
    for (slot, piece) in iov[1..].iter_mut().zip(request.body) {
        *slot = iovec(piece);
    }
    let mut control = [0u64; CMSG_WORDS];
    // SAFETY: every pointer in the two message headers is to a local or to what the caller lent,
    // with its true length; `control` is aligned and large enough for the descriptors.
    unsafe {
        let mut m: libc::msghdr = core::mem::zeroed();
        m.msg_iov = iov.as_mut_ptr();
        m.msg_iovlen = 1 + request.body.len().min(PIECES);
        let fds = &request.fds[..request.fds.len().min(IDENTIFY_MAX)];
        if !fds.is_empty() {
            m.msg_control = control.as_mut_ptr().cast();
            m.msg_controllen = libc::CMSG_SPACE(4 * fds.len() as u32) as usize;
            let c = libc::CMSG_FIRSTHDR(&m);
            (*c).cmsg_level = libc::SOL_SOCKET;
            (*c).cmsg_type = libc::SCM_RIGHTS;
            (*c).cmsg_len = libc::CMSG_LEN(4 * fds.len() as u32) as usize;
            ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(c).cast(), fds.len());
        }
        loop {
            match sys!(SYS_sendmsg, fd, &m as *const libc::msghdr, libc::MSG_NOSIGNAL) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(e @ (Errno::ETOOMANYREFS | Errno::EMSGSIZE | Errno::ENOBUFS | Errno::EBADF)) if !fds.is_empty() => {
                    return Err(Fault::Failed(e));
                }
                Err(_) => return Err(Fault::NotSent),
            }
        }
        receive(fd, request, room)
    }
}

fn receive(fd: c_int, request: &Request, room: &mut [u8]) -> Result<Reply, Fault> {
    let mut header = [0u8; ReplyHeader::LEN];
    let mut control = [0u64; 4];
    let lost = Fault::Failed(Errno::ENETDOWN);
    // SAFETY: as in `exchange`: locals and the caller's room, each with its true length.
    unsafe {
        let mut iov = [iovec_mut(&mut header), iovec_mut(room)];
        let mut m: libc::msghdr = core::mem::zeroed();
        let flags = if request.cloexec { libc::MSG_CMSG_CLOEXEC } else { 0 };
        let mut patience = Patience::new();
        let n = loop {
            m.msg_iov = iov.as_mut_ptr();
            m.msg_iovlen = 2;
            m.msg_control = control.as_mut_ptr().cast();
            m.msg_controllen = size_of_val(&control);
            let got = if patience.is_left() {
                sys!(SYS_recvmsg, fd, &mut m as *mut libc::msghdr, flags | libc::MSG_DONTWAIT)
            } else if request.interruptible {
                check(native::recvmsg(fd, &mut m, flags) as _)
            } else {
                sys!(SYS_recvmsg, fd, &mut m as *mut libc::msghdr, flags)
            };
            match got {
                Ok(0) => return Err(lost),
                Ok(n) => break n,
                Err(Errno::EINTR) if request.interruptible => return Err(Fault::Interrupted),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if patience.is_left() => patience.look_in_vain(),
                Err(_) => return Err(lost),
            }
        };
        let came = first_descriptor(&m);
        let reply = parse(&header, n, m.msg_flags & libc::MSG_TRUNC != 0);
        match reply {
            Ok(len) if came < 0 && m.msg_flags & libc::MSG_CTRUNC != 0 => {
                // The kernel could not give the descriptor a number (cmsg(3), MSG_CTRUNC).
                let _ = len;
                Err(Fault::Failed(Errno::EMFILE))
            }
            Ok(len) => Ok(Reply { len, fd: came }),
            Err(e) => {
                if came >= 0 {
                    real::close(came);
                }
                Err(Fault::Failed(e))
            }
        }
    }
}

/// The length of the body of a message of `n` bytes, or the error that it reports.
fn parse(header: &[u8; ReplyHeader::LEN], n: usize, truncated: bool) -> Result<usize, Errno> {
    let [e0, e1, e2, e3, l0, l1, l2, l3] = *header;
    let errno = i32::from_ne_bytes([e0, e1, e2, e3]);
    let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    if n < ReplyHeader::LEN {
        return Err(Errno::EPROTO);
    }
    if errno != 0 {
        return Err(Errno(errno));
    }
    if truncated {
        return Err(Errno::EMSGSIZE);
    }
    if len != n - ReplyHeader::LEN {
        return Err(Errno::EPROTO);
    }
    Ok(len)
}

/// The first descriptor of a received message's SCM_RIGHTS, or -1.
///
/// # Safety
/// `m` is as recvmsg(2) left it.
pub unsafe fn first_descriptor(m: &libc::msghdr) -> c_int {
    // SAFETY: the kernel has written well-formed control messages (cmsg(3)).
    unsafe {
        let c = libc::CMSG_FIRSTHDR(m);
        let one = libc::CMSG_LEN(4) as usize;
        if c.is_null() || (*c).cmsg_len < one {
            return -1;
        }
        if (*c).cmsg_level != libc::SOL_SOCKET || (*c).cmsg_type != libc::SCM_RIGHTS {
            return -1;
        }
        ptr::read_unaligned(libc::CMSG_DATA(c).cast())
    }
}

pub fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

pub fn iovec_mut(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}
