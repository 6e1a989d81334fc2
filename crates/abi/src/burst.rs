//! Bursts of frames through a datagram-like descriptor: `recvmmsg` into the host's frames and
//! `sendmmsg` out of its iovecs, with or without a `virtio_net_hdr` in front of each.

use std::os::fd::{AsRawFd, BorrowedFd};

use errno::Errno;

use crate::frame::{Offload, RxSlot, TxPacket};
use crate::host::last_errno;

/// Frames a call. The kernel's own loop and our iovec arrays stay within a few cache lines' reach.
pub const BURST: usize = 64;

/// iovecs a packet: header, arena and two ring slices, and room to spare.
const TX_IOVS: usize = 8;

/// Reusable arrays for one queue's calls.
pub struct Burst {
    rx_iov: Box<[[libc::iovec; 2]; BURST]>,
    tx_iov: Box<[[libc::iovec; TX_IOVS]; BURST]>,
    msgs: Box<[libc::mmsghdr; BURST]>,
    vnet: bool,
}

// SAFETY: the pointers in the arrays are set anew by each call and used only within it.
unsafe impl Send for Burst {}

/// What became of the first packet that could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub count: usize,
    pub bytes: u64,
    pub error: Option<Errno>,
}

impl Burst {
    /// `vnet`: each frame travels behind a `virtio_net_hdr` (TAP, AF_PACKET with PACKET_VNET_HDR).
    pub fn new(vnet: bool) -> Burst {
        let none = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
        // SAFETY: an all-zero mmsghdr is valid: no address, no iovec, no control data.
        let msg: libc::mmsghdr = unsafe { core::mem::zeroed() };
        Burst {
            rx_iov: Box::new([[none; 2]; BURST]),
            tx_iov: Box::new([[none; TX_IOVS]; BURST]),
            msgs: Box::new([msg; BURST]),
            vnet,
        }
    }

    /// Receives up to a burst without waiting. Frames are cut at the room offered; the lengths and
    /// offloads are set. Nothing there is `Ok(0)`.
    pub fn recv(&mut self, fd: BorrowedFd<'_>, slots: &mut [RxSlot]) -> Result<usize, Errno> {
        let n = slots.len().min(BURST);
        let skip = usize::from(!self.vnet);
        for (i, slot) in slots[..n].iter_mut().enumerate() {
            self.rx_iov[i] = slot.iovecs();
            let header = &mut self.msgs[i].msg_hdr;
            header.msg_iov = self.rx_iov[i][skip..].as_mut_ptr();
            header.msg_iovlen = 2 - skip;
        }
        // SAFETY: the headers name the iovecs just set, these the slots, all borrowed through the call.
        let got = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                self.msgs.as_mut_ptr(),
                n as u32,
                libc::MSG_DONTWAIT as _,
                core::ptr::null_mut(),
            )
        };
        let got = match got {
            -1 => match last_errno() {
                Errno::EAGAIN | Errno::EINTR => 0,
                e => return Err(e),
            },
            got => got as usize,
        };
        let head = if self.vnet { size_of::<Offload>() } else { 0 };
        for (slot, msg) in slots.iter_mut().zip(&self.msgs[..got]) {
            let offload = if self.vnet { *slot.offload_mut() } else { Offload::NONE };
            slot.set_len((msg.msg_len as usize).saturating_sub(head), offload);
        }
        Ok(got)
    }

    /// Sends up to a burst without waiting. `count` packets left; `error` is why the next one did not.
    pub fn send(&mut self, fd: BorrowedFd<'_>, packets: &[TxPacket]) -> Sent {
        let mut n = 0;
        for packet in packets.iter().take(BURST) {
            let iovs = &mut self.tx_iov[n];
            let Some(used) = packet.describe(iovs, self.vnet) else {
                // More pieces than the host ever makes: not sent; the caller counts it.
                if n == 0 {
                    return Sent { count: 0, bytes: 0, error: Some(Errno::EMSGSIZE) };
                }
                break;
            };
            let header = &mut self.msgs[n].msg_hdr;
            header.msg_iov = iovs.as_mut_ptr();
            header.msg_iovlen = used;
            n += 1;
        }
        if n == 0 {
            return Sent { count: 0, bytes: 0, error: None };
        }
        // SAFETY: as in recv; the kernel only reads what the iovecs name.
        let sent = unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                self.msgs.as_mut_ptr(),
                n as u32,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        if sent < 0 {
            return Sent { count: 0, bytes: 0, error: Some(last_errno()) };
        }
        let count = sent as usize;
        Sent { count, bytes: packets[..count].iter().map(|p| p.len() as u64).sum(), error: None }
    }
}
