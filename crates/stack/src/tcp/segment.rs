//! Segments as the state machines see them: parsed ones in, described ones out.

use core::net::IpAddr;

use errno::Errno;
use shm::{Pool, Slice};
use wire::checksum;
use wire::tcp::{SeqNr, TcpFlags, TcpHeader, TcpOptions};

use super::counters::Counters;
use super::options::IpChoice;
use super::settings::Settings;
use crate::frame::RxCsum;
use crate::net::{Body, Inbound, IpFields, Net, Path};
use crate::time::Instant;

/// A received segment whose checksum was right.
#[derive(Debug)]
pub struct Segment<'a> {
    pub header: TcpHeader,
    pub options: TcpOptions,
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    pub fn parse(packet: &'a Inbound<'_>, counters: &mut Counters) -> Option<Segment<'a>> {
        let data: &[u8] = &packet.data;
        if packet.csum == RxCsum::Unknown {
            let pseudo = checksum::pseudo(packet.src, packet.dst, wire::proto::TCP, data.len() as u32);
            if checksum::finish(checksum::combine(pseudo, checksum::partial(data))) != 0 {
                counters.bad_checksum += 1;
                return None;
            }
        }
        match TcpHeader::parse(data) {
            Ok((header, options, payload)) => Some(Segment { header, options, payload }),
            Err(_) => {
                counters.malformed += 1;
                None
            }
        }
    }

    pub fn has(&self, flag: TcpFlags) -> bool {
        self.header.flags.contains(flag)
    }

    pub fn seq(&self) -> SeqNr {
        self.header.seq
    }

    /// Sequence space the segment takes up: payload, SYN and FIN.
    pub fn seq_len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }

    pub fn end(&self) -> SeqNr {
        self.header.seq + self.seq_len()
    }
}

/// What a state machine works in: the rest of the engine and the time.
pub struct Env<'a> {
    pub now: Instant,
    pub net: &'a mut Net,
    pub pool: &'a mut Pool,
    pub counters: &'a mut Counters,
    pub settings: &'a Settings,
    pub challenges: &'a mut ChallengeLimit,
}

/// RFC 5961 §7: bounds the challenge acknowledgements of all connections together.
#[derive(Clone, Debug, Default)]
pub struct ChallengeLimit {
    second: u64,
    spent: u32,
}

impl ChallengeLimit {
    /// True when one more may be sent in this second.
    pub fn allow(&mut self, now: Instant, per_second: u32) -> bool {
        let second = now.0 / 1_000_000;
        if second != self.second {
            *self = ChallengeLimit { second, spent: 0 };
        }
        self.spent += 1;
        self.spent <= per_second
    }
}

/// A segment to send.
#[derive(Debug)]
pub struct Outgoing {
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: SeqNr,
    pub ack: Option<SeqNr>,
    pub flags: TcpFlags,
    /// The window field as it stands in the header.
    pub window: u16,
    pub options: TcpOptions,
    pub data: Option<[Slice; 2]>,
    /// Payload bytes a segment, when the data is more than one.
    pub gso_size: Option<u16>,
    pub ip: IpChoice,
}

impl Env<'_> {
    /// Sends a segment along `path`. A full neighbour queue or a missing route is as good as a loss
    /// on the way; only EMSGSIZE is something that the sender must act upon.
    pub fn send(&mut self, path: &mut Path, out: Outgoing) -> Result<(), Errno> {
        let header = TcpHeader {
            src_port: out.src_port,
            dst_port: out.dst_port,
            seq: out.seq,
            ack: out.ack.unwrap_or(SeqNr(0)),
            flags: if out.ack.is_some() { out.flags | TcpFlags::ACK } else { out.flags },
            window: out.window,
            urgent: 0,
            checksum: 0,
            header_len: 0,
        };
        let mut buf = [0u8; 60];
        let n = header.emit(&out.options, &mut buf);
        let ip = IpFields {
            proto: wire::proto::TCP,
            ttl: out.ip.ttl,
            tos: out.ip.tos,
            dont_fragment: out.ip.dont_fragment,
            checksum: Some(16),
            zero_is_none: false,
            gso_size: out.gso_size,
        };
        self.counters.sent += 1;
        let body = out.data.map_or(Body::None, Body::Ring);
        self.net.send(self.now, path, &ip, &mut buf[..n], body)
    }

    /// Answers a segment that belongs to no connection with a reset (RFC 9293 §3.10.7.1).
    pub fn reset_in_reply(&mut self, packet: &Inbound<'_>, segment: &Segment<'_>) {
        if segment.has(TcpFlags::RST) || packet.group {
            return;
        }
        let (seq, ack) =
            if segment.has(TcpFlags::ACK) { (segment.header.ack, None) } else { (SeqNr(0), Some(segment.end())) };
        let scope = link_scope(packet);
        let Ok(mut path) = self.net.path(packet.src, Some(packet.dst), scope) else { return };
        self.counters.resets_sent += 1;
        let out = Outgoing {
            src_port: segment.header.dst_port,
            dst_port: segment.header.src_port,
            seq,
            ack,
            flags: TcpFlags::RST,
            window: 0,
            options: TcpOptions::default(),
            data: None,
            gso_size: None,
            ip: IpChoice::default(),
        };
        let _ = self.send(&mut path, out);
    }
}

/// The link that an answer to this packet must leave by: only link-local addresses fix one.
pub fn link_scope(packet: &Inbound<'_>) -> Option<crate::frame::LinkId> {
    match packet.src {
        IpAddr::V6(a) if a.is_unicast_link_local() => Some(packet.link),
        _ => None,
    }
}
