//! The turn: which of the program's threads, in whatever process, is at the program's end of a ring. Held for a copy,
//! never for a sleep. The word names its holder, so that a turn whose holder was killed can be taken over.
//!
//! The word: thread id in bits 0..30, "somebody waits" in bit 31 (these 32 are the futex), start time of the thread in
//! bits 32..64. All of it changes at once, so a thread id is never seen with another's start time. Waiters sleep in
//! slices and look between them whether the holder lives; that also bounds what a wake lost with its waker costs.
//!
//! What this cannot see: a holder that is stopped (SIGSTOP) is alive, and the others wait until their patience ends; thread
//! ids mean nothing in another PID namespace, so that a socket shared with one belongs in pair mode.

use std::time::Duration;

use super::kernel::{Kernel, Linux, Woken, start_time};
use crate::sync::AtomicU64;
use crate::sync::CAS_TRIES;
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};

/// First and longest sleep between two looks at the holder.
const SLICE_MIN: Duration = Duration::from_millis(1);
const SLICE_MAX: Duration = Duration::from_millis(64);

const WAITED_FOR: u32 = 1 << 31;
const TID: u32 = (1 << 30) - 1;

/// A thread, named so that a later one with the same id is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    tid: u32,
    /// Clock ticks after boot, the lower 32 bits; 0 where /proc cannot be read.
    start: u32,
}

impl Holder {
    /// The calling thread. Costs three system calls: kept by each thread, and made anew after fork.
    pub fn current() -> Holder {
        // SAFETY: takes nothing, cannot fail.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
        Holder { tid, start: start_time(tid) }
    }

    #[cfg(loom)]
    pub(crate) fn named(tid: u32) -> Holder {
        Holder { tid, start: 0 }
    }

    fn of(word: u64) -> Holder {
        Holder { tid: word as u32 & TID, start: (word >> 32) as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.start) << 32 | u64::from(self.tid & TID)
    }

    pub(crate) fn tid(self) -> u32 {
        self.tid
    }

    pub(crate) fn start(self) -> u32 {
        self.start
    }
}

/// A turn that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after a death there is something to repair"]
pub enum Taken {
    /// In good order.
    Free,
    /// The last holder died in its turn. Of the send turn: announce with [`Repeat::Always`](super::Repeat::Always). Of the
    /// receive turn: [`TokenWord::recount`](super::TokenWord::recount), and announce on the tokens to the daemon, who may
    /// wait for room that the dead made.
    AfterDeath,
}

/// A turn that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A signal handler ran while waiting: EINTR, or once more where SA_RESTART says so.
    Interrupted,
    /// The holder lives and kept it longer than the caller has patience.
    Busy,
    /// The calling thread has it: a signal handler that broke in on it.
    Own,
}

/// See the module's head.
#[repr(transparent)]
pub struct TurnLock(AtomicU64);

impl TurnLock {
    #[cfg(loom)]
    pub(crate) fn new() -> TurnLock {
        TurnLock(AtomicU64::new(0))
    }

    /// Takes the turn, waiting at most `patience` (zero: not at all) or until a signal handler has run.
    pub fn take(&self, me: Holder, patience: Duration) -> Result<Taken, Denied> {
        self.take_with(&Linux, me, patience)
    }

    /// Ends the turn.
    pub fn give(&self, me: Holder) {
        self.give_with(&Linux, me);
    }

    /// For the daemon, when a process that had the socket is gone: frees the turn if its holder is dead; then nobody else is
    /// told of the death. Of the send turn: the daemon looks at the ring afterwards as if announced, whether it
    /// freed the turn or not (what the dead published may be all that keeps the others asleep). Of the receive turn
    /// only in [`Mode::Drain`](super::Mode::Drain), since the tokens then do not matter any more; otherwise a reader has to
    /// take it over and recount.
    pub fn free_dead(&self) -> bool {
        self.free_dead_with(&Linux)
    }

    #[cfg(loom)]
    pub(crate) fn is_held_by(&self, holder: Holder) -> bool {
        Holder::of(self.0.load(Relaxed)) == holder
    }

    pub(crate) fn take_with(&self, kernel: &impl Kernel, me: Holder, patience: Duration) -> Result<Taken, Denied> {
        if self.0.compare_exchange(0, me.word(), Acquire, Relaxed).is_ok() {
            return Ok(Taken::Free);
        }
        let begin = kernel.now();
        let mut slice = SLICE_MIN;
        let mut waited = 0;
        let mut lost = 0;
        // Each round is a sleep, bounded by patience, or an attempt that somebody else won.
        while lost < CAS_TRIES {
            let word = self.0.load(Relaxed);
            let holder = Holder::of(word);
            if holder == me {
                return Err(Denied::Own);
            }
            let free = holder.tid == 0;
            // Whoever has waited cannot know whether others do.
            let mine = me.word() | u64::from(waited | word as u32 & WAITED_FOR);
            if free || waited != 0 && kernel.is_dead(holder) {
                if self.0.compare_exchange(word, mine, Acquire, Relaxed).is_ok() {
                    return Ok(if free { Taken::Free } else { Taken::AfterDeath });
                }
                lost += 1;
            } else {
                let left = patience.saturating_sub(kernel.now().saturating_sub(begin));
                if left.is_zero() {
                    return Err(Denied::Busy);
                }
                let asleep = word | u64::from(WAITED_FOR);
                if word == asleep || self.0.compare_exchange(word, asleep, Relaxed, Relaxed).is_ok() {
                    waited = WAITED_FOR;
                    if kernel.sleep(&self.0, asleep as u32, slice.min(left)) == Woken::Interrupted {
                        return Err(Denied::Interrupted);
                    }
                    slice = (2 * slice).min(SLICE_MAX);
                } else {
                    lost += 1;
                }
            }
        }
        Err(Denied::Busy)
    }

    pub(crate) fn give_with(&self, kernel: &impl Kernel, me: Holder) {
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Relaxed);
            if Holder::of(word) != me {
                return; // somebody wrote over it; it is not ours to give
            }
            if self.0.compare_exchange(word, 0, AcqRel, Relaxed).is_ok() {
                if word as u32 & WAITED_FOR != 0 {
                    kernel.wake_one(&self.0);
                }
                return;
            }
        }
    }

    pub(crate) fn free_dead_with(&self, kernel: &impl Kernel) -> bool {
        let word = self.0.load(Acquire);
        let holder = Holder::of(word);
        let freed =
            holder.tid != 0 && kernel.is_dead(holder) && self.0.compare_exchange(word, 0, AcqRel, Relaxed).is_ok();
        if freed {
            kernel.wake_one(&self.0);
        }
        freed
    }
}
