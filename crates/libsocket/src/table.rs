//! Which descriptor numbers are ours: a fixed table indexed by descriptor number, of which
//! untouched pages cost nothing. The look-up of a number that is not ours is one load.
//!
//! An entry is a cache. The truth about a socket is the daemon's; the truth about a number is the
//! kernel's: `SO_COOKIE` tells whether it is still the same object, and is asked before every control
//! call, since libc closes descriptors by calls that pass no hook (`fclose`, `posix_spawn`).

use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sockets::addr::{AF_INET, AF_INET6};
use sockets::call::{SocketInfo, SocketState};

use crate::{real, rings};

/// Descriptor numbers from here on are never ours; `socket()` answers EMFILE there.
pub const SIZE: usize = 65_536;

const TAG_MASK: u64 = 3;
const TAG_SOCKET: u64 = 1;
const TAG_PRIVATE: u64 = 2;
const V6: u64 = 1 << 2;
const KIND_SHIFT: u32 = 4;
const PROTOCOL_SHIFT: u32 = 8;
const STATE_SHIFT: u32 = 24;
const STATE_MASK: u64 = 7 << STATE_SHIFT;

/// Bits of an entry that the library keeps for itself.
pub mod flag {
    /// connect() has answered EINPROGRESS; the next one answers the result.
    pub const RESULT_DUE: u64 = 1 << 32;
    /// SO_TIMESTAMPNS was the last of the two timestamp options.
    pub const TIMESTAMP_NS: u64 = 1 << 33;
    /// The reason for the end of the stream has been asked for and told.
    pub const END_TOLD: u64 = 1 << 34;
    /// EPIPE is pending: taken from the daemon by a read, which had no use for it.
    pub const PIPE_DUE: u64 = 1 << 35;
    /// A datagram socket that was shut down for writing.
    pub const SEND_SHUT: u64 = 1 << 36;
    /// A stream that stays in pair mode: others have it too, or use it past this library.
    pub const PAIR_ONLY: u64 = 1 << 37;
    /// An edge-triggered watcher was registered.
    pub const EDGES: u64 = 1 << 38;
}

struct Entry {
    meta: AtomicU64,
    handle: AtomicU64,
    key: AtomicU64,
    cookie: AtomicU64,
    /// When a datagram socket's queue was last looked at for an error, in nanoseconds; and where it is known to reach.
    looked_at: AtomicU64,
    reached: AtomicU64,
    /// A stream in ring mode: what [`rings::retain`] counts. 0 in pair mode.
    ring: AtomicU64,
    /// Bytes that a stream has moved in pair mode.
    moved: AtomicU32,
    /// Calls at work on the pair under this number, of whichever socket; [`ALONE`] keeps them out.
    users: AtomicU32,
}

#[allow(clippy::declare_interior_mutable_const)]
const EMPTY: Entry = Entry {
    meta: AtomicU64::new(0),
    handle: AtomicU64::new(0),
    key: AtomicU64::new(0),
    cookie: AtomicU64::new(0),
    looked_at: AtomicU64::new(0),
    reached: AtomicU64::new(0),
    ring: AtomicU64::new(0),
    moved: AtomicU32::new(0),
    users: AtomicU32::new(0),
};
static TABLE: [Entry; SIZE] = [EMPTY; SIZE];
/// One more than the highest number at which a socket ever was.
static HIGH: AtomicU32 = AtomicU32::new(0);

/// A copy of one entry, with the number it was found at.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    pub fd: c_int,
    pub handle: u64,
    pub key: u64,
    pub cookie: u64,
    meta: u64,
}

impl Socket {
    pub fn is_v6(&self) -> bool {
        self.meta & V6 != 0
    }

    pub fn domain(&self) -> u16 {
        if self.is_v6() { AF_INET6 } else { AF_INET }
    }

    /// SOCK_STREAM, SOCK_DGRAM or SOCK_RAW.
    pub fn kind(&self) -> c_int {
        (self.meta >> KIND_SHIFT & 7) as c_int
    }

    pub fn is_stream(&self) -> bool {
        self.kind() == libc::SOCK_STREAM
    }

    pub fn protocol(&self) -> c_int {
        (self.meta >> PROTOCOL_SHIFT & 0xffff) as c_int
    }

    pub fn state(&self) -> SocketState {
        SocketState::from_u16(((self.meta & STATE_MASK) >> STATE_SHIFT) as u16).unwrap_or_default()
    }

    pub fn has(&self, flag: u64) -> bool {
        self.meta & flag != 0
    }

    /// Whether the number still means the object that was entered.
    pub fn is_current(&self) -> bool {
        real::native_option::<u64>(self.fd, libc::SOL_SOCKET, libc::SO_COOKIE) == Ok(self.cookie)
    }
}

#[inline]
fn entry(fd: c_int) -> Option<&'static Entry> {
    TABLE.get(fd as u32 as usize)
}

/// The socket at this number; the fast path of every hook.
#[inline]
pub fn socket(fd: c_int) -> Option<Socket> {
    let e = entry(fd)?;
    let meta = e.meta.load(Ordering::Acquire);
    if meta & TAG_MASK != TAG_SOCKET {
        return None;
    }
    Some(Socket {
        fd,
        handle: e.handle.load(Ordering::Relaxed),
        key: e.key.load(Ordering::Relaxed),
        cookie: e.cookie.load(Ordering::Relaxed),
        meta,
    })
}

/// As [`socket`], sure that the number has not been recycled behind our back; a stale entry goes.
pub fn current(fd: c_int) -> Option<Socket> {
    let s = socket(fd)?;
    if s.is_current() {
        return Some(s);
    }
    clear(fd);
    None
}

/// Whether the number is a control connection of the library's own.
#[inline]
pub fn is_private(fd: c_int) -> bool {
    entry(fd).is_some_and(|e| e.meta.load(Ordering::Acquire) & TAG_MASK == TAG_PRIVATE)
}

/// At and above this number there is no socket.
pub fn high() -> c_int {
    HIGH.load(Ordering::Acquire) as c_int
}

/// False when the number lies beyond the table.
pub fn insert(fd: c_int, info: &SocketInfo) -> bool {
    let meta = TAG_SOCKET
        | if info.domain == AF_INET6 { V6 } else { 0 }
        | u64::from(info.kind & 7) << KIND_SHIFT
        | u64::from(info.protocol) << PROTOCOL_SHIFT
        | (info.state as u64) << STATE_SHIFT;
    enter(fd, &Socket { fd, handle: info.handle, key: info.key, cookie: info.cookie, meta }, 0)
}

/// Enters a copy of what is known under another number (dup(2)).
pub fn put(fd: c_int, s: &Socket) -> bool {
    let reference = ring(s.fd);
    enter(fd, s, if rings::retain(reference) { reference } else { 0 })
}

fn enter(fd: c_int, s: &Socket, ring: u64) -> bool {
    let Some(e) = entry(fd) else {
        rings::release(ring);
        return false;
    };
    HIGH.fetch_max(fd as u32 + 1, Ordering::AcqRel);
    // What has a standard number may be used by stdio, which passes no hook.
    let pair_only = if (0..=libc::STDERR_FILENO).contains(&fd) { flag::PAIR_ONLY } else { 0 };
    e.meta.store(0, Ordering::Release);
    rings::release(e.ring.swap(ring, Ordering::AcqRel));
    e.moved.store(0, Ordering::Relaxed);
    e.handle.store(s.handle, Ordering::Relaxed);
    e.key.store(s.key, Ordering::Relaxed);
    e.cookie.store(s.cookie, Ordering::Relaxed);
    e.looked_at.store(0, Ordering::Relaxed);
    e.reached.store(0, Ordering::Relaxed);
    e.meta.store(s.meta | pair_only, Ordering::Release);
    true
}

pub fn insert_private(fd: c_int) -> bool {
    let Some(e) = entry(fd) else { return false };
    rings::release(e.ring.swap(0, Ordering::AcqRel));
    e.meta.store(TAG_PRIVATE, Ordering::Release);
    true
}

pub fn clear(fd: c_int) {
    if let Some(e) = entry(fd)
        && e.meta.load(Ordering::Relaxed) != 0
    {
        e.meta.store(0, Ordering::Release);
        rings::release(e.ring.swap(0, Ordering::AcqRel));
    }
}

/// The ring of the stream at this number; 0 in pair mode.
#[inline]
pub fn ring(fd: c_int) -> u64 {
    entry(fd).map_or(0, |e| e.ring.load(Ordering::Acquire))
}

/// The stream at this number is in ring mode from now on; `reference` is counted by the caller.
pub fn set_ring(s: &Socket, reference: u64) {
    match entry(s.fd) {
        Some(e) if e.handle.load(Ordering::Relaxed) == s.handle => {
            rings::release(e.ring.swap(reference, Ordering::AcqRel));
        }
        _ => rings::release(reference),
    }
}

/// Back in pair mode: every number that means this ring forgets it.
pub fn forget_ring(reference: u64) {
    for fd in 0..high() {
        let Some(e) = entry(fd) else { return };
        if e.ring.load(Ordering::Acquire) == reference {
            e.meta.fetch_or(flag::PAIR_ONLY, Ordering::AcqRel);
            if e.ring.compare_exchange(reference, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                rings::release(reference);
            }
        }
    }
}

/// Bytes moved in pair mode since [`moved_anew`].
#[inline]
pub fn moved(fd: c_int) -> u32 {
    entry(fd).map_or(0, |e| e.moved.load(Ordering::Relaxed))
}

pub fn moved_anew(fd: c_int) {
    if let Some(e) = entry(fd) {
        e.moved.store(0, Ordering::Relaxed);
    }
}

/// In [`Entry::users`]: a change of mode is made.
const ALONE: u32 = 1 << 31;

/// A call at work on a pair. (A call that is left by longjmp(3) stays counted; its number then sees no more changes of
/// mode.)
pub struct Use {
    entry: Option<&'static Entry>,
}

impl Use {
    /// Counts nothing: where no change of mode is to come.
    pub fn none() -> Use {
        Use { entry: None }
    }

    /// `None`, after a moment, while a change of mode is made.
    #[inline]
    pub fn begin(fd: c_int) -> Option<Use> {
        let e = entry(fd)?;
        if e.users.fetch_add(1, Ordering::Acquire) & ALONE == 0 {
            return Some(Use { entry: Some(e) });
        }
        e.users.fetch_sub(1, Ordering::Relaxed);
        real::yield_now();
        None
    }

    /// So many bytes were moved.
    #[inline]
    pub fn moved(&self, n: usize) {
        if let Some(e) = self.entry {
            let before = e.moved.load(Ordering::Relaxed);
            e.moved.store(before.saturating_add(n.min(u32::MAX as usize) as u32), Ordering::Relaxed);
        }
    }
}

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        if let Some(e) = self.entry {
            e.users.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Nobody is at work under this number just now.
pub fn is_unused(fd: c_int) -> bool {
    entry(fd).is_some_and(|e| e.users.load(Ordering::Relaxed) == 0)
}

/// In the child of a fork: those who were at work are the parent's.
pub fn forget_users() {
    (0..high()).filter_map(entry).for_each(|e| e.users.store(0, Ordering::Relaxed));
}

/// The only call at work under a number, until it is dropped.
pub struct Alone(&'static Entry);

impl Alone {
    /// `None` when others are at work.
    pub fn begin(fd: c_int) -> Option<Alone> {
        let e = entry(fd)?;
        let alone = e.users.compare_exchange(0, ALONE, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Not `then_some`: an Alone that is dropped lets the others in.
        alone.then(|| Alone(e))
    }
}

impl Alone {
    /// Waits while another thread is alone at work under this number.
    pub fn wait_for_end(fd: c_int) {
        let Some(e) = entry(fd) else { return };
        while e.users.load(Ordering::SeqCst) & ALONE != 0 {
            real::yield_now();
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.users.fetch_and(!ALONE, Ordering::Release);
    }
}

pub fn looked_at(s: &Socket) -> u64 {
    entry(s.fd).map_or(0, |e| e.looked_at.load(Ordering::Relaxed))
}

pub fn set_looked_at(s: &Socket, ns: u64) {
    if let Some(e) = entry(s.fd) {
        e.looked_at.store(ns, Ordering::Relaxed);
    }
}

pub fn reached(s: &Socket) -> u64 {
    entry(s.fd).map_or(0, |e| e.reached.load(Ordering::Relaxed))
}

pub fn set_reached(s: &Socket, place: u64) {
    if let Some(e) = entry(s.fd) {
        e.reached.store(place, Ordering::Relaxed);
    }
}

pub fn set_state(s: &Socket, state: SocketState) {
    update(s, |meta| meta & !STATE_MASK | (state as u64) << STATE_SHIFT);
}

pub fn set_flag(s: &Socket, flag: u64, on: bool) {
    update(s, |meta| if on { meta | flag } else { meta & !flag });
}

fn update(s: &Socket, change: impl Fn(u64) -> u64) {
    let Some(e) = entry(s.fd) else { return };
    if e.handle.load(Ordering::Relaxed) != s.handle {
        return;
    }
    let _ = e.meta.fetch_update(Ordering::AcqRel, Ordering::Acquire, |meta| {
        (meta & TAG_MASK == TAG_SOCKET).then(|| change(meta))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_what_it_was_given_and_goes_when_cleared() {
        let info = SocketInfo {
            handle: 1,
            key: 2,
            cookie: 3,
            domain: AF_INET6,
            kind: 2,
            protocol: 17,
            state: SocketState::Fresh,
        };
        let fd = 60_000;
        assert!(insert(fd, &info));
        let s = socket(fd).expect("entered above");
        assert!((s.handle, s.key, s.cookie) == (1, 2, 3) && s.is_v6() && !s.is_stream());
        assert_eq!((s.kind(), s.protocol(), s.state()), (2, 17, SocketState::Fresh));
        set_state(&s, SocketState::Connected);
        set_flag(&s, flag::RESULT_DUE, true);
        let s = socket(fd).expect("still there");
        assert!(s.state() == SocketState::Connected && s.has(flag::RESULT_DUE) && s.protocol() == 17);
        clear(fd);
        assert!(socket(fd).is_none());
    }

    #[test]
    fn numbers_outside_the_table_are_not_ours() {
        assert!(socket(-1).is_none() && socket(SIZE as c_int).is_none());
        assert!(!insert(SIZE as c_int, &SocketInfo::default()));
    }

    #[test]
    fn an_update_for_a_socket_that_has_left_the_number_does_nothing() {
        let fd = 60_001;
        insert(fd, &SocketInfo { handle: 1, ..Default::default() });
        let old = socket(fd).expect("entered above");
        insert(fd, &SocketInfo { handle: 2, ..Default::default() });
        set_state(&old, SocketState::Listening);
        assert_eq!(socket(fd).map(|s| s.state()), Some(SocketState::Fresh));
        clear(fd);
    }

    #[test]
    fn who_changes_the_mode_is_alone_and_one_who_could_not_lets_nobody_in() {
        let fd = 60_002;
        let used = Use::begin(fd).expect("nobody is alone");
        assert!(Alone::begin(fd).is_none(), "one is at work");
        drop(used);
        let alone = Alone::begin(fd).expect("nobody is at work");
        assert!(Alone::begin(fd).is_none() && Use::begin(fd).is_none());
        assert!(Use::begin(fd).is_none(), "still alone");
        drop(alone);
        assert!(Use::begin(fd).is_some());
    }
}
