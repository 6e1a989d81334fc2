//! What is counted, bounded and handed on: names, tables, limits, buffers.

use std::net::{Ipv4Addr, SocketAddr};

use crate::harness::*;
use stack::{Errno, Events, SockOpt, SocketId};

fn at(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// A connection from this port of the peer's to the listener, closed by the host, in TIME_WAIT.
fn time_wait_from(w: &mut Wire, listener: SocketId, port: u16) {
    let from = |mut s: Seg| {
        s.src_port = port;
        s
    };
    w.peer_nxt = PEER_ISS;
    let mut syn = from(w.seg(SYN));
    syn.ack = 0;
    w.receive(&syn);
    w.host_nxt = w.drain()[0].seq.wrapping_add(1);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&from(w.seg(ACK)));
    let id = w.stack.accept(listener).expect("complete");
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&from(w.seg(FIN | ACK)));
    w.drain();
}

fn count(w: &Wire, state: &str) -> usize {
    let mut n = 0;
    w.stack.for_each_socket(&mut |v| n += usize::from(v.state == state));
    n
}

/// Connections in TIME_WAIT are bounded: with 16,384 of them the oldest goes for each one more.
#[test]
fn the_oldest_time_wait_goes_when_there_are_too_many() {
    const MAX: usize = 16_384;
    let mut w = Wire::new();
    let listener = w.listen(5);
    for port in 0..MAX as u16 + 3 {
        time_wait_from(&mut w, listener, 10_000 + port);
        // A connection that is gone by itself is no reason to let another go.
        if port == 0 {
            w.advance(61_000);
        }
    }
    assert_eq!(count(&w, "TIME_WAIT"), MAX);
    assert_eq!(w.counter("TIME_WAIT connections evicted (table full)"), 2);
    // The first that is left is the fourth; who came before is not known any more.
    for (port, answer) in [(10_001, RST), (10_002, RST), (10_003, ACK)] {
        let mut s = w.seg(ACK);
        (s.src_port, s.data) = (port, vec![1]);
        w.receive(&s);
        assert!(w.expect().flags.contains(answer), "{port}");
    }
    w.advance(61_000);
    assert_eq!(count(&w, "TIME_WAIT"), 0);
}

/// Each thing that happens moves its counter, once.
#[test]
fn counters_follow_a_connections_life() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, &[1; 2500]);
    w.host_nxt = w.host_nxt.wrapping_add(2500);
    w.receive(&w.seg(ACK));
    w.receive_data(&[1; 100]);
    w.read(id);
    let now: Vec<u64> = [
        "connection requests",
        "connections established",
        "data packets sent",
        "data bytes sent",
        "data bytes received in sequence",
        "acks received",
        "connections closed",
        "packets received",
    ]
    .iter()
    .map(|text| w.counter(text))
    .collect();
    assert_eq!(now, [1, 1, 3, 2500, 100, 2, 0, 3]);
    w.close(id);
    w.host_nxt = w.host_nxt.wrapping_add(1);
    w.receive(&w.seg(FIN | ACK));
    assert_eq!((w.counter("connections closed"), w.counter("connections dropped by reset or time-out")), (1, 0));
    let listener = w.listen(5);
    w.peer_nxt = PEER_ISS;
    let mut syn = w.seg(SYN);
    syn.ack = 0;
    w.receive(&syn);
    w.drain();
    assert_eq!(w.counter("connection accepts"), 0);
    w.close(listener);
    w.peer_nxt = w.peer_nxt.wrapping_add(1);
    w.receive(&w.seg(ACK));
    assert_eq!(w.counter("packets for no connection"), 1);
}

/// A retransmission counts its packets and bytes, and as a time-out; the reset at the end as a drop.
#[test]
fn counters_follow_a_loss() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.set(id, SockOpt::UserTimeout(1000));
    w.write(id, &[1; 700]);
    w.advance(300);
    let told = |w: &Wire| {
        ["data packets retransmitted", "data bytes retransmitted", "retransmit time-outs"].map(|t| w.counter(t))
    };
    assert_eq!(told(&w), [1, 700, 1]);
    w.advance(10_000);
    assert_eq!(w.counter("connections dropped by retransmit time-out"), 1);
    assert_eq!(w.counter("connections dropped by reset or time-out"), 1);
    assert_eq!(w.counter("resets sent"), 1);
}

/// bind(2): a port belongs to one socket at an address; a wildcard covers all addresses; SO_REUSEADDR
/// shares it among sockets of which none listens, SO_REUSEPORT among those that all say so.
#[test]
fn a_port_is_shared_only_by_consent() {
    let mut w = Wire::new();
    let any = Ipv4Addr::UNSPECIFIED;
    for (first, second) in [(HOST, HOST), (any, HOST), (HOST, any), (any, any)] {
        for (option, listens, outcome) in [
            (None, false, Err(Errno::EADDRINUSE)),
            (Some(SockOpt::ReuseAddr(true)), false, Ok(())),
            (Some(SockOpt::ReuseAddr(true)), true, Err(Errno::EADDRINUSE)),
            (Some(SockOpt::ReusePort(true)), true, Ok(())),
        ] {
            let (a, b) = (w.socket(), w.socket());
            for id in [a, b] {
                if let Some(option) = option.clone() {
                    w.set(id, option);
                }
            }
            w.stack.bind(a, at(first, 700), true).expect("free");
            if listens {
                w.stack.listen(a, 1).expect("bound");
            }
            assert_eq!(w.stack.bind(b, at(second, 700), true), outcome, "{first} {second} {option:?} {listens}");
            w.close(a);
            w.close(b);
        }
    }
    let (a, b) = (w.socket(), w.socket());
    w.stack.bind(a, at(HOST, 700), true).expect("free");
    w.stack.bind(b, at(HOST, 701), true).expect("another port");
    assert_eq!(w.stack.bind(a, at(HOST, 702), true), Err(Errno::EINVAL), "bound already");
}

/// bind(2): the address must be ours, a port below 1024 needs privilege, port 0 is chosen.
#[test]
fn what_may_be_bound() {
    let mut w = Wire::new();
    let id = w.socket();
    assert_eq!(w.stack.bind(id, at(PEER, 2000), false), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(w.stack.bind(id, at(Ipv4Addr::new(224, 0, 0, 1), 2000), false), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(w.stack.bind(id, at(HOST, 1023), false), Err(Errno::EACCES));
    w.set(id, SockOpt::FreeBind(true));
    w.stack.bind(id, at(PEER, 1024), false).expect("ip(7) IP_FREEBIND");
    let id = w.socket();
    w.stack.bind(id, at(HOST, 0), false).expect("a port");
    let port = w.stack.local_addr(id).expect("bound").port();
    assert!((32_768..=60_999).contains(&port), "{port}");
}

/// A table has room for its limit of sockets and not for one more; who leaves makes room.
#[test]
fn the_table_of_sockets_is_bounded() {
    let mut w = Wire::with_sockets(3);
    let held: Vec<SocketId> = (0..3).map(|_| w.socket()).collect();
    assert_eq!(w.stack.socket(stack::Domain::V4, stack::SocketKind::Tcp, 0), Err(Errno::ENFILE));
    w.close(held[1]);
    let again = w.socket();
    assert_ne!(again, held[1], "a name is not used again");
    assert_eq!(w.stack.local_addr(held[1]), Err(Errno::EBADF));
}

/// A full table drops a SYN in silence and counts it.
#[test]
fn a_full_table_drops_syns() {
    let mut w = Wire::with_sockets(2);
    w.listen(5);
    for (port, answered) in [(1, true), (2, false)] {
        let mut syn = w.seg(SYN);
        (syn.ack, syn.src_port) = (0, port);
        w.receive(&syn);
        assert_eq!(w.drain_one().is_some(), answered);
    }
    assert_eq!(w.counter("SYNs dropped (half-open queue or table full)"), 1);
}

/// Half-open connections of one listener are bounded, and those that ended make room.
#[test]
fn half_open_connections_are_bounded() {
    const MAX: u16 = 1024;
    let mut w = Wire::new();
    w.listen(5);
    let mut syn_from = |port: u16| {
        let mut syn = w.seg(SYN);
        (syn.ack, syn.src_port) = (0, port);
        w.receive(&syn);
        let answer = w.drain_one();
        if port == MAX {
            assert!(answer.is_none());
            let mut rst = w.seg(RST);
            (rst.seq, rst.src_port) = (w.peer_nxt.wrapping_add(1), 5);
            w.receive(&rst);
        }
        answer.is_some()
    };
    assert!((0..MAX).all(&mut syn_from));
    assert!(!syn_from(MAX));
    assert!(syn_from(MAX + 1), "one was reset");
    assert!(!syn_from(MAX + 2));
    assert_eq!(w.counter("SYNs dropped (half-open queue or table full)"), 2);
}

/// RFC 5961 §7: the limit of challenges is one a second: the next second has its own.
#[test]
fn each_second_has_its_own_challenges() {
    let mut w = Wire::new();
    w.connected(&Offer::PLAIN);
    for _ in 0..1001 {
        w.receive(&w.seg(SYN));
    }
    assert_eq!(w.drain().len(), 1000);
    w.advance(1_000);
    w.receive(&w.seg(SYN));
    assert_eq!(w.drain().len(), 1);
}

/// RFC 7323 §5.4: timestamps of different connections are unrelated.
#[test]
fn timestamps_begin_anywhere() {
    let mut w = Wire::new();
    let values: Vec<u32> = (0..2).map(|_| w.connecting().1.options.timestamps.expect("offered").0).collect();
    assert!(values[0].abs_diff(values[1]) > 10_000, "{values:?}");
}

/// The clock of timestamps runs in milliseconds (RFC 7323 §4.1: between 1 ms and 1 s a tick).
#[test]
fn timestamps_count_milliseconds() {
    let mut w = Wire::new();
    let (_, syn) = w.connecting();
    w.advance(1_100);
    let again = w.expect_flags(SYN);
    let value = |s: &Seg| s.options.timestamps.expect("offered").0;
    assert!((998..=1010).contains(&value(&again).wrapping_sub(value(&syn))));
}

/// RFC 6298 §2: without timestamps one segment a round trip is timed.
#[test]
fn a_round_trip_is_measured_without_timestamps() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.write(id, b"timed");
    w.advance(80);
    w.receive_ack(w.host_nxt.wrapping_add(5));
    // The handshake took no time: an eighth of 80 ms, a quarter of it as deviation.
    let info = w.stack.tcp_info(w.now, id).expect("a connection");
    assert_eq!((info.srtt.as_millis(), info.rttvar.as_millis()), (10, 20));
}

/// tcp(7) TCP_CONGESTION: changed on a live connection, the other algorithm acts: Reno halves.
#[test]
fn the_congestion_control_can_be_changed_on_a_live_connection() {
    for (name, ssthresh) in [("reno", 5000), ("cubic", 7000)] {
        let mut w = Wire::new();
        let id = w.connected(&Offer::PLAIN);
        w.set(id, SockOpt::Congestion(name.into()));
        w.write(id, &[1; 10_000]);
        w.advance(300);
        assert_eq!(w.stack.tcp_info(w.now, id).map(|i| i.ssthresh), Some(ssthresh), "{name}");
    }
}

/// tcp(7) TCP_MAXSEG bounds what is announced and what is sent, also when set later.
#[test]
fn maxseg_bounds_segments() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    w.set(id, SockOpt::MaxSeg(400));
    w.write(id, &[1; 1000]);
    assert_eq!(w.drain().iter().map(|s| s.data.len()).collect::<Vec<_>>(), [400, 400, 200]);
    let mut w = Wire::new();
    let id = w.socket();
    w.set(id, SockOpt::MaxSeg(400));
    let now = w.now;
    assert!(w.stack.connect(now, id, Some(Wire::peer_addr())).is_err());
    w.run();
    assert_eq!(w.expect_flags(SYN).options.mss, Some(400));
}

/// Large payload in order goes to a program that takes it from its frame; what it leaves, and what comes
/// while something waits or a gap is open, goes through the ring. All is acknowledged the same.
#[test]
fn bytes_taken_from_the_frame_and_from_the_ring_are_one_stream() {
    let mut w = Wire::with_mtu(20_000);
    let id = w.connected(&Offer::PLAIN);
    let bytes: Vec<u8> = (0..60_000u32).map(|i| (i % 253) as u8).collect();
    w.program.takes = 8_000;
    w.receive_data(&bytes[..9_000]);
    assert_eq!((w.program.taken.len(), w.peek(id).len()), (8_000, 1_000));
    assert!(w.events(id).contains(Events::READABLE));
    w.receive_data(&bytes[9_000..18_000]);
    assert_eq!(w.program.taken.len(), 8_000, "bytes wait in the ring: their order is kept");
    let mut got = w.program.taken.clone();
    got.extend(w.read(id));
    w.program.taken.clear();
    w.receive_data(&bytes[18_000..26_191]);
    assert_eq!(w.program.taken.len(), 0, "small ones are gathered");
    got.extend(w.read(id));
    w.program.takes = usize::MAX;
    w.receive_data(&bytes[26_191..34_383]);
    assert_eq!((w.program.taken.len(), w.peek(id).len()), (8_192, 0));
    assert!(!w.events(id).contains(Events::READABLE) || w.peek(id).is_empty());
    let mut ahead = w.seg(ACK);
    ahead.seq = ahead.seq.wrapping_add(10_000);
    ahead.data = bytes[44_383..54_383].to_vec();
    w.receive(&ahead);
    got.append(&mut w.program.taken);
    w.receive_data(&bytes[34_383..44_383]);
    assert_eq!(w.program.taken.len(), 0, "behind it waits what came before");
    got.extend(w.read(id));
    assert_eq!(got, bytes[..54_383]);
    assert_eq!(w.drain().last().map(|s| s.ack), Some(w.peer_nxt.wrapping_add(10_000)));
}

/// SACK blocks come out of the room for data: the segment stays within the MSS that was agreed
/// (RFC 6691).
#[test]
fn sack_blocks_leave_less_room_for_data() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::SACK);
    let mut s = w.seg(ACK);
    for (at, room) in [(1000u32, 1000 - 12), (3000, 1000 - 20), (5000, 1000 - 28), (7000, 1000 - 36), (9000, 1000 - 36)]
    {
        s.seq = w.peer_nxt.wrapping_add(at);
        s.data = vec![1; 500];
        w.receive(&s);
        w.drain();
        w.write(id, &[1; 1200]);
        let sent = w.drain();
        assert_eq!(sent[0].data.len(), room, "{at}");
        let all: u32 = sent.iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(all);
        w.receive(&w.seg(ACK));
        let rest: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(rest);
        w.receive(&w.seg(ACK));
        s.ack = w.host_nxt;
    }
}

/// RFC 2883 §4.1: of a segment that is partly old the old part is reported.
#[test]
fn the_old_part_of_a_segment_is_reported() {
    let mut w = Wire::new();
    w.connected(&Offer::SACK);
    let base = w.peer_nxt;
    w.receive_data(&[1; 300]);
    w.drain();
    let mut s = w.seg(ACK);
    (s.seq, s.data) = (base.wrapping_add(100), vec![1; 500]);
    w.receive(&s);
    let ack = w.expect_flags(ACK);
    let blocks: Vec<_> =
        ack.options.sack.iter().map(|(a, b)| (a.0.wrapping_sub(base), b.0.wrapping_sub(base))).collect();
    assert_eq!((ack.ack.wrapping_sub(base), blocks), (600, vec![(100, 300)]));
}

/// A program that empties more than half of its buffer in a round trip gets a larger one, and the peer a
/// larger window; one that set SO_RCVBUF keeps what it asked for (socket(7)).
#[test]
fn the_receive_buffer_grows_with_its_use() {
    for fixed in [false, true] {
        let mut w = Wire::new();
        let id = w.connected(&Offer { scale: Some(0), ..Offer::PLAIN });
        if fixed {
            w.set(id, SockOpt::RcvBuf(128 * 1024));
        }
        let limit = |w: &Wire| w.stack.rx_ring(id).expect("open").limit();
        let before = limit(&w);
        w.receive_data(&[1; 1000]);
        w.read(id);
        w.advance(10);
        w.receive_data(&[1; 1000]);
        w.read(id);
        assert_eq!(limit(&w), before, "little was taken");
        for _ in 0..before / 1000 {
            w.receive_data(&[1; 1000]);
            w.read(id);
        }
        w.advance(10);
        w.receive_data(&[1; 1000]);
        w.read(id);
        assert_eq!(limit(&w), if fixed { before } else { 2 * before });
    }
}

/// The send buffer follows the congestion window, so that it is not the limit.
#[test]
fn the_send_buffer_grows_with_the_window() {
    let mut w = Wire::new();
    let id = w.connected(&Offer { scale: Some(7), ..Offer::PLAIN });
    let limit = |w: &mut Wire| w.stack.tx_ring(id).expect("open").0.limit();
    let before = limit(&mut w);
    for _ in 0..100 {
        w.write(id, &vec![1; 1 << 20]);
        let sent: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(sent);
        w.receive(&w.seg(ACK));
        let more: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(more);
        w.receive(&w.seg(ACK));
        let more: u32 = w.drain().iter().map(|s| s.data.len() as u32).sum();
        w.host_nxt = w.host_nxt.wrapping_add(more);
    }
    let cwnd = w.stack.tcp_info(w.now, id).expect("a connection").cwnd as usize;
    let after = limit(&mut w);
    assert!(after > before && after >= cwnd && after <= 4 << 20, "{before} {after} {cwnd}");
}

/// A listener that goes takes its own half-open connections with it, and no others.
#[test]
fn half_open_connections_go_with_their_listener() {
    let mut w = Wire::new();
    let other = w.socket();
    w.stack.bind(other, at(HOST, 81), true).expect("free");
    w.stack.listen(other, 5).expect("bound");
    let listener = w.half_open(&Offer::PLAIN);
    let mut syn = w.seg(SYN);
    (syn.ack, syn.dst_port) = (0, 81);
    w.receive(&syn);
    w.close(listener);
    assert_eq!(count(&w, "SYN_RECEIVED"), 1);
    w.close(other);
    assert_eq!(count(&w, "SYN_RECEIVED"), 0);
}

/// netstat: a listener shows how many connections wait in it, and how many may.
#[test]
fn a_listener_shows_its_queue() {
    let mut w = Wire::new();
    let listener = w.half_open(&Offer::PLAIN);
    w.receive(&w.seg(ACK));
    w.stack.set_unclaimed(listener, 2);
    let mut shown = None;
    w.stack.for_each_socket(&mut |v| {
        if v.state == "LISTEN" {
            shown = Some((v.recv_queue, v.send_queue));
        }
    });
    assert_eq!(shown, Some((3, 5)));
}

/// A link that cuts segments gets all that may go at once, up to 64 KiB, in whole segments and with a rest
/// only at the end; each piece counts as a packet.
#[test]
fn a_link_that_cuts_segments_gets_many_at_once() {
    let mut w = Wire::with_segmentation();
    let id = w.connected(&Offer { scale: Some(7), ..Offer::PLAIN });
    w.write(id, &[1; 4500]);
    let sent = w.expect();
    assert_eq!((sent.data.len(), sent.gso), (4500, Some(1000)));
    w.write(id, &[1; 20_000]);
    let sent = w.expect();
    assert_eq!((sent.data.len(), sent.gso), (5_000, Some(1000)), "whole segments of what the window has left");
    assert_eq!(w.counter("data packets sent"), 10);
    w.host_nxt = w.host_nxt.wrapping_add(9_500);
    w.receive(&w.seg(ACK));
    let rest = w.drain();
    assert_eq!(rest.iter().map(|s| s.data.len()).sum::<usize>(), 15_000);
    assert_eq!(rest[0].gso, Some(1000));
    w.host_nxt = w.host_nxt.wrapping_add(15_000);
    w.receive(&w.seg(ACK));
    w.write(id, &[1; 700]);
    assert_eq!(w.expect().gso, None, "one segment needs no cutting");
    w.host_nxt = w.host_nxt.wrapping_add(700);
    w.receive(&w.seg(ACK));
    for _ in 0..40 {
        w.write(id, &[1; 100_000]);
        for s in w.drain() {
            assert!(s.data.len() + 120 <= 65_535 && s.data.len() % 1000 == 0, "{}", s.data.len());
            w.host_nxt = w.host_nxt.wrapping_add(s.data.len() as u32);
            w.receive(&w.seg(ACK));
        }
    }
}

/// connect(2) to AF_UNSPEC resets the connection; the socket can be connected anew.
#[test]
fn a_disconnected_socket_can_connect_again() {
    let mut w = Wire::new();
    let id = w.connected(&Offer::PLAIN);
    let now = w.now;
    w.stack.connect(now, id, None).expect("disconnected");
    w.run();
    assert!(w.expect().flags.contains(RST));
    assert_eq!((w.state(), w.stack.peer_addr(id)), ("", Err(Errno::ENOTCONN)));
    w.receive(&w.seg(ACK));
    assert!(w.expect().flags.contains(RST), "the flow is gone");
    assert_eq!(w.stack.connect(now, id, Some(Wire::peer_addr())), Err(Errno::EINPROGRESS));
    w.run();
    w.expect_flags(SYN);
}
