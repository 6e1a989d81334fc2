//! What a turn lock needs of the kernel: to sleep on a word and wake others, to know whether a thread is dead, and the
//! time. Raw system calls and no allocation, since it runs inside other people's programs.

use std::time::Duration;

use super::turn::Holder;
use crate::sync::AtomicU64;

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Woken, timed out, or the word was not as expected: look again.
    Look,
    Interrupted,
}

/// What the lock needs of a kernel; the models have one of their own.
pub(crate) trait Kernel {
    /// Sleeps while the lower half of `word` is `expected`, at most `slice`.
    fn sleep(&self, word: &AtomicU64, expected: u32, slice: Duration) -> Woken;
    fn wake_one(&self, word: &AtomicU64);
    fn is_dead(&self, holder: Holder) -> bool;
    /// Time since some moment in the past.
    fn now(&self) -> Duration;
}

/// The kernel itself.
pub(crate) struct Linux;

impl Linux {
    /// The half of the word that is the futex.
    fn futex(word: &AtomicU64) -> *const u32 {
        let half = if cfg!(target_endian = "little") { 0 } else { 1 };
        // SAFETY: the second half of eight bytes is inside them.
        unsafe { word.as_ptr().cast::<u32>().add(half) }
    }
}

impl Kernel for Linux {
    fn sleep(&self, word: &AtomicU64, expected: u32, slice: Duration) -> Woken {
        let time = libc::timespec { tv_sec: slice.as_secs() as _, tv_nsec: slice.subsec_nanos() as _ };
        // SAFETY: the futex word and the time outlive the call. Not FUTEX_PRIVATE: processes share it.
        let done = unsafe { libc::syscall(libc::SYS_futex, Self::futex(word), libc::FUTEX_WAIT, expected, &time) };
        // SAFETY: the address of this thread's errno.
        if done < 0 && unsafe { *libc::__errno_location() } == libc::EINTR { Woken::Interrupted } else { Woken::Look }
    }

    fn wake_one(&self, word: &AtomicU64) {
        // SAFETY: the futex word outlives the call.
        unsafe { libc::syscall(libc::SYS_futex, Self::futex(word), libc::FUTEX_WAKE, 1) };
    }

    fn is_dead(&self, holder: Holder) -> bool {
        if holder.tid() == 0 {
            return false;
        }
        // SAFETY: signal 0 is never delivered. The id is that of a thread of some process, maybe not ours.
        let gone = unsafe { libc::syscall(libc::SYS_kill, holder.tid(), 0) } != 0
            // SAFETY: the address of this thread's errno.
            && unsafe { *libc::__errno_location() } == libc::ESRCH;
        // A killed process that nobody has waited for still has an id, and an id may be somebody else's by now.
        gone || proc_stat(holder.tid()).is_some_and(|(state, start)| {
            matches!(state, b'Z' | b'X' | b'x') || holder.start() != 0 && start != holder.start()
        })
    }

    fn now(&self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` outlives the call, which cannot fail with this clock.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// Start time of a thread in clock ticks after boot, the lower 32 bits; 0 where /proc cannot be read.
pub(crate) fn start_time(tid: u32) -> u32 {
    proc_stat(tid).map_or(0, |(_, start)| start)
}

/// State and start time of a thread: fields 3 and 22 of /proc/TID/stat, proc_pid_stat(5).
fn proc_stat(tid: u32) -> Option<(u8, u32)> {
    let mut path = *b"/proc/0000000000/stat\0";
    let mut rest = tid;
    for digit in path[6..16].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // The kernel takes no leading zeros in a process's name.
    let zeros = path[6..15].iter().take_while(|c| **c == b'0').count();
    path.copy_within(6 + zeros.., 6);
    let mut text = [0u8; 512];
    // SAFETY: `path` ends with a zero byte and `text` has room for what is asked; the descriptor is closed again.
    let got = unsafe {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags);
        if fd < 0 {
            return None;
        }
        let got = libc::syscall(libc::SYS_read, fd, text.as_mut_ptr(), text.len());
        libc::syscall(libc::SYS_close, fd);
        usize::try_from(got).ok()?
    };
    // The name, in parentheses, may hold anything, parentheses and spaces too.
    let text = text.get(..got)?;
    let after_name = text.iter().rposition(|c| *c == b')')?;
    let mut fields = text[after_name + 1..].split(|c| *c == b' ').filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    let ticks = fields.nth(18)?;
    let start = ticks.iter().fold(0u64, |n, c| n.wrapping_mul(10).wrapping_add(u64::from(c.wrapping_sub(b'0'))));
    Some((state, start as u32))
}
