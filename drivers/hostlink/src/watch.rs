//! The interface's comings and goings, by rtnetlink(7).

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use abi::{Failure, last_errno};

use crate::interface::{Interface, media_of, running};

/// A socket that hears of all changes of interfaces.
pub struct LinkWatch {
    socket: OwnedFd,
    index: i32,
    name: String,
}

/// What became of the interface.
pub struct LinkChange {
    /// Up, and with a carrier.
    pub running: bool,
    /// As [`Interface::media`]; `None` while it does not run.
    pub media: Option<CString>,
}

/// A message's header (nlmsghdr) and the interface's (ifinfomsg) behind it.
const HEADER: usize = 16;
const IFINFO: usize = 16;

impl LinkWatch {
    pub fn open(interface: &Interface) -> Result<LinkWatch, Failure> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: a new descriptor, owned at once; an all-zero sockaddr_nl is valid.
        unsafe {
            let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
            if fd < 0 {
                return Err(Failure::last_os("netlink socket"));
            }
            let socket = OwnedFd::from_raw_fd(fd);
            let mut addr: libc::sockaddr_nl = core::mem::zeroed();
            addr.nl_family = libc::AF_NETLINK as u16;
            addr.nl_groups = libc::RTMGRP_LINK as u32;
            if libc::bind(fd, (&raw const addr).cast(), size_of_val(&addr) as u32) < 0 {
                return Err(Failure::last_os("netlink socket"));
            }
            Ok(LinkWatch { socket, index: interface.index, name: interface.name.clone() })
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What the interface is now, if messages came that say so.
    pub fn take_change(&mut self) -> Option<LinkChange> {
        let running = self.take_state()?;
        let media = if running { media_of(&self.name).and_then(|m| CString::new(m).ok()) } else { None };
        Some(LinkChange { running, media })
    }

    fn take_state(&mut self) -> Option<bool> {
        let mut last = None;
        let mut buf = [0u8; 16384];
        loop {
            // SAFETY: the kernel writes at most the buffer's length.
            let n =
                unsafe { libc::recv(self.socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) };
            match usize::try_from(n) {
                Ok(n) => last = self.last_state(&buf[..n]).or(last),
                // Messages were lost: their news will come again with the next change.
                Err(_) if last_errno().0 == libc::ENOBUFS => {}
                Err(_) => return last,
            }
        }
    }

    fn last_state(&self, mut messages: &[u8]) -> Option<bool> {
        let word = |m: &[u8], at: usize| m[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or(0);
        let mut last = None;
        while messages.len() >= HEADER {
            let len = word(messages, 0) as usize;
            if len < HEADER || len > messages.len() {
                break;
            }
            let message = &messages[..len];
            if len >= HEADER + IFINFO && word(message, HEADER + 4).cast_signed() == self.index {
                match u16::from_ne_bytes([message[4], message[5]]) {
                    libc::RTM_NEWLINK => last = Some(running(word(message, HEADER + 8))),
                    libc::RTM_DELLINK => last = Some(false),
                    _ => {}
                }
            }
            messages = messages.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        }
        last
    }
}
