//! libc's own forms of the calls that may block. Unlike bare system calls they are points of
//! cancellation (pthreads(7)), and stay so for a program that has this library: on descriptors that are
//! not ours, and on the pairs behind ours. A cancelled thread is unwound through our frames, which is
//! why hooks are `extern "C-unwind"` and hold nothing across these calls that must be given back.
//!
//! Where the next library has no such name, the system call itself is made.

use core::ffi::{c_int, c_uint, c_void};

use libc::{iovec, mmsghdr, msghdr, off64_t, pollfd, sigset_t, sockaddr, socklen_t, timespec};

use crate::real::{Next, raw};

macro_rules! natives {
    ($(fn $name:ident($($arg:ident: $t:ty),*) -> $ret:ty = $nr:ident($($raw:expr),*);)*) => {
        mod next {
            use super::Next;
            $(#[allow(non_upper_case_globals)] pub static $name: Next = Next::new(
                match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                },
            );)*
        }

        /// Looks all of them up, so that no signal handler or vfork child is the first to.
        pub fn begin() {
            $(next::$name.get();)*
        }

        $(
            /// # Safety
            /// As the C function of this name.
            #[inline]
            pub unsafe fn $name($($arg: $t),*) -> $ret {
                let address = next::$name.get();
                // SAFETY: the function that libc exports under this name has this type; the rest is
                // handed on to the caller.
                unsafe {
                    if address.is_null() {
                        return raw!($nr, $($raw),*) as $ret;
                    }
                    let f = core::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($t),*) -> $ret>(address);
                    f($($arg),*)
                }
            }
        )*
    };
}

natives! {
    fn read(fd: c_int, buf: *mut c_void, n: usize) -> isize = SYS_read(fd, buf, n);
    fn write(fd: c_int, buf: *const c_void, n: usize) -> isize = SYS_write(fd, buf, n);
    fn readv(fd: c_int, iov: *const iovec, n: c_int) -> isize = SYS_readv(fd, iov, n);
    fn writev(fd: c_int, iov: *const iovec, n: c_int) -> isize = SYS_writev(fd, iov, n);
    fn recv(fd: c_int, buf: *mut c_void, n: usize, flags: c_int) -> isize = SYS_recvfrom(fd, buf, n, flags, 0, 0);
    fn send(fd: c_int, buf: *const c_void, n: usize, flags: c_int) -> isize = SYS_sendto(fd, buf, n, flags, 0, 0);
    fn recvfrom(fd: c_int, buf: *mut c_void, n: usize, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> isize
        = SYS_recvfrom(fd, buf, n, flags, from, len);
    fn sendto(fd: c_int, buf: *const c_void, n: usize, flags: c_int, to: *const sockaddr, len: socklen_t) -> isize
        = SYS_sendto(fd, buf, n, flags, to, len);
    fn recvmsg(fd: c_int, m: *mut msghdr, flags: c_int) -> isize = SYS_recvmsg(fd, m, flags);
    fn sendmsg(fd: c_int, m: *const msghdr, flags: c_int) -> isize = SYS_sendmsg(fd, m, flags);
    fn recvmmsg(fd: c_int, m: *mut mmsghdr, n: c_uint, flags: c_int, timeout: *mut timespec) -> c_int
        = SYS_recvmmsg(fd, m, n, flags, timeout);
    fn sendmmsg(fd: c_int, m: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int = SYS_sendmmsg(fd, m, n, flags);
    fn accept4(fd: c_int, to: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int
        = SYS_accept4(fd, to, len, flags);
    fn connect(fd: c_int, to: *const sockaddr, len: socklen_t) -> c_int = SYS_connect(fd, to, len);
    fn close(fd: c_int) -> c_int = SYS_close(fd);
    fn splice(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: usize, flags: c_uint) -> isize
        = SYS_splice(from, from_at, to, to_at, n, flags);
    fn ppoll(fds: *mut pollfd, n: libc::nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int
        = SYS_ppoll(fds, n, timeout, mask, 8);
}

static FCNTL: Next = Next::new(c"fcntl");

/// fcntl(2); libc's gives F_GETOWN its meaning for process groups.
///
/// # Safety
/// As fcntl(2).
pub unsafe fn fcntl(fd: c_int, command: c_int, arg: *mut c_void) -> c_int {
    let address = FCNTL.get();
    // SAFETY: as above; the C function is variadic.
    unsafe {
        if address.is_null() {
            return raw!(SYS_fcntl, fd, command, arg) as c_int;
        }
        let f = core::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(c_int, c_int, ...) -> c_int>(address);
        f(fd, command, arg)
    }
}
