//! One packet socket at work. The first queue also watches the interface.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use abi::burst::Burst;
use abi::{Counters, Errno, Failure, LinkState, Queue, RxSlot, TxPacket};
use hostlink::{LinkChange, LinkWatch, Readiness};

/// A busy queue looks at its watch once in so many calls, an idle one at each wake-up.
const WATCH_EVERY: u32 = 64;

pub struct PacketQueue {
    socket: Arc<OwnedFd>,
    watch: Option<Watched>,
    counters: Arc<Counters>,
    state: LinkState,
    burst: Burst,
    calls: u32,
}

/// The watch, and a descriptor for it and the socket together.
struct Watched {
    watch: LinkWatch,
    either: Readiness,
}

impl PacketQueue {
    pub fn new(
        socket: Arc<OwnedFd>,
        watch: Option<LinkWatch>,
        counters: Arc<Counters>,
        state: LinkState,
        vnet: bool,
    ) -> Result<PacketQueue, Failure> {
        let watched = |watch: LinkWatch| {
            let either = Readiness::of(&[socket.as_fd(), watch.fd()])?;
            Ok::<_, Failure>(Watched { watch, either })
        };
        let watch = watch.map(watched).transpose()?;
        Ok(PacketQueue { socket, watch, counters, state, burst: Burst::new(vnet), calls: 0 })
    }

    fn look_at_watch(&mut self) {
        if let Some(LinkChange { running, media }) = self.watch.as_mut().and_then(|w| w.watch.take_change()) {
            self.state.set(running, media.as_deref());
        }
    }
}

impl Queue for PacketQueue {
    fn fd(&self) -> RawFd {
        self.watch.as_ref().map_or(self.socket.as_raw_fd(), |w| w.either.fd())
    }

    fn tx_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn rx(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        let received = self.burst.recv(self.socket.as_fd(), slots);
        self.calls = self.calls.wrapping_add(1);
        let idle = !matches!(received, Ok(n) if n > 0);
        if idle || self.calls.is_multiple_of(WATCH_EVERY) {
            self.look_at_watch();
        }
        match received {
            Ok(n) => {
                self.counters.received(n, slots[..n].iter().map(|s| s.len() as u64).sum());
                Ok(n)
            }
            // The interface went down or away; the watch says so, the link stays.
            Err(Errno::ENETDOWN | Errno::ENXIO | Errno::ENODEV) => Ok(0),
            Err(e) => Err(e),
        }
    }

    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno> {
        let mut taken = 0;
        while taken < packets.len() {
            let sent = self.burst.send(self.socket.as_fd(), &packets[taken..]);
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
