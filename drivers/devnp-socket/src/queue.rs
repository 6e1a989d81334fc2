//! The wire at work, and the look now and then whether the peer is there.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use abi::burst::Burst;
use abi::{Counters, Errno, Failure, LinkState, Queue, RxSlot, TxPacket};
use hostlink::Readiness;

use crate::endpoint::Endpoint;

/// How often to look for a peer that is away, and whether one that is there still is: a datagram socket
/// does not tell.
const LOOK_WHEN_DOWN: Duration = Duration::from_millis(200);
const LOOK_WHEN_UP: Duration = Duration::from_secs(1);

/// A busy queue looks at its timer once in so many calls, an idle one at each wake-up.
const TIMER_EVERY: u32 = 64;

pub struct SocketQueue {
    endpoint: Endpoint,
    timer: OwnedFd,
    ready: Readiness,
    counters: Arc<Counters>,
    state: LinkState,
    burst: Burst,
    ended: bool,
    calls: u32,
}

impl SocketQueue {
    pub fn new(endpoint: Endpoint, counters: Arc<Counters>, state: LinkState) -> Result<SocketQueue, Failure> {
        // SAFETY: a new descriptor, owned at once.
        let timer = unsafe {
            let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK);
            if fd < 0 {
                return Err(Failure::last_os("timer"));
            }
            OwnedFd::from_raw_fd(fd)
        };
        let ready = Readiness::of(&[endpoint.rx(), timer.as_fd()])?;
        let up = state.is_up();
        let queue =
            SocketQueue { endpoint, timer, ready, counters, state, burst: Burst::new(false), ended: false, calls: 0 };
        queue.set_timer(up);
        Ok(queue)
    }

    fn set_timer(&self, up: bool) {
        if !self.endpoint.is_lasting() {
            return;
        }
        let every = if up { LOOK_WHEN_UP } else { LOOK_WHEN_DOWN };
        let every = libc::timespec { tv_sec: every.as_secs() as _, tv_nsec: every.subsec_nanos() as _ };
        let spec = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the kernel reads the setting.
        unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &spec, core::ptr::null_mut()) };
    }

    fn timer_expired(&self) -> bool {
        let mut count = 0u64;
        // SAFETY: a timer gives eight bytes.
        unsafe { libc::read(self.timer.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) > 0 }
    }

    fn set_state(&self, up: bool) {
        if self.state.is_up() != up {
            self.set_timer(up);
            self.state.set(up, None);
        }
    }

    /// The other end of a pair was closed: it will never be readable with anything again.
    fn end(&mut self) {
        self.ended = true;
        self.ready.forget(self.endpoint.rx());
        self.set_state(false);
    }
}

impl Queue for SocketQueue {
    fn fd(&self) -> RawFd {
        self.ready.fd()
    }

    fn tx_fd(&self) -> RawFd {
        self.endpoint.tx().as_raw_fd()
    }

    fn rx(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        if self.ended {
            return Ok(0);
        }
        let n = match self.burst.recv(self.endpoint.rx(), slots) {
            Ok(n) => n,
            // A pair reports so what its last datagrams met.
            Err(Errno::ECONNREFUSED | Errno::ECONNRESET) => {
                self.end();
                return Ok(0);
            }
            Err(e) => return Err(e),
        };
        let n = if self.endpoint.ends_with_nothing() {
            let whole = slots[..n].iter().take_while(|s| s.len() > 0).count();
            if n > 0 && whole == 0 {
                self.end();
            }
            whole
        } else {
            n
        };
        self.calls = self.calls.wrapping_add(1);
        let look = (n == 0 || self.calls.is_multiple_of(TIMER_EVERY)) && self.timer_expired();
        // A frame from a peer thought to be away is news as well.
        if self.endpoint.is_lasting() && (look || n > 0 && !self.state.is_up()) {
            self.set_state(self.endpoint.is_connected());
        }
        self.counters.received(n, slots[..n].iter().map(|s| s.len() as u64).sum());
        Ok(n)
    }

    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno> {
        let mut taken = 0;
        while taken < packets.len() {
            if !self.state.is_up() {
                self.counters.tx_dropped(packets.len() - taken);
                return Ok(packets.len());
            }
            let sent = self.burst.send(self.endpoint.tx(), &packets[taken..]);
            self.counters.sent(sent.count, sent.bytes);
            taken += sent.count;
            match sent.error {
                None => {}
                Some(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => break,
                Some(Errno::EMSGSIZE) => {
                    self.counters.tx_dropped(1);
                    taken += 1;
                }
                // Nobody is there (any more).
                Some(_) => self.set_state(false),
            }
        }
        Ok(taken)
    }
}
