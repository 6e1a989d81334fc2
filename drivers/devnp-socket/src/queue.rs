//! The wire at work.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use abi::burst::Burst;
use abi::{Counters, Errno, Failure, LinkState, Queue, RxSlot, TxPacket};
use hostlink::Readiness;

use crate::endpoint::Endpoint;
use crate::watch::PathWatch;

/// A busy queue looks at its watch once in so many calls, an idle one at each wake-up.
const WATCH_EVERY: u32 = 64;

pub struct SocketQueue {
    endpoint: Endpoint,
    /// Of the peer's path, when it has one.
    watch: Option<PathWatch>,
    ready: Readiness,
    counters: Arc<Counters>,
    state: LinkState,
    burst: Burst,
    ended: bool,
    calls: u32,
}

impl SocketQueue {
    pub fn new(endpoint: Endpoint, counters: Arc<Counters>, state: LinkState) -> Result<SocketQueue, Failure> {
        let watch = endpoint.remote().map(PathWatch::new).transpose()?;
        let ready = match &watch {
            Some(watch) => watch.readiness_with(endpoint.rx())?,
            None => Readiness::of(&[endpoint.rx()])?,
        };
        // The peer may have come between the endpoint's look and the watch.
        state.set(endpoint.is_connected(), None);
        Ok(SocketQueue { endpoint, watch, ready, counters, state, burst: Burst::new(false), ended: false, calls: 0 })
    }

    fn set_state(&self, up: bool) {
        if self.state.is_up() != up {
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
        if let Some(watch) = &mut self.watch {
            let look = (n == 0 || self.calls.is_multiple_of(WATCH_EVERY)) && watch.take_change();
            // A frame from a peer thought to be away is news as well.
            if look || n > 0 && !self.state.is_up() {
                self.set_state(self.endpoint.is_connected());
            }
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
