//! Receiving through memory that the kernel and we share (packet(7), PACKET_RX_RING; the kernel's
//! `Documentation/networking/packet_mmap.rst`): it copies a frame into a slot while the sender's work is
//! done, and the stack reads it there. No call receives; a slot goes back by its status word.
//!
//! TPACKET_V2, since a slot is announced as soon as it is full. TPACKET_V3 packs frames of any length into
//! blocks, but announces a block when it is full or a timer of a millisecond or more has run out.
//!
//! A slot of V2 takes one frame, however short. So there are two rings, on two sockets whose filters share
//! the frames by length: many slots for a frame of the interface's MTU, some for a merged one. In what order
//! the frames came, the kernel's time stamps tell. Two frames of one flow can change places only if the clock
//! is set between them, or while another processor still copies into a slot before theirs.
//!
//! The kernel goes round the ring, so that each slot is used before one is used again: a ring that is larger
//! than the processors' caches makes each copy slower. It allocates all of it at once, used or not.

use core::ffi::c_int;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::os::fd::{AsRawFd, BorrowedFd};

use abi::{Errno, Failure, Memory, Offload, RxSlot, last_errno};

use crate::socket::set;

/// The kernel allocates so much at a time; slots do not cross from block to block.
const BLOCK: usize = 1 << 20;
/// Blocks of each of a link's two kinds of ring, all its queues together, unless the operator says otherwise:
/// 992 small slots and 30 large ones. Measured, 45 large ones were slower already.
pub const BLOCKS: u32 = 2;
/// The most that the operator may ask for.
pub const BLOCKS_MAX: u32 = 64;
/// The least length of a small slot.
const SMALL_SLOT_MIN: usize = 33 * CACHE_LINE;
/// For a merged frame of 64 KiB with its Ethernet header, and what the kernel puts before it.
const LARGE_SLOT: usize = 17 * 4096;
/// Where a frame begins in its slot at the latest: behind `tpacket2_hdr` and `sockaddr_ll` (52 bytes), 16 bytes for a
/// link's header, a `virtio_net_hdr` and VNET_RESERVE, by which the IP header stands at a multiple of 16.
const FRAME_AT: usize = 96 - ETHERNET;
const VNET_RESERVE: u32 = 6;
const CACHE_LINE: usize = 64;
const ETHERNET: usize = 14;
/// Time stamps further apart say nothing of the order: the clock was set.
const CLOCK_WAS_SET: u64 = 1_000_000_000;

// linux/if_packet.h
const PACKET_RX_RING: c_int = 5;
const PACKET_VERSION: c_int = 10;
const PACKET_RESERVE: c_int = 12;
const TPACKET_V2: c_int = 1;
const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;

/// The rings of one queue.
pub struct Rings {
    small: Ring,
    large: Ring,
    vnet: bool,
    mapping: Mapping,
}

/// What a call found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub frames: usize,
    pub bytes: u64,
    /// Frames that were longer than their slot.
    pub cut: u64,
}

impl Rings {
    /// Gives two sockets that are not bound yet their rings, of `blocks` blocks each. PACKET_VNET_HDR is set
    /// already where `vnet` says so.
    ///
    /// Errors: ENOMEM; ENOPROTOOPT or EINVAL from a kernel without such rings.
    pub fn new(
        small: BorrowedFd<'_>,
        large: BorrowedFd<'_>,
        blocks: u32,
        mtu: u32,
        vnet: bool,
    ) -> Result<Rings, Failure> {
        let blocks = blocks as usize;
        let mapping = Mapping::reserve(2 * blocks * BLOCK)?;
        // SAFETY: the places lie in the reservation, one behind the other.
        let (small, large) = unsafe {
            let at_large = mapping.base.add(blocks * BLOCK);
            let small = Ring::open(small, mapping.base, blocks, small_slot(mtu), vnet)?;
            (small, Ring::open(large, at_large, blocks, LARGE_SLOT, vnet)?)
        };
        Ok(Rings { small, large, vnet, mapping })
    }

    /// The longest frame that goes to the ring of small slots.
    pub fn small_max(&self) -> u32 {
        (self.small.slot - FRAME_AT) as u32
    }

    /// Where the frames that `take` lends lie.
    pub fn memory(&self) -> Memory {
        // SAFETY: mapped until the rings are dropped.
        unsafe { Memory::new(self.mapping.base.as_ptr(), self.mapping.length) }
    }

    /// Lends what has come, in order. It stays the host's until `give_back`; so do the slots of frames
    /// that were longer than these.
    pub fn take(&mut self, slots: &mut [RxSlot]) -> Taken {
        let mut taken = Taken::default();
        while taken.frames < slots.len() {
            let Some(frame) = self.next() else { break };
            if frame.is_cut {
                taken.cut += 1;
                continue;
            }
            // SAFETY: the frame lies in a slot of the mapping that is not given back before `give_back`.
            unsafe { slots[taken.frames].lend(frame.data.as_ptr(), frame.len, frame.offload) };
            taken.frames += 1;
            taken.bytes += frame.len as u64;
        }
        taken
    }

    /// Lets the kernel have the slots of all frames that were taken.
    pub fn give_back(&mut self) {
        self.small.give_back();
        self.large.give_back();
    }

    fn next(&mut self) -> Option<Frame> {
        let large = self.large.look(self.vnet);
        let small = self.small.look(self.vnet);
        // A flow's frames become visible in their order. What stood before the large one is seen, since it
        // was looked for after that; what stood before the small one may be a large one that came meanwhile.
        let large = if small.is_some() { large.or_else(|| self.large.look(self.vnet)) } else { large };
        let large_first = match (&small, &large) {
            (Some(small), Some(large)) => self.is_first(large, small),
            (_, large) => large.is_some(),
        };
        if large_first {
            self.large.advance();
            large
        } else {
            small.inspect(|_| self.small.advance())
        }
    }

    /// Whether the large frame came before the small one. After the clock was set, the ring of which less
    /// was taken comes first, so that none waits for the clock.
    fn is_first(&self, large: &Frame, small: &Frame) -> bool {
        if large.stamp.abs_diff(small.stamp) > CLOCK_WAS_SET {
            return self.large.taken <= self.small.taken;
        }
        large.stamp <= small.stamp
    }
}

/// The length of a slot for a frame of this MTU. An odd number of cache lines, so that the beginnings of the
/// slots, which are all that short frames use, do not fall on the same few sets of a cache.
fn small_slot(mtu: u32) -> usize {
    let lines = (FRAME_AT + ETHERNET + mtu as usize).div_ceil(CACHE_LINE);
    ((lines | 1) * CACHE_LINE).clamp(SMALL_SLOT_MIN, LARGE_SLOT)
}

/// A frame in its slot.
struct Frame {
    data: NonNull<u8>,
    len: usize,
    offload: Offload,
    /// Nanoseconds of CLOCK_REALTIME.
    stamp: u64,
    is_cut: bool,
}

/// One socket's slots, of which the kernel fills one after the other.
struct Ring {
    base: NonNull<u8>,
    slot: usize,
    slots: usize,
    /// The slot that is filled next, or is full and not taken yet.
    next: usize,
    /// Slots before `next` that were not given back.
    taken: usize,
}

// SAFETY: the ring is the only one on our side to use its memory.
unsafe impl Send for Ring {}

impl Ring {
    /// # Safety
    /// `blocks` blocks from `base` are reserved address space that nobody uses, and outlive the ring.
    unsafe fn open(
        socket: BorrowedFd<'_>,
        base: NonNull<u8>,
        blocks: usize,
        slot: usize,
        vnet: bool,
    ) -> Result<Ring, Failure> {
        let failed = |what: &str, e: Errno| Failure::new(e, format!("{what}: {e}"));
        let slots = blocks * (BLOCK / slot);
        let option = |name: c_int, what: &str, value: u32| {
            set(socket, libc::SOL_PACKET, name, &value).map_err(|e| failed(what, e))
        };
        option(PACKET_VERSION, "PACKET_VERSION", TPACKET_V2 as u32)?;
        option(PACKET_RESERVE, "PACKET_RESERVE", if vnet { VNET_RESERVE } else { 0 })?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: slot as u32,
            tp_frame_nr: slots as u32,
        };
        set(socket, libc::SOL_PACKET, PACKET_RX_RING, &request).map_err(|e| failed("PACKET_RX_RING", e))?;
        // SAFETY: replaces a part of the reservation, by the caller's promise.
        let mapped = unsafe {
            let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
            libc::mmap(base.as_ptr().cast(), blocks * BLOCK, prot, flags, socket.as_raw_fd(), 0)
        };
        if mapped == libc::MAP_FAILED {
            return Err(failed("mapping the ring", last_errno()));
        }
        Ok(Ring { base, slot, slots, next: 0, taken: 0 })
    }

    fn header(&self, index: usize) -> NonNull<libc::tpacket2_hdr> {
        let per_block = BLOCK / self.slot;
        // SAFETY: the index is below `slots`, so the slot lies within the ring; slots are aligned to 16.
        unsafe { self.base.add(index / per_block * BLOCK + index % per_block * self.slot).cast() }
    }

    fn status(&self, index: usize) -> &AtomicU32 {
        // SAFETY: the status is the header's first word, mapped as long as the ring lives; both sides
        // change it atomically.
        unsafe { AtomicU32::from_ptr((&raw mut (*self.header(index).as_ptr()).tp_status).cast()) }
    }

    /// The next frame, if it is there.
    fn look(&self, vnet: bool) -> Option<Frame> {
        if self.taken == self.slots || self.status(self.next).load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        let at = self.header(self.next);
        // SAFETY: the kernel has filled the slot and leaves it alone until its status says KERNEL.
        let header = unsafe { at.as_ptr().read() };
        let (start, len) = (header.tp_mac as usize, header.tp_snaplen as usize);
        let head = if vnet { size_of::<Offload>() } else { 0 };
        let sound = start >= size_of::<libc::tpacket2_hdr>() + head && start + len <= self.slot;
        // SAFETY: within the slot.
        let data = unsafe { at.cast::<u8>().add(start.min(self.slot)) };
        let offload = if vnet && sound {
            // SAFETY: the kernel put a virtio_net_hdr, any bytes of which are a valid Offload, right before
            // the frame.
            unsafe { data.cast::<Offload>().sub(1).read_unaligned() }
        } else {
            Offload::NONE
        };
        let stamp = u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec);
        Some(Frame { data, len, offload, stamp, is_cut: !sound || header.tp_snaplen < header.tp_len })
    }

    fn advance(&mut self) {
        self.next = (self.next + 1) % self.slots;
        self.taken += 1;
    }

    fn give_back(&mut self) {
        for i in 0..self.taken {
            let index = (self.next + self.slots - self.taken + i) % self.slots;
            self.status(index).store(TP_STATUS_KERNEL, Ordering::Release);
        }
        self.taken = 0;
    }
}

/// Address space for both rings, so that one range holds all that is lent.
struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: only an address is kept here.
unsafe impl Send for Mapping {}

impl Mapping {
    fn reserve(length: usize) -> Result<Mapping, Failure> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, which touches nothing that is there.
        let base = unsafe { libc::mmap(core::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        match NonNull::new(base.cast()).filter(|_| base != libc::MAP_FAILED) {
            Some(base) => Ok(Mapping { base, length }),
            None => Err(Failure::last_os("address space for the ring")),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: reserved by us with this length; the rings in it are dropped with it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::raw;

    /// The kernel's side of both rings, on plain memory.
    struct Kernel {
        rings: Rings,
        small_head: usize,
        large_head: usize,
    }

    const SLOTS: usize = 4;

    impl Kernel {
        fn new() -> Kernel {
            let mapping = Mapping::reserve(2 * BLOCK).unwrap_or_else(|e| panic!("{}", e.text));
            let at_large = unsafe { mapping.base.add(BLOCK) };
            let length = mapping.length;
            // SAFETY: the reservation made accessible.
            assert_eq!(
                unsafe { libc::mprotect(mapping.base.as_ptr().cast(), length, libc::PROT_READ | libc::PROT_WRITE) },
                0
            );
            let ring = |base, slot| Ring { base, slot, slots: SLOTS, next: 0, taken: 0 };
            let (small, large) = (ring(mapping.base, small_slot(1500)), ring(at_large, LARGE_SLOT));
            Kernel { rings: Rings { small, large, vnet: true, mapping }, small_head: 0, large_head: 0 }
        }

        /// One frame comes, of which `snap` bytes fit; false: its ring has no room.
        fn comes(&mut self, stamp: u64, tag: u8, len: u32, snap: u32) -> bool {
            let (ring, head) = if len <= self.rings.small_max() {
                (&self.rings.small, &mut self.small_head)
            } else {
                (&self.rings.large, &mut self.large_head)
            };
            if ring.status(*head).load(Ordering::Acquire) != TP_STATUS_KERNEL {
                return false;
            }
            let offload = Offload { flags: raw::CSUM_PARTIAL, csum_start: 34, ..Offload::NONE };
            // SAFETY: a slot that is ours as the kernel.
            unsafe {
                let at = ring.header(*head).as_ptr();
                (*at).tp_len = len;
                (*at).tp_snaplen = snap;
                (*at).tp_mac = FRAME_AT as u16;
                (*at).tp_sec = (stamp / 1_000_000_000) as u32;
                (*at).tp_nsec = (stamp % 1_000_000_000) as u32;
                let data = at.cast::<u8>().add(FRAME_AT);
                data.cast::<Offload>().sub(1).write_unaligned(offload);
                core::ptr::write_bytes(data, tag, snap as usize);
            }
            ring.status(*head).store(TP_STATUS_USER, Ordering::Release);
            *head = (*head + 1) % SLOTS;
            true
        }

        /// The tags of the frames that are there, `room` at most.
        fn taken(&mut self, room: usize) -> (Vec<u8>, Taken) {
            let empty = raw::iopkt_rx {
                data: core::ptr::null_mut(),
                pool_offset: 0,
                room: 0,
                len: 0,
                offload: Offload::NONE,
                reserved: [0; 3],
            };
            // SAFETY: nobody writes to these slots' buffers.
            let mut slots: Vec<RxSlot> = (0..room).map(|_| unsafe { RxSlot::from_raw(empty) }).collect();
            let taken = self.rings.take(&mut slots);
            let tags = slots[..taken.frames].iter_mut().map(|slot| {
                assert!(slot.offload_mut().needs_csum() && slot.offload_mut().csum_start == 34);
                // SAFETY: lent, not given back yet.
                unsafe { *slot.raw().data.add(slot.len() - 1) }
            });
            (tags.collect(), taken)
        }
    }

    const LARGE: u32 = 65_549;

    #[test]
    fn frames_of_both_rings_come_in_the_order_of_their_stamps() {
        let mut kernel = Kernel::new();
        for (stamp, len) in [(1, 60), (2, LARGE), (3, LARGE), (4, 60), (5, 1514), (6, LARGE)] {
            assert!(kernel.comes(stamp, stamp as u8, len, len));
        }
        assert_eq!(kernel.taken(4).0, [1, 2, 3, 4]);
        let (tags, taken) = kernel.taken(64);
        assert_eq!(tags, [5, 6]);
        assert_eq!(taken, Taken { frames: 2, bytes: 1514 + u64::from(LARGE), cut: 0 });
        assert_eq!(kernel.taken(64).1, Taken::default());
    }

    #[test]
    fn a_slot_is_the_kernels_again_only_when_it_was_given_back() {
        let mut kernel = Kernel::new();
        for round in 0..3u8 {
            for i in 0..SLOTS as u8 {
                assert!(kernel.comes(u64::from(i), round * 8 + i, 60, 60));
            }
            assert!(!kernel.comes(9, 9, 60, 60), "full");
            assert_eq!(kernel.taken(3).0.len(), 3);
            assert!(!kernel.comes(9, 9, 60, 60), "taken, but lent still");
            assert_eq!(kernel.taken(64).0, [round * 8 + 3], "a ring that is lent as a whole ends");
            kernel.rings.give_back();
        }
    }

    #[test]
    fn a_frame_that_was_cut_is_counted_and_the_next_comes() {
        let mut kernel = Kernel::new();
        assert!(kernel.comes(1, 1, 100_000, 60_000));
        assert!(kernel.comes(2, 2, 60, 60));
        let (tags, taken) = kernel.taken(64);
        assert_eq!((tags, taken), (vec![2], Taken { frames: 1, bytes: 60, cut: 1 }));
    }

    #[test]
    fn a_clock_that_was_set_starves_neither_ring() {
        const HOUR: u64 = 3_600_000_000_000;
        for (small, large) in [(HOUR, 0), (0, HOUR)] {
            let mut kernel = Kernel::new();
            for i in 0..3 {
                assert!(kernel.comes(HOUR + small + i, 1, 60, 60));
                assert!(kernel.comes(HOUR + large + i, 2, LARGE, LARGE));
            }
            assert_eq!(kernel.taken(64).0, [2, 1, 2, 1, 2, 1]);
        }
    }

    #[test]
    fn a_slot_holds_a_frame_of_its_mtu() {
        for mtu in [68, 1500, 1501, 9000, 65_521] {
            let slot = small_slot(mtu);
            assert!(
                slot >= FRAME_AT + ETHERNET + mtu as usize && slot <= LARGE_SLOT && slot % 128 == 64,
                "{mtu}: {slot}"
            );
        }
        assert!(LARGE_SLOT >= FRAME_AT + LARGE as usize);
    }
}
