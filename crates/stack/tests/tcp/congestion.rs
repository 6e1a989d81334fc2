//! How much may be in flight, and when a loss is one (RFC 5681, 6582, 6675, 3042, 6928).

use crate::harness::*;
use stack::SockOpt;
use wire::tcp::SeqNr;

fn sack(w: &Wire, blocks: &[(u32, u32)]) -> Seg {
    let mut s = w.seg(ACK);
    for &(from, to) in blocks {
        s.options.sack.push(SeqNr(w.host_nxt.wrapping_add(from)), SeqNr(w.host_nxt.wrapping_add(to)));
    }
    s
}

/// Offsets of what the host sent since the last look.
fn sent(w: &mut Wire) -> Vec<u32> {
    w.drain().iter().filter(|s| !s.data.is_empty()).map(|s| s.seq.wrapping_sub(w.host_nxt)).collect()
}

/// RFC 6675 §5 step 3: with SACK the first duplicates let out as much as they report gone, no more.
#[test]
fn limited_transmit_with_sack_replaces_what_left_the_pipe() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 20_000]);
    assert_eq!(sent(&mut w).len(), 10);
    w.receive(&sack(&w, &[(1000, 2000)]));
    assert_eq!(sent(&mut w), [10_000]);
    w.receive(&sack(&w, &[(1000, 3000)]));
    assert_eq!(sent(&mut w), [11_000]);
}

/// RFC 6675 §2: a segment with data, or another window, is a duplicate too when it SACKs something new.
#[test]
fn sack_on_data_segments_finds_losses() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 10_000]);
    w.drain();
    for (n, end) in [2000, 3000, 4000].into_iter().enumerate() {
        let mut s = sack(&w, &[(1000, end)]);
        s.data = b"x".to_vec();
        s.window = 50_000 + n as u16;
        w.peer_nxt = w.peer_nxt.wrapping_add(1);
        w.receive(&s);
    }
    assert_eq!(w.counter("fast retransmits"), 1);
    assert!(sent(&mut w).contains(&0));
}

/// RFC 6582 §3.2 step 1: after a time-out, duplicates that the needless retransmissions cause start no
/// fast retransmit, also when they acknowledge exactly what was sent before it.
#[test]
fn duplicates_after_a_time_out_start_no_recovery() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 5000]);
    w.advance(250);
    w.drain();
    w.write(id, &[1; 5000]);
    w.receive_ack(w.host_nxt.wrapping_add(5000));
    w.drain();
    for _ in 0..4 {
        w.receive_ack(w.host_nxt.wrapping_add(5000));
    }
    assert_eq!(w.counter("fast retransmits"), 0);
    w.receive_ack(w.host_nxt.wrapping_add(6000));
    for _ in 0..3 {
        w.receive_ack(w.host_nxt.wrapping_add(6000));
    }
    assert_eq!(w.counter("fast retransmits"), 1, "new data lost is found");
}

/// RFC 6582 §3.2 step 3, RFC 5681 §3.2: recovery ends when all that was outstanding is acknowledged, with half
/// the flight as window (Reno).
#[test]
fn recovery_leaves_half_the_window() {
    let mut w = Wire::new();
    let id = w.socket();
    w.set(id, SockOpt::Congestion("reno".into()));
    let now = w.now;
    assert!(w.stack.connect(now, id, Some(Wire::peer_addr())).is_err());
    w.run();
    let syn = w.expect_flags(SYN);
    (w.port, w.host_nxt) = (syn.src_port, syn.seq.wrapping_add(1));
    let mut synack = w.seg(SYN | ACK);
    synack.options = Offer::PLAIN.options();
    w.receive(&synack);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.write(id, &[1; 40_000]);
    w.drain();
    for _ in 0..3 {
        w.receive(&w.seg(ACK));
    }
    let in_flight = 12_000; // ten segments and two by limited transmit
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| (i.ca_state, i.ssthresh)), Some((3, in_flight / 2)));
    w.receive_ack(w.host_nxt.wrapping_add(in_flight));
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| (i.ca_state, i.cwnd)), Some((0, in_flight / 2)));
}

/// RFC 6675 §5 step C: in recovery the pipe bounds what is sent: new data only as segments leave.
#[test]
fn recovery_with_sack_keeps_to_the_pipe() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 60_000]);
    w.drain();
    w.receive(&sack(&w, &[(1000, 4000)]));
    // Ten in flight, three SACKed, one lost and sent again: seven, which is the window (0.7 × 10).
    let info = w.stack.tcp_info(w.now, id).expect("a connection");
    assert_eq!((sent(&mut w), info.cwnd), (vec![0], 7000));
    w.receive(&sack(&w, &[(1000, 5000)]));
    assert_eq!(sent(&mut w), [10_000]);
    w.receive(&sack(&w, &[(1000, 7000)]));
    assert_eq!(sent(&mut w), [11_000, 12_000]);
}

/// RFC 6675 §4 NextSeg rule 3: when the peer's window lets no new data out, a hole that is not yet taken
/// for lost is sent again.
#[test]
fn without_room_for_new_data_recovery_fills_further_holes() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 10_000, ..Offer::SACK });
    w.write(id, &[1; 20_000]);
    assert_eq!(sent(&mut w).len(), 10);
    let mut s = sack(&w, &[(1000, 4000), (8000, 9000)]);
    s.window = 10_000;
    w.receive(&s);
    let again = sent(&mut w);
    assert!(again.starts_with(&[0]) && again.contains(&4000), "{again:?}");
}

/// RFC 6928 §2: a SYN that was lost more than once leaves an initial window of one segment; lost once,
/// it does not.
#[test]
fn a_syn_lost_twice_begins_with_one_segment() {
    for (wait, segments) in [(0, 10), (1_100, 10), (3_100, 1)] {
        let mut w = Wire::new();
        let (id, _) = w.connecting();
        w.advance(wait);
        let mut synack = w.seg(SYN | ACK);
        synack.options = Offer::PLAIN.options();
        w.receive(&synack);
        w.peer_nxt = w.peer_nxt.wrapping_add(1);
        w.drain();
        w.write(id, &[1; 20_000]);
        assert_eq!(sent(&mut w).len(), segments, "{wait}");
    }
}

/// RFC 6298 §5.7: after a lost SYN the data phase begins with a time-out of three seconds.
#[test]
fn after_a_lost_syn_the_time_out_is_three_seconds() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    w.advance(1_100);
    let mut synack = w.seg(SYN | ACK);
    synack.options = Offer::PLAIN.options();
    w.receive(&synack);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.drain();
    w.write(id, b"x");
    w.drain();
    w.advance(2_900);
    w.expect_nothing();
    w.advance(200);
    assert_eq!(sent(&mut w), [0]);
}

/// RFC 6298 §3 (Karn): what was sent twice gives no sample.
#[test]
fn a_retransmitted_segment_gives_no_sample() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let before = w.stack.tcp_info(w.now, id).map(|i| (i.srtt, i.rttvar));
    w.write(id, b"x");
    w.advance(700);
    w.receive_ack(w.host_nxt.wrapping_add(1));
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| (i.srtt, i.rttvar)), before);
}

/// RFC 6298 §5.2, §5.3: the clock is restarted by progress and stops when nothing is outstanding.
#[test]
fn the_retransmission_clock_restarts_with_progress_and_stops_at_the_end() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 2000]);
    w.drain();
    w.advance(150);
    w.receive_ack(w.host_nxt.wrapping_add(1000));
    let rto = w.stack.tcp_info(w.now, id).expect("a connection").rto;
    w.advance(rto.as_millis() as u64 - 10);
    w.expect_nothing();
    w.advance(20);
    assert_eq!(sent(&mut w), [1000]);
    w.receive_ack(w.host_nxt.wrapping_add(2000));
    w.advance(100_000);
    w.expect_nothing();
}

/// RFC 5681 §4.1: after a time-out's worth of silence the window is the initial one again.
#[test]
fn an_idle_connection_begins_anew() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 30_000]);
    for i in 1..=30 {
        w.receive_ack(w.host_nxt.wrapping_add(i * 1000));
    }
    w.host_nxt = w.host_nxt.wrapping_add(30_000);
    w.drain();
    assert!(w.stack.tcp_info(w.now, id).is_some_and(|i| i.cwnd > 20_000));
    w.advance(5_000);
    w.write(id, &[1; 30_000]);
    assert_eq!(sent(&mut w).len(), 10);
}

/// RFC 2883 §4.2: a duplicate beyond a gap is reported first, then the range that holds it.
#[test]
fn a_duplicate_beyond_a_gap_is_reported() {
    let mut w = Wire::new();
    w.connected(&Offer::SACK);
    let base = w.peer_nxt;
    let mut s = w.seg(ACK);
    s.seq = base.wrapping_add(1000);
    s.data = vec![1; 2000];
    w.receive(&s);
    w.drain();
    s.seq = base.wrapping_add(1500);
    s.data = vec![1; 500];
    w.receive(&s);
    let ack = w.expect_flags(ACK);
    let blocks: Vec<_> =
        ack.options.sack.iter().map(|(a, b)| (a.0.wrapping_sub(base), b.0.wrapping_sub(base))).collect();
    assert_eq!((ack.ack, blocks), (base, vec![(1500, 2000), (1000, 3000)]));
}

/// RFC 6582 §3.2: the mark of the last recovery does not come round with the sequence numbers: a loss
/// after more than 2 GiB without any is found by duplicates.
#[test]
fn a_loss_after_two_gigabytes_is_found_by_duplicates() {
    for offer in [
        Offer { mss: Some(60_000), scale: Some(14), ..Offer::PLAIN },
        Offer { mss: Some(60_000), scale: Some(14), ..Offer::SACK },
    ] {
        let mut w = Wire::with_mtu(65_535);
        let id = w.connected(&offer);
        let data = vec![1; 1 << 20];
        let mut total = 0u64;
        while total < (1 << 31) + (8 << 20) {
            w.write(id, &data);
            let n: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
            w.host_nxt = w.host_nxt.wrapping_add(n);
            total += u64::from(n);
            w.receive_ack(w.host_nxt);
            let more: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
            w.host_nxt = w.host_nxt.wrapping_add(more);
            total += u64::from(more);
            w.receive_ack(w.host_nxt);
        }
        w.write(id, &data);
        assert!(w.drain().len() > 5);
        for n in 2..=4 {
            let ack = if offer.sack { sack(&w, &[(60_000, n * 60_000)]) } else { w.seg(ACK) };
            w.receive(&ack);
        }
        assert_eq!(w.counter("fast retransmits"), 1);
    }
}

/// RFC 6582 §3.2 step 2: without SACK each further duplicate in recovery stands for a segment that left,
/// and lets a new one out when the window has room.
#[test]
fn without_sack_duplicates_in_recovery_let_new_data_out() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 60_000]);
    w.drain();
    for _ in 0..3 {
        w.receive(&w.seg(ACK));
    }
    // Twelve out, a window of 0.7 × 10 (limited transmit counts in no window): three have left.
    let recovery = sent(&mut w);
    assert_eq!(recovery, [10_000, 11_000, 0]);
    let cwnd = w.stack.tcp_info(w.now, id).expect("a connection").cwnd;
    let mut more = Vec::new();
    for _ in 4..=9 {
        w.receive(&w.seg(ACK));
        more.push(sent(&mut w).len());
    }
    let before = (12_000 - 3_000 - cwnd).div_ceil(1000) as usize;
    assert_eq!(more, [vec![0; before], vec![1; 6 - before]].concat());
}

/// RFC 6582 §3.2 step 3: each partial acknowledgement has one segment sent again, the next hole.
#[test]
fn each_partial_acknowledgement_mends_one_hole() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 10_000]);
    w.drain();
    for _ in 0..3 {
        w.receive(&w.seg(ACK));
    }
    assert_eq!(sent(&mut w), [0]);
    for (ack, hole) in [(2000, Some(2000)), (5000, Some(5000)), (10_000, None)] {
        w.receive_ack(w.host_nxt.wrapping_add(ack));
        assert_eq!(sent(&mut w).first().copied(), hole);
    }
    assert_eq!(w.counter("fast retransmits"), 1);
    assert_eq!(w.counter("retransmit time-outs"), 0);
}

/// RFC 6675 §4, §5: holes are sent again once, in order, none of what is SACKed.
#[test]
fn holes_are_sent_again_once() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    w.write(id, &[1; 10_000]);
    w.drain();
    let mut all = Vec::new();
    for blocks in [
        &[(1000, 2000)][..],
        &[(3000, 4000), (1000, 2000)],
        &[(5000, 6000), (3000, 4000), (1000, 2000)],
        &[(6000, 8000), (3000, 4000), (1000, 2000)],
        &[(8000, 10_000), (3000, 4000), (1000, 2000)],
    ] {
        w.receive(&sack(&w, blocks));
        all.extend(sent(&mut w));
    }
    assert_eq!(all, [0, 2000, 4000]);
}

/// RFC 5681 §3.1: a second time-out of the same segment does not lower the threshold further.
#[test]
fn a_repeated_time_out_keeps_the_threshold() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 10_000]);
    w.advance(300);
    let first = w.stack.tcp_info(w.now, id).map(|i| (i.ssthresh, i.cwnd));
    assert_eq!(first, Some((7000, 1000)));
    w.advance(3_000);
    assert!(w.counter("retransmit time-outs") >= 3);
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| (i.ssthresh, i.cwnd)), first);
}

/// What is sent again after a time-out does not wait for Nagle: it was sent before.
#[test]
fn a_small_rest_is_sent_again_with_what_stands_before_it() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 1500]);
    w.drain();
    w.advance(250);
    assert_eq!(sent(&mut w), [0]);
    w.receive_ack(w.host_nxt.wrapping_add(1000));
    assert_eq!(sent(&mut w), [1000]);
}
