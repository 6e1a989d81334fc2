//! Regions: fixed stretches of memory, and a pool that reuses them by size.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::socket::map::Map;

/// Smallest region handed out, in bytes.
pub const REGION_MIN: usize = 16 * 1024;
/// Largest region handed out, in bytes.
pub const REGION_MAX: usize = 64 * 1024 * 1024;

/// A stretch of memory whose bytes are only ever touched by copies through raw pointers: private
/// memory, or a part of what is mapped from a socket's memfd.
pub struct Region {
    base: NonNull<u8>,
    size: usize,
    owner: Owner,
    /// One cell a byte, touched as the byte is: loom reports two sides that touch one at once.
    #[cfg(loom)]
    track: Vec<loom::cell::UnsafeCell<()>>,
}

enum Owner {
    /// Freed with the region.
    Private,
    /// Unmapped with the last region of the mapping.
    Mapped { _map: Arc<Map> },
    /// Somebody else's to unmap, after the region is gone.
    Lent,
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
        // A Box would claim that nobody else points at its bytes; so it is kept as the pointer.
        let base = NonNull::new(Box::into_raw(zeroed).cast::<u8>()).expect("a Box is never null");
        Region::new(base, size, Owner::Private)
    }

    /// The bytes `offset..offset + size` of a mapping. Panics when they are not inside.
    pub(crate) fn mapped(map: &Arc<Map>, offset: usize, size: usize) -> Region {
        let base = map.at(offset, size);
        Region::new(base, size, Owner::Mapped { _map: map.clone() })
    }

    /// As [`Region::mapped`], for one who keeps the mapping beside the region and never gives the region away.
    pub(crate) fn lent(map: &Map, offset: usize, size: usize) -> Region {
        Region::new(map.at(offset, size), size, Owner::Lent)
    }

    fn new(base: NonNull<u8>, size: usize, owner: Owner) -> Region {
        #[cfg(loom)]
        let track = (0..size).map(|_| loom::cell::UnsafeCell::new(())).collect();
        Region {
            base,
            size,
            owner,
            #[cfg(loom)]
            track,
        }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// A pointer to `len` bytes at `offset`. Panics when they are not inside: offsets come from a
    /// ring's own arithmetic, never from a program.
    pub(crate) fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= self.size && len <= self.size - offset, "slice outside its region");
        // SAFETY: offset is within the allocation (or one past its end with len 0).
        unsafe { self.base.as_ptr().add(offset) }
    }

    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) {
        let to = self.at(offset, from.len());
        #[cfg(loom)]
        self.track[offset..offset + from.len()].iter().for_each(|cell| cell.with_mut(|_| ()));
        // SAFETY: `to` has room for from.len() bytes; `from` is ordinary memory of the caller, and no
        // reference to region bytes is ever made, so the two cannot be the same Rust object.
        unsafe { std::ptr::copy(from.as_ptr(), to, from.len()) }
    }

    pub(crate) fn copy_out(&self, offset: usize, to: &mut [u8]) {
        let from = self.at(offset, to.len());
        #[cfg(loom)]
        self.track[offset..offset + to.len()].iter().for_each(|cell| cell.with(|_| ()));
        // SAFETY: as in copy_in, the other way.
        unsafe { std::ptr::copy(from, to.as_mut_ptr(), to.len()) }
    }

    /// Where `len` bytes at the running position `at` lie in a region whose size is a power of two:
    /// the offset of the first part, and its length; the rest begins at offset 0.
    pub(crate) fn wrap(&self, at: usize, len: usize) -> (usize, usize) {
        debug_assert!(self.size.is_power_of_two() && len <= self.size);
        let start = at & (self.size - 1);
        (start, len.min(self.size - start))
    }

    /// Copies `from` to the running position `at`, around the end.
    pub(crate) fn copy_in_wrapped(&self, at: usize, from: &[u8]) {
        let (start, first) = self.wrap(at, from.len());
        self.copy_in(start, &from[..first]);
        self.copy_in(0, &from[first..]);
    }

    /// Copies from the running position `at`, around the end.
    pub(crate) fn copy_out_wrapped(&self, at: usize, to: &mut [u8]) {
        let (start, first) = self.wrap(at, to.len());
        let (one, two) = to.split_at_mut(first);
        self.copy_out(start, one);
        self.copy_out(0, two);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Owner::Private = self.owner {
            let bytes = std::ptr::slice_from_raw_parts_mut(self.base.as_ptr().cast::<UnsafeCell<u8>>(), self.size);
            // SAFETY: `private` took exactly these bytes out of a Box; UnsafeCell<u8> has u8's layout.
            drop(unsafe { Box::from_raw(bytes) });
        }
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
