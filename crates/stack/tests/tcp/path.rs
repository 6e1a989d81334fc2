//! What the path says: its MTU (RFC 1191), and errors (RFC 1122 §4.2.3.9, RFC 5927).

use crate::harness::*;
use stack::{Errno, Events, SockOpt};

const LARGE: Offer = Offer { mss: Some(1460), ..Offer::PLAIN };

/// RFC 1191 §3, §6.4: what was too large is sent again at once in smaller pieces, and no congestion is
/// concluded from it.
#[test]
fn a_smaller_path_mtu_is_taken_and_the_data_sent_anew() {
    let mut w = Wire::new();
    let id = w.connected(&LARGE);
    w.write(id, &[1; 2920]);
    let sent = w.drain();
    assert_eq!(sent.iter().map(|s| s.data.len()).collect::<Vec<_>>(), [1460, 1460]);
    let cwnd = w.stack.tcp_info(w.now, id).map(|i| i.cwnd);
    w.receive_frame(&unreachable(4, 1000, &sent[0], sent[0].seq));
    let again = w.drain();
    assert_eq!(again.iter().map(|s| s.data.len()).collect::<Vec<_>>(), [960, 960, 960, 40]);
    assert_eq!(again[0].seq, w.host_nxt);
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| i.cwnd), cwnd);
    assert_eq!(w.counter("path MTU reductions taken"), 1);
}

/// RFC 5927 §7: one about a number that is not in flight is made up.
#[test]
fn a_path_mtu_for_what_is_not_in_flight_is_ignored() {
    let mut w = Wire::new();
    let id = w.connected(&LARGE);
    w.write(id, &[1; 1460]);
    let sent = w.expect();
    for offset in [1460u32, 0u32.wrapping_sub(1)] {
        w.receive_frame(&unreachable(4, 1000, &sent, sent.seq.wrapping_add(offset)));
        w.expect_nothing();
    }
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| i.snd_mss), Some(1460));
}

/// ip(7) IP_MTU_DISCOVER: who asked for the interface's MTU and no other gets it.
#[test]
fn a_program_may_refuse_path_mtus() {
    let mut w = Wire::new();
    let id = w.connected(&LARGE);
    w.set(id, SockOpt::MtuDiscover(4));
    w.write(id, &[1; 1460]);
    let sent = w.expect();
    w.receive_frame(&unreachable(4, 1000, &sent, sent.seq));
    w.expect_nothing();
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| i.snd_mss), Some(1460));
}

/// As Linux, a connection attempt learns at once that its peer cannot be reached; an error about another
/// number is made up (RFC 5927 §4), and so is one about the size of a SYN.
#[test]
fn an_error_ends_an_attempt_to_connect_when_it_quotes_the_syn() {
    for (code, errno) in [(0, Errno::ENETUNREACH), (1, Errno::EHOSTUNREACH), (3, Errno::ECONNREFUSED)] {
        let mut w = Wire::new();
        let (id, syn) = w.connecting();
        w.receive_frame(&unreachable(code, 0, &syn, syn.seq.wrapping_add(1)));
        w.receive_frame(&unreachable(4, 1000, &syn, syn.seq));
        assert_eq!(w.state(), "SYN_SENT");
        w.receive_frame(&unreachable(code, 0, &syn, syn.seq));
        assert!(w.events(id).contains(Events::FAILED));
        assert_eq!(w.stack.take_error(id), Some(errno));
        assert_eq!(w.counter("connection attempts failed"), 1);
    }
}

/// RFC 1122 §4.2.3.9: on an open connection an error is remembered; it says why, if the connection is
/// given up for silence later.
#[test]
fn the_reason_of_a_silence_is_told() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"lost");
    let sent = w.expect();
    w.receive_frame(&unreachable(1, 0, &sent, sent.seq.wrapping_add(4)));
    assert_eq!(w.stack.take_error(id), None, "nothing of that number is in flight");
    w.receive_frame(&unreachable(1, 0, &sent, sent.seq));
    assert!(!w.events(id).contains(Events::FAILED));
    w.advance(2_000_000);
    assert_eq!(w.stack.take_error(id), Some(Errno::EHOSTUNREACH));
}

/// RFC 1191 §6.3: what one connection learned of a path holds for the others on it.
#[test]
fn other_connections_on_the_path_take_its_mtu() {
    let mut w = Wire::new();
    let first = w.connected(&LARGE);
    let (port, host, peer) = (w.port, w.host_nxt, w.peer_nxt);
    w.peer_nxt = PEER_ISS;
    let second = w.connected(&LARGE);
    w.write(second, &[1; 1460]);
    let sent = w.expect();
    w.receive_frame(&unreachable(4, 1000, &sent, sent.seq));
    w.drain();
    (w.port, w.host_nxt, w.peer_nxt) = (port, host, peer);
    w.write(first, &[1; 2000]);
    assert_eq!(w.expect().data.len(), 960);
}
