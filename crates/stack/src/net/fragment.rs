//! Cutting packets into fragments on the way out (RFC 791 §2.3, RFC 8200 §4.5), and the
//! identifications that hold them together.

use core::net::IpAddr;

use errno::Errno;
use wire::checksum;

use super::output::{ip_header_len, transport_checksum};
use super::{Body, IpFields, Net, Path};
use crate::frame::{Payload, TxFrame};
use crate::random::{HashKey, Random};
use crate::time::Instant;

/// Counters of identifications; each flow counts in one of them, found by a keyed hash, so that
/// identifications neither repeat soon nor tell one peer what we send to another (RFC 7739 §5.3).
const IDENT_COUNTERS: usize = 1024;
/// Bytes of the IPv6 fragment header.
const FRAGMENT_HEADER_LEN: usize = 8;

#[derive(Debug)]
pub struct Idents {
    key: HashKey,
    next: Vec<u32>,
}

impl Idents {
    pub fn new(random: &mut Random) -> Idents {
        Idents { key: HashKey::new(random), next: (0..IDENT_COUNTERS).map(|_| random.next_u32()).collect() }
    }

    pub fn next(&mut self, src: IpAddr, dst: IpAddr, proto: u8) -> u32 {
        let hash = self.key.hash(&(src, dst, proto));
        let counter = &mut self.next[(hash >> 32) as usize % IDENT_COUNTERS];
        *counter = counter.wrapping_add(1);
        counter.wrapping_add(hash as u32)
    }

    pub fn next_v4(&mut self, src: IpAddr, dst: IpAddr, proto: u8) -> u16 {
        self.next(src, dst, proto) as u16
    }
}

impl Net {
    /// Sends a packet that is larger than the path's MTU in pieces.
    pub(super) fn send_fragments(
        &mut self,
        now: Instant,
        path: &mut Path,
        ip: &IpFields,
        header: &mut [u8],
        body: &Body<'_>,
    ) -> Result<(), Errno> {
        if let Some(offset) = ip.checksum {
            let pseudo = checksum::pseudo(path.src, path.dst, ip.proto, (header.len() + body.len()) as u32);
            let value = transport_checksum(pseudo, header, body, ip.zero_is_none);
            let at = usize::from(offset);
            header[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        let mut whole = header.to_vec();
        body.append_to(&mut whole);
        self.send_pieces(now, path, ip, &whole)
    }

    /// The same, of a transport packet that is complete.
    pub(super) fn send_pieces(
        &mut self,
        now: Instant,
        path: &mut Path,
        ip: &IpFields,
        whole: &[u8],
    ) -> Result<(), Errno> {
        let v4 = path.dst.is_ipv4();
        let overhead = ip_header_len(path.dst) + if v4 { 0 } else { FRAGMENT_HEADER_LEN };
        // A multiple of 8, at least one; the MTU is never below 68.
        let piece = ((path.mtu as usize).saturating_sub(overhead) & !7).max(8);
        let ident = self.idents.next(path.src, path.dst, ip.proto);
        let fields = IpFields { dont_fragment: false, gso_size: None, ..*ip };
        for (n, data) in whole.chunks(piece).enumerate() {
            self.room_in_batch(path.dst)?;
            let offset = n * piece;
            let more = offset + data.len() < whole.len();
            let start = self.tx.arena.len();
            self.begin_frame(path, &fields, data.len() as u16, offset as u16, Some((ident, more)));
            let header_len = (self.tx.arena.len() - start) as u32;
            self.tx.arena.extend_from_slice(data);
            let payload = Payload::Inline(data.len() as u32);
            let frame = TxFrame { link: path.link, start: start as u32, header_len, payload, csum: None, gso: None };
            self.finish_frame(now, path.next_hop, path.group, &mut path.neighbour, frame)?;
            if v4 {
                self.counters.ip4.fragments_created += 1;
            } else {
                self.counters.ip6.fragments_created += 1;
            }
        }
        if v4 {
            self.counters.ip4.fragmented += 1;
        } else {
            self.counters.ip6.fragmented += 1;
        }
        Ok(())
    }
}
