//! The way out: headers are written into the batch's arena, the neighbour's station address is
//! filled in, and the frame stands in the batch. Packets to ourselves go into a queue instead.

use core::net::IpAddr;
use std::collections::VecDeque;

use errno::Errno;
use wire::MacAddr;
use wire::checksum::{self, Sum};
use wire::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetHeader};
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;

use super::address::{group_mac, needs_scope};
use super::neighbour::cache::{Pending, Resolution, Slot};
use super::sysctl::Sysctl;
use super::{Body, IpFields, Net, Path};
use crate::frame::{Gso, GsoKind, LinkId, Payload, TxCsum, TxFrame};
use crate::time::Instant;

/// Most frames that wait in a batch to be taken by the owner.
pub const TX_FRAMES_MAX: usize = 65_536;
/// Most packets to ourselves, and their bytes, that wait for `flush`.
pub const LOOP_PACKETS_MAX: usize = 16_384;
pub const LOOP_BYTES_MAX: usize = 64 << 20;
/// Buffers kept to be filled again, and the largest of them in bytes.
const LOOP_SPARE_MAX: usize = 64;
const LOOP_SPARE_SIZE: usize = 80 * 1024;
/// Largest IP packet.
const PACKET_MAX: usize = 65_535;

/// A packet to ourselves, queued.
#[derive(Debug)]
pub struct Looped {
    bytes: Vec<u8>,
    gso_size: Option<u16>,
    link: LinkId,
}

impl Looped {
    pub fn as_frame(&self) -> LoopedFrame<'_> {
        LoopedFrame { data: &self.bytes, gso_size: self.gso_size, link: self.link }
    }
}

/// A packet to ourselves, from its IP header on.
#[derive(Debug)]
pub struct LoopedFrame<'a> {
    pub data: &'a [u8],
    pub gso_size: Option<u16>,
    /// The link that it counts as received on.
    pub link: LinkId,
}

#[derive(Debug, Default)]
pub struct LoopQueue {
    packets: Vec<Looped>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl Body<'_> {
    pub fn len(&self) -> usize {
        match self {
            Body::None => 0,
            Body::Bytes(b) => b.len(),
            Body::Ring(s) => s[0].len() + s[1].len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the bytes to a checksum.
    fn sum(&self, sum: &mut Sum) {
        match self {
            Body::None => {}
            Body::Bytes(b) => sum.push(b),
            Body::Ring(slices) => slices.iter().for_each(|s| s.for_each_chunk(|chunk| sum.push(chunk))),
        }
    }

    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Body::None => {}
            Body::Bytes(b) => bytes.extend_from_slice(b),
            Body::Ring(slices) => slices.iter().for_each(|s| {
                let at = bytes.len();
                bytes.resize(at + s.len(), 0);
                s.copy_out(0, &mut bytes[at..]);
            }),
        }
    }
}

/// The checksum of a transport header and what follows it, ready to be stored.
pub(super) fn transport_checksum(pseudo: u64, header: &[u8], body: &Body<'_>, zero_is_none: bool) -> u16 {
    let mut sum = Sum::from_partial(pseudo);
    sum.push(header);
    body.sum(&mut sum);
    match sum.finish() {
        0 if zero_is_none => 0xffff,
        value => value,
    }
}

impl Net {
    /// Sends one packet: `header` is the transport's header with a zero checksum field.
    /// EMSGSIZE when it is larger than the path's MTU and may not be fragmented; ENOBUFS when a queue
    /// is full; EHOSTUNREACH when the neighbour did not answer lately; else errors as `path`.
    pub fn send(
        &mut self,
        now: Instant,
        path: &mut Path,
        ip: &IpFields,
        header: &mut [u8],
        body: Body<'_>,
    ) -> Result<(), Errno> {
        self.refresh(path).inspect_err(|_| self.count_no_route(path.dst))?;
        let ip_len = ip_header_len(path.dst);
        let total = ip_len + header.len() + body.len();
        // IPv6's payload length leaves its header out.
        if total > PACKET_MAX + if path.dst.is_ipv6() { ip_len } else { 0 } {
            return Err(Errno::EMSGSIZE);
        }
        if path.local {
            return self.loop_back(path, ip, header, &body);
        }
        let gso = ip.gso_size.filter(|&size| body.len() > usize::from(size));
        if gso.is_none() && total > path.mtu as usize {
            if ip.dont_fragment {
                self.count_cannot_fragment(path.dst);
                return Err(Errno::EMSGSIZE);
            }
            return self.send_fragments(now, path, ip, header, &body);
        }
        self.room_in_batch(path.dst)?;
        let start = self.tx.arena.len();
        self.begin_frame(path, ip, (header.len() + body.len()) as u16, 0, None);
        let transport = self.tx.arena.len();
        let mut csum = None;
        if let Some(offset) = ip.checksum {
            let pseudo = checksum::pseudo(path.src, path.dst, ip.proto, (header.len() + body.len()) as u32);
            let value = if path.offloads.tx_csum && matches!(ip.proto, wire::proto::TCP | wire::proto::UDP) {
                csum = Some(TxCsum { start: (transport - start) as u16, offset });
                checksum::fold(pseudo)
            } else {
                transport_checksum(pseudo, header, &body, ip.zero_is_none)
            };
            let at = usize::from(offset);
            header[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        self.tx.arena.extend_from_slice(header);
        let header_len = self.tx.arena.len() - start;
        let payload = match body {
            Body::None => Payload::None,
            Body::Bytes(bytes) => {
                self.tx.arena.extend_from_slice(bytes);
                Payload::Inline(bytes.len() as u32)
            }
            Body::Ring(slices) => Payload::Ring(slices),
        };
        let kind = match (ip.proto, path.dst) {
            (wire::proto::TCP, IpAddr::V4(_)) => GsoKind::Tcp4,
            (wire::proto::TCP, IpAddr::V6(_)) => GsoKind::Tcp6,
            _ => GsoKind::Udp,
        };
        let gso = gso.map(|size| Gso { kind, size, header_len: header_len as u16 });
        let frame = TxFrame { link: path.link, start: start as u32, header_len: header_len as u32, payload, csum, gso };
        self.finish_frame(now, path.next_hop, path.group, &mut path.neighbour, frame)
    }

    /// Sends a packet whose IP header a program made (IP_HDRINCL, raw(7)): length and checksum are
    /// filled in always, source and identification when zero.
    ///
    /// Errors: EINVAL (no such header), EMSGSIZE (larger than the MTU), else as `send`.
    pub fn send_header_included(&mut self, now: Instant, path: &mut Path, packet: &[u8]) -> Result<(), Errno> {
        self.refresh(path).inspect_err(|_| self.count_no_route(path.dst))?;
        if packet.len() > path.mtu as usize && !path.local {
            return Err(Errno::EMSGSIZE);
        }
        let mut bytes = packet.to_vec();
        match (path.src, path.dst) {
            (IpAddr::V4(src), IpAddr::V4(_)) => {
                let header_len = usize::from(packet.first().ok_or(Errno::EINVAL)? & 15) * 4;
                if packet.len() < Ipv4Header::LEN || header_len < Ipv4Header::LEN || header_len > packet.len() {
                    return Err(Errno::EINVAL);
                }
                bytes[2..4].copy_from_slice(&(packet.len() as u16).to_be_bytes());
                if bytes[4..6] == [0, 0] {
                    let id = self.idents.next_v4(path.src, path.dst, packet[9]);
                    bytes[4..6].copy_from_slice(&id.to_be_bytes());
                }
                if bytes[12..16] == [0; 4] {
                    bytes[12..16].copy_from_slice(&src.octets());
                }
                bytes[10..12].fill(0);
                let ck = checksum::finish(checksum::partial(&bytes[..header_len]));
                bytes[10..12].copy_from_slice(&ck.to_be_bytes());
                self.counters.ip4.sent_raw += 1;
            }
            _ => {
                if packet.len() < Ipv6Header::LEN {
                    return Err(Errno::EINVAL);
                }
                self.counters.ip6.sent_raw += 1;
            }
        }
        if path.local {
            return self.loop_bytes(bytes, None, LinkId::LOOPBACK);
        }
        self.room_in_batch(path.dst)?;
        let mac = self.config.link(path.link).map_or(MacAddr::ZERO, |l| l.mac);
        let ethertype = if path.dst.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        let start = self.tx.arena.len();
        self.tx.arena.resize(start + EthernetHeader::LEN, 0);
        EthernetHeader { dst: MacAddr::ZERO, src: mac, ethertype }.emit(&mut self.tx.arena[start..]);
        self.tx.arena.extend_from_slice(&bytes);
        let header_len = (EthernetHeader::LEN + bytes.len()) as u32;
        let frame =
            TxFrame { link: path.link, start: start as u32, header_len, payload: Payload::None, csum: None, gso: None };
        self.finish_frame(now, path.next_hop, path.group, &mut path.neighbour, frame)
    }

    /// Writes Ethernet and IP header at the end of the arena; the destination's station address stays
    /// zero. `fragment`: identification, and whether more follow, of a piece at `offset`.
    pub(super) fn begin_frame(
        &mut self,
        path: &Path,
        ip: &IpFields,
        payload_len: u16,
        offset: u16,
        fragment: Option<(u32, bool)>,
    ) {
        let mac = self.config.link(path.link).map_or(MacAddr::ZERO, |l| l.mac);
        let start = self.tx.arena.len();
        let ethertype = if path.dst.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        self.tx.arena.resize(start + EthernetHeader::LEN, 0);
        EthernetHeader { dst: MacAddr::ZERO, src: mac, ethertype }.emit(&mut self.tx.arena[start..]);
        let mut arena = core::mem::take(&mut self.tx.arena);
        self.put_ip_header(&mut arena, path, ip, payload_len, offset, fragment);
        self.tx.arena = arena;
    }

    /// Appends the IP header for a payload of `payload_len` bytes.
    pub(super) fn put_ip_header(
        &mut self,
        to: &mut Vec<u8>,
        path: &Path,
        ip: &IpFields,
        payload_len: u16,
        offset: u16,
        fragment: Option<(u32, bool)>,
    ) {
        let at = to.len();
        match (path.src, path.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                self.counters.ip4.sent += 1;
                // RFC 6864 §4.1: an atomic datagram's identification may be anything.
                let id = match fragment {
                    Some((id, _)) => id as u16,
                    None if ip.dont_fragment => 0,
                    None => self.idents.next_v4(path.src, path.dst, ip.proto),
                };
                let header = Ipv4Header {
                    tos: ip.tos,
                    total_len: payload_len.saturating_add(Ipv4Header::LEN as u16),
                    id,
                    df: ip.dont_fragment,
                    mf: fragment.is_some_and(|f| f.1),
                    frag_offset: offset,
                    ttl: ip.ttl.unwrap_or(self.config.sysctls.value(Sysctl::Ip4Ttl) as u8),
                    proto: ip.proto,
                    src,
                    dst,
                    header_len: Ipv4Header::LEN as u8,
                };
                to.resize(at + Ipv4Header::LEN, 0);
                header.emit(&mut to[at..]);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                self.counters.ip6.sent += 1;
                super::ipv6::put_header(
                    to,
                    src,
                    dst,
                    ip,
                    self.hop_limit(path.link, ip.ttl),
                    payload_len,
                    offset,
                    fragment,
                );
            }
            _ => debug_assert!(false, "both addresses of a path are of one family"),
        }
    }

    pub(super) fn hop_limit(&self, link: LinkId, asked: Option<u8>) -> u8 {
        // RFC 4861 §6.3.2: what a router said counts before the host's default.
        let advertised = || self.state(link).and_then(|s| s.autoconf.hop_limit);
        asked.or_else(advertised).unwrap_or(self.config.sysctls.value(Sysctl::Ip6HopLimit) as u8)
    }

    /// Finds the neighbour and puts the frame, whose bytes end the arena, into the batch; or has it
    /// wait; or takes it back out of the arena with an error.
    pub(super) fn finish_frame(
        &mut self,
        now: Instant,
        next_hop: IpAddr,
        group: bool,
        hint: &mut Option<Slot>,
        frame: TxFrame,
    ) -> Result<(), Errno> {
        if !self.verdict_out(&frame) {
            self.tx.arena.truncate(frame.start as usize);
            return Ok(());
        }
        if group {
            let mac = if next_hop.is_multicast() { group_mac(next_hop) } else { MacAddr::BROADCAST };
            self.push_frame(mac, frame);
            return Ok(());
        }
        let link = frame.link;
        let Some(state) = self.states.get((link.0 as usize).wrapping_sub(1)).and_then(Option::as_ref) else {
            self.tx.arena.truncate(frame.start as usize);
            return Err(Errno::ENETDOWN);
        };
        match self.neighbours.resolve(now, hint, link, next_hop, state.timing(next_hop), &mut self.agenda) {
            Resolution::Known(mac) => {
                self.push_frame(mac, frame);
                Ok(())
            }
            Resolution::Wait(slot, ask) => {
                let bytes = self.tx.arena.split_off(frame.start as usize);
                let dropped = self.neighbours.enqueue(slot, Pending { bytes, frame }) as u64;
                let displaced = self.neighbours.take_displaced(); // by the new entry, if this is one
                if next_hop.is_ipv4() {
                    self.counters.arp.deferred += 1;
                    self.counters.arp.dropped_queue += dropped;
                    self.counters.arp.table_full += displaced;
                } else {
                    self.counters.icmp6.deferred += 1;
                    self.counters.icmp6.dropped_queue += dropped;
                    self.counters.icmp6.table_full += displaced;
                }
                if let Some(ask) = ask {
                    self.solicit(now, ask);
                }
                Ok(())
            }
            Resolution::Failed => {
                self.tx.arena.truncate(frame.start as usize);
                if next_hop.is_ipv4() {
                    self.counters.arp.dropped_failed += 1;
                } else {
                    self.counters.icmp6.dropped_failed += 1;
                }
                Err(Errno::EHOSTUNREACH)
            }
            Resolution::Full => {
                self.tx.arena.truncate(frame.start as usize);
                if next_hop.is_ipv4() {
                    self.counters.arp.table_full += 1;
                } else {
                    self.counters.icmp6.table_full += 1;
                }
                Err(Errno::ENOBUFS)
            }
        }
    }

    /// Sends on what waited for a neighbour.
    pub(super) fn release(&mut self, mac: MacAddr, queue: VecDeque<Pending>) {
        for Pending { bytes, mut frame } in queue {
            if self.tx.frames.len() >= TX_FRAMES_MAX {
                self.counters.ip4.no_buffers += 1;
                continue;
            }
            frame.start = self.tx.arena.len() as u32;
            self.tx.arena.extend_from_slice(&bytes);
            self.push_frame(mac, frame);
        }
    }

    /// A frame of our own making (ARP), with all its bytes at the arena's end from `start` on.
    pub(super) fn push_control(&mut self, link: LinkId, start: usize, dst: MacAddr) {
        let header_len = (self.tx.arena.len() - start) as u32;
        let frame = TxFrame { link, start: start as u32, header_len, payload: Payload::None, csum: None, gso: None };
        self.push_frame(dst, frame);
    }

    fn push_frame(&mut self, dst: MacAddr, frame: TxFrame) {
        let start = frame.start as usize;
        self.tx.arena[start..start + 6].copy_from_slice(&dst.0);
        let len = self.tx.len_of(&frame) as u64;
        let pieces = match &frame.gso {
            Some(gso) => (len - u64::from(gso.header_len)).div_ceil(u64::from(gso.size).max(1)),
            None => 1,
        };
        if let Some(state) = self.state_mut(frame.link) {
            state.counters.tx_packets += pieces;
            state.counters.tx_bytes += len;
            state.counters.tx_multicast += u64::from(dst.is_multicast());
        }
        self.tx.frames.push(frame);
    }

    pub(super) fn room_in_batch(&mut self, dst: IpAddr) -> Result<(), Errno> {
        if self.tx.frames.len() < TX_FRAMES_MAX {
            return Ok(());
        }
        if dst.is_ipv4() {
            self.counters.ip4.no_buffers += 1;
        } else {
            self.counters.ip6.no_buffers += 1;
        }
        Err(Errno::ENOBUFS)
    }

    /// The verdict hook of packets on their way out of a link: one branch while no rules are loaded
    /// (the filter's seam).
    #[inline]
    fn verdict_out(&mut self, _frame: &TxFrame) -> bool {
        true
    }

    fn count_no_route(&mut self, dst: IpAddr) {
        if dst.is_ipv4() {
            self.counters.ip4.no_route += 1;
        } else {
            self.counters.ip6.no_route += 1;
        }
    }

    fn count_cannot_fragment(&mut self, dst: IpAddr) {
        if dst.is_ipv4() {
            self.counters.ip4.cannot_fragment += 1;
        } else {
            self.counters.ip6.cannot_fragment += 1;
        }
    }

    // --- to ourselves ----------------------------------------------------------------------------

    /// Queues a packet for our own input, whole: nothing on the way needs it smaller. Checksums are
    /// left out where only the transport looks: there is no wire that could spoil it.
    pub(super) fn loop_back(
        &mut self,
        path: &Path,
        ip: &IpFields,
        header: &[u8],
        body: &Body<'_>,
    ) -> Result<(), Errno> {
        let len = header.len() + body.len();
        let link = match path.bound {
            Some(bound) if needs_scope(path.dst) => bound,
            _ if path.group => path.link,
            _ => LinkId::LOOPBACK,
        };
        let mut bytes = self.looped.spare.pop().unwrap_or_default();
        self.put_ip_header(&mut bytes, path, ip, len as u16, 0, None);
        let transport = bytes.len();
        bytes.extend_from_slice(header);
        if let Some(offset) = ip.checksum.filter(|_| !matches!(ip.proto, wire::proto::TCP | wire::proto::UDP)) {
            // Raw sockets show it.
            let pseudo = checksum::pseudo(path.src, path.dst, ip.proto, len as u32);
            let value = transport_checksum(pseudo, header, body, false);
            let at = transport + usize::from(offset);
            bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        body.append_to(&mut bytes);
        let gso_size = ip.gso_size.filter(|&size| body.len() > usize::from(size));
        self.loop_bytes(bytes, gso_size, link)
    }

    fn loop_bytes(&mut self, bytes: Vec<u8>, gso_size: Option<u16>, link: LinkId) -> Result<(), Errno> {
        if self.looped.packets.len() >= LOOP_PACKETS_MAX || self.looped.bytes + bytes.len() > LOOP_BYTES_MAX {
            self.counters.ether.looped_full += 1;
            return Err(Errno::ENOBUFS);
        }
        self.looped.bytes += bytes.len();
        if let Some(state) = self.state_mut(LinkId::LOOPBACK) {
            state.counters.tx_packets += 1;
            state.counters.tx_bytes += bytes.len() as u64;
        }
        self.looped.packets.push(Looped { bytes, gso_size, link });
        Ok(())
    }

    /// A copy of a packet to a group for our own members, if there are any on its link.
    pub fn loop_group(&mut self, path: &Path, ip: &IpFields, header: &[u8], body: &Body<'_>) {
        if !path.local && (!path.dst.is_multicast() || self.is_member(path.link, path.dst)) {
            let _ = self.loop_back(path, ip, header, body);
        }
    }

    /// Nothing has changed that could make the path another.
    pub fn is_current(&self, path: &Path) -> bool {
        path.generation == self.generation()
    }

    /// Packets sent to ourselves since the last call.
    pub fn take_looped(&mut self) -> Vec<Looped> {
        self.looped.bytes = 0;
        core::mem::take(&mut self.looped.packets)
    }

    /// Gives the memory of delivered packets back for others.
    pub fn recycle_looped(&mut self, mut packets: Vec<Looped>) {
        for mut looped in packets.drain(..) {
            if self.looped.spare.len() < LOOP_SPARE_MAX && looped.bytes.capacity() <= LOOP_SPARE_SIZE {
                looped.bytes.clear();
                self.looped.spare.push(looped.bytes);
            }
        }
        if self.looped.packets.is_empty() {
            self.looped.packets = packets;
        }
    }
}

pub(super) fn ip_header_len(of: IpAddr) -> usize {
    if of.is_ipv4() { Ipv4Header::LEN } else { Ipv6Header::LEN }
}
