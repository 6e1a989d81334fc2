//! IGMP versions 1 to 3 (RFC 1112 appendix I, RFC 2236, RFC 3376). Timers and filters are the stack's.

use core::net::Ipv4Addr;

use crate::checksum;
use crate::error::ParseError;
use crate::field;
use crate::group_record::{self, GroupRecords, NewGroupRecord, SourceQuery};

/// Membership query.
pub const QUERY: u8 = 0x11;
/// Version 1 membership report.
pub const REPORT_V1: u8 = 0x12;
/// Version 2 membership report.
pub const REPORT_V2: u8 = 0x16;
/// Leave group.
pub const LEAVE: u8 = 0x17;
/// Version 3 membership report.
pub const REPORT_V3: u8 = 0x22;

/// Bytes of the messages of versions 1 and 2, and of the part of a query that all have.
const LEN: usize = 8;
/// Bytes of a version 3 query without sources.
const QUERY_V3_MIN_LEN: usize = 12;
/// What a version 1 query means: ten seconds, in tenths (RFC 2236 §4).
const V1_MAX_RESP_TENTHS: u32 = 100;

/// The version of a query, told by its length and code (RFC 3376 §7.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IgmpQueryVersion<'a> {
    /// 8 bytes and a code of zero.
    V1,
    /// 8 bytes.
    V2,
    /// 12 bytes or more.
    V3(SourceQuery<'a, Ipv4Addr>),
}

/// A membership query.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IgmpQuery<'a> {
    /// The group asked about; unspecified in a general query.
    pub group: Ipv4Addr,
    /// The code of the longest wait before an answer; zero in version 1. See [`Self::max_resp_tenths`].
    pub max_resp_code: u8,
    /// The version, with what version 3 adds.
    pub version: IgmpQueryVersion<'a>,
}

impl IgmpQuery<'_> {
    /// The longest wait before an answer, in tenths of a second, 0..=31744.
    pub fn max_resp_tenths(&self) -> u32 {
        match self.version {
            IgmpQueryVersion::V1 => V1_MAX_RESP_TENTHS,
            IgmpQueryVersion::V2 => self.max_resp_code.into(),
            IgmpQueryVersion::V3(_) => group_record::decode_8(self.max_resp_code),
        }
    }
}

/// An IGMP message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IgmpMessage<'a> {
    /// Who listens?
    Query(IgmpQuery<'a>),
    /// Version 1: a member of `group` is here.
    ReportV1 {
        /// The group.
        group: Ipv4Addr,
    },
    /// Version 2: a member of `group` is here.
    ReportV2 {
        /// The group.
        group: Ipv4Addr,
    },
    /// Version 2: the last reporter leaves `group`.
    Leave {
        /// The group.
        group: Ipv4Addr,
    },
    /// Version 3: what is listened to.
    ReportV3(GroupRecords<'a, Ipv4Addr>),
}

impl<'a> IgmpMessage<'a> {
    /// Reads a message (the whole IP payload) and verifies its checksum.
    ///
    /// `Truncated` if shorter than 8 bytes or than its sources, `BadChecksum` if the checksum is wrong, `BadLength` for
    /// a query of a length that no version has (RFC 3376 §7.1), `Malformed` for an unknown type, which RFC 3376 §4
    /// tells to ignore.
    pub fn parse(message: &'a [u8]) -> Result<Self, ParseError> {
        let (head, rest) = message.split_first_chunk::<LEN>().ok_or(ParseError::Truncated)?;
        if !checksum::is_valid(checksum::partial(message)) {
            return Err(ParseError::BadChecksum);
        }
        let group = field::ipv4(head, 4);
        match head[0] {
            QUERY => {
                let max_resp_code = head[1];
                let version = match message.len() {
                    LEN if max_resp_code == 0 => IgmpQueryVersion::V1,
                    LEN => IgmpQueryVersion::V2,
                    QUERY_V3_MIN_LEN.. => IgmpQueryVersion::V3(SourceQuery::parse(rest)?),
                    _ => return Err(ParseError::BadLength),
                };
                Ok(Self::Query(IgmpQuery { group, max_resp_code, version }))
            }
            REPORT_V1 => Ok(Self::ReportV1 { group }),
            REPORT_V2 => Ok(Self::ReportV2 { group }),
            LEAVE => Ok(Self::Leave { group }),
            REPORT_V3 => GroupRecords::of_report(message).map(Self::ReportV3),
            _ => Err(ParseError::Malformed),
        }
    }

    /// Bytes that [`Self::emit`] writes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::Query(IgmpQuery { version: IgmpQueryVersion::V3(query), .. }) => LEN + query.len(),
            Self::Query(_) | Self::ReportV1 { .. } | Self::ReportV2 { .. } | Self::Leave { .. } => LEN,
            Self::ReportV3(records) => records.report_len(),
        }
    }

    /// Writes [`Self::len`] bytes with their checksum at the front of `buf`, and returns their number.
    pub fn emit(&self, buf: &mut [u8]) -> usize {
        let len = self.len();
        let out = &mut buf[..len];
        match self {
            Self::Query(IgmpQuery { group, max_resp_code, version }) => {
                emit_head(QUERY, *max_resp_code, *group, out);
                if let IgmpQueryVersion::V3(query) = version {
                    query.emit(&mut out[LEN..]);
                }
            }
            Self::ReportV1 { group } => emit_head(REPORT_V1, 0, *group, out),
            Self::ReportV2 { group } => emit_head(REPORT_V2, 0, *group, out),
            Self::Leave { group } => emit_head(LEAVE, 0, *group, out),
            Self::ReportV3(records) => records.emit_report(REPORT_V3, out),
        }
        finish(out);
        len
    }
}

/// Writes a version 3 report of [`group_record::report_len`] bytes, of at most 65535 records, with its checksum at the
/// front of `buf`, and returns its length.
pub fn emit_report_v3(records: &[NewGroupRecord<'_, Ipv4Addr>], buf: &mut [u8]) -> usize {
    let len = group_record::emit_report(REPORT_V3, records, buf);
    finish(&mut buf[..len]);
    len
}

fn emit_head(kind: u8, code: u8, group: Ipv4Addr, out: &mut [u8]) {
    field::put(out, 0, &[kind, code, 0, 0]);
    field::put(out, 4, &group.octets());
}

fn finish(message: &mut [u8]) {
    let ck = checksum::finish(checksum::partial(message));
    field::put16(message, 2, ck);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr_list::AddrList;
    use crate::group_record::RecordKind;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

    fn emitted(message: &IgmpMessage<'_>) -> Vec<u8> {
        let mut buf = vec![0xff; message.len()];
        message.emit(&mut buf);
        buf
    }

    #[test]
    fn a_v2_report_reads_and_writes_as_rfc_2236_draws_it() {
        // 1600 + ef01 + 0203 = 10704, folded 0705, complement f8fa.
        let bytes = [0x16, 0, 0xf8, 0xfa, 239, 1, 2, 3];
        assert_eq!(IgmpMessage::parse(&bytes), Ok(IgmpMessage::ReportV2 { group: GROUP }));
        assert_eq!(emitted(&IgmpMessage::ReportV2 { group: GROUP }), bytes);
        assert_eq!(IgmpMessage::parse(&bytes[..7]), Err(ParseError::Truncated));
        let mut bad = bytes;
        bad[7] = 4;
        assert_eq!(IgmpMessage::parse(&bad), Err(ParseError::BadChecksum));
    }

    #[test]
    fn the_version_of_a_query_follows_from_length_and_code() {
        let query = |max_resp_code, version| IgmpQuery { group: GROUP, max_resp_code, version };
        let sources = [10, 0, 0, 1];
        let v3 = SourceQuery { suppress: true, qrv: 2, qqic: 125, sources: AddrList::new(&sources) };
        for (query, tenths) in [
            (query(0, IgmpQueryVersion::V1), 100),
            (query(200, IgmpQueryVersion::V2), 200),
            (query(0x8f, IgmpQueryVersion::V3(v3)), 248),
        ] {
            let bytes = emitted(&IgmpMessage::Query(query));
            assert_eq!(IgmpMessage::parse(&bytes), Ok(IgmpMessage::Query(query)));
            assert_eq!(query.max_resp_tenths(), tenths);
        }
        let odd = {
            let mut bytes = vec![0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0];
            finish(&mut bytes);
            bytes
        };
        assert_eq!(IgmpMessage::parse(&odd), Err(ParseError::BadLength));
    }

    #[test]
    fn sources_must_be_there() {
        let mut bytes = vec![0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 10, 0, 0, 1];
        finish(&mut bytes);
        assert_eq!(IgmpMessage::parse(&bytes), Err(ParseError::Truncated));
    }

    #[test]
    fn a_v3_report_reads_back() {
        let records = [NewGroupRecord { kind: RecordKind::ChangeToExclude, group: GROUP, sources: &[] }];
        let mut buf = [0xff; 16];
        assert_eq!(emit_report_v3(&records, &mut buf), 16);
        let message = IgmpMessage::parse(&buf).unwrap();
        let IgmpMessage::ReportV3(mut read) = message else { panic!("{message:?}") };
        assert_eq!(read.next().unwrap().unwrap().group, GROUP);
        assert_eq!(read.next(), None);
        assert_eq!(emitted(&message), buf);
    }

    #[test]
    fn unknown_types_are_malformed() {
        let mut bytes = vec![0x99, 0, 0, 0, 0, 0, 0, 0];
        finish(&mut bytes);
        assert_eq!(IgmpMessage::parse(&bytes), Err(ParseError::Malformed));
    }
}
