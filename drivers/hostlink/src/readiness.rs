//! Several descriptors behind one: readable while any of them is (epoll(7), nested in the host's).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use abi::Failure;

pub struct Readiness {
    epoll: OwnedFd,
}

impl Readiness {
    pub fn of(members: &[BorrowedFd<'_>]) -> Result<Readiness, Failure> {
        // SAFETY: a new descriptor, owned at once.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(Failure::last_os("epoll"));
            }
            OwnedFd::from_raw_fd(fd)
        };
        for member in members {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            // SAFETY: the kernel reads the event.
            let added =
                unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, member.as_raw_fd(), &mut event) };
            if added < 0 {
                return Err(Failure::last_os("epoll"));
            }
        }
        Ok(Readiness { epoll })
    }

    /// Looks at this one no more: it is broken, and would be ready for ever.
    pub fn forget(&self, member: BorrowedFd<'_>) {
        // SAFETY: no event is read for DEL; a descriptor that is not there is ignored.
        unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, member.as_raw_fd(), core::ptr::null_mut());
        }
    }

    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
