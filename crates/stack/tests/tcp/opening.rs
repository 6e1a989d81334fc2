//! Opening a connection.

use crate::harness::*;
use stack::{Errno, Events};

/// RFC 9293 §3.5 figure 6: SYN, SYN-ACK, ACK.
#[test]
fn three_way_handshake_as_client() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    assert_eq!(w.state(), "ESTABLISHED");
    assert_eq!(w.stack.peer_addr(id), Ok(Wire::peer_addr()));
}

/// RFC 9293 §3.5: a listener answers a SYN with a SYN-ACK that acknowledges it.
#[test]
fn three_way_handshake_as_server() {
    let mut w = Wire::new();
    w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    let synack = w.expect_flags(SYN | ACK);
    assert_eq!(synack.ack, PEER_ISS.wrapping_add(1));
    assert_eq!(w.state(), "SYN_RECEIVED");
}

/// RFC 9293 §3.7.1: the SYN announces an MSS of MTU minus 40.
#[test]
fn syn_carries_the_mss_of_the_link() {
    let mut w = Wire::with_mtu(1400);
    let (_, syn) = w.connecting();
    assert_eq!(syn.options.mss, Some(1360));
}

/// RFC 9293 §3.7.1: without an MSS option the peer takes 536 bytes.
#[test]
fn a_peer_without_mss_option_gets_536_bytes() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { mss: None, ..Offer::PLAIN });
    w.write(id, &[1; 2000]);
    assert_eq!(w.expect().data.len(), 536);
}

/// RFC 9293 §3.5 figure 7: both sides open at once.
#[test]
fn simultaneous_open_ends_established() {
    let mut w = Wire::new();
    let (id, ours) = w.connecting();
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    syn.options = Offer::PLAIN.options();
    w.receive(&syn);
    let synack = w.expect_flags(SYN | ACK);
    assert_eq!(synack.seq, ours.seq);
    assert_eq!(w.state(), "SYN_RECEIVED");
    let mut theirs = w.seg(SYN | ACK);
    theirs.options = Offer::PLAIN.options();
    w.receive(&theirs);
    assert_eq!(w.state(), "ESTABLISHED");
    assert!(w.events(id).contains(Events::CONNECTED));
}

/// RFC 9293 §3.10.7.3: RST with an acceptable ACK in SYN_SENT means refused.
#[test]
fn a_reset_refuses_the_connection() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    w.receive(&w.seg(RST | ACK));
    assert!(w.events(id).contains(Events::FAILED));
    assert_eq!(w.stack.take_error(id), Some(Errno::ECONNREFUSED));
}

/// RFC 9293 §3.10.7.3: a RST without acceptable ACK in SYN_SENT is dropped.
#[test]
fn a_reset_that_acknowledges_nothing_of_ours_is_dropped() {
    let mut w = Wire::new();
    let (_, _) = w.connecting();
    let mut rst = w.seg(RST | ACK);
    rst.ack = w.host_nxt.wrapping_add(5);
    w.receive(&rst);
    w.receive(&w.seg(RST));
    assert_eq!(w.state(), "SYN_SENT");
    w.expect_nothing();
}

/// RFC 9293 §3.10.7.3: an unacceptable ACK in SYN_SENT is answered by RST with its number.
#[test]
fn a_wrong_acknowledgement_in_syn_sent_is_reset() {
    let mut w = Wire::new();
    w.connecting();
    let mut synack = w.seg(SYN | ACK);
    synack.ack = w.host_nxt.wrapping_add(77);
    w.receive(&synack);
    let rst = w.expect_flags(RST);
    assert_eq!(rst.seq, synack.ack);
    assert_eq!(w.state(), "SYN_SENT");
}

/// RFC 6298 §2.1, §5.5: the SYN is sent again after 1 s, then 2 s, then 4 s.
#[test]
fn the_syn_is_retransmitted_with_doubling_time_outs() {
    let mut w = Wire::new();
    let (_, syn) = w.connecting();
    let mut last = w.now;
    for wait in [1000, 2000, 4000] {
        let again = loop {
            w.advance(5);
            if let Some(s) = w.drain_one() {
                break s;
            }
        };
        assert!(again.is(SYN) && again.seq == syn.seq);
        assert!(w.now.since(last).as_millis().abs_diff(wait) <= 10, "{:?}", w.now.since(last));
        last = w.now;
    }
}

/// RFC 9293 §3.8.3: a SYN that nobody answers ends in a time-out.
#[test]
fn connecting_to_silence_times_out() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    w.advance(200_000);
    assert!(w.events(id).contains(Events::FAILED));
    assert_eq!(w.stack.take_error(id), Some(Errno::ETIMEDOUT));
    assert_eq!(w.drain().len(), 6, "tcp_syn_retries of Linux");
}

/// tcp(7) TCP_SYNCNT: how often a SYN is sent again before the connection is given up.
#[test]
fn the_syn_count_bounds_the_attempts() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    w.stack.set_option(w.now, id, stack::SockOpt::SynCount(2)).expect("an option of TCP");
    // 1 s and 2 s until they are sent, 4 s more in vain.
    w.advance(6_900);
    assert!(!w.events(id).contains(Events::FAILED));
    w.advance(200);
    assert!(w.events(id).contains(Events::FAILED));
    assert_eq!((w.stack.take_error(id), w.drain().len()), (Some(Errno::ETIMEDOUT), 2));
}

/// RFC 9293 §3.10.7.1: a segment to no connection is answered by RST; of one with ACK it takes
/// the number.
#[test]
fn a_stray_segment_is_reset() {
    let mut w = Wire::new();
    w.port = 4321;
    let mut s = w.seg(ACK);
    s.ack = 12_345;
    w.receive(&s);
    assert_eq!(w.expect_flags(RST).seq, 12_345);
    let mut syn = w.seg(SYN);
    syn.data = b"abc".to_vec();
    w.receive(&syn);
    let rst = w.expect_flags(RST | ACK);
    assert_eq!((rst.seq, rst.ack), (0, PEER_ISS.wrapping_add(4)));
}

/// RFC 9293 §3.10.7.1: never answer a RST with a RST.
#[test]
fn a_stray_reset_is_not_answered() {
    let mut w = Wire::new();
    w.port = 4321;
    w.receive(&w.seg(RST));
    w.expect_nothing();
}

/// RFC 9293 §3.10.7.2: an ACK to a listener is reset.
#[test]
fn an_acknowledgement_to_a_listener_is_reset() {
    let mut w = Wire::new();
    w.listen(5);
    let mut s = w.seg(ACK);
    s.ack = 99;
    w.receive(&s);
    assert_eq!(w.expect_flags(RST).seq, 99);
}

/// RFC 9293 §3.10.7.4: a repeated SYN in SYN_RECEIVED gets the SYN-ACK again.
#[test]
fn a_repeated_syn_gets_the_same_answer() {
    let mut w = Wire::new();
    w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    let first = w.expect_flags(SYN | ACK);
    w.receive(&syn);
    let again = w.expect_flags(SYN | ACK);
    assert_eq!((first.seq, first.ack), (again.seq, again.ack));
}

/// RFC 9293 §3.10.7.4: data that comes with the last ACK of the handshake is delivered.
#[test]
fn data_with_the_third_segment_is_delivered() {
    let mut w = Wire::new();
    let listener = w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    w.host_nxt = w.expect_flags(SYN | ACK).seq.wrapping_add(1);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive_data(b"early");
    let id = w.stack.accept(listener).expect("complete");
    assert_eq!(w.read(id), b"early");
}

/// listen(2): with the accept queue full the handshake is not completed; it is when there is room.
#[test]
fn a_full_backlog_holds_connections_back() {
    let mut w = Wire::new();
    let listener = w.listen(0);
    let open = |w: &mut Wire, port: u16| {
        let mut syn = w.seg(SYN);
        syn.ack = 0;
        syn.src_port = port;
        w.receive(&syn);
        w.drain().first().map(|synack| synack.seq)
    };
    let seq = open(&mut w, 1001).expect("the first SYN is answered");
    let mut ack = w.seg(ACK);
    ack.src_port = 1001;
    ack.seq = PEER_ISS.wrapping_add(1);
    ack.ack = seq.wrapping_add(1);
    w.receive(&ack);
    assert_eq!(open(&mut w, 1002), None, "no room");
    assert_eq!(w.counter("listen queue overflows"), 1);
    assert!(w.stack.accept(listener).is_some());
    assert!(open(&mut w, 1002).is_some());
}

/// RFC 6528 §3: sequence numbers of different connections are unrelated, those of one grow.
#[test]
fn initial_sequence_numbers_follow_a_clock_per_connection() {
    let mut w = Wire::new();
    let (_, a) = w.connecting();
    let (_, b) = w.connecting();
    assert!(a.seq.abs_diff(b.seq) > 100_000, "{} and {}", a.seq, b.seq);
}

/// RFC 9293 §3.10.7.4: a reset in SYN_RECEIVED lets the half-open connection go, the listener stays.
#[test]
fn a_reset_ends_a_half_open_connection() {
    let mut w = Wire::new();
    w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    w.expect_flags(SYN | ACK);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&w.seg(RST));
    assert_eq!(w.state(), "");
}
