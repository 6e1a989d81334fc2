//! The flag of a sleeper: it never sleeps for good although the other side has moved on.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

use super::life::explore;
use super::pair::Pipe;
use crate::socket::SleepFlag;

struct World {
    moved: AtomicUsize,
    flag: SleepFlag,
    wakes: Pipe,
}

#[test]
fn a_sleeper_is_woken_by_every_move_that_it_did_not_see() {
    explore(4, || {
        let world = Arc::new(World { moved: AtomicUsize::new(0), flag: SleepFlag::new(), wakes: Pipe::new() });
        let waker = thread::spawn({
            let world = world.clone();
            move || {
                for n in 1..=2 {
                    world.moved.store(n, Relaxed);
                    if world.flag.raised() {
                        world.wakes.write(n as u8);
                    }
                }
            }
        });
        let mut asleep = None;
        for wanted in 1..=2 {
            if world.flag.raise(|| world.moved.load(Relaxed) >= wanted) {
                asleep = Some(wanted);
                // A sleep that ends at once stands for a time-out or a signal: only the last one counts.
                if world.moved.load(Relaxed) >= wanted || wanted == 1 {
                    world.flag.lower();
                    asleep = None;
                }
            }
        }
        waker.join().expect("the waker");
        if let Some(wanted) = asleep {
            assert!(world.wakes.read(u32::MAX).iter().any(|n| usize::from(*n) >= wanted), "asleep for good");
        }
    });
}
