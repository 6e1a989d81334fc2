//! Raw sockets (raw(7), RFC 3542 §3) and ping sockets (icmp(7)): packets of an IP protocol without
//! a transport of ours between.

mod calls;

use core::net::{IpAddr, SocketAddr};

use errno::Errno;
use hashbrown::HashMap;
use wire::{checksum, icmpv4, icmpv6};

use crate::datagram::{Base, Slots};
use crate::frame::RxCsum;
use crate::net::counters::counters;
use crate::net::{Inbound, Net};
use crate::options::{Domain, RecvMeta};
use crate::random::{HashKey, Random};
use crate::socket::{SocketId, SocketKind};
use crate::stack::{Config, IcmpError, Sink, SocketView};
use crate::time::Instant;

counters! {
    Counters = "raw" {
        delivered: "packets delivered to raw sockets",
        full: "dropped due to full socket buffers",
        filtered: "messages not delivered due to an ICMP filter",
        bad_checksum: "with bad checksum",
        sent: "packets output",
        errors: "ICMP errors delivered to sockets",
    }
}

/// IPPROTO_RAW: sends only, with headers of its own.
const SEND_ONLY: u8 = wire::proto::RAW;

#[derive(Debug)]
struct Socket {
    base: Base,
    kind: SocketKind,
    protocol: u8,
    /// The identifier of a ping socket; 0 when it has none yet.
    ident: u16,
}

/// All raw and ping sockets of a stack.
#[derive(Debug)]
pub struct Raw {
    sockets: Slots<Socket>,
    /// Raw sockets of a protocol, in order of opening.
    protocols: HashMap<(Domain, u8), Vec<u32>, HashKey>,
    /// Ping sockets with an identifier.
    idents: HashMap<(Domain, u16), u32, HashKey>,
    random: Random,
    /// Header and data of a packet side by side, for IPv4 sockets.
    whole: Vec<u8>,
    counters: Counters,
}

impl Raw {
    pub fn new(config: &Config, random: &mut Random) -> Raw {
        let key = HashKey::new(random);
        Raw {
            sockets: Slots::new(config.sockets_max),
            protocols: HashMap::with_hasher(key),
            idents: HashMap::with_hasher(key),
            random: Random::new(random.next_u64()),
            whole: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// A packet for this host. True when a raw socket of its protocol exists that it is for.
    pub fn input(&mut self, _net: &mut Net, _now: Instant, packet: &Inbound<'_>, sink: &mut dyn Sink) -> bool {
        if !self.idents.is_empty() {
            self.ping_input(packet, sink);
        }
        if self.protocols.is_empty() {
            return false;
        }
        let domain = if packet.dst.is_ipv4() { Domain::V4 } else { Domain::V6 };
        let Some(list) = self.protocols.get(&(domain, packet.proto)) else { return false };
        // IPv4 sockets see the IP header too (raw(7)).
        if domain == Domain::V4 {
            self.whole.clear();
            self.whole.extend_from_slice(&packet.header);
            self.whole.extend_from_slice(&packet.data);
        }
        let payload = if domain == Domain::V4 { &self.whole[..] } else { &packet.data[..] };
        let mut took = false;
        for &index in list {
            let Some(socket) = self.sockets.at(index).filter(|s| s.wants(packet)) else { continue };
            if !socket.passes_filter(packet) {
                self.counters.filtered += 1;
                took = true;
                continue;
            }
            if !socket.checksum_is_right(packet) {
                self.counters.bad_checksum += 1;
                continue;
            }
            took = true;
            if sink.datagram(self.sockets.id(SocketKind::Raw, index), &socket.meta(packet), payload) {
                self.counters.delivered += 1;
            } else {
                self.counters.full += 1;
            }
        }
        took
    }

    /// An echo reply goes to the ping socket of its identifier.
    fn ping_input(&mut self, packet: &Inbound<'_>, sink: &mut dyn Sink) {
        let (domain, reply) = match packet.proto {
            wire::proto::ICMP => (Domain::V4, icmpv4::ECHO_REPLY),
            wire::proto::ICMPV6 => (Domain::V6, icmpv6::ECHO_REPLY),
            _ => return,
        };
        let &[kind, 0, _, _, a, b, _, _, ..] = &packet.data[..] else { return };
        if kind != reply {
            return;
        }
        let Some(&index) = self.idents.get(&(domain, u16::from_be_bytes([a, b]))) else { return };
        let Some(socket) = self.sockets.at(index).filter(|s| s.wants(packet)) else { return };
        if packet.csum == RxCsum::Unknown && !icmp_checksum_is_right(packet) {
            self.counters.bad_checksum += 1;
            return;
        }
        if sink.datagram(self.sockets.id(SocketKind::Ping, index), &socket.meta(packet), &packet.data) {
            self.counters.delivered += 1;
        } else {
            self.counters.full += 1;
        }
    }

    /// An error about a packet that one of our sockets sent.
    pub fn icmp_error(&mut self, net: &mut Net, now: Instant, error: &IcmpError, sink: &mut dyn Sink) {
        let domain = if error.dst.is_ipv4() { Domain::V4 } else { Domain::V6 };
        let mut concerned: Vec<(SocketKind, u32)> = Vec::new();
        if matches!(error.proto, wire::proto::ICMP | wire::proto::ICMPV6) && error.header_len >= 6 {
            let ident = u16::from_be_bytes([error.header[4], error.header[5]]);
            concerned.extend(self.idents.get(&(domain, ident)).map(|&i| (SocketKind::Ping, i)));
        }
        concerned
            .extend(self.protocols.get(&(domain, error.proto)).into_iter().flatten().map(|&i| (SocketKind::Raw, i)));
        let mut ours = false;
        for (kind, index) in concerned {
            let id = self.sockets.id(kind, index);
            let Some(socket) = self.sockets.at_mut(index) else { continue };
            if !socket.base.covers(error.src) || socket.base.peer.is_some_and(|p| p.ip() != error.dst) {
                continue;
            }
            ours = true;
            let hard = error.hard || (error.mtu.is_some() && socket.base.options.minds_mtu(error.dst));
            if socket.base.options.wants_errors(error.dst) || (hard && socket.base.peer.is_some()) {
                socket.base.error = Some(error.errno);
                self.counters.errors += 1;
                sink.datagram_error(id);
            }
        }
        if let (true, Some(mtu)) = (ours, error.mtu) {
            net.learn_mtu(now, error.dst, mtu);
        }
    }

    pub fn take_error(&mut self, id: SocketId) -> Option<Errno> {
        self.sockets.named_mut(id).ok()?.base.error.take()
    }

    pub fn for_each(&self, each: &mut dyn FnMut(SocketView)) {
        for (index, s) in self.sockets.iter() {
            each(SocketView {
                id: Some(self.sockets.id(s.kind, index)),
                domain: s.base.domain,
                kind: s.kind,
                protocol: s.protocol,
                local: s.base.shown(s.base.local, s.local_port(), s.base.confined()),
                peer: s.base.peer.map(|p| s.base.shown(p.ip(), 0, s.base.confined())),
                state: "",
                recv_queue: 0,
                send_queue: 0,
            });
        }
    }

    pub fn counters(&self, each: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.counters.for_each(each);
    }
}

impl Socket {
    /// As Linux shows it: the identifier, or the protocol.
    fn local_port(&self) -> u16 {
        if self.kind == SocketKind::Ping { self.ident } else { self.protocol.into() }
    }

    fn wants(&self, packet: &Inbound<'_>) -> bool {
        let group_bound = packet.group && self.base.local.is_unspecified();
        (group_bound || self.base.covers(packet.dst))
            && !self.base.no_read
            && self.base.hears(packet.link)
            && self.base.peer.is_none_or(|p| p.ip() == packet.src)
    }

    fn passes_filter(&self, packet: &Inbound<'_>) -> bool {
        let kind = packet.data.first().copied().unwrap_or(0);
        match packet.proto {
            wire::proto::ICMP => kind >= 32 || self.base.options.icmp_filter & (1 << kind) == 0,
            wire::proto::ICMPV6 => self.base.options.icmp6_filter[usize::from(kind / 32)] & (1 << (kind % 32)) == 0,
            _ => true,
        }
    }

    /// RFC 3542 §3.1: the checksum of ICMPv6, and of what IPV6_CHECKSUM says, is ours to verify.
    fn checksum_is_right(&self, packet: &Inbound<'_>) -> bool {
        let verifies = packet.proto == wire::proto::ICMPV6 || self.base.options.checksum6.is_some();
        !verifies || packet.dst.is_ipv4() || packet.csum == RxCsum::Good || icmp_checksum_is_right(packet)
    }

    fn meta(&self, packet: &Inbound<'_>) -> RecvMeta {
        RecvMeta {
            src: self.base.shown(packet.src, 0, Some(packet.link)),
            dst: packet.dst,
            link: packet.link,
            ttl: packet.ttl,
            tos: packet.tos,
            group: packet.group,
        }
    }
}

/// Over the whole payload, with a pseudo-header for IPv6.
fn icmp_checksum_is_right(packet: &Inbound<'_>) -> bool {
    let pseudo = match packet.dst {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => checksum::pseudo(packet.src, packet.dst, packet.proto, packet.data.len() as u32),
    };
    checksum::is_valid(checksum::combine(pseudo, checksum::partial(&packet.data)))
}

/// An address without a port.
fn portless(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}
