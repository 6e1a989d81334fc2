//! The change between pair mode and ring mode: a word in the header, asked for by the program and decided by the
//! daemon with one compare-and-swap.
//!
//! ```text
//!            ask              commit (daemon)
//!   Pair ───────────▶ ToRing ───────────────▶ Ring
//!     ▲ ◀── undo, refuse ─┘                    │ ask
//!     │                                        ▼
//!     └──────────── Drain ◀──────────────── ToPair ── undo, refuse ──▶ Ring
//!        drained          commit (daemon)
//! ```
//!
//! - A socket that has an arena is used under its turns, in pair mode too: take the turn of the direction, look at
//!   the mode, move bytes that way without blocking, give the turn back. Sleeping is done outside, on the descriptor.
//! - Who asks holds both turns from `ask` until the mode is settled. So nobody else moves bytes meanwhile.
//! - Only while one process holds the socket: [`ModeWord::share`], set before a descriptor can get into another
//!   process, makes `ask` fail and the daemon refuse.
//! - The daemon's own view is [`DaemonMode`], in its own memory; the word is where both sides agree on a step. The
//!   word carries a serial number, so that a change that was undone cannot be committed later.
//! - Whoever takes a turn and finds the mode unsettled, because the asker died or gave up, settles it.

use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::{AtomicU32, CAS_TRIES};

const STATE: u32 = 7;
const SHARED: u32 = 1 << 3;
const SERIAL: u32 = 1 << 4;

const PAIR: u32 = 0;
const TO_RING: u32 = 1;
const RING: u32 = 2;
const TO_PAIR: u32 = 3;
const DRAIN: u32 = 4;

/// How a socket's bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pair,
    Ring,
    /// The daemon has left the rings and waits: every byte that can be read from the pair now is a token. Whoever
    /// finds this reads them all, calls [`ModeWord::drained`] and tells the daemon.
    Drain,
}

/// Why a change cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// More than one process has, or had, the socket.
    Shared,
    /// It is in that mode, or the mode is not settled.
    NotNow,
}

/// The word in the header. Its methods are the program's.
#[repr(transparent)]
pub struct ModeWord(AtomicU32);

impl ModeWord {
    #[cfg(loom)]
    pub(crate) fn new() -> ModeWord {
        ModeWord(AtomicU32::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn is_ring(&self) -> bool {
        self.0.load(Acquire) & STATE == RING
    }

    /// Asks for ring mode, before the control call to the daemon. In both turns.
    pub fn ask_ring(&self) -> Result<(), Refused> {
        self.ask(PAIR, TO_RING)
    }

    /// Asks for pair mode, before the control call to the daemon. In both turns.
    pub fn ask_pair(&self) -> Result<(), Refused> {
        self.ask(RING, TO_PAIR)
    }

    /// The mode to move bytes in, in one's turn. A change that is still asked for is undone: its asker died, or
    /// gave up waiting for the answer (in its turns it calls this itself after the answer, whatever that was).
    pub fn settle(&self) -> Mode {
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Acquire);
            let before = match word & STATE {
                RING => return Mode::Ring,
                DRAIN => return Mode::Drain,
                TO_RING => PAIR,
                TO_PAIR => RING,
                _ => return Mode::Pair,
            };
            let _ = self.0.compare_exchange(word, next(word, before), AcqRel, Relaxed);
        }
        Mode::Pair
    }

    /// All tokens are read: pair mode. The caller tells the daemon then, which calls [`DaemonMode::resume`].
    pub fn drained(&self) {
        self.step(DRAIN, PAIR);
    }

    /// The socket is about to be in more than one process (fork, SCM_RIGHTS), and stays so.
    pub fn share(&self) {
        self.0.fetch_or(SHARED, AcqRel);
    }

    fn ask(&self, from: u32, to: u32) -> Result<(), Refused> {
        let word = self.0.load(Acquire);
        if word & SHARED != 0 {
            return Err(Refused::Shared);
        }
        // The word changes under us only by `share`: a fork that is just happening.
        let asked = word & STATE == from && self.0.compare_exchange(word, next(word, to), AcqRel, Relaxed).is_ok();
        if asked { Ok(()) } else { Err(Refused::NotNow) }
    }

    /// From one state to another, unless the word is in a third. True: it was done here.
    fn step(&self, from: u32, to: u32) -> bool {
        for _ in 0..CAS_TRIES {
            let word = self.0.load(Acquire);
            if word & STATE != from {
                return false;
            }
            if self.0.compare_exchange(word, next(word, to), AcqRel, Relaxed).is_ok() {
                return true;
            }
        }
        false
    }
}

/// The word in another state: a step further, as shared as before.
fn next(word: u32, state: u32) -> u32 {
    (word & !STATE).wrapping_add(SERIAL) | state
}

/// A change that the program asks for, as the daemon found it.
#[derive(Clone, Copy, Debug)]
#[must_use = "a change that is asked for is committed or refused"]
pub struct Change {
    word: u32,
    /// [`Mode::Ring`], or [`Mode::Pair`] by way of [`Mode::Drain`].
    pub to: Mode,
}

/// The daemon's view of a socket's mode, which it goes by whatever the word says.
#[derive(Debug)]
pub struct DaemonMode {
    now: Mode,
}

impl DaemonMode {
    pub(crate) fn new() -> DaemonMode {
        DaemonMode { now: Mode::Pair }
    }

    /// The mode to move bytes in. In [`Mode::Drain`] the daemon moves none.
    pub fn now(&self) -> Mode {
        self.now
    }

    /// On the program's control call: the change that it asks for, if any. The daemon then makes ready, so that it
    /// can still go back, and ends with [`DaemonMode::commit`] or [`DaemonMode::refuse`]:
    ///
    /// - to ring mode: it reads the pair empty into its send buffer, restarts both rings with what its
    ///   buffers hold, and keeps those until the commit has succeeded. It refuses when bytes that it wrote to the pair
    ///   are still unread, when out-of-order bytes are held, or when something does not fit.
    /// - to pair mode: it takes note of the send ring's tail a last time, copies what both rings hold into
    ///   buffers of its own, and reads the pair empty of tokens.
    pub fn asked(&self, word: &ModeWord) -> Option<Change> {
        let word = word.0.load(Acquire);
        match (word & STATE, self.now) {
            (TO_RING, Mode::Pair) => Some(Change { word, to: Mode::Ring }),
            (TO_PAIR, Mode::Ring) => Some(Change { word, to: Mode::Pair }),
            _ => None,
        }
    }

    /// The point of no return: true, and from now on [`DaemonMode::now`] is the new mode; false when the program
    /// has undone the change, or shares the socket since, and everything is as before.
    pub fn commit(&mut self, word: &ModeWord, change: Change) -> bool {
        let (state, now) = match change.to {
            Mode::Ring => (RING, Mode::Ring),
            Mode::Pair | Mode::Drain => (DRAIN, Mode::Drain),
        };
        let shared = change.word & SHARED != 0;
        let done = !shared && word.0.compare_exchange(change.word, next(change.word, state), AcqRel, Relaxed).is_ok();
        if done {
            self.now = now;
        } else {
            self.refuse(word, change);
        }
        done
    }

    /// The change does not take place. (If the program has undone it, there is nothing to do.)
    pub fn refuse(&self, word: &ModeWord, change: Change) {
        match change.to {
            Mode::Ring => word.step(TO_RING, PAIR),
            Mode::Pair | Mode::Drain => word.step(TO_PAIR, RING),
        };
    }

    /// In [`Mode::Drain`], on the program's control call and when the pair becomes readable: whether the program has
    /// drained it, and pair mode has begun.
    pub fn resume(&mut self, word: &ModeWord) -> bool {
        if self.now == Mode::Drain && word.0.load(Acquire) & STATE != DRAIN {
            self.now = Mode::Pair;
        }
        self.now == Mode::Pair
    }

    /// In [`Mode::Drain`], when a process that had the socket is gone: begins pair mode by itself, so that nobody waits
    /// for the dead. Only when the program has read all that was ever written to the pair (otherwise somebody finds it
    /// readable and drains it), and only while the daemon holds the receive turn (otherwise somebody who is just
    /// draining would take the first data for tokens).
    pub fn resume_for_dead(&mut self, word: &ModeWord) {
        if self.now == Mode::Drain {
            word.step(DRAIN, PAIR);
            self.resume(word);
        }
    }
}
