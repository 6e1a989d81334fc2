//! Multicast listener discovery versions 1 and 2 (RFC 2710, RFC 3810), as messages of ICMPv6. Timers and filters are
//! the stack's.

use core::net::Ipv6Addr;

use crate::error::ParseError;
use crate::field;
use crate::group_record::{self, GroupRecords, NewGroupRecord, SourceQuery};
use crate::icmpv6;

/// Multicast listener query.
pub const QUERY: u8 = 130;
/// Version 1 listener report.
pub const REPORT_V1: u8 = 131;
/// Version 1 listener done.
pub const DONE: u8 = 132;
/// Version 2 listener report.
pub const REPORT_V2: u8 = 143;

/// Bytes of the messages of version 1, and of the part of a query that both have.
const LEN: usize = 24;
/// Bytes of a version 2 query without sources.
const QUERY_V2_MIN_LEN: usize = 28;

/// The version of a query, told by its length (RFC 3810 §8.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MldQueryVersion<'a> {
    /// 24 bytes.
    V1,
    /// 28 bytes or more.
    V2(SourceQuery<'a, Ipv6Addr>),
}

/// A listener query.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MldQuery<'a> {
    /// The group asked about; unspecified in a general query.
    pub group: Ipv6Addr,
    /// The code of the longest wait before an answer. See [`Self::max_resp_ms`].
    pub max_resp_code: u16,
    /// The version, with what version 2 adds.
    pub version: MldQueryVersion<'a>,
}

impl MldQuery<'_> {
    /// The longest wait before an answer, in milliseconds.
    pub fn max_resp_ms(&self) -> u32 {
        match self.version {
            MldQueryVersion::V1 => self.max_resp_code.into(),
            MldQueryVersion::V2(_) => group_record::decode_16(self.max_resp_code),
        }
    }
}

/// An MLD message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MldMessage<'a> {
    /// Who listens?
    Query(MldQuery<'a>),
    /// Version 1: a listener to `group` is here.
    ReportV1 {
        /// The group.
        group: Ipv6Addr,
    },
    /// Version 1: the last reporter stops listening to `group`.
    Done {
        /// The group.
        group: Ipv6Addr,
    },
    /// Version 2: what is listened to.
    ReportV2(GroupRecords<'a, Ipv6Addr>),
}

impl<'a> MldMessage<'a> {
    /// Whether an ICMPv6 type is one of MLD.
    pub const fn is_mld(kind: u8) -> bool {
        matches!(kind, QUERY | REPORT_V1 | DONE | REPORT_V2)
    }

    /// Reads a whole ICMPv6 message, whose checksum the caller has verified ([`icmpv6::verify`]).
    ///
    /// `Truncated` if shorter than its type or sources demand, `BadLength` for a query of a length that no version has,
    /// `Malformed` if the type is not one of MLD.
    pub fn parse(message: &'a [u8]) -> Result<Self, ParseError> {
        let kind = *message.first().ok_or(ParseError::Truncated)?;
        if kind == REPORT_V2 {
            return GroupRecords::of_report(message).map(Self::ReportV2);
        }
        if !Self::is_mld(kind) {
            return Err(ParseError::Malformed);
        }
        let (head, rest) = message.split_first_chunk::<LEN>().ok_or(ParseError::Truncated)?;
        let group = field::ipv6(head, 8);
        Ok(match kind {
            REPORT_V1 => Self::ReportV1 { group },
            DONE => Self::Done { group },
            _ => {
                let version = match message.len() {
                    LEN => MldQueryVersion::V1,
                    QUERY_V2_MIN_LEN.. => MldQueryVersion::V2(SourceQuery::parse(rest)?),
                    _ => return Err(ParseError::BadLength),
                };
                Self::Query(MldQuery { group, max_resp_code: field::be16(head, 4), version })
            }
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::Query(MldQuery { version: MldQueryVersion::V2(query), .. }) => LEN + query.len(),
            Self::Query(_) | Self::ReportV1 { .. } | Self::Done { .. } => LEN,
            Self::ReportV2(records) => records.report_len(),
        }
    }

    /// Writes [`Self::len`] bytes with the ICMPv6 checksum for `src` and `dst` at the front of `buf`, and returns their
    /// number.
    pub fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr, buf: &mut [u8]) -> usize {
        let len = self.len();
        let out = &mut buf[..len];
        match self {
            Self::Query(MldQuery { group, max_resp_code, version }) => {
                emit_head(QUERY, *max_resp_code, *group, out);
                if let MldQueryVersion::V2(query) = version {
                    query.emit(&mut out[LEN..]);
                }
            }
            Self::ReportV1 { group } => emit_head(REPORT_V1, 0, *group, out),
            Self::Done { group } => emit_head(DONE, 0, *group, out),
            Self::ReportV2(records) => records.emit_report(REPORT_V2, out),
        }
        icmpv6::finish(out, src, dst);
        len
    }
}

/// Writes a version 2 report of [`group_record::report_len`] bytes, of at most 65535 records, with its checksum at the
/// front of `buf`, and returns its length.
pub fn emit_report_v2(records: &[NewGroupRecord<'_, Ipv6Addr>], src: Ipv6Addr, dst: Ipv6Addr, buf: &mut [u8]) -> usize {
    let len = group_record::emit_report(REPORT_V2, records, buf);
    icmpv6::finish(&mut buf[..len], src, dst);
    len
}

fn emit_head(kind: u8, max_resp_code: u16, group: Ipv6Addr, out: &mut [u8]) {
    field::put(out, 0, &[kind, 0, 0, 0]);
    field::put16(out, 4, max_resp_code);
    field::put16(out, 6, 0);
    field::put(out, 8, &group.octets());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::ALL_MLDV2_ROUTERS;
    use crate::addr_list::AddrList;
    use crate::group_record::RecordKind;

    const SRC: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);

    fn emitted(message: &MldMessage<'_>) -> Vec<u8> {
        let mut buf = vec![0xff; message.len()];
        message.emit(SRC, GROUP, &mut buf);
        assert_eq!(icmpv6::verify(&buf, SRC, GROUP), Ok(()));
        buf
    }

    #[test]
    fn version_1_messages_stand_as_rfc_2710_draws_them() {
        let bytes = emitted(&MldMessage::ReportV1 { group: GROUP });
        assert_eq!((bytes[0], bytes[1], &bytes[4..8], &bytes[8..]), (131, 0, &[0; 4][..], &GROUP.octets()[..]));
        for message in [MldMessage::ReportV1 { group: GROUP }, MldMessage::Done { group: GROUP }] {
            assert_eq!(MldMessage::parse(&emitted(&message)), Ok(message));
        }
    }

    #[test]
    fn the_version_of_a_query_follows_from_its_length() {
        let sources = SRC.octets();
        let v2 = SourceQuery { suppress: false, qrv: 7, qqic: 0x80, sources: AddrList::new(&sources) };
        for (version, code, ms) in [(MldQueryVersion::V1, 0x8001, 0x8001), (MldQueryVersion::V2(v2), 0x8000, 32768)] {
            let query = MldQuery { group: GROUP, max_resp_code: code, version };
            let bytes = emitted(&MldMessage::Query(query));
            assert_eq!(MldMessage::parse(&bytes), Ok(MldMessage::Query(query)));
            assert_eq!(query.max_resp_ms(), ms);
        }
        assert_eq!(MldMessage::parse(&[&[130][..], &[0; 24]].concat()), Err(ParseError::BadLength));
        assert_eq!(MldMessage::parse(&[130; 23]), Err(ParseError::Truncated));
        assert_eq!(MldMessage::parse(&[128; 24]), Err(ParseError::Malformed));
    }

    #[test]
    fn a_version_2_report_reads_back() {
        let sources = [SRC];
        let records = [NewGroupRecord { kind: RecordKind::AllowNewSources, group: GROUP, sources: &sources }];
        let mut buf = vec![0xff; group_record::report_len(&records)];
        assert_eq!(emit_report_v2(&records, SRC, ALL_MLDV2_ROUTERS, &mut buf), 8 + 4 + 32);
        assert_eq!(icmpv6::verify(&buf, SRC, ALL_MLDV2_ROUTERS), Ok(()));
        let Ok(MldMessage::ReportV2(mut read)) = MldMessage::parse(&buf) else { panic!("not a report") };
        let record = read.next().unwrap().unwrap();
        assert_eq!((record.kind, record.group), (RecordKind::AllowNewSources, GROUP));
        assert_eq!(record.sources.iter().collect::<Vec<_>>(), sources);
    }
}
