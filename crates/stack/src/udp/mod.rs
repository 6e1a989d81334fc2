//! UDP (RFC 768): sockets, and which of them a datagram is for.

mod calls;
mod ports;

use core::net::{IpAddr, SocketAddr};

use errno::Errno;
use hashbrown::HashMap;
use wire::ParseError;
use wire::udp::UdpHeader;

use crate::datagram::{Base, Slots};
use crate::frame::{LinkId, RxCsum};
use crate::net::counters::counters;
use crate::net::route::bits;
use crate::net::{Inbound, Net};
use crate::options::RecvMeta;
use crate::random::{HashKey, Random};
use crate::socket::{SocketId, SocketKind};
use crate::stack::{Config, IcmpError, Sink, SocketView};
use crate::time::Instant;

counters! {
    Counters = "udp" {
        received: "datagrams received",
        incomplete: "with incomplete header",
        bad_length: "with bad data length field",
        bad_checksum: "with bad checksum",
        no_checksum: "with no checksum",
        no_socket: "dropped due to no socket",
        no_socket_group: "broadcast/multicast datagrams dropped due to no socket",
        full: "dropped due to full socket buffers",
        delivered: "delivered",
        sent: "datagrams output",
        errors: "ICMP errors delivered to sockets",
    }
}

#[derive(Debug)]
struct Socket {
    base: Base,
    port: u16,
    /// The program chose the port.
    bound_port: bool,
}

/// A connected socket's 4-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    local: (IpAddr, u16),
    peer: SocketAddr,
}

impl core::hash::Hash for Flow {
    /// One write instead of one a field: this runs for every datagram.
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&bits(self.local.0).to_ne_bytes());
        bytes[16..32].copy_from_slice(&bits(self.peer.ip()).to_ne_bytes());
        bytes[32..34].copy_from_slice(&self.local.1.to_ne_bytes());
        bytes[34..].copy_from_slice(&self.peer.port().to_ne_bytes());
        state.write(&bytes);
    }
}

/// A local address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(IpAddr, u16);

impl core::hash::Hash for Place {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 18];
        bytes[..16].copy_from_slice(&bits(self.0).to_ne_bytes());
        bytes[16..].copy_from_slice(&self.1.to_ne_bytes());
        state.write(&bytes);
    }
}

/// All UDP sockets of a stack.
#[derive(Debug)]
pub struct Udp {
    sockets: Slots<Socket>,
    /// Every socket with a port, in order of binding.
    by_port: HashMap<u16, Vec<u32>, HashKey>,
    /// Connected ones.
    flows: HashMap<Flow, Vec<u32>, HashKey>,
    /// The others, in order of binding.
    bound: HashMap<Place, Vec<u32>, HashKey>,
    key: HashKey,
    random: Random,
    counters: Counters,
}

impl Udp {
    pub fn new(config: &Config, random: &mut Random) -> Udp {
        let key = HashKey::new(random);
        Udp {
            sockets: Slots::new(config.sockets_max),
            by_port: HashMap::with_hasher(key),
            flows: HashMap::with_hasher(key),
            bound: HashMap::with_hasher(key),
            key,
            random: Random::new(random.next_u64()),
            counters: Counters::default(),
        }
    }

    fn id(&self, index: u32) -> SocketId {
        self.sockets.id(SocketKind::Udp, index)
    }

    /// A datagram for this host.
    pub fn input(&mut self, net: &mut Net, now: Instant, packet: &Inbound<'_>, sink: &mut dyn Sink) {
        self.counters.received += 1;
        let (header, payload) = match UdpHeader::parse(&packet.data) {
            Ok(parsed) => parsed,
            Err(ParseError::Truncated) if packet.data.len() < UdpHeader::LEN => {
                self.counters.incomplete += 1;
                return;
            }
            Err(_) => {
                self.counters.bad_length += 1;
                return;
            }
        };
        if packet.csum == RxCsum::Unknown && !self.checksum_is_right(packet, &header, payload) {
            return;
        }
        let group = net.is_group(packet.dst);
        // A merged frame stands for several datagrams; the last may be shorter.
        let size = packet.gso_size.map_or(payload.len(), usize::from).max(1);
        let from = (packet.src, header.src_port);
        if group {
            let mut found = false;
            let count = self.by_port.get(&header.dst_port).map_or(0, Vec::len);
            for n in 0..count {
                let index = self.by_port[&header.dst_port][n];
                if self.is_for(index, packet, header.src_port) {
                    found = true;
                    self.deliver(index, packet, from, payload, size, sink);
                }
            }
            self.counters.no_socket_group += u64::from(!found);
            return;
        }
        match self.find(packet.dst, header.dst_port, SocketAddr::new(packet.src, header.src_port), packet.link) {
            Some(index) => self.deliver(index, packet, from, payload, size, sink),
            None => {
                self.counters.no_socket += 1;
                if !packet.group {
                    // RFC 1122 §4.1.3.1
                    net.port_unreachable(now, packet);
                }
            }
        }
    }

    fn checksum_is_right(&mut self, packet: &Inbound<'_>, header: &UdpHeader, payload: &[u8]) -> bool {
        if !header.has_checksum() {
            // RFC 768: none was computed; RFC 8200 §8.1: over IPv6 one must be.
            self.counters.no_checksum += u64::from(packet.dst.is_ipv6());
            return packet.dst.is_ipv4();
        }
        let pseudo = wire::checksum::pseudo(packet.src, packet.dst, wire::proto::UDP, header.len.into());
        let right = header.verify(payload, pseudo);
        self.counters.bad_checksum += u64::from(!right);
        right
    }

    fn deliver(
        &mut self,
        index: u32,
        packet: &Inbound<'_>,
        from: (IpAddr, u16),
        payload: &[u8],
        size: usize,
        sink: &mut dyn Sink,
    ) {
        let id = self.id(index);
        let Some(socket) = self.sockets.at(index).filter(|s| !s.base.no_read) else { return };
        let meta = RecvMeta {
            src: socket.base.shown(from.0, from.1, Some(packet.link)),
            dst: socket.base.shown(packet.dst, 0, None).ip(),
            link: packet.link,
            ttl: packet.ttl,
            tos: packet.tos,
            group: packet.group,
        };
        let mut rest = payload;
        loop {
            let (one, more) = rest.split_at(size.min(rest.len()));
            if sink.datagram(id, &meta, one) {
                self.counters.delivered += 1;
            } else {
                self.counters.full += 1;
            }
            rest = more;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// A socket that a group's datagram is for.
    fn is_for(&self, index: u32, packet: &Inbound<'_>, src_port: u16) -> bool {
        let Some(socket) = self.sockets.at(index) else { return false };
        let peer_fits = socket.base.peer.is_none_or(|p| p == SocketAddr::new(packet.src, src_port));
        socket.base.covers(packet.dst) && socket.base.hears(packet.link) && peer_fits
    }

    /// The socket of a unicast datagram: the connected one, else the most closely bound one.
    fn find(&self, local: IpAddr, port: u16, peer: SocketAddr, link: LinkId) -> Option<u32> {
        if !self.flows.is_empty()
            && let Some(list) = self.flows.get(&Flow { local: (local, port), peer })
            && let Some(index) = self.choose(list, local, peer, link)
        {
            return Some(index);
        }
        let any4 = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);
        let any6 = IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED);
        let places = if local.is_ipv4() { [local, any4, any6] } else { [local, any6, any6] };
        places.iter().find_map(|&addr| self.choose(self.bound.get(&Place(addr, port))?, local, peer, link))
    }

    /// Of several that share an address: those bound to the link first; a SO_REUSEPORT group shares
    /// by flow; else the latest.
    fn choose(&self, list: &[u32], local: IpAddr, peer: SocketAddr, link: LinkId) -> Option<u32> {
        let fits = |&&i: &&u32| self.sockets.at(i).is_some_and(|s| s.base.covers(local) && s.base.hears(link));
        if let [one] = list {
            return Some(*one).filter(|i| fits(&i));
        }
        let confined = |&&i: &&u32| self.sockets.at(i).is_some_and(|s| s.base.confined().is_some());
        let any_confined = list.iter().filter(fits).any(|i| confined(&i));
        let best = || list.iter().filter(fits).filter(|i| !any_confined || confined(i));
        let last = *best().next_back()?;
        if self.sockets.at(last).is_some_and(|s| s.base.options.reuse_port) {
            let count = best().count() as u64;
            let pick = ((u128::from(self.key.hash(&(local, peer))) * u128::from(count)) >> 64) as usize;
            return best().nth(pick).copied();
        }
        Some(last)
    }

    /// An error about a datagram that one of our sockets sent.
    pub fn icmp_error(&mut self, net: &mut Net, now: Instant, error: &IcmpError, sink: &mut dyn Sink) {
        if error.header_len < 4 {
            return;
        }
        let port = |at: usize| u16::from_be_bytes([error.header[at], error.header[at + 1]]);
        let (local, peer) = ((error.src, port(0)), SocketAddr::new(error.dst, port(2)));
        let link = net.path(error.dst, None, None).map_or(LinkId::LOOPBACK, |p| p.link);
        let Some(index) = self.find(local.0, local.1, peer, link) else { return };
        let id = self.id(index);
        let Some(socket) = self.sockets.at_mut(index) else { return };
        let options = &socket.base.options;
        let mut hard = error.hard;
        if let Some(mtu) = error.mtu {
            if !options.minds_mtu(error.dst) {
                return;
            }
            hard = true;
            net.learn_mtu(now, error.dst, mtu);
        }
        // As Linux has it: a connected socket learns of hard errors, others only if they ask.
        if options.wants_errors(error.dst) || (hard && socket.base.peer.is_some()) {
            socket.base.error = Some(error.errno);
            self.counters.errors += 1;
            sink.datagram_error(id);
        }
    }

    pub fn take_error(&mut self, id: SocketId) -> Option<Errno> {
        self.sockets.named_mut(id).ok()?.base.error.take()
    }

    pub fn for_each(&self, each: &mut dyn FnMut(SocketView)) {
        for (index, s) in self.sockets.iter().filter(|(_, s)| s.port != 0) {
            each(SocketView {
                id: Some(self.id(index)),
                domain: s.base.domain,
                kind: SocketKind::Udp,
                protocol: wire::proto::UDP,
                local: s.base.shown(s.base.local, s.port, s.base.confined()),
                peer: s.base.peer.map(|p| s.base.shown(p.ip(), p.port(), s.base.confined())),
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
