//! Sequence numbers and their modular order (RFC 9293 §3.4).

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A position in the sequence space of one direction of a connection, modulo 2³².
///
/// The order is modular and so is no `Ord`: it holds between numbers that are less than 2³¹ apart. Numbers exactly 2³¹
/// apart are each less than the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNr(pub u32);

impl SeqNr {
    /// The signed distance from `other` to `self`, in −2³¹..2³¹.
    #[inline]
    pub const fn diff(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// The number of bytes from `start` to `self`, counted forwards.
    #[inline]
    pub const fn bytes_since(self, start: Self) -> u32 {
        self.0.wrapping_sub(start.0)
    }

    /// Whether `self` comes before `other`.
    #[inline]
    pub const fn lt(self, other: Self) -> bool {
        self.diff(other) < 0
    }

    /// Whether `self` comes before `other` or is `other`.
    #[inline]
    pub const fn le(self, other: Self) -> bool {
        self.diff(other) <= 0
    }

    /// Whether `self` comes after `other`.
    #[inline]
    pub const fn gt(self, other: Self) -> bool {
        self.diff(other) > 0
    }

    /// Whether `self` comes after `other` or is `other`.
    #[inline]
    pub const fn ge(self, other: Self) -> bool {
        self.diff(other) >= 0
    }

    /// Whether `self` lies in `start .. start + len`. Exact for every `len`, also beyond 2³¹.
    #[inline]
    pub const fn in_window(self, start: Self, len: u32) -> bool {
        self.bytes_since(start) < len
    }

    /// The later of two.
    #[inline]
    pub const fn max(self, other: Self) -> Self {
        if self.lt(other) { other } else { self }
    }

    /// The earlier of two.
    #[inline]
    pub const fn min(self, other: Self) -> Self {
        if other.lt(self) { other } else { self }
    }
}

/// What can be added to a sequence number: lengths of data (`usize`), counts of sequence space (`u32`), and distances
/// as [`SeqNr::diff`] returns them (`i32`, which is also what a literal becomes). All wrap modulo 2³².
///
/// A trait with one generic `impl Add`, not one per type, so that the compiler knows the type of `seq + 1` at once.
pub trait SeqOffset: Copy {
    /// The offset modulo 2³².
    fn modular(self) -> u32;
}

impl SeqOffset for u32 {
    #[inline]
    fn modular(self) -> u32 {
        self
    }
}

impl SeqOffset for usize {
    #[inline]
    fn modular(self) -> u32 {
        self as u32
    }
}

impl SeqOffset for i32 {
    #[inline]
    fn modular(self) -> u32 {
        self as u32
    }
}

impl<O: SeqOffset> Add<O> for SeqNr {
    type Output = Self;
    #[inline]
    fn add(self, offset: O) -> Self {
        Self(self.0.wrapping_add(offset.modular()))
    }
}

impl<O: SeqOffset> Sub<O> for SeqNr {
    type Output = Self;
    #[inline]
    fn sub(self, offset: O) -> Self {
        Self(self.0.wrapping_sub(offset.modular()))
    }
}

impl<O: SeqOffset> AddAssign<O> for SeqNr {
    #[inline]
    fn add_assign(&mut self, offset: O) {
        *self = *self + offset;
    }
}

impl<O: SeqOffset> SubAssign<O> for SeqNr {
    #[inline]
    fn sub_assign(&mut self, offset: O) {
        *self = *self - offset;
    }
}

impl fmt::Display for SeqNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SeqNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeqNr({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_survives_the_wrap() {
        let before = SeqNr(u32::MAX);
        let after = before + 2;
        assert_eq!(after, SeqNr(1));
        assert!(before.lt(after) && after.gt(before) && before.le(before) && before.ge(before));
        assert_eq!((before.max(after), before.min(after)), (after, before));
        assert_eq!((after.diff(before), before.diff(after)), (2, -2));
    }

    #[test]
    fn a_window_may_wrap() {
        let start = SeqNr(u32::MAX - 1);
        assert!(start.in_window(start, 4) && SeqNr(1).in_window(start, 4));
        assert!(!SeqNr(2).in_window(start, 4) && !(start - 1).in_window(start, 4) && !start.in_window(start, 0));
    }

    proptest! {
        #[test]
        fn offsets_below_half_the_space_order(start: u32, offset in 1u32..0x8000_0000) {
            let (a, b) = (SeqNr(start), SeqNr(start) + offset);
            prop_assert!(a.lt(b) && b.gt(a) && !b.le(a) && !a.ge(b));
            prop_assert_eq!(b - offset as usize, a);
            prop_assert_eq!(b.bytes_since(a), offset);
        }
    }
}
