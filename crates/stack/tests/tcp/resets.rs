//! Resets, SYNs and acknowledgements that somebody made up (RFC 5961).

use crate::harness::*;
use stack::{Errno, Events};

/// RFC 5961 §3.2: a RST with exactly the next sequence number ends the connection.
#[test]
fn an_exact_reset_ends_the_connection() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive(&w.seg(RST));
    assert!(w.events(id).contains(Events::FAILED));
    assert_eq!(w.stack.take_error(id), Some(Errno::ECONNRESET));
    assert_eq!(w.stack.take_error(id), None, "SO_ERROR is taken once");
}

/// RFC 5961 §3.2: a RST elsewhere in the window gets a challenge ACK.
#[test]
fn a_reset_inside_the_window_is_challenged() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    let mut rst = w.seg(RST);
    rst.seq = w.peer_nxt.wrapping_add(1);
    w.receive(&rst);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.state(), "ESTABLISHED");
}

/// RFC 5961 §3.2: a RST outside the window is dropped.
#[test]
fn a_reset_outside_the_window_is_dropped() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    let mut rst = w.seg(RST);
    rst.seq = w.peer_nxt.wrapping_sub(1);
    w.receive(&rst);
    w.expect_nothing();
    assert_eq!(w.state(), "ESTABLISHED");
}

/// RFC 5961 §4.2: a SYN on a synchronised connection gets a challenge ACK, wherever it stands.
#[test]
fn a_syn_on_an_established_connection_is_challenged() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    for offset in [0u32, 5, 1 << 30] {
        let mut syn = w.seg(SYN);
        syn.seq = w.peer_nxt.wrapping_add(offset);
        w.receive(&syn);
        assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    }
    assert_eq!(w.state(), "ESTABLISHED");
}

/// RFC 5961 §5.2: an ACK older than the largest window is challenged and its data dropped.
#[test]
fn a_very_old_acknowledgement_is_challenged() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.ack = w.host_nxt.wrapping_sub(100_000);
    s.data = b"evil".to_vec();
    w.receive(&s);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.read(id), b"");
}

/// RFC 5961 §7: challenge ACKs are bounded in number.
#[test]
fn challenges_are_rate_limited() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    for _ in 0..1500 {
        w.receive(&w.seg(SYN));
    }
    assert_eq!(w.drain().len(), 1000);
    assert_eq!(w.counter("challenge acks held back by the rate limit"), 500);
}

/// RFC 9293 §3.10.7.4: a reset tells the program, which keeps what it had received.
#[test]
fn bytes_received_before_a_reset_stay_readable() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive_data(b"kept");
    w.receive(&w.seg(RST));
    assert_eq!(w.read(id), b"kept");
}

/// RFC 5927 §4: an ICMP error whose sequence number is not in flight is ignored; RFC 1122 §4.2.3.9: a
/// hard error on an open connection is only remembered.
#[test]
fn icmp_errors_do_not_end_an_open_connection() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"x");
    let sent = w.expect();
    w.receive_frame(&unreachable(3, 0, &sent, sent.seq));
    assert_eq!(w.state(), "ESTABLISHED");
    assert_eq!(w.stack.take_error(id), Some(Errno::ECONNREFUSED));
}

/// close(2): after a reset nothing is left once the program lets go, whether or not it was told.
#[test]
fn nothing_is_left_of_a_reset_connection_that_is_closed() {
    for told in [true, false] {
        let mut w = Wire::new();
        let id = w.connected(&Offer::PLAIN);
        w.write(id, b"unacknowledged");
        w.receive(&w.seg(RST));
        if told {
            w.events(id);
        }
        w.close(id);
        assert_eq!(w.state(), "", "told: {told}");
    }
}
