//! Links between the module loader and the engine: bursts in, batches out, the engine's wishes to
//! the drivers, the drivers' states to the engine.

mod penalty;
mod port;
mod suggested;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use errno::Errno;
use rustix::event::epoll::{self, EventData, EventFlags};
use stack::net::{LinkRequestKind, LinkSetup};
use stack::{Instant, LinkId, Sink, Stack, TxBatch};

use crate::capture::{CAPTURES_MAX, Capture};
use crate::modules::{self, LinkDevice, Modules};
use crate::protocols::{self, Protocols};

use penalty::Penalty;
pub use port::PortCounters;
use port::{Port, Presence, RX_BURST, Waiting, borrow};

/// What a link that was attached suggests beyond itself.
#[derive(Debug, Default)]
pub struct Attached {
    pub names: Vec<String>,
    pub name_servers: Vec<IpAddr>,
}

/// All links of a shard. `lo0` is the engine's own.
pub struct Links {
    modules: Modules,
    protocols: Protocols,
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
            protocols: Protocols::default(),
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
    pub fn attach(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        driver: &str,
        options: &str,
    ) -> Result<Attached, (Errno, String)> {
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

    fn add(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        mut device: LinkDevice,
        attached: &mut Attached,
    ) -> Result<LinkId, Errno> {
        let mut queue = device.take_queue(0).ok_or(Errno::ENODEV)?;
        let pool = queue.make_pool(RX_BURST)?;
        let status = device.status();
        let id = stack.net.add_link(
            now,
            LinkSetup {
                name: device.name().to_owned(),
                mac: wire::MacAddr(device.mac()),
                mtu: device.mtu(),
                offloads: modules::offloads(device.caps()),
                driver: device.driver().to_owned(),
                media: status.media.unwrap_or_default(),
                link_up: status.up,
            },
        )?;
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
            penalty: Penalty::default(),
            presence: Presence::There,
            flags: abi::LinkFlags::default(),
        });
        if self.by_id.len() <= id.0 as usize {
            self.by_id.resize(id.0 as usize + 1, 0);
        }
        self.by_id[id.0 as usize] = place + 1;
        self.pending = true;
        if let Some(config) = suggested {
            suggested::apply(now, stack, id, &config, attached);
        }
        Ok(id)
    }

    /// Loads a protocol module.
    ///
    /// Errors: errno and one sentence that names what was wrong.
    pub fn attach_protocol(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        name: &str,
        options: &str,
    ) -> Result<(), (Errno, String)> {
        let attached = self.protocols.attach(now, stack, &mut self.modules, name, options);
        attached.map_err(|e| (e.errno(), e.to_string()))
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
        self.port_of(id).map(Port::counters).unwrap_or_default()
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
        port.captures.retain(Capture::has_reader);
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

    /// When a link in penalty is to be looked at again, or a protocol module's timer is due.
    pub fn next_deadline(&self) -> Instant {
        self.retry_at.min(self.protocols.next_deadline())
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
            if port.presence != Presence::There {
                port.tell_loss(now, stack);
                continue;
            }
            if let Some(status) = port.device.take_state_change() {
                stack.net.set_link_state(now, port.id, status.up, status.media);
            }
            if let Some(until) = port.penalty.lasts(now) {
                self.retry_at = self.retry_at.min(until);
                continue;
            }
            if port.penalty.take_end(now) {
                port.watch_rx(&self.epoll, place, true);
                port.readable = true;
            }
            if !port.readable && port.fd.is_some() {
                continue;
            }
            match port.receive(now, stack, sink, &mut self.protocols) {
                Ok(drained) => {
                    port.penalty.success();
                    port.readable = !drained;
                    self.pending |= !drained || port.fd.is_none();
                }
                Err(Errno::ENODEV) => {
                    port.counters.rx_errors += 1;
                    port.lose(&self.epoll);
                    port.tell_loss(now, stack);
                    continue;
                }
                Err(error) => {
                    port.counters.rx_errors += 1;
                    port.readable = false;
                    self.retry_at = self.retry_at.min(port.penalty.error(now));
                    port.watch_rx(&self.epoll, place, false);
                    tracing::debug!("{}: receiving: {error}", port.device.name());
                }
            }
            if let Some(status) = port.device.take_state_change() {
                stack.net.set_link_state(now, port.id, status.up, status.media);
            }
        }
    }

    /// Lets the protocol modules have their packets and their time, and sends what they send.
    pub fn run_protocols(&mut self, now: Instant, stack: &mut Stack, packets: &mut Vec<protocols::Packet>) {
        if self.protocols.is_empty() {
            return packets.clear();
        }
        self.protocols.input_packets(packets);
        let Links { protocols, ports, by_id, .. } = self;
        protocols.run(now, stack, |transmit| {
            let place = by_id.get(transmit.link as usize).and_then(|p| p.checked_sub(1));
            if let Some(port) = place.and_then(|p| ports.get_mut(p)).and_then(Option::as_mut) {
                port.keep(Waiting { head: transmit.frame, slices: Vec::new(), offload: abi::Offload::NONE });
            }
        });
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
            if port.presence == Presence::Lost {
                port.lose(&self.epoll);
                self.pending = true;
            }
            // What a driver finds out while it sends, no descriptor announces.
            self.pending |= port.presence == Presence::There && port.device.has_state_change();
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
