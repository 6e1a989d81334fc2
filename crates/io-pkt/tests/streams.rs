//! TCP sockets of two programs on one instance, over `lo0`, the protocol spoken by hand.

mod support;

use errno::Errno;
use rustix::event::PollFlags;
use rustix::net::Shutdown;
use sockets::call::{Op, RequestHeader, SocketInfo, SocketState};
use support::*;

#[test]
fn bytes_go_both_ways_and_the_ends_arrive_in_order() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (client, server) = program.connection();
    write_all(&client, b"hello");
    assert_eq!(read_exact(&server, 5), b"hello");
    write_all(&server, b"world!");
    assert_eq!(read_exact(&client, 6), b"world!");
    // Half close: the other direction goes on.
    rustix::net::shutdown(&client.fd, Shutdown::Write).expect("shutdown");
    assert_eq!(read_to_end(&server), b"");
    write_all(&server, b"more");
    assert_eq!(read_exact(&client, 4), b"more");
    drop(server);
    assert_eq!(read_to_end(&client), b"");
    let flags = wait(&client.fd, PollFlags::IN);
    assert!(!flags.contains(PollFlags::ERR), "{flags:?}");
    assert_eq!(program.int_option(&client, libc::SOL_SOCKET, libc::SO_ERROR), 0);
}

#[test]
fn a_megabyte_arrives_whole_though_the_writer_closes_before_the_reader_begins() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (client, server) = program.connection();
    let data = pattern(8 << 20);
    let writer = std::thread::spawn({
        let data = data.clone();
        move || write_all(&client, &data)
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    let got = read_to_end(&server);
    writer.join().expect("the writer");
    assert_eq!(got.len(), data.len());
    assert!(got == data);
}

#[test]
fn a_fresh_socket_is_not_writable_while_it_connects_and_writable_after() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (listener, addr) = program.listener();
    let client = program.tcp();
    assert!(now(&client.fd).contains(PollFlags::OUT));
    assert_eq!(program.begin_connect(&client, addr), Err(Errno::EINPROGRESS));
    wait(&client.fd, PollFlags::OUT);
    assert_eq!(program.addr(Op::PeerAddr, &client), Ok(addr));
    let server = accept(&listener);
    assert_eq!(program.addr(Op::PeerAddr, &server), Ok(program.local(&client)));
    // No filler was taken for data.
    write_all(&client, b"x");
    assert_eq!(read_exact(&server, 1), b"x");
}

#[test]
fn a_waiting_connect_is_answered_by_the_result_of_the_handshake() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (listener, addr) = program.listener();
    let client = program.tcp();
    program.connect_and_wait(&client, addr).expect("somebody listens here");
    assert!(now(&client.fd).contains(PollFlags::OUT), "the fillers are gone");
    let server = accept(&listener);
    write_all(&client, b"data");
    assert_eq!(read_exact(&server, 4), b"data");

    let refused = program.tcp();
    let nobody = std::net::SocketAddr::new(addr.ip(), addr.port() ^ 1);
    assert_eq!(program.connect_and_wait(&refused, nobody), Err(Errno::ECONNREFUSED));
    assert_eq!(program.int_option(&refused, libc::SOL_SOCKET, libc::SO_ERROR), 0, "told already");
    assert!(now(&refused.fd).contains(PollFlags::HUP));
}

#[test]
fn a_handshake_goes_on_when_the_one_who_waits_for_it_gives_up() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let listener = program.tcp();
    program.bind(&listener, "127.0.0.1:0").expect("bind");
    program.listen(&listener, 0).expect("listen");
    let addr = program.local(&listener);
    let filling = program.tcp();
    program.connect(&filling, addr).expect("the one that the backlog has room for");
    let client = program.tcp();
    let mut body = sockets::WireAddr::from(addr).to_bytes().to_vec();
    body.extend_from_slice(&sockets::call::CONNECT_FILLERS.to_ne_bytes());
    rustix::io::write(&client.fd, &[0]).expect("a filler");
    rustix::io::write(&client.fd, &[0]).expect("a filler");
    let gives_up = daemon.client().connection;
    let mut message = RequestHeader { op: Op::ConnectAndWait, len: body.len() as u32, handle: client.info.handle }
        .to_bytes()
        .to_vec();
    message.extend_from_slice(&body);
    rustix::net::send(&gives_up, &message, rustix::net::SendFlags::empty()).expect("asked");
    let state = |program: &mut Client| {
        let (body, _) = program.call(Op::Identify, 0, &[], &[&client.fd]).expect("identify");
        SocketInfo::parse(&body).expect("info").state
    };
    let begin = std::time::Instant::now();
    while state(&mut program) == SocketState::Fresh {
        assert!(begin.elapsed() < PATIENCE, "the connect never began");
    }
    assert_eq!(state(&mut program), SocketState::Connecting);
    drop(gives_up);
    let (_first, second) = (accept(&listener), accept(&listener));
    assert!(!wait(&client.fd, PollFlags::OUT).contains(PollFlags::HUP));
    write_all(&client, b"data");
    assert_eq!(read_exact(&second, 4), b"data");
}

#[test]
fn a_refused_connect_hangs_up_tells_why_once_and_can_be_tried_again() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (listener, addr) = program.listener();
    let mut client = program.tcp();
    let nobody = std::net::SocketAddr::new(addr.ip(), addr.port() ^ 1);
    assert_eq!(program.connect(&client, nobody), Err(Errno::ECONNREFUSED));
    assert_eq!(program.int_option(&client, libc::SOL_SOCKET, libc::SO_ERROR), 0);
    assert!(now(&client.fd).contains(PollFlags::HUP));
    let (body, mut fds) = program.call(Op::Reopen, client.info.handle, &[], &[]).expect("reopen");
    client.info = SocketInfo::parse(&body).expect("info");
    client.fd = fds.pop().expect("a fresh pair");
    assert_eq!(client.info.state, SocketState::Fresh);
    program.connect(&client, addr).expect("somebody listens here");
    let server = accept(&listener);
    write_all(&server, b"ok");
    assert_eq!(read_exact(&client, 2), b"ok");
}

#[test]
fn closing_with_bytes_unread_resets_the_peer() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (client, server) = program.connection();
    write_all(&client, b"never read");
    wait(&server.fd, PollFlags::IN);
    drop(server);
    let flags = wait(&client.fd, PollFlags::RDHUP);
    assert!(flags.contains(PollFlags::HUP), "{flags:?}");
    assert_eq!(program.int_option(&client, libc::SOL_SOCKET, libc::SO_ERROR), Errno::ECONNRESET.0);
}

#[test]
fn a_killed_program_ends_its_connections() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (listener, addr) = program.listener();
    let before = daemon.descriptors();
    // A child that holds the only copy of its descriptor.
    let mut other = daemon.client();
    let theirs = other.tcp();
    other.connect(&theirs, addr).expect("connect");
    let server = accept(&listener);
    rustix::io::fcntl_setfd(&theirs.fd, rustix::io::FdFlags::empty()).expect("fcntl");
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    drop(theirs);
    drop(other);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(now(&server.fd) & PollFlags::IN, PollFlags::empty(), "the child still holds it");
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!(read_to_end(&server), b"");
    drop(server);
    daemon.wait_for_descriptors(before);
}

#[test]
fn a_full_backlog_is_drained_as_the_program_accepts() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let listener = program.tcp();
    program.bind(&listener, "127.0.0.1:0").expect("bind");
    program.listen(&listener, 4).expect("listen");
    let addr = program.local(&listener);
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let s = program.tcp();
            let _ = program.begin_connect(&s, addr);
            s
        })
        .collect();
    for _ in 0..clients.len() {
        let server = accept(&listener);
        write_all(&server, b"!");
    }
    for client in &clients {
        assert_eq!(read_exact(client, 1), b"!");
    }
}

#[test]
fn connections_queued_at_a_listener_that_dies_are_ended() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (listener, addr) = program.listener();
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let s = program.tcp();
            program.connect(&s, addr).expect("connect");
            s
        })
        .collect();
    drop(listener);
    for client in &clients {
        wait(&client.fd, PollFlags::IN);
        // By a FIN where Linux has a reset: tests/programs/deviations.txt.
        assert_eq!(program.int_option(client, libc::SOL_SOCKET, libc::SO_ERROR), 0);
    }
    let late = program.tcp();
    assert_eq!(program.connect(&late, addr), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_socket_that_has_ended_can_be_fresh_again_as_soon_as_there_is_room() {
    let daemon = Daemon::start_small();
    let mut program = daemon.client();
    let (client, server) = program.connection();
    rustix::net::shutdown(&client.fd, Shutdown::Write).expect("shutdown");
    assert_eq!(read_to_end(&server), b"");
    drop(server);
    assert_eq!(read_to_end(&client), b"");
    wait(&client.fd, PollFlags::HUP);
    let mut others = Vec::new();
    while let Ok(other) = program.socket(libc::AF_INET, libc::SOCK_STREAM, 0) {
        others.push(other);
    }
    let reopen = |program: &mut Client| program.call(Op::Reopen, client.info.handle, &[], &[]);
    assert_eq!(reopen(&mut program).map(drop), Err(Errno::ENFILE));
    others.truncate(others.len() / 2);
    let (body, fds) = reopen(&mut program).expect("there is room again");
    assert_eq!(SocketInfo::parse(&body).expect("info").state, SocketState::Fresh);
    assert_eq!(fds.len(), 1);
}

#[test]
fn identify_knows_a_socket_by_any_copy_of_its_descriptor() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (client, server) = program.connection();
    let copy = client.fd.try_clone().expect("dup");
    let file = std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").expect("open"));
    let (body, _) = program.call(Op::Identify, 0, &[], &[&copy, &file, &server.fd]).expect("identify");
    let infos: Vec<_> = body.chunks(SocketInfo::LEN).map(|b| SocketInfo::parse(b).expect("info")).collect();
    assert_eq!(infos.len(), 3);
    assert_eq!((infos[0].handle, infos[0].state), (client.info.handle, SocketState::Connected));
    assert_eq!(infos[1].handle, 0);
    assert_eq!(infos[2].handle, server.info.handle);
}

#[test]
fn shutdown_and_options_answer_as_linux_does() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let fresh = program.tcp();
    assert_eq!(program.call(Op::Shutdown, fresh.info.handle, &1i32.to_ne_bytes(), &[]).map(drop), Err(Errno::ENOTCONN));
    assert_eq!(program.addr(Op::PeerAddr, &fresh), Err(Errno::ENOTCONN));
    program.set_int_option(&fresh, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1).expect("set");
    assert_eq!(program.int_option(&fresh, libc::IPPROTO_TCP, libc::TCP_NODELAY), 1);
    assert_eq!(program.int_option(&fresh, libc::SOL_SOCKET, libc::SO_TYPE), libc::SOCK_STREAM);
    assert_eq!(program.set_int_option(&fresh, libc::SOL_SOCKET, 12_345, 1), Err(Errno::ENOPROTOOPT));
    let (client, server) = program.connection();
    write_all(&client, b"before the end");
    program.call(Op::Shutdown, client.info.handle, &1i32.to_ne_bytes(), &[]).expect("shutdown");
    assert_eq!(read_to_end(&server), b"before the end");
}

#[test]
fn a_port_is_free_as_soon_as_its_socket_is_closed() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (first, addr) = program.listener();
    let mut held = first;
    for _ in 0..200 {
        drop(held);
        held = program.tcp();
        program.bind(&held, &addr.to_string()).expect("the port was given up before");
        program.listen(&held, 1).expect("listen");
    }
}

#[test]
fn an_accepted_connection_outlives_its_listener() {
    let daemon = Daemon::start();
    let mut program = daemon.client();
    let (client, server) = program.connection(); // the listener is closed by now
    write_all(&client, b"read by the server");
    rustix::net::shutdown(&client.fd, Shutdown::Write).expect("shutdown");
    assert_eq!(read_to_end(&server), b"read by the server");
    drop(server);
    assert_eq!(read_to_end(&client), b"");
    assert_eq!(program.int_option(&client, libc::SOL_SOCKET, libc::SO_ERROR), 0);
}
