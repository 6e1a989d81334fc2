//! Drivers that fail and go on failing, as the daemon's links have them, on time of the test's own: they cost
//! next to nothing, and one whose device is gone is a link that is down.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use abi::Errno;
use io_pkt::args::Variant;
use io_pkt::links::{self, Links, PortCounters};
use module_tests::build::compile_c;
use stack::{Duration, Instant, LinkId, Payload, SocketId, Stack, TxBatch, TxFrame};

struct Nobody;

impl stack::Sink for Nobody {
    fn datagram(&mut self, _socket: SocketId, _meta: &stack::RecvMeta, _payload: &[u8]) -> bool {
        false
    }

    fn datagram_error(&mut self, _socket: SocketId) {}
}

/// A daemon's loop about one link of `failing-driver.c`.
struct Loop {
    epoll: OwnedFd,
    links: Links,
    stack: Stack,
    id: LinkId,
    now: Instant,
}

impl Loop {
    /// `test` names the module's file, since one file is one set of variables.
    fn with(test: &str, options: &str) -> Loop {
        let path = compile_c("tests/modules/c/failing-driver.c", &format!("devnp-failing-{test}.so"), &[]);
        // SAFETY: a new descriptor, owned at once.
        let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        let mut links = Links::new(epoll.try_clone().unwrap());
        let mut stack = Stack::new(Variant::V6Hc.stack_config(1));
        let now = Instant::from_millis(1);
        let attached = links.attach(now, &mut stack, &path.to_string_lossy(), options).unwrap();
        let id = stack.net.link_by_name(&attached.names[0]).unwrap();
        Loop { epoll, links, stack, id, now }
    }

    /// Takes turns until so much time has passed; how many it took.
    fn run(&mut self, time: Duration) -> usize {
        let end = self.now + time;
        let mut turns = 0;
        loop {
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
            // SAFETY: room for eight events.
            let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 8, 0) };
            if n == 0 && !self.links.has_pending() {
                let next = self.links.next_deadline();
                if next > end {
                    self.now = end;
                    return turns;
                }
                self.now = self.now.max(next);
            }
            for event in &events[..n as usize] {
                self.links.note(event.u64 & !links::TOKEN, event.events);
            }
            self.links.receive(self.now, &mut self.stack, &mut Nobody);
            turns += 1;
            assert!(turns < 10_000, "the loop spins");
        }
    }

    fn send(&mut self) {
        let frame = TxFrame { link: self.id, start: 0, header_len: 60, payload: Payload::None, csum: None, gso: None };
        self.links.transmit(&TxBatch { arena: vec![0; 60], frames: vec![frame] });
    }

    fn counters(&mut self) -> PortCounters {
        self.links.counters(self.id)
    }

    fn is_up(&self) -> bool {
        self.stack.net.link(self.id).unwrap().link_up
    }
}

#[test]
fn a_driver_that_fails_for_ever_is_asked_ever_less_often() {
    for (test, options) in [("eio", "rx=5,after=3"), ("eio-hangup", "rx=5,after=3,hangup")] {
        let mut l = Loop::with(test, options);
        let turns = l.run(Duration::from_secs(60));
        // 100 ms, 200 ms, … 3.2 s, then every 5 s.
        assert_eq!(l.counters().rx_errors, 17, "{options}");
        assert!(turns <= 40, "{turns} turns in a minute with {options}");
        assert!(l.is_up(), "what a driver does not say is not presumed");
        l.links.destroy(l.now, &mut l.stack, l.id).unwrap();
        // The pause that had begun may still end.
        assert!(l.run(Duration::from_secs(60)) <= 1);
    }
}

#[test]
fn a_driver_whose_device_is_gone_is_a_link_down_and_asked_no_more() {
    for (test, options) in [("gone", "rx=19,after=3"), ("gone-hangup", "rx=19,after=3,hangup")] {
        let mut l = Loop::with(test, options);
        l.run(Duration::from_secs(60));
        assert_eq!((l.is_up(), l.counters().rx_errors), (false, 1), "{options}");
        l.send();
        assert_eq!(l.counters().tx_errors, 1, "it is not even offered frames");
        assert_eq!(l.run(Duration::from_secs(60)), 0);
        l.links.destroy(l.now, &mut l.stack, l.id).unwrap();
    }
}

#[test]
fn sending_tells_as_well_that_the_device_is_gone() {
    let mut l = Loop::with("gone-tx", &format!("rx={},tx=19,after=2", Errno::EIO.0));
    l.run(Duration::ZERO);
    l.send();
    l.send();
    assert_eq!((l.is_up(), l.counters().tx_errors), (true, 0));
    l.send();
    l.run(Duration::from_secs(60));
    assert_eq!((l.is_up(), l.counters().tx_errors), (false, 1));
    let asked = l.counters().rx_errors;
    l.run(Duration::from_secs(60));
    assert_eq!(l.counters().rx_errors, asked);
}
