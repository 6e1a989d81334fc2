//! The kernel and the next library, without detours through our own hooks: raw system calls, and
//! `dlsym(RTLD_NEXT)` for the few libc functions that are more than a system call.
//!
//! Nothing in this crate calls a libc function that this crate exports, nor `std::{fs, net, io,
//! thread}`, which would.

use core::ffi::{CStr, c_int, c_void};
use core::mem;
use core::sync::atomic::{AtomicUsize, Ordering};

pub use sockets::Errno;

/// A system call as a `Result<usize, Errno>`; errno is left alone.
macro_rules! sys {
    ($nr:ident $(, $a:expr)* $(,)?) => { $crate::real::trap(libc::$nr, $crate::real::arguments([$($a as usize),*])) };
}
pub(crate) use sys;

/// A system call as libc gives it: -1 and errno, or the result.
macro_rules! raw {
    ($nr:ident $(, $a:expr)* $(,)?) => { $crate::real::as_libc($crate::real::sys!($nr $(, $a)*)) };
}
pub(crate) use raw;

/// Fills up to the six arguments that a system call can have.
#[inline(always)]
pub fn arguments<const N: usize>(given: [usize; N]) -> [usize; 6] {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(given) {
        *to = from;
    }
    all
}

/// syscall(2) itself, since libc's function of that name is one of our hooks.
///
/// # Safety
/// As the system call of this number.
#[inline(always)]
pub unsafe fn trap(number: libc::c_long, a: [usize; 6]) -> Result<usize, Errno> {
    const ERRORS: isize = -4095;
    let result: isize;
    // SAFETY: the kernel's calling convention (syscall(2)); the caller vouches for the arguments.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number as isize,
            inlateout("x0") a[0] as isize => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
            options(nostack)
        );
    }
    if (ERRORS..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

#[inline(always)]
pub fn as_libc(result: Result<usize, Errno>) -> libc::c_long {
    match result {
        Ok(n) => n as libc::c_long,
        Err(e) => {
            set_errno(e.0);
            -1
        }
    }
}

/// errno(3) of this thread.
pub fn errno() -> i32 {
    // SAFETY: libc gives a valid pointer to this thread's own variable.
    unsafe { *libc::__errno_location() }
}

pub fn set_errno(value: i32) {
    // SAFETY: as in `errno`.
    unsafe { *libc::__errno_location() = value }
}

pub fn check(result: libc::c_long) -> Result<usize, Errno> {
    if result < 0 { Err(Errno(errno())) } else { Ok(result as usize) }
}

/// Runs the body of a hook: an error becomes -1 and errno; success leaves errno as it was.
pub fn answer(body: impl FnOnce() -> Result<usize, Errno>) -> isize {
    let before = errno();
    match body() {
        Ok(n) => {
            set_errno(before);
            n as isize
        }
        Err(e) => {
            set_errno(e.0);
            -1
        }
    }
}

/// close(2) on a descriptor of our own.
pub fn close(fd: c_int) {
    // SAFETY: no memory is involved; the caller owns the descriptor.
    let _ = unsafe { sys!(SYS_close, fd) };
}

/// What poll(2) sees of `events`, POLLERR and POLLHUP within `timeout`; `None` waits for ever.
pub fn poll(fd: c_int, events: i16, timeout: Option<libc::timespec>) -> Result<i16, Errno> {
    let mut p = [libc::pollfd { fd, events, revents: 0 }];
    poll_all(&mut p, timeout)?;
    Ok(p[0].revents)
}

/// ppoll(2) without a signal mask.
pub fn poll_all(fds: &mut [libc::pollfd], mut timeout: Option<libc::timespec>) -> Result<usize, Errno> {
    let ts = timeout.as_mut().map_or(core::ptr::null_mut(), |t| t as *mut libc::timespec);
    // SAFETY: the array has its true length, and the timeout (which the kernel writes the rest to) is
    // a local.
    unsafe { sys!(SYS_ppoll, fds.as_mut_ptr(), fds.len(), ts, 0, 8) }
}

pub const NOW: Option<libc::timespec> = Some(libc::timespec { tv_sec: 0, tv_nsec: 0 });

/// getsockopt(2) of the kernel for a fixed-size value.
pub fn native_option<T: Copy>(fd: c_int, level: c_int, name: c_int) -> Result<T, Errno> {
    let mut value = mem::MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `value`, and T is a plain C value for
    // which all bytes are valid (integers and structs of integers, by the callers below).
    unsafe {
        sys!(SYS_getsockopt, fd, level, name, value.as_mut_ptr(), &mut len as *mut libc::socklen_t)?;
        Ok(value.assume_init())
    }
}

pub fn set_native_option(fd: c_int, level: c_int, name: c_int, value: c_int) -> Result<(), Errno> {
    // SAFETY: the kernel reads four bytes of a local.
    unsafe { sys!(SYS_setsockopt, fd, level, name, &value as *const c_int, 4) }.map(|_| ())
}

/// O_NONBLOCK of the open file description.
pub fn is_nonblocking(fd: c_int) -> bool {
    // SAFETY: no memory is involved.
    unsafe { sys!(SYS_fcntl, fd, libc::F_GETFL) }.is_ok_and(|f| f as c_int & libc::O_NONBLOCK != 0)
}

pub fn set_nonblocking(fd: c_int) {
    // SAFETY: no memory is involved.
    unsafe {
        if let Ok(f) = sys!(SYS_fcntl, fd, libc::F_GETFL) {
            let _ = sys!(SYS_fcntl, fd, libc::F_SETFL, f as c_int | libc::O_NONBLOCK);
        }
    }
}

/// Bytes that can be read from a pair (unix(7), SIOCINQ).
pub fn unread(fd: c_int) -> Result<usize, Errno> {
    let mut n: c_int = 0;
    // SAFETY: the kernel writes one int.
    unsafe { sys!(SYS_ioctl, fd, libc::FIONREAD, &mut n as *mut c_int)? };
    Ok(n.max(0) as usize)
}

/// Throws away at most `n` bytes of what can be read from a pair, without waiting; gives back how many.
pub fn throw_away(fd: c_int, n: usize) -> usize {
    let mut sink = mem::MaybeUninit::<[u8; 4096]>::uninit();
    let mut done = 0;
    while done < n {
        let want = (n - done).min(size_of_val(&sink));
        // SAFETY: a local buffer with its true length.
        match unsafe { sys!(SYS_recvfrom, fd, sink.as_mut_ptr(), want, libc::MSG_DONTWAIT, 0, 0) } {
            Ok(got @ 1..) => done += got,
            Err(Errno::EINTR) => {}
            _ => break,
        }
    }
    done
}

/// Lets others have the processor for a moment.
pub fn yield_now() {
    // SAFETY: no arguments.
    let _ = unsafe { sys!(SYS_sched_yield) };
}

pub fn pid() -> i32 {
    // SAFETY: getpid(2) has no arguments and cannot fail.
    unsafe { raw!(SYS_getpid) as i32 }
}

/// What TCP does for a write after the end: SIGPIPE to the thread that called.
pub fn raise_sigpipe() {
    // SAFETY: no memory is involved.
    unsafe {
        let tid = raw!(SYS_gettid);
        raw!(SYS_tgkill, pid(), tid, libc::SIGPIPE);
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes `t`; libc's own goes through the vDSO and is not hooked.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Whether an interrupted wait is to go on. The kernel restarts only calls that sleep natively;
/// ppoll(2) is never restarted (signal(7)), so this looks at which handlers there are: if every one was
/// installed with SA_RESTART, the one that ran was, too.
pub fn handlers_restart() -> bool {
    /// `struct kernel_sigaction` of x86-64 and aarch64.
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: u64,
        rest: [u64; 4],
    }
    for signal in 1..=64 {
        let mut action = KernelAction { handler: 0, flags: 0, rest: [0; 4] };
        // SAFETY: the kernel writes one `struct kernel_sigaction`, at most as large as ours.
        let r = unsafe { sys!(SYS_rt_sigaction, signal, 0, &mut action as *mut KernelAction, 8) };
        let caught = r.is_ok() && action.handler > 1;
        if caught && action.flags & libc::SA_RESTART as u64 == 0 {
            return false;
        }
    }
    true
}

/// A libc function of the next object in search order, looked up once.
pub struct Next {
    name: &'static CStr,
    address: AtomicUsize,
}

impl Next {
    pub const fn new(name: &'static CStr) -> Next {
        Next { name, address: AtomicUsize::new(0) }
    }

    /// Null when there is none.
    pub fn get(&self) -> *mut c_void {
        let known = self.address.load(Ordering::Relaxed);
        if known != 0 {
            return known as *mut c_void;
        }
        // SAFETY: the name is a NUL-terminated constant.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(found as usize, Ordering::Relaxed);
        found
    }
}

/// The function behind a [`Next`] as an `Option` of the given function type.
macro_rules! next_fn {
    ($next:expr, $t:ty) => {{
        let address = $next.get();
        if address.is_null() { None } else { Some(core::mem::transmute::<*mut core::ffi::c_void, $t>(address)) }
    }};
}
pub(crate) use next_fn;
