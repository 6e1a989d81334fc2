//! Waiting for a turn with real signals and real threads.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shm::socket::{Arena, Denied, Holder, Sizes, Taken};

const SIZES: Sizes = Sizes { tx: 4096, rx: 4096 };

#[test]
fn threads_have_the_turn_one_at_a_time() {
    let (arena, _memfd) = Arena::create(SIZES).expect("a memfd");
    let inside = AtomicU32::new(0);
    let (threads, turns) = (4, 3000);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let me = Holder::current();
                for _ in 0..turns {
                    let taken = arena.words().tx_turn().take(me, Duration::from_secs(60));
                    assert_eq!(taken, Ok(Taken::Free));
                    assert_eq!(inside.fetch_add(1, Relaxed) % 2, 0, "two at once");
                    assert_eq!(inside.fetch_add(1, Relaxed) % 2, 1, "two at once");
                    arena.words().tx_turn().give(me);
                }
            });
        }
    });
    assert_eq!(inside.into_inner(), 2 * threads * turns);
}

#[test]
fn patience_ends_and_one_does_not_wait_for_oneself() {
    let (arena, _memfd) = Arena::create(SIZES).expect("a memfd");
    let holder = Holder::current();
    assert_eq!(arena.words().rx_turn().take(holder, Duration::ZERO), Ok(Taken::Free));
    assert_eq!(arena.words().rx_turn().take(holder, Duration::from_secs(60)), Err(Denied::Own));
    let waiter = || {
        let begin = Instant::now();
        let denied = arena.words().rx_turn().take(Holder::current(), Duration::from_millis(30));
        (denied, begin.elapsed())
    };
    let (denied, waited) = std::thread::scope(|scope| scope.spawn(waiter).join().expect("the waiter"));
    assert_eq!(denied, Err(Denied::Busy));
    assert!(waited >= Duration::from_millis(30), "{waited:?}");
    arena.words().rx_turn().give(holder);
}

extern "C" fn nothing(_signal: libc::c_int) {}

#[test]
fn a_signal_handler_ends_the_waiting() {
    let (arena, _memfd) = Arena::create(SIZES).expect("a memfd");
    let holder = Holder::current();
    assert_eq!(arena.words().rx_turn().take(holder, Duration::ZERO), Ok(Taken::Free));
    // SAFETY: an all-zero sigaction is valid; the handler does nothing; SIGUSR2 is used by no other test.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Also with SA_RESTART: what is restarted is the call, by the library, not a sleep inside it.
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
    }
    std::thread::scope(|scope| {
        let (tell, hear) = std::sync::mpsc::channel();
        let arena = &arena;
        let waiter = scope.spawn(move || {
            // SAFETY: takes nothing, cannot fail.
            tell.send(unsafe { libc::pthread_self() }).expect("the test listens");
            arena.words().rx_turn().take(Holder::current(), Duration::from_secs(60))
        });
        let thread = hear.recv().expect("the waiter's id");
        // It is not known when it sleeps; a signal before that only interrupts nothing.
        while !waiter.is_finished() {
            // SAFETY: the thread is not joined yet.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
            std::thread::yield_now();
        }
        assert_eq!(waiter.join().expect("the waiter"), Err(Denied::Interrupted));
    });
    arena.words().rx_turn().give(holder);
}

#[test]
fn the_turn_of_a_thread_that_has_ended_is_taken_over() {
    let (arena, _memfd) = Arena::create(SIZES).expect("a memfd");
    let ended = || arena.words().tx_turn().take(Holder::current(), Duration::ZERO);
    assert_eq!(std::thread::scope(|scope| scope.spawn(ended).join().expect("the thread")), Ok(Taken::Free));
    let me = Holder::current();
    assert_eq!(arena.words().tx_turn().take(me, Duration::from_secs(60)), Ok(Taken::AfterDeath));
    arena.words().tx_turn().give(me);
}
