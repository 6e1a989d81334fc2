//! A channel and its clients: messages and replies, deaths, garbage, floods.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use errno::Errno;
use msg::{Channel, Connection, Event, FDS_MAX, Received};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

static NEXT: AtomicU32 = AtomicU32::new(0);

fn path() -> PathBuf {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("msg-test-{}-{n}", std::process::id()))
}

fn next(channel: &mut Channel, buf: &mut [u8]) -> Event {
    let since = Instant::now();
    loop {
        if let Some(event) = channel.receive(buf) {
            return event;
        }
        assert!(since.elapsed() < Duration::from_secs(5), "nothing comes");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn message(channel: &mut Channel, buf: &mut [u8]) -> Received {
    match next(channel, buf) {
        Event::Message(received) => received,
        Event::Disconnected(client) => panic!("{client:?} went away"),
    }
}

/// A client that does not keep to the rules: the bare socket.
fn raw(path: &std::path::Path) -> OwnedFd {
    let s = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .expect("socket");
    rustix::net::connect(&s, &SocketAddrUnix::new(path).expect("a name")).expect("connect");
    s
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

#[test]
fn a_message_is_answered_with_bytes_and_descriptors_and_its_sender_is_known() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut connection = Connection::open(&path).expect("open");
            let (mut reader, writer) = std::io::pipe().expect("pipe");
            let mut reply = [0; 64];
            let (n, fds) = connection.send(b"hello", &[writer.as_fd()], &mut reply).expect("reply");
            assert_eq!((&reply[..n], fds.len()), (&b"well met"[..], 1));
            drop((writer, fds));
            let mut text = String::new();
            reader.read_to_string(&mut text).expect("read");
            assert_eq!(text, "by your own pipe");
        }
    });
    let mut buf = [0; 64];
    let Received { rcvid, len, credentials, mut fds } = message(&mut channel, &mut buf);
    assert_eq!(&buf[..len], b"hello");
    assert_eq!(credentials.pid, std::process::id());
    assert_eq!(credentials.uid, rustix::process::getuid().as_raw());
    let mut pipe = std::fs::File::from(fds.pop().expect("a descriptor"));
    pipe.write_all(b"by your own pipe").expect("write");
    channel.reply(rcvid, &[IoSlice::new(b"well "), IoSlice::new(b"met")], &[pipe.as_fd()]).expect("the client waits");
    drop(pipe);
    client.join().expect("client");
    assert!(matches!(next(&mut channel, &mut buf), Event::Disconnected(c) if c == credentials));
    assert_eq!(channel.reply(rcvid, &[], &[]), Err(Errno::ESRCH), "a stale rcvid");
}

#[test]
fn an_error_is_eight_bytes() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = std::thread::spawn(move || {
        let mut reply = [0; 64];
        let (n, _) = Connection::open(&path).expect("open").send(b"?", &[], &mut reply).expect("reply");
        reply[..n].to_vec()
    });
    let received = message(&mut channel, &mut [0; 8]);
    channel.error(received.rcvid, Errno::EPERM).expect("the client waits");
    assert_eq!(client.join().expect("client"), [1, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_client_that_dies_before_its_reply_is_noticed_and_harms_nobody() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = raw(&path);
    rustix::net::send(&client, b"last words", SendFlags::empty()).expect("send");
    drop(client);
    let mut buf = [0; 64];
    let received = message(&mut channel, &mut buf);
    assert_eq!(channel.reply(received.rcvid, &[IoSlice::new(b"too late")], &[]), Err(Errno::ESRCH));
    assert!(matches!(next(&mut channel, &mut buf), Event::Disconnected(_)));
    assert!(channel.receive(&mut buf).is_none());
    assert_eq!(channel.clients(), 0);
}

#[test]
fn it_is_known_which_processes_have_a_connection() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let (own, mut buf) = (std::process::id(), [0; 64]);
    assert!(!channel.has_client_of(own));
    let both = [raw(&path), raw(&path)];
    assert!(channel.receive(&mut buf).is_none());
    for client in both {
        assert!(channel.has_client_of(own));
        drop(client);
        assert!(matches!(next(&mut channel, &mut buf), Event::Disconnected(c) if c.pid == own));
    }
    assert!(!channel.has_client_of(own));
}

#[test]
fn a_second_message_is_not_read_before_the_first_is_answered() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = raw(&path);
    for text in [b"1", b"2", b"3"] {
        rustix::net::send(&client, text, SendFlags::empty()).expect("send");
    }
    let mut buf = [0; 8];
    for text in [b"1", b"2", b"3"] {
        let received = message(&mut channel, &mut buf);
        assert_eq!(&buf[..received.len], text);
        assert!(channel.receive(&mut buf).is_none());
        channel.reply(received.rcvid, &[IoSlice::new(b"ok")], &[]).expect("reply");
        assert_eq!(channel.reply(received.rcvid, &[], &[]), Err(Errno::ESRCH), "answered already");
    }
}

#[test]
fn a_client_that_lets_replies_lie_is_cut_off() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = raw(&path);
    let mut buf = [0; 64];
    let big = vec![0; 60_000];
    for _ in 0..100 {
        if rustix::net::send(&client, b"more", SendFlags::NOSIGNAL).is_err() {
            break;
        }
        match next(&mut channel, &mut buf) {
            Event::Message(received) => drop(channel.reply(received.rcvid, &[IoSlice::new(&big)], &[])),
            Event::Disconnected(_) => break,
        }
    }
    assert_eq!((channel.counters().clients_cut_off, channel.clients()), (1, 0));
}

#[test]
fn messages_too_long_or_with_too_many_descriptors_are_refused_and_nothing_leaks() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = raw(&path);
    let mut buf = [0; 64];
    let mut reply = [0; 16];
    let mut refused = |channel: &mut Channel| {
        assert!(channel.receive(&mut buf).is_none());
        let (n, _) = rustix::net::recv(&client, &mut reply[..], rustix::net::RecvFlags::DONTWAIT).expect("an answer");
        assert_eq!((n, i32::from_ne_bytes([reply[0], reply[1], reply[2], reply[3]])), (8, Errno::EMSGSIZE.0));
    };
    rustix::net::send(&client, &[0; 65], SendFlags::empty()).expect("send");
    refused(&mut channel);
    let null = std::fs::File::open("/dev/null").expect("open");
    let before = open_descriptors();
    for _ in 0..20 {
        let fds = vec![null.as_fd(); 253]; // the kernel's own limit, SCM_MAX_FD
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
        rustix::net::sendmsg(&client, &[IoSlice::new(b"flood")], &mut control, SendFlags::empty()).expect("sendmsg");
        refused(&mut channel);
    }
    assert!(open_descriptors() <= before + 4, "other tests run beside this one");
    assert_eq!(channel.counters().messages_refused, 21);
    // Exactly as many as are allowed arrive, and close with the message.
    let fds = vec![null.as_fd(); FDS_MAX];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
    rustix::net::sendmsg(&client, &[IoSlice::new(b"just so")], &mut control, SendFlags::empty()).expect("sendmsg");
    assert_eq!(message(&mut channel, &mut [0; 64]).fds.len(), FDS_MAX);
}

#[test]
fn an_empty_message_ends_the_connection_and_garbage_is_a_message_like_any() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = raw(&path);
    let mut buf = [0; 64];
    rustix::net::send(&client, &[0xff; 60], SendFlags::empty()).expect("send");
    let received = message(&mut channel, &mut buf);
    assert_eq!(received.len, 60);
    channel.error(received.rcvid, Errno::EPROTO).expect("reply");
    rustix::net::send(&client, &[], SendFlags::empty()).expect("send");
    assert!(matches!(next(&mut channel, &mut buf), Event::Disconnected(_)));
}

#[test]
fn the_name_is_taken_over_from_the_dead_and_left_to_a_successor() {
    let path = path();
    let first = Channel::create(&path).expect("channel");
    let second = Channel::create(&path).expect("it takes the name");
    drop(first);
    assert!(path.exists(), "the name is the second's");
    Connection::open(&path).expect("it serves");
    drop(second);
    assert!(!path.exists());
    assert_eq!(Connection::open(&path).err(), Some(Errno::ENOENT));
}

#[test]
fn a_channel_that_goes_away_fails_those_who_wait() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let client = std::thread::spawn({
        let path = path.clone();
        move || Connection::open(&path).expect("open").send(b"?", &[], &mut [0; 8]).map(drop)
    });
    let received = message(&mut channel, &mut [0; 8]);
    drop(received);
    drop(channel);
    assert_eq!(client.join().expect("client"), Err(Errno::ECONNRESET));
}

#[test]
fn a_client_whose_next_message_always_waits_does_not_shut_others_out() {
    let path = path();
    let mut channel = Channel::create(&path).expect("channel");
    let busy = raw(&path);
    let mut buf = [0; 64];
    let ahead = |n| (0..n).for_each(|_| assert_eq!(rustix::net::send(&busy, b"again", SendFlags::empty()), Ok(5)));
    ahead(20);
    let first = message(&mut channel, &mut buf);
    channel.reply(first.rcvid, &[IoSlice::new(b"yes")], &[]).expect("the busy one waits");
    let mut late = None;
    for turn in 0..1000 {
        let other = late.get_or_insert_with(|| {
            let other = raw(&path);
            rustix::net::send(&other, b"a word", SendFlags::empty()).expect("room");
            other
        });
        let received = message(&mut channel, &mut buf);
        if received.len == 6 {
            channel.reply(received.rcvid, &[IoSlice::new(b"heard")], &[]).expect("the other waits");
            assert_eq!(rustix::net::recv(other, &mut buf, rustix::net::RecvFlags::DONTWAIT).map(|(n, _)| n), Ok(5));
            assert!(turn < 200, "heard only after {turn} messages of the busy one");
            return;
        }
        channel.reply(received.rcvid, &[IoSlice::new(b"yes")], &[]).expect("the busy one reads");
        assert!(rustix::net::recv(&busy, &mut buf, rustix::net::RecvFlags::DONTWAIT).is_ok(), "its reply");
        ahead(1);
    }
    panic!("never heard");
}
