//! Closing a connection.

use crate::harness::*;
use stack::{Errno, Events};

/// RFC 9293 §3.6 figure 12: we close first; after both FINs the state is TIME_WAIT.
#[test]
fn active_close_ends_in_time_wait() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    let fin = w.expect_flags(FIN | ACK);
    assert_eq!((fin.seq, w.state()), (w.host_nxt, "FIN_WAIT_1"));
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    assert_eq!(w.state(), "FIN_WAIT_2");
    w.receive(&w.seg(FIN | ACK));
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt.wrapping_add(1));
    assert_eq!(w.state(), "TIME_WAIT");
}

/// RFC 9293 §3.6.1: TIME_WAIT lasts twice the maximum segment lifetime, then the state is gone.
#[test]
fn time_wait_ends_after_a_minute() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(FIN | ACK));
    assert_eq!(w.state(), "TIME_WAIT");
    w.advance(59_000);
    assert_eq!(w.state(), "TIME_WAIT");
    w.advance(1_100);
    assert_eq!(w.state(), "");
}

/// A full table is no reason to refuse a socket while it holds connections that are over and done with.
#[test]
fn time_wait_gives_way_when_the_table_is_full() {
    let mut w = Wire::with_sockets(4);
    let mut time_wait = || {
        let id = w.connected(&Offer::PLAIN);
        w.close(id);
        w.host_nxt = w.host_nxt.wrapping_add(1);
        w.receive(&w.seg(FIN | ACK));
        assert_eq!(w.state(), "TIME_WAIT");
        w.drain();
        w.peer_nxt = PEER_ISS;
    };
    (0..10).for_each(|_| time_wait());
    let held: Vec<_> = (0..4).map(|_| w.socket()).collect();
    assert_eq!(w.stack.socket(stack::Domain::V4, stack::SocketKind::Tcp, 0), Err(Errno::ENFILE));
    assert_eq!(w.counter("TIME_WAIT connections evicted (table full)"), 10);
    w.close(held[0]);
    w.socket();
}

/// RFC 9293 §3.6: the peer closes first; our FIN follows ours, its ACK ends it.
#[test]
fn passive_close_goes_through_close_wait_and_last_ack() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive(&w.seg(FIN | ACK));
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.state(), "CLOSE_WAIT");
    assert!(w.events(id).contains(Events::PEER_CLOSED));
    w.close(id);
    w.expect_flags(FIN | ACK);
    assert_eq!(w.state(), "LAST_ACK");
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    assert_eq!(w.state(), "");
}

/// RFC 9293 §3.6 figure 13: both close at once.
#[test]
fn simultaneous_close_goes_through_closing() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.expect_flags(FIN | ACK);
    w.receive(&w.seg(FIN | ACK));
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    assert_eq!(w.state(), "CLOSING");
    w.expect_flags(ACK);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    assert_eq!(w.state(), "TIME_WAIT");
}

/// RFC 9293 §3.6: half-close; data still arrives after our FIN.
#[test]
fn data_arrives_after_our_side_is_closed() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.shutdown(id);
    w.expect_flags(FIN | ACK);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    w.receive_data(b"late");
    assert_eq!(w.read(id), b"late");
    assert_eq!(w.state(), "FIN_WAIT_2");
}

/// RFC 9293 §3.6: after the peer's FIN we may go on sending.
#[test]
fn data_may_be_sent_in_close_wait() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive(&w.seg(FIN | ACK));
    w.drain();
    w.write(id, b"more");
    assert_eq!(w.expect_flags(ACK).data, b"more");
}

/// RFC 9293 §3.9.1.4: the FIN goes out after the data that was written before.
#[test]
fn the_fin_follows_the_data() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 500]);
    w.shutdown(id);
    let segments = w.drain();
    let last = segments.last().expect("a FIN");
    assert!(last.flags.contains(FIN));
    assert_eq!(last.seq.wrapping_add(last.data.len() as u32), w.host_nxt.wrapping_add(500));
}

/// RFC 6298: a FIN that is lost is sent again.
#[test]
fn a_lost_fin_is_retransmitted() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.shutdown(id);
    let fin = w.expect_flags(FIN | ACK);
    w.advance(400);
    assert_eq!(w.expect_flags(FIN | ACK).seq, fin.seq);
}

/// RFC 9293 §3.10.7.4, eighth, TIME_WAIT: a repeated FIN is acknowledged and restarts the clock.
#[test]
fn a_repeated_fin_in_time_wait_is_acknowledged_and_restarts_the_clock() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(FIN | ACK));
    w.drain();
    w.advance(50_000);
    w.receive(&w.seg(FIN | ACK));
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt.wrapping_add(1));
    w.advance(50_000);
    assert_eq!(w.state(), "TIME_WAIT");
}

/// RFC 1122 §4.2.2.13: a SYN beyond the old sequence space opens a new connection in TIME_WAIT.
#[test]
fn time_wait_gives_way_to_a_new_syn() {
    let mut w = Wire::new();
    let id = w.accepted(&Offer::PLAIN);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(FIN | ACK));
    w.drain();
    assert_eq!(w.state(), "TIME_WAIT");
    let mut syn = w.seg(SYN);
    syn.seq = w.peer_nxt.wrapping_add(100_000);
    syn.ack = 0;
    w.receive(&syn);
    assert_eq!(w.expect_flags(SYN | ACK).ack, syn.seq.wrapping_add(1));
}

/// RFC 9293 §3.10.7.4, second, with RFC 5961 §3.2: a reset ends TIME_WAIT, if its number is the one expected.
#[test]
fn only_an_exact_reset_ends_time_wait() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(FIN | ACK));
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    let mut beside = w.seg(RST);
    beside.seq = beside.seq.wrapping_add(1);
    w.receive(&beside);
    assert_eq!(w.state(), "TIME_WAIT");
    w.receive(&w.seg(RST));
    assert_eq!(w.state(), "");
}

/// RFC 1122 §4.2.2.13: closing with bytes unread resets the connection.
#[test]
fn closing_with_unread_bytes_resets() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive_data(b"never read");
    w.drain();
    w.close(id);
    assert!(w.expect().flags.contains(RST));
    assert_eq!(w.state(), "");
}

/// RFC 1122 §4.2.2.13: data that arrives after close is answered by a reset.
#[test]
fn data_after_close_is_reset() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.expect_flags(FIN | ACK);
    w.receive_data(b"too late");
    assert!(w.drain().iter().any(|s| s.flags.contains(RST)));
    assert_eq!(w.state(), "");
}

/// socket(7) SO_LINGER with zero: close is a reset.
#[test]
fn linger_zero_resets_on_close() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let now = w.now;
    w.stack.set_option(now, id, stack::SockOpt::Linger(Some(0))).expect("an option of TCP");
    w.close(id);
    assert_eq!(w.expect_flags(RST | ACK).seq, w.host_nxt);
}

/// tcp(7) tcp_fin_timeout: an orphan does not stay in FIN_WAIT_2 for ever.
#[test]
fn an_orphan_leaves_fin_wait_2_after_a_minute() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    assert_eq!(w.state(), "FIN_WAIT_2");
    w.advance(61_000);
    assert_eq!(w.state(), "");
}

/// RFC 9293 §3.10.7.4, eighth: a FIN that comes ahead of its data waits for it.
#[test]
fn a_fin_out_of_order_takes_effect_when_the_gap_is_filled() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut fin = w.seg(FIN | ACK);
    fin.seq = w.peer_nxt.wrapping_add(3);
    w.receive(&fin);
    assert_eq!(w.state(), "ESTABLISHED");
    w.receive_data(b"abc");
    assert_eq!(w.state(), "CLOSE_WAIT");
    assert_eq!(w.read(id), b"abc");
    assert!(w.stack.at_end(id));
}

/// RFC 9293 §3.10.7.4: a listener that closes resets the connections that wait in it.
#[test]
fn closing_a_listener_resets_what_waits_in_it() {
    let mut w = Wire::new();
    let listener = w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    w.host_nxt = w.expect_flags(SYN | ACK).seq.wrapping_add(1);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    w.close(listener);
    assert!(w.expect().flags.contains(RST));
    let _ = Errno::ECONNRESET;
}
