//! Putting fragments together again, for both families (RFC 791 §3.2, RFC 8200 §4.5). Bounded in
//! bytes and in count; whatever overlaps is discarded whole (RFC 5722, and for IPv4 likewise, since
//! nothing honest overlaps); an exact duplicate is passed over.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashMap;

use super::agenda::{Agenda, Task};
use crate::frame::LinkId;
use crate::random::HashKey;
use crate::time::Instant;

/// How long fragments wait for the others. RFC 1122 §3.3.2 would have 60–120 s for IPv4 too; today's
/// systems take 30 (identifiers come round sooner).
pub const TIMEOUT_V4: Duration = Duration::from_secs(30);
pub const TIMEOUT_V6: Duration = Duration::from_secs(60);
/// Most datagrams in reassembly at once.
pub const DATAGRAMS_MAX: usize = 1024;
/// Most fragments of one datagram: 64 KiB in the smallest pieces that an IPv6 link makes, or IPv4's
/// at 576 bytes, with room to spare.
pub const FRAGMENTS_MAX: usize = 256;
/// Largest datagram, without its header.
pub const DATA_MAX: usize = 65_535;

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub ident: u32,
    /// IPv4 only; 0 for IPv6, whose identification stands alone (RFC 8200 §4.5).
    pub proto: u8,
}

/// One fragment, its place already checked to be within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub key: Key,
    pub link: LinkId,
    pub offset: usize,
    pub more: bool,
    pub data: &'a [u8],
    /// Everything that stands before the fragmentable part: the IP header of the first fragment
    /// becomes the datagram's.
    pub header: &'a [u8],
    /// What the data of the first fragment begin with.
    pub proto: u8,
    /// IPv6: where in `header` the field stands that says so.
    pub next_field: usize,
}

/// A datagram put together. All but the data is of the fragment at offset 0.
#[derive(Debug)]
pub struct Whole {
    pub header: Vec<u8>,
    pub data: Vec<u8>,
    pub proto: u8,
    pub next_field: usize,
}

#[derive(Debug)]
pub enum Outcome {
    /// Others are missing yet.
    Kept,
    Whole(Whole),
    Duplicate,
    /// The datagram is given up.
    Overlap,
    /// It contradicts what other fragments said about the end.
    Malformed,
    /// No room.
    Full,
}

/// A datagram that will not be completed: its first fragment, for the ICMP error.
#[derive(Debug)]
pub struct Abandoned {
    pub key: Key,
    pub link: LinkId,
    pub fragments: usize,
    /// Header and data of the first fragment, when that had come.
    pub first: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
struct Partial {
    key: Key,
    link: LinkId,
    data: Vec<u8>,
    /// Where each fragment that has come begins and ends, in order. They are not joined: only what was
    /// a fragment by itself is a duplicate when it comes again.
    ranges: Vec<(usize, usize)>,
    /// Bytes in `ranges`.
    filled: usize,
    /// Length of the whole, once the last fragment has come.
    total: Option<usize>,
    header: Vec<u8>,
    proto: u8,
    next_field: usize,
    /// An overlap was seen: whatever comes further is discarded.
    dead: bool,
    deadline: Instant,
    born: u64,
}

/// All datagrams in reassembly.
#[derive(Debug)]
pub struct Reassembly {
    map: HashMap<Key, u32, HashKey>,
    slots: Vec<Option<Partial>>,
    free: Vec<u32>,
    /// Slots in order of their first fragment, to evict the oldest; stale ones are passed over.
    ages: VecDeque<(u64, u32)>,
    births: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Reassembly {
    pub fn new(bytes_max: usize, key: HashKey) -> Reassembly {
        Reassembly {
            map: HashMap::with_hasher(key),
            slots: Vec::new(),
            free: Vec::new(),
            ages: VecDeque::new(),
            births: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Takes a fragment in. `evicted` counts fragments of others that had to go for it.
    pub fn add(&mut self, now: Instant, piece: &Piece<'_>, agenda: &mut Agenda, evicted: &mut u64) -> Outcome {
        let end = piece.offset + piece.data.len();
        debug_assert!(end <= DATA_MAX);
        let known = self.map.get(&piece.key).copied();
        let extent = known.and_then(|i| self.slots[i as usize].as_ref()).map_or(0, |p| p.data.len());
        let need = end.saturating_sub(extent) + if known.is_none() { piece.header.len() } else { 0 };
        while self.bytes + need > self.bytes_max || (known.is_none() && self.map.len() >= DATAGRAMS_MAX) {
            match self.evict(known, agenda) {
                Some(fragments) => *evicted += fragments as u64,
                None => return Outcome::Full,
            }
        }
        let index = known.unwrap_or_else(|| self.create(now, piece, agenda));
        let partial = self.slots[index as usize].as_mut().expect("the map names live slots");
        if partial.dead {
            return Outcome::Overlap;
        }
        // Ends must agree.
        let highest = partial.ranges.last().map_or(0, |r| r.1);
        let contradicts = match partial.total {
            Some(total) => end > total || (!piece.more && end != total),
            None => !piece.more && end < highest,
        };
        if contradicts {
            return Outcome::Malformed;
        }
        let place = partial.ranges.partition_point(|r| r.0 < piece.offset);
        let before = place.checked_sub(1).map(|i| partial.ranges[i]);
        let after = partial.ranges.get(place).copied();
        if after == Some((piece.offset, end)) && partial.data[piece.offset..end] == *piece.data {
            return Outcome::Duplicate;
        }
        if before.is_some_and(|r| r.1 > piece.offset) || after.is_some_and(|r| r.0 < end) {
            partial.dead = true;
            self.bytes -= partial.data.len();
            partial.data = Vec::new();
            return Outcome::Overlap;
        }
        if partial.ranges.len() >= FRAGMENTS_MAX {
            return Outcome::Full;
        }
        if partial.data.len() < end {
            self.bytes += end - partial.data.len();
            partial.data.resize(end, 0);
        }
        partial.data[piece.offset..end].copy_from_slice(piece.data);
        if !piece.more {
            partial.total = Some(end);
        }
        if piece.offset == 0 {
            self.bytes = self.bytes - partial.header.len() + piece.header.len();
            partial.header = piece.header.to_vec();
            partial.proto = piece.proto;
            partial.next_field = piece.next_field;
        }
        partial.ranges.insert(place, (piece.offset, end));
        partial.filled += piece.data.len();
        // Without overlaps, as many bytes as the whole has are the whole.
        if partial.total == Some(partial.filled) {
            let done = self.remove(index, agenda).expect("the slot is live");
            return Outcome::Whole(Whole {
                header: done.header,
                data: done.data,
                proto: done.proto,
                next_field: done.next_field,
            });
        }
        Outcome::Kept
    }

    /// `Task::Reassembly(index)`: the time is up.
    pub fn expire(&mut self, index: u32, agenda: &mut Agenda) -> Option<Abandoned> {
        self.slots.get_mut(index as usize)?.as_mut()?.deadline = Instant::FAR;
        let partial = self.remove(index, agenda)?;
        // What came of the first fragment's data without a gap.
        let mut first_len = 0;
        for range in partial.ranges.iter().take_while(|_| !partial.dead) {
            if range.0 == first_len {
                first_len = range.1;
            }
        }
        let fragments = partial.ranges.len();
        let first = (first_len > 0).then(|| (partial.header, partial.data[..first_len].to_vec()));
        Some(Abandoned { key: partial.key, link: partial.link, fragments, first })
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.map.len()
    }

    fn create(&mut self, now: Instant, piece: &Piece<'_>, agenda: &mut Agenda) -> u32 {
        self.births += 1;
        let partial = Partial {
            key: piece.key,
            link: piece.link,
            data: Vec::new(),
            ranges: Vec::new(),
            filled: 0,
            total: None,
            header: Vec::new(),
            proto: piece.proto,
            next_field: piece.next_field,
            dead: false,
            deadline: Instant::FAR,
            born: self.births,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(partial);
                index
            }
            None => {
                self.slots.push(Some(partial));
                (self.slots.len() - 1) as u32
            }
        };
        let timeout = if piece.key.src.is_ipv4() { TIMEOUT_V4 } else { TIMEOUT_V6 };
        let deadline = &mut self.slots[index as usize].as_mut().expect("just filled").deadline;
        agenda.set(deadline, now + timeout, Task::Reassembly(index));
        self.map.insert(piece.key, index);
        // Stale ages do not pile up: at most two for each live datagram.
        if self.ages.len() >= 2 * DATAGRAMS_MAX {
            let slots = &self.slots;
            self.ages.retain(|&(born, i)| slots[i as usize].as_ref().is_some_and(|p| p.born == born));
        }
        self.ages.push_back((self.births, index));
        index
    }

    /// Lets the oldest datagram but `keep` go; gives back how many fragments it had.
    fn evict(&mut self, keep: Option<u32>, agenda: &mut Agenda) -> Option<usize> {
        let mut kept = None;
        let mut result = None;
        while let Some((born, index)) = self.ages.pop_front() {
            if self.slots[index as usize].as_ref().is_none_or(|p| p.born != born) {
                continue;
            }
            if Some(index) == keep {
                kept = Some((born, index));
                continue;
            }
            result = self.remove(index, agenda).map(|p| p.ranges.len());
            break;
        }
        if let Some(age) = kept {
            self.ages.push_front(age);
        }
        result
    }

    fn remove(&mut self, index: u32, agenda: &mut Agenda) -> Option<Partial> {
        let mut partial = self.slots[index as usize].take()?;
        agenda.set(&mut partial.deadline, Instant::FAR, Task::Reassembly(index));
        self.map.remove(&partial.key);
        self.free.push(index);
        self.bytes -= partial.data.len() + partial.header.len();
        Some(partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const KEY: Key = Key {
        src: IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1)),
        dst: IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2)),
        ident: 7,
        proto: 17,
    };

    fn piece<'a>(offset: usize, data: &'a [u8], more: bool) -> Piece<'a> {
        Piece { key: KEY, link: LinkId(2), offset, more, data, header: &[0x45; 20], proto: 17, next_field: 0 }
    }

    #[test]
    fn pieces_in_any_order_make_the_whole() {
        let data: Vec<u8> = (0..2000u32).map(|i| i as u8).collect();
        let mut random = Random::new(3);
        for _ in 0..200 {
            let (mut agenda, mut evicted) = (Agenda::default(), 0);
            let mut r = Reassembly::new(1 << 20, HashKey(1, 2));
            let mut cuts: Vec<usize> = (0..250).filter(|_| random.below(12) == 0).map(|n| n * 8).collect();
            cuts.push(0);
            cuts.push(2000);
            cuts.sort_unstable();
            cuts.dedup();
            let mut order: Vec<usize> = (0..cuts.len() - 1).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, random.below(i as u64 + 1) as usize);
            }
            let mut whole = None;
            for i in order {
                let (from, to) = (cuts[i], cuts[i + 1]);
                if let Outcome::Whole(w) =
                    r.add(Instant::ZERO, &piece(from, &data[from..to], to < 2000), &mut agenda, &mut evicted)
                {
                    whole = Some(w);
                }
            }
            assert_eq!(whole.expect("complete").data, data);
            assert_eq!((r.bytes(), r.len(), agenda.next()), (0, 0, Instant::FAR));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let (mut agenda, mut evicted) = (Agenda::default(), 0);
        let mut r = Reassembly::new(10_000, HashKey(1, 2));
        for ident in 0..100 {
            let mut p = piece(0, &[0; 800], true);
            p.key.ident = ident;
            r.add(Instant::ZERO, &p, &mut agenda, &mut evicted);
            assert!(r.bytes() <= 10_000);
        }
        assert!(evicted >= 80);
        assert!(r.map.contains_key(&Key { ident: 99, ..KEY }));
    }
}
