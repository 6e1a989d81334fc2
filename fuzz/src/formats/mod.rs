//! The parsers of `wire`. What is parsed is emitted and parsed again, and must be the same; every list that a parser
//! gives is bounded by the bytes it was given.

pub mod groups;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod link;
pub mod ndp;
pub mod sums;
pub mod text;
pub mod transport;

/// The longest list that can be made of `bytes`: one item a byte, and an error.
fn list_bound(bytes: &[u8]) -> usize {
    bytes.len() + 1
}

/// A copy of a message with the checksum in its bytes 2 and 3 made right (ICMP, IGMP); `None` if it is too short.
fn with_checksum(message: &[u8]) -> Option<Vec<u8>> {
    let mut fixed = message.to_vec();
    fixed.get_mut(2..4)?.fill(0);
    let ck = wire::checksum::finish(wire::checksum::partial(&fixed));
    fixed[2..4].copy_from_slice(&ck.to_be_bytes());
    Some(fixed)
}
