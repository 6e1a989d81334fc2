//! The sender's SACK scoreboard (RFC 6675): which bytes beyond `snd_una` the peer holds, which are
//! to be taken as lost, and how much is still in the pipe.

use std::ops::Range;
use wire::tcp::SeqNr;

/// Most separate ranges kept; further ones are forgotten, which costs at most a needless
/// retransmission.
pub const RANGES_MAX: usize = 128;
/// Duplicate acknowledgements that mean a loss (RFC 5681 §3.2).
pub const DUP_THRESH: u32 = 3;

/// SACKed ranges in sequence order, apart from each other, all beyond `snd_una`.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    ranges: Vec<Range<SeqNr>>,
    /// Bytes in `ranges`.
    sacked: u32,
}

impl Scoreboard {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes the peer reported to hold out of order.
    pub fn sacked_bytes(&self) -> u32 {
        self.sacked
    }

    /// Takes in one block. The caller has checked that it lies in `snd_una..snd_max`. Gives back how
    /// many bytes are new.
    pub fn insert(&mut self, block: Range<SeqNr>) -> u32 {
        let first = self.ranges.partition_point(|r| r.end.lt(block.start));
        let after = self.ranges.partition_point(|r| r.start.le(block.end));
        if first == after && self.ranges.len() == RANGES_MAX {
            return 0;
        }
        let mut merged = block;
        let mut had = 0;
        for r in &self.ranges[first..after] {
            had += len(r);
            if r.start.lt(merged.start) {
                merged.start = r.start;
            }
            if r.end.gt(merged.end) {
                merged.end = r.end;
            }
        }
        let new = len(&merged) - had;
        self.sacked += new;
        self.ranges.splice(first..after, [merged]);
        new
    }

    /// Everything before `una` is acknowledged: it leaves the board.
    pub fn acknowledge(&mut self, una: SeqNr) {
        let mut gone = 0;
        self.ranges.retain_mut(|r| {
            if r.end.le(una) {
                gone += len(r);
                return false;
            }
            if r.start.lt(una) {
                gone += una.diff(r.start) as u32;
                r.start = una;
            }
            true
        });
        self.sacked -= gone;
    }

    pub fn clear(&mut self) {
        self.ranges.clear();
        self.sacked = 0;
    }

    /// RFC 6675 §4 `IsLost`: enough is SACKed above `seq`.
    pub fn is_lost(&self, seq: SeqNr, smss: u32) -> bool {
        let above = self.ranges.partition_point(|r| r.start.le(seq));
        let rest = &self.ranges[above..];
        rest.len() >= DUP_THRESH as usize || rest.iter().map(len).sum::<u32>() > (DUP_THRESH - 1) * smss
    }

    /// The gaps (not SACKed stretches) from `from` to `to`.
    pub fn gaps(&self, from: SeqNr, to: SeqNr) -> impl Iterator<Item = Range<SeqNr>> + '_ {
        let mut at = from;
        let mut ranges = self.ranges.iter().skip_while(move |r| r.end.le(from));
        std::iter::from_fn(move || {
            while at.lt(to) {
                match ranges.next() {
                    Some(r) if r.start.le(at) => {
                        if r.end.gt(at) {
                            at = r.end;
                        }
                    }
                    Some(r) => {
                        let end = if r.start.lt(to) { r.start } else { to };
                        let gap = at..end;
                        at = r.end;
                        return Some(gap);
                    }
                    None => {
                        let gap = at..to;
                        at = to;
                        return Some(gap);
                    }
                }
            }
            None
        })
    }

    /// RFC 6675 §4 `SetPipe`: bytes of `una..max` thought to be in the network. What was
    /// retransmitted lies before `high_rxt`.
    pub fn pipe(&self, una: SeqNr, max: SeqNr, high_rxt: SeqNr, smss: u32) -> u32 {
        let mut pipe = 0;
        for gap in self.gaps(una, max) {
            if !self.is_lost(gap.start, smss) {
                pipe += len(&gap);
            }
            if high_rxt.gt(gap.start) {
                let end = if high_rxt.lt(gap.end) { high_rxt } else { gap.end };
                pipe += end.diff(gap.start) as u32;
            }
        }
        pipe
    }

    /// The end of the SACKed range that covers `seq`, if any.
    pub fn sacked_until(&self, seq: SeqNr) -> Option<SeqNr> {
        let i = self.ranges.partition_point(|r| r.end.le(seq));
        self.ranges.get(i).filter(|r| r.start.le(seq)).map(|r| r.end)
    }

    /// The start of the first SACKed range after `seq`.
    pub fn next_sacked(&self, seq: SeqNr) -> Option<SeqNr> {
        let i = self.ranges.partition_point(|r| r.start.le(seq));
        self.ranges.get(i).map(|r| r.start)
    }
}

fn len(r: &Range<SeqNr>) -> u32 {
    r.end.diff(r.start) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u32) -> SeqNr {
        SeqNr(n.wrapping_sub(500)) // across the wrap
    }

    #[test]
    fn blocks_join_and_are_counted_once() {
        let mut b = Scoreboard::default();
        assert_eq!(b.insert(s(200)..s(300)), 100);
        assert_eq!(b.insert(s(400)..s(700)), 300);
        assert_eq!(b.insert(s(250)..s(450)), 100);
        assert_eq!(b.insert(s(250)..s(450)), 0);
        assert_eq!(b.sacked_bytes(), 500);
        b.acknowledge(s(600));
        assert_eq!(b.sacked_bytes(), 100);
    }

    #[test]
    fn a_byte_is_lost_after_three_ranges_or_more_than_two_segments_above_it() {
        let mut b = Scoreboard::default();
        b.insert(s(100)..s(110));
        b.insert(s(200)..s(210));
        assert!(!b.is_lost(s(0), 100));
        b.insert(s(300)..s(310));
        assert!(b.is_lost(s(0), 100));
        assert!(!b.is_lost(s(150), 100));
        b.insert(s(310)..s(510));
        assert!(b.is_lost(s(250), 100));
    }

    #[test]
    fn gaps_and_pipe_leave_out_what_is_sacked_or_lost() {
        let mut b = Scoreboard::default();
        b.insert(s(100)..s(200));
        b.insert(s(300)..s(600));
        let gaps: Vec<_> = b.gaps(s(0), s(1000)).collect();
        assert_eq!(gaps, [s(0)..s(100), s(200)..s(300), s(600)..s(1000)]);
        // Both lower gaps are lost (300 > 2 × 100 above), the upper one is in flight.
        assert_eq!(b.pipe(s(0), s(1000), s(0), 100), 400);
        assert_eq!(b.pipe(s(0), s(1000), s(50), 100), 450);
        assert_eq!(b.sacked_until(s(150)), Some(s(200)));
        assert_eq!(b.sacked_until(s(250)), None);
    }
}
