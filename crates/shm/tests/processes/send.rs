//! Writers in several processes, one of which is killed; the daemon reads.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use shm::socket::{Arena, Attached, Cleared, Holder, Repeat, SendBuffer, Sizes, Taken};

use crate::process::{Process, Random, alone, die, is_readable, pair, read_bytes, sleep_on, write_byte};
use crate::records::{Received, record};

const SIZES: Sizes = Sizes { tx: 4096, rx: 4096 };
const PATIENCE: Duration = Duration::from_secs(30);

/// The program's side in one process: token bytes go to `pair`, wakes for room come by `room`.
struct Sender<'a> {
    arena: Attached,
    me: Holder,
    pair: &'a UnixStream,
    room: &'a UnixStream,
}

impl<'a> Sender<'a> {
    fn new(memfd: impl AsFd, pair: &'a UnixStream, room: &'a UnixStream) -> Sender<'a> {
        let arena = Attached::new(memfd.as_fd()).expect("the daemon's memfd");
        Sender { arena, me: Holder::current(), pair, room }
    }

    fn announce(&self, repeat: Repeat) {
        self.arena.words().tx_token().announce(repeat, || write_byte(self.pair));
    }

    fn take_turn(&self) {
        if self.arena.words().tx_turn().take(self.me, PATIENCE).expect("no handler, and nobody keeps it")
            == Taken::AfterDeath
        {
            self.announce(Repeat::Always);
        }
    }

    /// A blocking write of a whole record.
    fn send(&self, bytes: &[u8]) {
        loop {
            self.take_turn();
            if self.arena.writer().room() < bytes.len() {
                read_bytes(self.room, u32::MAX);
                if self.arena.writer().sleep_until_room(bytes.len()) {
                    self.arena.words().tx_turn().give(self.me);
                    sleep_on(self.room, "a writer");
                    self.arena.writer().awake();
                    continue;
                }
            }
            assert_eq!(self.arena.writer().write(bytes), bytes.len());
            self.announce(Repeat::Never);
            return self.arena.words().tx_turn().give(self.me);
        }
    }
}

/// The daemon's side: takes all there is. False: the last writer is gone and nothing left.
fn receive(arena: &Arena, buffer: &mut SendBuffer, ends: (&UnixStream, &UnixStream), received: &mut Received) -> bool {
    let (pair, room) = ends;
    loop {
        buffer.refresh();
        let mut bytes = vec![0; buffer.len()];
        assert_eq!(buffer.peek(0, &mut bytes), bytes.len());
        received.take(&bytes);
        buffer.consume(bytes.len());
        if buffer.room_wanted() {
            write_byte(room);
        }
        let cleared = arena.words().tx_token().clear(|| buffer.refresh() == 0, |n| read_bytes(pair, n));
        if cleared != Cleared::Busy {
            // Readable without a token to read: the end, once nobody has the other end.
            let end = cleared == Cleared::Quiet { taken: 0 } && is_readable(pair) && read_bytes(pair, 1) == 0;
            return !end;
        }
    }
}

fn round(seed: u64) {
    const RECORDS: u32 = 150;
    let mut random = Random(seed);
    let _alone = alone();
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let (mut buffer, _, _) = arena.daemon();
    let (pair_daemon, pair_program) = pair();
    let (room_daemon, room_program) = pair();
    let start = |writer: u8, records: u32| {
        Process::start(|| {
            let sender = Sender::new(&memfd, &pair_program, &room_program);
            (0..records).for_each(|number| sender.send(&record(writer, number)));
            0
        })
    };
    // The end of file on the pair tells that all are gone, so the daemon's copies of the program's end are closed.
    let victim = start(0, u32::MAX);
    let survivors = [start(1, RECORDS), start(2, RECORDS)];
    drop((pair_program, room_program));
    let kill_at = random.below(u64::from(RECORDS)) as u32;
    let mut received = Received::default();
    let mut killed = false;
    while receive(&arena, &mut buffer, (&pair_daemon, &room_daemon), &mut received) {
        if received.count(0) >= kill_at && !std::mem::replace(&mut killed, true) {
            victim.kill();
            // A daemon sees a process's end on its control connection. What the dead published and did not announce
            // may be all that keeps the others from having room, so it looks at the ring.
            victim.wait_until_dead();
            arena.words().tx_turn().free_dead();
        } else {
            sleep_on(&pair_daemon, "the daemon");
        }
    }
    received.assert_whole();
    assert!(received.count(0) >= kill_at, "the victim wrote until it was killed");
    for (writer, survivor) in (1..).zip(survivors) {
        assert_eq!(survivor.wait(), Some(0), "survivor {writer}");
        assert_eq!(received.count(writer), RECORDS, "records of survivor {writer}");
    }
    assert_eq!(victim.wait(), None);
    assert_eq!(buffer.faults(), 0);
}

#[test]
fn a_writer_killed_at_any_time_harms_no_other_writers_bytes() {
    for seed in 0..40 {
        println!("seed {seed}");
        round(seed);
    }
}

/// What the first writer does in its turn before it dies there.
fn dies_in_its_turn(last_deed: impl FnOnce(&Sender<'_>), records_of_the_dead: u32) {
    let _alone = alone();
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let (mut buffer, _, _) = arena.daemon();
    let (pair_daemon, pair_program) = pair();
    let (room_daemon, room_program) = pair();
    let dead = Process::start(|| {
        let sender = Sender::new(&memfd, &pair_program, &room_program);
        sender.take_turn();
        last_deed(&sender);
        die();
    });
    assert_eq!(dead.wait(), None);
    let survivor = Process::start(|| {
        let sender = Sender::new(&memfd, &pair_program, &room_program);
        (0..50).for_each(|number| sender.send(&record(1, number)));
        0
    });
    drop((pair_program, room_program));
    let mut received = Received::default();
    while receive(&arena, &mut buffer, (&pair_daemon, &room_daemon), &mut received) {
        sleep_on(&pair_daemon, "the daemon");
    }
    assert_eq!(survivor.wait(), Some(0));
    received.assert_whole();
    assert_eq!((received.count(0), received.count(1)), (records_of_the_dead, 50));
}

#[test]
fn a_turn_taken_and_never_given_goes_to_the_next_writer() {
    dies_in_its_turn(|_| (), 0);
}

#[test]
fn what_was_published_and_not_announced_is_announced_by_the_next_writer() {
    dies_in_its_turn(|sender| assert_eq!(sender.arena.writer().write(&record(0, 0)), record(0, 0).len()), 1);
}

#[test]
fn a_token_counted_and_not_written_wakes_nobody_and_keeps_nobody_asleep() {
    dies_in_its_turn(
        |sender| {
            sender.arena.writer().write(&record(0, 0));
            sender.arena.words().tx_token().announce(Repeat::Never, || die());
        },
        1,
    );
}

#[test]
fn the_daemon_frees_the_turn_of_the_dead_and_of_nobody_else() {
    let _alone = alone();
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let (pair_program, room_program) = pair();
    let dead = Process::start(|| {
        Sender::new(&memfd, &pair_program, &room_program).take_turn();
        die();
    });
    assert_eq!(dead.wait(), None);
    assert!(arena.words().tx_turn().free_dead());
    assert!(!arena.words().tx_turn().free_dead(), "it is free");
    let me = Holder::current();
    assert_eq!(arena.words().tx_turn().take(me, Duration::ZERO), Ok(Taken::Free));
    assert!(!arena.words().tx_turn().free_dead(), "the holder lives");
    arena.words().tx_turn().give(me);
}
