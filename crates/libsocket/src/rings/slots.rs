//! The arenas that this process has mapped. Their places are static, so that nothing is allocated; a place is counted by
//! the numbers in the table that mean its socket and by the calls at work on it, and unmapped by the last.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use shm::socket::Attached;

/// Most sockets in ring mode at a time.
const SLOTS: usize = 1024;
/// A reference: generation in the upper half, place plus one in the lower; 0 is none.
const PLACE: u64 = 0xffff_ffff;
/// The word of a place: generation in the upper half, count in the lower.
const COUNT: u64 = 0xffff_ffff;
const GENERATION: u64 = 1 << 32;

pub struct Slot {
    word: AtomicU64,
    ends: UnsafeCell<MaybeUninit<Attached>>,
    /// Of the send turn: a sender is counted among those that sleep until there is room.
    pub waits: AtomicBool,
    /// Threads that are about to write a filler, or sleep in it.
    pub fillers: AtomicU32,
    /// shutdown(2) has ended the send direction.
    pub shut: AtomicBool,
}

// SAFETY: `ends` is written by the one who takes a free place, before the word counts anybody, and dropped by the one
// who counts the last one off; between, it is only read.
unsafe impl Sync for Slot {}

#[allow(clippy::declare_interior_mutable_const)]
const FREE: Slot = Slot {
    word: AtomicU64::new(0),
    ends: UnsafeCell::new(MaybeUninit::uninit()),
    waits: AtomicBool::new(false),
    fillers: AtomicU32::new(0),
    shut: AtomicBool::new(false),
};
static ALL: [Slot; SLOTS] = [FREE; SLOTS];

/// One use of a place. While there is one, it stays mapped.
pub struct Lease {
    reference: u64,
}

impl core::ops::Deref for Lease {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &ALL[(self.reference & PLACE) as usize - 1]
    }
}

impl Lease {
    /// Maps nothing by itself: the arena finds a place, or is given up.
    pub fn place(ends: Attached) -> Option<Lease> {
        /// Held by the one who fills it.
        const FILLING: u64 = COUNT;
        for (i, slot) in ALL.iter().enumerate() {
            let word = slot.word.load(Ordering::Relaxed);
            if word & COUNT != 0 {
                continue;
            }
            if slot.word.compare_exchange(word, word | FILLING, Ordering::Acquire, Ordering::Relaxed).is_err() {
                continue;
            }
            // SAFETY: the place was free, and FILLING keeps others from taking it: a reference to it, of an
            // older generation, finds a word that is not its own.
            unsafe { (*slot.ends.get()).write(ends) };
            slot.waits.store(false, Ordering::Relaxed);
            slot.fillers.store(0, Ordering::Relaxed);
            slot.shut.store(false, Ordering::Relaxed);
            let generation = (word & !COUNT).wrapping_add(GENERATION);
            slot.word.store(generation | 1, Ordering::Release);
            return Some(Lease { reference: generation | (i as u64 + 1) });
        }
        None
    }

    /// `None` when the place is another's by now, or nobody's.
    pub fn take(reference: u64) -> Option<Lease> {
        retain(reference).then(|| Lease { reference })
    }

    pub fn ends(&self) -> &Attached {
        // SAFETY: this lease is counted, so the place was filled and is not emptied.
        unsafe { (*self.ends.get()).assume_init_ref() }
    }

    pub fn reference(&self) -> u64 {
        self.reference
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        release(self.reference);
    }
}

fn slot(reference: u64) -> Option<&'static Slot> {
    ALL.get(((reference & PLACE) as usize).checked_sub(1)?)
}

/// Counts one more. False when the place is not this reference's any more.
pub fn retain(reference: u64) -> bool {
    let Some(slot) = slot(reference) else { return false };
    let ours = |word: u64| word & !COUNT == reference & !PLACE && (1..COUNT - 1).contains(&(word & COUNT));
    slot.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |w| ours(w).then_some(w + 1)).is_ok()
}

/// Counts one off, which was counted by [`retain`] or [`Lease::place`]; the last one unmaps.
pub fn release(reference: u64) {
    let Some(slot) = slot(reference) else { return };
    let ours = |word: u64| word & !COUNT == reference & !PLACE && word & COUNT != 0;
    let before = slot.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |w| {
        // The last one keeps others away until the place is empty.
        ours(w).then_some(if w & COUNT == 1 { w | COUNT } else { w - 1 })
    });
    if before.is_ok_and(|w| w & COUNT == 1) {
        // SAFETY: it was filled, and nobody is counted any more.
        unsafe { (*slot.ends.get()).assume_init_drop() };
        slot.word.fetch_and(!COUNT, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm::socket::{Arena, Sizes};
    use std::os::fd::AsFd;

    fn attached() -> Attached {
        let (arena, memfd) = Arena::create(Sizes { tx: 4096, rx: 4096 }).expect("memory for two rings");
        drop(arena.daemon()); // which sets the limits
        Attached::new(memfd.as_fd()).expect("just made")
    }

    #[test]
    fn a_place_stays_mapped_until_the_last_one_goes_and_is_nobody_elses_afterwards() {
        let lease = Lease::place(attached()).expect("a free place");
        let reference = lease.reference();
        assert!(retain(reference), "the table's");
        let second = Lease::take(reference).expect("it is there");
        drop(lease);
        release(reference);
        assert_eq!(second.ends().writer().write(b"still mapped"), 12);
        drop(second);
        assert!(Lease::take(reference).is_none() && !retain(reference));
        let next = Lease::place(attached()).expect("a free place");
        assert!(next.reference() != reference && Lease::take(reference).is_none());
        release(reference); // counts nothing off that is another's
        assert_eq!(next.ends().writer().held(), 0);
    }
}
