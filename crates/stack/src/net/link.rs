//! Links (interfaces): what the configuration knows of one, and the operator's changes to it.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use errno::Errno;
use wire::MacAddr;

use super::Net;
use super::address::{Address, AddressOrigin};
use super::config::Snapshot;
use super::counters::LinkCounters;
use super::multicast::Groups;
use super::neighbour::cache::Timing;
use crate::frame::{LinkId, Offloads};
use crate::net::autoconf::Autoconf;
use crate::random::Random;
use crate::time::Instant;

/// MTU of `lo0`, as BSD has it.
pub const LOOPBACK_MTU: u32 = 33_192;
/// Least MTU of a link (RFC 791 §3.2) and of one with IPv6 (RFC 8200 §5).
pub const MTU_MIN: u32 = 68;
pub const MTU_MIN_V6: u32 = 1280;
pub const MTU_MAX: u32 = 65_535;
/// Most links, the loopback included.
pub const LINKS_MAX: usize = 4096;

/// Interface flags, with the values of BSD's <net/if.h>.
pub mod iff {
    pub const UP: u32 = 0x1;
    pub const BROADCAST: u32 = 0x2;
    pub const DEBUG: u32 = 0x4;
    pub const LOOPBACK: u32 = 0x8;
    pub const POINTOPOINT: u32 = 0x10;
    pub const RUNNING: u32 = 0x40;
    pub const NOARP: u32 = 0x80;
    pub const PROMISC: u32 = 0x100;
    pub const ALLMULTI: u32 = 0x200;
    pub const SIMPLEX: u32 = 0x800;
    pub const MULTICAST: u32 = 0x8000;
    /// Those that an operator may change.
    pub const SETTABLE: u32 = UP | DEBUG | NOARP | PROMISC | ALLMULTI;
}

/// A link as its driver brings it.
#[derive(Clone, Debug)]
pub struct LinkSetup {
    pub name: String,
    pub mac: MacAddr,
    pub mtu: u32,
    pub offloads: Offloads,
    pub driver: String,
    pub media: String,
    pub link_up: bool,
}

/// A link as the configuration holds it.
#[derive(Clone, Debug)]
pub struct Link {
    pub id: LinkId,
    pub name: String,
    pub mac: MacAddr,
    pub mtu: u32,
    pub offloads: Offloads,
    pub driver: String,
    pub media: String,
    pub link_up: bool,
    /// All flags but RUNNING, which follows from them.
    pub(crate) admin: u32,
    /// The MTU that routers advertise for IPv6.
    pub(crate) ra_mtu: Option<u32>,
    pub addresses: Vec<Address>,
}

impl Link {
    pub fn flags(&self) -> u32 {
        self.admin | if self.is_ready() { iff::RUNNING } else { 0 }
    }

    pub fn is_up(&self) -> bool {
        self.admin & iff::UP != 0
    }

    /// Switched on, and with a carrier.
    pub fn is_ready(&self) -> bool {
        self.is_up() && self.link_up
    }

    pub fn is_loopback(&self) -> bool {
        self.admin & iff::LOOPBACK != 0
    }
}

/// What one shard keeps for a link beside the configuration.
#[derive(Debug)]
pub struct LinkState {
    pub counters: LinkCounters,
    pub groups: Groups,
    pub timing4: Timing,
    pub timing6: Timing,
    pub autoconf: Autoconf,
}

impl LinkState {
    pub fn new(random: &mut Random) -> LinkState {
        LinkState {
            counters: LinkCounters::default(),
            groups: Groups::default(),
            timing4: Timing::new(random),
            timing6: Timing::new(random),
            autoconf: Autoconf::default(),
        }
    }

    pub fn timing(&self, of: IpAddr) -> &Timing {
        if of.is_ipv4() { &self.timing4 } else { &self.timing6 }
    }
}

/// A link as ifconfig(8) shows it.
#[derive(Clone, Debug)]
pub struct LinkView<'a> {
    pub id: LinkId,
    pub name: &'a str,
    /// [`iff`] bits.
    pub flags: u32,
    pub mtu: u32,
    pub mac: MacAddr,
    pub media: &'a str,
    pub driver: &'a str,
    pub link_up: bool,
    pub offloads: Offloads,
    pub addresses: &'a [Address],
    pub counters: LinkCounters,
}

/// What a link's driver is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRequest {
    pub link: LinkId,
    pub kind: LinkRequestKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkRequestKind {
    Promisc(bool),
    AllMulti(bool),
    /// All the multicast station addresses to let in.
    Multicast(Vec<MacAddr>),
    Up(bool),
    Mtu(u32),
    Mac(MacAddr),
}

/// Something that changed by itself: for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigEvent {
    /// Another station has or claims one of our addresses.
    Duplicate {
        link: String,
        addr: IpAddr,
        mac: MacAddr,
    },
    AddressLearned {
        link: String,
        addr: IpAddr,
    },
    AddressExpired {
        link: String,
        addr: IpAddr,
    },
    RouterLearned {
        link: String,
        router: IpAddr,
    },
    RouterLost {
        link: String,
        router: IpAddr,
    },
    LinkState {
        link: String,
        up: bool,
    },
}

impl fmt::Display for ConfigEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigEvent::Duplicate { link, addr, mac } => {
                write!(f, "{link}: duplicate IP address {addr} sent from link address {mac}")
            }
            ConfigEvent::AddressLearned { link, addr } => {
                write!(f, "{link}: address {addr} configured from a router's prefix")
            }
            ConfigEvent::AddressExpired { link, addr } => write!(f, "{link}: address {addr} expired"),
            ConfigEvent::RouterLearned { link, router } => write!(f, "{link}: default router {router}"),
            ConfigEvent::RouterLost { link, router } => write!(f, "{link}: default router {router} is gone"),
            ConfigEvent::LinkState { link, up } => write!(f, "{link}: link {}", if *up { "up" } else { "down" }),
        }
    }
}

impl Net {
    /// `lo0`, which is there from the beginning.
    pub(super) fn add_loopback(&mut self) {
        let id = self.change(|c| {
            c.add_link(|id| Link {
                id,
                name: "lo0".to_owned(),
                mac: MacAddr::ZERO,
                mtu: LOOPBACK_MTU,
                offloads: Offloads { tx_csum: true, tso4: true, tso6: true, uso: true, rx_csum: true, gro: true },
                driver: "loopback".to_owned(),
                media: String::new(),
                link_up: true,
                admin: iff::UP | iff::LOOPBACK | iff::MULTICAST,
                ra_mtu: None,
                addresses: Vec::new(),
            })
        });
        debug_assert_eq!(id, LinkId::LOOPBACK);
        self.states.push(Some(LinkState::new(&mut self.random)));
        self.insert_address(Instant::ZERO, id, Address::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8, AddressOrigin::Manual));
        if self.ipv6 {
            self.insert_address(
                Instant::ZERO,
                id,
                Address::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128, AddressOrigin::Manual),
            );
        }
    }

    /// Attaches a link, switched off (`set_admin_flags` with `iff::UP` or its first address switch it
    /// on).
    ///
    /// Errors: EEXIST (name taken), EINVAL (empty name, MTU out of bounds), ENFILE (too many links).
    pub fn add_link(&mut self, now: Instant, setup: LinkSetup) -> Result<LinkId, Errno> {
        let _ = now;
        if setup.name.is_empty() || !(MTU_MIN..=MTU_MAX).contains(&setup.mtu) {
            return Err(Errno::EINVAL);
        }
        if self.link_by_name(&setup.name).is_some() {
            return Err(Errno::EEXIST);
        }
        if self.config.links().count() >= LINKS_MAX {
            return Err(Errno::ENFILE);
        }
        let id = self.change(|c| {
            c.add_link(|id| Link {
                id,
                name: setup.name,
                mac: setup.mac,
                mtu: setup.mtu,
                offloads: setup.offloads,
                driver: setup.driver,
                media: setup.media,
                link_up: setup.link_up,
                admin: iff::BROADCAST | iff::SIMPLEX | iff::MULTICAST,
                ra_mtu: None,
                addresses: Vec::new(),
            })
        });
        self.states.push(Some(LinkState::new(&mut self.random)));
        self.tell_filter(id);
        Ok(id)
    }

    /// Errors: EINVAL (`lo0`), ENXIO (no such link).
    pub fn remove_link(&mut self, now: Instant, id: LinkId) -> Result<(), Errno> {
        if id == LinkId::LOOPBACK {
            return Err(Errno::EINVAL);
        }
        let link = self.config.link(id).ok_or(Errno::ENXIO)?;
        let addresses: Vec<IpAddr> = link.addresses.iter().map(|a| a.addr).collect();
        for addr in addresses {
            self.delete_address(now, id, addr)?;
        }
        self.autoconf_stop(now, id);
        self.drop_memberships(id);
        self.neighbours.forget_link(id, false, &mut self.agenda);
        self.remove_routes_of(id);
        self.change(|c| c.remove_link(id));
        self.states[id.0 as usize - 1] = None;
        self.requests.retain(|r| r.link != id);
        Ok(())
    }

    pub fn link_by_name(&self, name: &str) -> Option<LinkId> {
        self.config.links().find(|l| l.name == name).map(|l| l.id)
    }

    pub fn link_name(&self, id: LinkId) -> Option<&str> {
        self.config.link(id).map(|l| l.name.as_str())
    }

    /// The driver says that the carrier came or went.
    pub fn set_link_state(&mut self, now: Instant, id: LinkId, up: bool, media: Option<String>) {
        let Some(link) = self.config.link(id) else { return };
        let (was, name) = (link.is_ready(), link.name.clone());
        let changed = link.link_up != up;
        self.change(|c| {
            if let Some(link) = c.link_mut(id) {
                link.link_up = up;
                if let Some(media) = media {
                    link.media = media;
                }
            }
        });
        if changed {
            self.event(ConfigEvent::LinkState { link: name, up });
        }
        self.readiness_changed(now, id, was);
    }

    /// Sets and clears [`iff`] bits; those an operator may not touch are left alone.
    pub fn set_admin_flags(&mut self, now: Instant, id: LinkId, set: u32, clear: u32) -> Result<(), Errno> {
        let link = self.config.link(id).ok_or(Errno::ENXIO)?;
        let (was, before) = (link.is_ready(), link.admin);
        let after = (before & !(clear & iff::SETTABLE)) | (set & iff::SETTABLE);
        if after == before {
            return Ok(());
        }
        self.change(|c| {
            if let Some(link) = c.link_mut(id) {
                link.admin = after;
            }
        });
        let tell = [
            (iff::UP, LinkRequestKind::Up(after & iff::UP != 0)),
            (iff::PROMISC, LinkRequestKind::Promisc(after & iff::PROMISC != 0)),
            (iff::ALLMULTI, LinkRequestKind::AllMulti(after & iff::ALLMULTI != 0)),
        ];
        for (bit, kind) in tell {
            if (before ^ after) & bit != 0 {
                self.request(id, kind);
            }
        }
        self.readiness_changed(now, id, was);
        Ok(())
    }

    /// Errors: ENXIO, EINVAL (out of bounds; below 1280 while the link has IPv6 addresses).
    pub fn set_mtu(&mut self, now: Instant, id: LinkId, mtu: u32) -> Result<(), Errno> {
        let _ = now;
        let link = self.config.link(id).ok_or(Errno::ENXIO)?;
        let v6 = link.addresses.iter().any(|a| a.addr.is_ipv6());
        if !(if v6 { MTU_MIN_V6 } else { MTU_MIN }..=MTU_MAX).contains(&mtu) {
            return Err(Errno::EINVAL);
        }
        self.change(|c| {
            if let Some(link) = c.link_mut(id) {
                link.mtu = mtu;
            }
        });
        self.request(id, LinkRequestKind::Mtu(mtu));
        Ok(())
    }

    /// Errors: ENXIO, EINVAL (`lo0`, or a group address).
    pub fn set_mac(&mut self, now: Instant, id: LinkId, mac: MacAddr) -> Result<(), Errno> {
        let link = self.config.link(id).ok_or(Errno::ENXIO)?;
        if link.is_loopback() || mac.0[0] & 1 != 0 {
            return Err(Errno::EINVAL);
        }
        let addresses: Vec<IpAddr> = link.addresses.iter().filter(|a| a.is_usable()).map(|a| a.addr).collect();
        self.change(|c| {
            if let Some(link) = c.link_mut(id) {
                link.mac = mac;
            }
        });
        self.request(id, LinkRequestKind::Mac(mac));
        for addr in addresses {
            match addr {
                IpAddr::V4(_) => self.announce_start(now, id, addr),
                // RFC 4861 §7.2.6
                IpAddr::V6(v6) => self.advertise(now, id, v6, wire::addr::ALL_NODES_V6, false),
            }
        }
        Ok(())
    }

    /// Every link, in order of index.
    pub fn links(&self) -> impl Iterator<Item = LinkView<'_>> {
        self.config.links().map(|l| LinkView {
            id: l.id,
            name: &l.name,
            flags: l.flags(),
            mtu: l.mtu,
            mac: l.mac,
            media: &l.media,
            driver: &l.driver,
            link_up: l.link_up,
            offloads: l.offloads,
            addresses: &l.addresses,
            counters: self.state(l.id).map(|s| s.counters).unwrap_or_default(),
        })
    }

    pub fn link(&self, id: LinkId) -> Option<LinkView<'_>> {
        self.links().find(|l| l.id == id)
    }

    /// What drivers are to be told since the last call.
    pub fn take_link_requests(&mut self) -> Vec<LinkRequest> {
        core::mem::take(&mut self.requests)
    }

    /// What changed by itself since the last call.
    pub fn take_config_events(&mut self) -> Vec<ConfigEvent> {
        core::mem::take(&mut self.events)
    }

    /// Starts or stops what depends on a link being usable.
    fn readiness_changed(&mut self, now: Instant, id: LinkId, was: bool) {
        let Some(link) = self.config.link(id) else { return };
        let is = link.is_ready();
        if was == is || link.is_loopback() {
            return;
        }
        if is {
            let v4: Vec<IpAddr> = link.addresses.iter().map(|a| a.addr).filter(IpAddr::is_ipv4).collect();
            for addr in v4 {
                self.announce_start(now, id, addr);
            }
            self.autoconf_start(now, id);
            self.report_all_groups(now, id);
        } else {
            self.autoconf_stop(now, id);
            self.neighbours.forget_link(id, true, &mut self.agenda);
        }
    }

    pub(super) fn state(&self, id: LinkId) -> Option<&LinkState> {
        self.states.get((id.0 as usize).wrapping_sub(1))?.as_ref()
    }

    pub(super) fn state_mut(&mut self, id: LinkId) -> Option<&mut LinkState> {
        self.states.get_mut((id.0 as usize).wrapping_sub(1))?.as_mut()
    }

    /// Changes the configuration and makes every path look again.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut Snapshot) -> R) -> R {
        let config = std::sync::Arc::make_mut(&mut self.config);
        config.generation += 1;
        change(config)
    }

    pub(super) fn request(&mut self, link: LinkId, kind: LinkRequestKind) {
        // The latest of a kind is what counts.
        self.requests.retain(|r| r.link != link || core::mem::discriminant(&r.kind) != core::mem::discriminant(&kind));
        self.requests.push(LinkRequest { link, kind });
    }

    pub(super) fn event(&mut self, event: ConfigEvent) {
        if self.events.len() < super::EVENTS_MAX {
            self.events.push(event);
        }
    }
}
