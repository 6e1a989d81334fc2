//! The configuration that packets are handled by: links, addresses, routes, switches. One value,
//! shared by reference and copied on change, with a generation number that tells old from new.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::address::{Address, needs_scope};
use super::link::Link;
use super::route::{RouteEntry, Trie, rtf};
use super::sysctl::{Sysctl, Sysctls};
use crate::frame::LinkId;

/// See the module's head. Changed through `Net` only, which counts the generation up.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub generation: u64,
    pub sysctls: Sysctls,
    pub routes4: Trie,
    pub routes6: Trie,
    /// By index of the link less one.
    links: Vec<Option<Arc<Link>>>,
    /// Usable addresses, with the link of the first that has it.
    /// The operator chooses these, not a peer: a fast hash does.
    locals: HashMap<IpAddr, LinkId, FixedState>,
    broadcasts: HashSet<Ipv4Addr, FixedState>,
}

impl Snapshot {
    /// No links, no routes.
    pub fn empty() -> Snapshot {
        Snapshot {
            generation: 1,
            sysctls: Sysctls::default(),
            routes4: Trie::default(),
            routes6: Trie::default(),
            links: Vec::new(),
            locals: HashMap::with_hasher(FixedState::default()),
            broadcasts: HashSet::with_hasher(FixedState::default()),
        }
    }

    // --- changes ---------------------------------------------------------------------------------

    /// Puts a link into the lowest free place after all that were ever used.
    pub fn add_link(&mut self, make: impl FnOnce(LinkId) -> Link) -> LinkId {
        let id = LinkId(self.links.len() as u32 + 1);
        self.links.push(Some(Arc::new(make(id))));
        id
    }

    pub fn remove_link(&mut self, id: LinkId) {
        if let Some(place) = self.links.get_mut((id.0 as usize).wrapping_sub(1)) {
            *place = None;
        }
        self.index_addresses();
    }

    pub fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut((id.0 as usize).wrapping_sub(1))?.as_mut().map(Arc::make_mut)
    }

    /// Brings the address tables up to date after a change of a link's addresses.
    pub fn index_addresses(&mut self) {
        self.locals.clear();
        self.broadcasts.clear();
        for link in self.links.iter().flatten() {
            for a in &link.addresses {
                if a.is_usable() {
                    self.locals.entry(a.addr).or_insert(link.id);
                }
                self.broadcasts.extend(a.broadcast);
            }
        }
    }

    pub fn routes_mut(&mut self, of: IpAddr) -> &mut Trie {
        if of.is_ipv4() { &mut self.routes4 } else { &mut self.routes6 }
    }

    // --- questions -------------------------------------------------------------------------------

    pub fn routes(&self, of: IpAddr) -> &Trie {
        if of.is_ipv4() { &self.routes4 } else { &self.routes6 }
    }

    pub fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get((id.0 as usize).wrapping_sub(1))?.as_deref()
    }

    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten().map(Arc::as_ref)
    }

    pub fn addresses(&self) -> impl Iterator<Item = (LinkId, &Address)> {
        self.links().flat_map(|l| l.addresses.iter().map(|a| (l.id, a)))
    }

    pub fn is_on(&self, which: Sysctl) -> bool {
        self.sysctls.is_on(which)
    }

    pub fn forwards(&self, v4: bool) -> bool {
        self.is_on(if v4 { Sysctl::Ip4Forwarding } else { Sysctl::Ip6Forwarding })
    }

    /// One of our usable addresses, or in 127/8.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        matches!(addr, IpAddr::V4(a) if a.is_loopback()) || self.locals.contains_key(&addr)
    }

    /// As `is_local`, for a packet that arrived on `link`: a scoped address must be that link's.
    pub fn is_local_on(&self, addr: IpAddr, link: LinkId) -> bool {
        if needs_scope(addr) { self.address(link, addr).is_some_and(Address::is_usable) } else { self.is_local(addr) }
    }

    pub fn address(&self, link: LinkId, addr: IpAddr) -> Option<&Address> {
        self.link(link)?.addresses.iter().find(|a| a.addr == addr)
    }

    /// The limited broadcast or the broadcast address of one of our subnets.
    pub fn is_broadcast(&self, addr: IpAddr) -> bool {
        matches!(addr, IpAddr::V4(a) if a.is_broadcast() || self.broadcasts.contains(&a))
    }

    pub fn is_group(&self, addr: IpAddr) -> bool {
        addr.is_multicast() || self.is_broadcast(addr)
    }

    /// The route to `dst`, over `bound` only when given. Routes of links that are down do not count,
    /// unless there is no other.
    pub fn route(&self, dst: IpAddr, bound: Option<LinkId>) -> Option<&RouteEntry> {
        let fits = |r: &RouteEntry| bound.is_none_or(|b| b == r.link);
        let trie = self.routes(dst);
        trie.lookup(dst, |r| {
            fits(r) && (r.flags & (rtf::REJECT | rtf::BLACKHOLE) != 0 || self.link(r.link).is_some_and(Link::is_ready))
        })
        .or_else(|| trie.lookup(dst, fits))
    }

    /// The link for groups when nobody says which: the route's, else the first that can.
    pub fn group_link(&self, dst: IpAddr) -> Option<LinkId> {
        let able = |l: &&Link| l.is_ready() && !l.is_loopback();
        self.route(dst, None)
            .map(|r| r.link)
            .or_else(|| self.links().find(able).map(|l| l.id))
            .or_else(|| self.links().next().map(|l| l.id))
    }

    pub fn first_v4(&self, link: LinkId) -> Option<Ipv4Addr> {
        self.link(link)?.addresses.iter().find_map(|a| match a.addr {
            IpAddr::V4(v4) if a.is_usable() => Some(v4),
            _ => None,
        })
    }

    pub fn link_local(&self, link: LinkId) -> Option<Ipv6Addr> {
        self.link(link)?.addresses.iter().find_map(|a| match a.addr {
            IpAddr::V6(v6) if v6.is_unicast_link_local() && a.is_usable() => Some(v6),
            _ => None,
        })
    }
}
