//! Flow control.

use crate::harness::*;
use stack::{Events, SockOpt};

/// RFC 9293 §3.8.6: no more is sent than the peer's window holds.
#[test]
fn the_peers_window_is_never_exceeded() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 2500, ..Offer::PLAIN });
    w.write(id, &[1; 9000]);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).sum::<usize>(), 2000, "the rest is under a segment (SWS)");
}

/// RFC 9293 §3.8.6.1: a closed window is probed with backing-off intervals, for ever.
#[test]
fn a_closed_window_is_probed() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 1000, ..Offer::PLAIN });
    w.write(id, &[1; 3000]);
    w.drain();
    w.host_nxt = w.host_nxt.wrapping_add(1000);
    let mut closed = w.seg(ACK);
    closed.window = 0;
    w.receive(&closed);
    for _ in 0..40 {
        w.advance(130_000);
        let probes = w.drain();
        assert!(!probes.is_empty(), "the probing stopped");
        assert!(probes.iter().all(|s| s.data.len() <= 1));
        w.receive(&closed);
    }
    assert!(!w.events(id).contains(Events::FAILED));
}

/// RFC 9293 §3.8.6.1: when the window opens, sending goes on at once.
#[test]
fn an_opened_window_lets_data_flow() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 1000, ..Offer::PLAIN });
    w.write(id, &[1; 3000]);
    w.drain();
    w.host_nxt = w.host_nxt.wrapping_add(1000);
    let mut s = w.seg(ACK);
    s.window = 0;
    w.receive(&s);
    w.drain();
    s.window = 5000;
    w.receive(&s);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).sum::<usize>(), 2000);
}

/// RFC 9293 §3.8.3: unanswered window probes end the connection.
#[test]
fn a_dead_peer_with_a_closed_window_is_given_up() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 1000, ..Offer::PLAIN });
    w.write(id, &[1; 3000]);
    w.host_nxt = w.host_nxt.wrapping_add(1000);
    let mut s = w.seg(ACK);
    s.window = 0;
    w.receive(&s);
    w.advance(3_000_000);
    assert!(w.events(id).contains(Events::FAILED));
}

/// RFC 9293 §3.10.7.4: an old segment does not bring an old window back.
#[test]
fn an_old_segment_does_not_change_the_window() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 60_000, ..Offer::PLAIN });
    let mut old = w.seg(ACK);
    old.window = 100;
    w.receive_data(b"new");
    w.receive_data(b"newer");
    w.receive(&old);
    w.write(id, &[1; 5000]);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).sum::<usize>(), 5000);
}

/// RFC 9293 §3.8.6: the advertised window shrinks by what waits to be read, its right edge never moves back.
#[test]
fn the_right_edge_of_our_window_never_moves_back() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut edge = 0u32;
    for i in 0..40 {
        w.receive_data(&[1; 1000]);
        if i % 7 == 0 {
            w.read(id);
        }
        for s in w.drain() {
            let right = s.ack.wrapping_add(s.window.into()).wrapping_sub(PEER_ISS);
            assert!(right >= edge, "{right} after {edge}");
            edge = right;
        }
    }
}

/// RFC 9293 §3.10.7.4, first: data beyond our window is not taken.
#[test]
fn data_beyond_our_window_is_not_taken() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.seq = w.peer_nxt.wrapping_add(70_000);
    s.data = b"far".to_vec();
    w.receive(&s);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.read(id), b"");
}

/// RFC 9293 §3.8.6.2.2 (receiver SWS): a read of a few bytes does not open the window; a larger one does.
#[test]
fn the_window_opens_only_by_worthwhile_steps() {
    let mut w = Wire::new();
    let id = w.socket();
    let now = w.now;
    w.stack.set_option(now, id, SockOpt::RcvBuf(4000)).expect("an option of TCP");
    assert!(w.stack.connect(now, id, Some(Wire::peer_addr())).is_err());
    w.run();
    let syn = w.expect_flags(SYN);
    w.port = syn.src_port;
    w.host_nxt = syn.seq.wrapping_add(1);
    let mut synack = w.seg(SYN | ACK);
    synack.options = Offer::PLAIN.options();
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&synack);
    for _ in 0..8 {
        w.receive_data(&[1; 1000]);
    }
    w.advance(500);
    assert_eq!(w.drain().last().expect("acknowledged").window, 0);
    w.stack.received(w.now, id, 10);
    w.run();
    w.expect_nothing();
    w.stack.received(w.now, id, 4000);
    w.run();
    assert!(w.expect_flags(ACK).window >= 4000);
}

/// RFC 9293 §3.10.7.4: with a closed window a segment's acknowledgement still counts.
#[test]
fn acknowledgements_count_while_our_window_is_closed() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 60_000, ..Offer::PLAIN });
    let now = w.now;
    w.stack.set_option(now, id, SockOpt::RcvBuf(2048)).expect("an option of TCP");
    for _ in 0..70 {
        w.receive_data(&[1; 1000]);
    }
    // The window is closed where the host says so; what went beyond it was not taken.
    w.peer_nxt = w.drain().last().expect("acknowledged").ack;
    w.write(id, b"hello");
    w.host_nxt = w.host_nxt.wrapping_add(5);
    let mut s = w.seg(ACK);
    s.data = b"no room".to_vec();
    w.receive(&s);
    let before = w.counter("retransmit time-outs");
    w.advance(2_000);
    assert_eq!(w.counter("retransmit time-outs"), before);
}

/// RFC 9293 §3.8.6 (MUST-35, SHLD-17): a window that is taken back while it is filled is probed by what
/// it held, for ever while the peer answers, and sending goes on when it opens.
#[test]
fn a_window_taken_back_is_probed_and_does_not_end_the_connection() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 5000]);
    w.drain();
    let mut shut = w.seg(ACK);
    shut.window = 0;
    w.receive(&shut);
    for _ in 0..40 {
        w.advance(130_000);
        let probes = w.drain();
        assert!(!probes.is_empty() && probes.iter().all(|s| s.seq == w.host_nxt), "{probes:?}");
        w.receive(&shut);
    }
    assert_eq!(w.state(), "ESTABLISHED");
    w.receive(&w.seg(ACK));
    assert_eq!(w.expect().seq, w.host_nxt);
    w.receive_ack(w.host_nxt.wrapping_add(5000));
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| i.unacked), Some(0));
}

/// RFC 9293 §3.8.6 (SHLD-16): after a window shrank, what lies beyond its right edge is not sent again.
#[test]
fn a_shrunk_window_bounds_retransmission() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 5000]);
    w.drain();
    let mut small = w.seg(ACK);
    small.window = 1500;
    w.receive(&small);
    w.advance(300);
    let edge = w.host_nxt.wrapping_add(1500);
    for s in w.drain() {
        assert!((s.seq.wrapping_add(s.data.len() as u32).wrapping_sub(edge) as i32) <= 0, "{s:?}");
    }
}

/// RFC 9293 §3.8.6.1: the probes' intervals are no measure of the path: what is sent into the opened
/// window and lost is sent again after the ordinary time-out.
#[test]
fn the_back_off_of_probes_ends_when_the_window_opens() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 0, ..Offer::PLAIN });
    w.write(id, &[1; 1000]);
    let mut shut = w.seg(ACK);
    shut.window = 0;
    for _ in 0..10 {
        w.advance(130_000);
        w.receive(&shut);
    }
    w.drain();
    w.receive(&w.seg(ACK));
    assert_eq!(w.expect().data.len(), 1000);
    w.advance(1_100);
    assert_eq!(w.expect().data.len(), 1000);
}

/// RFC 9293 §3.4: the FIN takes a place in the sequence space: it waits for room in the window, which is
/// probed for it.
#[test]
fn a_fin_waits_for_room_in_the_window() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 500, ..Offer::PLAIN });
    w.write(id, &[1; 500]);
    w.shutdown(id);
    let data = w.expect();
    assert!(!data.flags.contains(FIN) && data.data.len() == 500);
    w.expect_nothing();
    w.host_nxt = w.host_nxt.wrapping_add(500);
    let mut shut = w.seg(ACK);
    shut.window = 0;
    w.receive(&shut);
    for _ in 0..30 {
        w.advance(130_000);
        let probes = w.drain();
        assert!(!probes.is_empty() && probes.iter().all(|s| !s.flags.contains(FIN)), "{probes:?}");
        w.receive(&shut);
    }
    w.receive(&w.seg(ACK));
    assert_eq!(w.expect_flags(FIN | ACK).seq, w.host_nxt);
}

/// RFC 9293 §3.8.6: a peer that sends a few bytes at a time never gets more of a window than there is
/// room, scaled as it may be.
#[test]
fn small_segments_do_not_grow_the_window_beyond_its_buffer() {
    let mut w = Wire::new();
    let id = w.accepted(&Offer { scale: Some(0), ..Offer::PLAIN });
    w.set(id, SockOpt::RcvBuf(8 * 1024));
    let limit = w.stack.rx_ring(id).expect("open").limit() as u32;
    let shift = 7;
    let mut edge = w.peer_nxt.wrapping_add(60_000);
    for _ in 0..200_000u32 {
        if (edge.wrapping_sub(w.peer_nxt) as i32) < 3 {
            break;
        }
        w.receive_data(b"abc");
        for s in w.drain() {
            edge = s.ack.wrapping_add(u32::from(s.window) << shift);
        }
        w.advance(50);
    }
    let held = w.stack.rx_ring(id).expect("open").len() as u32;
    // What was promised before the buffer was made smaller, and the small part of it that rounding may take.
    assert!(held <= limit.max(65_535) + limit / 32, "{held} bytes for a buffer of {limit}");
}

/// RFC 9293 §3.8.6.2.1 (override): what a window smaller than half the largest one holds goes out after a
/// while, not never.
#[test]
fn a_small_window_is_used_after_a_while() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 10_000, ..Offer::PLAIN });
    w.write(id, &[1; 10_000]);
    w.drain();
    w.host_nxt = w.host_nxt.wrapping_add(10_000);
    let mut small = w.seg(ACK);
    small.window = 300;
    w.receive(&small);
    w.write(id, &[2; 2000]);
    w.expect_nothing();
    w.advance(1_000);
    assert_eq!(w.expect().data.len(), 300);
}

/// RFC 9293 §3.8.6.2.1 (3): half the largest window is worth a segment at once.
#[test]
fn half_the_largest_window_is_used_at_once() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { window: 900, ..Offer::PLAIN });
    w.write(id, &[1; 2000]);
    assert_eq!(w.expect().data.len(), 900);
}

/// RFC 9293 §3.10.7.4, first: with our window shut nothing of a segment is taken, and it is answered.
#[test]
fn a_segment_to_a_shut_window_is_answered_and_counted() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.set(id, SockOpt::RcvBuf(2048));
    let mut window = 1;
    while window > 0 {
        w.receive_data(&[1; 500]);
        w.advance(50);
        let last = w.drain().pop().expect("acknowledged");
        (window, w.peer_nxt) = (last.window, last.ack);
    }
    let (held, before) = (w.peek(id).len(), w.counter("packets of data received after the window"));
    for back in [0, 10] {
        let mut s = w.seg(ACK);
        (s.seq, s.data) = (w.peer_nxt.wrapping_sub(back), vec![2; 100]);
        w.receive(&s);
        assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    }
    assert_eq!(w.peek(id).len(), held);
    assert_eq!(w.counter("packets of data received after the window"), before + 2);
}
