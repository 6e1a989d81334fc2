//! Connections that no program holds any more: they end by themselves, within bounds.

use crate::harness::*;
use stack::{Errno, Shutdown, SockOpt};

/// The longest `tcp(7)` option there is: 49 days.
const WEEKS: SockOpt = SockOpt::UserTimeout(u32::MAX);

/// close(2): the name of a socket is dead from there on, also while its connection still ends.
#[test]
fn the_name_is_dead_while_the_connection_still_ends() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"on its way");
    w.close(id);
    assert_eq!(w.state(), "FIN_WAIT_1");
    let now = w.now;
    assert!(w.stack.tx_ring(id).is_none() && w.stack.rx_ring(id).is_none());
    assert!(w.stack.tcp_info(now, id).is_none() && w.stack.accept(id).is_none());
    assert_eq!(w.stack.local_addr(id), Err(Errno::EBADF));
    assert_eq!(w.stack.peer_addr(id), Err(Errno::EBADF));
    assert_eq!(w.stack.set_option(now, id, SockOpt::NoDelay(true)), Err(Errno::EBADF));
    assert_eq!(w.stack.option(id, &SockOpt::NoDelay(true)), Err(Errno::EBADF));
    assert_eq!(w.stack.shutdown(now, id, Shutdown::Both), Err(Errno::EBADF));
    assert_eq!(w.stack.connect(now, id, None), Err(Errno::EBADF));
    w.stack.close(now, id);
    assert_eq!(w.state(), "FIN_WAIT_1", "a second close of the same name is nothing");
}

/// Linux's tcp_orphan_retries: data that is never acknowledged holds an orphan for eight
/// retransmissions, whatever TCP_USER_TIMEOUT says.
#[test]
fn an_orphan_gives_up_after_eight_retransmissions() {
    for option in [SockOpt::UserTimeout(0), WEEKS] {
        let mut w = Wire::new();
        let id = w.connected(&Offer::PLAIN);
        w.set(id, option);
        w.write(id, b"lost");
        w.close(id);
        w.drain();
        w.advance(150_000);
        let sent = w.drain();
        assert_eq!(sent.iter().filter(|s| !s.flags.contains(RST)).count(), 8);
        assert!(sent.last().is_some_and(|s| s.flags.contains(RST)), "the peer is told");
        assert_eq!(w.state(), "");
    }
}

/// RFC 5482: while a program holds the socket, its user time-out counts, be it longer or shorter.
#[test]
fn a_held_connection_waits_as_long_as_its_program_says() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.set(id, WEEKS);
    w.write(id, b"lost");
    w.advance(3_600_000);
    assert_eq!(w.state(), "ESTABLISHED");
    w.close(id);
    w.advance(200_000);
    assert_eq!(w.state(), "", "without the program the bound of orphans holds");
}

/// A shorter user time-out holds for orphans too.
#[test]
fn a_short_user_timeout_ends_an_orphan_sooner() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.set(id, SockOpt::UserTimeout(2000));
    w.write(id, b"lost");
    w.close(id);
    w.advance(5_000);
    assert_eq!(w.state(), "");
}

/// RFC 9293 §3.8.6.1 has a shut window probed for ever; for an orphan that ends, answered or not.
#[test]
fn an_orphan_before_a_shut_window_is_given_up() {
    for answered in [true, false] {
        let mut w = Wire::new();
        let id = w.connected(&Offer { window: 0, ..Offer::PLAIN });
        w.set(id, WEEKS);
        w.write(id, b"no room");
        w.close(id);
        let mut shut = w.seg(ACK);
        shut.window = 0;
        for _ in 0..2_000 {
            w.advance(1000);
            if !w.drain().is_empty() && answered && !w.state().is_empty() {
                w.receive(&shut);
            }
        }
        assert_eq!(w.state(), "", "answered: {answered}");
    }
}

/// The same when the peer took back a window that was filled: its answers are no progress.
#[test]
fn an_orphan_whose_window_was_taken_back_is_given_up() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 3000]);
    w.close(id);
    let mut shut = w.seg(ACK);
    shut.window = 0;
    for _ in 0..2_000 {
        w.advance(1000);
        if !w.drain().is_empty() && !w.state().is_empty() {
            w.receive(&shut);
        }
    }
    assert_eq!(w.state(), "");
}

/// tcp(7) TCP_LINGER2: how long an orphan stays in FIN_WAIT_2, at most the default.
#[test]
fn linger2_shortens_an_orphans_fin_wait_2() {
    for (seconds, stays) in [(5, 5_000), (-1, 0), (100_000, 60_000)] {
        let mut w = Wire::new();
        let id = w.connected(&Offer::PLAIN);
        w.set(id, SockOpt::Linger2(seconds));
        w.close(id);
        w.host_nxt = w.host_nxt.wrapping_add(1);
        w.receive(&w.seg(ACK));
        if stays > 0 {
            w.advance(stays - 100);
            assert_eq!(w.state(), "FIN_WAIT_2", "{seconds}");
        }
        w.advance(200);
        assert_eq!(w.state(), "", "{seconds}");
    }
}

/// shutdown(2): while a program holds it, a connection may stay in FIN_WAIT_2 (RFC 9293 §3.6).
#[test]
fn a_held_connection_stays_in_fin_wait_2() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.shutdown(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    w.advance(10_000_000);
    assert_eq!(w.state(), "FIN_WAIT_2");
    w.close(id);
    w.advance(61_000);
    assert_eq!(w.state(), "");
}

/// A half-open connection has no program yet: its listener's TCP_USER_TIMEOUT does not keep it.
#[test]
fn a_listeners_user_timeout_does_not_keep_half_open_connections() {
    let mut w = Wire::new();
    let listener = w.listen(5);
    w.set(listener, WEEKS);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    w.advance(130_000);
    assert_eq!(w.drain().len(), 1 + 5, "the SYN-ACK and tcp_synack_retries of Linux");
    assert_eq!(w.state(), "");
}
