//! The Internet checksum: the one's complement of the one's-complement sum of 16-bit words (RFC 1071), its
//! pseudo-headers (RFC 9293 §3.1, RFC 8200 §8.1) and its incremental update (RFC 1624).
//!
//! A partial sum is a `u64` that is congruent to the sum of the big-endian words modulo 0xffff and is not yet folded.
//! Partial sums are joined with [`combine`]; a plain `+` is equally right for the sums that [`partial`] and the
//! pseudo-header functions return, as each is far below 2³².
//!
//! ```
//! use wire::checksum;
//! let sum = checksum::combine(checksum::partial(b"head"), checksum::partial(b"payload"));
//! assert_eq!(checksum::finish(sum), checksum::finish(checksum::partial(b"headpayload")));
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes summed per turn of the inner loop: eight 32-bit lanes, which compilers turn into vector additions.
const STRIDE: usize = 32;

/// The unfolded sum of `data`, as if it started at an even offset; an odd last byte is padded with zero (RFC 1071 §1).
#[inline]
pub fn partial(data: &[u8]) -> u64 {
    // The sum of words in the machine's order is the byte-swapped sum of words in network order (RFC 1071 §2 (B)), so that
    // one swap at the end replaces one per word. 32-bit words in 64-bit lanes cannot overflow below 2^32 turns.
    let (strides, rest) = data.as_chunks::<STRIDE>();
    // A header is shorter than a stride or two: it is spared the set-up of the lanes.
    let mut sum = if strides.is_empty() { 0 } else { sum_strides(strides) };
    let (words, tail) = rest.as_chunks::<4>();
    for word in words {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    sum += match *tail {
        [] => 0,
        [a] => u64::from(u32::from_ne_bytes([a, 0, 0, 0])),
        [a, b] => u64::from(u32::from_ne_bytes([a, b, 0, 0])),
        [a, b, c, ..] => u64::from(u32::from_ne_bytes([a, b, c, 0])),
    };
    u64::from(u16::from_be(fold(sum)))
}

fn sum_strides(strides: &[[u8; STRIDE]]) -> u64 {
    let mut lanes = [0u64; STRIDE / 4];
    for stride in strides {
        for (lane, word) in lanes.iter_mut().zip(stride.as_chunks::<4>().0) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    lanes.iter().sum()
}

/// The unfolded sum of `data` as a part of something larger, where it starts at an odd offset if `odd`.
#[inline]
pub fn partial_at(odd: bool, data: &[u8]) -> u64 {
    let sum = partial(data);
    if odd { swap(sum) } else { sum }
}

/// Turns the sum of a block that starts at an even offset into its sum at an odd offset, and back.
#[inline]
pub fn swap(sum: u64) -> u64 {
    u64::from(fold(sum).swap_bytes())
}

/// The sum of two blocks, each summed for its own place. Cannot overflow.
#[inline]
pub fn combine(a: u64, b: u64) -> u64 {
    // 2^64 is 1 modulo 0xffff: the carry goes round.
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// Folds a sum to 16 bits, not complemented. Zero only if the sum is zero.
#[inline]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// The value for a checksum field: the complement of the folded sum, taken with the field itself as zero.
#[inline]
pub fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// Whether a sum taken *over* the checksum field says that the data is intact (RFC 1071 §1 (3)).
#[inline]
pub fn is_valid(sum: u64) -> bool {
    fold(sum) == 0xffff
}

/// The sum of the IPv4 pseudo-header (RFC 9293 §3.1). `len` is the length of the upper-layer header and data in bytes.
#[inline]
pub fn pseudo_v4(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, len: u32) -> u64 {
    words32(src.to_bits()) + words32(dst.to_bits()) + u64::from(proto) + words32(len)
}

/// The sum of the IPv6 pseudo-header (RFC 8200 §8.1). `len` is the length of the upper-layer header and data in bytes.
#[inline]
pub fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, proto: u8, len: u32) -> u64 {
    partial(&src.octets()) + partial(&dst.octets()) + u64::from(proto) + words32(len)
}

/// [`pseudo_v4`] or [`pseudo_v6`]. An IPv4 address beside an IPv6 one counts as its mapped form, whose sum differs:
/// addresses of one packet are of one family.
#[inline]
pub fn pseudo(src: IpAddr, dst: IpAddr, proto: u8, len: u32) -> u64 {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => pseudo_v4(src, dst, proto, len),
        (src, dst) => pseudo_v6(mapped(src), mapped(dst), proto, len),
    }
}

/// The checksum after a covered 16-bit field changed from `old` to `new` (RFC 1624 §3, equation 3).
#[inline]
pub fn update16(old_ck: u16, old: u16, new: u16) -> u16 {
    update_sum(old_ck, u64::from(!old), u64::from(new))
}

/// The checksum after a covered, 16-bit aligned 32-bit field changed from `old` to `new` (RFC 1624 §3, equation 3).
#[inline]
pub fn update32(old_ck: u16, old: u32, new: u32) -> u16 {
    update_sum(old_ck, words32(!old), words32(new))
}

/// The checksum after covered, 16-bit aligned bytes changed from `old` to `new`; the two may differ in length.
#[inline]
pub fn update_bytes(old_ck: u16, old: &[u8], new: &[u8]) -> u16 {
    update_sum(old_ck, u64::from(!fold(partial(old))), partial(new))
}

/// A running sum over consecutive blocks of any length, which keeps track of odd offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    sum: u64,
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// A sum that starts from a pseudo-header or any other partial sum of even length.
    pub const fn from_partial(sum: u64) -> Self {
        Self { sum, odd: false }
    }

    /// Appends `data`.
    pub fn push(&mut self, data: &[u8]) {
        self.push_partial(partial(data), data.len());
    }

    /// Appends a block of `len` bytes whose [`partial`] sum is known.
    pub fn push_partial(&mut self, sum: u64, len: usize) {
        self.sum = combine(self.sum, if self.odd { swap(sum) } else { sum });
        self.odd ^= !len.is_multiple_of(2);
    }

    /// The unfolded sum so far.
    pub const fn partial(self) -> u64 {
        self.sum
    }

    /// See [`finish`].
    pub fn finish(self) -> u16 {
        finish(self.sum)
    }

    /// See [`is_valid`].
    pub fn is_valid(self) -> bool {
        is_valid(self.sum)
    }
}

#[inline]
fn words32(value: u32) -> u64 {
    u64::from(value >> 16) + u64::from(value & 0xffff)
}

#[inline]
fn update_sum(old_ck: u16, minus: u64, plus: u64) -> u16 {
    finish(u64::from(!old_ck) + minus + plus)
}

fn mapped(addr: IpAddr) -> Ipv6Addr {
    match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped(),
        IpAddr::V6(addr) => addr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 §4.1 as written: word by word, no cleverness.
    fn naive(data: &[u8]) -> u16 {
        let mut sum = 0u32;
        for word in data.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(partial(&data)), 0xddf2);
        assert_eq!(finish(partial(&data)), 0x220d);
    }

    #[test]
    fn the_example_of_rfc_1624_updates_to_zero() {
        assert_eq!(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn all_ones_do_not_overflow() {
        assert_eq!(fold(partial(&vec![0xff; 1 << 20])), 0xffff);
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(combine(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(fold(0), 0);
    }

    #[test]
    fn a_v4_pseudo_header_sums_as_its_bytes_do() {
        let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 255));
        let bytes = [192, 0, 2, 1, 198, 51, 100, 255, 0, 17, 0x12, 0x34];
        assert_eq!(fold(pseudo_v4(src, dst, 17, 0x1234)), naive(&bytes));
        assert_eq!(pseudo(src.into(), dst.into(), 17, 0x1234), pseudo_v4(src, dst, 17, 0x1234));
    }

    proptest! {
        #[test]
        fn any_block_sums_as_the_naive_loop_does(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(fold(partial(&data)), naive(&data));
        }

        #[test]
        fn blocks_cut_anywhere_sum_as_the_whole(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            cuts in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let (a, b) = (cuts.0.index(data.len() + 1), cuts.1.index(data.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            let joined = combine(
                combine(partial(&data[..a]), partial_at(a % 2 != 0, &data[a..b])),
                partial_at(b % 2 != 0, &data[b..]),
            );
            prop_assert_eq!(fold(joined), naive(&data));
            let mut sum = Sum::new();
            sum.push(&data[..a]);
            sum.push(&data[a..b]);
            sum.push(&data[b..]);
            prop_assert_eq!(sum.finish(), !naive(&data));
        }

        #[test]
        fn a_v6_pseudo_header_sums_as_its_bytes_do(src: [u8; 16], dst: [u8; 16], proto: u8, len: u32) {
            let mut bytes = [src, dst].concat();
            bytes.extend(len.to_be_bytes());
            bytes.extend([0, 0, 0, proto]);
            prop_assert_eq!(fold(pseudo_v6(src.into(), dst.into(), proto, len)), naive(&bytes));
        }

        #[test]
        fn an_update_equals_a_new_sum(mut data in proptest::collection::vec(any::<u8>(), 16..64), new: u32) {
            // A header is never all zeroes: the one case in which RFC 1624 §3 leaves two representations of zero.
            data[15] |= 1;
            let old_ck = !naive(&data);
            let old = crate::field::be32(&data, 4);
            let old16 = crate::field::be16(&data, 4);
            let mut data16 = data.clone();
            crate::field::put16(&mut data16, 4, new as u16);
            prop_assert_eq!(update16(old_ck, old16, new as u16), !naive(&data16));
            crate::field::put32(&mut data, 4, new);
            prop_assert_eq!(update32(old_ck, old, new), !naive(&data));
            prop_assert_eq!(update_bytes(old_ck, &old.to_be_bytes(), &new.to_be_bytes()), !naive(&data));
        }
    }
}
