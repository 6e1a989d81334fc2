//! The memfd of a socket: what is refused when attached, and what the daemon makes of positions that cannot be.

#![cfg(not(loom))]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use shm::socket::{Arena, Mode, Refused, Sizes};
use shm::{Pool, Ring};

const SIZES: Sizes = Sizes { tx: 4096, rx: 8192 };
/// Where `docs/rings.md` has them.
const TX_TAIL: u64 = 256;
const RX_HEAD: u64 = 768 + 128;

fn memfd(size: u64, seals: libc::c_int) -> OwnedFd {
    // SAFETY: plain system calls; the descriptor that memfd_create makes is ours.
    unsafe {
        let fd = libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        assert!(
            fd >= 0 && libc::ftruncate(fd, size as libc::off_t) == 0 && libc::fcntl(fd, libc::F_ADD_SEALS, seals) == 0
        );
        OwnedFd::from_raw_fd(fd)
    }
}

fn refusal<T>(result: std::io::Result<T>) -> Option<i32> {
    result.map(drop).expect_err("it is refused").raw_os_error()
}

#[test]
fn sizes_are_powers_of_two_within_bounds() {
    for (tx, rx) in [(0, 4096), (4096, 2048), (4097, 4096), (4096, 1 << 27)] {
        assert_eq!(refusal(Arena::create(Sizes { tx, rx })), Some(libc::EINVAL));
    }
}

#[test]
fn the_memfd_can_neither_shrink_nor_grow_nor_lose_its_seals() {
    let (_arena, memfd) = Arena::create(SIZES).expect("a memfd");
    for size in [0, 1 << 20] {
        // SAFETY: a plain system call.
        assert_eq!(unsafe { libc::ftruncate(memfd.as_raw_fd(), size) }, -1);
    }
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::fcntl(memfd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_WRITE) }, -1);
}

#[test]
fn only_a_sealed_memfd_of_the_right_length_is_attached() {
    let (arena, real) = Arena::create(SIZES).expect("a memfd");
    Arena::attach(real.as_fd()).expect("the real one");
    let mut header = [0; 4096];
    File::from(real.try_clone().expect("dup")).read_exact_at(&mut header, 0).expect("the header");
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    let copy = |size, seals| {
        let memfd = memfd(size, seals);
        File::from(memfd.try_clone().expect("dup"))
            .write_all_at(&header[..4096.min(size as usize)], 0)
            .expect("written");
        memfd
    };
    let size = 4096 + 4096 + 8192;
    Arena::attach(copy(size, seals).as_fd()).expect("the same header, length and seals");
    for (size, seals) in [(size, 0), (size, libc::F_SEAL_GROW | libc::F_SEAL_SEAL), (size + 4096, seals), (4095, seals)]
    {
        assert_eq!(refusal(Arena::attach(copy(size, seals).as_fd())), Some(libc::EPROTO), "{size} {seals}");
    }
    // What the header says afterwards does not matter to those who have attached.
    File::from(real).write_all_at(&[0xff; 128], 0).expect("written");
    let (mut buffer, ..) = arena.daemon();
    assert_eq!((buffer.size(), buffer.refresh()), (4096, 0));
}

#[test]
fn positions_that_cannot_be_are_faults_and_change_nothing() {
    let (arena, memfd) = Arena::create(SIZES).expect("a memfd");
    let memfd = File::from(memfd);
    let set = |at, position: u32| memfd.write_all_at(&position.to_ne_bytes(), at).expect("written");
    let (mut send, mut receive, _) = arena.daemon();
    let (writer, reader) = arena.program();
    assert_eq!(writer.write(b"hello"), 5);
    assert_eq!(send.refresh(), 5);
    for tail in [4, 4097, u32::MAX, 1 << 31] {
        set(TX_TAIL, tail);
        assert_eq!((send.refresh(), send.len()), (0, 5), "{tail}");
    }
    assert_eq!(send.faults(), 4);
    set(TX_TAIL, 4096);
    assert_eq!((send.refresh(), send.len()), (4091, 4096));

    receive.place(0, b"hello");
    receive.advance(5);
    for head in [6, u32::MAX, 1 << 31] {
        set(RX_HEAD, head);
        assert_eq!(receive.refresh(), 8187, "{head}");
        assert!(reader.is_empty() || reader.len() <= 8192);
    }
    assert_eq!(receive.faults(), 3);
    set(RX_HEAD, 5);
    assert_eq!(receive.refresh(), 8192);
    set(RX_HEAD, 4);
    assert_eq!((receive.refresh(), receive.faults()), (8192, 4), "what was let go stays let go");
}

#[test]
fn rings_begin_with_what_the_daemons_buffers_hold() {
    let (arena, _memfd) = Arena::create(SIZES).expect("a memfd");
    let (mut send, mut receive, mut mode) = arena.daemon();
    let (writer, reader) = arena.program();
    let mut pool = Pool::new();
    let (mut tx, mut rx) = (Ring::new(1 << 20), Ring::new(1 << 20));
    tx.push(&mut pool, &[7; 4096]);
    rx.push(&mut pool, b"unread");
    arena.words().mode().ask_ring().expect("nobody shares it");
    let change = mode.asked(arena.words().mode()).expect("it was asked for");
    assert!(send.restart(&tx) && receive.restart(0, &rx) && mode.commit(arena.words().mode(), change));
    assert_eq!((arena.words().mode().settle(), mode.now()), (Mode::Ring, Mode::Ring));
    assert_eq!((send.len(), writer.room(), receive.unread()), (4096, 0, 6));
    let mut bytes = [0; 10];
    assert_eq!((reader.read(&mut bytes), &bytes[..6]), (6, &b"unread"[..]));
    assert_eq!(receive.refresh(), 8192);
    send.consume(4000);
    assert_eq!((writer.room(), writer.write(b"more")), (4000, 4));
    assert_eq!((send.refresh(), send.len()), (4, 100));
    tx.push(&mut pool, b"one more");
    assert!(!send.restart(&tx), "it does not fit");
    assert_eq!(send.len(), 100, "and nothing has changed");
    arena.words().mode().share();
    assert_eq!(arena.words().mode().ask_pair(), Err(Refused::Shared));
}
