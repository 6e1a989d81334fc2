//! Which endpoint owns which local port, who may share one, and ephemeral ports (RFC 6056).

use core::net::SocketAddr;
use hashbrown::{HashMap, HashSet};

use crate::random::HashKey;

/// Local ports in use, each with the endpoints (by index) that use it.
#[derive(Debug)]
pub struct Ports {
    used: HashMap<u16, HashSet<u32, HashKey>, HashKey>,
    key: HashKey,
    /// RFC 6056 §3.3.4: one counter for all, added to a per-destination offset.
    next: u32,
}

impl Ports {
    pub fn new(key: HashKey) -> Ports {
        Ports { used: HashMap::with_hasher(key), key, next: 0 }
    }

    pub fn claim(&mut self, port: u16, index: u32) {
        self.used.entry(port).or_insert_with(|| HashSet::with_hasher(self.key)).insert(index);
    }

    pub fn release(&mut self, port: u16, index: u32) {
        if let Some(set) = self.used.get_mut(&port) {
            set.remove(&index);
            if set.is_empty() {
                self.used.remove(&port);
            }
        }
    }

    /// The endpoints that use a port, in no order.
    pub fn users(&self, port: u16) -> impl Iterator<Item = u32> + '_ {
        self.used.get(&port).into_iter().flatten().copied()
    }

    /// The first port of the range for which `free` holds, tried from a place that only we can
    /// foretell (RFC 6056 §3.3.3, algorithm 3).
    pub fn ephemeral(
        &mut self,
        range: core::ops::RangeInclusive<u16>,
        toward: (SocketAddr, Option<SocketAddr>),
        free: impl Fn(&Ports, u16) -> bool,
    ) -> Option<u16> {
        let count = u32::from(*range.end()) - u32::from(*range.start()) + 1;
        let offset = self.key.hash(&toward) as u32;
        for i in 0..count {
            let place = offset.wrapping_add(self.next).wrapping_add(i) % count;
            let port = (u32::from(*range.start()) + place) as u16;
            if free(self, port) {
                self.next = self.next.wrapping_add(i + 1);
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_range_is_found_before_none_is_left() {
        let mut p = Ports::new(HashKey(1, 2));
        let to = ("10.0.0.1:0".parse().expect("a literal"), None);
        let mut seen = std::collections::HashSet::new();
        for i in 0..100 {
            let port = p.ephemeral(1000..=1099, to, |p, port| p.users(port).next().is_none()).expect("one is free");
            assert!(seen.insert(port));
            p.claim(port, i);
        }
        assert_eq!(p.ephemeral(1000..=1099, to, |p, port| p.users(port).next().is_none()), None);
        let owner = p.users(1050).next().expect("claimed");
        p.release(1050, owner);
        assert_eq!(p.ephemeral(1000..=1099, to, |p, port| p.users(port).next().is_none()), Some(1050));
    }
}
