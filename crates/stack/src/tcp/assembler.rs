//! What of the receive ring beyond `rcv_nxt` is already in place: a short list of ranges.

use std::ops::Range;

/// Most separate ranges kept; a segment that would make one more is dropped (and sent again).
pub const RANGES_MAX: usize = 64;

/// Ranges of bytes after `rcv_nxt`, in order, apart from each other.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    ranges: Vec<Range<u32>>,
    /// The range that the latest segment went into, for the first SACK block (RFC 2018 §4).
    latest: u32,
}

impl Assembler {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Where the last range ends, in bytes after `rcv_nxt`.
    pub fn end(&self) -> u32 {
        self.ranges.last().map_or(0, |r| r.end)
    }

    /// Notes that `range` (after `rcv_nxt`, not empty) is in place. False when the list is full.
    pub fn insert(&mut self, range: Range<u32>) -> bool {
        let first = self.ranges.partition_point(|r| r.end < range.start);
        let after = self.ranges.partition_point(|r| r.start <= range.end);
        if first == after && self.ranges.len() == RANGES_MAX {
            return false;
        }
        let mut merged = range;
        if first < after {
            merged.start = merged.start.min(self.ranges[first].start);
            merged.end = merged.end.max(self.ranges[after - 1].end);
        }
        self.latest = merged.start;
        self.ranges.splice(first..after, [merged]);
        true
    }

    /// Whether all of `range` is in place already. Its place counts as that of the latest segment.
    pub fn covers(&mut self, range: &Range<u32>) -> bool {
        let found = self.ranges.iter().find(|r| r.start <= range.start && range.end <= r.end);
        if let Some(r) = found {
            self.latest = r.start;
        }
        found.is_some()
    }

    /// `n` bytes arrived in order. Gives back how many more now follow them without a gap.
    pub fn advance(&mut self, n: u32) -> u32 {
        if self.ranges.is_empty() {
            return 0;
        }
        let mut joined = 0;
        self.ranges.retain_mut(|r| {
            if r.start <= n {
                joined = joined.max(r.end.saturating_sub(n));
                return false;
            }
            true
        });
        let moved = n + joined;
        for r in &mut self.ranges {
            r.start -= moved;
            r.end -= moved;
        }
        self.latest = self.latest.saturating_sub(moved);
        joined
    }

    /// The ranges in the order of RFC 2018 §4: the one with the latest segment first.
    pub fn blocks(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let first = self.ranges.iter().position(|r| r.contains(&self.latest)).unwrap_or(0);
        let (before, from) = self.ranges.split_at(first.min(self.ranges.len()));
        from.iter().take(1).chain(before.iter().rev()).chain(from.iter().skip(1)).cloned()
    }

    pub fn clear(&mut self) {
        self.ranges = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_pieces_join_exactly_as_a_bitmap_says() {
        let mut random = crate::random::Random::new(3);
        for _ in 0..300 {
            let mut a = Assembler::default();
            let mut map = vec![false; 4000];
            let mut base = 0usize;
            for _ in 0..200 {
                let start = random.below(500) as u32;
                let len = 1 + random.below(40) as u32;
                if base + (start + len) as usize >= map.len() {
                    break;
                }
                if start == 0 {
                    map[base..base + len as usize].fill(true);
                    let more = a.advance(len);
                    let end = base + (len + more) as usize;
                    assert!(map[base..end].iter().all(|&b| b));
                    assert!(!map[end], "advance stopped short");
                    base = end;
                } else if a.insert(start..start + len) {
                    map[base + start as usize..base + (start + len) as usize].fill(true);
                }
            }
        }
    }

    #[test]
    fn the_list_is_bounded_but_joining_still_works() {
        let mut a = Assembler::default();
        for i in 1..=RANGES_MAX as u32 {
            assert!(a.insert(i * 10..i * 10 + 5));
        }
        assert!(!a.insert(5..6));
        assert!(a.insert(15..20));
        assert!(a.insert(5..6));
    }

    #[test]
    fn the_range_of_the_latest_segment_is_reported_first() {
        let mut a = Assembler::default();
        a.insert(10..20);
        a.insert(30..40);
        a.insert(50..60);
        a.insert(35..45);
        assert_eq!(a.blocks().next(), Some(30..45));
        assert_eq!(a.blocks().count(), 3);
    }
}
