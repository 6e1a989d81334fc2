//! Addresses packed one after another: sources of a multicast group, servers in an option.

use core::marker::PhantomData;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::addr::Address;
use crate::field;

/// An address that is written as its bytes.
pub trait PackedAddr: Address {
    /// Bytes of one address.
    const LEN: usize;
    /// Reads the first [`Self::LEN`] bytes; panics if there are fewer.
    fn read(bytes: &[u8]) -> Self;
    /// Writes [`Self::LEN`] bytes at the front of `buf`.
    fn write(self, buf: &mut [u8]);
}

impl PackedAddr for Ipv4Addr {
    const LEN: usize = 4;
    fn read(bytes: &[u8]) -> Self {
        field::ipv4(bytes, 0)
    }
    fn write(self, buf: &mut [u8]) {
        field::put(buf, 0, &self.octets());
    }
}

impl PackedAddr for Ipv6Addr {
    const LEN: usize = 16;
    fn read(bytes: &[u8]) -> Self {
        field::ipv6(bytes, 0)
    }
    fn write(self, buf: &mut [u8]) {
        field::put(buf, 0, &self.octets());
    }
}

/// A list of packed addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AddrList<'a, A> {
    bytes: &'a [u8],
    of: PhantomData<A>,
}

impl<'a, A: PackedAddr> AddrList<'a, A> {
    /// No addresses.
    pub const EMPTY: Self = Self { bytes: &[], of: PhantomData };

    /// The addresses in `bytes`; a rest too short for one is dropped.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: &bytes[..bytes.len() - bytes.len() % A::LEN], of: PhantomData }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / A::LEN
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The addresses.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = A> + use<'a, A> {
        self.bytes.chunks_exact(A::LEN).map(A::read)
    }

    /// The addresses as they stand on the wire.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
