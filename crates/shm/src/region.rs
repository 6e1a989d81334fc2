//! Regions: fixed stretches of memory, and a pool that reuses them by size.

use std::cell::UnsafeCell;
use std::sync::Arc;

/// Smallest region handed out, in bytes.
pub const REGION_MIN: usize = 16 * 1024;
/// Largest region handed out, in bytes.
pub const REGION_MAX: usize = 64 * 1024 * 1024;

/// A stretch of memory whose bytes are only ever touched by copies through raw pointers.
pub struct Region {
    bytes: Box<[UnsafeCell<u8>]>,
}

// SAFETY: all access is by `ptr::copy` through raw pointers with bounds checked here. Two threads
// that copy the same bytes at once get mixed bytes, never undefined lengths or pointers; the owner of
// a ring hands each byte to one side at a time.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// `size` bytes of zeroed private memory, touched only when used.
    pub fn private(size: usize) -> Region {
        let zeroed: Box<[u8]> = vec![0; size].into_boxed_slice();
        // SAFETY: UnsafeCell<u8> has the layout of u8 (repr(transparent)), so the allocation keeps
        // its size and alignment.
        let bytes = unsafe { Box::from_raw(Box::into_raw(zeroed) as *mut [UnsafeCell<u8>]) };
        Region { bytes }
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// A pointer to `len` bytes at `offset`. Panics when they are not inside: offsets come from a
    /// ring's own arithmetic, never from a program.
    pub(crate) fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= self.bytes.len() && len <= self.bytes.len() - offset, "slice outside its region");
        // SAFETY: offset is within the allocation (or one past its end with len 0).
        unsafe { UnsafeCell::raw_get(self.bytes.as_ptr().add(offset)) }
    }

    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) {
        let to = self.at(offset, from.len());
        // SAFETY: `to` has room for from.len() bytes; `from` is ordinary memory of the caller, and no
        // reference to region bytes is ever made, so the two cannot be the same Rust object.
        unsafe { std::ptr::copy(from.as_ptr(), to, from.len()) }
    }

    pub(crate) fn copy_out(&self, offset: usize, to: &mut [u8]) {
        let from = self.at(offset, to.len());
        // SAFETY: as in copy_in, the other way.
        unsafe { std::ptr::copy(from, to.as_mut_ptr(), to.len()) }
    }
}

/// Keeps up to [`Pool::KEPT_BYTES`] of regions for the next user, so that connections that fill and
/// drain do not go to the allocator (and to the kernel for zeroed pages) each time. Its owner calls
/// [`Pool::clear`] when traffic has ceased.
#[derive(Default)]
pub struct Pool {
    kept: Vec<Vec<Arc<Region>>>,
    kept_bytes: usize,
}

impl Pool {
    /// Most bytes that lie unused in the pool.
    pub const KEPT_BYTES: usize = 32 << 20;

    pub fn new() -> Pool {
        Pool::default()
    }

    fn class(size: usize) -> usize {
        size.trailing_zeros() as usize
    }

    /// A region of at least `size` bytes: the next power of two within the bounds.
    pub fn take(&mut self, size: usize) -> Arc<Region> {
        let size = size.clamp(REGION_MIN, REGION_MAX).next_power_of_two();
        match self.kept.get_mut(Self::class(size)).and_then(Vec::pop) {
            Some(region) => {
                self.kept_bytes -= size;
                region
            }
            None => Arc::new(Region::private(size)),
        }
    }

    /// Gives a region back. One that somebody still names (a frame on its way out) is let go instead.
    pub fn give(&mut self, mut region: Arc<Region>) {
        if self.kept_bytes + region.size() > Self::KEPT_BYTES || Arc::get_mut(&mut region).is_none() {
            return;
        }
        self.kept_bytes += region.size();
        let class = Self::class(region.size());
        if self.kept.len() <= class {
            self.kept.resize_with(class + 1, Vec::new);
        }
        self.kept[class].push(region);
    }

    /// Bytes that lie unused in the pool.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Lets everything go.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
    }
}
