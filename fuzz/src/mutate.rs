//! A small mutator with a seed, so that stable CI explores a little around each corpus, the same way every time.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

const LEN_MAX: usize = 4096;

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`; 0 if `n` is.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// A changed copy of `input`, perhaps with a part of `other`.
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..1 + self.below(6) {
            self.step(&mut out, other);
        }
        out.truncate(LEN_MAX);
        out
    }

    fn step(&mut self, out: &mut Vec<u8>, other: &[u8]) {
        const INTERESTING: [u8; 12] = [0, 1, 2, 4, 8, 16, 64, 127, 128, 192, 254, 255];
        let at = self.below(out.len());
        match self.below(8) {
            _ if out.is_empty() => out.extend(self.next().to_le_bytes()),
            0 => out[at] ^= 1 << self.below(8),
            1 => out[at] = self.next() as u8,
            2 => out[at] = INTERESTING[self.below(INTERESTING.len())],
            3 => out[at] = out[at].wrapping_add(self.below(9) as u8).wrapping_sub(4),
            4 => out.truncate(at),
            5 => {
                let n = 1 + self.below(8);
                let fill: Vec<u8> = (0..n).map(|_| self.next() as u8).collect();
                out.splice(at..at, fill);
            }
            6 => {
                let end = (at + 1 + self.below(16)).min(out.len());
                out.drain(at..end);
            }
            _ => {
                let from = self.below(other.len());
                let part = other[from..].iter().take(1 + self.below(64)).copied();
                let part: Vec<u8> = part.collect();
                out.splice(at..at, part);
            }
        }
    }
}
