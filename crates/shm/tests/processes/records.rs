//! Records: bytes that say by themselves who wrote them, in what order, and whether they are whole.

use std::collections::BTreeMap;

const HEAD: usize = 8;

/// The record number `number` of `writer`, of a length that varies from 8 to 1,500 bytes.
pub fn record(writer: u8, number: u32) -> Vec<u8> {
    let len = HEAD + (number as usize * 733 + usize::from(writer) * 97) % 1493;
    let mut bytes = Vec::with_capacity(len);
    bytes.extend([0xa5, writer, len as u8, (len >> 8) as u8]);
    bytes.extend(number.to_le_bytes());
    bytes.extend((HEAD..len).map(|at| (at as u32 * 7 + number + u32::from(writer)) as u8));
    bytes
}

/// The record at the beginning of `bytes`, if it is there as a whole: writer, number, length. Panics on damage.
pub fn parse(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let head: [u8; HEAD] = bytes.get(..HEAD)?.try_into().expect("so many bytes");
    assert_eq!(head[0], 0xa5, "a record begins here");
    let (writer, number) = (head[1], u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let expected = record(writer, number);
    let there = bytes.get(..expected.len())?;
    assert!(there == expected, "record {number} of {writer} is damaged");
    Some((writer, number, expected.len()))
}

/// What came of each writer: records 0, 1, 2, … without a gap.
#[derive(Default)]
pub struct Received {
    rest: Vec<u8>,
    next: BTreeMap<u8, u32>,
}

impl Received {
    pub fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut done = 0;
        while let Some((writer, number, len)) = parse(&self.rest[done..]) {
            let next = self.next.entry(writer).or_insert(0);
            assert_eq!(number, *next, "the next record of {writer}");
            *next += 1;
            done += len;
        }
        self.rest.drain(..done);
    }

    /// How many records came from a writer.
    pub fn count(&self, writer: u8) -> u32 {
        self.next.get(&writer).copied().unwrap_or(0)
    }

    /// Panics when a piece of a record is left.
    pub fn assert_whole(&self) {
        assert!(self.rest.is_empty(), "{} bytes of a record that was cut off", self.rest.len());
    }
}
