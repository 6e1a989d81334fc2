//! Readers in several processes, one of which is killed; the daemon writes.

use std::collections::BTreeSet;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use shm::socket::{Arena, Attached, Cleared, Holder, Repeat, Sizes, Taken};

use crate::process::{Process, Random, alone, die, is_readable, pair, read_bytes, sleep_on, unread, write_byte};
use crate::records::{parse, record};

const SIZES: Sizes = Sizes { tx: 4096, rx: 8192 };
const PATIENCE: Duration = Duration::from_secs(30);

/// The program's side in one process. `doorbell` wakes the daemon that waits for room.
struct Receiver<'a> {
    arena: Attached,
    me: Holder,
    pair: &'a UnixStream,
    doorbell: &'a UnixStream,
}

impl<'a> Receiver<'a> {
    fn new(memfd: impl AsFd, pair: &'a UnixStream, doorbell: &'a UnixStream) -> Receiver<'a> {
        let arena = Attached::new(memfd.as_fd()).expect("the daemon's memfd");
        Receiver { arena, me: Holder::current(), pair, doorbell }
    }

    fn take_turn(&self) {
        let taken = self.arena.words().rx_turn().take(self.me, PATIENCE).expect("no handler, and nobody keeps it");
        if taken == Taken::AfterDeath {
            while !self.arena.words().rx_token().recount(|| unread(self.pair)) {}
            // The dead may have let bytes go and not said so.
            write_byte(self.doorbell);
        }
    }

    fn clear(&self) -> Cleared {
        self.arena.words().rx_token().clear(|| self.arena.reader().is_empty(), |n| read_bytes(self.pair, n))
    }

    /// A blocking read of one record: its number. `None`: the end.
    fn receive(&self) -> Option<u32> {
        loop {
            sleep_on(self.pair, "a reader");
            self.take_turn();
            let mut bytes = vec![0; self.arena.reader().len()];
            self.arena.reader().peek(0, &mut bytes);
            if let Some((_, number, len)) = parse(&bytes) {
                assert_eq!(self.arena.reader().read(&mut vec![0; len]), len);
                if self.arena.reader().room_wanted() {
                    write_byte(self.doorbell);
                }
                self.arena.words().rx_turn().give(self.me);
                return Some(number);
            }
            let quiet = bytes.is_empty() && self.clear() != Cleared::Busy;
            let end = quiet && is_readable(self.pair) && unread(self.pair) == 0 && self.arena.reader().is_empty();
            self.arena.words().rx_turn().give(self.me);
            if end {
                return None;
            }
        }
    }
}

/// Reports each number that was read.
fn report(receiver: &Receiver<'_>, to: &mut PipeWriter) -> u8 {
    while let Some(number) = receiver.receive() {
        to.write_all(&number.to_le_bytes()).expect("the test listens");
    }
    0
}

fn reported(from: &mut PipeReader) -> Vec<u32> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("the reader's reports");
    bytes.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]])).collect()
}

const RECORDS: u32 = 400;

/// The daemon's side: each record is put in place in two pieces, the later one first, and then published.
fn send_all(arena: &Arena, pair: &UnixStream, doorbell: &UnixStream, mut at: impl FnMut(u32)) {
    let (_, mut buffer, _) = arena.daemon();
    for number in 0..RECORDS {
        at(number);
        let bytes = record(0, number);
        while buffer.refresh() < bytes.len() {
            read_bytes(doorbell, u32::MAX);
            if buffer.sleep_until_room(bytes.len()) {
                sleep_on(doorbell, "the daemon");
            }
        }
        buffer.awake();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        buffer.place(first.len(), second);
        buffer.place(0, first);
        buffer.advance(bytes.len());
        let repeat = if number % 3 == 0 { Repeat::Edge } else { Repeat::Never };
        arena.words().rx_token().announce(repeat, || write_byte(pair));
    }
    assert_eq!(buffer.faults(), 0);
}

fn round(seed: u64) {
    let mut random = Random(seed);
    let _alone = alone();
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let (pair_daemon, pair_program) = pair();
    let (doorbell_daemon, doorbell_program) = pair();
    // A pipe holds all that one reader can report.
    let mut reports: Vec<_> = (0..3).map(|_| std::io::pipe().expect("a pipe")).collect();
    let mut readers: Vec<Process> = Vec::new();
    for (_, to) in &mut reports {
        readers.push(Process::start(|| {
            // The child must not hold the daemon's end, or it would never see the end of file.
            // SAFETY: the child's copy of the descriptor, which the child does not use.
            unsafe { libc::close(pair_daemon.as_raw_fd()) };
            report(&Receiver::new(&memfd, &pair_program, &doorbell_program), to)
        }));
    }
    let kill_at = random.below(u64::from(RECORDS)) as u32;
    let victim = readers.remove(0);
    send_all(&arena, &pair_daemon, &doorbell_daemon, |number| {
        if number == kill_at {
            victim.kill();
        }
    });
    drop((pair_daemon, pair_program));
    for reader in readers {
        assert_eq!(reader.wait(), Some(0), "a survivor");
    }
    assert_eq!(victim.wait(), None);
    let mut seen = BTreeSet::new();
    for (mut from, to) in reports {
        drop(to);
        let numbers = reported(&mut from);
        assert!(numbers.is_sorted(), "each reader reads on from where the last one stopped");
        numbers.iter().for_each(|number| assert!(seen.insert(*number), "record {number} was read twice"));
    }
    // The victim may have read one that it could not report any more.
    assert!(
        seen.len() + 1 >= RECORDS as usize,
        "lost: {:?}",
        (0..RECORDS).filter(|n| !seen.contains(n)).collect::<Vec<_>>()
    );
}

#[test]
fn a_reader_killed_at_any_time_takes_no_other_readers_bytes() {
    for seed in 0..40 {
        println!("seed {seed}");
        round(seed);
    }
}

#[test]
fn tokens_read_and_not_subtracted_are_recounted_by_the_next_reader() {
    let _alone = alone();
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let (pair_daemon, pair_program) = pair();
    let (_doorbell_daemon, doorbell_program) = pair();
    let (_, mut buffer, _) = arena.daemon();
    let mut publish = |number| {
        let bytes = record(0, number);
        buffer.refresh();
        buffer.place(0, &bytes);
        buffer.advance(bytes.len());
        arena.words().rx_token().announce(Repeat::Edge, || write_byte(&pair_daemon));
    };
    publish(0);
    publish(1);
    let dead = Process::start(|| {
        let receiver = Receiver::new(&memfd, &pair_program, &doorbell_program);
        assert_eq!([receiver.receive(), receiver.receive()], [Some(0), Some(1)]);
        receiver.take_turn();
        receiver.arena.words().rx_token().clear(
            || true,
            |n| {
                assert_eq!(read_bytes(&pair_program, n), 2);
                die()
            },
        );
        0
    });
    assert_eq!(dead.wait(), None);
    // Another one finds nothing and sleeps; what comes then wakes it.
    let receiver = Receiver::new(&memfd, &pair_program, &doorbell_program);
    receiver.take_turn();
    assert_eq!(receiver.clear(), Cleared::Quiet { taken: 0 });
    receiver.arena.words().rx_turn().give(receiver.me);
    for number in 2..10 {
        assert!(!is_readable(&pair_program));
        publish(number);
        assert_eq!(receiver.receive(), Some(number));
        receiver.take_turn();
        assert_eq!(receiver.clear(), Cleared::Quiet { taken: 1 });
        receiver.arena.words().rx_turn().give(receiver.me);
    }
}
