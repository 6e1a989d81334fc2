//! A link written in Rust: the traits, and the C entries that call them. No panic leaves an entry:
//! it is caught and logged, the link reports down and answers ENODEV from then on.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use errno::Errno;

use crate::frame::{RxSlot, TxPacket};
use crate::host::{Host, Level, LinkState};
use crate::raw;

pub use crate::raw::iopkt_link_stats as LinkStats;

/// What the operator or the stack asks of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFlags {
    pub up: bool,
    pub promisc: bool,
    pub allmulti: bool,
}

impl LinkFlags {
    pub fn to_bits(self) -> u32 {
        let bit = |on, bit| if on { bit } else { 0 };
        bit(self.up, raw::LINK_UP) | bit(self.promisc, raw::LINK_PROMISC) | bit(self.allmulti, raw::LINK_ALLMULTI)
    }

    pub fn from_bits(bits: u32) -> LinkFlags {
        LinkFlags {
            up: bits & raw::LINK_UP != 0,
            promisc: bits & raw::LINK_PROMISC != 0,
            allmulti: bits & raw::LINK_ALLMULTI != 0,
        }
    }
}

/// The control side of a link; called from one thread at a time, beside the queues. Dropping it ends
/// what it owns (the queues are dropped first).
pub trait Link: Send + Sync + 'static {
    type Queue: Queue;

    fn set_flags(&self, flags: LinkFlags) -> Result<(), Errno> {
        let _ = flags;
        Ok(())
    }

    /// The complete list of group addresses to receive.
    fn multicast(&self, macs: &[[u8; 6]]) -> Result<(), Errno> {
        let _ = macs;
        Ok(())
    }

    fn set_mac(&self, mac: [u8; 6]) -> Result<(), Errno> {
        let _ = mac;
        Err(Errno::EOPNOTSUPP)
    }

    /// The range was checked against `mtu_max` already.
    fn set_mtu(&self, mtu: u32) -> Result<(), Errno> {
        let _ = mtu;
        Err(Errno::EOPNOTSUPP)
    }

    fn stats(&self) -> Result<LinkStats, Errno>;
}

/// One queue of a link; owned by one thread at a time.
pub trait Queue: Send + 'static {
    /// Polls readable while `rx` has something to do.
    fn fd(&self) -> RawFd;

    /// Polls writable when `tx` will take more after it took too few.
    fn tx_fd(&self) -> RawFd {
        self.fd()
    }

    /// Fills places in order; how many. Fewer than offered: nothing more for now.
    fn rx(&mut self, slots: &mut [RxSlot]) -> Result<usize, Errno>;

    /// Takes packets in order; how many. Fewer than offered: full for now.
    fn tx(&mut self, packets: &[TxPacket]) -> Result<usize, Errno>;

    /// Where `rx` may leave frames for the host to read ([`RxSlot::lend`]); asked for once.
    fn memory(&self) -> Option<Memory> {
        None
    }

    /// The host has read the frames that the last `rx` lent.
    fn rx_done(&mut self) {}
}

/// Memory of a queue's own, which stays where it is as long as the queue lives.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    base: *const u8,
    length: usize,
}

impl Memory {
    /// # Safety
    /// The bytes are readable as long as the queue lives that shows them to the host.
    pub unsafe fn new(base: *const u8, length: usize) -> Memory {
        Memory { base, length }
    }
}

/// What `link_ctx` points to.
struct Context<L: Link> {
    host: Host,
    state: LinkState,
    broken: AtomicBool,
    // The queues stand first: they are dropped first.
    queues: Box<[UnsafeCell<L::Queue>]>,
    link: L,
}

pub(crate) fn into_context<L: Link>(host: Host, state: LinkState, link: L, queues: Vec<L::Queue>) -> *mut c_void {
    let queues = queues.into_iter().map(UnsafeCell::new).collect();
    Box::into_raw(Box::new(Context { host, state, broken: AtomicBool::new(false), queues, link })).cast()
}

/// # Safety
/// `ctx` came from [`into_context`] with the same `L` and is not used again.
pub(crate) unsafe fn drop_context<L: Link>(ctx: *mut c_void) {
    // SAFETY: the caller's promise.
    let context = unsafe { Box::from_raw(ctx.cast::<Context<L>>()) };
    context.state.unbind();
    let host = context.host;
    if catch_unwind(AssertUnwindSafe(|| drop(context))).is_err() {
        host.log(Level::Error, "the driver panicked in detach");
    }
}

impl<L: Link> Context<L> {
    /// # Safety
    /// `ctx` came from [`into_context`] with the same `L` and was not dropped.
    unsafe fn of<'a>(ctx: *mut c_void) -> &'a Context<L> {
        // SAFETY: the caller's promise.
        unsafe { &*ctx.cast::<Context<L>>() }
    }

    /// Runs one entry: a count or 0, or -errno.
    fn enter(&self, entry: &str, work: impl FnOnce() -> Result<usize, Errno>) -> c_int {
        if self.broken.load(Ordering::Relaxed) {
            return -Errno::ENODEV.0;
        }
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(n)) => n as c_int,
            Ok(Err(e)) => -e.0,
            Err(panic) => {
                self.broken.store(true, Ordering::Relaxed);
                let why = panic_text(&*panic);
                self.host.log(Level::Error, format_args!("the driver panicked in {entry}: {why}"));
                self.state.set(false, None);
                -Errno::ENODEV.0
            }
        }
    }

    /// # Safety
    /// No other thread is in a call for the same queue.
    #[allow(clippy::mut_from_ref)]
    unsafe fn queue(&self, queue: u32) -> Result<&mut L::Queue, Errno> {
        let cell = self.queues.get(queue as usize).ok_or(Errno::EINVAL)?;
        // SAFETY: the caller's promise, which is the ABI's.
        Ok(unsafe { &mut *cell.get() })
    }
}

pub(crate) fn panic_text(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The C entries of a link type.
pub(crate) struct Ops<L>(PhantomData<L>);

impl<L: Link> Ops<L> {
    pub(crate) const TABLE: raw::iopkt_link_ops = raw::iopkt_link_ops {
        size: size_of::<raw::iopkt_link_ops>() as u32,
        reserved: 0,
        fd: Some(Self::fd),
        rx: Some(Self::rx),
        tx: Some(Self::tx),
        tx_fd: Some(Self::tx_fd),
        set_flags: Some(Self::set_flags),
        multicast: Some(Self::multicast),
        set_mac: Some(Self::set_mac),
        set_mtu: Some(Self::set_mtu),
        stats: Some(Self::stats),
        pool: None,
        detach: Some(Self::detach),
        memory: Some(Self::memory),
        rx_done: Some(Self::rx_done),
    };

    // SAFETY, for all entries: the host passes the context that link_new was given, keeps it alive
    // until detach, serves a queue from one thread at a time, and passes valid arrays.

    unsafe extern "C" fn fd(ctx: *mut c_void, queue: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("fd", || Ok(unsafe { cx.queue(queue) }?.fd() as usize))
    }

    unsafe extern "C" fn tx_fd(ctx: *mut c_void, queue: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("tx_fd", || Ok(unsafe { cx.queue(queue) }?.tx_fd() as usize))
    }

    unsafe extern "C" fn rx(ctx: *mut c_void, queue: u32, slots: *mut raw::iopkt_rx, n: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("rx", || unsafe { cx.queue(queue) }?.rx(unsafe { RxSlot::slice(slots, n) }))
    }

    unsafe extern "C" fn tx(ctx: *mut c_void, queue: u32, packets: *const raw::iopkt_tx, n: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("tx", || unsafe { cx.queue(queue) }?.tx(unsafe { TxPacket::slice(packets, n) }))
    }

    unsafe extern "C" fn set_flags(ctx: *mut c_void, flags: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("set_flags", || cx.link.set_flags(LinkFlags::from_bits(flags)).map(|()| 0))
    }

    unsafe extern "C" fn multicast(ctx: *mut c_void, macs: *const [u8; 6], n: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        let macs = if n == 0 { &[] } else { unsafe { core::slice::from_raw_parts(macs, n as usize) } };
        cx.enter("multicast", || cx.link.multicast(macs).map(|()| 0))
    }

    unsafe extern "C" fn set_mac(ctx: *mut c_void, mac: *const u8) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        let mac = unsafe { mac.cast::<[u8; 6]>().read() };
        cx.enter("set_mac", || cx.link.set_mac(mac).map(|()| 0))
    }

    unsafe extern "C" fn set_mtu(ctx: *mut c_void, mtu: u32) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("set_mtu", || cx.link.set_mtu(mtu).map(|()| 0))
    }

    unsafe extern "C" fn stats(ctx: *mut c_void, stats: *mut LinkStats) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("stats", || {
            let kept = cx.link.stats()?;
            unsafe { stats.write(LinkStats { size: size_of::<LinkStats>() as u32, ..kept }) };
            Ok(0)
        })
    }

    unsafe extern "C" fn memory(ctx: *mut c_void, queue: u32, memory: *mut raw::iopkt_memory) -> c_int {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("memory", || {
            if let Some(Memory { base, length }) = unsafe { cx.queue(queue) }?.memory() {
                let size = size_of::<raw::iopkt_memory>() as u32;
                unsafe { memory.write(raw::iopkt_memory { size, reserved: 0, base, length: length as u64 }) };
            }
            Ok(0)
        })
    }

    unsafe extern "C" fn rx_done(ctx: *mut c_void, queue: u32) {
        let cx = unsafe { Context::<L>::of(ctx) };
        cx.enter("rx_done", || {
            unsafe { cx.queue(queue) }?.rx_done();
            Ok(0)
        });
    }

    unsafe extern "C" fn detach(ctx: *mut c_void) {
        unsafe { drop_context::<L>(ctx) };
    }
}
