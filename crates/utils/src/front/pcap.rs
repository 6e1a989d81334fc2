//! Reads a stream in the classic pcap format (draft-ietf-opsawg-pcap), as the daemon writes it: in
//! the byte order of this machine, with micro- or nanoseconds.

use std::io::{self, Read};
use std::time::Duration;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// No record is longer (tcpdump's own limit).
const RECORD_MAX: u32 = 262_144;

pub struct Records<R> {
    source: R,
    header: [u8; FILE_HEADER],
    /// Nanoseconds in a unit of the fraction.
    unit: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Since the epoch.
    pub time: Duration,
    /// Bytes of the frame on the link, of which `frame` may be the beginning.
    pub original_len: usize,
    pub frame: Vec<u8>,
    /// The record as it stood in the stream.
    pub raw: Vec<u8>,
}

impl<R: Read> Records<R> {
    /// `None` when the stream ended before it began.
    pub fn open(mut source: R) -> io::Result<Option<Records<R>>> {
        let mut header = [0; FILE_HEADER];
        if !fill(&mut source, &mut header)? {
            return Ok(None);
        }
        let unit = match word(&header, 0) {
            MICROSECONDS => 1000,
            NANOSECONDS => 1,
            magic => return Err(invalid(format!("not a capture ({magic:#010x})"))),
        };
        Ok(Some(Records { source, header, unit }))
    }

    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// `None` at the end of the stream, in the middle of a record too.
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        let mut raw = vec![0; RECORD_HEADER];
        if !fill(&mut self.source, &mut raw)? {
            return Ok(None);
        }
        let [seconds, fraction, len, original] = [0, 4, 8, 12].map(|at| word(&raw, at));
        if len > RECORD_MAX {
            return Err(invalid(format!("a record of {len} bytes")));
        }
        let mut frame = vec![0; len as usize];
        if !fill(&mut self.source, &mut frame)? {
            return Ok(None);
        }
        raw.extend_from_slice(&frame);
        let time =
            Duration::from_secs(seconds.into()) + Duration::from_nanos(u64::from(fraction) * u64::from(self.unit));
        Ok(Some(Record { time, original_len: original as usize, frame, raw }))
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |b| u32::from_ne_bytes(*b))
}

fn fill(source: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(magic: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut out = magic.to_ne_bytes().to_vec();
        out.resize(FILE_HEADER, 0);
        for (seconds, fraction, frame) in records {
            let len = frame.len() as u32;
            [*seconds, *fraction, len, len + 1].iter().for_each(|w| out.extend_from_slice(&w.to_ne_bytes()));
            out.extend_from_slice(frame);
        }
        out
    }

    #[test]
    fn records_are_read_until_the_stream_is_cut() {
        let whole = stream(MICROSECONDS, &[(1, 500_000, b"frame"), (2, 0, b"x")]);
        let mut r = Records::open(&whole[..whole.len() - 1]).expect("no error").expect("a header");
        let first = r.next().expect("no error").expect("a record");
        assert_eq!((first.time, first.original_len), (Duration::from_millis(1500), 6));
        assert_eq!((first.frame.as_slice(), first.raw.len()), (&b"frame"[..], 21));
        assert_eq!(r.next().expect("no error"), None);
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        assert!(Records::open(&b"definitely not a capture"[..]).is_err());
        assert!(Records::open(&b"cut"[..]).expect("no error").is_none());
        let mut long = stream(NANOSECONDS, &[(1, 0, b"")]);
        long[FILE_HEADER + 8..FILE_HEADER + 12].copy_from_slice(&u32::MAX.to_ne_bytes());
        let mut r = Records::open(&long[..]).expect("no error").expect("a header");
        assert!(r.next().is_err());
    }
}
