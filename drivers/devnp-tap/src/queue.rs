//! One queue of a TAP interface. A read or write moves one frame; the first queue also watches whether
//! the interface is up.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use abi::{Counters, Errno, Failure, LinkState, Queue, RxSlot, TxPacket};
use hostlink::{LinkChange, LinkWatch, Readiness};

/// A busy queue looks at its watch once in so many calls, an idle one at each wake-up.
const WATCH_EVERY: u32 = 64;

/// Pieces of a frame in one writev: the offload header and what the host hands us.
const IOVS: usize = 9;

pub struct TapQueue {
    file: OwnedFd,
    watch: Option<LinkWatch>,
    ready: Readiness,
    counters: Arc<Counters>,
    state: LinkState,
    vnet: bool,
    gone: bool,
    calls: u32,
}

impl TapQueue {
    pub fn new(
        file: OwnedFd,
        watch: Option<LinkWatch>,
        counters: Arc<Counters>,
        state: LinkState,
        vnet: bool,
    ) -> Result<TapQueue, Failure> {
        let ready = match &watch {
            Some(watch) => Readiness::of(&[file.as_fd(), watch.fd()])?,
            None => Readiness::of(&[file.as_fd()])?,
        };
        Ok(TapQueue { file, watch, ready, counters, state, vnet, gone: false, calls: 0 })
    }

    /// The interface was deleted; this file will never work again.
    fn lost(&mut self) {
        if !std::mem::replace(&mut self.gone, true) {
            self.ready.forget(self.file.as_fd());
            self.state.set(false, None);
        }
    }

    fn look_at_watch(&mut self) {
        if let Some(LinkChange { running, media }) = self.watch.as_mut().and_then(LinkWatch::take_change) {
            self.state.set(running && !self.gone, media.as_deref());
        }
    }

    fn read(&self, slot: &mut RxSlot) -> Result<usize, Errno> {
        slot.read_from(self.file.as_fd(), self.vnet)
    }

    fn write(&self, packet: &TxPacket) -> Result<(), Errno> {
        packet.write_to::<IOVS>(self.file.as_fd(), self.vnet)
    }
}

impl Queue for TapQueue {
    fn fd(&self) -> RawFd {
        self.ready.fd()
    }

    fn tx_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn rx(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        let (mut n, mut bytes) = (0, 0);
        let mut failed = Ok(());
        while !self.gone && n < slots.len() {
            match self.read(&mut slots[n]) {
                Ok(len) => {
                    n += 1;
                    bytes += len as u64;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Err(Errno(libc::EBADFD)) => self.lost(),
                Err(e) => {
                    failed = Err(e);
                    break;
                }
            }
        }
        self.calls = self.calls.wrapping_add(1);
        if n == 0 || self.calls.is_multiple_of(WATCH_EVERY) {
            self.look_at_watch();
        }
        self.counters.received(n, bytes);
        if n == 0 { failed.map(|()| 0) } else { Ok(n) }
    }

    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno> {
        let (mut sent, mut bytes, mut taken) = (0, 0, 0);
        for packet in packets {
            match if self.gone { Err(Errno(libc::EBADFD)) } else { self.write(packet) } {
                Ok(()) => {
                    sent += 1;
                    bytes += packet.len() as u64;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                // The interface is down (EIO) or gone, or the frame is not one: it will never leave.
                Err(e) => {
                    self.counters.tx_dropped(1);
                    if e == Errno(libc::EBADFD) {
                        self.lost();
                    }
                }
            }
            taken += 1;
        }
        self.counters.sent(sent, bytes);
        Ok(taken)
    }
}
