//! epoll_ctl(2): who asks for edges is to have one for each arrival, also where the bytes do not pass through the
//! kernel.

use core::ffi::c_int;

use libc::epoll_event;

use crate::real::raw;
use crate::{hook, rings, table};

hook! {
    /// epoll_ctl(2).
    fn epoll_ctl(set: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
        if let Some(s) = table::socket(fd)
            && operation != libc::EPOLL_CTL_DEL
            && !event.is_null()
            && (*event).events & libc::EPOLLET as u32 != 0
        {
            rings::wants_edges(&s);
        }
        raw!(SYS_epoll_ctl, set, operation, fd, event) as c_int
    }
}
