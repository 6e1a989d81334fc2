//! One look-up of a name: which question goes to which server, when to ask again, when to give up.
//!
//! Order of calls: [`Lookup::new`]; then in a loop [`Lookup::poll`], doing what the [`Action`] says and
//! handing in what came of it by `handle_*`, until [`Action::Finished`]; then [`Lookup::finish`].

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

use crate::conf::Conf;
use crate::message::{self, Code, Name, RecordType};

/// Most addresses of one answer that are kept.
pub const ADDRESSES_MAX: usize = 128;

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send one datagram.
    Send {
        server: SocketAddr,
        message: Vec<u8>,
    },
    /// Ask over TCP, two bytes of length before the message (RFC 1035 §4.2.2), and hand in the reply by
    /// `handle_reply` or the failure by `handle_failure`, until the time given.
    Ask {
        server: SocketAddr,
        message: Vec<u8>,
        until: Duration,
    },
    /// Wait for a datagram until this time; then poll again.
    Wait {
        until: Duration,
    },
    Finished,
}

/// What was found; for each question at most once.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Answer {
    pub addresses: Vec<IpAddr>,
    pub names: Vec<String>,
    /// The name that the aliases led to.
    pub canonical: String,
    /// The last good response, whole.
    pub message: Vec<u8>,
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such name.
    NoSuchName,
    /// The name has no record of the type.
    NoData,
    /// No server gave an answer: later one may.
    TryAgain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// To be sent to the current server.
    Due,
    /// Sent to the current server.
    Sent,
    /// Truncated: to be asked over TCP.
    OverTcp,
    Answered,
}

#[derive(Clone, Debug)]
struct Question {
    kind: RecordType,
    id: u16,
    /// Random ids for the names that follow.
    ids: Vec<u16>,
    progress: Progress,
}

/// The state of one look-up. Time is a [`Duration`] since any moment of the caller's.
#[derive(Clone, Debug)]
pub struct Lookup {
    conf: Conf,
    /// The names that remain to be tried; the first is the one in work.
    candidates: VecDeque<Name>,
    questions: Vec<Question>,
    /// Sends done for the current name: server `tries % servers`.
    tries: u32,
    deadline: Option<Duration>,
    answer: Answer,
    /// The least hopeless failure so far.
    failure: Failure,
    finished: bool,
}

impl Lookup {
    /// A look-up of the types in `kinds` at once. With `search`, the search list applies as
    /// resolv.conf(5) says. `id` gives random query ids.
    pub fn new(conf: Conf, name: &str, kinds: &[RecordType], search: bool, mut id: impl FnMut() -> u16) -> Lookup {
        let candidates = candidates(&conf, name, search);
        let question = |&kind: &RecordType| Question {
            kind,
            id: id(),
            ids: candidates.iter().skip(1).map(|_| id()).collect(),
            progress: Progress::Due,
        };
        let questions = kinds.iter().map(question).collect();
        Lookup {
            finished: candidates.is_empty(),
            conf,
            candidates,
            questions,
            tries: 0,
            deadline: None,
            answer: Answer::default(),
            failure: Failure::NoSuchName,
        }
    }

    /// A datagram or a TCP reply came. What is not a valid answer to an open question is dropped.
    pub fn handle_reply(&mut self, from: SocketAddr, bytes: &[u8]) {
        if !self.conf.servers.iter().any(|s| s.ip() == from.ip() && s.port() == from.port()) {
            return;
        }
        let Some(name) = self.candidates.front() else { return };
        let open = |q: &&mut Question| matches!(q.progress, Progress::Sent | Progress::OverTcp);
        for q in self.questions.iter_mut().filter(open) {
            let Some(r) = message::response(bytes, q.id, name, q.kind) else { continue };
            if r.truncated {
                q.progress = Progress::OverTcp;
                return;
            }
            match r.code {
                Code::Other(_) => {
                    // SERVFAIL, REFUSED and the like: the next server at once (RFC 1035 §7.2).
                    self.deadline = Some(Duration::ZERO);
                    return;
                }
                Code::NoSuchName => {}
                Code::NoError => {
                    if self.failure != Failure::TryAgain {
                        self.failure = Failure::NoData;
                    }
                    let room = ADDRESSES_MAX.saturating_sub(self.answer.addresses.len());
                    self.answer.addresses.extend(r.addresses.into_iter().take(room));
                    self.answer.names.extend(r.names.iter().filter(|n| n.is_host_name()).map(Name::to_string));
                    self.answer.canonical = r.canonical.to_string();
                }
            }
            self.answer.message = bytes.to_vec();
            q.progress = Progress::Answered;
            break;
        }
        if self.questions.iter().all(|q| q.progress == Progress::Answered) {
            self.next_name();
        }
    }

    /// A server cannot be reached, or a TCP exchange failed: the next one at once.
    pub fn handle_failure(&mut self) {
        self.deadline = Some(Duration::ZERO);
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Action {
        if self.deadline.is_some_and(|d| now >= d) {
            self.next_server();
        }
        if self.finished {
            return Action::Finished;
        }
        let Some(name) = self.candidates.front() else { return Action::Finished };
        let servers = self.conf.servers.len() as u32;
        let server = self.conf.servers[(self.tries % servers) as usize];
        let timeout = self.timeout();
        let until = *self.deadline.get_or_insert(now + timeout);
        for q in &mut self.questions {
            let over_tcp = q.progress == Progress::OverTcp || self.conf.use_vc && q.progress == Progress::Due;
            if over_tcp || q.progress == Progress::Due {
                let message = message::query(q.id, name, q.kind);
                q.progress = Progress::Sent;
                return match over_tcp {
                    true => Action::Ask { server, message, until: until.max(now + timeout) },
                    false => Action::Send { server, message },
                };
            }
        }
        Action::Wait { until }
    }

    /// What was found.
    pub fn finish(self) -> Result<Answer, Failure> {
        let found = !self.answer.addresses.is_empty() || !self.answer.names.is_empty();
        let asked_for_others = self.questions.iter().any(|q| {
            !matches!(q.kind, RecordType::A | RecordType::AAAA | RecordType::PTR) && q.progress == Progress::Answered
        });
        if found || asked_for_others && !self.answer.canonical.is_empty() { Ok(self.answer) } else { Err(self.failure) }
    }

    /// As libc: the time doubles with each round, shared among the servers after the first.
    fn timeout(&self) -> Duration {
        let servers = self.conf.servers.len() as u32;
        let round = self.tries / servers;
        match round {
            0 => self.conf.timeout,
            _ => (self.conf.timeout * (1 << round.min(5)) / servers).max(Duration::from_secs(1)),
        }
    }

    fn next_server(&mut self) {
        self.deadline = None;
        self.tries += 1;
        for q in self.questions.iter_mut().filter(|q| q.progress != Progress::Answered) {
            q.progress = Progress::Due;
        }
        if self.tries >= self.conf.servers.len() as u32 * self.conf.attempts {
            self.next_name();
        }
    }

    /// The current name is done with: found, or the next one is tried.
    fn next_name(&mut self) {
        let silent = self.questions.iter().any(|q| q.progress != Progress::Answered);
        if silent {
            self.failure = Failure::TryAgain;
        }
        let found = !self.answer.addresses.is_empty() || !self.answer.names.is_empty();
        self.candidates.pop_front();
        if found || silent || self.candidates.is_empty() {
            self.finished = true;
            return;
        }
        self.tries = 0;
        self.deadline = None;
        for q in &mut self.questions {
            q.progress = Progress::Due;
            q.id = q.ids.pop().unwrap_or(q.id);
        }
    }
}

fn candidates(conf: &Conf, name: &str, search: bool) -> VecDeque<Name> {
    let as_it_is = Name::from_text(name);
    let absolute = name.ends_with('.') || !search;
    if absolute || as_it_is.is_none() {
        return as_it_is.into_iter().collect();
    }
    let searched = conf.search.iter().filter_map(|domain| Name::from_text(&format!("{name}.{domain}")));
    let mut all: VecDeque<Name> = searched.collect();
    if name.matches('.').count() >= conf.ndots {
        as_it_is.into_iter().for_each(|n| all.push_front(n));
    } else {
        all.extend(as_it_is);
    }
    all
}

#[cfg(test)]
mod tests;
