//! The other end of a connection, as far as a fuzzer needs it: it knows where both sides stand.

use std::net::IpAddr;

use wire::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetHeader};
use wire::ipv4::Ipv4Header;
use wire::ipv6::Ipv6Header;
use wire::proto;
use wire::tcp::{SackBlocks, SeqNr, TcpFlags, TcpHeader, TcpOptions};

use super::craft;

/// Close to the wrap, so that it is crossed.
const ISS: u32 = u32::MAX - 3000;

pub struct Peer {
    host: IpAddr,
    remote: IpAddr,
    host_port: u16,
    port: u16,
    /// Next sequence number of ours, and next one that is expected of the host.
    pub nxt: u32,
    pub rcv_nxt: u32,
    /// The host's oldest byte not acknowledged by us.
    pub acked: u32,
    /// The host's last timestamp.
    pub ts_recent: Option<u32>,
    seen: bool,
}

/// One segment that a step makes.
pub struct Segment<'a> {
    pub flags: TcpFlags,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub urgent: u16,
    /// At most 40 bytes.
    pub options: &'a [u8],
    pub data: &'a [u8],
}

impl Peer {
    pub fn new(host: IpAddr, remote: IpAddr, port: u16) -> Peer {
        let (nxt, rcv_nxt) = (ISS, 0);
        Peer { host, remote, host_port: 0, port, nxt, rcv_nxt, acked: 0, ts_recent: None, seen: false }
    }

    /// Looks at a frame that the host sent.
    pub fn see(&mut self, frame: &[u8]) {
        let Some((header, options, len)) = self.segment(frame) else { return };
        let len =
            len + u32::from(header.flags.contains(TcpFlags::SYN)) + u32::from(header.flags.contains(TcpFlags::FIN));
        let end = header.seq.0.wrapping_add(len);
        if header.flags.contains(TcpFlags::SYN) || !self.seen {
            self.host_port = header.src_port;
            self.rcv_nxt = end;
            self.acked = end;
            self.seen = true;
        } else if end.wrapping_sub(self.rcv_nxt) < 1 << 31 {
            self.rcv_nxt = end;
        }
        if let Some((value, _)) = options.timestamps {
            self.ts_recent = Some(value);
        }
    }

    fn segment(&self, frame: &[u8]) -> Option<(TcpHeader, TcpOptions, u32)> {
        let (ethernet, packet) = EthernetHeader::parse(frame).ok()?;
        let (dst, protocol, payload) = match ethernet.ethertype {
            ETHERTYPE_IPV4 => {
                let (header, _, payload) = Ipv4Header::parse(packet).ok()?;
                (IpAddr::V4(header.dst), header.proto, payload)
            }
            ETHERTYPE_IPV6 => {
                let (header, payload) = Ipv6Header::parse(packet).ok()?;
                (IpAddr::V6(header.dst), header.next_header, payload)
            }
            _ => return None,
        };
        let (header, options, data) = TcpHeader::parse(payload).ok().filter(|_| protocol == proto::TCP)?;
        let mine = dst == self.remote && header.dst_port == self.port;
        let same = !self.seen || header.src_port == self.host_port;
        (mine && same).then_some((header, options, data.len() as u32))
    }

    /// The answer to the host's SYN, once that was seen.
    pub fn syn_ack(&self, all_options: bool) -> Option<Vec<u8>> {
        let options = TcpOptions {
            mss: Some(1000),
            window_scale: all_options.then_some(7),
            sack_permitted: all_options,
            timestamps: self.ts_recent.filter(|_| all_options).map(|ts| (1, ts)),
            sack: SackBlocks::EMPTY,
        };
        let mut raw = [0; 40];
        let n = options.emit(&mut raw);
        self.seen.then(|| {
            self.frame(&Segment {
                flags: TcpFlags::SYN.with(TcpFlags::ACK),
                seq: self.nxt.wrapping_sub(1),
                ack: self.rcv_nxt,
                window: 4000,
                urgent: 0,
                options: &raw[..n],
                data: &[],
            })
        })
    }

    pub fn frame(&self, segment: &Segment<'_>) -> Vec<u8> {
        segment_frame((self.remote, self.port), (self.host, self.host_port), segment)
    }
}

pub fn segment_frame(from: (IpAddr, u16), to: (IpAddr, u16), segment: &Segment<'_>) -> Vec<u8> {
    let options = &segment.options[..segment.options.len().min(40)];
    let header_len = TcpHeader::LEN + options.len().next_multiple_of(4);
    let header = TcpHeader {
        src_port: from.1,
        dst_port: to.1,
        seq: SeqNr(segment.seq),
        ack: SeqNr(segment.ack),
        flags: segment.flags,
        window: segment.window,
        urgent: segment.urgent,
        checksum: 0,
        header_len: 0,
    };
    let mut message = vec![0; header_len];
    header.emit(&TcpOptions::NONE, &mut message);
    message[12] = (header_len as u8 / 4) << 4 | message[12] & 0xf;
    message[TcpHeader::LEN..TcpHeader::LEN + options.len()].copy_from_slice(options);
    message.extend_from_slice(segment.data);
    craft::fix_checksum(proto::TCP, from.0, to.0, &mut message);
    craft::transport_frame(from.0, to.0, proto::TCP, &message)
}
