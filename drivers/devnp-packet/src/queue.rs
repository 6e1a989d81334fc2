//! One queue's packet sockets at work. The first queue also watches the interface.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use abi::burst::Burst;
use abi::{Counters, Errno, Failure, LinkState, Memory, Queue, RxSlot, TxPacket};
use hostlink::{LinkChange, LinkWatch, Readiness};

use crate::ring::{Rings, Taken};
use crate::socket::Sockets;

/// A busy queue looks at its watch once in so many calls, an idle one at each wake-up.
const WATCH_EVERY: u32 = 64;

pub struct PacketQueue {
    sockets: Arc<Sockets>,
    rings: Option<Rings>,
    watch: Option<LinkWatch>,
    /// Sockets and watch together.
    ready: Readiness,
    counters: Arc<Counters>,
    state: LinkState,
    burst: Burst,
    calls: u32,
}

impl PacketQueue {
    pub fn new(
        sockets: Arc<Sockets>,
        rings: Option<Rings>,
        watch: Option<LinkWatch>,
        counters: Arc<Counters>,
        state: LinkState,
        vnet: bool,
    ) -> Result<PacketQueue, Failure> {
        let members: Vec<_> = sockets.each().chain(watch.as_ref().map(LinkWatch::fd)).collect();
        let ready = Readiness::of(&members)?;
        Ok(PacketQueue { sockets, rings, watch, ready, counters, state, burst: Burst::new(vnet), calls: 0 })
    }

    fn look_at_watch(&mut self) {
        if let Some(LinkChange { running, media }) = self.watch.as_mut().and_then(LinkWatch::take_change) {
            self.state.set(running, media.as_deref());
        }
    }

    /// What has come: into the slots by a call, or lent from the rings.
    fn receive(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        let Some(rings) = &mut self.rings else {
            let n = self.burst.recv(self.sockets.main(), slots)?;
            self.counters.received(n, slots[..n].iter().map(|s| s.len() as u64).sum());
            return Ok(n);
        };
        rings.give_back();
        let Taken { frames, bytes, cut } = rings.take(slots);
        self.counters.received(frames, bytes);
        if cut > 0 {
            self.counters.rx_dropped(cut);
        }
        if frames == 0 {
            // No call tells of errors, and a socket with one polls readable for ever.
            self.sockets.take_error()?;
        }
        Ok(frames)
    }
}

impl Queue for PacketQueue {
    fn fd(&self) -> RawFd {
        self.ready.fd()
    }

    fn tx_fd(&self) -> RawFd {
        self.sockets.main().as_raw_fd()
    }

    fn rx(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        let received = self.receive(slots);
        self.calls = self.calls.wrapping_add(1);
        let idle = !matches!(received, Ok(n) if n > 0);
        if idle || self.calls.is_multiple_of(WATCH_EVERY) {
            self.look_at_watch();
        }
        match received {
            // The interface went down or away; the watch says so, the link stays.
            Err(Errno::ENETDOWN | Errno::ENXIO | Errno::ENODEV) => Ok(0),
            other => other,
        }
    }

    fn memory(&self) -> Option<Memory> {
        self.rings.as_ref().map(Rings::memory)
    }

    fn rx_done(&mut self) {
        if let Some(rings) = &mut self.rings {
            rings.give_back();
        }
    }

    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno> {
        let mut taken = 0;
        while taken < packets.len() {
            let sent = self.burst.send(self.sockets.main(), &packets[taken..]);
            self.counters.sent(sent.count, sent.bytes);
            taken += sent.count;
            match sent.error {
                None => {}
                // The socket's buffer is full: room comes when the interface has sent.
                Some(Errno::EAGAIN | Errno::EINTR) => break,
                // This one will never leave: too long, refused by the qdisc, interface down.
                Some(_) => {
                    self.counters.tx_dropped(1);
                    taken += 1;
                }
            }
        }
        Ok(taken)
    }
}
