//! Protocol modules between the loader and the engine: frames of their EtherTypes, packets of their
//! IP protocols, their timers, and what they send.
//!
//! An IP protocol of a module is a raw socket of the engine's, so that its packets arrive whole and
//! checked and nobody answers "protocol unreachable" for them.

use core::net::IpAddr;

use errno::Errno;
use stack::{Domain, Instant, LinkId, RecvMeta, SocketId, SocketKind, Stack};

use crate::modules::{ModuleError, Modules, ProtocolLink, ProtocolModule, Transmit};

/// Packets kept between their arrival and the next look; those beyond are dropped and counted.
pub const PACKETS_MAX: usize = 1024;
/// Length in bytes of an IPv6 header (RFC 8200 §3).
const IPV6_HEADER: usize = 40;

/// A packet for a module, IP header first.
pub struct Packet {
    socket: SocketId,
    link: LinkId,
    bytes: Vec<u8>,
}

impl Packet {
    /// What the engine delivered to a raw socket. For IPv6 it gives no header; one is written anew.
    pub fn new(socket: SocketId, meta: &RecvMeta, payload: &[u8]) -> Packet {
        let mut bytes = Vec::with_capacity(payload.len() + IPV6_HEADER);
        if let (IpAddr::V6(src), IpAddr::V6(dst)) = (meta.src.ip(), meta.dst) {
            let first = 6u32 << 28 | u32::from(meta.tos) << 20;
            bytes.extend_from_slice(&first.to_be_bytes());
            bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&[0, meta.ttl]); // the protocol follows in `input`
            bytes.extend_from_slice(&src.octets());
            bytes.extend_from_slice(&dst.octets());
        }
        bytes.extend_from_slice(payload);
        Packet { socket, link: meta.link, bytes }
    }
}

struct Attached {
    module: ProtocolModule,
    ethertypes: Vec<u16>,
    /// One for each IP protocol and family.
    sockets: Vec<(SocketId, u8)>,
}

/// The protocol modules of an instance.
#[derive(Default)]
pub struct Protocols {
    attached: Vec<Attached>,
    /// What the modules were last told.
    links: Vec<ProtocolLink>,
}

impl Protocols {
    /// Loads and attaches a protocol module.
    pub fn attach(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        modules: &mut Modules,
        name: &str,
        options: &str,
    ) -> Result<(), ModuleError> {
        self.links = links_of(stack);
        let module = modules.attach_protocol(name, options, &self.links, now.as_millis())?;
        self.attached.push(Attached { module, ethertypes: Vec::new(), sockets: Vec::new() });
        self.look_at_registrations(stack);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Gives a frame to the module whose EtherType it has. False: it is nobody's.
    pub fn input_frame(&mut self, link: LinkId, frame: &[u8]) -> bool {
        let Some(&[hi, lo]) = frame.get(12..14) else { return false };
        let ethertype = u16::from_be_bytes([hi, lo]);
        let taker = self.attached.iter_mut().find(|a| a.ethertypes.contains(&ethertype));
        taker.is_some_and(|a| a.module.input_frame(link.0, frame))
    }

    /// Gives packets that the engine delivered to the modules that registered for them.
    pub fn input_packets(&mut self, packets: &mut Vec<Packet>) {
        for mut packet in packets.drain(..) {
            for attached in &mut self.attached {
                let Some((_, protocol)) = attached.sockets.iter().find(|(id, _)| *id == packet.socket) else {
                    continue;
                };
                if packet.bytes.first().is_some_and(|b| b >> 4 == 6) {
                    packet.bytes[6] = *protocol;
                }
                attached.module.input_packet(packet.link.0, *protocol, &packet.bytes);
            }
        }
    }

    /// When [`run`](Protocols::run) is to be called next.
    pub fn next_deadline(&self) -> Instant {
        let ms = self.attached.iter().filter_map(|a| a.module.next_deadline_ms()).min();
        ms.map_or(Instant::FAR, Instant::from_millis)
    }

    /// Tells the modules of changed links, runs their timers, and takes what they send.
    pub fn run(&mut self, now: Instant, stack: &mut Stack, mut send: impl FnMut(Transmit)) {
        if self.attached.is_empty() {
            return;
        }
        let links = links_of(stack);
        if links != self.links {
            self.links = links;
            for attached in &mut self.attached {
                attached.module.set_links(&self.links);
            }
        }
        for attached in &mut self.attached {
            attached.module.run_timers(now.as_millis());
            attached.module.take_transmit().into_iter().for_each(&mut send);
        }
        self.look_at_registrations(stack);
    }

    /// Opens the raw sockets of IP protocols that modules have registered.
    fn look_at_registrations(&mut self, stack: &mut Stack) {
        for attached in &mut self.attached {
            attached.ethertypes = attached.module.ethertypes();
            for protocol in attached.module.ip_protocols() {
                if attached.sockets.iter().any(|(_, p)| *p == protocol) {
                    continue;
                }
                for domain in [Domain::V4, Domain::V6] {
                    match stack.socket(domain, SocketKind::Raw, protocol) {
                        Ok(id) => attached.sockets.push((id, protocol)),
                        Err(Errno::EAFNOSUPPORT) => {}
                        Err(error) => tracing::warn!("{}: IP protocol {protocol}: {error}", attached.module.name()),
                    }
                }
            }
        }
    }
}

fn links_of(stack: &Stack) -> Vec<ProtocolLink> {
    stack
        .net
        .links()
        .map(|l| ProtocolLink {
            index: l.id.0,
            name: l.name.to_owned(),
            mtu: l.mtu,
            up: l.flags & stack::net::iff::RUNNING != 0,
            mac: l.mac.0,
        })
        .collect()
}
