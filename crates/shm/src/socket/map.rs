//! A socket's memfd, mapped: from here on it is memory whose bytes others may change at any time.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use super::layout::{HEADER_SIZE, Header};

/// The whole memfd, shared and writable. Unmapped when dropped.
pub(crate) struct Map {
    base: NonNull<u8>,
    size: usize,
    #[cfg(loom)]
    header: Header,
}

// SAFETY: the mapping is reached through atomics (the header) and through `Region`s, which copy.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `size` bytes of `memfd`. The caller has seen to it that it is at least so long and can
    /// not be shortened: otherwise a touch would be a SIGBUS.
    pub(crate) fn new(memfd: BorrowedFd<'_>, size: usize) -> io::Result<Map> {
        assert!(size >= HEADER_SIZE, "a map begins with its header");
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, memfd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("mmap without MAP_FIXED never maps page 0");
        Ok(Map {
            base,
            size,
            #[cfg(loom)]
            header: Header::new(),
        })
    }

    /// A header alone, for models of what lies beside it.
    #[cfg(loom)]
    pub(crate) fn unmapped() -> Map {
        Map { base: NonNull::dangling(), size: 0, header: Header::new() }
    }

    /// Panics when the `len` bytes at `offset` are not inside.
    pub(crate) fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        assert!(offset <= self.size && len <= self.size - offset, "outside the mapping");
        // SAFETY: offset is within the mapping (or one past its end with len 0).
        unsafe { self.base.add(offset) }
    }

    #[cfg(not(loom))]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned and longer than the header, lives as long as self, and a
        // Header consists of atomics alone, for which all bytes are valid and which others may change.
        unsafe { self.base.cast().as_ref() }
    }

    #[cfg(loom)]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        #[cfg(loom)]
        if self.size == 0 {
            return;
        }
        // SAFETY: base and size are those of our own mapping, and nothing points into it any more: regions
        // hold an Arc of this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}
