//! The course of a ping: sends on time, hears answers, and knows when to end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockets::Errno;
use sockets::datagram::flag;

use super::echo::{self, Family, Heard};
use super::options::Options;
use super::summary::{Tally, milliseconds};
use crate::command::Failure;
use crate::datagram::{Datagram, Received};
use crate::{inet, stdout};

/// Requests whose answers are still known by their sequence number.
const KNOWN_MAX: usize = 4096;
/// Wait for the last answer when none came at all; else twice the slowest, a second at least.
const LAST_WAIT: Duration = Duration::from_secs(10);

struct Sent {
    seq: u16,
    at: Instant,
    answered: bool,
}

pub struct Session<'a> {
    socket: Datagram<'a>,
    family: Family,
    /// Answers to others come too, and are told apart by `id`.
    raw: bool,
    to: SocketAddr,
    /// The name of the destination's zone, which link-local answers come from too.
    zone: Option<String>,
    options: &'a Options<'a>,
    id: u16,
    known: VecDeque<Sent>,
    tally: Tally,
}

impl<'a> Session<'a> {
    pub fn new(
        socket: Datagram<'a>,
        family: Family,
        raw: bool,
        to: SocketAddr,
        zone: Option<String>,
        options: &'a Options<'a>,
    ) -> Session<'a> {
        let id = std::process::id() as u16;
        Session { socket, family, raw, to, zone, options, id, known: VecDeque::new(), tally: Tally::default() }
    }

    pub fn run(mut self) -> Result<Tally, Failure> {
        let begin = Instant::now();
        let deadline = self.options.deadline.map(|d| begin + d);
        let count = self.options.count;
        let mut next_send = begin;
        let mut last_send = begin;
        while !process::interrupt::seen() {
            let now = Instant::now();
            let all_sent = count.is_some_and(|count| self.tally.sent >= count);
            if deadline.is_some_and(|d| now >= d) || count.is_some_and(|count| self.tally.received >= count) {
                break;
            }
            if !all_sent && now >= next_send {
                self.send()?;
                last_send = now;
                next_send = now + self.options.interval;
                continue;
            }
            let until = if all_sent { last_send + self.last_wait() } else { next_send };
            if all_sent && now >= until {
                break;
            }
            let before = self.tally.received;
            if !self.hear(deadline.map_or(until, |d| until.min(d)))? {
                return Err(Failure::new("the instance has ended"));
            }
            if self.tally.received > before {
                if self.options.once {
                    break;
                }
                if self.options.flood {
                    next_send = Instant::now();
                }
            }
        }
        Ok(self.tally)
    }

    fn last_wait(&self) -> Duration {
        self.options.last_wait.unwrap_or(match self.tally.received {
            0 => LAST_WAIT,
            _ => Duration::from_secs_f64((self.tally.max * 2.0 / 1000.0).max(1.0)),
        })
    }

    fn send(&mut self) -> Result<(), Failure> {
        let seq = self.tally.sent as u16;
        let message = echo::request(self.family, self.id, seq, self.options.size);
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Sent { seq, at: Instant::now(), answered: false });
        self.tally.sent += 1;
        match self.socket.send(self.to, self.options.ttl, &message) {
            Ok(()) => {}
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(Failure::new("the instance has ended")),
            Err(errno) => self.complain(errno),
        }
        if self.options.flood && !self.options.quiet { stdout::print(".") } else { Ok(()) }
    }

    fn complain(&self, errno: Errno) {
        eprintln!("ping: sendto: {}", errno.message());
    }

    /// `false` when the daemon is gone.
    fn hear(&mut self, until: Instant) -> Result<bool, Failure> {
        let (header, heard) = match self.socket.receive(until) {
            Received::Nothing => return Ok(true),
            Received::Closed => return Ok(false),
            Received::Datagram(header, payload) => (header, echo::heard(self.family, payload)),
        };
        if header.has(flag::ERROR) {
            self.complain(Errno(header.errno));
            return Ok(true);
        }
        let from = header.addr.ip_addr().map(|a| inet::zoned(&a, self.zone.as_deref())).unwrap_or_default();
        let ours = |id: u16| !self.raw || id == self.id;
        match heard {
            Some(Heard::Reply { id, seq, bytes, ttl }) if ours(id) => {
                let ttl = ttl.or(header.has(flag::TTL).then_some(header.ttl));
                self.answer(&from, seq, bytes, ttl)?;
            }
            Some(Heard::Trouble { id, bytes, what, .. }) if ours(id) && !self.options.quiet => {
                stdout::print(&format!("{bytes} bytes from {from}: {what}\n"))?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn answer(&mut self, from: &str, seq: u16, bytes: usize, ttl: Option<u8>) -> Result<(), Failure> {
        let now = Instant::now();
        // The latest of that number: the 16 bits come round again.
        let Some(sent) = self.known.iter_mut().rev().find(|s| s.seq == seq) else { return Ok(()) };
        let time = now - sent.at;
        let duplicate = std::mem::replace(&mut sent.answered, true);
        match duplicate {
            true => self.tally.duplicates += 1,
            false => self.tally.answer(time),
        }
        if self.options.quiet {
            return Ok(());
        }
        if self.options.flood {
            return stdout::print("\u{8} \u{8}");
        }
        let bell = if self.options.bell { "\u{7}" } else { "" };
        stdout::print(&format!("{bell}{}\n", line(self.family, from, seq, bytes, ttl, time, duplicate)))
    }
}

fn line(
    family: Family,
    from: &str,
    seq: u16,
    bytes: usize,
    ttl: Option<u8>,
    time: Duration,
    duplicate: bool,
) -> String {
    let (joint, hops) = match family {
        Family::V4 { .. } => (":", "ttl"),
        Family::V6 => (",", "hlim"),
    };
    let hops = ttl.map(|ttl| format!(" {hops}={ttl}")).unwrap_or_default();
    let duplicate = match (duplicate, family) {
        (false, _) => "",
        (true, Family::V4 { .. }) => " (DUP!)",
        (true, Family::V6) => "(DUP!)",
    };
    format!("{bytes} bytes from {from}{joint} icmp_seq={seq}{hops} time={:.3} ms{duplicate}", milliseconds(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_line_is_bsds() {
        let time = Duration::from_micros(123);
        let v4 = Family::V4 { raw: true };
        assert_eq!(
            line(v4, "192.168.1.1", 0, 64, Some(64), time, false),
            "64 bytes from 192.168.1.1: icmp_seq=0 ttl=64 time=0.123 ms"
        );
        assert!(line(v4, "192.168.1.1", 0, 64, Some(64), time, true).ends_with("time=0.123 ms (DUP!)"));
        assert_eq!(
            line(Family::V6, "fe80::1%en0", 1, 64, Some(255), time, false),
            "64 bytes from fe80::1%en0, icmp_seq=1 hlim=255 time=0.123 ms"
        );
    }
}
