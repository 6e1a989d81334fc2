//! The way in: from an Ethernet frame to a packet for a transport.

use std::borrow::Cow;

use wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetHeader};

use super::reassembly::{Key, Whole};
use super::{Inbound, LoopedFrame, Net};
use crate::frame::{LinkId, RxCsum, RxFrame};
use crate::time::Instant;

/// What is known of a packet before its IP header is read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub link: LinkId,
    pub csum: RxCsum,
    pub gso_size: Option<u16>,
    /// It came to a group's station address.
    pub link_group: bool,
    /// It is one of our own.
    pub looped: bool,
}

impl Net {
    /// One frame of a link. Gives back a packet for this host's transports, if it was one; answers,
    /// forwards or counts everything else itself.
    pub fn input<'a>(&mut self, now: Instant, link: LinkId, frame: &RxFrame<'a>) -> Option<Inbound<'a>> {
        let state = self.states.get_mut((link.0 as usize).wrapping_sub(1))?.as_mut()?;
        let config = self.config.link(link)?;
        state.counters.rx_packets += 1;
        state.counters.rx_bytes += frame.data.len() as u64;
        if !config.is_up() {
            state.counters.rx_dropped += 1;
            self.counters.ether.link_down += 1;
            return None;
        }
        let Ok((header, payload)) = EthernetHeader::parse(frame.data) else {
            state.counters.rx_errors += 1;
            self.counters.ether.runts += 1;
            return None;
        };
        let link_group = header.dst.is_multicast();
        if link_group {
            state.counters.rx_multicast += 1;
        } else if header.dst != config.mac {
            // A promiscuous link sees what is others'.
            self.counters.ether.not_ours += 1;
            return None;
        }
        let arrival = Arrival { link, csum: frame.csum, gso_size: frame.gso_size, link_group, looped: false };
        match header.ethertype {
            ETHERTYPE_IPV4 => self.ip4_input(now, arrival, payload).filter(|p| self.verdict_whole(p)),
            ETHERTYPE_IPV6 if self.ipv6 => self.ip6_input(now, arrival, payload).filter(|p| self.verdict_whole(p)),
            ETHERTYPE_ARP => {
                self.arp_input(now, link, payload, link_group);
                None
            }
            _ => {
                self.counters.ether.unknown_type += 1;
                None
            }
        }
    }

    /// One of the packets that `take_looped` gave.
    pub fn input_looped<'a>(&mut self, now: Instant, frame: &LoopedFrame<'a>) -> Option<Inbound<'a>> {
        if let Some(state) = self.state_mut(LinkId::LOOPBACK) {
            state.counters.rx_packets += 1;
            state.counters.rx_bytes += frame.data.len() as u64;
        }
        let arrival =
            Arrival { link: frame.link, csum: RxCsum::Good, gso_size: frame.gso_size, link_group: false, looped: true };
        match frame.data.first()? >> 4 {
            4 => self.ip4_input(now, arrival, frame.data),
            _ => self.ip6_input(now, arrival, frame.data),
        }
    }

    /// The verdict hook of packets on their way in, before fragments are put together: one branch
    /// while no rules are loaded (the filter's seam, with `verdict_whole` and `verdict_out`).
    #[inline]
    pub(super) fn verdict_in(&mut self, _arrival: &Arrival, _packet: &[u8]) -> bool {
        true
    }

    /// The same of packets for this host, whole.
    #[inline]
    fn verdict_whole(&mut self, _packet: &Inbound<'_>) -> bool {
        true
    }

    /// Errors about fragments that never became whole (RFC 792, RFC 4443 §3.3).
    pub(super) fn reassembly_passed(&mut self, now: Instant, index: u32) {
        let Some(gone) = self.reassembly.expire(index, &mut self.agenda) else { return };
        let v4 = gone.key.src.is_ipv4();
        if v4 {
            self.counters.ip4.fragments_timeout += gone.fragments as u64;
        } else {
            self.counters.ip6.fragments_timeout += gone.fragments as u64;
        }
        let Some((header, data)) = gone.first else { return };
        let packet = Inbound {
            link: gone.link,
            src: gone.key.src,
            dst: gone.key.dst,
            proto: gone.key.proto,
            ttl: 0,
            tos: 0,
            header: Cow::Owned(header),
            data: Cow::Owned(data),
            csum: RxCsum::Unknown,
            gso_size: None,
            group: self.config.is_group(gone.key.dst),
            fragmented: true,
        };
        self.reassembly_exceeded(now, &packet);
    }
}

/// A datagram put together, as the transports get it. `ttl` and `tos` are the first fragment's, as
/// all of its header.
pub(super) fn reassembled(
    arrival: &Arrival,
    key: &Key,
    ttl: u8,
    tos: u8,
    group: bool,
    whole: Whole,
) -> Inbound<'static> {
    Inbound {
        link: arrival.link,
        src: key.src,
        dst: key.dst,
        proto: whole.proto,
        ttl,
        tos,
        header: Cow::Owned(whole.header),
        data: Cow::Owned(whole.data),
        // Each fragment's checksum may have been known good; the whole's is nobody's yet, but ours.
        csum: if arrival.looped { RxCsum::Good } else { RxCsum::Unknown },
        gso_size: None,
        group,
        fragmented: true,
    }
}
