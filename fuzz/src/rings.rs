//! The daemon's side of a socket's shared memory, against a program that writes any byte of it at any time: before a
//! call, and in the middle of one where the daemon looks twice.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt;

use shm::socket::{Arena, DaemonMode, Mode, ReceiveBuffer, Repeat, SendBuffer, Sizes};
use shm::{Pool, Ring};

use crate::bytes::Bytes;

const SIZES: Sizes = Sizes { tx: 4096, rx: 4096 };
/// Bytes of the header that mean something.
const HEADER: u64 = 1280;
/// Most tokens that one look at a word may read or write.
const TOKENS_MAX: u32 = 128;

/// What the program does meanwhile: taken from the input.
struct Hostile<'a> {
    input: RefCell<Bytes<'a>>,
    memfd: File,
}

impl Hostile<'_> {
    fn u8(&self) -> u8 {
        self.input.borrow_mut().u8()
    }

    fn u16(&self) -> u16 {
        self.input.borrow_mut().u16()
    }

    /// Writes some bytes somewhere, most often into a word.
    fn scribble(&self) {
        let at = u64::from(self.u16()) % HEADER;
        let (at, value) = match self.u8() % 4 {
            0 => (at, self.input.borrow_mut().array::<4>().to_vec()),
            1 => (at & !127, self.input.borrow_mut().array::<4>().to_vec()),
            2 => (at & !127, u32::from(self.u8()).to_ne_bytes().to_vec()),
            _ => (at, self.input.borrow_mut().slice(64).to_vec()),
        };
        self.memfd.write_all_at(&value, at).expect("a memfd can be written inside its size");
    }
}

struct Daemon {
    arena: Arena,
    send: SendBuffer,
    receive: ReceiveBuffer,
    mode: DaemonMode,
    /// Bytes on the pair from the program.
    unread: u32,
}

pub fn daemon(data: &[u8]) {
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let (send, receive, mode) = arena.daemon();
    let mut daemon = Daemon { arena, send, receive, mode, unread: 0 };
    let hostile = Hostile { input: RefCell::new(Bytes::new(data)), memfd: File::from(memfd) };
    // Bounded by the input: each round takes a byte of it at least.
    while !hostile.input.borrow().is_empty() {
        let deed = hostile.u8();
        if deed & 0x80 != 0 {
            hostile.scribble();
        }
        match deed % 8 {
            0 | 1 => daemon.sends(&hostile),
            2 | 3 => daemon.receives(&hostile),
            4 => daemon.tokens_in(&hostile),
            5 => daemon.tokens_out(&hostile),
            6 => daemon.changes_mode(&hostile),
            _ => daemon.frees_turns(),
        }
        assert!(daemon.send.len() <= daemon.send.size());
        assert!(daemon.receive.free() + daemon.receive.unread() == daemon.receive.size());
    }
}

impl Daemon {
    fn sends(&mut self, hostile: &Hostile<'_>) {
        let (before, faults) = (self.send.len(), self.send.faults());
        let new = self.send.refresh();
        assert_eq!(self.send.len(), before + new, "bytes that were there stay");
        assert!(new == 0 || self.send.faults() == faults);
        let (offset, len) = (usize::from(hostile.u16()), usize::from(hostile.u16() % 5000));
        if let Some(slices) = self.send.slices(offset, len) {
            assert_eq!(slices.iter().map(shm::Slice::len).sum::<usize>(), len);
            slices.iter().for_each(|slice| slice.for_each_chunk(|_| ()));
        } else {
            assert!(len == 0 || offset + len > self.send.len());
        }
        assert!(self.send.peek(offset, &mut [0; 300]) <= 300);
        self.send.consume(self.send.len().min(usize::from(hostile.u16())));
        self.send.room_wanted();
    }

    fn receives(&mut self, hostile: &Hostile<'_>) {
        let free = self.receive.free();
        let now = self.receive.refresh();
        assert!(free <= now && now <= self.receive.size(), "a window is never taken back");
        hostile.scribble();
        let n = now.min(usize::from(hostile.u8()));
        let ahead = (now - n).min(usize::from(hostile.u16()));
        self.receive.place(ahead, &[0x55; 255][..n]);
        self.receive.advance(n);
        self.receive.peek(ahead, &mut [0; 200][..200.min(self.receive.size() - ahead)]);
        self.receive.sleep_until_room(usize::from(hostile.u16()));
        self.receive.awake();
        self.receive.edge_watched();
    }

    /// Bytes on the pair, and what the daemon does when it finds it readable: afterwards it is not, or there is work.
    fn tokens_in(&mut self, hostile: &Hostile<'_>) {
        self.unread += u32::from(hostile.u8());
        let (send, unread) = (&mut self.send, Cell::new(self.unread));
        self.arena.words().tx_token().clear(
            || {
                hostile.scribble();
                send.refresh() == 0
            },
            |n| {
                assert!(n <= TOKENS_MAX);
                hostile.scribble();
                let taken = n.min(unread.get());
                unread.set(unread.get() - taken);
                taken
            },
        );
        self.unread = unread.get();
    }

    fn tokens_out(&mut self, hostile: &Hostile<'_>) {
        let repeat = hostile.input.borrow_mut().pick(&[Repeat::Never, Repeat::Edge, Repeat::Always]);
        let mut written = 0;
        self.arena.words().rx_token().announce(repeat, || {
            written += 1;
            hostile.scribble();
            hostile.u8() % 2 == 0
        });
        assert!(written <= 1 && (written == 1 || repeat != Repeat::Always));
    }

    fn changes_mode(&mut self, hostile: &Hostile<'_>) {
        let before = self.mode.now();
        let Some(change) = self.mode.asked(self.arena.words().mode()) else {
            if hostile.u8() % 2 == 0 {
                self.mode.resume(self.arena.words().mode());
            } else {
                self.mode.resume_for_dead(self.arena.words().mode());
            }
            let now = self.mode.now();
            assert!(now == before || (before, now) == (Mode::Drain, Mode::Pair));
            return;
        };
        if change.to == Mode::Ring {
            let (mut pool, mut held) = (Pool::new(), Ring::new(8192));
            held.push(&mut pool, &vec![1; usize::from(hostile.u16() % 6000)]);
            let fits = self.send.restart(&held) && self.receive.restart(0, &held);
            assert_eq!(fits, held.len() <= 4096);
        }
        hostile.scribble();
        if hostile.u8() % 4 == 0 {
            self.mode.refuse(self.arena.words().mode(), change);
            assert_eq!(self.mode.now(), before);
        } else if self.mode.commit(self.arena.words().mode(), change) {
            let expected = if before == Mode::Pair { Mode::Ring } else { Mode::Drain };
            assert_eq!(self.mode.now(), expected);
        } else {
            assert_eq!(self.mode.now(), before);
        }
    }

    fn frees_turns(&mut self) {
        for turn in [self.arena.words().tx_turn(), self.arena.words().rx_turn()] {
            if turn.free_dead() {
                assert!(!turn.free_dead(), "it is free");
            }
        }
    }
}
