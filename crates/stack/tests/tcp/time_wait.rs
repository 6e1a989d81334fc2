//! TIME_WAIT (RFC 9293 §3.10.7.4, RFC 1122 §4.2.2.13, RFC 6191).

use crate::harness::*;
use stack::{Errno, SockOpt};

const TS: Offer = Offer { timestamps: true, ..Offer::PLAIN };

fn syn(w: &Wire, offset: u32, timestamp: Option<u32>) -> Seg {
    let mut syn = w.seg(SYN);
    (syn.seq, syn.ack) = (w.peer_nxt.wrapping_add(offset), 0);
    syn.options.timestamps = timestamp.map(|t| (t, 0));
    syn
}

/// RFC 6191 §2: a later timestamp opens a new connection whatever the sequence number.
#[test]
fn a_later_timestamp_opens_a_new_connection() {
    let mut w = Wire::new();
    w.time_wait(&TS);
    w.receive(&syn(&w, 0u32.wrapping_sub(500_000), Some(1001)));
    w.expect_flags(SYN | ACK);
    assert_eq!(w.state(), "SYN_RECEIVED");
    assert_eq!(w.counter("TIME_WAIT connections reused"), 1);
}

/// RFC 6191 §2: an earlier one does not, even with a later sequence number.
#[test]
fn an_earlier_timestamp_opens_nothing() {
    let mut w = Wire::new();
    w.time_wait(&TS);
    w.receive(&syn(&w, 100_000, Some(999)));
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.state(), "TIME_WAIT");
}

/// RFC 6191 §2: with the same timestamp, or none, the sequence number decides.
#[test]
fn without_a_later_timestamp_the_sequence_number_decides() {
    for timestamp in [Some(1000), None] {
        for (offset, opens) in [(1, true), (0, false), (0u32.wrapping_sub(10), false)] {
            let mut w = Wire::new();
            w.time_wait(&TS);
            w.receive(&syn(&w, offset, timestamp));
            let answer = w.expect();
            assert_eq!(answer.is(SYN | ACK), opens, "{timestamp:?} {offset}");
            assert_eq!(answer.is(ACK), !opens, "{timestamp:?} {offset}");
        }
    }
}

/// RFC 1122 §4.2.2.13: the new connection's initial sequence number is beyond all of the old one.
#[test]
fn the_new_connection_begins_beyond_the_old_ones_numbers() {
    let mut w = Wire::new();
    let id = w.accepted(&Offer::PLAIN);
    // Faster than the clock of the initial numbers: 250,000 a second.
    for _ in 0..60 {
        w.write(id, &[1; 50_000]);
        let sent: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(sent);
        w.receive_ack(w.host_nxt);
        let more: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(more);
        w.receive_ack(w.host_nxt);
    }
    w.close(id);
    w.advance(1);
    let fin = w.drain().into_iter().find(|s| s.flags.contains(FIN));
    let end = fin.map_or(w.host_nxt, |s| s.seq.wrapping_add(s.data.len() as u32)).wrapping_add(1);
    w.host_nxt = end;
    w.receive(&w.seg(FIN | ACK));
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.drain();
    assert_eq!(w.state(), "TIME_WAIT");
    w.receive(&syn(&w, 100_000, None));
    let synack = w.expect_flags(SYN | ACK);
    let beyond = synack.seq.wrapping_sub(end) as i32;
    assert!(beyond > 65_535, "{} after {end}", synack.seq);
}

/// RFC 9293 §3.10.7.4: without a listener a SYN in TIME_WAIT is answered by an acknowledgement, and the
/// state stays.
#[test]
fn without_a_listener_a_syn_is_only_acknowledged() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(FIN | ACK));
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.drain();
    w.receive(&syn(&w, 100_000, None));
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.state(), "TIME_WAIT");
}

/// RFC 9293 §3.10.7.4, eighth: only the peer's FIN once more restarts the clock, not any FIN.
#[test]
fn another_fin_does_not_restart_the_clock() {
    let mut w = Wire::new();
    w.time_wait(&Offer::PLAIN);
    w.advance(50_000);
    let mut fin = w.seg(FIN | ACK);
    fin.seq = w.peer_nxt.wrapping_add(5_000);
    w.receive(&fin);
    w.expect_flags(ACK);
    w.advance(11_000);
    assert_eq!(w.state(), "");
}

/// RFC 9293 §3.10.7.4, first: data in TIME_WAIT is acknowledged with the final number, a bare
/// acknowledgement in order is not answered.
#[test]
fn data_is_acknowledged_and_an_acknowledgement_is_not() {
    let mut w = Wire::new();
    w.time_wait(&Offer::PLAIN);
    w.receive(&w.seg(ACK));
    w.expect_nothing();
    let mut old = w.seg(ACK);
    old.seq = w.peer_nxt.wrapping_sub(11);
    old.data = vec![1; 10];
    w.receive(&old);
    let ack = w.expect_flags(ACK);
    assert_eq!((ack.seq, ack.ack), (w.host_nxt, w.peer_nxt));
}

/// Our last acknowledgement is repeated with our timestamps, where those were agreed (RFC 7323 §3.2).
#[test]
fn the_acknowledgement_carries_timestamps() {
    let mut w = Wire::new();
    w.time_wait(&TS);
    let mut fin = w.seg(FIN | ACK);
    fin.seq = w.peer_nxt.wrapping_sub(1);
    fin.options.timestamps = Some((1000, 0));
    w.receive(&fin);
    assert_eq!(w.expect_flags(ACK).options.timestamps.map(|t| t.1), Some(1000));
}

/// RFC 6191: connecting anew from the same port in TIME_WAIT needs timestamps and a second's time, and
/// begins beyond the old numbers.
#[test]
fn we_reuse_a_port_in_time_wait_when_timestamps_protect_it() {
    for (offer, wait, reused) in [(&TS, 1500, true), (&TS, 500, false), (&Offer::PLAIN, 1500, false)] {
        let mut w = Wire::new();
        let id = w.connected(offer);
        w.set(id, SockOpt::ReuseAddr(true));
        w.close(id);
        w.host_nxt = w.host_nxt.wrapping_add(1);
        let mut fin = w.seg(FIN | ACK);
        fin.options.timestamps = offer.timestamps.then_some((1000, 0));
        w.receive(&fin);
        w.drain();
        assert_eq!(w.state(), "TIME_WAIT");
        w.advance(wait);
        let again = w.socket();
        w.set(again, SockOpt::ReuseAddr(true));
        let local = std::net::SocketAddr::new(HOST.into(), w.port);
        let now = w.now;
        let bound = w.stack.bind(again, local, false);
        let outcome = bound.and_then(|()| w.stack.connect(now, again, Some(Wire::peer_addr())));
        w.run();
        if reused {
            assert_eq!(outcome, Err(Errno::EINPROGRESS));
            let syn = w.expect_flags(SYN);
            assert!((syn.seq.wrapping_sub(w.host_nxt) as i32) > 0);
            assert_eq!(w.counter("TIME_WAIT connections reused"), 1);
        } else {
            assert!(matches!(outcome, Err(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE)), "{outcome:?}");
            w.expect_nothing();
        }
    }
}
