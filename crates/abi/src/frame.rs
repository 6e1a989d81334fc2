//! Frames as a driver written in Rust sees them: places to fill, packets to send.

use std::os::fd::{AsRawFd, BorrowedFd};

use errno::Errno;

use crate::host::last_errno;
use crate::raw;

pub use crate::raw::iopkt_offload as Offload;

impl Offload {
    pub const NONE: Offload =
        Offload { flags: 0, gso_type: raw::GSO_NONE, hdr_len: 0, gso_size: 0, csum_start: 0, csum_offset: 0 };

    /// The checksum is still to be computed.
    pub fn needs_csum(&self) -> bool {
        self.flags & raw::CSUM_PARTIAL != 0
    }

    /// Nobody has to verify the checksum: it was verified, or the frame was never on a wire.
    pub fn csum_is_good(&self) -> bool {
        self.flags & (raw::CSUM_PARTIAL | raw::CSUM_GOOD) != 0
    }

    /// The segmentation kind (`GSO_*`) without its flags.
    pub fn gso_kind(&self) -> u8 {
        self.gso_type & !raw::GSO_ECN
    }
}

/// A place for one received frame.
#[repr(transparent)]
pub struct RxSlot(raw::iopkt_rx);

impl RxSlot {
    /// # Safety
    /// `rx.data` names `rx.room` writable bytes for as long as the slot is in use.
    pub unsafe fn from_raw(rx: raw::iopkt_rx) -> RxSlot {
        RxSlot(rx)
    }

    /// # Safety
    /// As for [`RxSlot::from_raw`], for each of the `n` descriptors.
    pub(crate) unsafe fn slice<'a>(rx: *mut raw::iopkt_rx, n: u32) -> &'a mut [RxSlot] {
        // SAFETY: RxSlot is transparent over iopkt_rx; validity is the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(rx.cast(), n as usize) }
    }

    /// The memory to fill.
    pub fn buffer(&mut self) -> &mut [u8] {
        // SAFETY: from_raw's promise; the pool's memory is initialised (a mapping) and borrowed through self.
        unsafe { core::slice::from_raw_parts_mut(self.0.data, self.0.room as usize) }
    }

    /// Says how much of the buffer holds a frame.
    pub fn set_len(&mut self, len: usize, offload: Offload) {
        self.0.len = len.min(self.0.room as usize) as u32;
        self.0.offload = offload;
    }

    /// Names a frame in the queue's own memory ([`crate::Queue::memory`]) in place of one in the buffer.
    ///
    /// # Safety
    /// `len` bytes from `data` lie in that memory, and nobody writes to them before the queue's `rx_done`
    /// or next `rx`.
    pub unsafe fn lend(&mut self, data: *const u8, len: usize, offload: Offload) {
        self.0.data = data.cast_mut();
        self.0.len = len as u32;
        self.0.offload = offload;
    }

    /// Bytes of the frame that was put in.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    pub fn offload_mut(&mut self) -> &mut Offload {
        &mut self.0.offload
    }

    /// Reads one frame (readv), behind a `virtio_net_hdr` or not; its length.
    pub fn read_from(&mut self, fd: BorrowedFd<'_>, vnet: bool) -> Result<usize, Errno> {
        let iovecs = self.iovecs();
        let pieces = &iovecs[usize::from(!vnet)..];
        // SAFETY: the iovecs name this slot's memory, borrowed through the call.
        let n = unsafe { libc::readv(fd.as_raw_fd(), pieces.as_ptr(), pieces.len() as i32) };
        let n = usize::try_from(n).map_err(|_| last_errno())?;
        let head = if vnet { size_of::<Offload>() } else { 0 };
        let offload = if vnet { self.0.offload } else { Offload::NONE };
        self.set_len(n.saturating_sub(head), offload);
        Ok(self.len())
    }

    /// For drivers that hand the memory to hardware or exchange frames.
    pub fn raw(&mut self) -> &mut raw::iopkt_rx {
        &mut self.0
    }

    /// Where the kernel is to write: the offload header (a `virtio_net_hdr` in layout), then the frame.
    pub(crate) fn iovecs(&mut self) -> [libc::iovec; 2] {
        [
            libc::iovec { iov_base: (&raw mut self.0.offload).cast(), iov_len: size_of::<Offload>() },
            libc::iovec { iov_base: self.0.data.cast(), iov_len: self.0.room as usize },
        ]
    }
}

/// One frame to send. Its bytes may lie in memory that another process writes, so they are named or
/// copied, never borrowed.
#[repr(transparent)]
pub struct TxPacket(raw::iopkt_tx);

impl TxPacket {
    /// # Safety
    /// Each of the `n` descriptors names valid iovecs, and these readable memory, for `'a`.
    pub(crate) unsafe fn slice<'a>(tx: *const raw::iopkt_tx, n: u32) -> &'a [TxPacket] {
        // SAFETY: TxPacket is transparent over iopkt_tx; validity is the caller's promise.
        unsafe { core::slice::from_raw_parts(tx.cast(), n as usize) }
    }

    /// Bytes of the whole frame.
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    pub fn offload(&self) -> &Offload {
        &self.0.offload
    }

    /// The frame's pieces, for the kernel.
    pub fn iovecs(&self) -> &[libc::iovec] {
        // SAFETY: the promise of `slice`.
        unsafe { core::slice::from_raw_parts(self.0.iov, self.0.iov_count as usize) }
    }

    /// Writes the frame (writev), behind a `virtio_net_hdr` or not. EMSGSIZE: it has more than
    /// `PIECES` pieces, header included.
    pub fn write_to<const PIECES: usize>(&self, fd: BorrowedFd<'_>, vnet: bool) -> Result<(), Errno> {
        let mut pieces = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; PIECES];
        let used = self.describe(&mut pieces, vnet).ok_or(Errno::EMSGSIZE)?;
        // SAFETY: the iovecs name this packet's memory, which the kernel only reads.
        let n = unsafe { libc::writev(fd.as_raw_fd(), pieces.as_ptr(), used as i32) };
        if n < 0 { Err(last_errno()) } else { Ok(()) }
    }

    /// Fills in where the frame's pieces lie, the offload header first if it goes along; how many.
    pub(crate) fn describe(&self, to: &mut [libc::iovec], vnet: bool) -> Option<usize> {
        let head = usize::from(vnet);
        if vnet {
            *to.first_mut()? = libc::iovec {
                iov_base: core::ptr::from_ref(&self.0.offload).cast_mut().cast(),
                iov_len: size_of::<Offload>(),
            };
        }
        let pieces = self.iovecs();
        to.get_mut(head..head + pieces.len())?.copy_from_slice(pieces);
        Some(head + pieces.len())
    }

    /// Copies the frame to the front of `to`; `None` when it does not fit.
    pub fn copy_to(&self, to: &mut [u8]) -> Option<usize> {
        let mut at = 0usize;
        for iov in self.iovecs() {
            let room = to.get_mut(at..at.checked_add(iov.iov_len)?)?;
            // SAFETY: the iovec names readable memory of that length, by the promise of `slice`; it is
            // not part of `to`, which is borrowed mutably.
            unsafe { core::ptr::copy_nonoverlapping(iov.iov_base.cast(), room.as_mut_ptr(), room.len()) };
            at += iov.iov_len;
        }
        Some(at)
    }
}
