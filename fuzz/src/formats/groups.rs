//! IGMP and MLD.

use std::net::Ipv6Addr;

use wire::addr_list::PackedAddr;
use wire::group_record::{GroupRecords, NewGroupRecord, RecordKind, report_len};
use wire::icmpv6;
use wire::igmp::{IgmpMessage, IgmpQueryVersion, emit_report_v3};
use wire::mld::{MldMessage, MldQueryVersion, emit_report_v2};

use super::{list_bound, with_checksum};

pub fn igmp(data: &[u8]) {
    let _ = IgmpMessage::parse(data).map(|message| message.len());
    let Some(fixed) = with_checksum(data) else { return };
    let Ok(message) = IgmpMessage::parse(&fixed) else { return };
    let mut out = vec![0xa5; message.len()];
    assert!(out.len() <= data.len());
    assert_eq!(message.emit(&mut out), out.len());
    assert_eq!(IgmpMessage::parse(&out), Ok(message));
    match message {
        IgmpMessage::Query(query) => {
            assert!(query.max_resp_tenths() <= 31_744);
            if let IgmpQueryVersion::V3(query) = query.version {
                assert!(query.sources.len() * 4 <= data.len() && query.qrv <= 7);
            }
        }
        IgmpMessage::ReportV3(records) => {
            let read = read_records(records, data);
            let new = write_records(&read);
            let mut out = vec![0xa5; report_len(&new)];
            assert_eq!(emit_report_v3(&new, &mut out), out.len());
            let Ok(IgmpMessage::ReportV3(again)) = IgmpMessage::parse(&out) else { panic!("a report that is none") };
            assert_eq!(read_records(again, &out), read);
        }
        _ => {}
    }
}

pub fn mld(data: &[u8]) {
    let (src, dst) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let Ok(message) = MldMessage::parse(data) else { return };
    assert!(MldMessage::is_mld(data[0]));
    let mut out = vec![0xa5; message.len()];
    assert!(out.len() <= data.len());
    assert_eq!(message.emit(src, dst, &mut out), out.len());
    assert_eq!(icmpv6::verify(&out, src, dst), Ok(()));
    assert_eq!(MldMessage::parse(&out), Ok(message));
    match message {
        MldMessage::Query(query) => {
            assert!(query.max_resp_ms() <= 8_387_584);
            if let MldQueryVersion::V2(query) = query.version {
                assert!(query.sources.len() * 16 <= data.len() && query.qrv <= 7);
            }
        }
        MldMessage::ReportV2(records) => {
            let read = read_records(records, data);
            let new = write_records(&read);
            let mut out = vec![0xa5; report_len(&new)];
            assert_eq!(emit_report_v2(&new, src, dst, &mut out), out.len());
            let Ok(MldMessage::ReportV2(again)) = MldMessage::parse(&out) else { panic!("a report that is none") };
            assert_eq!(read_records(again, &out), read);
        }
        _ => {}
    }
}

type Record<A> = (RecordKind, A, Vec<A>);

/// The records up to the first that is broken.
fn read_records<A: PackedAddr>(records: GroupRecords<'_, A>, bytes: &[u8]) -> Vec<Record<A>> {
    let announced = usize::from(records.remaining());
    assert!(records.take(1 << 17).count() <= list_bound(bytes).min(announced));
    records.map_while(Result::ok).map(|r| (r.kind, r.group, r.sources.iter().collect())).collect()
}

fn write_records<A: PackedAddr>(records: &[Record<A>]) -> Vec<NewGroupRecord<'_, A>> {
    records.iter().map(|(kind, group, sources)| NewGroupRecord { kind: *kind, group: *group, sources }).collect()
}
