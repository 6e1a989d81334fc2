//! Window scale, timestamps, and the options of a SYN.

use crate::harness::*;

const TS: Offer = Offer { timestamps: true, ..Offer::PLAIN };

/// RFC 7323 §2.2, §3.2, RFC 2018 §2: our SYN offers all three options.
#[test]
fn the_syn_offers_scale_timestamps_and_sack() {
    let mut w = Wire::new();
    let (_, syn) = w.connecting();
    assert!(syn.options.window_scale.is_some() && syn.options.timestamps.is_some() && syn.options.sack_permitted);
    assert_eq!(syn.options.timestamps.map(|t| t.1), Some(0));
}

/// RFC 7323 §1.3: a SYN-ACK carries only options that the SYN had.
#[test]
fn the_syn_ack_answers_only_what_was_offered() {
    let mut w = Wire::new();
    w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    let o = w.expect_flags(SYN | ACK).options;
    assert!(o.window_scale.is_none() && o.timestamps.is_none() && !o.sack_permitted && o.mss.is_some());
}

/// RFC 7323 §2.3: the peer's scale shifts its window; the window in the SYN-ACK itself is not shifted.
#[test]
fn the_peers_window_is_scaled_after_the_handshake() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { scale: Some(4), window: 2000, ..Offer::PLAIN });
    w.write(id, &[1; 10_000]);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).sum::<usize>(), 2000);
    let mut ack = w.seg(ACK);
    ack.window = 500; // 8,000 bytes
    w.receive(&ack);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).sum::<usize>(), 6000);
}

/// RFC 7323 §2.2: the SYN's own window is not scaled.
#[test]
fn our_window_is_scaled_only_after_the_handshake() {
    let mut w = Wire::new();
    let (_, syn) = w.connecting();
    assert_eq!(syn.window, 65_535);
    let shift = syn.options.window_scale.expect("offered");
    let mut synack = w.seg(SYN | ACK);
    synack.options = Offer { scale: Some(2), ..Offer::PLAIN }.options();
    w.receive(&synack);
    let ack = w.expect_flags(ACK);
    assert!(u32::from(ack.window) << shift > 100_000, "{} << {shift}", ack.window);
}

/// RFC 7323 §3.2: once agreed, every segment carries timestamps, echoing the peer's.
#[test]
fn timestamps_are_echoed() {
    let mut w = Wire::new();
    let id = w.connected(&TS);
    let mut s = w.seg(ACK);
    s.options.timestamps = Some((5555, 0));
    s.data = b"x".to_vec();
    w.receive(&s);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.write(id, b"y");
    assert_eq!(w.drain().pop().expect("data").options.timestamps.map(|t| t.1), Some(5555));
}

/// RFC 7323 §3.2: a segment that lacks the agreed option is dropped, a reset is not.
#[test]
fn a_segment_without_agreed_timestamps_is_dropped() {
    let mut w = Wire::new();
    let id = w.connected(&TS);
    w.receive_data(b"x");
    assert_eq!(w.read(id), b"");
    assert_eq!(w.counter("packets dropped for a missing timestamp"), 1);
}

/// RFC 7323 §5.3 R1 (PAWS): an older timestamp is answered by an ACK and dropped.
#[test]
fn paws_drops_an_old_timestamp() {
    let mut w = Wire::new();
    let id = w.connected(&TS);
    let mut s = w.seg(ACK);
    s.options.timestamps = Some((5000, 0));
    w.receive(&s);
    let mut old = w.seg(ACK);
    old.options.timestamps = Some((4000, 0));
    old.data = b"old".to_vec();
    w.receive(&old);
    assert_eq!(w.read(id), b"");
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.counter("packets dropped by old timestamps"), 1);
}

/// RFC 7323 §4.3 (2): TS.Recent follows only segments at or before the last acknowledgement sent.
#[test]
fn a_segment_beyond_a_gap_does_not_move_the_echo() {
    let mut w = Wire::new();
    w.connected(&TS);
    let mut s = w.seg(ACK);
    s.seq = w.peer_nxt.wrapping_add(1000);
    s.options.timestamps = Some((9999, 0));
    s.data = vec![1; 10];
    w.receive(&s);
    assert_eq!(w.expect_flags(ACK).options.timestamps.map(|t| t.1), Some(1000));
}

/// RFC 6691: timestamps in every segment take twelve bytes of the MSS.
#[test]
fn options_come_out_of_the_segment_size() {
    let mut w = Wire::new();
    let id = w.connected(&TS);
    w.write(id, &[1; 3000]);
    assert_eq!(w.expect().data.len(), 988);
}

/// RFC 7323 §2.3: a shift above 14 counts as 14.
#[test]
fn an_excessive_window_shift_counts_as_fourteen() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { scale: Some(15), ..Offer::PLAIN });
    let mut ack = w.seg(ACK);
    ack.window = 1;
    w.receive(&ack);
    w.write(id, &[1; 30_000]);
    let sent: usize = w.drain().iter().map(|s| s.data.len()).sum();
    assert_eq!(sent, 10_000, "the congestion window, under 1 << 14 bytes of peer window");
    w.receive_ack(w.host_nxt.wrapping_add(10_000));
    assert!(w.drain().iter().map(|s| s.data.len()).sum::<usize>() > 10_000);
}

/// RFC 7323 §5.5: after 24 days of silence TS.Recent is no measure any more; before, it is.
#[test]
fn a_timestamp_of_long_ago_is_not_held_against_the_peer() {
    const DAY_MS: u64 = 24 * 3600 * 1000;
    for (days, taken) in [(23, false), (25, true)] {
        let mut w = Wire::new();
        let id = w.connected(&TS);
        w.advance(days * DAY_MS);
        let mut s = w.seg(ACK);
        s.options.timestamps = Some((999, 0));
        s.data = b"x".to_vec();
        w.receive(&s);
        assert_eq!(w.read(id).len(), usize::from(taken), "{days}");
    }
}

/// RFC 7323 §2.4, RFC 9293 §3.8.6: scaled down, the window's right edge does not move back by the rounding,
/// as long as there is room.
#[test]
fn a_scaled_window_does_not_shrink_by_rounding() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { scale: Some(0), ..Offer::PLAIN });
    let mut edge = 0u32;
    for _ in 0..60 {
        w.receive_data(&[1; 333]);
        for s in w.drain() {
            let right = s.ack.wrapping_add(u32::from(s.window) << 7).wrapping_sub(PEER_ISS);
            assert!(right >= edge, "{right} after {edge}");
            edge = right;
        }
    }
    assert_eq!(w.read(id).len(), 60 * 333);
}
