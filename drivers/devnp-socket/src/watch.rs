//! When to look whether the peer is there: whenever something happens to its path's name (inotify(7)), and
//! for a short while after that. In quiet times nothing wakes.
//!
//! A socket's name appears before the socket can be reached (bind(2) does both, in that order), and may be
//! given other rights later; hence the looks that follow. What no name tells, a peer that was killed and left
//! its path, is found out by sending.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abi::Failure;
use hostlink::Readiness;

/// The looks after something happened: the pause before the first, doubled for each next one, and how many.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 10;
/// How often to look where the host has no inotify left for us (`fs.inotify.max_user_instances`).
const LOOK_UNWATCHED: Duration = Duration::from_millis(500);

const NAMES_CHANGE: u32 = libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_ATTRIB
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF;

pub struct PathWatch {
    timer: OwnedFd,
    names: Option<Names>,
    /// Looks that are left.
    looks: u32,
}

/// The watch on the deepest directory above the path that is there.
struct Names {
    inotify: OwnedFd,
    path: PathBuf,
    watched: Option<(PathBuf, i32)>,
    /// There is a deeper one, which we may not read.
    blind: bool,
}

impl PathWatch {
    pub fn new(path: &Path) -> Result<PathWatch, Failure> {
        // SAFETY: a new descriptor, owned at once.
        let timer = unsafe {
            let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK);
            if fd < 0 {
                return Err(Failure::last_os("timer"));
            }
            OwnedFd::from_raw_fd(fd)
        };
        let names = std::path::absolute(path).ok().and_then(Names::of);
        let watch = PathWatch { timer, names, looks: 0 };
        if watch.is_blind() {
            watch.set_timer(LOOK_UNWATCHED);
        }
        Ok(watch)
    }

    /// All that becomes readable when [`PathWatch::take_change`] has something to say.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [Some(self.timer.as_fd()), self.names.as_ref().map(|n| n.inotify.as_fd())].into_iter().flatten()
    }

    /// Something happened since the last call: look whether the peer is there.
    pub fn take_change(&mut self) -> bool {
        let expired = self.timer_expired();
        if self.names.as_mut().is_some_and(Names::take_change) {
            self.looks = LOOKS;
        } else if !expired {
            return false;
        }
        if let Some(left) = self.looks.checked_sub(1) {
            self.looks = left;
            self.set_timer(FIRST_LOOK * (1 << (LOOKS - 1 - left)));
        } else if self.is_blind() {
            self.set_timer(LOOK_UNWATCHED);
        }
        true
    }

    fn is_blind(&self) -> bool {
        self.names.as_ref().is_none_or(|n| n.blind)
    }

    /// Has the timer expire once.
    fn set_timer(&self, after: Duration) {
        let it_value = libc::timespec { tv_sec: after.as_secs() as _, tv_nsec: after.subsec_nanos() as _ };
        let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // SAFETY: the kernel reads the setting.
        unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &spec, core::ptr::null_mut()) };
    }

    fn timer_expired(&self) -> bool {
        let mut count = 0u64;
        // SAFETY: a timer gives eight bytes.
        unsafe { libc::read(self.timer.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) > 0 }
    }

    /// One descriptor for the watch and `other`.
    pub fn readiness_with(&self, other: BorrowedFd<'_>) -> Result<Readiness, Failure> {
        Readiness::of(&self.descriptors().chain([other]).collect::<Vec<_>>())
    }
}

impl Names {
    fn of(path: PathBuf) -> Option<Names> {
        // SAFETY: a new descriptor, owned at once.
        let inotify = unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
        };
        let mut names = Names { inotify, path, watched: None, blind: false };
        names.watch_deepest();
        names.watched.is_some().then_some(names)
    }

    /// Drains the events; true when one may be about the path or a directory above it.
    fn take_change(&mut self) -> bool {
        let mut changed = false;
        let mut buf = [0u8; 4096];
        loop {
            // SAFETY: the kernel writes at most the buffer's length.
            let n = unsafe { libc::read(self.inotify.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
            match usize::try_from(n) {
                Ok(n) if n > 0 => changed |= self.concerns_us(&buf[..n]),
                _ => break,
            }
        }
        if changed {
            self.watch_deepest();
        }
        changed
    }

    /// Whether one of these events (wd, mask, cookie, len, name) is about the next part of the path, the
    /// directory itself, or events that were lost.
    fn concerns_us(&self, mut events: &[u8]) -> bool {
        const HEADER: usize = 16;
        let Some((dir, _)) = &self.watched else { return true };
        let next = self.path.strip_prefix(dir).ok().and_then(|rest| rest.iter().next()).map(OsStr::as_bytes);
        let word = |at: usize, e: &[u8]| e[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or(0);
        while events.len() >= HEADER {
            let (mask, len) = (word(4, events), word(12, events) as usize);
            let name = events.get(HEADER..HEADER + len).unwrap_or_default();
            let name = name.split(|b| *b == 0).next().unwrap_or_default();
            let itself = mask & (libc::IN_DELETE_SELF | libc::IN_MOVE_SELF | libc::IN_IGNORED | libc::IN_Q_OVERFLOW);
            if itself != 0 || Some(name) == next {
                return true;
            }
            events = events.get(HEADER + len..).unwrap_or_default();
        }
        false
    }

    /// Watches the deepest directory above the path that is there now.
    fn watch_deepest(&mut self) {
        // Directories may come while we look, each at most once more than there are.
        for _ in 0..self.path.components().count() {
            let dirs = self.path.ancestors().skip(1);
            let Some((dir, wd)) = dirs.filter_map(|dir| Some((dir.to_owned(), self.add(dir)?))).next() else {
                self.watched = None;
                self.blind = true;
                return;
            };
            let below = self.path.ancestors().skip(1).take_while(|d| *d != dir).last();
            self.blind = below.is_some_and(Path::is_dir);
            if let Some((_, old)) = self.watched.replace((dir, wd))
                && old != wd
            {
                // SAFETY: a watch of our own; one that is gone already is an error that harms nobody.
                unsafe { libc::inotify_rm_watch(self.inotify.as_raw_fd(), old) };
            }
            if !self.blind {
                return;
            }
        }
    }

    fn add(&self, dir: &Path) -> Option<i32> {
        let dir = CString::new(dir.as_os_str().as_bytes()).ok()?;
        let mask = NAMES_CHANGE | libc::IN_ONLYDIR;
        // SAFETY: a string that ends with NUL.
        let wd = unsafe { libc::inotify_add_watch(self.inotify.as_raw_fd(), dir.as_ptr(), mask) };
        (wd >= 0).then_some(wd)
    }
}
