//! How a shard waits for the next event: for a short while by yielding its core, then asleep.
//!
//! Waking a sleeper costs a few microseconds on its own core and some 25 µs on an idle one, more than
//! most gaps between a request and the next. So after a turn the shard looks again for a moment before
//! it sleeps, but only as long as that pays: looks in vain use up its credit, and a yield that takes
//! long means that others need the core, which switches looking off for a while.

use std::io;
use std::os::fd::BorrowedFd;

use stack::{Duration, Instant};

use super::now;
use crate::sys;

/// Longest look before sleeping.
const LOOK: Duration = Duration::from_micros(40);
/// A yield that took longer: the machine is busy.
const BUSY: Duration = Duration::from_micros(100);
/// For how long nothing is looked for then.
const BACK_OFF: Duration = Duration::from_secs(1);
/// Looks in vain, in a row, after which the shard sleeps at once.
const CREDIT: u8 = 8;
/// Sleeps after which it tries a look again.
const TRY_AGAIN: u8 = 64;

#[derive(Debug)]
pub(super) struct Wait {
    credit: u8,
    sleeps: u8,
    off_until: Instant,
}

impl Default for Wait {
    fn default() -> Self {
        Wait { credit: CREDIT, sleeps: 0, off_until: Instant::ZERO }
    }
}

impl Wait {
    /// Takes kernel events, waiting for at most `timeout_ns` (`None`: for ever).
    pub fn events(
        &mut self,
        epoll: BorrowedFd<'_>,
        events: &mut [libc::epoll_event],
        timeout_ns: Option<u64>,
    ) -> io::Result<usize> {
        let long = timeout_ns.is_none_or(|ns| ns > 2 * LOOK.as_nanos() as u64);
        if !long {
            return sys::epoll_wait(epoll, events, timeout_ns);
        }
        let begin = now();
        if self.may_look(begin) {
            let n = self.look(epoll, events, begin)?;
            if n > 0 {
                return Ok(n);
            }
        }
        let spent = now().since(begin).as_nanos() as u64;
        sys::epoll_wait(epoll, events, timeout_ns.map(|ns| ns.saturating_sub(spent)))
    }

    fn may_look(&mut self, now: Instant) -> bool {
        if now < self.off_until {
            return false;
        }
        if self.credit == 0 {
            self.sleeps += 1;
            if self.sleeps < TRY_AGAIN {
                return false;
            }
            self.sleeps = 0;
            self.credit = 1;
        }
        true
    }

    fn look(&mut self, epoll: BorrowedFd<'_>, events: &mut [libc::epoll_event], begin: Instant) -> io::Result<usize> {
        let mut before = begin;
        loop {
            let n = sys::epoll_wait(epoll, events, Some(0))?;
            if n > 0 {
                self.credit = CREDIT;
                return Ok(n);
            }
            std::thread::yield_now();
            let after = now();
            if after.since(before) > BUSY {
                self.off_until = after + BACK_OFF;
                return Ok(0);
            }
            if after.since(begin) >= LOOK {
                self.credit -= 1;
                return Ok(0);
            }
            before = after;
        }
    }
}
