//! Bytes of sockets in ring mode: what recv(2) and send(2) do there. Moving is done in one's turn and without waiting;
//! one waits outside, on the descriptor.

use core::cell::Cell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use libc::iovec;
use shm::socket::{Cleared, Denied, Holder, Mode, Repeat, Taken, TurnLock};

use super::change::drain;
use super::slots::Lease;
use crate::datagram::IOV_MAX;
use crate::native;
use crate::real::{self, Errno, check, sys};
use crate::stream::{explain_read, explain_write};
use crate::table::Socket;

/// How long another thread is given to end its turn, which takes a copy; longer takes only one that was stopped.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_TRIES: usize = 5;
/// Tokens that take POLLOUT from the descriptor (`sockets::call::CONNECT_FILLERS`).
const FILLERS: u32 = sockets::call::CONNECT_FILLERS;
/// More than fit into the least send buffer (six).
const FILLERS_MAX: u32 = 16;
/// How often a token is waited for that was counted and not yet written.
const LATE_TOKENS: usize = 64;
/// How often a peeking reader that waits for more looks again.
const PEEK_PAUSE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// How far a call came.
pub enum Moved {
    Bytes(usize),
    /// The socket is in pair mode again: the rest goes that way.
    ByPair(usize),
}

/// The caller's buffers, in order, of which a part is done.
pub struct Pieces {
    iov: *const iovec,
    n: usize,
    done: usize,
    len: usize,
}

impl Pieces {
    /// Errors: EMSGSIZE for too many (sendmsg(2)); EFAULT for what can be no memory of a program's, unless nothing is to be put there (`counted`: MSG_TRUNC).
    ///
    /// # Safety
    /// `iov` has `n` entries; they and the memory that they name stay valid as long as the result.
    pub unsafe fn new(iov: *const iovec, n: usize, counted: bool) -> Result<Pieces, Errno> {
        /// No program has memory below or above (mmap(2): vm.mmap_min_addr; the upper half is the kernel's).
        const PLACES: core::ops::Range<usize> = 4096..0x7fff_ffff_f000;
        if n > IOV_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let mut len = 0usize;
        for i in 0..n {
            // SAFETY: the caller vouches for the array.
            let piece = unsafe { &*iov.add(i) };
            let end = (piece.iov_base as usize).checked_add(piece.iov_len).ok_or(Errno::EFAULT)?;
            if piece.iov_len > 0 && !counted && (!PLACES.contains(&(piece.iov_base as usize)) || end > PLACES.end) {
                return Err(Errno::EFAULT);
            }
            len = len.saturating_add(piece.iov_len);
        }
        Ok(Pieces { iov, n, done: 0, len })
    }

    /// Bytes still to be moved.
    pub fn left(&self) -> usize {
        self.len - self.done
    }

    fn advance(&mut self, n: usize) {
        self.done += n;
    }

    /// What is left, as (address, length).
    pub fn rest(&self) -> impl Iterator<Item = (*mut u8, usize)> + '_ {
        let mut skip = self.done;
        (0..self.n).filter_map(move |i| {
            // SAFETY: `new`'s caller vouches for the array.
            let piece = unsafe { &*self.iov.add(i) };
            let skipped = skip.min(piece.iov_len);
            skip -= skipped;
            let left = piece.iov_len - skipped;
            (left > 0).then(|| (piece.iov_base.cast::<u8>().wrapping_add(skipped), left))
        })
    }

    /// # Safety
    /// The memory may be read.
    unsafe fn sources(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: `new`'s caller vouches for what the pieces name.
        self.rest().map(|(at, n)| unsafe { core::slice::from_raw_parts(at, n) })
    }

    /// # Safety
    /// The memory may be written.
    unsafe fn targets(&self) -> impl Iterator<Item = &mut [u8]> {
        // SAFETY: as above.
        self.rest().map(|(at, n)| unsafe { core::slice::from_raw_parts_mut(at, n) })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Send,
    Receive,
}

/// A turn, until it is dropped.
pub struct Turn<'a> {
    lock: &'a TurnLock,
    me: Holder,
}

impl<'a> Turn<'a> {
    /// Errors: EAGAIN when it cannot be had: a handler that broke in on its own thread's, or a holder that was stopped.
    pub fn take(s: &Socket, lease: &'a Lease, direction: Direction) -> Result<Turn<'a>, Errno> {
        let words = lease.ends().words();
        let lock = if direction == Direction::Send { words.tx_turn() } else { words.rx_turn() };
        let me = me();
        for _ in 0..PATIENCE_TRIES {
            match lock.take(me, PATIENCE) {
                Ok(Taken::Free) => return Ok(Turn { lock, me }),
                Ok(Taken::AfterDeath) => {
                    let turn = Turn { lock, me };
                    if words.mode().settle() != Mode::Ring {
                        return Ok(turn);
                    }
                    match direction {
                        Direction::Send => words.tx_token().announce(Repeat::Always, || write_token(s.fd).is_ok()),
                        Direction::Receive => {
                            words.rx_token().recount(|| tokens_on_pair(s.fd));
                            announce_room(s, lease)?;
                        }
                    }
                    return Ok(turn);
                }
                Err(Denied::Own) => break,
                Err(Denied::Interrupted | Denied::Busy) => {}
            }
        }
        Err(Errno::EAGAIN)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lock.give(self.me);
    }
}

/// Counts this process's forks: in the child a thread has another name.
static FORKS: AtomicU32 = AtomicU32::new(0);

pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The calling thread's name in turns.
fn me() -> Holder {
    thread_local! {
        static ME: Cell<Option<(u32, Holder)>> = const { Cell::new(None) };
    }
    let forks = FORKS.load(Ordering::Relaxed);
    ME.with(|kept| match kept.get() {
        Some((of, holder)) if of == forks => holder,
        _ => {
            let holder = Holder::current();
            kept.set(Some((forks, holder)));
            holder
        }
    })
}

fn write_token(fd: c_int) -> Result<usize, Errno> {
    // SAFETY: one byte of a constant.
    unsafe { sys!(SYS_sendto, fd, c"".as_ptr(), 1, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL, 0, 0) }
}

fn tokens_on_pair(fd: c_int) -> u32 {
    real::unread(fd).map_or(0, |n| n as u32)
}

/// The daemon waits for what was just read.
fn announce_room(s: &Socket, lease: &Lease) -> Result<(), Errno> {
    // In pair mode it would be a byte of the stream.
    if let Some(_turn) = turn_in_ring(s, lease, Direction::Send)? {
        lease.ends().words().tx_token().announce(Repeat::Never, || write_token(s.fd).is_ok());
    }
    Ok(())
}

/// A turn in ring mode; `None` in pair mode. A change that was left in the middle is ended first.
fn turn_in_ring<'a>(s: &Socket, lease: &'a Lease, direction: Direction) -> Result<Option<Turn<'a>>, Errno> {
    let turn = Turn::take(s, lease, direction)?;
    let words = lease.ends().words();
    match words.mode().settle() {
        Mode::Ring => Ok(Some(turn)),
        Mode::Pair => Ok(None),
        Mode::Drain => {
            drop(turn);
            let _rx = Turn::take(s, lease, Direction::Receive)?;
            if words.mode().settle() == Mode::Drain {
                drain(s, lease);
            }
            Ok(None)
        }
    }
}

// --- sending ---------------------------------------------------------------------------------------

enum Written {
    Bytes(usize),
    /// The descriptor is not writable, and a blocking write to it sleeps.
    Full,
    Over,
    ByPair,
}

/// Writes what there is room for. Where there is none, `blocking` says how it will be waited for.
unsafe fn write_some(s: &Socket, lease: &Lease, pieces: &Pieces, blocking: bool) -> Result<Written, Errno> {
    let Some(_turn) = turn_in_ring(s, lease, Direction::Send)? else { return Ok(Written::ByPair) };
    let (writer, token) = (lease.ends().writer(), lease.ends().words().tx_token());
    if lease.waits.swap(false, Ordering::Relaxed) {
        writer.awake();
    }
    if lease.shut.load(Ordering::Acquire) || writer.is_closed() {
        return Ok(Written::Over);
    }
    loop {
        // SAFETY: the caller vouches for the pieces.
        let n = writer.write_pieces(unsafe { pieces.sources() });
        if n > 0 {
            let mut over = false;
            token.announce(Repeat::Never, || {
                let written = write_token(s.fd);
                over = matches!(written, Err(Errno::EPIPE | Errno::ECONNRESET));
                written.is_ok()
            });
            return Ok(if over { Written::Over } else { Written::Bytes(n) });
        }
        if writer.sleep_until_room(writer.worthwhile_room()) {
            lease.waits.store(true, Ordering::Relaxed);
            let mut written = Ok(1);
            for _ in 0..if blocking { FILLERS_MAX } else { FILLERS } {
                token.announce(Repeat::Always, || {
                    written = write_token(s.fd);
                    written.is_ok()
                });
                match written {
                    Ok(_) => {}
                    Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(Written::Over),
                    Err(_) => break,
                }
            }
            if blocking {
                // The one that `sleep_in_filler` is going to write.
                token.announce(Repeat::Always, || true);
                lease.fillers.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(Written::Full);
        }
    }
}

/// send(2) of all pieces.
///
/// # Safety
/// The pieces may be read.
pub unsafe fn send(s: &Socket, lease: &Lease, pieces: &mut Pieces, flags: c_int) -> Result<Moved, Errno> {
    let mut done = 0;
    // Asked for when the ring is full for the first time.
    let mut blocking = false;
    while pieces.left() > 0 {
        // SAFETY: the caller vouches for the pieces.
        let stopped = match unsafe { write_some(s, lease, pieces, blocking) } {
            Ok(Written::Bytes(n)) => {
                pieces.advance(n);
                done += n;
                continue;
            }
            Ok(Written::ByPair) => return Ok(Moved::ByPair(done)),
            Ok(Written::Over) => Err(Errno::EPIPE),
            Ok(Written::Full) if blocking => sleep_in_filler(s, lease),
            Ok(Written::Full) if flags & libc::MSG_DONTWAIT != 0 || real::is_nonblocking(s.fd) => Err(Errno::EAGAIN),
            Ok(Written::Full) => {
                blocking = true;
                Ok(())
            }
            Err(e) => Err(e),
        };
        match stopped {
            Ok(()) => {}
            Err(_) if done > 0 => break,
            Err(e) => return explain_write(s, Err(e), flags).map(Moved::Bytes),
        }
    }
    Ok(Moved::Bytes(done))
}

thread_local! {
    /// How deep the calling thread is in fillers: more than once by handlers.
    static IN_FILLER: Cell<u32> = const { Cell::new(0) };
}

pub fn in_filler() -> bool {
    IN_FILLER.with(|n| n.get() != 0)
}

/// Sleeps as send(2) does until there is room: SO_SNDTIMEO, signals and SA_RESTART are the kernel's. The byte that it is
/// about was counted before; one that is not written after all is a ghost, which the daemon sees through.
fn sleep_in_filler(s: &Socket, lease: &Lease) -> Result<(), Errno> {
    struct Counted<'a>(&'a AtomicU32);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Release);
            IN_FILLER.with(|n| n.set(n.get() - 1));
        }
    }
    IN_FILLER.with(|n| n.set(n.get() + 1));
    let _counted = Counted(&lease.fillers);
    // SAFETY: one byte of a constant.
    match check(unsafe { native::send(s.fd, c"".as_ptr().cast(), 1, libc::MSG_NOSIGNAL) } as _) {
        Ok(_) => Ok(()),
        Err(Errno::ECONNRESET | Errno::ENOTCONN) => Err(Errno::EPIPE),
        Err(e) => Err(e),
    }
}

// --- receiving -------------------------------------------------------------------------------------

enum Read {
    Bytes(usize),
    /// Nothing is there; so many tokens were.
    Empty(u32),
    Again,
    ByPair,
}

/// Reads what there is. When it leaves nothing, the tokens go too.
unsafe fn read_some(s: &Socket, lease: &Lease, pieces: &Pieces, flags: c_int) -> Result<Read, Errno> {
    let Some(_turn) = turn_in_ring(s, lease, Direction::Receive)? else { return Ok(Read::ByPair) };
    let (reader, token) = (lease.ends().reader(), lease.ends().words().rx_token());
    let n = if flags & libc::MSG_TRUNC != 0 {
        reader.len().min(pieces.left())
    } else {
        // SAFETY: the caller vouches for the pieces.
        reader.peek_pieces(0, unsafe { pieces.targets() })
    };
    if flags & libc::MSG_PEEK == 0 {
        reader.skip(n);
    } else if n > 0 {
        return Ok(Read::Bytes(n));
    }
    // Who asks for nothing is told so as soon as there is something.
    if !reader.is_empty() && (n > 0 || pieces.left() == 0) {
        return Ok(Read::Bytes(n));
    }
    let mut taken = 0;
    for _ in 0..LATE_TOKENS {
        match token.clear(|| reader.is_empty(), |n| real::throw_away(s.fd, n as usize) as u32) {
            Cleared::Busy => return Ok(if n > 0 { Read::Bytes(n) } else { Read::Again }),
            Cleared::Quiet { taken: some } => taken += some,
        }
        if token.is_quiet() {
            break;
        }
        // We were quicker than the daemon, which is about to write the token for what we have read already: nobody is to
        // find the descriptor readable for that.
        real::yield_now();
    }
    Ok(if n > 0 { Read::Bytes(n) } else { Read::Empty(taken) })
}

/// recv(2) into all pieces.
///
/// # Safety
/// The pieces may be written.
pub unsafe fn receive(s: &Socket, lease: &Lease, pieces: &mut Pieces, flags: c_int) -> Result<Moved, Errno> {
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno::EINVAL);
    }
    let (want, peek, all) = (pieces.left(), flags & libc::MSG_PEEK != 0, flags & libc::MSG_WAITALL != 0);
    let reader = lease.ends().reader();
    let mut done = 0;
    let mut vain = 0;
    loop {
        // SAFETY: the caller vouches for the pieces.
        match unsafe { read_some(s, lease, pieces, flags) } {
            Ok(Read::Bytes(n)) if peek => {
                if !all || n == want || flags & libc::MSG_DONTWAIT != 0 || has_ended(s) {
                    return Ok(Moved::Bytes(n));
                }
            }
            Ok(Read::Bytes(n)) => {
                pieces.advance(n);
                done += n;
                vain = 0;
                if reader.room_wanted() {
                    let _ = announce_room(s, lease);
                }
                if !all || pieces.left() == 0 {
                    break;
                }
            }
            Ok(Read::Again) => {}
            Ok(Read::ByPair) => return Ok(Moved::ByPair(done)),
            Ok(Read::Empty(taken)) => {
                // Twice woken for nothing: the count is not what is there.
                vain = if taken == 0 { vain + 1 } else { 0 };
                if vain > 2 {
                    let _turn = Turn::take(s, lease, Direction::Receive)?;
                    lease.ends().words().rx_token().recount(|| tokens_on_pair(s.fd));
                }
                // Once more, for a call that could not have the send turn.
                if reader.room_wanted() {
                    let _ = announce_room(s, lease);
                }
                let end = match sleep(s, flags) {
                    Ok(1..) => continue,
                    _ if !reader.is_empty() => continue, // it came just before
                    other => other,
                };
                if done > 0 {
                    break;
                }
                return explain_read(s, end, want).map(Moved::Bytes);
            }
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(Moved::Bytes(done))
}

/// Sleeps as recv(2) does until there is a token: SO_RCVTIMEO, signals and SA_RESTART are the kernel's.
fn sleep(s: &Socket, flags: c_int) -> Result<usize, Errno> {
    let mut token = [0u8; 1];
    let flags = libc::MSG_PEEK | flags & libc::MSG_DONTWAIT;
    // SAFETY: a local buffer with its true length.
    check(unsafe { native::recv(s.fd, token.as_mut_ptr().cast(), 1, flags) } as _)
}

/// For who peeks and wants more than there is: a pause, and whether more will come.
fn has_ended(s: &Socket) -> bool {
    real::poll(s.fd, libc::POLLRDHUP, Some(PEEK_PAUSE)).is_ok_and(|e| e != 0)
}

/// FIONREAD.
pub fn unread(lease: &Lease) -> usize {
    lease.ends().reader().len()
}

/// TIOCOUTQ.
pub fn unsent(lease: &Lease) -> usize {
    lease.ends().writer().held()
}
