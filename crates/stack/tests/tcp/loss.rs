//! Losses: time-outs, fast retransmit, recovery with and without SACK.

use crate::harness::*;
use stack::{Errno, Events, SockOpt};
use wire::tcp::SeqNr;

/// RFC 6298 §5.4–5.6: the oldest segment is sent again, with doubling time-outs.
#[test]
fn a_time_out_sends_the_oldest_segment_again_and_backs_off() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"lost");
    let first = w.expect();
    let mut last = w.now;
    let mut gaps = Vec::new();
    for _ in 0..4 {
        while w.drain_one().is_none() {
            w.advance(5);
        }
        gaps.push(w.now.since(last).as_millis());
        last = w.now;
    }
    assert!((190..=220).contains(&gaps[0]), "{gaps:?}");
    for pair in gaps.windows(2) {
        let ratio = pair[1] as f64 / pair[0] as f64;
        assert!((1.8..=2.2).contains(&ratio), "{gaps:?}");
    }
    let _ = first;
}

/// tcp(7), TCP_INFO: what was sent again is counted, and what waits is told.
#[test]
fn tcp_info_tells_of_losses() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 3000]);
    let before = w.stack.tcp_info(w.now, id).expect("a connection");
    assert_eq!((before.state, before.retransmits, before.unacked, before.snd_mss), (1, 0, 3000, 1000));
    assert!(before.cwnd >= 10_000 && before.sack && !before.timestamps);
    w.advance(300);
    let after = w.stack.tcp_info(w.now, id).expect("a connection");
    assert!(after.retransmits >= 1 && after.ca_state == 4 && after.cwnd < before.cwnd, "{after:?}");
    w.receive_ack(w.host_nxt.wrapping_add(3000));
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| (i.unacked, i.retransmits)), Some((0, after.retransmits)));
}

/// RFC 5681 §3.1: after a time-out one segment is in flight, then slow start.
#[test]
fn after_a_time_out_sending_begins_with_one_segment() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 8000]);
    assert_eq!(w.drain().len(), 8);
    w.advance(300);
    let again = w.drain();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].seq, w.host_nxt);
    w.receive_ack(w.host_nxt.wrapping_add(1000));
    assert_eq!(w.drain().len(), 2, "the window doubles");
}

/// RFC 9293 §3.8.3 (R2): data that is never acknowledged ends the connection.
#[test]
fn unacknowledged_data_ends_the_connection_at_last() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"lost");
    w.advance(2_000_000);
    assert!(w.events(id).contains(Events::FAILED));
    assert_eq!(w.stack.take_error(id), Some(Errno::ETIMEDOUT));
}

/// RFC 5482 §3: TCP_USER_TIMEOUT bounds how long data may stay unacknowledged.
#[test]
fn the_user_timeout_bounds_retransmission() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let now = w.now;
    w.stack.set_option(now, id, SockOpt::UserTimeout(3000)).expect("an option of TCP");
    w.write(id, b"lost");
    w.advance(2_500);
    assert!(!w.events(id).contains(Events::FAILED));
    w.advance(5_000);
    assert_eq!(w.stack.take_error(id), Some(Errno::ETIMEDOUT));
}

/// RFC 5681 §3.2: the third duplicate acknowledgement has the segment sent again at once.
#[test]
fn three_duplicate_acknowledgements_retransmit_at_once() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 8000]);
    w.drain();
    let ack = w.seg(ACK);
    w.receive(&ack);
    w.receive(&ack);
    assert!(w.drain().iter().all(|s| s.seq != w.host_nxt), "too early");
    w.receive(&ack);
    let s = w.expect();
    assert_eq!((s.seq, s.data.len()), (w.host_nxt, 1000));
    assert_eq!(w.counter("fast retransmits"), 1);
}

/// RFC 3042: each of the first two duplicate acknowledgements lets a new segment out.
#[test]
fn limited_transmit_sends_new_data_on_the_first_duplicates() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 20_000]);
    assert_eq!(w.drain().len(), 10);
    let ack = w.seg(ACK);
    w.receive(&ack);
    assert_eq!(w.expect().seq, w.host_nxt.wrapping_add(10_000));
    w.receive(&ack);
    assert_eq!(w.expect().seq, w.host_nxt.wrapping_add(11_000));
}

/// RFC 6582 §3.2: a partial acknowledgement has the next hole sent again without a time-out.
#[test]
fn a_partial_acknowledgement_retransmits_the_next_hole() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 10_000]);
    w.drain();
    let ack = w.seg(ACK);
    for _ in 0..3 {
        w.receive(&ack);
    }
    w.drain();
    w.receive_ack(w.host_nxt.wrapping_add(3000));
    assert_eq!(w.expect().seq, w.host_nxt.wrapping_add(3000));
}

/// RFC 5681 §2: an acknowledgement that changes the window, or carries data, is no duplicate.
#[test]
fn window_updates_and_data_are_no_duplicates() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 5000]);
    w.drain();
    for i in 0..4 {
        let mut s = w.seg(ACK);
        s.window = 50_000 + i;
        w.receive(&s);
    }
    for _ in 0..4 {
        w.receive_data(b"x");
    }
    assert_eq!(w.counter("fast retransmits"), 0);
}

fn sack(w: &Wire, blocks: &[(u32, u32)]) -> Seg {
    let mut s = w.seg(ACK);
    for &(from, to) in blocks {
        s.options.sack.push(SeqNr(w.host_nxt.wrapping_add(from)), SeqNr(w.host_nxt.wrapping_add(to)));
    }
    s
}

/// RFC 6675 §5: with SACK only the holes are sent again.
#[test]
fn sack_retransmits_only_the_holes() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 10_000]);
    w.drain();
    w.receive(&sack(&w, &[(1000, 2000)]));
    w.receive(&sack(&w, &[(3000, 4000), (1000, 2000)]));
    w.receive(&sack(&w, &[(5000, 8000), (3000, 4000), (1000, 2000)]));
    let sent: Vec<u32> = w.drain().iter().map(|s| s.seq.wrapping_sub(w.host_nxt)).collect();
    assert!(sent.contains(&0) && sent.contains(&2000), "{sent:?}");
    for held in [1000, 3000, 5000, 6000, 7000] {
        assert!(!sent.contains(&held), "{sent:?}");
    }
}

/// RFC 6675 §5 step 2: one SACK block of more than two segments above a hole is enough.
#[test]
fn enough_sacked_bytes_begin_recovery_without_three_duplicates() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 10_000]);
    w.drain();
    w.receive(&sack(&w, &[(1000, 4000)]));
    assert_eq!(w.expect().seq, w.host_nxt);
}

/// RFC 2018 §4: the receiver reports what it holds beyond a gap, the latest range first.
#[test]
fn the_receiver_sends_sack_blocks_latest_first() {
    let mut w = Wire::new();
    w.connected(&Offer::SACK);
    let base = w.peer_nxt;
    for at in [1000u32, 3000] {
        let mut s = w.seg(ACK);
        s.seq = base.wrapping_add(at);
        s.data = vec![1; 1000];
        w.receive(&s);
    }
    let last = w.drain().pop().expect("duplicate acknowledgements");
    let blocks: Vec<_> =
        last.options.sack.iter().map(|(a, b)| (a.0.wrapping_sub(base), b.0.wrapping_sub(base))).collect();
    assert_eq!(blocks, [(3000, 4000), (1000, 2000)]);
}

/// RFC 2883 §4: a duplicate is reported as the first block, below the acknowledgement.
#[test]
fn a_duplicate_is_reported_by_a_d_sack() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    let mut s = w.seg(ACK);
    s.data = vec![1; 1000];
    w.receive(&s);
    let base = w.peer_nxt;
    w.peer_nxt = base.wrapping_add(1000);
    w.read(id);
    w.drain();
    w.receive(&s);
    let ack = w.expect_flags(ACK);
    assert_eq!(ack.options.sack.iter().next().map(|(a, b)| (a.0, b.0)), Some((base, base.wrapping_add(1000))));
}

/// RFC 2018 §2: without SACK-permitted from the peer no SACK block is sent.
#[test]
fn no_sack_without_permission() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.seq = w.peer_nxt.wrapping_add(1000);
    s.data = vec![1; 1000];
    w.receive(&s);
    assert!(w.expect_flags(ACK).options.sack.is_empty());
}

/// RFC 2018 §5: blocks outside what was sent are ignored.
#[test]
fn invalid_sack_blocks_are_counted_and_ignored() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 3000]);
    w.drain();
    w.receive(&sack(&w, &[(1000, 90_000)]));
    w.receive(&sack(&w, &[(2000, 1000)]));
    assert_eq!(w.counter("SACK blocks discarded"), 2);
    assert_eq!(w.counter("fast retransmits"), 0);
}

/// RFC 5681 §3.1: slow start begins with ten segments (RFC 6928) and doubles with each round.
#[test]
fn slow_start_doubles_the_window() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 60_000]);
    assert_eq!(w.drain().len(), 10);
    for i in 1..=10 {
        w.receive_ack(w.host_nxt.wrapping_add(i * 1000));
    }
    assert_eq!(w.drain().len(), 20);
}
