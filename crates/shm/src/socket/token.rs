//! Tokens: the bytes on the pair that make a descriptor readable, and the word that counts them.
//!
//! The word is `(count << 1) | CLEARING`: `count` bytes are unread on the pair, or about to be written (then the top
//! bit, WRITING, is on as well). There is one producer at a time and one consumer at a time (turn locks on the program's
//! side). The producer adds a token when there is none, or when the consumer is about to take away those there are
//! (CLEARING). The consumer announces that, looks again, and takes exactly the tokens that it counted.
//!
//! The program's threads may be killed at each step and others take their turn. What is left behind then:
//!
//! - By a *consumer* of the program's: CLEARING, and tokens read but not subtracted. Whoever takes the receive turn
//!   after a death recounts them ([`TokenWord::recount`]): their producer, the daemon, lives.
//! - By a *producer* of the program's: something published and not announced, or a token counted and never
//!   written (a ghost). Whoever takes the send turn after a death announces in any case ([`Repeat::Always`]), and
//!   their consumer, the daemon, finds ghosts by reading short: it keeps at most one of the missing (a living
//!   producer may be about to write it) and leaves CLEARING on as long, so that the next token is certain to come.

use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use crate::sync::{AtomicU32, CAS_TRIES, fence, yield_now};

/// Most tokens unread at a time.
pub const UNREAD_MAX: u32 = 64;
/// What a counter is taken for when it says more: it was written by somebody who plays with it.
const COUNT_MAX: u32 = 2 * UNREAD_MAX;
const CLEARING: u32 = 1;
const WRITING: u32 = 1 << 31;
/// How often [`TokenWord::recount`] lets others run while a token is being written.
const RECOUNT_TRIES: usize = 1000;

/// Whether a token is written although one is unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Never,
    /// While fewer than [`UNREAD_MAX`] are: an edge-triggered watcher wants to hear of each arrival.
    Edge,
    /// In any case: a producer died, and its last token may have died with it.
    Always,
}

/// What [`TokenWord::clear`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// Something came meanwhile, and its token stands: consume on.
    Busy,
    /// Nothing to consume, and no token left but what is written from now on. `taken` tokens were read.
    Quiet { taken: u32 },
}

/// See the module's head.
#[repr(transparent)]
pub struct TokenWord(AtomicU32);

impl TokenWord {
    #[cfg(loom)]
    pub(crate) fn new() -> TokenWord {
        TokenWord(AtomicU32::new(0))
    }

    /// No token and none on its way: at a change to ring mode, while both sides keep their hands off.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// For the producer, once for all it has published since the last call. `write` writes one byte to the pair
    /// and tells whether the kernel took it; it is called at most once, and has returned before the next call.
    pub fn announce(&self, repeat: Repeat, write: impl FnOnce() -> bool) {
        // The tail was stored before the word is looked at; the consumer does it the other way round.
        fence(SeqCst);
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Relaxed);
            let count = counted(word);
            let due = match repeat {
                Repeat::Never => false,
                Repeat::Edge => count + 1 < UNREAD_MAX,
                Repeat::Always => true,
            };
            if count != 0 && word & CLEARING == 0 && !due {
                return;
            }
            let more = (count + 1).min(COUNT_MAX) << 1 | WRITING;
            if self.0.compare_exchange(word, more, AcqRel, Relaxed).is_ok() {
                break;
            }
        }
        // Also when somebody kept changing the word: a wake too many harms nobody.
        if write() {
            self.0.fetch_and(!WRITING, AcqRel);
        } else {
            self.take_back();
        }
    }

    /// Nothing is counted: a byte that was on the pair before this was asked is nobody's token.
    pub fn is_quiet(&self) -> bool {
        counted(self.0.load(Acquire)) == 0
    }

    /// The pair was full of unread bytes, which is readable enough.
    fn take_back(&self) {
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Relaxed);
            let fewer = counted(word).saturating_sub(1) << 1 | word & CLEARING;
            if self.0.compare_exchange(word, fewer, AcqRel, Relaxed).is_ok() {
                return;
            }
        }
    }

    /// For the consumer that found nothing more. `quiet` looks again whether there is nothing (its loads come
    /// after what the producer published before it looked at this word); `read` reads up to so many bytes from
    /// the pair without blocking and tells how many it got.
    ///
    /// A daemon that was woken by a byte and gets `Quiet { taken: 0 }` has to do with a program that writes
    /// bytes without counting them: it reads all there are, calls this once more, and goes by that answer.
    pub fn clear(&self, quiet: impl FnOnce() -> bool, read: impl FnOnce(u32) -> u32) -> Cleared {
        let word = self.0.load(Relaxed);
        if counted(word) == 0 {
            // Nothing to take away: the producer will not look at CLEARING but at the count.
            fence(SeqCst);
            return if quiet() { Cleared::Quiet { taken: 0 } } else { Cleared::Busy };
        }
        let count = counted(self.0.fetch_or(CLEARING, AcqRel));
        fence(SeqCst);
        if !quiet() && self.stop_clearing() {
            return Cleared::Busy;
        }
        // Either all is quiet, or the producer has seen CLEARING and a newer token is on its way: then, too, these can go.
        let taken = if count > 0 { read(count).min(count) } else { 0 };
        let missing = (count - taken).min(1);
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Acquire);
            let newer = word & CLEARING == 0;
            let rest = counted(word).saturating_sub(count) + missing;
            let clearing = if newer || missing == 0 { 0 } else { CLEARING };
            if self.0.compare_exchange(word, word & WRITING | rest << 1 | clearing, AcqRel, Relaxed).is_ok() {
                return if newer { Cleared::Busy } else { Cleared::Quiet { taken } };
            }
        }
        Cleared::Busy
    }

    /// Takes CLEARING off and keeps the tokens. False: the producer has done so already, with a newer token.
    fn stop_clearing(&self) -> bool {
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Relaxed);
            if word & CLEARING == 0 {
                return false;
            }
            if self.0.compare_exchange(word, word & !CLEARING, AcqRel, Relaxed).is_ok() {
                return true;
            }
        }
        false
    }

    /// For the program's consumer that took the receive turn after a death: sets the count to what is there.
    /// `unread` tells how many bytes can be read from the pair (FIONREAD). False: the daemon was writing a token all
    /// the time (or is gone), to be tried again.
    pub fn recount(&self, unread: impl Fn() -> u32) -> bool {
        for _ in 0..RECOUNT_TRIES {
            let word = self.0.load(Acquire);
            if word & WRITING == 0 {
                let there = unread().min(COUNT_MAX);
                // If the word is still the same, no token was written in between.
                if self.0.compare_exchange(word, there << 1, AcqRel, Relaxed).is_ok() {
                    return true;
                }
            }
            yield_now();
        }
        false
    }
}

fn counted(word: u32) -> u32 {
    ((word & !WRITING) >> 1).min(COUNT_MAX)
}

/// How many sleep until the other side moves on. Counted up and down by the sleeping side only; not a flag, since one
/// sleeper that woke by a signal would take off what another one relies on; and never touched by a waker, which would
/// take off the next sleeper's. A killed sleeper stays counted, which costs the other side a wake a batch.
#[repr(transparent)]
pub(crate) struct Sleepers(AtomicU32);

impl Sleepers {
    #[cfg(loom)]
    pub(crate) fn new() -> Sleepers {
        Sleepers(AtomicU32::new(0))
    }

    /// Counts the caller, unless `ready` when looked at again. True: it may sleep now, and calls
    /// [`Sleepers::leave`] when it does so no more.
    pub(crate) fn join(&self, ready: impl FnOnce() -> bool) -> bool {
        self.0.fetch_add(1, Relaxed);
        fence(SeqCst);
        let sleeps = !ready();
        if !sleeps {
            self.leave();
        }
        sleeps
    }

    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// For the waker, after it has published what the sleepers wait for: whether to wake them, all of them.
    pub(crate) fn any(&self) -> bool {
        fence(SeqCst);
        self.0.load(Relaxed) != 0
    }
}
