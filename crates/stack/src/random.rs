//! The engine's randomness: a seeded generator and keyed hashes, so that a run can be repeated.

use core::hash::Hasher;
use siphasher::sip::SipHasher13;

/// A small generator (SplitMix64) for jitter and identifiers; not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// Evenly from `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64 }
    }
}

/// A secret for keyed hashes (SipHash-1-3): flow tables, sequence numbers, ports. Peers choose the
/// inputs, so the key is what keeps them from choosing the outputs.
#[derive(Clone, Copy, Debug)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    pub fn new(random: &mut Random) -> HashKey {
        HashKey(random.next_u64(), random.next_u64())
    }

    pub fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }

    pub fn hash(&self, value: &impl core::hash::Hash) -> u64 {
        let mut h = self.hasher();
        value.hash(&mut h);
        h.finish()
    }
}

impl core::hash::BuildHasher for HashKey {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        self.hasher()
    }
}
