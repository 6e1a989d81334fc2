//! One shard: an engine, its links and the sockets of its programs, driven by one thread and one
//! epoll.
//!
//! A turn takes what has come (frames, programs' bytes, control calls) into the engine, lets it act,
//! acts on its events, hands its frames to the links, and sleeps until the next of them or the
//! engine's deadline. The order is the one that `stack::Stack` asks for.

pub mod accept;
pub mod datagram;
mod departed;
mod news;
pub mod pairs;
pub mod rings;
pub mod stream;
pub mod table;
mod thrift;
mod turn;
mod wait;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use msg::{Channel, Credentials};
use rustix::event::epoll::{self, EventData, EventFlags};
use stack::{Instant, Stack, TxBatch};

use crate::args::Variant;
use crate::instance::Instance;
use crate::links::Links;
use crate::protocols;
use crate::sys::DatagramBurst;
use pairs::Pair;
use table::{Table, ready};

/// Fillers and bytes that nobody wants are read into this much.
const SCRATCH: usize = 16 * 1024;

/// What the daemon itself drops or refuses, as `netstat -s` shows it under `io-pkt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control messages that were no request.
    pub bad_requests: u64,
    /// Replies whose client was gone.
    pub replies_undelivered: u64,
    /// Messages of programs that the engine would not send.
    pub datagrams_refused: u64,
    /// Datagrams for which a program's queue had no room.
    pub datagrams_without_room: u64,
    /// Bytes that programs wrote after the end of their connection.
    pub bytes_after_end: u64,
    /// Sockets closed because a program left descriptors or data on a pair without a connection.
    pub pairs_littered: u64,
    /// Times that a listener's queue in the kernel was full.
    pub accept_full: u64,
    /// Times that no descriptor was left for a pair.
    pub descriptors_exhausted: u64,
    /// Streams that went over to ring mode, and back.
    pub rings_begun: u64,
    pub rings_left: u64,
    /// Changes to ring mode that were asked for in vain: something on its way would not have fitted; all memory is shared out.
    pub rings_put_off: u64,
    pub rings_without_memory: u64,
}

impl Counters {
    /// As (sentence, value), for `netstat -s`.
    pub fn each(&self, mut each: impl FnMut(&'static str, u64)) {
        let Counters {
            bad_requests,
            replies_undelivered,
            datagrams_refused,
            datagrams_without_room,
            bytes_after_end,
            pairs_littered,
            accept_full,
            descriptors_exhausted,
            rings_begun,
            rings_left,
            rings_put_off,
            rings_without_memory,
        } = *self;
        each("control messages that were no request", bad_requests);
        each("replies whose client was gone", replies_undelivered);
        each("datagrams of programs refused", datagrams_refused);
        each("datagrams dropped for want of room in a program's queue", datagrams_without_room);
        each("bytes written after the end of a connection", bytes_after_end);
        each("sockets closed for litter on a pair without a connection", pairs_littered);
        each("times that the queue of a listener was full", accept_full);
        each("times that no descriptor was left", descriptors_exhausted);
        each("streams gone over to ring mode", rings_begun);
        each("streams gone back to pair mode", rings_left);
        each("changes to ring mode put off", rings_put_off);
        each("changes to ring mode refused for want of memory", rings_without_memory);
    }
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM or SIGINT.
    Signal(i32),
    /// `config::Request::Stop`.
    Asked,
}

/// See the module's head.
pub struct Shard {
    pub(crate) epoll: OwnedFd,
    pub(crate) stack: Stack,
    pub(crate) table: Table,
    pub(crate) links: Links,
    pub(crate) control: Channel,
    pub(crate) instance: Instance,
    pub(crate) variant: Variant,
    pub(crate) counters: Counters,
    pub(crate) started: std::time::Instant,
    /// Set when the loop is to end.
    pub(crate) end: Option<End>,
    signals: OwnedFd,
    /// Slots of sockets with something to do; each stands here at most once.
    work: VecDeque<u32>,
    batch: TxBatch,
    burst: DatagramBurst,
    errors: Vec<stack::SocketId>,
    /// Packets for protocol modules.
    packets: Vec<protocols::Packet>,
    scratch: Box<[u8]>,
    /// The channel has something, or may have more.
    asked: bool,
    /// Where control messages are received.
    pub(crate) message: Vec<u8>,
    pub(crate) pairs: pairs::Pairs,
    /// Made for a connection that was not there.
    spare: Option<Pair>,
    /// Listeners that no event will wake.
    retries: Vec<u64>,
    retry_at: Instant,
    thrift: thrift::Thrift,
    departed: departed::Departed,
    ring_memory: rings::Memory,
    news: news::News,
    wait: wait::Wait,
}

/// What a shard is made of.
pub struct Parts {
    pub epoll: OwnedFd,
    pub stack: Stack,
    pub links: Links,
    pub control: Channel,
    pub instance: Instance,
    pub variant: Variant,
    pub signals: OwnedFd,
}

/// Names in the epoll set that are no sockets; links have theirs above (`links::TOKEN`).
pub(crate) mod token {
    pub const CONTROL: u64 = 1 << 63;
    pub const SIGNALS: u64 = CONTROL + 1;
}

impl Shard {
    pub fn new(parts: Parts) -> io::Result<Shard> {
        let Parts { epoll, stack, links, control, instance, variant, signals } = parts;
        epoll::add(&epoll, &control, EventData::new_u64(token::CONTROL), EventFlags::IN)?;
        epoll::add(&epoll, &signals, EventData::new_u64(token::SIGNALS), EventFlags::IN)?;
        Ok(Shard {
            epoll,
            table: Table::new(stack.config().sockets_max),
            stack,
            links,
            control,
            instance,
            variant,
            counters: Counters::default(),
            started: std::time::Instant::now(),
            end: None,
            signals,
            work: VecDeque::new(),
            batch: TxBatch::default(),
            burst: DatagramBurst::default(),
            errors: Vec::new(),
            packets: Vec::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            asked: true,
            message: vec![0; sockets::call::MESSAGE_MAX],
            pairs: pairs::Pairs::default(),
            spare: None,
            retries: Vec::new(),
            retry_at: Instant::FAR,
            thrift: thrift::Thrift::default(),
            departed: departed::Departed::default(),
            ring_memory: rings::Memory::default(),
            news: news::News::default(),
            wait: wait::Wait::default(),
        })
    }

    /// The shard's time: microseconds since some point before its start.
    pub fn now(&self) -> Instant {
        now()
    }

    /// May this client do what is root's or the daemon's owner's: ports below 1024, raw sockets,
    /// configuration?
    pub(crate) fn is_privileged(&self, client: &Credentials) -> bool {
        client.uid == 0 || client.uid == rustix::process::geteuid().as_raw()
    }

    /// Has a socket looked at in this turn.
    pub(crate) fn queue(&mut self, slot: u32) {
        if let Some(socket) = self.table.get_mut(slot)
            && !socket.is(ready::QUEUED)
        {
            socket.set(ready::QUEUED, true);
            self.work.push_back(slot);
        }
    }

    /// Gives a socket a fresh pair, watched; gives back the program's end.
    ///
    /// Errors: EMFILE, ENFILE, ENOMEM.
    pub(crate) fn give_pair(&mut self, slot: u32) -> Result<OwnedFd, errno::Errno> {
        let errno = |e: io::Error| errno::Errno(e.raw_os_error().unwrap_or(libc::ENOMEM));
        let purpose = match self.table.get(slot) {
            Some(socket) => pairs::Purpose::of(&socket.flow),
            None => return Err(errno::Errno::EBADF),
        };
        let Pair { ours, program, cookie } =
            self.pairs.make(purpose).map_err(errno).inspect_err(|_| self.counters.descriptors_exhausted += 1)?;
        watch(&self.epoll, &ours, self.table.token(slot)).map_err(errno)?;
        self.table.attach(slot, ours, cookie);
        if let Some(socket) = self.table.get_mut(slot) {
            socket.set(ready::WRITABLE, true);
        }
        Ok(program)
    }
}

/// Microseconds of CLOCK_MONOTONIC.
pub fn now() -> Instant {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Instant::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000)
}

const PAIR_FLAGS: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// Has epoll tell of a pair's bytes and end, by edges.
fn watch(epoll: &OwnedFd, pair: impl AsFd, token: u64) -> io::Result<()> {
    Ok(epoll::add(epoll, pair, EventData::new_u64(token), PAIR_FLAGS)?)
}

/// Has epoll tell of room in a pair as well, or no longer. Not always, since each read of the
/// program's below a quarter of the buffer would be an edge. False when the kernel refused.
fn watch_room(epoll: &OwnedFd, pair: impl AsFd, token: u64, on: bool) -> bool {
    let flags = if on { PAIR_FLAGS.union(EventFlags::OUT) } else { PAIR_FLAGS };
    epoll::modify(epoll, pair, EventData::new_u64(token), flags).is_ok()
}
