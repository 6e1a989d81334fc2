//! MLD for hosts: version 2 (RFC 3810), and version 1 (RFC 2710) where a router speaks that.

use core::net::{IpAddr, Ipv6Addr};

use wire::addr::{ALL_MLDV2_ROUTERS, ALL_ROUTERS_V6};
use wire::group_record::{NewGroupRecord, RecordKind};
use wire::mld::{self, MldMessage, MldQueryVersion};

use crate::frame::LinkId;
use crate::net::{Inbound, Net};
use crate::time::{Duration, Instant};

impl Net {
    pub(in crate::net) fn mld_input(&mut self, now: Instant, packet: &Inbound<'_>, src: Ipv6Addr) {
        match MldMessage::parse(&packet.data) {
            Ok(MldMessage::Query(query)) => {
                self.counters.mld.queries += 1;
                // RFC 3810 §5.1.14, §6.2: from a link-local address, with a hop limit of 1.
                if packet.ttl != 1
                    || !src.is_unicast_link_local()
                    || !(query.group.is_unspecified() || query.group.is_multicast())
                {
                    self.counters.mld.bad_queries += 1;
                    return;
                }
                let old = matches!(query.version, MldQueryVersion::V1);
                let max = Duration::from_millis(query.max_resp_ms().max(1).into());
                self.queried(now, packet.link, IpAddr::V6(query.group), max, old);
            }
            Ok(MldMessage::ReportV1 { group }) => {
                self.counters.mld.reports += 1;
                self.report_heard(packet.link, IpAddr::V6(group), now);
            }
            Ok(MldMessage::ReportV2(_)) => self.counters.mld.reports += 1,
            Ok(MldMessage::Done { .. }) => {}
            Err(_) => self.counters.mld.bad_queries += 1,
        }
    }

    pub(super) fn mld_report(&mut self, now: Instant, link: LinkId, group: Ipv6Addr, old: bool) {
        if old {
            self.mld_message(now, link, group, &MldMessage::ReportV1 { group });
        } else {
            self.mld_record(now, link, RecordKind::ModeIsExclude, group);
        }
        self.counters.mld.reports_sent += 1;
    }

    pub(super) fn mld_leave(&mut self, now: Instant, link: LinkId, group: Ipv6Addr, old: bool) {
        if old {
            self.mld_message(now, link, ALL_ROUTERS_V6, &MldMessage::Done { group });
        } else {
            self.mld_record(now, link, RecordKind::ChangeToInclude, group);
        }
    }

    fn mld_record(&mut self, now: Instant, link: LinkId, kind: RecordKind, group: Ipv6Addr) {
        let src = self.mld_source(link);
        let records = [NewGroupRecord { kind, group, sources: &[] }];
        let mut buf = [0; 28];
        let n = mld::emit_report_v2(&records, src, ALL_MLDV2_ROUTERS, &mut buf);
        self.send_alerted(now, link, src, ALL_MLDV2_ROUTERS, &buf[..n]);
    }

    fn mld_message(&mut self, now: Instant, link: LinkId, dst: Ipv6Addr, message: &MldMessage<'_>) {
        let src = self.mld_source(link);
        let mut buf = [0; 24];
        let n = message.emit(src, dst, &mut buf);
        self.send_alerted(now, link, src, dst, &buf[..n]);
    }

    /// RFC 3590 §4: the unspecified address until a link-local one is valid.
    fn mld_source(&self, link: LinkId) -> Ipv6Addr {
        self.config.link_local(link).unwrap_or(Ipv6Addr::UNSPECIFIED)
    }
}
