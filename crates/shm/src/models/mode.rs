//! Change of mode: whatever the asker, the daemon and a survivor do, and whoever is killed where, each byte arrives
//! once and in order, and no token is ever taken for a byte.

use std::collections::VecDeque;

use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
use loom::thread;

use super::life::{explore, mortal, step};
use super::pair::Pipe;
use crate::socket::{DaemonMode, Mode, ModeWord};

const TOKEN: u8 = 0xff;

/// A ring as the model of rings has shown it to be: what is published is there, in order.
type Shared = Mutex<VecDeque<u8>>;

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Death is never inside: these stand for kernel objects and for what other models have shown.
    lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Both turns. Death gives them back, which stands for their being taken over.
struct Turn {
    held: Mutex<bool>,
    free: Condvar,
}

struct InTurn<'a>(&'a Turn);

impl Turn {
    fn take(&self) -> InTurn<'_> {
        let mut held = open(&self.held);
        while *held {
            held = self.free.wait(held).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *held = true;
        InTurn(self)
    }

    fn try_take(&self) -> Option<InTurn<'_>> {
        let mut held = open(&self.held);
        let free = !std::mem::replace(&mut *held, true);
        free.then(|| InTurn(self))
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        *open(&self.0.held) = false;
        self.0.free.notify_all();
    }
}

/// What outlives the program's threads: shared memory, the pair, the control call on its way.
struct World {
    word: ModeWord,
    turn: Turn,
    asked: Mutex<bool>,
    to_daemon: Pipe,
    to_program: Pipe,
    tx: Shared,
    rx: Shared,
    /// Bytes whose write came back / that a read gave back.
    written: Shared,
    read: Shared,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            word: ModeWord::new(),
            turn: Turn { held: Mutex::new(false), free: Condvar::new() },
            asked: Mutex::new(false),
            to_daemon: Pipe::new(),
            to_program: Pipe::new(),
            tx: Mutex::default(),
            rx: Mutex::default(),
            written: Mutex::default(),
            read: Mutex::default(),
        })
    }

    fn call(&self) {
        step();
        *open(&self.asked) = true;
    }

    /// The mode, in one's turn: what a library does before it moves a byte.
    fn mode(&self) -> Mode {
        let mode = self.word.settle();
        if mode != Mode::Drain {
            return mode;
        }
        while !self.to_program.read(u32::MAX).is_empty() {}
        self.word.drained();
        self.call();
        Mode::Pair
    }

    /// In one's turn.
    fn write(&self, byte: u8) {
        match self.mode() {
            Mode::Pair => _ = self.to_daemon.write(byte),
            Mode::Ring => {
                step();
                open(&self.tx).push_back(byte);
                self.to_daemon.write(TOKEN);
            }
            Mode::Drain => unreachable!("mode() has drained"),
        }
        open(&self.written).push_back(byte);
    }

    /// In one's turn: one byte, if there is one.
    fn read(&self) -> bool {
        let byte = match self.mode() {
            Mode::Pair => self.to_program.read(1).first().copied(),
            Mode::Ring => open(&self.rx).pop_front(),
            Mode::Drain => unreachable!("mode() has drained"),
        };
        open(&self.read).extend(byte);
        byte.is_some()
    }

    fn change(&self, to: Mode) {
        let _turn = self.turn.take();
        let asked = if to == Mode::Ring { self.word.ask_ring() } else { self.word.ask_pair() };
        if asked.is_ok() {
            self.call();
            // The answer is not waited for: if it has not come, the asker gives up. Every order is seen that way.
            self.mode();
        }
    }
}

/// The daemon, with buffers of its own (pair mode) and its ends of the rings.
struct Daemon {
    mode: DaemonMode,
    got: Vec<u8>,
    /// Received by TCP, not handed to the program yet.
    held: VecDeque<u8>,
}

impl Daemon {
    fn new(held: impl IntoIterator<Item = u8>) -> Daemon {
        Daemon { mode: DaemonMode::new(), got: Vec::new(), held: held.into_iter().collect() }
    }

    /// One round of its loop: a control call if there is one, then data each way.
    fn round(&mut self, world: &World) {
        if std::mem::take(&mut *open(&world.asked)) {
            self.answer(world);
        }
        self.mode.resume(&world.word);
        // That somebody is gone can be noticed at any time.
        if let Some(_turn) = world.turn.try_take()
            && world.to_program.len() == 0
        {
            self.mode.resume_for_dead(&world.word);
        }
        self.pump(world);
    }

    fn answer(&mut self, world: &World) {
        let Some(change) = self.mode.asked(&world.word) else { return };
        match change.to {
            Mode::Ring => {
                self.got.extend(world.to_daemon.read(u32::MAX));
                if world.to_program.len() > 0 {
                    return self.mode.refuse(&world.word, change);
                }
                // Rings begin with what the buffers hold, which are kept until the commit.
                *open(&world.rx) = self.held.clone();
                open(&world.tx).clear();
                if self.mode.commit(&world.word, change) && !std::mem::take(&mut self.held).is_empty() {
                    world.to_program.write(TOKEN);
                }
            }
            Mode::Pair | Mode::Drain => {
                let rest: Vec<u8> = open(&world.tx).iter().copied().collect();
                let unread = open(&world.rx).clone();
                world.to_daemon.read(u32::MAX);
                if self.mode.commit(&world.word, change) {
                    self.got.extend(rest);
                    self.held = unread.into_iter().chain(self.held.drain(..)).collect();
                }
            }
        }
    }

    fn pump(&mut self, world: &World) {
        match self.mode.now() {
            Mode::Pair => {
                self.got.extend(world.to_daemon.read(u32::MAX));
                if let Some(byte) = self.held.pop_front() {
                    world.to_program.write(byte);
                }
            }
            Mode::Ring => {
                world.to_daemon.read(u32::MAX);
                self.got.extend(open(&world.tx).drain(..));
                if let Some(byte) = self.held.pop_front() {
                    open(&world.rx).push_back(byte);
                    world.to_program.write(TOKEN);
                }
            }
            Mode::Drain => {}
        }
    }
}

/// Steps of a change and two writes, the longest way. One more: nobody dies.
const STEPS: usize = 14;

fn start(world: &World, ring: bool, held: u8) -> Daemon {
    let mut daemon = Daemon::new(1..=held);
    if ring {
        world.word.ask_ring().expect("nobody shares it");
        world.call();
        daemon.answer(world);
        assert_eq!(daemon.mode.now(), Mode::Ring);
        *open(&world.asked) = false;
    }
    daemon
}

/// The end of all: the program is gone or idle, and the daemon goes on.
fn finish(world: &World, daemon: &mut Daemon) {
    {
        let _turn = world.turn.take();
        world.mode();
    }
    (0..3).for_each(|_| daemon.round(world));
    assert!(daemon.mode.now() != Mode::Drain, "left in the middle");
}

fn writes_arrive(ring: bool, steps: usize, preemptions: usize) {
    explore(preemptions, move || {
        let world = World::new();
        let mut daemon = start(&world, ring, 0);
        let asker = thread::spawn({
            let world = world.clone();
            move || {
                mortal(steps, || {
                    if !ring {
                        let _turn = world.turn.take();
                        world.write(1);
                    }
                    world.change(if ring { Mode::Pair } else { Mode::Ring });
                    let _turn = world.turn.take();
                    world.write(2);
                });
            }
        });
        let survivor = thread::spawn({
            let world = world.clone();
            move || {
                let _turn = world.turn.take();
                world.write(10);
            }
        });
        daemon.round(&world);
        daemon.round(&world);
        asker.join().expect("the asker");
        survivor.join().expect("the survivor");
        finish(&world, &mut daemon);
        let written: Vec<u8> = open(&world.written).iter().copied().collect();
        // A write that did not come back may have taken place, at its place in order, or not.
        let mut expected = written.iter().copied().peekable();
        for byte in &daemon.got {
            if expected.peek() == Some(byte) {
                expected.next();
            } else {
                assert!(!written.contains(byte) && *byte != TOKEN, "{:?} of {written:?}", daemon.got);
            }
        }
        assert_eq!(expected.next(), None, "{:?} of {written:?}", daemon.got);
        for byte in [1, 2, 10] {
            assert!(daemon.got.iter().filter(|got| **got == byte).count() <= 1, "{:?}", daemon.got);
        }
    });
}

#[test]
fn to_ring_mode_no_written_byte_is_lost_or_doubled() {
    (0..=STEPS).for_each(|steps| writes_arrive(false, steps, 2));
}

#[test]
fn to_pair_mode_no_written_byte_is_lost_or_doubled() {
    (0..=STEPS).for_each(|steps| writes_arrive(true, steps, 2));
}

fn reads_arrive(ring: bool, steps: usize, preemptions: usize) {
    explore(preemptions, move || {
        let world = World::new();
        let mut daemon = start(&world, ring, 3);
        daemon.pump(&world);
        let asker = thread::spawn({
            let world = world.clone();
            // Dies in the change alone: a read that did not come back would leave its byte unknown.
            move || _ = mortal(steps, || world.change(if ring { Mode::Pair } else { Mode::Ring }))
        });
        let survivor = thread::spawn({
            let world = world.clone();
            move || {
                let _turn = world.turn.take();
                world.read();
            }
        });
        daemon.round(&world);
        daemon.round(&world);
        asker.join().expect("the asker");
        survivor.join().expect("the survivor");
        finish(&world, &mut daemon);
        loop {
            let turn = world.turn.take();
            if !world.read() {
                break;
            }
            drop(turn);
            daemon.round(&world);
        }
        assert!(open(&world.read).iter().copied().eq(1..=3), "{:?}", open(&world.read));
    });
}

#[test]
fn to_ring_mode_no_received_byte_is_lost_or_doubled() {
    (0..=6).for_each(|steps| reads_arrive(false, steps, 3));
}

#[test]
fn to_pair_mode_no_token_is_read_as_a_byte() {
    (0..=7).for_each(|steps| reads_arrive(true, steps, 3));
}

#[test]
fn a_change_undone_and_asked_for_again_is_not_committed_by_the_first_request() {
    explore(3, || {
        let world = World::new();
        let mut daemon = start(&world, false, 0);
        // Asked for by one that is dead by now.
        world.word.ask_ring().expect("nobody shares it");
        world.call();
        let program = thread::spawn({
            let world = world.clone();
            move || {
                {
                    let _turn = world.turn.take();
                    world.write(1);
                }
                world.change(Mode::Ring);
                let _turn = world.turn.take();
                world.write(2);
            }
        });
        daemon.round(&world);
        daemon.round(&world);
        program.join().expect("the program");
        finish(&world, &mut daemon);
        assert_eq!(daemon.got, [1, 2]);
    });
}

#[test]
fn a_socket_that_is_just_being_shared_does_not_change() {
    explore(3, || {
        let world = World::new();
        let mut daemon = start(&world, false, 0);
        let forking = thread::spawn({
            let world = world.clone();
            move || {
                world.word.share();
                // From here on another process may have it.
                world.word.is_ring()
            }
        });
        {
            let _turn = world.turn.take();
            if world.word.ask_ring().is_ok() {
                *open(&world.asked) = true;
            }
        }
        daemon.round(&world);
        let before = forking.join().expect("the forking thread");
        let ring = daemon.mode.now() == Mode::Ring;
        finish(&world, &mut daemon);
        assert!(before || !ring, "committed although it was shared");
        assert_eq!(world.word.ask_ring(), Err(crate::socket::Refused::Shared));
    });
}
