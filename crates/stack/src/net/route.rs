//! Routes: a longest-prefix trie for each family. Path-compressed and persistent: a clone is a
//! snapshot that shares its nodes, a change copies only the nodes on its way (O(log n)).

use core::net::IpAddr;
use std::sync::Arc;

use wire::Cidr;

use crate::frame::LinkId;
use crate::time::Instant;

/// Flags of a route, with the values of BSD's <net/route.h>.
pub mod rtf {
    pub const UP: u32 = 0x1;
    pub const GATEWAY: u32 = 0x2;
    pub const HOST: u32 = 0x4;
    pub const REJECT: u32 = 0x8;
    pub const DYNAMIC: u32 = 0x10;
    pub const MODIFIED: u32 = 0x20;
    /// The destination is on the link (NetBSD's RTF_CONNECTED, shown as "C" or "U").
    pub const CONNECTED: u32 = 0x100;
    pub const STATIC: u32 = 0x800;
    pub const BLACKHOLE: u32 = 0x1000;
    /// One of our own addresses.
    pub const LOCAL: u32 = 0x40_000;
}

/// Most routes to one prefix (over different links or gateways).
pub const ROUTES_PER_PREFIX_MAX: usize = 16;

/// One route as the table holds and shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    pub dst: IpAddr,
    pub prefix_len: u8,
    /// `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    pub link: LinkId,
    /// [`rtf`] bits.
    pub flags: u32,
    /// Smaller than the link's, when set.
    pub mtu: Option<u32>,
    /// Source address to prefer.
    pub source: Option<IpAddr>,
    /// [`Instant::FAR`]: never.
    pub expires: Instant,
    /// Lower goes first among equal prefixes; higher router preference is lower.
    pub metric: u32,
}

/// An address's bits at the top of a word, so that both families walk alike.
pub fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    }
}

fn mask(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - u32::from(len)) }
}

/// `addr` with everything after the first `len` bits cleared.
pub fn network(addr: IpAddr, len: u8) -> IpAddr {
    Cidr { addr, prefix_len: len }.network().addr
}

/// Both addresses are of one family and agree in the first `len` bits.
pub fn same_network(a: IpAddr, b: IpAddr, len: u8) -> bool {
    Cidr { addr: a, prefix_len: len }.contains(b)
}

#[derive(Clone, Debug)]
struct Node {
    key: u128,
    len: u8,
    routes: Vec<RouteEntry>,
    children: [Option<Arc<Node>>; 2],
}

impl Node {
    fn leaf(key: u128, len: u8) -> Node {
        Node { key, len, routes: Vec::new(), children: [None, None] }
    }

    fn side(key: u128, len: u8) -> usize {
        usize::from(key & (1 << (127 - u32::from(len))) != 0)
    }
}

/// The routes of one family.
#[derive(Clone, Debug, Default)]
pub struct Trie {
    root: Option<Arc<Node>>,
    len: usize,
}

impl Trie {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The routes of exactly this prefix, to be changed; the count is set right by the caller's
    /// report of how many there are afterwards.
    fn at<R>(&mut self, key: u128, len: u8, change: impl FnOnce(&mut Vec<RouteEntry>) -> R) -> R {
        let routes = Self::reach(&mut self.root, key, len);
        let before = routes.len();
        let result = change(routes);
        self.len = self.len + routes.len() - before;
        if routes.is_empty() {
            Self::prune(&mut self.root, key, len);
        }
        result
    }

    /// Walks to the node of a prefix, making it where it is missing.
    fn reach(slot: &mut Option<Arc<Node>>, key: u128, len: u8) -> &mut Vec<RouteEntry> {
        let node = slot.get_or_insert_with(|| Arc::new(Node::leaf(key, len)));
        let common = ((node.key ^ key).leading_zeros() as u8).min(node.len).min(len);
        if common < node.len {
            // The node lies below, or beside: put a parent over it.
            let mut parent = Node::leaf(key & mask(common), common);
            parent.children[Node::side(node.key, common)] = Some(node.clone());
            *node = Arc::new(parent);
        }
        let node = Arc::make_mut(node);
        if node.len == len {
            return &mut node.routes;
        }
        Self::reach(&mut node.children[Node::side(key, node.len)], key, len)
    }

    /// Takes nodes away that neither hold routes nor part two ways, along one prefix.
    fn prune(slot: &mut Option<Arc<Node>>, key: u128, len: u8) {
        let Some(arc) = slot else { return };
        if arc.len > len || (arc.key ^ key) & mask(arc.len) != 0 {
            return;
        }
        let node = Arc::make_mut(arc);
        if node.len < len {
            Self::prune(&mut node.children[Node::side(key, node.len)], key, len);
        }
        if node.routes.is_empty() {
            match &mut node.children {
                [Some(_), Some(_)] => {}
                [a, b] => *slot = a.take().or(b.take()),
            }
        }
    }

    /// The best route to `addr` that `fits`: longest prefix first, then lowest metric.
    pub fn lookup(&self, addr: IpAddr, fits: impl Fn(&RouteEntry) -> bool) -> Option<&RouteEntry> {
        let key = bits(addr);
        let mut best = None;
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            if (node.key ^ key) & mask(node.len) != 0 {
                break;
            }
            if let Some(route) = node.routes.iter().find(|r| fits(r)) {
                best = Some(route);
            }
            if node.len == 128 {
                break;
            }
            next = node.children[Node::side(key, node.len)].as_deref();
        }
        best
    }

    /// The routes of exactly this prefix.
    pub fn exact(&self, dst: IpAddr, len: u8) -> &[RouteEntry] {
        let key = bits(dst);
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            if node.len > len || (node.key ^ key) & mask(node.len) != 0 {
                return &[];
            }
            if node.len == len {
                return &node.routes;
            }
            next = node.children[Node::side(key, node.len)].as_deref();
        }
        &[]
    }

    /// Adds a route, in order of metric. False when one with the same prefix, link and gateway is
    /// there, or the prefix has too many.
    pub fn insert(&mut self, route: RouteEntry) -> bool {
        let (key, len) = (bits(route.dst), route.prefix_len);
        self.at(key, len, |routes| {
            let known = routes.iter().any(|r| r.link == route.link && r.gateway == route.gateway);
            if known || routes.len() >= ROUTES_PER_PREFIX_MAX {
                return false;
            }
            let place = routes.partition_point(|r| r.metric <= route.metric);
            routes.insert(place, route);
            true
        })
    }

    /// Takes the routes of a prefix away that `which` names; gives back how many.
    pub fn remove(&mut self, dst: IpAddr, len: u8, which: impl Fn(&RouteEntry) -> bool) -> usize {
        if self.exact(dst, len).is_empty() {
            return 0;
        }
        self.at(bits(dst), len, |routes| {
            let before = routes.len();
            routes.retain(|r| !which(r));
            before - routes.len()
        })
    }

    /// Changes one route in place; false when there is none such.
    pub fn update(
        &mut self,
        dst: IpAddr,
        len: u8,
        which: impl Fn(&RouteEntry) -> bool,
        change: impl FnOnce(&mut RouteEntry),
    ) -> bool {
        if self.exact(dst, len).is_empty() {
            return false;
        }
        self.at(bits(dst), len, |routes| match routes.iter_mut().find(|r| which(r)) {
            Some(route) => {
                change(route);
                true
            }
            None => false,
        })
    }

    /// Every route, in order of prefix.
    pub fn iter(&self) -> impl Iterator<Item = &RouteEntry> {
        let mut stack: Vec<&Node> = self.root.as_deref().into_iter().collect();
        let mut routes: core::slice::Iter<'_, RouteEntry> = [].iter();
        core::iter::from_fn(move || {
            loop {
                if let Some(route) = routes.next() {
                    return Some(route);
                }
                let node = stack.pop()?;
                stack.extend(node.children[1].as_deref());
                stack.extend(node.children[0].as_deref());
                routes = node.routes.iter();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::random::Random;

    fn route(dst: &str, link: u32) -> RouteEntry {
        let (addr, len) = dst.split_once('/').expect("addr/len");
        RouteEntry {
            dst: addr.parse().expect("address"),
            prefix_len: len.parse().expect("length"),
            gateway: None,
            link: LinkId(link),
            flags: rtf::UP,
            mtu: None,
            source: None,
            expires: Instant::FAR,
            metric: 0,
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut trie = Trie::default();
        for (n, r) in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32"].iter().enumerate() {
            assert!(trie.insert(route(r, n as u32)));
        }
        let link = |a: &str| trie.lookup(a.parse().expect("address"), |_| true).map(|r| r.link.0);
        assert_eq!(link("10.1.2.3"), Some(3));
        assert_eq!(link("10.1.2.4"), Some(2));
        assert_eq!(link("10.2.0.1"), Some(1));
        assert_eq!(link("11.0.0.1"), Some(0));
    }

    #[test]
    fn a_snapshot_does_not_see_later_changes() {
        let mut trie = Trie::default();
        trie.insert(route("2001:db8::/32", 2));
        let before = trie.clone();
        trie.insert(route("2001:db8:1::/48", 3));
        trie.remove("2001:db8::".parse().expect("address"), 32, |_| true);
        let dst = "2001:db8:1::1".parse().expect("address");
        assert_eq!(before.lookup(dst, |_| true).map(|r| r.link.0), Some(2));
        assert_eq!(trie.lookup(dst, |_| true).map(|r| r.link.0), Some(3));
        assert_eq!((before.len(), trie.len()), (1, 1));
    }

    #[test]
    fn random_tables_answer_as_a_linear_search_does() {
        let mut random = Random::new(7);
        for _ in 0..50 {
            let mut trie = Trie::default();
            let mut list: Vec<RouteEntry> = Vec::new();
            for n in 0..200 {
                let len = random.below(33) as u8;
                let dst = network(IpAddr::V4(Ipv4Addr::from_bits(random.next_u32() & 0xf0f0_0303)), len);
                if random.below(4) == 0 && !list.is_empty() {
                    let gone = list.swap_remove(random.below(list.len() as u64) as usize);
                    assert_eq!(trie.remove(gone.dst, gone.prefix_len, |r| *r == gone), 1);
                } else {
                    let mut r = route("0.0.0.0/0", n);
                    (r.dst, r.prefix_len) = (dst, len);
                    if !list.iter().any(|o| (o.dst, o.prefix_len) == (dst, len)) {
                        assert!(trie.insert(r.clone()));
                        list.push(r);
                    }
                }
                assert_eq!((trie.len(), trie.iter().count()), (list.len(), list.len()));
                let addr = IpAddr::V4(Ipv4Addr::from_bits(random.next_u32() & 0xf0f0_0303));
                let want = list.iter().filter(|r| same_network(r.dst, addr, r.prefix_len)).max_by_key(|r| r.prefix_len);
                assert_eq!(trie.lookup(addr, |_| true), want);
            }
            for r in &list {
                trie.remove(r.dst, r.prefix_len, |_| true);
            }
            assert!(trie.is_empty() && trie.root.is_none());
        }
    }
}
