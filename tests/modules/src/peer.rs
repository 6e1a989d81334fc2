//! IPv4 and TCP just good enough to talk to the kernel from a test, by hand: an honest checksum, no
//! retransmission, one connection.

use abi::{Offload, raw};

use crate::frames::{Port, ethernet, ethertype};

pub const IPV4: u16 = 0x0800;
const TCP: u8 = 6;

pub fn sum(bytes: &[u8], start: u32) -> u32 {
    let pairs = bytes.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], *c.get(1).unwrap_or(&0)])));
    pairs.fold(start, |acc, w| acc + w)
}

pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn pseudo(from: [u8; 4], to: [u8; 4], protocol: u8, len: usize) -> u32 {
    sum(&[&from[..], &to, &[0, protocol]].concat(), len as u32)
}

pub fn ipv4(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let [hi, lo] = len.to_be_bytes();
    let mut head = [0x45, 0, hi, lo, 0, 0, 0x40, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    head[12..16].copy_from_slice(&from);
    head[16..20].copy_from_slice(&to);
    let check = !fold(sum(&head, 0));
    head[10..12].copy_from_slice(&check.to_be_bytes());
    [&head[..], payload].concat()
}

/// One side of a connection.
pub struct Tcp {
    pub mac: [u8; 6],
    pub peer_mac: [u8; 6],
    pub ip: [u8; 4],
    pub peer_ip: [u8; 4],
    pub port: u16,
    pub peer_port: u16,
    pub snd_nxt: u32,
    pub rcv_nxt: u32,
}

pub const SYN: u8 = 2;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// A segment received.
pub struct Segment<'a> {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub payload: &'a [u8],
}

impl Tcp {
    pub fn new(mac: [u8; 6], peer_mac: [u8; 6], ip: [u8; 4], peer_ip: [u8; 4], peer_port: u16) -> Tcp {
        Tcp { mac, peer_mac, ip, peer_ip, port: 40_000, peer_port, snd_nxt: 1000, rcv_nxt: 0 }
    }

    /// The three-way handshake, begun by us.
    pub fn connect(&mut self, port: &mut Port) {
        let (syn, offload) = self.frame(SYN, &[], None);
        port.send_offloaded(&syn, offload);
        let (answer, _) = port.expect("SYN,ACK", |f, _| self.segment(f).is_some_and(|s| s.flags == SYN | ACK));
        let answer = self.segment(&answer).expect("it was one");
        self.snd_nxt = self.snd_nxt.wrapping_add(1);
        assert_eq!(answer.ack, self.snd_nxt);
        self.rcv_nxt = answer.seq.wrapping_add(1);
        let (ack, offload) = self.frame(ACK, &[], None);
        port.send_offloaded(&ack, offload);
    }

    /// A frame with an honest checksum, or (`gso`: payload bytes a segment) one left to the link.
    pub fn frame(&self, flags: u8, payload: &[u8], gso: Option<u16>) -> (Vec<u8>, Offload) {
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(self.port.to_be_bytes());
        tcp.extend(self.peer_port.to_be_bytes());
        tcp.extend(self.snd_nxt.to_be_bytes());
        tcp.extend(self.rcv_nxt.to_be_bytes());
        tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(payload);
        let pseudo = pseudo(self.ip, self.peer_ip, TCP, tcp.len());
        let mut offload = Offload::NONE;
        let check = match gso {
            None => !fold(sum(&tcp, pseudo)),
            Some(size) => {
                offload = Offload {
                    flags: raw::CSUM_PARTIAL,
                    gso_type: if payload.len() > usize::from(size) { raw::GSO_TCPV4 } else { raw::GSO_NONE },
                    hdr_len: 54,
                    gso_size: size,
                    csum_start: 34,
                    csum_offset: 16,
                };
                fold(pseudo)
            }
        };
        tcp[16..18].copy_from_slice(&check.to_be_bytes());
        (ethernet(self.peer_mac, self.mac, IPV4, &ipv4(self.ip, self.peer_ip, TCP, &tcp)), offload)
    }

    /// The segment in a frame of this connection.
    pub fn segment<'a>(&self, frame: &'a [u8]) -> Option<Segment<'a>> {
        if ethertype(frame)? != IPV4 || *frame.get(23)? != TCP {
            return None;
        }
        let total = u16::from_be_bytes(frame.get(16..18)?.try_into().ok()?);
        let ip = frame.get(14..14 + usize::from(total))?;
        let tcp = ip.get(usize::from(ip[0] & 15) * 4..)?;
        let word = |at: usize| tcp.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let ports = (u32::from(self.peer_port) << 16) | u32::from(self.port);
        if word(0)? != ports || ip[12..16] != self.peer_ip {
            return None;
        }
        let payload = tcp.get(usize::from(*tcp.get(12)? >> 4) * 4..)?;
        Some(Segment { seq: word(4)?, ack: word(8)?, flags: tcp[13], payload })
    }
}
