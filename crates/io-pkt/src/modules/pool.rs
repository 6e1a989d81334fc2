//! Memory for received frames: one memfd, mapped once, cut into frames that hold 64 KiB each. Pages
//! are touched when a frame first fills them, so a pool costs what traffic has used.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use abi::{Errno, Offload, raw};

/// Where a frame's data begins, so that the IP header behind 14 bytes of Ethernet is aligned.
pub const HEADROOM: usize = 256 - 14;

/// Bytes from frame to frame: 64 KiB of IP, its headers and the headroom, in whole pages.
pub const STRIDE: usize = 17 * 4096;

/// Bytes that a burst is to hold about: a part of a core's second-level cache.
const BURST_BYTES: usize = 512 * 1024;
/// Frames offered at least, however large they come.
const BURST_MIN: usize = 8;

/// Frames that a receive call can fill, reused from call to call.
pub struct FramePool {
    memory: Arc<Memory>,
    descs: Vec<raw::iopkt_rx>,
    own: u32,
    offered: usize,
    filled: usize,
    lender: Option<Lender>,
}

/// Memory of the driver's own in which it lends frames.
pub(super) struct Lender {
    pub(super) base: usize,
    pub(super) length: usize,
    /// Keeps the link, and so its memory, until no frame of it can be read any more.
    pub(super) _link: Arc<dyn Send + Sync>,
}

impl Lender {
    fn holds(&self, desc: &raw::iopkt_rx) -> bool {
        let start = (desc.data as usize).wrapping_sub(self.base);
        self.length.checked_sub(start).is_some_and(|left| desc.len as usize <= left)
    }
}

// SAFETY: a frame offered to nobody is touched by the pool alone; drivers write to the offered ones
// during LinkQueue::rx, and to those of their own.
unsafe impl Send for FramePool {}

/// The mapping. The link holds it too, since its driver may own frames of it.
pub(super) struct Memory {
    memfd: OwnedFd,
    base: *mut u8,
    length: usize,
}

// SAFETY: only addresses are kept here; who may touch what is the pool's affair.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// One received frame, Ethernet header first.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedFrame<'a> {
    pub data: &'a [u8],
    pub offload: Offload,
}

impl FramePool {
    /// A pool for bursts of `burst` frames. [`super::LinkQueue::make_pool`] makes one that its driver knows.
    pub fn new(burst: usize) -> Result<FramePool, Errno> {
        FramePool::with_own(burst, 0)
    }

    /// Behind the burst's frames stand `own` more, which the driver owns from the start.
    pub(super) fn with_own(burst: usize, own: u32) -> Result<FramePool, Errno> {
        let frames = burst.checked_add(own as usize).filter(|_| burst > 0).ok_or(Errno::EINVAL)?;
        let memory = Arc::new(Memory::new(frames.checked_mul(STRIDE).ok_or(Errno::EINVAL)?)?);
        let empty = raw::iopkt_rx {
            data: core::ptr::null_mut(),
            pool_offset: 0,
            room: 0,
            len: 0,
            offload: Offload::NONE,
            reserved: [0; 3],
        };
        let mut pool = FramePool { memory, descs: vec![empty; burst], own, offered: burst, filled: 0, lender: None };
        pool.reset();
        Ok(pool)
    }

    /// Frames that the last call could fill: fewer when those before were large, so that a burst stays
    /// in the cache until it has been copied onward.
    pub fn burst(&self) -> usize {
        self.offered
    }

    /// Frames that the last call filled.
    pub fn len(&self) -> usize {
        self.filled
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The `i`th frame of the last burst; panics when there were not so many.
    pub fn frame(&self, i: usize) -> ReceivedFrame<'_> {
        let desc = &self.descs[..self.filled][i];
        // SAFETY: `accept` checked that these bytes lie in the mapping or with the lender; nobody writes to
        // them before the next `offer` or `take_back`, which need &mut self.
        let data = unsafe { core::slice::from_raw_parts(desc.data, desc.len as usize) };
        ReceivedFrame { data, offload: desc.offload }
    }

    pub fn frames(&self) -> impl Iterator<Item = ReceivedFrame<'_>> {
        (0..self.filled).map(|i| self.frame(i))
    }

    /// What a driver that does DMA or AF_XDP wants to know of the memory.
    pub(super) fn describe(&self) -> raw::iopkt_pool {
        raw::iopkt_pool {
            size: size_of::<raw::iopkt_pool>() as u32,
            memfd: self.memory.memfd.as_raw_fd(),
            base: self.memory.base,
            length: self.memory.length as u64,
            stride: STRIDE as u32,
            headroom: HEADROOM as u32,
            own_first: self.descs.len() as u32,
            own_count: self.own,
        }
    }

    pub(super) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    pub(super) fn lend_from(&mut self, lender: Lender) {
        self.lender = Some(lender);
    }

    /// Forgets the frames of the last burst. True when some were lent: their lender is to be told.
    pub(super) fn take_back(&mut self) -> bool {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return false;
        }
        let mut bytes = 0;
        let mut lent = false;
        for desc in &mut self.descs[..filled] {
            bytes += desc.len as usize;
            if self.lender.as_ref().is_some_and(|l| l.holds(desc)) {
                lent = true;
                // SAFETY: the place in the mapping that stood here before.
                desc.data = unsafe { self.memory.base.add(desc.pool_offset as usize) };
            }
        }
        let average = (bytes / filled).max(1);
        self.offered = (BURST_BYTES / average).clamp(BURST_MIN.min(self.descs.len()), self.descs.len());
        lent
    }

    pub(super) fn offer(&mut self) -> (*mut raw::iopkt_rx, u32) {
        for desc in &mut self.descs[..self.offered] {
            desc.len = 0;
            desc.offload = Offload::NONE;
        }
        (self.descs.as_mut_ptr(), self.offered as u32)
    }

    /// Takes over what the driver filled, after looking that it all lies in the pool.
    pub(super) fn accept(&mut self, filled: usize) -> Result<usize, Errno> {
        let sound = filled <= self.offered && self.descs[..filled].iter().all(|d| self.holds(d));
        if !sound {
            self.reset();
            return Err(Errno::EFAULT);
        }
        self.filled = filled;
        Ok(filled)
    }

    fn holds(&self, desc: &raw::iopkt_rx) -> bool {
        let start = (desc.data as usize).wrapping_sub(self.memory.base as usize);
        let pooled = start < self.memory.length && start % STRIDE + desc.len as usize <= STRIDE;
        pooled || (self.lender.as_ref().is_some_and(|l| l.holds(desc)) && self.has_place(desc))
    }

    /// Whether what a lent frame stands for is a place of the pool still.
    fn has_place(&self, desc: &raw::iopkt_rx) -> bool {
        let place = desc.pool_offset;
        place < self.memory.length as u64 && place % STRIDE as u64 == HEADROOM as u64
    }

    fn reset(&mut self) {
        for (i, desc) in self.descs.iter_mut().enumerate() {
            let offset = i * STRIDE + HEADROOM;
            // SAFETY: within the mapping, which has a stride for each descriptor.
            desc.data = unsafe { self.memory.base.add(offset) };
            desc.pool_offset = offset as u64;
            desc.room = (STRIDE - HEADROOM) as u32;
            desc.len = 0;
        }
    }
}

impl Memory {
    fn new(length: usize) -> Result<Memory, Errno> {
        // SAFETY: plain system calls; the descriptor is owned at once, the mapping is new.
        unsafe {
            let fd = libc::memfd_create(c"iopkt-frames".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
            if fd < 0 {
                return Err(abi::last_errno());
            }
            let memfd = OwnedFd::from_raw_fd(fd);
            let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
            if libc::ftruncate(fd, length as libc::off_t) < 0 || libc::fcntl(fd, libc::F_ADD_SEALS, seals) < 0 {
                return Err(abi::last_errno());
            }
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
            let base = libc::mmap(core::ptr::null_mut(), length, prot, flags, fd, 0);
            if base == libc::MAP_FAILED {
                return Err(abi::last_errno());
            }
            Ok(Memory { memfd, base: base.cast(), length })
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by new with this length; pool and queue are both gone.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_points_outside_the_pool_is_caught() {
        let mut pool = FramePool::new(2).unwrap();
        let (descs, n) = pool.offer();
        assert_eq!(n, 2);
        // SAFETY: the test is the driver here.
        let desc = unsafe { &mut *descs };
        let room = desc.room;
        desc.len = room;
        assert_eq!(pool.accept(1), Ok(1));
        assert_eq!(pool.frame(0).data.len(), room as usize);
        let (descs, _) = pool.offer();
        // SAFETY: as above.
        unsafe { (*descs).len = room + 1 };
        assert_eq!(pool.accept(1), Err(Errno::EFAULT));
        let (descs, _) = pool.offer();
        // SAFETY: as above.
        unsafe { (*descs).data = core::ptr::dangling_mut() };
        assert_eq!(pool.accept(1), Err(Errno::EFAULT));
        pool.offer();
        assert_eq!(pool.accept(3), Err(Errno::EFAULT));
        pool.offer();
        assert_eq!(pool.accept(2), Ok(2));
    }

    #[test]
    fn a_frame_that_is_lent_is_read_where_it_lies_and_its_place_offered_again() {
        let ring = [7u8; 100];
        let mut pool = FramePool::new(2).unwrap();
        let lend = |pool: &mut FramePool, at: usize, len: u32| {
            let (descs, _) = pool.offer();
            // SAFETY: the test is the driver here.
            let desc = unsafe { &mut *descs };
            let place = desc.data;
            desc.data = ring.as_ptr().wrapping_add(at).cast_mut();
            desc.len = len;
            (pool.accept(1), place)
        };
        assert_eq!(lend(&mut pool, 0, 100).0, Err(Errno::EFAULT), "nobody said that it is lent memory");
        let lender = Lender { base: ring.as_ptr() as usize, length: ring.len(), _link: Arc::new(()) };
        pool.lend_from(lender);
        let (accepted, place) = lend(&mut pool, 40, 60);
        assert_eq!(accepted, Ok(1));
        assert_eq!(pool.frame(0).data, &ring[40..]);
        assert!(pool.take_back(), "the lender is told");
        assert!(!pool.take_back(), "once");
        assert_eq!(pool.offer().0.cast::<*mut u8>(), pool.descs.as_mut_ptr().cast());
        assert_eq!(pool.descs[0].data, place);
        assert_eq!(lend(&mut pool, 40, 61).0, Err(Errno::EFAULT), "beyond its end");
        assert_eq!(lend(&mut pool, 101, 0).0, Err(Errno::EFAULT));
        // A frame in the pool is nobody's to take back.
        pool.offer();
        assert_eq!(pool.accept(2), Ok(2));
        assert!(!pool.take_back());
    }

    #[test]
    fn the_ip_header_is_aligned() {
        let mut pool = FramePool::new(3).unwrap();
        pool.offer();
        pool.accept(3).unwrap();
        assert!(pool.frames().all(|f| (f.data.as_ptr() as usize + 14) % 16 == 0));
    }
}
