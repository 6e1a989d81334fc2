//! The turn: one holder at a time, nobody waits for ever, and a dead holder's turn goes on.

use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::life::{AtomicU64, explore, mortal, step};
use crate::socket::{Denied, Holder, Kernel, Taken, TurnLock, Woken};
use crate::sync::Ordering::Relaxed;

struct State {
    dead: Vec<u32>,
    wakes: usize,
}

/// Futex and process table. `patient`: a sleep ends only by a wake, so that a lost one is a deadlock, which loom
/// reports; otherwise it may end at any time, as the slices do.
struct ModelKernel {
    patient: bool,
    state: Mutex<State>,
    woken: Condvar,
}

impl ModelKernel {
    fn new(patient: bool) -> ModelKernel {
        ModelKernel { patient, state: Mutex::new(State { dead: Vec::new(), wakes: 0 }), woken: Condvar::new() }
    }

    fn state(&self) -> loom::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Kernel for ModelKernel {
    fn sleep(&self, word: &AtomicU64, expected: u32, _slice: Duration) -> Woken {
        step();
        if !self.patient {
            thread::yield_now();
            return Woken::Look;
        }
        let mut state = self.state();
        // futex(2): the comparison and the going to sleep are one.
        if word.load(Relaxed) as u32 == expected {
            let wakes = state.wakes;
            while state.wakes == wakes {
                state = self.woken.wait(state).expect("nobody dies with this lock");
            }
        }
        Woken::Look
    }

    fn wake_one(&self, _word: &AtomicU64) {
        step();
        self.state().wakes += 1;
        self.woken.notify_one();
    }

    fn is_dead(&self, holder: Holder) -> bool {
        self.state().dead.contains(&holder.tid())
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Lived(Taken),
    DiedHolding,
    DiedFree,
}

struct World {
    turn: TurnLock,
    kernel: ModelKernel,
    /// Touched in the turn only; loom reports two at once. How many turns were whole.
    turns: UnsafeCell<usize>,
}

impl World {
    fn new(patient: bool) -> Arc<World> {
        Arc::new(World { turn: TurnLock::new(), kernel: ModelKernel::new(patient), turns: UnsafeCell::new(0) })
    }

    fn take(&self, me: u32) -> Taken {
        self.turn
            .take_with(&self.kernel, Holder::named(me), Duration::from_secs(1))
            .unwrap_or_else(|denied| panic!("{me} has endless patience: {denied:?}"))
    }

    fn give(&self, me: u32) {
        self.turn.give_with(&self.kernel, Holder::named(me));
    }

    fn one_turn(&self, me: u32) -> Taken {
        let taken = self.take(me);
        step();
        // SAFETY: in the turn; loom checks it.
        self.turns.with_mut(|turns| unsafe { *turns += 1 });
        self.give(me);
        taken
    }

    /// One turn of a thread that is killed at this step.
    fn mortal_turn(&self, me: u32, steps: usize) -> End {
        match mortal(steps, || self.one_turn(me)) {
            Some(taken) => End::Lived(taken),
            None => {
                // Nobody can have taken it over yet: the others do not know of the death.
                let holding = self.turn.is_held_by(Holder::named(me));
                self.kernel.state().dead.push(me);
                if holding { End::DiedHolding } else { End::DiedFree }
            }
        }
    }

    fn turns(&self) -> usize {
        // SAFETY: all threads are joined.
        self.turns.with(|turns| unsafe { *turns })
    }
}

#[test]
fn one_at_a_time_and_every_waiter_is_woken() {
    for (threads, each, preemptions) in [(2, 2, 3), (3, 1, 2)] {
        explore(preemptions, move || {
            let world = World::new(true);
            let others: Vec<_> = (1..threads)
                .map(|me| {
                    let world = world.clone();
                    thread::spawn(move || (0..each).for_each(|_| _ = world.one_turn(me)))
                })
                .collect();
            (0..each).for_each(|_| assert_eq!(world.one_turn(threads), Taken::Free));
            others.into_iter().for_each(|other| other.join().expect("a thread"));
            assert_eq!(world.turns(), (threads * each) as usize);
        });
    }
}

/// Steps of a turn with one sleep in it: attempt, mark, sleep, attempt, the work, give, wake. One more: nobody dies.
const TURN_STEPS: usize = 8;

#[test]
fn a_holder_may_die_anywhere_and_the_next_one_is_told() {
    for steps in 0..TURN_STEPS {
        explore(3, move || {
            let world = World::new(false);
            let other = thread::spawn({
                let world = world.clone();
                move || world.mortal_turn(1, steps)
            });
            let first = world.one_turn(2);
            let end = other.join().expect("a thread");
            let second = world.one_turn(3);
            let told = [first, second].iter().filter(|taken| **taken == Taken::AfterDeath).count();
            assert_eq!(told, usize::from(end == End::DiedHolding), "one is told of a death in the turn, and only then");
        });
    }
}

#[test]
fn a_dead_holders_turn_is_freed_by_the_daemon_or_a_survivor_but_not_by_both() {
    // Killed in the work: the turn is taken and not given.
    explore(3, || {
        let world = World::new(false);
        assert_eq!(world.mortal_turn(1, 1), End::DiedHolding);
        let daemon = thread::spawn({
            let world = world.clone();
            move || world.turn.free_dead_with(&world.kernel)
        });
        let survivor = world.one_turn(2) == Taken::AfterDeath;
        let daemon = daemon.join().expect("the daemon");
        assert!(survivor != daemon, "exactly one repairs");
        assert_eq!(world.turns(), 1);
    });
}

#[test]
fn one_death_after_another_leaves_a_turn_that_can_be_taken() {
    for steps in 0..TURN_STEPS {
        explore(3, move || {
            let world = World::new(false);
            assert_eq!(world.mortal_turn(1, 1), End::DiedHolding);
            let second = thread::spawn({
                let world = world.clone();
                move || world.mortal_turn(2, steps)
            });
            let third = world.one_turn(3);
            let second = second.join().expect("a thread");
            match (second, third) {
                (End::Lived(second), third) => assert!((second == Taken::AfterDeath) != (third == Taken::AfterDeath)),
                (End::DiedHolding, third) => assert_eq!(third, Taken::AfterDeath),
                // Then the second was told, had its turn whole, and died after giving it.
                (End::DiedFree, Taken::Free) => assert_eq!(world.turns(), 2),
                (End::DiedFree, Taken::AfterDeath) => {}
            }
            let fourth = world.take(4);
            assert!(fourth == Taken::Free || second == End::DiedHolding);
            assert_eq!(
                world.turn.take_with(&world.kernel, Holder::named(4), Duration::ZERO),
                Err(Denied::Own),
                "a handler that breaks in on its own thread does not wait for it"
            );
            world.give(4);
        });
    }
}
