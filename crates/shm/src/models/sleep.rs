//! Sleepers: none sleeps for good although the other side has moved on, whatever the others do.

use loom::sync::Arc;
use loom::thread;

use super::life::{AtomicU32, explore};
use super::pair::Pipe;
use crate::socket::Sleepers;
use crate::sync::Ordering::Relaxed;

struct World {
    moved: AtomicU32,
    sleepers: Sleepers,
    wakes: Pipe,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World { moved: AtomicU32::new(0), sleepers: Sleepers::new(), wakes: Pipe::new() })
    }

    fn has_moved(&self, to: u32) -> bool {
        self.moved.load(Relaxed) >= to
    }

    fn moves(&self, to: u32) {
        self.moved.store(to, Relaxed);
        if self.sleepers.any() {
            self.wakes.write(to as u8);
        }
    }

    /// Whether it sleeps now, until a move to `to`.
    fn sleeps(&self, to: u32) -> bool {
        self.sleepers.join(|| self.has_moved(to))
    }

    fn assert_woken(&self, to: u32) {
        assert!(self.wakes.read(u32::MAX).iter().any(|n| u32::from(*n) >= to), "asleep for good");
    }
}

#[test]
fn a_sleeper_is_woken_by_every_move_that_it_did_not_see() {
    explore(4, || {
        let world = World::new();
        let waker = thread::spawn({
            let world = world.clone();
            move || (1..=2).for_each(|to| world.moves(to))
        });
        // The first sleep ends at once: a signal.
        if world.sleeps(1) {
            world.sleepers.leave();
        }
        let asleep = world.sleeps(2);
        waker.join().expect("the waker");
        if asleep {
            world.assert_woken(2);
        }
    });
}

#[test]
fn a_sleeper_that_wakes_by_a_signal_leaves_the_others_counted() {
    explore(4, || {
        let world = World::new();
        let waker = thread::spawn({
            let world = world.clone();
            move || world.moves(1)
        });
        let other = thread::spawn({
            let world = world.clone();
            move || {
                if world.sleeps(1) {
                    world.sleepers.leave();
                }
            }
        });
        let asleep = world.sleeps(1);
        waker.join().expect("the waker");
        other.join().expect("the other");
        if asleep {
            world.assert_woken(1);
        }
    });
}
