//! Everything below the transports: links, addresses, neighbours, routes, IPv4, IPv6, ICMP.
//!
//! `Net` is one value with its methods spread over rooms:
//!
//! | room | what it does |
//! |---|---|
//! | `link`, `addressing`, `routing` | the operator's view: links, addresses, routes, switches |
//! | `config`, `route`, `address`, `source`, `sysctl` | the configuration as a value, and its rules |
//! | `neighbour` | the neighbour cache; ARP and NDP |
//! | `autoconf` | duplicate address detection, routers, prefixes |
//! | `input`, `ipv4`, `ipv6`, `reassembly`, `forward` | the way in |
//! | `output`, `fragment` | the way out |
//! | `icmp`, `multicast` | the protocols beside IP |

use core::net::IpAddr;
use std::borrow::Cow;
use std::sync::Arc;

use shm::Slice;

use crate::frame::{LinkId, Offloads, RxCsum, TxBatch};
use crate::random::{HashKey, Random};
use crate::stack::{Config, IcmpError};
use crate::time::Instant;

pub mod address;
mod addressing;
mod agenda;
mod autoconf;
pub mod config;
pub mod counters;
mod forward;
mod fragment;
mod icmp;
mod input;
mod ipv4;
mod ipv6;
pub mod link;
mod multicast;
pub mod neighbour;
mod output;
mod reassembly;
pub mod route;
mod routing;
mod source;
pub mod sysctl;

pub use address::{Address, AddressOrigin, AddressState};
pub use counters::LinkCounters;
pub use link::{ConfigEvent, LinkRequest, LinkRequestKind, LinkSetup, LinkView, iff};
pub use neighbour::{NeighbourState, NeighbourView};
pub use output::{Looped, LoopedFrame};
pub use route::{RouteEntry, rtf};
pub use routing::RouteSpec;

/// Most config events kept for the log; further ones are forgotten.
const EVENTS_MAX: usize = 256;
/// Most errors of our own kept for the transports; further ones are forgotten.
const LOCAL_ERRORS_MAX: usize = 1024;

/// An IP packet for this host (whole, after reassembly), on its way to a transport.
#[derive(Debug)]
pub struct Inbound<'a> {
    pub link: LinkId,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub proto: u8,
    pub ttl: u8,
    /// TOS or traffic class byte.
    pub tos: u8,
    /// The IP header as received (options and extension headers too): for raw sockets and for quoting
    /// in ICMP errors.
    pub header: Cow<'a, [u8]>,
    /// Transport header and payload.
    pub data: Cow<'a, [u8]>,
    pub csum: RxCsum,
    /// Payload bytes a segment, when the link merged several.
    pub gso_size: Option<u16>,
    /// Addressed to a group: multicast or broadcast, of IP or of the link.
    pub group: bool,
    /// It came with a fragment header, be it in one piece.
    pub fragmented: bool,
}

/// The way to one destination from one source, with what was found out about it. A transport keeps
/// it and hands it to `send` each time; `Net` renews it when routes or addresses have changed.
#[derive(Clone, Debug)]
pub struct Path {
    pub src: IpAddr,
    pub dst: IpAddr,
    /// Outgoing link.
    pub link: LinkId,
    /// Link that the socket is bound to, or that a scope id names.
    pub bound: Option<LinkId>,
    /// Largest IP packet in bytes: the link's MTU, or less when the path's was discovered.
    pub mtu: u32,
    pub offloads: Offloads,
    /// `dst` is one of our own addresses.
    pub local: bool,
    /// `dst` is a multicast or broadcast address.
    pub group: bool,
    pub next_hop: IpAddr,
    /// Configuration the fields were derived from.
    pub(crate) generation: u64,
    /// Where the next hop was found in the neighbour cache last time.
    pub(crate) neighbour: Option<neighbour::cache::Slot>,
}

/// The IP header fields that a transport decides.
#[derive(Clone, Copy, Debug)]
pub struct IpFields {
    pub proto: u8,
    /// `None`: the default (64, or what net.inet.ip.ttl says).
    pub ttl: Option<u8>,
    pub tos: u8,
    /// IPv4 "don't fragment"; for IPv6: do not fragment at the source, EMSGSIZE instead.
    pub dont_fragment: bool,
    /// Where the transport header's checksum field stands, counted from its start; it is filled in by
    /// `send` (or the link), pseudo header included. `None`: there is none to fill in.
    pub checksum: Option<u16>,
    /// UDP over IPv4 sends 0 as 0xffff (RFC 768).
    pub zero_is_none: bool,
    /// Payload bytes a segment when the link is to cut the payload (`path.offloads` allows it).
    pub gso_size: Option<u16>,
}

/// What follows a transport header.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    Ring([Slice; 2]),
}

/// See the module's head.
#[derive(Debug)]
pub struct Net {
    config: Arc<config::Snapshot>,
    /// By index of the link less one, as in the configuration.
    states: Vec<Option<link::LinkState>>,
    neighbours: neighbour::Cache,
    reassembly: reassembly::Reassembly,
    path_mtus: routing::PathMtus,
    probations: Vec<addressing::Probation>,
    agenda: agenda::Agenda,
    tx: TxBatch,
    looped: output::LoopQueue,
    limit4: icmp::Limit,
    limit6: icmp::Limit,
    idents: fragment::Idents,
    counters: counters::Counters,
    random: Random,
    local_errors: Vec<IcmpError>,
    requests: Vec<LinkRequest>,
    events: Vec<ConfigEvent>,
    ipv6: bool,
    routes_max: usize,
}

impl Net {
    pub fn new(config: &Config, random: &mut Random) -> Net {
        let mut random = Random::new(random.next_u64());
        let key = HashKey::new(&mut random);
        let mut net = Net {
            config: Arc::new(config::Snapshot::empty()),
            states: Vec::new(),
            neighbours: neighbour::Cache::new(config.neighbours_max, key),
            reassembly: reassembly::Reassembly::new(config.reassembly_max, key),
            path_mtus: routing::PathMtus::new(key),
            probations: Vec::new(),
            agenda: agenda::Agenda::default(),
            tx: TxBatch::default(),
            looped: output::LoopQueue::default(),
            limit4: icmp::Limit::default(),
            limit6: icmp::Limit::default(),
            idents: fragment::Idents::new(&mut random),
            counters: counters::Counters::default(),
            random,
            local_errors: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            ipv6: config.ipv6,
            routes_max: config.routes_max,
        };
        net.add_loopback();
        net
    }

    /// Errors that we found ourselves about packets of our sockets (no neighbour answered).
    pub fn take_local_errors(&mut self) -> Vec<IcmpError> {
        core::mem::take(&mut self.local_errors)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        use agenda::Task;
        while let Some(task) = self.agenda.due(now) {
            match task {
                Task::Neighbour(index) => self.neighbour_passed(now, index),
                Task::Reassembly(index) => self.reassembly_passed(now, index),
                Task::Dad(link, addr) => self.probation_passed(now, link, addr),
                Task::Lifetime(link, addr) => self.lifetime_passed(now, link, addr),
                Task::Route(dst, len, link, gateway) => self.route_passed(now, dst, len, link, gateway),
                Task::RouterSolicit(link) => self.router_solicit_passed(now, link),
                Task::Report(link, group) => self.report_passed(now, link, group),
                Task::PathMtu => self.path_mtus_passed(now),
            }
        }
    }

    pub fn next_deadline(&self) -> Instant {
        self.agenda.next()
    }

    /// Swaps the frames to send with `batch`, which is empty.
    pub fn take_transmit(&mut self, batch: &mut TxBatch) {
        core::mem::swap(&mut self.tx, batch);
    }

    pub fn counters(&self, each: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.counters.for_each(each);
    }

    /// The value of a switch.
    pub fn sysctl(&self, which: sysctl::Sysctl) -> i64 {
        self.config.sysctls.value(which)
    }
}
