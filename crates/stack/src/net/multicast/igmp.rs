//! IGMP for hosts: version 3 (RFC 3376), and version 2 (RFC 2236) where a router speaks that.

use core::net::{IpAddr, Ipv4Addr};

use wire::ParseError;
use wire::addr::{ALL_IGMPV3_ROUTERS, ALL_ROUTERS_V4};
use wire::ethernet::{ETHERTYPE_IPV4, EthernetHeader};
use wire::group_record::{NewGroupRecord, RecordKind};
use wire::igmp::{IgmpMessage, IgmpQueryVersion};
use wire::ipv4::Ipv4Header;
use wire::{MacAddr, igmp};

use crate::frame::LinkId;
use crate::net::{Inbound, Net};
use crate::time::{Duration, Instant};

/// Routers on the way look into it (RFC 2113).
const ROUTER_ALERT: [u8; 4] = [148, 4, 0, 0];
/// RFC 2474: internetwork control, as RFC 3376 §4 asks.
const TOS: u8 = 0xc0;

impl Net {
    /// An IGMP message for us.
    pub fn igmp_input(&mut self, now: Instant, packet: &Inbound<'_>) {
        self.counters.igmp.received += 1;
        match IgmpMessage::parse(&packet.data) {
            Ok(IgmpMessage::Query(query)) => {
                self.counters.igmp.queries += 1;
                // RFC 3376 §9.1: from the link, of a group or of all.
                if packet.ttl != 1 || !(query.group.is_unspecified() || query.group.is_multicast()) {
                    self.counters.igmp.bad_queries += 1;
                    return;
                }
                let old = !matches!(query.version, IgmpQueryVersion::V3(_));
                let max = Duration::from_millis(100 * u64::from(query.max_resp_tenths().max(1)));
                self.queried(now, packet.link, IpAddr::V4(query.group), max, old);
            }
            Ok(IgmpMessage::ReportV1 { group } | IgmpMessage::ReportV2 { group }) => {
                self.counters.igmp.reports += 1;
                self.report_heard(packet.link, IpAddr::V4(group), now);
            }
            Ok(IgmpMessage::ReportV3(_)) => self.counters.igmp.reports += 1,
            Ok(IgmpMessage::Leave { .. }) => {}
            Err(ParseError::BadChecksum) => self.counters.igmp.bad_checksum += 1,
            Err(ParseError::Malformed) => {}
            Err(_) => self.counters.igmp.too_short += 1,
        }
    }

    pub(super) fn igmp_report(&mut self, _now: Instant, link: LinkId, group: Ipv4Addr, old: bool) {
        if old {
            self.igmp_message(link, group, &IgmpMessage::ReportV2 { group });
        } else {
            self.igmp_record(link, RecordKind::ModeIsExclude, group);
        }
        self.counters.igmp.reports_sent += 1;
    }

    pub(super) fn igmp_leave(&mut self, _now: Instant, link: LinkId, group: Ipv4Addr, old: bool) {
        if old {
            self.igmp_message(link, ALL_ROUTERS_V4, &IgmpMessage::Leave { group });
        } else {
            self.igmp_record(link, RecordKind::ChangeToInclude, group);
        }
    }

    fn igmp_record(&mut self, link: LinkId, kind: RecordKind, group: Ipv4Addr) {
        let records = [NewGroupRecord { kind, group, sources: &[] }];
        let mut buf = [0; 16];
        let n = igmp::emit_report_v3(&records, &mut buf);
        self.igmp_send(link, ALL_IGMPV3_ROUTERS, &buf[..n]);
    }

    fn igmp_message(&mut self, link: LinkId, dst: Ipv4Addr, message: &IgmpMessage<'_>) {
        let mut buf = [0; 8];
        let n = message.emit(&mut buf);
        self.igmp_send(link, dst, &buf[..n]);
    }

    fn igmp_send(&mut self, link: LinkId, dst: Ipv4Addr, message: &[u8]) {
        if self.room_in_batch(dst.into()).is_err() {
            return;
        }
        let Some(config) = self.config.link(link).filter(|l| l.is_ready()) else { return };
        let (src_mac, src) = (config.mac, self.config.first_v4(link).unwrap_or(Ipv4Addr::UNSPECIFIED));
        const HEAD: usize = EthernetHeader::LEN + Ipv4Header::LEN + ROUTER_ALERT.len();
        let start = self.tx.arena.len();
        self.tx.arena.resize(start + HEAD, 0);
        EthernetHeader { dst: MacAddr::ZERO, src: src_mac, ethertype: ETHERTYPE_IPV4 }
            .emit(&mut self.tx.arena[start..]);
        let header = Ipv4Header {
            tos: TOS,
            total_len: (HEAD - EthernetHeader::LEN + message.len()) as u16,
            id: 0,
            df: true,
            mf: false,
            frag_offset: 0,
            ttl: 1,
            proto: wire::proto::IGMP,
            src,
            dst,
            header_len: 0,
        };
        if header.emit_with_options(&ROUTER_ALERT, &mut self.tx.arena[start + EthernetHeader::LEN..]).is_err() {
            self.tx.arena.truncate(start);
            return;
        }
        self.tx.arena.extend_from_slice(message);
        self.counters.ip4.sent += 1;
        self.push_control(link, start, MacAddr::multicast_v4(dst));
    }
}
