//! Processes that have closed a control connection. When such a one has died, nobody will ask for what
//! its ended sockets have to say, and they go.
//!
//! A dying process closes its descriptors before it counts as dead, so it is looked at again for a
//! while.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use stack::{Duration, Instant};

use super::Shard;

/// Most processes that are looked at again. Beyond, their ended sockets lie until others displace them.
const WAITING_MAX: usize = 64;
/// How soon, and how often.
const PAUSE: Duration = Duration::from_millis(20);
const LOOKS: u32 = 50;

#[derive(Debug)]
pub(super) struct Departed {
    /// Process ids, each with the looks that are left.
    waiting: Vec<(u32, u32)>,
    pub(super) at: Instant,
}

impl Default for Departed {
    fn default() -> Departed {
        Departed { waiting: Vec::new(), at: Instant::FAR }
    }
}

impl Shard {
    /// A connection of this process to the channel is closed.
    pub(crate) fn departed(&mut self, pid: u32, now: Instant) {
        let Departed { waiting, at } = &mut self.departed;
        if waiting.len() < WAITING_MAX
            && !waiting.iter().any(|(p, _)| *p == pid)
            && !self.table.buried_by(pid).is_empty()
        {
            waiting.push((pid, LOOKS));
            *at = (*at).min(now);
        }
    }

    /// A socket that this process opened has come to its end, and the process has no connection to the
    /// channel: perhaps it is dying, and its connection was closed before this socket's descriptor. If
    /// it is dead already, another holds the socket and may ask.
    pub(super) fn may_be_dying(&mut self, pid: u32, now: Instant) {
        if !is_dead(pid) {
            self.departed(pid, now);
        }
    }

    /// Each turn: takes away what the dead have left.
    pub(super) fn look_for_the_dead(&mut self, now: Instant) {
        if now < self.departed.at {
            return;
        }
        let mut waiting = std::mem::take(&mut self.departed.waiting);
        waiting.retain_mut(|(pid, looks)| {
            let dead = is_dead(*pid);
            if dead {
                for slot in self.table.buried_by(*pid) {
                    self.discard_made(slot, now);
                }
            }
            *looks -= 1;
            !dead && *looks > 0
        });
        let at = if waiting.is_empty() { Instant::FAR } else { now + PAUSE };
        self.departed = Departed { waiting, at };
    }
}

/// Dead, though perhaps still a zombie. What has no number here (another process namespace) counts as alive.
fn is_dead(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // pidfd_open(2): readable once the process has ended.
        Ok(process) => poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec::default())) == Ok(1),
        Err(error) => error == rustix::io::Errno::SRCH,
    }
}
