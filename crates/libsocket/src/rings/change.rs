//! Into ring mode, and back.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::os::fd::BorrowedFd;

use shm::socket::{Attached, Mode};
use sockets::call::{Op, SocketState};

use super::slots::Lease;
use super::transfer::{Direction, Turn, forked, in_filler};
use crate::control::{self, Request};
use crate::hooks::sandbox;
use crate::real::{self, Errno, sys};
use crate::table::{self, Alone, Socket, flag};
use crate::{connection, place};

/// Bytes that a socket moves in pair mode before it is worth the memory and the two calls (some 50 µs) of a change; and
/// again before it asks once more.
pub const HOT_BYTES: u32 = 256 * 1024;
/// `IOPKT_MODE`: `pair` for never, `ring` for at once.
static HOT: AtomicU32 = AtomicU32::new(HOT_BYTES);
const NEVER: u32 = u32::MAX;
/// No socket of this process may go over any more.
static OFF: AtomicBool = AtomicBool::new(false);
/// How long those who sleep in a filler are waited for, in nanoseconds, once there is room. One that has left its call by
/// longjmp(3) never comes.
const FILLERS_NS: u64 = 1_000_000_000;

/// Reads the environment, once, at start.
pub fn begin() {
    match place::variable(c"IOPKT_MODE") {
        Some(b"pair") => HOT.store(NEVER, Ordering::Relaxed),
        Some(b"ring") => HOT.store(0, Ordering::Relaxed),
        _ => {}
    }
}

/// Whether the socket has moved enough.
#[inline]
pub fn is_due(s: &Socket) -> bool {
    let hot = HOT.load(Ordering::Relaxed);
    hot != NEVER
        && table::moved(s.fd) >= hot
        && s.state() == SocketState::Connected
        && !sandbox::is_confined()
        && !OFF.load(Ordering::Relaxed)
}

/// Why a socket did not go over.
enum Failed {
    /// It may be asked again.
    Now,
    ForGood,
}

/// Goes over to ring mode, if that can be.
pub fn enter(s: &Socket) {
    let _mask = Masked::all();
    // First of all: after a fork that no handler saw it forgets who was at work.
    if !crate::process::owns_memory() {
        return;
    }
    let Some(_alone) = Alone::begin(s.fd) else { return };
    // What the caller knows of the socket may be older than a `never`.
    fence(Ordering::SeqCst);
    let may = |now: &Socket| now.handle == s.handle && !now.has(flag::PAIR_ONLY);
    let Some(s) = &table::socket(s.fd).filter(may) else { return };
    let forking = FORKING.load(Ordering::SeqCst) != 0;
    if forking || table::ring(s.fd) != 0 || !s.is_current() {
        return;
    }
    match go_over(s) {
        Ok(lease) => {
            // The table counts one of its own.
            if super::retain(lease.reference()) {
                table::set_ring(s, lease.reference());
            }
            // A watcher that was registered meanwhile has seen no ring.
            fence(Ordering::SeqCst);
            if table::socket(s.fd).is_some_and(|now| now.has(flag::EDGES)) {
                lease.ends().reader().watch_edge();
            }
        }
        Err(Failed::Now) => table::moved_anew(s.fd),
        Err(Failed::ForGood) => table::set_flag(s, flag::PAIR_ONLY, true),
    }
}

fn go_over(s: &Socket) -> Result<Lease, Failed> {
    // More than one byte at a time to wait for is the kernel's to do.
    if real::native_option::<c_int>(s.fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT) != Ok(1) {
        return Err(Failed::ForGood);
    }
    let reply = control::call(&Request::new(Op::RingArena, s.handle, &[]), &mut []).map_err(|e| match e {
        Errno::ENOBUFS | Errno::EAGAIN | Errno::EMFILE | Errno::ENOMEM => Failed::Now,
        _ => Failed::ForGood,
    })?;
    if reply.fd < 0 {
        return Err(Failed::ForGood);
    }
    // SAFETY: the descriptor came with the reply and is closed below.
    let ends = Attached::new(unsafe { BorrowedFd::borrow_raw(reply.fd) });
    real::close(reply.fd);
    let lease = ends.ok().and_then(Lease::place);
    let changed = lease.as_ref().is_some_and(|lease| ask_for_rings(s, lease).is_some());
    match lease {
        Some(lease) if changed => Ok(lease),
        _ => {
            // With nothing asked for, the daemon gives the arena up, and writes to the pair again.
            let _ = tell(s, 0);
            Err(Failed::Now)
        }
    }
}

fn ask_for_rings(s: &Socket, lease: &Lease) -> Option<()> {
    let ends = lease.ends();
    let words = ends.words();
    let _tx = Turn::take(s, lease, Direction::Send).ok()?;
    let _rx = Turn::take(s, lease, Direction::Receive).ok()?;
    words.mode().ask_ring().ok()?;
    let before = put_unread(s, ends);
    let told = before.and_then(|n| tell(s, n as u32).ok());
    let mode = words.mode().settle();
    if told.is_none() || mode != Mode::Ring {
        return None;
    }
    // The tokens come behind what was in the pair; a pair that was full took none.
    if let Some(before @ 1..) = before {
        real::throw_away(s.fd, before);
        let _ = tell(s, 0);
    }
    let _ = real::set_native_option(s.fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 0);
    Some(())
}

/// Copies what is unread on the pair into the receive ring; gives back how many bytes that is.
fn put_unread(s: &Socket, ends: &Attached) -> Option<usize> {
    let unread = real::unread(s.fd).ok()?;
    if unread == 0 {
        return Some(0);
    }
    if s.has(flag::EDGES) {
        return None; // its token would be an edge for bytes that had theirs
    }
    let room = ends.reader().room_for_start(unread)?;
    // SAFETY: the room is `unread` bytes of the mapping, which nobody reads before the change.
    let got = unsafe { sys!(SYS_recvfrom, s.fd, room.iov_base, unread, libc::MSG_PEEK | libc::MSG_DONTWAIT, 0, 0) };
    (got == Ok(unread)).then_some(unread)
}

fn tell(s: &Socket, before: u32) -> Result<(), Errno> {
    control::order(Op::RingMode, s.handle, &[&before.to_ne_bytes()])
}

/// Keeps a stream in pair mode from now on: something will use it past the library.
pub fn never(s: &Socket) {
    if s.is_stream() {
        stay(s);
        leave(s);
    }
}

/// Lets a stream that is in pair mode not go over any more. (It may have done so just before.)
pub fn stay(s: &Socket) {
    table::set_flag(s, flag::PAIR_ONLY, true);
    fence(Ordering::SeqCst);
    // Who is going over just now has not seen the flag.
    Alone::wait_for_end(s.fd);
}

/// Goes back to pair mode for good. Where that cannot be (the connection is over, a thread was stopped in its turn), the
/// socket stays in ring mode, and whoever shares it takes turns.
fn leave(s: &Socket) {
    let Some(lease) = Lease::take(table::ring(s.fd)) else { return };
    let _mask = Masked::all();
    let words = lease.ends().words();
    // A handler that broke in on its own thread's sleep in a filler cannot wait for its end.
    if !in_filler() && go_back(s, &lease).is_some() {
        table::forget_ring(lease.reference());
    } else {
        words.mode().share();
    }
}

fn go_back(s: &Socket, lease: &Lease) -> Option<()> {
    let words = lease.ends().words();
    let _tx = Turn::take(s, lease, Direction::Send).ok()?;
    let _rx = Turn::take(s, lease, Direction::Receive).ok()?;
    if words.mode().settle() == Mode::Ring {
        words.mode().ask_pair().ok()?;
        let _ = tell(s, 0);
    }
    match words.mode().settle() {
        Mode::Ring => None,
        Mode::Pair => Some(()),
        Mode::Drain => {
            drain(s, lease);
            if lease.shut.load(Ordering::Acquire) {
                // SAFETY: numbers only.
                let _ = unsafe { sys!(SYS_shutdown, s.fd, libc::SHUT_WR) };
            }
            Some(())
        }
    }
}

/// In the receive turn: what can be read from the pair is tokens; then it is data.
pub fn drain(s: &Socket, lease: &Lease) {
    real::throw_away(s.fd, usize::MAX);
    // The daemon has made room for the fillers that others sleep in; it takes them for what they are until it is told.
    let begin = real::monotonic_ns();
    while lease.fillers.load(Ordering::Acquire) > 0 && real::monotonic_ns() - begin < FILLERS_NS {
        real::yield_now();
    }
    lease.ends().words().mode().drained();
    connection::give_room(s.fd);
    let _ = tell(s, 0);
}

/// Forks under way: nothing goes over meanwhile.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// Before fork(2).
pub fn before_fork() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    leave_all();
}

/// After fork(2), in the parent.
pub fn after_fork() {
    keep_all_in_pair_mode();
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

/// In the child of a fork, also of one that no handler saw: what was at work, and who, is the parent's.
pub fn in_child() {
    FORKING.store(0, Ordering::SeqCst);
    forked();
    table::forget_users();
    keep_all_in_pair_mode();
}

/// Streams that other threads made during a fork are in both processes as well.
fn keep_all_in_pair_mode() {
    each_stream(|s| table::set_flag(s, flag::PAIR_ONLY, true));
}

/// Every stream is about to be in two processes.
pub fn leave_all() {
    each_stream(|s| never(s));
}

/// Before an io_uring is set up, which may use any descriptor at any time.
pub fn leave_for_ever() {
    OFF.store(true, Ordering::Relaxed);
    leave_all();
}

/// Before exec(2): of those that will be there afterwards nobody knows who uses them how.
pub fn leave_all_inherited() {
    each_stream(|s| {
        // SAFETY: numbers only.
        let stays = unsafe { sys!(SYS_fcntl, s.fd, libc::F_GETFD) }.is_ok_and(|f| f as c_int & libc::FD_CLOEXEC == 0);
        if stays {
            never(s);
        }
    });
}

fn each_stream(each: impl Fn(&Socket)) {
    if !crate::process::owns_memory() {
        return;
    }
    (0..table::high()).filter_map(table::socket).filter(Socket::is_stream).for_each(|s| each(&s));
}

/// An edge-triggered watcher, or SIGIO, wants to hear of each arrival.
pub fn wants_edges(s: &Socket) {
    if s.is_stream() {
        table::set_flag(s, flag::EDGES, true);
        fence(Ordering::SeqCst);
        if let Some(lease) = Lease::take(table::ring(s.fd)) {
            lease.ends().reader().watch_edge();
        }
    }
}

/// All signals wait: no handler finds a change half made by its own thread.
struct Masked {
    before: u64,
}

/// Bytes of the kernel's signal sets.
const SIGSET: usize = 8;

impl Masked {
    fn all() -> Masked {
        let (all, mut before) = (!0u64, 0u64);
        // SAFETY: two words of ours, of the size that the kernel is told.
        let _ = unsafe {
            let (set, old) = (&all as *const u64, &mut before as *mut u64);
            sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, set, old, SIGSET)
        };
        Masked { before }
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { sys!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &self.before as *const u64, 0, SIGSET) };
    }
}
