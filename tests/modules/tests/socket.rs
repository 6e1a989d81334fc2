//! devnp-socket: two links, or a link and a plain datagram socket as QEMU has, at the ends of a path.

use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abi::{Errno, Offload};
use io_pkt::modules::{LinkDevice, Packet};
use module_tests::build::modules;
use module_tests::frames::{BROADCAST, EXPERIMENTAL, Port, ethernet, ethertype};

/// A directory of the test's own, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("iopkt-socket-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn options(&self, local: &str, remote: &str) -> String {
        format!("local={},remote={}", self.path(local).display(), self.path(remote).display())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn attach(options: &str) -> (LinkDevice, Port) {
    let mut devices = modules().attach_driver("socket", options).unwrap_or_else(|e| panic!("{e}"));
    let mut device = devices.remove(0);
    let port = Port::new(&mut device);
    (device, port)
}

#[test]
fn two_links_find_each_other_whoever_is_first() {
    let dir = Dir::new("two");
    let (a, mut at_a) = attach(&dir.options("a", "b"));
    assert!(!a.is_up());
    let (b, mut at_b) = attach(&format!("{},mtu=9000", dir.options("b", "a")));
    assert!(b.is_up());
    assert_ne!(a.mac(), b.mac());
    assert!(at_a.state_change(&a), "the peer came");
    let frame = ethernet(BROADCAST, a.mac(), EXPERIMENTAL, &[7; 9000]);
    at_a.send(&frame);
    assert_eq!(at_b.expect("the frame, whole", |_, _| true), (frame, Offload::NONE));
    at_b.send(&ethernet(BROADCAST, b.mac(), EXPERIMENTAL, &[8; 50]));
    at_a.expect("the other way", |f, _| f[14] == 8);
    // One end goes, and comes again.
    b.detach();
    drop(at_b);
    assert!(!dir.path("b").exists());
    assert!(!at_a.state_change(&a));
    let (_b, mut at_b) = attach(&dir.options("b", "a"));
    assert!(at_a.state_change(&a));
    at_a.send(&ethernet(BROADCAST, a.mac(), EXPERIMENTAL, &[9; 50]));
    at_b.expect("as before", |f, _| f[14] == 9);
}

#[test]
fn a_peer_is_found_in_a_directory_that_comes_goes_and_comes_back() {
    let dir = Dir::new("later");
    let (a, mut at_a) = attach(&dir.options("a", "x/y/b"));
    assert!(!a.is_up());
    for _ in 0..3 {
        std::fs::create_dir_all(dir.path("x/y")).unwrap();
        // Others that come and go are nothing to us.
        std::fs::write(dir.path("x/y/other"), "").unwrap();
        let _peer = UnixDatagram::bind(dir.path("x/y/b")).unwrap();
        assert!(at_a.state_change(&a), "the peer came");
        std::fs::remove_dir_all(dir.path("x")).unwrap();
        assert!(!at_a.state_change(&a), "its name is gone");
    }
}

#[test]
fn a_peer_as_qemu_has_it() {
    let dir = Dir::new("qemu");
    // QEMU's socket is bound and not connected; it names the destination in each call.
    let qemu = UnixDatagram::bind(dir.path("q")).unwrap();
    qemu.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (device, mut port) = attach(&dir.options("i", "q"));
    assert!(device.is_up());
    qemu.send_to(&ethernet(device.mac(), [2; 6], EXPERIMENTAL, &[1; 46]), dir.path("i")).unwrap();
    port.expect("its frame", |f, _| ethertype(f) == Some(EXPERIMENTAL));
    port.send(&ethernet([2; 6], device.mac(), EXPERIMENTAL, &[2; 60]));
    let mut buf = [0; 100];
    assert_eq!(qemu.recv(&mut buf).unwrap(), 74);
    // It dies without a word; sending finds out, and what is sent is dropped and counted.
    drop(qemu);
    port.send(&ethernet([2; 6], device.mac(), EXPERIMENTAL, &[3; 60]));
    assert!(!port.state_change(&device));
    port.send(&ethernet([2; 6], device.mac(), EXPERIMENTAL, &[4; 60]));
    let mut device = device;
    assert_eq!(device.stats().unwrap().tx_dropped, 2);
    // A new one takes its place: its first frame comes through, and brings the link up.
    std::fs::remove_file(dir.path("q")).unwrap();
    let qemu = UnixDatagram::bind(dir.path("q")).unwrap();
    qemu.send_to(&ethernet(device.mac(), [2; 6], EXPERIMENTAL, &[5; 46]), dir.path("i")).unwrap();
    port.expect("a frame from the new one", |f, _| f[14] == 5);
    assert!(device.is_up());
}

#[test]
fn a_slow_peer_stops_the_sender_and_lets_it_go_on() {
    let dir = Dir::new("slow");
    let peer = UnixDatagram::bind(dir.path("p")).unwrap();
    let (_device, mut port) = attach(&dir.options("i", "p"));
    let frame = [5; 1514];
    let packet = Packet { head: &frame, slices: &[], offload: Offload::NONE };
    let taken = port.queue.tx(std::iter::repeat_n(packet, 100_000)).unwrap();
    assert!(taken < 100_000);
    let writable = |port: &Port| {
        let mut poll = libc::pollfd { fd: port.queue.tx_fd().unwrap(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    };
    assert!(!writable(&port));
    let mut buf = [0; 2000];
    for _ in 0..taken {
        assert_eq!(peer.recv(&mut buf).unwrap(), frame.len());
    }
    assert!(writable(&port));
    assert_eq!(port.queue.tx([packet]), Ok(1));
}

#[test]
fn an_inherited_pair() {
    for seqpacket in [false, true] {
        let kind = if seqpacket { libc::SOCK_SEQPACKET } else { libc::SOCK_DGRAM };
        let mut fds = [0; 2];
        // SAFETY: two descriptors are written; each is owned once below.
        assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) }, 0);
        // SAFETY: as above. UnixDatagram calls only send and recv.
        let peer: UnixDatagram = unsafe { std::os::fd::FromRawFd::from_raw_fd(fds[1]) };
        let (device, mut port) = attach(&format!("fd={}", fds[0]));
        assert!(device.is_up());
        peer.send(&ethernet(device.mac(), [2; 6], EXPERIMENTAL, &[1; 46])).unwrap();
        port.expect("a frame", |f, _| ethertype(f) == Some(EXPERIMENTAL));
        port.send(&ethernet([2; 6], device.mac(), EXPERIMENTAL, &[2; 60]));
        assert_eq!(peer.recv(&mut [0; 100]).unwrap(), 74);
        drop(peer);
        if !seqpacket {
            // Only sending tells.
            port.send(&ethernet([2; 6], device.mac(), EXPERIMENTAL, &[3; 60]));
        }
        assert!(!port.state_change(&device));
    }
}

#[test]
fn paths_are_taken_over_only_from_the_dead() {
    let dir = Dir::new("stale");
    let error = |options: &str| modules().attach_driver("socket", options).err();
    drop(UnixDatagram::bind(dir.path("dead")).unwrap());
    drop(attach(&dir.options("dead", "b")));
    let _living = UnixDatagram::bind(dir.path("living")).unwrap();
    assert_eq!(error(&dir.options("living", "b")).unwrap().errno(), Errno::EADDRINUSE);
    std::fs::write(dir.path("file"), "precious").unwrap();
    let refused = error(&dir.options("file", "b")).unwrap();
    assert_eq!(refused.errno(), Errno::EEXIST);
    let text = format!("socket: local={}: File exists (os error 17)", dir.path("file").display());
    assert_eq!(refused.to_string(), text);
    assert!(Path::new(&dir.path("file")).exists());
    for wrong in ["", "local=/a", "fd=1,local=/a", "fd=999999"] {
        assert_eq!(error(wrong).unwrap().errno(), Errno::EINVAL, "{wrong}");
    }
    let file = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
    assert_eq!(error(&format!("fd={file}")).unwrap().to_string(), format!("socket: fd={file}: is no open socket"));
}
