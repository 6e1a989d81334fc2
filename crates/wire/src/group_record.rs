//! What IGMPv3 (RFC 3376 §4) and MLDv2 (RFC 3810 §5) have in common: group records, the source part of queries, and the
//! floating-point codes of times. The layouts are the same but for the size of an address.

use core::marker::PhantomData;

use crate::addr_list::{AddrList, PackedAddr};
use crate::error::ParseError;
use crate::field;

/// Bytes of a report before its records.
pub(crate) const REPORT_HEADER_LEN: usize = 8;

/// What a group record says (RFC 3376 §4.2.12, RFC 3810 §5.2.12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordKind {
    /// Current state: listening to the listed sources only (1).
    ModeIsInclude,
    /// Current state: listening to all but the listed sources (2).
    ModeIsExclude,
    /// The filter changed to include (3).
    ChangeToInclude,
    /// The filter changed to exclude (4).
    ChangeToExclude,
    /// Sources to add to what is heard (5).
    AllowNewSources,
    /// Sources to take from what is heard (6).
    BlockOldSources,
    /// Unknown; the record is to be ignored.
    Other(u8),
}

impl From<u8> for RecordKind {
    fn from(kind: u8) -> Self {
        match kind {
            1 => Self::ModeIsInclude,
            2 => Self::ModeIsExclude,
            3 => Self::ChangeToInclude,
            4 => Self::ChangeToExclude,
            5 => Self::AllowNewSources,
            6 => Self::BlockOldSources,
            other => Self::Other(other),
        }
    }
}

impl From<RecordKind> for u8 {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::ModeIsInclude => 1,
            RecordKind::ModeIsExclude => 2,
            RecordKind::ChangeToInclude => 3,
            RecordKind::ChangeToExclude => 4,
            RecordKind::AllowNewSources => 5,
            RecordKind::BlockOldSources => 6,
            RecordKind::Other(other) => other,
        }
    }
}

/// A group record that was received.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupRecord<'a, A> {
    /// What it says.
    pub kind: RecordKind,
    /// The group.
    pub group: A,
    /// The sources.
    pub sources: AddrList<'a, A>,
    /// Auxiliary data, to be ignored (RFC 3376 §4.2.10).
    pub aux: &'a [u8],
}

/// The records of a report that was received; an iterator over them. After an error there is nothing more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupRecords<'a, A> {
    count: u16,
    rest: &'a [u8],
    of: PhantomData<A>,
}

impl<'a, A: PackedAddr> GroupRecords<'a, A> {
    /// How many records are still to come, as the report announces.
    pub fn remaining(&self) -> u16 {
        self.count
    }

    /// Reads a report after its type; the message is at least [`REPORT_HEADER_LEN`] bytes.
    pub(crate) fn of_report(message: &'a [u8]) -> Result<Self, ParseError> {
        let (head, rest) = message.split_first_chunk::<REPORT_HEADER_LEN>().ok_or(ParseError::Truncated)?;
        Ok(Self { count: field::be16(head, 6), rest, of: PhantomData })
    }

    /// Bytes of a report that [`Self::emit_report`] writes.
    pub(crate) fn report_len(&self) -> usize {
        REPORT_HEADER_LEN + self.rest.len()
    }

    /// Writes a report but for its checksum.
    pub(crate) fn emit_report(&self, kind: u8, buf: &mut [u8]) {
        emit_report_header(kind, self.count, buf);
        field::put(buf, REPORT_HEADER_LEN, self.rest);
    }

    fn read(&self) -> Result<(GroupRecord<'a, A>, &'a [u8]), ParseError> {
        let (&head, rest) = self.rest.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
        let (group, rest) = rest.split_at_checked(A::LEN).ok_or(ParseError::Truncated)?;
        let sources_len = usize::from(field::be16(&head, 2)) * A::LEN;
        let (sources, rest) = rest.split_at_checked(sources_len).ok_or(ParseError::Truncated)?;
        let (aux, rest) = rest.split_at_checked(4 * usize::from(head[1])).ok_or(ParseError::Truncated)?;
        Ok((GroupRecord { kind: head[0].into(), group: A::read(group), sources: AddrList::new(sources), aux }, rest))
    }
}

impl<'a, A: PackedAddr> Iterator for GroupRecords<'a, A> {
    type Item = Result<GroupRecord<'a, A>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        Some(match self.read() {
            Ok((record, rest)) => {
                self.rest = rest;
                Ok(record)
            }
            Err(error) => {
                self.count = 0;
                Err(error)
            }
        })
    }
}

/// A group record to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NewGroupRecord<'a, A> {
    /// What it says.
    pub kind: RecordKind,
    /// The group.
    pub group: A,
    /// The sources, at most 65535; more are left out.
    pub sources: &'a [A],
}

impl<A: PackedAddr> NewGroupRecord<'_, A> {
    /// Bytes of the record.
    #[expect(clippy::len_without_is_empty, reason = "no record is empty")]
    pub fn len(&self) -> usize {
        4 + A::LEN * (1 + usize::from(self.source_count()))
    }

    fn source_count(&self) -> u16 {
        u16::try_from(self.sources.len()).unwrap_or(u16::MAX)
    }

    fn emit(&self, buf: &mut [u8]) {
        let Self { kind, group, sources } = *self;
        field::put(buf, 0, &[kind.into(), 0]);
        field::put16(buf, 2, self.source_count());
        group.write(&mut buf[4..]);
        let places = buf[4 + A::LEN..].chunks_exact_mut(A::LEN);
        for (source, place) in sources.iter().take(self.source_count().into()).zip(places) {
            source.write(place);
        }
    }
}

/// Bytes of a report of these records.
pub fn report_len<A: PackedAddr>(records: &[NewGroupRecord<'_, A>]) -> usize {
    REPORT_HEADER_LEN + records.iter().map(NewGroupRecord::len).sum::<usize>()
}

/// Writes a report but for its checksum, and returns its length.
pub(crate) fn emit_report<A: PackedAddr>(kind: u8, records: &[NewGroupRecord<'_, A>], buf: &mut [u8]) -> usize {
    let count = u16::try_from(records.len()).expect("a report holds at most 65535 records");
    emit_report_header(kind, count, buf);
    let mut at = REPORT_HEADER_LEN;
    for record in records {
        let len = record.len();
        record.emit(&mut buf[at..at + len]);
        at += len;
    }
    at
}

fn emit_report_header(kind: u8, count: u16, buf: &mut [u8]) {
    field::put(buf, 0, &[kind, 0, 0, 0, 0, 0]);
    field::put16(buf, 6, count);
}

/// The part of an IGMPv3 or MLDv2 query that older versions lack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SourceQuery<'a, A> {
    /// Routers do not restart their timers on this query (S flag).
    pub suppress: bool,
    /// Querier's robustness, 0..=7.
    pub qrv: u8,
    /// Querier's query interval code: [`decode_8`] gives seconds.
    pub qqic: u8,
    /// The sources asked about; none asks about the whole group.
    pub sources: AddrList<'a, A>,
}

impl<'a, A: PackedAddr> SourceQuery<'a, A> {
    const HEAD_LEN: usize = 4;

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
        let sources = rest.get(..usize::from(field::be16(head, 2)) * A::LEN).ok_or(ParseError::Truncated)?;
        Ok(Self { suppress: head[0] & 8 != 0, qrv: head[0] & 7, qqic: head[1], sources: AddrList::new(sources) })
    }

    pub(crate) fn len(&self) -> usize {
        Self::HEAD_LEN + self.sources.as_bytes().len()
    }

    pub(crate) fn emit(&self, buf: &mut [u8]) {
        let Self { suppress, qrv, qqic, sources } = self;
        field::put(buf, 0, &[u8::from(*suppress) << 3 | qrv & 7, *qqic]);
        // A list is read from a field of this size, or shorter than the largest IP packet.
        field::put16(buf, 2, sources.len() as u16);
        field::put(buf, Self::HEAD_LEN, sources.as_bytes());
    }
}

/// The value of an 8-bit code: itself below 128, else `(mant | 0x10) << (exp + 3)` (RFC 3376 §4.1.1, §4.1.7).
pub const fn decode_8(code: u8) -> u32 {
    match code {
        0..0x80 => code as u32,
        _ => ((code & 0xf) as u32 | 0x10) << ((code >> 4 & 7) + 3),
    }
}

/// The value of a 16-bit code: itself below 32768, else `(mant | 0x1000) << (exp + 3)` (RFC 3810 §5.1.3).
pub const fn decode_16(code: u16) -> u32 {
    match code {
        0..0x8000 => code as u32,
        _ => ((code & 0xfff) as u32 | 0x1000) << ((code >> 12 & 7) + 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn codes_are_linear_below_and_exponential_above() {
        assert_eq!([0, 127, 128, 0x8f, 0xff].map(decode_8), [0, 127, 128, 248, 31744]);
        assert_eq!([0, 0x7fff, 0x8000, 0xffff].map(decode_16), [0, 32767, 32768, 8387584]);
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        let group = Ipv4Addr::new(232, 1, 1, 1);
        let sources = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let records = [
            NewGroupRecord { kind: RecordKind::AllowNewSources, group, sources: &sources },
            NewGroupRecord { kind: RecordKind::ChangeToExclude, group, sources: &[] },
        ];
        let mut buf = vec![0xff; report_len(&records)];
        assert_eq!(emit_report(0x22, &records, &mut buf), buf.len());
        assert_eq!(buf[8..20], [5, 0, 0, 2, 232, 1, 1, 1, 10, 0, 0, 1]);
        let read: Vec<_> = GroupRecords::<Ipv4Addr>::of_report(&buf).unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].sources.iter().collect::<Vec<_>>(), sources);
        assert_eq!((read[1].kind, read[1].group, read[1].sources.len()), (RecordKind::ChangeToExclude, group, 0));
    }

    #[test]
    fn auxiliary_data_is_stepped_over_and_a_short_record_ends_the_walk() {
        let report = [0x22, 0, 0, 0, 0, 0, 0, 3, 1, 1, 0, 0, 224, 0, 0, 9, 9, 9, 9, 9, 2, 0, 0, 1, 224, 0, 0, 8, 1];
        let mut records = GroupRecords::<Ipv4Addr>::of_report(&report).unwrap();
        assert_eq!(records.next().unwrap().unwrap().aux, [9; 4]);
        assert_eq!(records.next(), Some(Err(ParseError::Truncated)));
        assert_eq!(records.next(), None);
    }
}
