//! syscall(2): libraries such as libuv make some of their calls by number.

use core::ffi::{c_int, c_long, c_uint};

use crate::hook;
use crate::hooks::{data, descriptors, ioctls, leaving, mmsg, options, sandbox, socket, watch};
use crate::real::{as_libc, trap};

/// Numbers that one of the two machines lacks.
mod number {
    #[cfg(target_arch = "aarch64")]
    pub use libc::SYS_accept;
    #[cfg(target_arch = "x86_64")]
    pub use libc::{SYS_accept, SYS_dup2};
    #[cfg(target_arch = "aarch64")]
    pub const SYS_dup2: core::ffi::c_long = -1;
}

hook! {
    /// syscall(2). (Seven arguments: a variadic call passes them the same way, and those that were not
    /// given are not read by the kernel.)
    fn syscall(
        call: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long,
    ) -> c_long {
        let (fd, size) = (a as c_int, c as usize);
        match call {
            libc::SYS_close => descriptors::close(fd) as c_long,
            libc::SYS_close_range => descriptors::close_range(a as c_uint, b as c_uint, c as c_int) as c_long,
            libc::SYS_dup => descriptors::dup(fd) as c_long,
            libc::SYS_dup3 => descriptors::dup3(fd, b as c_int, c as c_int) as c_long,
            number::SYS_dup2 => descriptors::dup2(fd, b as c_int) as c_long,
            libc::SYS_fcntl => descriptors::fcntl(fd, b as c_int, c as *mut _) as c_long,
            libc::SYS_ioctl => ioctls::ioctl(fd, b as _, c as *mut _) as c_long,
            libc::SYS_read => data::read(fd, b as *mut _, size) as c_long,
            libc::SYS_write => data::write(fd, b as *const _, size) as c_long,
            libc::SYS_readv => data::readv(fd, b as *const _, c as c_int) as c_long,
            libc::SYS_writev => data::writev(fd, b as *const _, c as c_int) as c_long,
            libc::SYS_preadv2 => data::preadv2(fd, b as *const _, c as c_int, d, f as c_int) as c_long,
            libc::SYS_pwritev2 => data::pwritev2(fd, b as *const _, c as c_int, d, f as c_int) as c_long,
            libc::SYS_sendfile => data::sendfile(fd, b as c_int, c as *mut _, d as usize) as c_long,
            libc::SYS_splice => {
                data::splice(fd, b as *mut _, c as c_int, d as *mut _, e as usize, f as c_uint) as c_long
            }
            libc::SYS_recvfrom => {
                data::recvfrom(fd, b as *mut _, size, d as c_int, e as *mut _, f as *mut _) as c_long
            }
            libc::SYS_sendto => data::sendto(fd, b as *const _, size, d as c_int, e as *const _, f as _) as c_long,
            libc::SYS_recvmsg => data::recvmsg(fd, b as *mut _, c as c_int) as c_long,
            libc::SYS_sendmsg => data::sendmsg(fd, b as *const _, c as c_int) as c_long,
            libc::SYS_recvmmsg => mmsg::recvmmsg(fd, b as *mut _, c as c_uint, d as c_int, e as *mut _) as c_long,
            libc::SYS_sendmmsg => mmsg::sendmmsg(fd, b as *mut _, c as c_uint, d as c_int) as c_long,
            libc::SYS_prctl => sandbox::prctl(fd, b as _, c as _, d as _, e as _) as c_long,
            libc::SYS_seccomp => sandbox::seccomp(a, b, c),
            libc::SYS_socket => socket::socket(fd, b as c_int, c as c_int) as c_long,
            libc::SYS_socketpair => socket::socketpair(fd, b as c_int, c as c_int, d as *mut _) as c_long,
            libc::SYS_bind => socket::bind(fd, b as *const _, c as _) as c_long,
            libc::SYS_connect => socket::connect(fd, b as *const _, c as _) as c_long,
            libc::SYS_listen => socket::listen(fd, b as c_int) as c_long,
            number::SYS_accept => socket::accept(fd, b as *mut _, c as *mut _) as c_long,
            libc::SYS_accept4 => socket::accept4(fd, b as *mut _, c as *mut _, d as c_int) as c_long,
            libc::SYS_shutdown => socket::shutdown(fd, b as c_int) as c_long,
            libc::SYS_getsockname => socket::getsockname(fd, b as *mut _, c as *mut _) as c_long,
            libc::SYS_getpeername => socket::getpeername(fd, b as *mut _, c as *mut _) as c_long,
            libc::SYS_getsockopt => {
                options::getsockopt(fd, b as c_int, c as c_int, d as *mut _, e as *mut _) as c_long
            }
            libc::SYS_setsockopt => {
                options::setsockopt(fd, b as c_int, c as c_int, d as *const _, e as _) as c_long
            }
            libc::SYS_epoll_ctl => watch::epoll_ctl(fd, b as c_int, c as c_int, d as *mut _) as c_long,
            _ => {
                leaving::by_number(call, [a as usize, b as usize]);
                as_libc(trap(call, [a, b, c, d, e, f].map(|x| x as usize)))
            }
        }
    }
}
