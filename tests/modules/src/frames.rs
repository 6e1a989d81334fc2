//! Frames written and read by hand, and waiting for them.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use io_pkt::modules::{FramePool, LinkDevice, LinkQueue, Packet};

use abi::Offload;

pub const BROADCAST: [u8; 6] = [0xff; 6];
/// IEEE 802 local experimental EtherType 1.
pub const EXPERIMENTAL: u16 = 0x88b5;
pub const ARP: u16 = 0x0806;

pub fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype.to_be_bytes(), payload].concat()
}

pub fn ethertype(frame: &[u8]) -> Option<u16> {
    frame.get(12..14).map(|b| u16::from_be_bytes([b[0], b[1]]))
}

/// An ARP packet (Ethernet, IPv4).
pub fn arp(operation: u16, from: ([u8; 6], [u8; 4]), to: ([u8; 6], [u8; 4])) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation as u8];
    [&head[..], &from.0, &from.1, &to.0, &to.1].concat()
}

/// Whether the descriptor becomes readable within the time.
pub fn readable(fd: RawFd, within: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, within.as_millis() as i32) > 0 }
}

/// A queue with its pool, as a shard has it.
pub struct Port {
    pub queue: LinkQueue,
    pub pool: FramePool,
}

impl Port {
    pub fn new(device: &mut LinkDevice) -> Port {
        Port::of(device, 0)
    }

    pub fn of(device: &mut LinkDevice, queue: usize) -> Port {
        let mut queue = device.take_queue(queue).expect("the queue is there, once");
        let pool = queue.make_pool(64).expect("a pool");
        Port { queue, pool }
    }

    pub fn send(&mut self, frame: &[u8]) {
        self.send_offloaded(frame, Offload::NONE);
    }

    pub fn send_offloaded(&mut self, frame: &[u8], offload: Offload) {
        let sent = self.queue.tx([Packet { head: frame, slices: &[], offload }]);
        assert_eq!(sent, Ok(1));
    }

    /// The first frame that fits, within two seconds.
    pub fn expect(&mut self, what: &str, fits: impl Fn(&[u8], &Offload) -> bool) -> (Vec<u8>, Offload) {
        let found = self.find(Duration::from_secs(2), fits);
        found.unwrap_or_else(|| panic!("no frame came: {what}"))
    }

    pub fn find(&mut self, within: Duration, fits: impl Fn(&[u8], &Offload) -> bool) -> Option<(Vec<u8>, Offload)> {
        let mut found = None;
        self.receive_until(within, |data, offload| {
            if fits(data, offload) {
                found = Some((data.to_vec(), *offload));
            }
            found.is_some()
        });
        found
    }

    /// Hands every frame to `each` until it says that it has seen enough, or time is up.
    pub fn receive_until(&mut self, within: Duration, mut each: impl FnMut(&[u8], &Offload) -> bool) {
        let end = Instant::now() + within;
        let fd = self.queue.fd().expect("a descriptor to poll");
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if !readable(fd, left) {
                return;
            }
            self.queue.rx(&mut self.pool).expect("rx");
            let enough = self.pool.frames().any(|frame| each(frame.data, &frame.offload));
            self.queue.done(&mut self.pool);
            if enough {
                return;
            }
        }
    }

    /// Copies of all frames of the next burst; none when time is up.
    pub fn burst(&mut self, within: Duration) -> Vec<(Vec<u8>, Offload)> {
        readable(self.queue.fd().expect("a descriptor to poll"), within);
        self.queue.rx(&mut self.pool).expect("rx");
        let frames = self.pool.frames().map(|f| (f.data.to_vec(), f.offload)).collect();
        self.queue.done(&mut self.pool);
        frames
    }

    /// Polls the queue, whatever comes, until the device reports a change of state.
    pub fn state_change(&mut self, device: &LinkDevice) -> bool {
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            self.queue.rx(&mut self.pool).expect("rx");
            if let Some(status) = device.take_state_change() {
                return status.up;
            }
            readable(self.queue.fd().expect("a descriptor"), Duration::from_millis(50));
        }
        panic!("the link's state did not change");
    }
}
