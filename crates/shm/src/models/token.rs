//! Tokens: no lost wake-up (something published and nothing to read on the pair) and no endless one (a byte on the pair
//! and nothing to find), whoever is killed where.

use loom::sync::Arc;
use loom::thread;

use super::life::{AtomicU32, explore, mortal};
use super::pair::Pipe;
use crate::socket::{Cleared, Repeat, TokenWord};
use crate::sync::Ordering::Relaxed;

/// A ring of which only the positions matter, a word, and the pair.
struct World {
    tail: AtomicU32,
    head: AtomicU32,
    word: TokenWord,
    pair: Pipe,
}

impl World {
    fn new() -> Arc<World> {
        let (tail, head) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(World { tail, head, word: TokenWord::new(), pair: Pipe::new() })
    }

    fn publish(&self, repeat: Repeat) {
        self.tail.store(self.tail.load(Relaxed) + 1, Relaxed);
        self.announce(repeat);
    }

    fn announce(&self, repeat: Repeat) {
        self.word.announce(repeat, || self.pair.write(0));
    }

    fn quiet(&self) -> bool {
        self.tail.load(Relaxed) == self.head.load(Relaxed)
    }

    /// Consumes all there is and looks once whether that was all.
    fn consume(&self) -> Cleared {
        self.head.store(self.tail.load(Relaxed), Relaxed);
        self.word.clear(|| self.quiet(), |n| self.pair.read(n).len() as u32)
    }

    /// Consumes until it is quiet.
    fn consume_out(&self) {
        (0..8).find(|_| self.consume() != Cleared::Busy).expect("nobody publishes any more");
    }

    /// After a consumer's death, in its turn.
    fn recount(&self) {
        assert!(self.word.recount(|| self.pair.len() as u32), "the producer lives");
    }

    /// Nobody is at work: what poll says is what there is.
    fn assert_awake(&self) {
        assert!(self.quiet() || self.pair.len() > 0, "lost wake-up");
    }

    /// From here on it all works as at the beginning.
    fn assert_sound(&self) {
        for repeat in [Repeat::Never, Repeat::Never, Repeat::Edge, Repeat::Edge] {
            self.consume_out();
            assert_eq!(self.pair.len(), 0, "endless wake-up");
            self.publish(repeat);
            assert!(self.pair.len() > 0, "lost wake-up afterwards");
        }
    }
}

fn together(publishes: usize, passes: usize, repeat: Repeat) {
    explore(4, move || {
        let world = World::new();
        let producer = thread::spawn({
            let world = world.clone();
            move || (0..publishes).for_each(|_| world.publish(repeat))
        });
        for _ in 0..passes {
            world.consume();
        }
        producer.join().expect("the producer");
        world.assert_awake();
        world.assert_sound();
    });
}

#[test]
fn no_wake_up_is_lost_and_none_is_endless() {
    together(3, 2, Repeat::Never);
}

#[test]
fn repeated_tokens_are_taken_away_as_exactly() {
    together(2, 2, Repeat::Edge);
}

#[test]
fn each_arrival_has_a_token_for_an_edge_watcher() {
    explore(0, || {
        let world = World::new();
        for n in 1..100 {
            world.publish(Repeat::Edge);
            assert_eq!(world.pair.len(), n.min(crate::socket::UNREAD_MAX as usize - 1));
        }
        world.assert_sound();
    });
}

/// Steps of two `publish`es, each with tail, word, byte, word. One more: nobody dies.
const PRODUCER_STEPS: usize = 2 * 4 + 1;

#[test]
fn a_producer_may_die_anywhere_and_another_takes_its_turn() {
    for steps in 0..PRODUCER_STEPS {
        explore(3, move || {
            let world = World::new();
            let producer = thread::spawn({
                let world = world.clone();
                move || {
                    let life = mortal(steps, || (0..2).for_each(|_| world.publish(Repeat::Never)));
                    // Whoever takes the turn after a death announces in any case.
                    if life.is_none() {
                        world.announce(Repeat::Always);
                        world.publish(Repeat::Never);
                    }
                }
            });
            // The daemon goes on until it is quiet, and only then relies on being woken.
            let rounds = [world.consume(), world.consume(), world.consume()];
            producer.join().expect("the producer");
            if rounds[2] != Cleared::Busy {
                world.assert_awake();
            }
            world.assert_sound();
        });
    }
}

/// Steps of two `consume`s: head, CLEARING, CLEARING off or (read, word). One more: nobody dies.
const CONSUMER_STEPS: usize = 2 * 4 + 1;

#[test]
fn a_consumer_may_die_anywhere_and_another_takes_its_turn() {
    for steps in 0..CONSUMER_STEPS {
        explore(3, move || {
            let world = World::new();
            world.publish(Repeat::Never);
            let consumer = thread::spawn({
                let world = world.clone();
                move || {
                    let life = mortal(steps, || (0..2).for_each(|_| _ = world.consume()));
                    if life.is_none() {
                        world.recount();
                        world.consume();
                    }
                }
            });
            world.publish(Repeat::Never);
            world.publish(Repeat::Edge);
            consumer.join().expect("the consumer");
            // Others may sleep, whatever this one was told.
            world.assert_awake();
            world.assert_sound();
        });
    }
}

#[test]
fn one_death_after_another_is_made_good_too() {
    for (first, second) in (0..5).flat_map(|first| (0..5).map(move |second| (first, second))) {
        explore(2, move || {
            let world = World::new();
            world.publish(Repeat::Edge);
            world.publish(Repeat::Edge);
            let consumer = thread::spawn({
                let world = world.clone();
                move || {
                    mortal(first, || world.consume());
                    mortal(second, || {
                        world.recount();
                        world.consume()
                    });
                    world.recount();
                    world.consume();
                }
            });
            world.publish(Repeat::Never);
            world.publish(Repeat::Edge);
            consumer.join().expect("the consumer");
            world.assert_awake();
            world.assert_sound();
        });
    }
    for (first, second) in (0..5).flat_map(|first| (0..5).map(move |second| (first, second))) {
        explore(2, move || {
            let world = World::new();
            let producer = thread::spawn({
                let world = world.clone();
                move || {
                    mortal(first, || world.publish(Repeat::Never));
                    mortal(second, || world.announce(Repeat::Always));
                    world.announce(Repeat::Always);
                    world.publish(Repeat::Never);
                }
            });
            let rounds = [world.consume(), world.consume(), world.consume()];
            producer.join().expect("the producer");
            if rounds[2] != Cleared::Busy {
                world.assert_awake();
            }
            world.assert_sound();
        });
    }
}
