//! SYN_RECEIVED, LISTEN and who may speak to them (RFC 9293 §3.10.7.2–4).

use crate::harness::*;
use stack::{Errno, Events};

/// RFC 9293 §3.10.7.4, second: in SYN_RECEIVED a reset counts with exactly the next number, is
/// challenged within the window, and is nothing outside.
#[test]
fn a_reset_must_be_exact() {
    for (offset, state, answered) in
        [(0, "", false), (1, "SYN_RECEIVED", true), (0u32.wrapping_sub(2), "SYN_RECEIVED", false)]
    {
        let mut w = Wire::new();
        w.half_open(&Offer::PLAIN);
        let mut rst = w.seg(RST);
        rst.seq = w.peer_nxt.wrapping_add(offset);
        w.receive(&rst);
        assert_eq!(w.state(), state, "{offset}");
        let answers = w.drain();
        assert_eq!(!answers.is_empty(), answered, "{offset}: {answers:?}");
        assert!(answers.iter().all(|s| s.is(ACK) && s.ack == w.peer_nxt && s.seq == w.host_nxt));
    }
}

/// RFC 9293 §3.10.7.4, first: a segment outside the window is answered by an acknowledgement; what it
/// acknowledges does not count.
#[test]
fn a_segment_outside_the_window_is_acknowledged() {
    let mut w = Wire::new();
    w.half_open(&Offer::PLAIN);
    for ack in [w.host_nxt, w.host_nxt.wrapping_add(9)] {
        let mut s = w.seg(ACK);
        (s.seq, s.ack) = (w.peer_nxt.wrapping_add(100_000), ack);
        w.receive(&s);
        let answer = w.expect_flags(ACK);
        assert_eq!((answer.seq, answer.ack), (w.host_nxt, w.peer_nxt));
        assert_eq!(w.state(), "SYN_RECEIVED");
    }
}

/// RFC 9293 §3.10.7.4, fifth: a wrong acknowledgement is reset with its own number.
#[test]
fn a_wrong_acknowledgement_is_reset() {
    for wrong in [0u32.wrapping_sub(1), 1] {
        let mut w = Wire::new();
        w.half_open(&Offer::PLAIN);
        let mut s = w.seg(ACK);
        s.ack = w.host_nxt.wrapping_add(wrong);
        w.receive(&s);
        assert_eq!(w.expect_flags(RST).seq, s.ack);
        assert_eq!(w.state(), "SYN_RECEIVED");
    }
}

/// RFC 7323 §5.3: PAWS holds in SYN_RECEIVED too.
#[test]
fn an_old_timestamp_does_not_complete_the_handshake() {
    let mut w = Wire::new();
    w.half_open(&Offer { timestamps: true, ..Offer::PLAIN });
    let mut s = w.seg(ACK);
    s.options.timestamps = Some((999, 0));
    w.receive(&s);
    w.expect_flags(ACK);
    assert_eq!((w.state(), w.counter("packets dropped by old timestamps")), ("SYN_RECEIVED", 1));
}

/// RFC 9293 §3.10.7.4, fifth: without ACK nothing happens.
#[test]
fn a_segment_without_acknowledgement_is_nothing() {
    let mut w = Wire::new();
    w.half_open(&Offer::PLAIN);
    let mut s = w.seg(PSH);
    s.data = b"x".to_vec();
    w.receive(&s);
    w.receive(&w.seg(FIN));
    w.expect_nothing();
    assert_eq!(w.state(), "SYN_RECEIVED");
}

/// RFC 9293 §3.10.7.4, eighth: a FIN with the acknowledgement of our SYN leads to CLOSE_WAIT.
#[test]
fn a_fin_with_the_last_acknowledgement_is_taken() {
    let mut w = Wire::new();
    let listener = w.half_open(&Offer::PLAIN);
    let mut s = w.seg(FIN | ACK);
    s.data = b"all".to_vec();
    w.receive(&s);
    assert_eq!(w.drain().last().map(|a| a.ack), Some(w.peer_nxt.wrapping_add(4)));
    assert_eq!(w.state(), "CLOSE_WAIT");
    let id = w.stack.accept(listener).expect("complete");
    assert_eq!(w.read(id), b"all");
    assert!(w.stack.at_end(id));
}

/// RFC 9293 §3.10.7.2: text on a SYN may be left for later, if it is not acknowledged: it comes again.
#[test]
fn text_on_a_syn_is_not_lost() {
    let mut w = Wire::new();
    let listener = w.listen(5);
    let mut syn = w.seg(SYN);
    (syn.ack, syn.data) = (0, b"early".to_vec());
    w.receive(&syn);
    let synack = w.expect_flags(SYN | ACK);
    assert_eq!(synack.ack, w.peer_nxt.wrapping_add(1), "the SYN alone");
    w.host_nxt = synack.seq.wrapping_add(1);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive_data(b"early");
    let id = w.stack.accept(listener).expect("complete");
    assert_eq!(w.read(id), b"early");
}

/// RFC 9293 §3.10.7.3: text and FIN on a SYN-ACK are taken and acknowledged.
#[test]
fn text_and_fin_on_a_syn_ack_are_taken() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    let mut synack = w.seg(SYN | ACK | FIN);
    (synack.options, synack.data) = (Offer::PLAIN.options(), b"hello".to_vec());
    w.receive(&synack);
    let last = w.drain().pop().expect("an acknowledgement");
    assert_eq!(last.ack, w.peer_nxt.wrapping_add(7), "SYN, five bytes, FIN");
    assert_eq!((w.read(id), w.state()), (b"hello".to_vec(), "CLOSE_WAIT"));
    assert!(w.events(id).contains(Events::CONNECTED | Events::PEER_CLOSED));
}

/// RFC 9293 §3.10.7.3: a segment with neither SYN nor RST is nothing in SYN_SENT, acceptable as its
/// acknowledgement may be.
#[test]
fn an_acknowledgement_without_syn_does_not_open() {
    let mut w = Wire::new();
    w.connecting();
    w.receive(&w.seg(ACK));
    let mut data = w.seg(ACK | PSH);
    data.data = b"x".to_vec();
    w.receive(&data);
    w.receive(&w.seg(FIN));
    w.expect_nothing();
    assert_eq!(w.state(), "SYN_SENT");
}

/// RFC 9293 §3.5: after both SYNs crossed the plain acknowledgement of ours is enough.
#[test]
fn a_simultaneous_open_is_completed_by_an_acknowledgement() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    let mut syn = w.seg(SYN);
    (syn.ack, syn.options) = (0, Offer::PLAIN.options());
    w.receive(&syn);
    w.expect_flags(SYN | ACK);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    assert_eq!(w.state(), "ESTABLISHED");
    assert!(w.events(id).contains(Events::CONNECTED | Events::WRITABLE));
}

/// RFC 9293 §3.10.7.4, second: a reset after both SYNs crossed is "connection refused".
#[test]
fn a_reset_of_a_simultaneous_open_is_refused() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&w.seg(RST));
    assert_eq!(w.stack.take_error(id), Some(Errno::ECONNREFUSED));
}

/// RFC 9293 §3.10.4: closing in SYN_RECEIVED sends the FIN once the connection stands.
#[test]
fn closing_in_syn_received_ends_in_good_order() {
    let mut w = Wire::new();
    let (id, _) = w.connecting();
    let mut syn = w.seg(SYN);
    (syn.ack, syn.options) = (0, Offer::PLAIN.options());
    w.receive(&syn);
    w.drain();
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.close(id);
    w.receive(&w.seg(ACK));
    assert_eq!((w.expect_flags(FIN | ACK).seq, w.state()), (w.host_nxt, "FIN_WAIT_1"));
    w.receive_data(b"too late");
    assert_eq!(w.state(), "", "nobody reads it");
}

/// RFC 9293 §3.10.7.2, first to fourth: RST before ACK before SYN; the rest is nothing.
#[test]
fn a_listener_knows_four_kinds_of_segments() {
    for (flags, answer) in [
        (RST, None),
        (RST | ACK, None),
        (RST | SYN, None),
        (SYN | ACK, Some(RST)),
        (FIN | ACK, Some(RST)),
        (FIN, None),
        (PSH, None),
        (wire::tcp::TcpFlags::NONE, None),
        (SYN, Some(SYN | ACK)),
    ] {
        let mut w = Wire::new();
        w.listen(5);
        let mut s = w.seg(flags);
        s.ack = 77;
        w.receive(&s);
        let answers = w.drain();
        assert_eq!(answers.first().map(|a| a.flags), answer, "{flags:?}");
        if answer == Some(RST) {
            assert_eq!(answers[0].seq, 77, "{flags:?}");
        }
    }
}

/// RFC 9293 §3.10.7 (MUST-57): a SYN to a broadcast or multicast address, or from one, is ignored; so
/// is one that a station sent to everybody.
#[test]
fn a_syn_of_a_group_is_ignored() {
    use std::net::Ipv4Addr;
    let mut w = Wire::new();
    w.listen(5);
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    let with = |src: Ipv4Addr, dst: Ipv4Addr| addressed(&syn, src, dst);
    for (src, dst) in [
        (PEER, Ipv4Addr::BROADCAST),
        (PEER, Ipv4Addr::new(10, 0, 0, 255)),
        (PEER, Ipv4Addr::new(224, 0, 0, 1)),
        (Ipv4Addr::BROADCAST, HOST),
        (Ipv4Addr::new(10, 0, 0, 255), HOST),
        (Ipv4Addr::new(224, 0, 0, 1), HOST),
        (Ipv4Addr::UNSPECIFIED, HOST),
        (HOST, HOST),
    ] {
        w.receive_frame(&with(src, dst));
        w.expect_nothing();
    }
    let mut to_all = frame(&syn);
    to_all[..6].fill(0xff);
    w.receive_frame(&to_all);
    w.expect_nothing();
    w.receive_frame(&with(PEER, HOST));
    w.expect_flags(SYN | ACK);
}

/// RFC 9293 §3.7.1 (SHLD-6): an MSS of 0 or a few bytes is no reason for a loop or a division; what is
/// sent is small and goes out.
#[test]
fn a_tiny_mss_is_survived() {
    for mss in [Some(0), Some(1), Some(40), None] {
        let mut w = Wire::new();
        let id = w.connected(&Offer { mss, ..Offer::PLAIN });
        w.write(id, &[1; 200]);
        let first = w.expect();
        assert!((1..=536).contains(&first.data.len()), "{mss:?}: {}", first.data.len());
    }
}

/// RFC 9293 §3.1 (MUST-6, MUST-7): unknown options, an option without room and a length of zero do no
/// harm; those before them count.
#[test]
fn unknown_and_broken_options_do_no_harm() {
    for tail in [&[254, 4, 1, 2][..], &[99, 2, 1, 1], &[5, 0, 0, 0], &[8, 40, 0, 0], &[0, 2, 4, 9]] {
        let mut w = Wire::new();
        w.listen(5);
        let mut syn = w.seg(SYN);
        syn.ack = 0;
        w.receive_frame(&with_options(&syn, &[&[2, 4, 3, 232][..], tail].concat()));
        assert!(w.expect().is(SYN | ACK), "{tail:?}");
    }
}
