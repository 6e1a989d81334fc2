//! Data both ways, in and out of order.

use crate::harness::*;
use stack::{Events, SockOpt};

/// RFC 9293 §3.10.7.4, seventh: data in order is delivered and acknowledged.
#[test]
fn data_in_order_is_delivered_and_acknowledged() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive_data(&[7; 1000]);
    w.receive_data(&[8; 1000]);
    assert_eq!(w.drain().last().expect("an acknowledgement").ack, w.peer_nxt);
    assert!(w.events(id).contains(Events::READABLE));
    assert_eq!(w.read(id), [[7; 1000], [8; 1000]].concat());
}

/// RFC 5681 §4.2 lets acknowledgements be more frequent: a new connection's first segments are
/// acknowledged one by one, so that the sender's small window opens at once.
#[test]
fn the_first_segments_are_acknowledged_one_by_one() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    for _ in 0..16 {
        w.receive_data(b"x");
        assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    }
    w.receive_data(b"x");
    w.expect_nothing();
}

/// RFC 9293 §3.8.6.3: an acknowledgement may wait, but under half a second.
#[test]
fn a_lone_segment_is_acknowledged_within_half_a_second() {
    let mut w = Wire::new();
    w.settled();
    w.receive_data(b"x");
    w.expect_nothing();
    w.advance(200);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.counter("delayed acks sent"), 1);
}

/// RFC 5681 §4.2: every second full segment is acknowledged at once.
#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut w = Wire::new();
    w.settled();
    w.receive_data(&[1; 1000]);
    w.expect_nothing();
    w.receive_data(&[1; 1000]);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
}

/// RFC 5681 §4.2: a segment beyond a gap is acknowledged at once, with the old number.
#[test]
fn a_gap_is_reported_by_a_duplicate_acknowledgement_at_once() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.seq = w.peer_nxt.wrapping_add(1000);
    s.data = vec![1; 1000];
    w.receive(&s);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
}

/// RFC 9293 §3.4, RFC 5681 §4.2: a filled gap delivers all and is acknowledged at once.
#[test]
fn a_filled_gap_is_acknowledged_at_once_and_delivers_all() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let base = w.peer_nxt;
    let mut s = w.seg(ACK);
    s.seq = base.wrapping_add(4);
    s.data = b"efgh".to_vec();
    w.receive(&s);
    w.drain();
    w.receive_data(b"abcd");
    assert_eq!(w.expect_flags(ACK).ack, base.wrapping_add(8));
    assert_eq!(w.read(id), b"abcdefgh");
}

/// RFC 9293 §3.10.7.4: overlapping segments deliver each byte once.
#[test]
fn overlapping_segments_deliver_each_byte_once() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let base = w.peer_nxt;
    for (at, text) in [(6, "ghij"), (2, "cdefgh"), (0, "abcd"), (8, "ijklm")] {
        let mut s = w.seg(ACK);
        s.seq = base.wrapping_add(at);
        s.data = text.as_bytes().to_vec();
        w.receive(&s);
    }
    assert_eq!(w.read(id), b"abcdefghijklm");
}

/// RFC 9293 §3.10.7.4, first: a duplicate is answered by an acknowledgement and not delivered.
#[test]
fn a_duplicate_is_acknowledged_and_not_delivered_again() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.data = b"once".to_vec();
    w.receive(&s);
    w.peer_nxt = w.peer_nxt.wrapping_add(4);
    assert_eq!(w.read(id), b"once");
    w.drain();
    w.receive(&s);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.read(id), b"");
}

/// RFC 9293 §3.7.4 (Nagle): a small segment waits while another is unacknowledged.
#[test]
fn a_second_small_write_waits_for_the_first_acknowledgement() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"a");
    assert_eq!(w.expect_flags(ACK).data, b"a");
    w.write(id, b"b");
    w.write(id, b"c");
    w.expect_nothing();
    w.receive_ack(w.host_nxt.wrapping_add(1));
    assert_eq!(w.expect_flags(ACK).data, b"bc");
}

/// RFC 9293 §3.7.4: TCP_NODELAY switches Nagle off.
#[test]
fn nodelay_sends_every_write_at_once() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let now = w.now;
    w.stack.set_option(now, id, SockOpt::NoDelay(true)).expect("an option of TCP");
    w.write(id, b"a");
    w.write(id, b"b");
    let data: Vec<Vec<u8>> = w.drain().into_iter().map(|s| s.data).collect();
    assert_eq!(data, [b"a".to_vec(), b"b".to_vec()]);
}

/// RFC 9293 §3.7.4: a full segment never waits.
#[test]
fn a_full_segment_does_not_wait() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"a");
    w.drain();
    w.write(id, &[1; 1000]);
    assert_eq!(w.expect_flags(ACK).data.len(), 1000);
}

/// tcp(7) TCP_CORK: partial segments wait until the cork is drawn.
#[test]
fn a_cork_holds_partial_segments_until_drawn() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let now = w.now;
    w.stack.set_option(now, id, SockOpt::Cork(true)).expect("an option of TCP");
    w.write(id, &[1; 1500]);
    assert_eq!(w.expect().data.len(), 1000);
    w.expect_nothing();
    w.stack.set_option(now, id, SockOpt::Cork(false)).expect("an option of TCP");
    w.receive_ack(w.host_nxt.wrapping_add(1000));
    assert_eq!(w.expect().data.len(), 500);
}

/// RFC 9293 §3.9.1.2: the last segment of what was written carries PSH.
#[test]
fn the_last_segment_of_a_write_is_pushed() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 2500]);
    w.receive_ack(w.host_nxt.wrapping_add(2000));
    let s = w.drain();
    assert_eq!(s.iter().map(|s| s.data.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
    assert!(s[2].flags.contains(PSH) && !s[0].flags.contains(PSH));
}

/// RFC 9293 §3.10.7.4, fifth: a segment without ACK is dropped.
#[test]
fn a_segment_without_acknowledgement_is_dropped() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut s = w.seg(PSH);
    s.data = b"x".to_vec();
    w.receive(&s);
    w.advance(500);
    assert_eq!(w.read(id), b"");
}

/// RFC 9293 §3.10.7.4, fifth: an ACK of what was not sent is answered and the segment dropped.
#[test]
fn an_acknowledgement_of_the_future_is_answered_and_dropped() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.ack = w.host_nxt.wrapping_add(1000);
    s.data = b"x".to_vec();
    w.receive(&s);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.read(id), b"");
}

/// RFC 9293 §3.1: a bad checksum is counted and nothing else.
#[test]
fn a_bad_checksum_is_counted_and_dropped() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let mut s = w.seg(ACK);
    s.data = b"x".to_vec();
    let mut bytes = frame(&s);
    let last = bytes.len() - 1;
    bytes[last] ^= 0x55;
    w.receive_frame(&bytes);
    assert_eq!(w.counter("packets discarded for bad checksums"), 1);
    assert_eq!(w.read(id), b"");
}

/// RFC 9293 §3.1: a data offset beyond the segment is counted and nothing else.
#[test]
fn a_bad_data_offset_is_counted_and_dropped() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    let mut bytes = frame(&w.seg(ACK));
    bytes[34 + 12] = 0xf0;
    // The checksum is mended, so that only the offset is wrong.
    bytes[34 + 16..34 + 18].fill(0);
    let tcp = &bytes[34..];
    let pseudo = wire::checksum::pseudo(PEER.into(), HOST.into(), 6, tcp.len() as u32);
    let sum = wire::checksum::finish(wire::checksum::combine(pseudo, wire::checksum::partial(tcp)));
    bytes[50..52].copy_from_slice(&sum.to_be_bytes());
    w.receive_frame(&bytes);
    assert_eq!(w.counter("packets discarded for bad header fields"), 1);
}

/// Keepalive, RFC 1122 §4.2.3.6: after the idle time a probe before the window; unanswered, the end.
#[test]
fn keepalive_probes_an_idle_connection_and_gives_up() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let now = w.now;
    for o in [SockOpt::KeepAlive(true), SockOpt::KeepIdle(10), SockOpt::KeepInterval(2), SockOpt::KeepCount(3)] {
        w.stack.set_option(now, id, o).expect("an option of TCP");
    }
    w.advance(10_100);
    let probe = w.expect_flags(ACK);
    assert_eq!(probe.seq, w.host_nxt.wrapping_sub(1));
    w.receive(&w.seg(ACK));
    w.advance(9_900);
    w.expect_nothing();
    w.advance(7_000);
    assert!(w.events(id).contains(Events::FAILED));
    assert_eq!(w.stack.take_error(id), Some(stack::Errno::ETIMEDOUT));
}

/// RFC 9293 §3.7.4 (Minshall's modification): the rest of a large write does not wait for full segments
/// before it, only for another small one.
#[test]
fn the_rest_of_a_large_write_waits_only_for_a_small_segment() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 2500]);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
    w.write(id, b"small");
    w.expect_nothing();
    w.receive_ack(w.host_nxt.wrapping_add(2000));
    w.expect_nothing();
    w.receive_ack(w.host_nxt.wrapping_add(2500));
    assert_eq!(w.expect().data, b"small");
}

/// tcp(7) TCP_CORK: what is held back goes out after a while though the cork was not drawn.
#[test]
fn a_cork_holds_for_a_while_only() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.set(id, SockOpt::Cork(true));
    w.write(id, b"held");
    w.advance(150);
    w.expect_nothing();
    w.advance(100);
    assert_eq!(w.expect().data, b"held");
    assert_eq!(w.counter("window probe packets sent"), 0);
}

/// RFC 9293 §3.10.7.4, first: of a segment that lies wholly before what was acknowledged nothing counts,
/// also not what it acknowledges.
#[test]
fn an_old_segments_acknowledgement_does_not_count() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.receive_data(&[1; 1000]);
    w.write(id, b"sent");
    w.drain();
    let mut old = w.seg(ACK);
    (old.seq, old.ack) = (w.peer_nxt.wrapping_sub(500), w.host_nxt.wrapping_add(4));
    old.data = vec![1; 400];
    w.receive(&old);
    assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    assert_eq!(w.stack.tcp_info(w.now, id).map(|i| i.unacked), Some(4));
}

/// RFC 9293 §3.10.7.4, eighth: nothing follows a FIN: bytes beyond it are not taken, and it is not missed
/// for them.
#[test]
fn bytes_beyond_the_fin_are_not_taken() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let base = w.peer_nxt;
    let mut fin = w.seg(FIN | ACK);
    fin.seq = base.wrapping_add(3);
    w.receive(&fin);
    let mut s = w.seg(ACK);
    s.data = b"abcdef".to_vec();
    w.receive(&s);
    assert_eq!((w.read(id), w.state()), (b"abc".to_vec(), "CLOSE_WAIT"));
}

/// RFC 5681 §4.2: a FIN beyond a gap is answered at once, each time.
#[test]
fn a_fin_beyond_a_gap_is_answered_each_time() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    let mut fin = w.seg(FIN | ACK);
    fin.seq = w.peer_nxt.wrapping_add(3);
    for _ in 0..3 {
        w.receive(&fin);
        assert_eq!(w.expect_flags(ACK).ack, w.peer_nxt);
    }
}

/// RFC 9293 §3.8.5: an urgent pointer does no harm: the bytes stay in line, wherever it points.
#[test]
fn urgent_data_stays_in_line() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    for pointer in [0u16, 1, 3, 60_000] {
        let mut s = w.seg(ACK | wire::tcp::TcpFlags::URG);
        (s.data, s.urgent) = (b"abc".to_vec(), pointer);
        w.receive(&s);
        w.peer_nxt = w.peer_nxt.wrapping_add(3);
    }
    assert_eq!(w.read(id), b"abcabcabcabc");
}

/// Keepalive also runs after the peer closed its side (RFC 1122 §4.2.3.6), not for orphans.
#[test]
fn keepalive_runs_in_close_wait() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    for o in [SockOpt::KeepAlive(true), SockOpt::KeepIdle(10), SockOpt::KeepInterval(2), SockOpt::KeepCount(2)] {
        w.set(id, o);
    }
    w.receive(&w.seg(FIN | ACK));
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.drain();
    w.advance(10_100);
    assert_eq!(w.expect_flags(ACK).seq, w.host_nxt.wrapping_sub(1));
    w.advance(4_100);
    assert_eq!(w.stack.take_error(id), Some(stack::Errno::ETIMEDOUT));
}
