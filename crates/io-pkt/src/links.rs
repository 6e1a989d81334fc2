//! Links between the module loader and the engine: bursts in, batches out, the engine's wishes to
//! the drivers, the drivers' states to the engine.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use errno::Errno;
use rustix::event::epoll::{self, EventData, EventFlags};
use stack::net::{LinkRequestKind, LinkSetup, RouteSpec, iff};
use stack::{Instant, LinkId, RxCsum, RxFrame, Sink, Stack, TxBatch, TxFrame};

use crate::capture::{CAPTURES_MAX, Capture};
use crate::modules::{self, FramePool, LinkDevice, LinkQueue, Modules, Packet};

/// Frames received by one call to a driver.
const RX_BURST: usize = 64;
/// Bursts taken from one link in one turn.
const TURN_BURSTS: usize = 4;
/// Frames kept for a link that takes no more for now; those beyond are dropped.
const BACKLOG_MAX: usize = 1024;
/// How long a link whose driver answers errors is left alone, in microseconds.
const PENALTY_US: u64 = 100_000;

/// What this side of a link counts; the engine counts what goes well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    pub rx_errors: u64,
    pub tx_errors: u64,
    /// No room in the driver, nor in our queue.
    pub tx_dropped: u64,
}

/// A frame that waits until its link takes frames again.
struct Waiting {
    head: Vec<u8>,
    slices: Vec<shm::Slice>,
    offload: abi::Offload,
}

struct Port {
    id: LinkId,
    // The queue goes before the device: it is the one that answers ENODEV meanwhile.
    queue: LinkQueue,
    device: LinkDevice,
    pool: FramePool,
    backlog: VecDeque<Waiting>,
    captures: Vec<Capture>,
    counters: PortCounters,
    fd: Option<RawFd>,
    tx_fd: Option<RawFd>,
    readable: bool,
    /// Waits for the driver to poll writable.
    wants_room: bool,
    /// Not called before this, after an error.
    penalty_until: Instant,
    flags: abi::LinkFlags,
}

/// What a link that was attached suggests beyond itself.
#[derive(Debug, Default)]
pub struct Attached {
    pub names: Vec<String>,
    pub name_servers: Vec<IpAddr>,
}

/// All links of a shard. `lo0` is the engine's own.
pub struct Links {
    modules: Modules,
    ports: Vec<Option<Port>>,
    /// By the engine's index: place in `ports`, plus one.
    by_id: Vec<usize>,
    /// The shard's epoll, by a descriptor of our own.
    epoll: OwnedFd,
    pending: bool,
    retry_at: Instant,
}

/// Epoll's name for a place: twice the place, plus one for the descriptor that polls writable.
pub const TOKEN: u64 = 3 << 62;

impl Links {
    pub fn new(epoll: OwnedFd) -> Links {
        Links {
            modules: Modules::new(modules::search_path()),
            ports: Vec::new(),
            by_id: Vec::new(),
            epoll,
            pending: false,
            retry_at: Instant::FAR,
        }
    }

    // --- coming and going ------------------------------------------------------------------------

    /// Loads a driver and attaches its links. On an error nothing stays attached.
    ///
    /// Errors: errno and one sentence that names what was wrong.
    pub fn attach(&mut self, now: Instant, stack: &mut Stack, driver: &str, options: &str) -> Result<Attached, (Errno, String)> {
        let devices = self.modules.attach_driver(driver, options).map_err(|e| (e.errno(), e.to_string()))?;
        let mut attached = Attached::default();
        let mut ids: Vec<LinkId> = Vec::new();
        for device in devices {
            let name = device.name().to_owned();
            match self.add(now, stack, device, &mut attached) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    for id in ids {
                        let _ = self.destroy(now, stack, id);
                    }
                    return Err((error, format!("{driver}: {name} can not be attached: {error}")));
                }
            }
        }
        Ok(attached)
    }

    fn add(&mut self, now: Instant, stack: &mut Stack, mut device: LinkDevice, attached: &mut Attached) -> Result<LinkId, Errno> {
        let mut queue = device.take_queue(0).ok_or(Errno::ENODEV)?;
        let pool = queue.make_pool(RX_BURST)?;
        let status = device.status();
        let id = stack.net.add_link(now, LinkSetup {
            name: device.name().to_owned(),
            mac: wire::MacAddr(device.mac()),
            mtu: device.mtu(),
            offloads: modules::offloads(device.caps()),
            driver: device.driver().to_owned(),
            media: status.media.unwrap_or_default(),
            link_up: status.up,
        })?;
        let place = self.ports.iter().position(Option::is_none).unwrap_or_else(|| {
            self.ports.push(None);
            self.ports.len() - 1
        });
        let (fd, tx_fd) = (queue.fd(), queue.tx_fd());
        if let Some(fd) = fd {
            let data = EventData::new_u64(TOKEN | (place as u64) << 1);
            if let Err(e) = epoll::add(&self.epoll, borrow(fd), data, EventFlags::IN) {
                let _ = stack.net.remove_link(now, id);
                return Err(Errno(e.raw_os_error()));
            }
        }
        let suggested = device.suggested_config();
        attached.names.push(device.name().to_owned());
        self.ports[place] = Some(Port {
            id,
            queue,
            device,
            pool,
            backlog: VecDeque::new(),
            captures: Vec::new(),
            counters: PortCounters::default(),
            fd,
            tx_fd,
            readable: true,
            wants_room: false,
            penalty_until: Instant::ZERO,
            flags: abi::LinkFlags::default(),
        });
        if self.by_id.len() <= id.0 as usize {
            self.by_id.resize(id.0 as usize + 1, 0);
        }
        self.by_id[id.0 as usize] = place + 1;
        self.pending = true;
        if let Some(config) = suggested {
            suggest(now, stack, id, &config, attached);
        }
        Ok(id)
    }

    /// Detaches a link: `ifconfig X destroy`.
    ///
    /// Errors: EINVAL for `lo0`, ENXIO.
    pub fn destroy(&mut self, now: Instant, stack: &mut Stack, id: LinkId) -> Result<(), Errno> {
        stack.net.remove_link(now, id)?;
        let place = self.by_id.get_mut(id.0 as usize).map(std::mem::take).unwrap_or(0);
        if let Some(port) = place.checked_sub(1).and_then(|p| self.ports.get_mut(p)).and_then(Option::take) {
            port.unwatch(&self.epoll);
            let Port { queue, device, .. } = port;
            drop(queue);
            device.detach();
        }
        Ok(())
    }

    fn port_of(&mut self, id: LinkId) -> Option<&mut Port> {
        let place = self.by_id.get(id.0 as usize)?.checked_sub(1)?;
        self.ports.get_mut(place)?.as_mut()
    }

    // --- questions -------------------------------------------------------------------------------

    pub fn counters(&mut self, id: LinkId) -> PortCounters {
        self.port_of(id).map(|p| p.counters).unwrap_or_default()
    }

    pub fn description(&mut self, id: LinkId) -> Option<String> {
        self.port_of(id).map(|p| p.device.description().to_owned())
    }

    /// Asks the driver before the engine is told. `Ok` for a link without one.
    pub fn set_mtu(&mut self, id: LinkId, mtu: u32) -> Result<(), Errno> {
        self.port_of(id).map_or(Ok(()), |p| p.device.set_mtu(mtu))
    }

    /// As `set_mtu`.
    pub fn set_mac(&mut self, id: LinkId, mac: [u8; 6]) -> Result<(), Errno> {
        self.port_of(id).map_or(Ok(()), |p| p.device.set_mac(mac))
    }

    /// Begins a capture.
    ///
    /// Errors: ENXIO for a link without a driver, ENOSPC at CAPTURES_MAX.
    pub fn capture(&mut self, id: LinkId, capture: Capture) -> Result<(), Errno> {
        let port = self.port_of(id).ok_or(Errno::ENXIO)?;
        if port.captures.len() >= CAPTURES_MAX {
            return Err(Errno::ENOSPC);
        }
        port.captures.push(capture);
        Ok(())
    }

    /// Is there work that no descriptor will announce?
    pub fn has_pending(&self) -> bool {
        self.pending
    }

    /// When a link in penalty is to be looked at again.
    pub fn next_deadline(&self) -> Instant {
        self.retry_at
    }

    // --- the turn --------------------------------------------------------------------------------

    /// What epoll said of a link's descriptor.
    pub fn note(&mut self, token: u64, events: u32) {
        let Some(port) = self.ports.get_mut((token >> 1) as usize).and_then(Option::as_mut) else { return };
        if token & 1 == 0 && events & !(libc::EPOLLOUT as u32) != 0 {
            port.readable = true;
            self.pending = true;
        }
        if events & (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0 && port.wants_room {
            port.watch_room(&self.epoll, token >> 1, false);
        }
    }

    /// Takes what the links have received into the engine.
    pub fn receive(&mut self, now: Instant, stack: &mut Stack, sink: &mut dyn Sink) {
        if !self.pending && now < self.retry_at {
            return;
        }
        self.pending = false;
        self.retry_at = Instant::FAR;
        for place in 0..self.ports.len() {
            let Some(port) = &mut self.ports[place] else { continue };
            if let Some(status) = port.device.take_state_change() {
                stack.net.set_link_state(now, port.id, status.up, status.media);
            }
            if now < port.penalty_until {
                self.retry_at = self.retry_at.min(port.penalty_until);
                continue;
            }
            if port.penalty_until != Instant::ZERO {
                port.penalty_until = Instant::ZERO;
                port.watch_rx(&self.epoll, place, true);
                port.readable = true;
            }
            if !port.readable && port.fd.is_some() {
                continue;
            }
            match port.receive(now, stack, sink) {
                Ok(drained) => {
                    port.readable = !drained;
                    self.pending |= !drained || port.fd.is_none();
                }
                Err(error) => {
                    port.counters.rx_errors += 1;
                    port.readable = false;
                    port.penalty_until = now + stack::Duration::from_micros(PENALTY_US);
                    self.retry_at = self.retry_at.min(port.penalty_until);
                    port.watch_rx(&self.epoll, place, false);
                    tracing::debug!("{}: receiving: {error}", port.device.name());
                }
            }
            if let Some(status) = port.device.take_state_change() {
                stack.net.set_link_state(now, port.id, status.up, status.media);
            }
        }
    }

    /// Hands the engine's frames to the links.
    pub fn transmit(&mut self, batch: &TxBatch) {
        for port in self.ports.iter_mut().flatten() {
            if !port.backlog.is_empty() && !port.wants_room {
                port.send_backlog();
            }
        }
        let mut rest = &batch.frames[..];
        while let Some(first) = rest.first() {
            let same = rest.iter().position(|f| f.link != first.link).unwrap_or(rest.len());
            let (run, others) = rest.split_at(same);
            rest = others;
            if let Some(port) = self.port_of(first.link) {
                port.send(batch, run);
            }
        }
        for place in 0..self.ports.len() {
            let Some(port) = &mut self.ports[place] else { continue };
            if !port.backlog.is_empty() && !port.wants_room {
                port.watch_room(&self.epoll, place as u64, true);
            }
        }
    }

    /// Tells the drivers what the engine wants of them.
    pub fn apply_requests(&mut self, stack: &mut Stack) {
        for request in stack.net.take_link_requests() {
            let Some(port) = self.port_of(request.link) else { continue };
            let mut flags = port.flags;
            let done = match &request.kind {
                LinkRequestKind::Up(on) => {
                    flags.up = *on;
                    port.device.set_flags(flags)
                }
                LinkRequestKind::Promisc(on) => {
                    flags.promisc = *on;
                    port.device.set_flags(flags)
                }
                LinkRequestKind::AllMulti(on) => {
                    flags.allmulti = *on;
                    port.device.set_flags(flags)
                }
                LinkRequestKind::Multicast(macs) => {
                    let macs: Vec<[u8; 6]> = macs.iter().map(|m| m.0).collect();
                    port.device.multicast(&macs)
                }
                // The driver was asked before the engine.
                LinkRequestKind::Mtu(_) | LinkRequestKind::Mac(_) => Ok(()),
            };
            match done {
                Ok(()) => port.flags = flags,
                Err(error) => tracing::warn!("{}: the driver refuses {:?}: {error}", port.device.name(), request.kind),
            }
        }
    }
}

impl Port {
    /// Up to a turn's bursts. True: the link is drained.
    fn receive(&mut self, now: Instant, stack: &mut Stack, sink: &mut dyn Sink) -> Result<bool, Errno> {
        for _ in 0..TURN_BURSTS {
            let n = self.queue.rx(&mut self.pool)?;
            if n == 0 {
                return Ok(true);
            }
            let empty = RxFrame { data: &[], csum: RxCsum::Unknown, gso_size: None };
            let mut frames = [empty; RX_BURST];
            for (to, from) in frames.iter_mut().zip(self.pool.frames()) {
                *to = modules::rx_frame(from);
            }
            let frames = &frames[..n.min(RX_BURST)];
            if !self.captures.is_empty() {
                self.captures.retain_mut(|c| frames.iter().all(|f| c.received(f.data).is_ok()));
            }
            stack.handle_frames(now, self.id, frames, sink);
            if n < self.pool.burst() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn send(&mut self, batch: &TxBatch, frames: &[TxFrame]) {
        if !self.captures.is_empty() {
            self.captures.retain_mut(|c| frames.iter().all(|f| c.sent(batch, f).is_ok()));
        }
        let mut sent = 0;
        if self.backlog.is_empty() {
            sent = match self.queue.tx(frames.iter().map(|f| modules::packet(batch, f))) {
                Ok(n) => n,
                Err(Errno::EAGAIN | Errno::ENOBUFS) => 0,
                Err(_) => {
                    self.counters.tx_errors += frames.len() as u64;
                    return;
                }
            };
        }
        for frame in &frames[sent..] {
            if self.backlog.len() >= BACKLOG_MAX {
                self.counters.tx_dropped += 1;
                continue;
            }
            let Packet { head, slices, offload } = modules::packet(batch, frame);
            self.backlog.push_back(Waiting { head: head.to_vec(), slices: slices.to_vec(), offload });
        }
    }

    fn send_backlog(&mut self) {
        let packets = self.backlog.iter().map(|w| Packet {
            head: &w.head,
            slices: &w.slices,
            offload: w.offload,
        });
        match self.queue.tx(packets) {
            Ok(n) => drop(self.backlog.drain(..n)),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => {}
            Err(_) => {
                self.counters.tx_errors += self.backlog.len() as u64;
                self.backlog.clear();
            }
        }
    }

    fn watch_rx(&self, epoll: &OwnedFd, place: usize, on: bool) {
        if let Some(fd) = self.fd {
            let mut flags = if on { EventFlags::IN } else { EventFlags::empty() };
            if self.wants_room && self.tx_fd == self.fd {
                flags |= EventFlags::OUT;
            }
            let _ = epoll::modify(epoll, borrow(fd), EventData::new_u64(TOKEN | (place as u64) << 1), flags);
        }
    }

    /// Watches for the driver's room, or stops to.
    fn watch_room(&mut self, epoll: &OwnedFd, place: u64, on: bool) {
        self.wants_room = on;
        let Some(tx_fd) = self.tx_fd else {
            self.wants_room = false; // tried again each turn
            return;
        };
        if self.fd == Some(tx_fd) {
            let flags = if on { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let _ = epoll::modify(epoll, borrow(tx_fd), EventData::new_u64(TOKEN | place << 1), flags);
        } else if on {
            let _ = epoll::add(epoll, borrow(tx_fd), EventData::new_u64(TOKEN | place << 1 | 1), EventFlags::OUT);
        } else {
            let _ = epoll::delete(epoll, borrow(tx_fd));
        }
    }

    fn unwatch(&self, epoll: &OwnedFd) {
        for fd in [self.fd, self.tx_fd].into_iter().flatten() {
            let _ = epoll::delete(epoll, borrow(fd));
        }
    }
}

/// A driver's descriptor, for a call to epoll.
fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    crate::sys::borrow_for_call(fd)
}

/// Applies what a link says will work on it: addresses, default routes, name servers.
fn suggest(now: Instant, stack: &mut Stack, id: LinkId, config: &abi::SuggestedConfig, attached: &mut Attached) {
    let mut plans: Vec<(IpAddr, u8, IpAddr, Option<IpAddr>)> = Vec::new();
    if let Some(p) = config.ipv4 {
        plans.push((p.addr.into(), p.prefix_len, p.gateway.into(), p.dns.map(IpAddr::from)));
    }
    if let Some(p) = config.ipv6.filter(|_| stack.config().ipv6) {
        plans.push((p.addr.into(), p.prefix_len, p.gateway.into(), p.dns.map(IpAddr::from)));
    }
    if !plans.is_empty() {
        let _ = stack.net.set_admin_flags(now, id, iff::UP, 0);
    }
    for (addr, prefix_len, gateway, dns) in plans {
        if let Err(error) = stack.net.add_address(now, id, addr, prefix_len, None) {
            tracing::warn!("suggested address {addr}/{prefix_len}: {error}");
            continue;
        }
        let unspecified = if addr.is_ipv4() { IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED) };
        if !gateway.is_unspecified() {
            let route = RouteSpec {
                dst: unspecified,
                prefix_len: 0,
                gateway: Some(gateway),
                link: Some(id),
                flags: stack::net::rtf::STATIC,
                mtu: None,
                source: None,
            };
            if let Err(error) = stack.net.add_route(now, route, false) {
                tracing::warn!("suggested default route by {gateway}: {error}");
            }
        }
        attached.name_servers.extend(dns);
    }
}
