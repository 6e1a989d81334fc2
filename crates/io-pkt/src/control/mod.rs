//! Control calls: requests of programs and commands on the instance's channel (`sockets::call`).
//!
//! Everything that arrives here was written by a program that need not be ours: a request that is not
//! well formed gets an errno and is counted, nothing more.

mod addresses;
mod config;
mod ioctls;
mod options;
mod socket_calls;
mod tables;
pub(crate) mod tcp_info;

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

use errno::Errno;
use msg::{Credentials, Event, Rcvid, Received};
use sockets::call::{Op, ReplyHeader, RequestHeader};
use stack::Instant;

use crate::shard::Shard;
use crate::shard::table::{Phase, ready};

/// A good answer.
#[derive(Default)]
pub(crate) struct Answer {
    pub body: Vec<u8>,
    pub fd: Option<OwnedFd>,
    /// The socket that this call made: closed again when the answer does not arrive.
    pub made: Option<u32>,
    /// Nothing is said now: who kept the call's `rcvid` answers.
    pub later: bool,
}

impl Answer {
    pub fn of(body: impl Into<Vec<u8>>) -> Answer {
        Answer { body: body.into(), ..Answer::default() }
    }
}

/// A request, taken apart.
pub(crate) struct Call<'a> {
    pub now: Instant,
    pub rcvid: Rcvid,
    pub client: Credentials,
    pub handle: u64,
    pub body: &'a [u8],
    pub fds: Vec<OwnedFd>,
}

impl Shard {
    /// Takes one message or pulse off the channel. False when there is none.
    pub(crate) fn handle_request(&mut self, now: Instant) -> bool {
        let mut message = std::mem::take(&mut self.message);
        let event = self.control.receive(&mut message);
        let more = event.is_some();
        match event {
            Some(Event::Message(received)) => {
                let Received { rcvid, len, credentials, fds } = received;
                if !RequestHeader::parse(&message[..len]).is_ok_and(|(header, _)| self.is_abreast(&header)) {
                    self.catch_up(now);
                }
                let answer = self.answer(now, rcvid, credentials, &message[..len], fds);
                if !matches!(answer, Ok(Answer { later: true, .. })) {
                    self.reply(rcvid, answer, now);
                }
            }
            Some(Event::Disconnected(client)) => self.departed(client.pid, now),
            None => {}
        }
        self.message = message;
        more
    }

    /// Is all known already that a request depends on?
    fn is_abreast(&self, header: &RequestHeader) -> bool {
        match header.op {
            // A new socket depends on nothing that came before, unless the table is full.
            Op::Socket => true,
            // The fillers were written last: once they are known, so is all before them.
            Op::Connect | Op::ConnectAndWait | Op::ConnectAndRestock | Op::Listen => {
                let socket = self.table.by_handle(header.handle).and_then(|slot| self.table.get(slot));
                socket.is_some_and(|s| s.phase() == Some(Phase::Fresh) && s.is(ready::READABLE))
            }
            _ => false,
        }
    }

    fn answer(
        &mut self,
        now: Instant,
        rcvid: Rcvid,
        client: Credentials,
        message: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<Answer, Errno> {
        let (header, body) = RequestHeader::parse(message).inspect_err(|_| self.counters.bad_requests += 1)?;
        let mut call = Call { now, rcvid, client, handle: header.handle, body, fds };
        let answer = match header.op {
            Op::Socket => self.socket_call(&call),
            Op::Bind => self.bind_call(&call),
            Op::Connect | Op::ConnectAndWait | Op::ConnectAndRestock => self.connect_call(&call, header.op),
            Op::Listen => self.listen_call(&call),
            Op::Shutdown => self.shutdown_call(&call),
            Op::LocalAddr => self.local_addr_call(&call),
            Op::PeerAddr => self.peer_addr_call(&call),
            Op::SetOption => self.set_option_call(&call),
            Op::GetOption => self.get_option_call(&call),
            Op::Ioctl => self.ioctl_call(&call),
            Op::Identify => self.identify_call(&call),
            Op::Reopen => self.reopen_call(&call),
            Op::InterfaceAddrs => self.interface_addrs_call(),
            Op::Config => self.config_call(&mut call),
            Op::Queued => self.queued_call(&call),
            Op::Reach => self.reach_call(&call),
            Op::RingArena => self.ring_arena_call(&call),
            Op::RingMode => self.ring_mode_call(&call),
        };
        if matches!(answer, Err(Errno::EPROTO)) {
            self.counters.bad_requests += 1;
        }
        answer
    }

    pub(crate) fn reply(&mut self, rcvid: Rcvid, answer: Result<Answer, Errno>, now: Instant) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if self.control.error(rcvid, error).is_err() {
                    self.counters.replies_undelivered += 1;
                }
                return;
            }
        };
        let head = ReplyHeader { errno: 0, len: answer.body.len() as u32 }.to_bytes();
        let parts = [IoSlice::new(&head), IoSlice::new(&answer.body)];
        let passed = answer.fd.as_ref().map(AsFd::as_fd);
        if let Err(error) = self.control.reply(rcvid, &parts, passed.as_slice()) {
            if let Some(slot) = answer.made {
                self.discard_made(slot, now);
            }
            // ETOOMANYREFS and the like: the client still waits for a word.
            if error == Errno::ESRCH || self.control.error(rcvid, error).is_err() {
                self.counters.replies_undelivered += 1;
            }
        }
    }
}
