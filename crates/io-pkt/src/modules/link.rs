//! A link that a driver made, as the daemon holds it: [`LinkDevice`] to control it, one [`LinkQueue`]
//! for each shard that serves it. The driver's detach runs when the last of them is dropped.

use core::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi::{Caps, Errno, LinkFlags, LinkStats, Offload, SuggestedConfig, raw};

use super::host::{Attachment, ReportedState};
use super::library::text;
use super::naming::HeldName;
use super::pool::{FramePool, Lender, Memory};
use super::{ModuleError, outcome};

/// Frames handed to a driver in one call.
const TX_BURST: usize = 64;

/// Frames of a queue's pool that a driver may own: 280 MiB of addresses.
const OWN_FRAMES_MAX: u32 = 4096;

/// A link between the driver's link_new and its name.
pub(super) struct PendingLink {
    raw: RawLink,
    base: Option<String>,
    unit: Option<u32>,
    description: String,
    mac: [u8; 6],
    mtu: u32,
    mtu_max: u32,
    caps: Caps,
    queues: u32,
    own_frames: u32,
    config: Option<SuggestedConfig>,
}

/// The driver's side: its entries, its context, and what it reports. Dropping it detaches.
struct RawLink {
    ops: raw::iopkt_link_ops,
    ctx: *mut c_void,
    state: Box<ReportedState>,
}

// SAFETY: the ABI lets the host call from any thread, keeping to one at a time per queue (LinkQueue is
// taken once and used by &mut) and one at a time for control (LinkDevice is neither Clone nor Sync-used:
// its control methods take &mut self).
unsafe impl Send for RawLink {}
// SAFETY: as above.
unsafe impl Sync for RawLink {}

impl Drop for RawLink {
    fn drop(&mut self) {
        if let Some(detach) = self.ops.detach {
            // SAFETY: the last use of the context; the state that the handle names is still alive.
            unsafe { detach(self.ctx) };
        }
    }
}

/// Copies a structure of which the other side has `size` bytes; what it lacks is zero.
///
/// # Safety
/// `from` names at least `min(size, size_of::<T>())` bytes, and all-zero is a valid `T`.
unsafe fn copy_sized<T>(from: *const T, size: u32) -> T {
    let mut to = core::mem::MaybeUninit::<T>::zeroed();
    let n = size_of::<T>().min(size as usize);
    // SAFETY: within both structures.
    unsafe {
        core::ptr::copy_nonoverlapping(from.cast::<u8>(), to.as_mut_ptr().cast::<u8>(), n);
        to.assume_init()
    }
}

impl PendingLink {
    /// # Safety
    /// The arguments are those of a driver's link_new.
    pub(super) unsafe fn new(
        info: *const raw::iopkt_link_info,
        ops: *const raw::iopkt_link_ops,
        ctx: *mut c_void,
    ) -> Result<PendingLink, String> {
        if info.is_null() || ops.is_null() {
            return Err("link_new without a description or without functions".to_owned());
        }
        // SAFETY: both begin with their size; the header says they are as long as that.
        let (info, ops) = unsafe {
            let (info_size, ops_size) = ((*info).size, (*ops).size);
            if (info_size as usize) < offset_of!(raw::iopkt_link_info, up) + 4
                || (ops_size as usize) < offset_of!(raw::iopkt_link_ops, memory)
            {
                return Err(format!("link_new with structures of {info_size} and {ops_size} bytes: too small"));
            }
            (copy_sized(info, info_size), copy_sized(ops, ops_size))
        };
        if ops.fd.is_none() || ops.rx.is_none() || ops.tx.is_none() || ops.detach.is_none() {
            return Err("link_new needs fd, rx, tx and detach".to_owned());
        }
        if info.queues == 0 || info.queues > raw::QUEUES_MAX || info.mtu == 0 {
            return Err(format!("link_new with {} queues and an MTU of {}", info.queues, info.mtu));
        }
        // SAFETY: strings of the driver; the configuration is null or as long as its size says.
        let (base, description, media, config) = unsafe {
            let config = (!info.config.is_null())
                .then(|| SuggestedConfig::from_raw(&copy_sized(info.config, (*info.config).size)));
            (text(info.base), text(info.description), text(info.media), config)
        };
        let state = Box::new(ReportedState {
            up: AtomicBool::new(info.up != 0),
            changed: AtomicBool::new(false),
            media: Mutex::new(media),
        });
        Ok(PendingLink {
            raw: RawLink { ops, ctx, state },
            base,
            unit: (info.unit != raw::UNIT_ANY).then_some(info.unit),
            description: description.unwrap_or_default(),
            mac: info.mac,
            mtu: info.mtu,
            mtu_max: info.mtu_max.max(info.mtu),
            caps: Caps::from_bits(info.caps),
            queues: info.queues,
            own_frames: info.own_frames.min(OWN_FRAMES_MAX),
            config,
        })
    }

    /// What the driver passes to link_state.
    pub(super) fn handle(&self) -> *mut raw::iopkt_link {
        core::ptr::from_ref::<ReportedState>(&self.raw.state).cast_mut().cast()
    }

    pub(super) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    pub(super) fn unit(&self) -> Option<u32> {
        self.unit
    }
}

/// What device and queues share. Field order is drop order: the link ends before the attachment that
/// its driver logs through, and before the memory that its hardware may write.
struct Shared {
    raw: RawLink,
    _attachment: Arc<Attachment>,
    /// Pools in which the driver may own frames.
    pools: Mutex<Vec<Arc<Memory>>>,
    detached: AtomicBool,
}

/// Whether the link is up, and over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    pub up: bool,
    pub media: Option<String>,
}

/// A network interface that a driver made.
pub struct LinkDevice {
    name: HeldName,
    driver: String,
    description: String,
    mac: [u8; 6],
    mtu: u32,
    mtu_max: u32,
    caps: Caps,
    config: Option<SuggestedConfig>,
    queues: Vec<Option<LinkQueue>>,
    shared: Arc<Shared>,
}

impl LinkDevice {
    pub(super) fn new(
        pending: PendingLink,
        attachment: Arc<Attachment>,
        name: HeldName,
    ) -> Result<LinkDevice, ModuleError> {
        let driver = attachment.driver.name.clone();
        let options = attachment.options.clone();
        let description = match pending.description.as_str() {
            "" => attachment.driver.description.clone(),
            own => own.to_owned(),
        };
        let PendingLink { raw, base: _, unit: _, description: _, mac, mtu, mtu_max, caps, .. } = pending;
        let PendingLink { queues, own_frames, config, .. } = pending;
        let shared = Arc::new(Shared {
            raw,
            _attachment: attachment,
            pools: Mutex::default(),
            detached: AtomicBool::new(false),
        });
        let queues = (0..queues).map(|i| Some(LinkQueue::new(Arc::clone(&shared), i, own_frames))).collect();
        let mut device = LinkDevice { name, driver, description, mac, mtu, mtu_max, caps, config, queues, shared };
        device.apply(&options)?;
        Ok(device)
    }

    /// `mac=` and `mtu=` hold even for a driver that does not look at them.
    fn apply(&mut self, options: &abi::Options) -> Result<(), ModuleError> {
        let module = self.driver.clone();
        let refused = |word: &str, errno: Errno| ModuleError::Attach {
            module: module.clone(),
            errno,
            text: format!("{word}={}: the driver refuses it: {errno}", options.text(word).unwrap_or_default()),
        };
        if let Some(mac) = options.mac("mac").filter(|m| *m != self.mac) {
            self.set_mac(mac).map_err(|e| refused("mac", e))?;
        }
        if let Some(mtu) = options.number("mtu").filter(|m| *m != self.mtu) {
            self.set_mtu(mtu).map_err(|e| refused("mtu", e))?;
        }
        Ok(())
    }

    /// Takes a queue, for the shard that is to serve it. Each can be taken once.
    pub fn take_queue(&mut self, queue: usize) -> Option<LinkQueue> {
        self.queues.get_mut(queue)?.take()
    }

    pub fn set_flags(&mut self, flags: LinkFlags) -> Result<(), Errno> {
        // SAFETY: the driver's entry with its context.
        self.optional(self.ops().set_flags, |f, ctx| unsafe { f(ctx, flags.to_bits()) }, Ok(()))
    }

    /// The complete list of group addresses to receive.
    pub fn multicast(&mut self, macs: &[[u8; 6]]) -> Result<(), Errno> {
        // SAFETY: as above, with an array of that length.
        self.optional(self.ops().multicast, |f, ctx| unsafe { f(ctx, macs.as_ptr(), macs.len() as u32) }, Ok(()))
    }

    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), Errno> {
        let no = Err(Errno::EOPNOTSUPP);
        // SAFETY: as above, with six bytes.
        self.optional(self.ops().set_mac, |f, ctx| unsafe { f(ctx, mac.as_ptr()) }, no)?;
        self.mac = mac;
        Ok(())
    }

    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), Errno> {
        if mtu == 0 || mtu > self.mtu_max {
            return Err(Errno::EINVAL);
        }
        // SAFETY: as above.
        self.optional(self.ops().set_mtu, |f, ctx| unsafe { f(ctx, mtu) }, Err(Errno::EOPNOTSUPP))?;
        self.mtu = mtu;
        Ok(())
    }

    pub fn stats(&mut self) -> Result<LinkStats, Errno> {
        let mut stats = LinkStats { size: size_of::<LinkStats>() as u32, ..LinkStats::default() };
        // SAFETY: as above, with a structure of the size it says.
        self.optional(self.ops().stats, |f, ctx| unsafe { f(ctx, &mut stats) }, Err(Errno::EOPNOTSUPP))?;
        Ok(stats)
    }

    /// The link's state, if it was reported anew since the last call.
    pub fn take_state_change(&self) -> Option<LinkStatus> {
        self.shared.raw.state.changed.swap(false, Ordering::AcqRel).then(|| self.status())
    }

    /// Whether `take_state_change` has something.
    pub fn has_state_change(&self) -> bool {
        self.shared.raw.state.changed.load(Ordering::Acquire)
    }

    /// Ends the link: queues still in use answer ENODEV, and with the last of them the driver lets go.
    pub fn detach(self) {
        self.shared.detached.store(true, Ordering::Release);
    }

    pub fn status(&self) -> LinkStatus {
        let state = &self.shared.raw.state;
        let media = state.media.lock().unwrap_or_else(PoisonError::into_inner).clone();
        LinkStatus { up: state.up.load(Ordering::Acquire), media }
    }

    pub fn is_up(&self) -> bool {
        self.shared.raw.state.up.load(Ordering::Acquire)
    }

    /// "en0"
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// "packet"
    pub fn driver(&self) -> &str {
        &self.driver
    }

    pub fn description(&self) -> &str {
        &self.description
    }

    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Bytes of IP in a frame.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    pub fn mtu_max(&self) -> u32 {
        self.mtu_max
    }

    pub fn caps(&self) -> Caps {
        self.caps
    }

    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Addresses that are known to work on this link.
    pub fn suggested_config(&self) -> Option<SuggestedConfig> {
        self.config
    }

    fn ops(&self) -> raw::iopkt_link_ops {
        self.shared.raw.ops
    }

    fn optional<F>(
        &self,
        entry: Option<F>,
        call: impl FnOnce(F, *mut c_void) -> c_int,
        absent: Result<(), Errno>,
    ) -> Result<(), Errno> {
        entry.map_or(absent, |f| outcome(call(f, self.shared.raw.ctx)).map(|_| ()))
    }
}

/// A frame to send: headers and inline payload, then slices of shared rings.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub head: &'a [u8],
    pub slices: &'a [shm::Slice],
    pub offload: Offload,
}

/// One queue of a link; the shard that serves it owns it.
pub struct LinkQueue {
    shared: Arc<Shared>,
    index: u32,
    own_frames: u32,
    iovs: Vec<libc::iovec>,
    packets: Vec<raw::iopkt_tx>,
}

// SAFETY: the pointers in `iovs` and `packets` are set anew by each call and used only within it.
unsafe impl Send for LinkQueue {}

impl LinkQueue {
    fn new(shared: Arc<Shared>, index: u32, own_frames: u32) -> LinkQueue {
        let packets = Vec::with_capacity(TX_BURST);
        LinkQueue { shared, index, own_frames, iovs: Vec::new(), packets }
    }

    /// The pool to receive into, `burst` frames a call. Call it once, before the first rx.
    pub fn make_pool(&mut self, burst: usize) -> Result<FramePool, Errno> {
        let mut pool = FramePool::with_own(burst, self.own_frames)?;
        if let Some(tell) = self.shared.raw.ops.pool {
            self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner).push(pool.memory());
            // SAFETY: the driver's entry; the memory lives until the link was detached.
            outcome(unsafe { tell(self.shared.raw.ctx, self.index, &pool.describe()) })?;
        }
        if let Some(lender) = self.lender()? {
            pool.lend_from(lender);
        }
        Ok(pool)
    }

    /// The driver's memory for frames that it lends, if it has some and wants it back.
    fn lender(&self) -> Result<Option<Lender>, Errno> {
        let (Some(ask), Some(_)) = (self.shared.raw.ops.memory, self.shared.raw.ops.rx_done) else { return Ok(None) };
        let size = size_of::<raw::iopkt_memory>() as u32;
        let mut memory = raw::iopkt_memory { size, reserved: 0, base: core::ptr::null(), length: 0 };
        // SAFETY: the driver's entry, with a structure of the size it says.
        outcome(unsafe { ask(self.shared.raw.ctx, self.index, &mut memory) })?;
        let base = memory.base as usize;
        let length = memory.length as usize;
        if base == 0 || length == 0 {
            return Ok(None);
        }
        base.checked_add(length).ok_or(Errno::EFAULT)?;
        let link: Arc<dyn Send + Sync> = Arc::<Shared>::clone(&self.shared);
        Ok(Some(Lender { base, length, _link: link }))
    }

    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Polls readable while `rx` has something to do; `None`: the driver wants to be polled always.
    pub fn fd(&self) -> Option<RawFd> {
        // SAFETY: the driver's entry with its context.
        let fd = unsafe { self.shared.raw.ops.fd?(self.shared.raw.ctx, self.index) };
        (fd >= 0).then_some(fd)
    }

    /// Polls writable when `tx` will take more after it took too few.
    pub fn tx_fd(&self) -> Option<RawFd> {
        let Some(tx_fd) = self.shared.raw.ops.tx_fd else { return self.fd() };
        // SAFETY: as above.
        let fd = unsafe { tx_fd(self.shared.raw.ctx, self.index) };
        (fd >= 0).then_some(fd)
    }

    /// Receives a burst into the pool, whose first so many frames then hold it. Fewer than
    /// [`FramePool::burst`]: the link is drained. ENODEV: the link was detached; drop the queue.
    pub fn rx(&mut self, pool: &mut FramePool) -> Result<usize, Errno> {
        let rx = self.shared.raw.ops.rx.ok_or(Errno::ENODEV)?;
        self.check()?;
        self.done(pool);
        let (descs, n) = pool.offer();
        // SAFETY: as above, with n descriptors of the pool's memory.
        let got = unsafe { rx(self.shared.raw.ctx, self.index, descs, n) };
        pool.accept(outcome(got)?)
    }

    /// Lets the frames of the last burst go; those that the driver lent go back to it. Until then
    /// [`Self::fd`] may poll readable for them.
    pub fn done(&mut self, pool: &mut FramePool) {
        let lent = pool.take_back();
        if let Some(rx_done) = self.shared.raw.ops.rx_done.filter(|_| lent) {
            // SAFETY: the driver's entry with its context; nobody can read the frames any more.
            unsafe { rx_done(self.shared.raw.ctx, self.index) };
        }
    }

    /// Hands frames to the driver, in order; how many it took. Fewer than given: wait until
    /// [`Self::tx_fd`] polls writable, or drop the rest.
    pub fn tx<'a>(&mut self, packets: impl IntoIterator<Item = Packet<'a>>) -> Result<usize, Errno> {
        self.check()?;
        let mut packets = packets.into_iter();
        let mut taken = 0;
        loop {
            let offered = self.gather(packets.by_ref().take(TX_BURST));
            if offered == 0 {
                return Ok(taken);
            }
            match self.flush() {
                Ok(n) if n == offered => taken += n,
                Ok(n) => return Ok(taken + n.min(offered)),
                Err(_) if taken > 0 => return Ok(taken),
                Err(e) => return Err(e),
            }
        }
    }

    /// Describes packets in the queue's arrays; how many.
    fn gather<'a>(&mut self, packets: impl Iterator<Item = Packet<'a>>) -> usize {
        self.iovs.clear();
        self.packets.clear();
        for Packet { head, slices, offload } in packets {
            let start = self.iovs.len();
            self.iovs.push(libc::iovec { iov_base: head.as_ptr().cast_mut().cast(), iov_len: head.len() });
            self.iovs.extend(slices.iter().filter(|s| !s.is_empty()).map(shm::Slice::iovec));
            self.packets.push(raw::iopkt_tx {
                iov: core::ptr::null(),
                iov_count: (self.iovs.len() - start) as u32,
                len: self.iovs[start..].iter().map(|v| v.iov_len as u32).sum(),
                offload,
                reserved: [0; 3],
            });
        }
        // Only now has the array of iovecs come to rest.
        let mut rest = self.iovs.as_slice();
        for packet in &mut self.packets {
            packet.iov = rest.as_ptr();
            rest = &rest[packet.iov_count as usize..];
        }
        self.packets.len()
    }

    fn flush(&mut self) -> Result<usize, Errno> {
        let tx = self.shared.raw.ops.tx.ok_or(Errno::ENODEV)?;
        // SAFETY: the driver's entry; descriptors, iovecs and the packets' memory are borrowed by our
        // caller `tx`, whose iterator's items live through it.
        outcome(unsafe { tx(self.shared.raw.ctx, self.index, self.packets.as_ptr(), self.packets.len() as u32) })
    }

    fn check(&self) -> Result<(), Errno> {
        if self.shared.detached.load(Ordering::Acquire) { Err(Errno::ENODEV) } else { Ok(()) }
    }
}
