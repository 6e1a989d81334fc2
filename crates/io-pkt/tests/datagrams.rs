//! UDP sockets of one instance, over `lo0`, the protocol spoken by hand.

mod support;

use errno::Errno;
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags};
use sockets::WireAddr;
use sockets::call::Op;
use sockets::datagram::{Header, flag};
use support::*;

fn send_to(s: &Sock, to: std::net::SocketAddr, payload: &[u8]) {
    let header = Header { key: s.info.key, flags: flag::ADDR, addr: WireAddr::from(to), ..Header::default() };
    let mut message = header.to_bytes().to_vec();
    message.extend_from_slice(payload);
    rustix::net::send(&s.fd, &message, SendFlags::empty()).expect("send");
}

fn receive(s: &Sock) -> (Header, Vec<u8>) {
    wait(&s.fd, PollFlags::IN);
    let mut bytes = vec![0; 70_000];
    let (n, _) = rustix::net::recv(&s.fd, &mut bytes[..], RecvFlags::empty()).expect("recv");
    let (header, payload) = Header::parse(&bytes[..n]).expect("a header");
    (header, payload.to_vec())
}

#[test]
fn datagrams_keep_their_borders_and_tell_their_source_even_when_empty() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (a, b) = (program.udp(), program.udp());
    program.bind(&a, "127.0.0.1:0").expect("bind");
    program.bind(&b, "127.0.0.1:0").expect("bind");
    let (to, from) = (program.local(&b), program.local(&a));
    for payload in [&b"one"[..], b"", b"three", &pattern(9000)] {
        send_to(&a, to, payload);
        let (header, got) = receive(&b);
        assert_eq!(got, payload);
        assert_eq!(header.addr.socket_addr(), Some(from));
        assert_eq!(header.flags, flag::ADDR);
    }
}

#[test]
fn a_bare_write_on_a_connected_socket_goes_to_its_peer() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (a, b) = (program.udp(), program.udp());
    program.bind(&b, "127.0.0.1:0").expect("bind");
    let to = program.local(&b);
    program.call(Op::Connect, a.info.handle, &WireAddr::from(to).to_bytes(), &[]).expect("connect");
    rustix::io::write(&a.fd, b"bare").expect("write");
    assert_eq!(receive(&b).1, b"bare");
    rustix::net::send(&a.fd, b"", SendFlags::empty()).expect("an empty one");
    assert_eq!(receive(&b).1, b"");
}

#[test]
fn ancillary_data_comes_where_it_was_asked_for() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (a, b) = (program.udp(), program.udp());
    program.bind(&b, "127.0.0.1:0").expect("bind");
    for name in [libc::IP_PKTINFO, libc::IP_RECVTTL] {
        program.set_int_option(&b, libc::IPPROTO_IP, name, 1).expect("set");
    }
    let to = program.local(&b);
    send_to(&a, to, b"x");
    let (header, _) = receive(&b);
    assert_eq!(header.flags, flag::ADDR | flag::PKTINFO | flag::TTL);
    assert_eq!((header.ttl, header.ifindex), (64, 1));
    assert_eq!(header.local.ip_addr(), Some(to.ip()));
}

#[test]
fn an_unreachable_port_becomes_an_error_of_the_connected_sender() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (a, b) = (program.udp(), program.udp());
    program.bind(&b, "127.0.0.1:0").expect("bind");
    let to = program.local(&b);
    program.call(Op::Connect, a.info.handle, &WireAddr::from(to).to_bytes(), &[]).expect("connect");
    drop(b);
    // The daemon has to see the close first.
    let since = std::time::Instant::now();
    loop {
        rustix::io::write(&a.fd, b"anyone?").expect("write");
        std::thread::sleep(std::time::Duration::from_millis(10));
        if now(&a.fd).contains(PollFlags::IN) {
            break;
        }
        assert!(since.elapsed() < PATIENCE);
    }
    let (header, payload) = receive(&a);
    assert_eq!((header.flags, header.errno, payload.len()), (flag::ERROR, Errno::ECONNREFUSED.0, 0));
}

#[test]
fn a_sender_that_outruns_the_reader_loses_datagrams_and_the_daemon_goes_on() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (a, b) = (program.udp(), program.udp());
    program.bind(&b, "127.0.0.1:0").expect("bind");
    let to = program.local(&b);
    for _ in 0..2000 {
        send_to(&a, to, &[7; 1000]);
    }
    assert_eq!(program.int_option(&b, libc::SOL_SOCKET, libc::SO_ERROR), 0);
    let mut got = 0;
    while now(&b.fd).contains(PollFlags::IN) {
        receive(&b);
        got += 1;
    }
    assert!((1..2000).contains(&got), "{got}");
}
