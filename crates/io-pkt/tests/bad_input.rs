//! Programs that are broken or hostile: the daemon counts, refuses and goes on, and nothing leaks.

mod support;

use std::os::fd::{AsFd, OwnedFd};

use errno::Errno;
use msg::Connection;
use rustix::net::SendFlags;
use sockets::call::{Op, RequestHeader};
use sockets::config::{Reply, Request};
use support::*;

/// A fixed sequence of numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let n = self.next() as usize % max;
        (0..n).map(|_| self.next() as u8).collect()
    }
}

fn alive(daemon: &Daemon) {
    let mut program = daemon.client();
    let (a, b) = program.connection();
    write_all(&a, b"alive");
    assert_eq!(read_exact(&b, 5), b"alive");
}

#[test]
fn garbage_on_the_channel_is_answered_with_an_errno() {
    let daemon = Daemon::start();
    let mut numbers = Numbers(1);
    let mut reply = vec![0; 1024];
    let mut connection = Connection::open(daemon.ctl()).expect("open");
    for _ in 0..2000 {
        let mut message = numbers.bytes(200);
        message.push(0);
        let (n, _) = connection.send(&message, &[], &mut reply).expect("an answer");
        assert_eq!(n, 8);
        assert_ne!(i32::from_ne_bytes(reply[..4].try_into().expect("four")), 0);
    }
    // Well-formed heads with random bodies, on a real socket and on none.
    let mut program = daemon.client();
    let victim = program.tcp();
    for _ in 0..5000 {
        let body = numbers.bytes(120);
        let Some(op) = Op::from_u16(1 + (numbers.next() % 16) as u16) else { continue };
        if op == Op::Config {
            continue; // a random Stop would be obeyed
        }
        let handle = if numbers.next().is_multiple_of(2) { victim.info.handle } else { numbers.next() };
        let mut message = RequestHeader { op, len: body.len() as u32, handle }.to_bytes().to_vec();
        message.extend_from_slice(&body);
        connection.send(&message, &[], &mut reply).expect("an answer");
    }
    alive(&daemon);
}

#[test]
fn random_configuration_requests_do_no_harm() {
    let daemon = Daemon::start();
    let mut numbers = Numbers(2);
    let mut program = daemon.client();
    for _ in 0..5000 {
        let body = numbers.bytes(80);
        if postcard::from_bytes::<Request>(&body).is_ok_and(|r| r == Request::Stop) {
            continue;
        }
        let _ = program.call(Op::Config, 0, &body, &[]);
    }
    assert!(matches!(program.config(&Request::Status), Reply::Status(_)));
}

#[test]
fn descriptors_sent_along_with_anything_are_closed() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let socket = program.udp();
    alive(&daemon);
    let before = daemon.descriptors();
    let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("open"));
    let many = vec![null.as_fd(); msg::FDS_MAX];
    let mut reply = [0; 64];
    for _ in 0..50 {
        program.connection.send(b"garbage", &many, &mut reply).expect("an answer");
    }
    // And on a datagram pair, where none are expected at all.
    for _ in 0..50 {
        let control = &mut [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = rustix::net::SendAncillaryBuffer::new(control);
        let passed = [null.as_fd()];
        assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&passed)));
        rustix::net::sendmsg(&socket.fd, &[std::io::IoSlice::new(b"x")], &mut ancillary, SendFlags::empty())
            .expect("sendmsg");
    }
    alive(&daemon);
    daemon.wait_for_descriptors(before);
}

#[test]
fn random_bytes_on_every_pair_do_no_harm() {
    let daemon = Daemon::start();
    let mut numbers = Numbers(3);
    let mut program = daemon.client();
    let (listener, addr) = program.listener();
    let (fresh, udp) = (program.tcp(), program.udp());
    let connecting = program.tcp();
    let _ = program.begin_connect(&connecting, addr);
    for s in [&listener, &fresh, &udp, &connecting] {
        for _ in 0..300 {
            let _ = rustix::net::send(&s.fd, &numbers.bytes(300), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }
    alive(&daemon);
}

#[test]
fn a_socket_that_lies_in_its_own_queue_does_not_live_for_ever() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    alive(&daemon);
    let before = daemon.descriptors();
    for listening in [false, true] {
        let s = program.tcp();
        if listening {
            program.bind(&s, "127.0.0.1:0").expect("bind");
            program.listen(&s, 4).expect("listen");
        }
        let control = &mut [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = rustix::net::SendAncillaryBuffer::new(control);
        let passed = [s.fd.as_fd()];
        assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&passed)));
        rustix::net::sendmsg(&s.fd, &[std::io::IoSlice::new(b"x")], &mut ancillary, SendFlags::empty())
            .expect("sendmsg");
    }
    daemon.wait_for_descriptors(before);
    alive(&daemon);
}

#[test]
fn a_client_that_never_reads_its_replies_harms_nobody() {
    let daemon = Daemon::start();
    let idle = Connection::open(daemon.ctl()).expect("open");
    let message = RequestHeader { op: Op::Config, len: 1, handle: 0 }.to_bytes();
    let mut request = message.to_vec();
    request.extend_from_slice(&postcard::to_allocvec(&Request::Status).expect("encodes"));
    for _ in 0..5000 {
        if rustix::net::send(&idle, &request, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_err() {
            break;
        }
    }
    alive(&daemon);
}

#[test]
fn sockets_and_clients_that_come_and_go_leave_nothing_behind() {
    let daemon = Daemon::start();
    alive(&daemon);
    let before = daemon.descriptors();
    for _ in 0..20 {
        let mut program = daemon.client();
        let (listener, addr) = program.listener();
        let pairs: Vec<_> = (0..10)
            .map(|_| {
                let s = program.tcp();
                let _ = program.begin_connect(&s, addr);
                (s, program.udp())
            })
            .collect();
        let first = accept(&listener);
        write_all(&first, b"unread");
        drop(pairs);
    }
    daemon.wait_for_descriptors(before);
    alive(&daemon);
}

#[test]
fn a_wrong_handle_is_ebadf_and_a_wrong_family_eafnosupport() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    assert_eq!(program.call(Op::Listen, 12_345, &1i32.to_ne_bytes(), &[]).map(drop), Err(Errno::EBADF));
    assert_eq!(program.socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).err(), Some(Errno::EAFNOSUPPORT));
    assert_eq!(program.socket(libc::AF_INET, libc::SOCK_SEQPACKET, 0).err(), Some(Errno::ESOCKTNOSUPPORT));
}
