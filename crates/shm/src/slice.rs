//! A named stretch of a region: what a frame on its way out carries in place of bytes.

use std::sync::Arc;

use crate::region::Region;

/// `len` bytes at `offset` of a region, which it keeps alive. Cheap to clone.
#[derive(Clone)]
pub struct Slice {
    region: Arc<Region>,
    offset: u32,
    len: u32,
}

impl Slice {
    pub(crate) fn new(region: Arc<Region>, offset: usize, len: usize) -> Slice {
        region.at(offset, len); // asserts the bounds once, here
        Slice { region, offset: offset as u32, len: len as u32 }
    }

    /// `len` bytes from the running position `at` of a ring's region on, as two slices (the second empty
    /// where the bytes do not go around the end).
    pub(crate) fn wrapped(region: &Arc<Region>, at: usize, len: usize) -> [Slice; 2] {
        let (start, first) = region.wrap(at, len);
        [Slice::new(region.clone(), start, first), Slice::new(region.clone(), 0, len - first)]
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The iovec for the kernel or a driver. Valid as long as this slice lives.
    pub fn iovec(&self) -> libc::iovec {
        libc::iovec { iov_base: self.region.at(self.offset as usize, self.len()).cast(), iov_len: self.len() }
    }

    /// Copies the first `to.len()` bytes from `from` on. Panics when there are fewer.
    pub fn copy_out(&self, from: usize, to: &mut [u8]) {
        assert!(from + to.len() <= self.len());
        self.region.copy_out(self.offset as usize + from, to);
    }

    /// The part `from..from + len` of this slice.
    pub fn part(&self, from: usize, len: usize) -> Slice {
        assert!(from + len <= self.len());
        Slice { region: self.region.clone(), offset: self.offset + from as u32, len: len as u32 }
    }

    /// Calls `each` with copies of the bytes, piece by piece: for checksums and for copies onward.
    pub fn for_each_chunk(&self, mut each: impl FnMut(&[u8])) {
        let mut buf = [0u8; 4096];
        let mut done = 0;
        while done < self.len() {
            let n = (self.len() - done).min(buf.len());
            self.copy_out(done, &mut buf[..n]);
            each(&buf[..n]);
            done += n;
        }
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slice({}+{})", self.offset, self.len)
    }
}
