//! Child processes by fork, a socketpair, and polling with a limit.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard};

/// Longer than any honest wait on a loaded machine: whoever waits so long was not woken.
pub const NEVER_WOKEN: i32 = 60_000;

/// To be held by a test that forks: a child also gets the descriptors of tests beside it, and their ends would not
/// come while it lives.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

/// A child process, killed and waited for when dropped.
pub struct Process {
    pid: libc::pid_t,
    waited: bool,
}

impl Process {
    /// Runs `life` in a child; its answer is the exit code, 101 for a panic.
    pub fn start(life: impl FnOnce() -> u8) -> Process {
        // SAFETY: the child has this thread alone. It uses memory of its own, the C library's allocator (which its fork
        // keeps usable), and ends by _exit without running anything of the test harness.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            let code = catch_unwind(AssertUnwindSafe(life)).unwrap_or(101);
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(code)) };
        }
        Process { pid, waited: false }
    }

    pub fn kill(&self) {
        // SAFETY: our own child, not waited for yet, so the id is still its.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Waits until it has ended, and leaves it a zombie, as a parent may that does not care.
    pub fn wait_until_dead(&self) {
        // SAFETY: our own child; an all-zero siginfo is valid and outlives the call.
        let done = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.pid as libc::id_t, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        assert_eq!(done, 0, "waitid");
    }

    /// Waits for its end: the exit code, `None` when it was killed.
    pub fn wait(mut self) -> Option<i32> {
        self.wait_status()
    }

    fn wait_status(&mut self) -> Option<i32> {
        let mut status = 0;
        // SAFETY: our own child; `status` outlives the call.
        while unsafe { libc::waitpid(self.pid, &mut status, 0) } < 0 {
            assert_eq!(std::io::Error::last_os_error().kind(), std::io::ErrorKind::Interrupted, "waitpid");
        }
        self.waited = true;
        libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.waited {
            self.kill();
            self.wait_status();
        }
    }
}

/// Ends the calling process as SIGKILL does.
pub fn die() -> ! {
    // SAFETY: to ourselves.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("SIGKILL does not return")
}

pub fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("socketpair");
    a.set_nonblocking(true).expect("fcntl");
    b.set_nonblocking(true).expect("fcntl");
    (a, b)
}

/// One byte; whether the kernel took it.
pub fn write_byte(mut to: &UnixStream) -> bool {
    std::io::Write::write(&mut to, &[0]).is_ok_and(|n| n == 1)
}

/// Up to `n` bytes, without waiting; how many there were.
pub fn read_bytes(mut from: &UnixStream, n: u32) -> u32 {
    let mut buffer = [0; 256];
    let n = buffer.len().min(n as usize);
    std::io::Read::read(&mut from, &mut buffer[..n]).unwrap_or(0) as u32
}

/// Bytes that can be read.
pub fn unread(from: &UnixStream) -> u32 {
    let mut n: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int.
    let done = unsafe { libc::ioctl(from.as_raw_fd(), libc::FIONREAD, &mut n) };
    assert_eq!(done, 0, "FIONREAD");
    n as u32
}

/// Sleeps until there is something to read, or the end. Panics when nothing comes.
pub fn sleep_on(fd: &UnixStream, what: &str) {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    let ready = unsafe { libc::poll(&mut poll, 1, NEVER_WOKEN) };
    assert!(ready == 1 || ready < 0, "{what} was not woken");
}

/// Whether there is something to read now, or the end.
pub fn is_readable(fd: &UnixStream) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 }
}

/// Numbers from a seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
