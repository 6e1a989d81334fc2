//! TCP options: MSS (RFC 9293 §3.7.1), window scale and timestamps (RFC 7323), SACK (RFC 2018).
//!
//! Other kinds are skipped. MSS, window scale and SACK-permitted count only on a SYN; that is the stack's to observe.

use crate::field;

use super::seq::SeqNr;

/// Room for options in the longest header, in bytes.
pub const MAX_OPTIONS_LEN: usize = 40;
/// SACK blocks that fit a header without other options (RFC 2018 §3).
pub const MAX_SACK_BLOCKS: usize = 4;
/// The largest shift that a window scale option may ask for (RFC 7323 §2.3).
pub const MAX_WINDOW_SCALE: u8 = 14;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

const TIMESTAMPS_LEN: usize = 10;
const SACK_BLOCK_LEN: usize = 8;

/// Up to [`MAX_SACK_BLOCKS`] ranges `(left, right)` of received data, the right edge exclusive, most recent first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SackBlocks {
    // Blocks at `count` and after are zero, so that derived equality compares contents.
    blocks: [(SeqNr, SeqNr); MAX_SACK_BLOCKS],
    count: u8,
}

impl SackBlocks {
    /// No blocks.
    pub const EMPTY: Self = Self { blocks: [(SeqNr(0), SeqNr(0)); MAX_SACK_BLOCKS], count: 0 };

    /// Appends a block; false, and nothing changed, if there is no room.
    pub fn push(&mut self, left: SeqNr, right: SeqNr) -> bool {
        match self.blocks.get_mut(usize::from(self.count)) {
            Some(slot) => {
                *slot = (left, right);
                self.count += 1;
                true
            }
            None => false,
        }
    }

    /// The blocks.
    pub fn as_slice(&self) -> &[(SeqNr, SeqNr)] {
        &self.blocks[..usize::from(self.count)]
    }

    /// Iterates over the blocks.
    pub fn iter(&self) -> impl Iterator<Item = (SeqNr, SeqNr)> + '_ {
        self.as_slice().iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<(SeqNr, SeqNr)> for SackBlocks {
    /// Takes the first [`MAX_SACK_BLOCKS`].
    fn from_iter<I: IntoIterator<Item = (SeqNr, SeqNr)>>(blocks: I) -> Self {
        let mut out = Self::EMPTY;
        for (left, right) in blocks.into_iter().take(MAX_SACK_BLOCKS) {
            out.push(left, right);
        }
        out
    }
}

/// The options of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TcpOptions {
    /// Largest segment payload that the sender takes, in bytes, never zero after parsing.
    pub mss: Option<u16>,
    /// Shift of the windows that the sender will announce, 0..=14 after parsing.
    pub window_scale: Option<u8>,
    /// The sender understands SACK.
    pub sack_permitted: bool,
    /// `(TSval, TSecr)`.
    pub timestamps: Option<(u32, u32)>,
    /// What the sender holds beyond its acknowledgement number.
    pub sack: SackBlocks,
}

impl TcpOptions {
    /// No options.
    pub const NONE: Self =
        Self { mss: None, window_scale: None, sack_permitted: false, timestamps: None, sack: SackBlocks::EMPTY };

    /// Reads the options area of a header. An unknown kind, or a known one with a wrong length, is skipped; a length
    /// that is below 2 or leaves the area ends the reading and what was read so far counts. A repeated option counts by
    /// its last occurrence.
    #[inline]
    pub fn parse(area: &[u8]) -> Self {
        let mut options = Self::NONE;
        // Established connections send exactly this; it spares them the walk.
        if let Some([NOP, NOP, TIMESTAMPS, 10, body @ ..]) = area.first_chunk::<12>()
            && area.len() == 12
        {
            options.timestamps = Some((field::be32(body, 0), field::be32(body, 4)));
            return options;
        }
        options.walk(area);
        options
    }

    /// Writes the options at the front of `buf`, padded to a multiple of 4, and returns the number of bytes:
    /// [`options_len`].
    ///
    /// The order is Linux's: MSS, SACK-permitted and timestamps, window scale, SACK. SACK blocks that find no room are
    /// left out.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) -> usize {
        let Self { mss, window_scale, sack_permitted, timestamps, sack } = self;
        let mut at = 0;
        let mut append = |bytes: &[u8]| {
            field::put(buf, at, bytes);
            at += bytes.len();
        };
        if let Some(mss) = mss {
            append(&[MSS, 4]);
            append(&mss.to_be_bytes());
        }
        if let Some((val, ecr)) = timestamps {
            // SACK-permitted is two bytes and fills the place of the alignment.
            append(if *sack_permitted { &[SACK_PERMITTED, 2] } else { &[NOP, NOP] });
            append(&[TIMESTAMPS, TIMESTAMPS_LEN as u8]);
            append(&val.to_be_bytes());
            append(&ecr.to_be_bytes());
        } else if *sack_permitted {
            append(&[NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some(shift) = window_scale {
            append(&[NOP, WINDOW_SCALE, 3, (*shift).min(MAX_WINDOW_SCALE)]);
        }
        let blocks = self.sack_blocks_that_fit();
        if blocks > 0 {
            // At most four blocks: the length is at most 34.
            append(&[NOP, NOP, SACK, (2 + SACK_BLOCK_LEN * blocks) as u8]);
            for (left, right) in sack.iter().take(blocks) {
                append(&left.0.to_be_bytes());
                append(&right.0.to_be_bytes());
            }
        }
        at
    }

    fn walk(&mut self, mut area: &[u8]) {
        loop {
            let (kind, body, rest) = match *area {
                [] | [END, ..] => return,
                [NOP, ref rest @ ..] => {
                    area = rest;
                    continue;
                }
                [kind, len, ref rest @ ..] => {
                    let Some(body_len) = usize::from(len).checked_sub(2) else { return };
                    let Some((body, rest)) = rest.split_at_checked(body_len) else { return };
                    (kind, body, rest)
                }
                [_] => return,
            };
            area = rest;
            self.read(kind, body);
        }
    }

    fn read(&mut self, kind: u8, body: &[u8]) {
        match (kind, body.len()) {
            (MSS, 2) => {
                // RFC 9293 forbids no value, but nothing can be sent in segments of none.
                self.mss = Some(field::be16(body, 0)).filter(|mss| *mss != 0);
            }
            // RFC 7323 §2.3: a larger shift is used as 14.
            (WINDOW_SCALE, 1) => self.window_scale = Some(body[0].min(MAX_WINDOW_SCALE)),
            (SACK_PERMITTED, 0) => self.sack_permitted = true,
            (TIMESTAMPS, 8) => self.timestamps = Some((field::be32(body, 0), field::be32(body, 4))),
            (SACK, len) if len % SACK_BLOCK_LEN == 0 => {
                self.sack = body
                    .chunks_exact(SACK_BLOCK_LEN)
                    .map(|block| (SeqNr(field::be32(block, 0)), SeqNr(field::be32(block, 4))))
                    .collect();
            }
            _ => {}
        }
    }

    fn len_without_sack(&self) -> usize {
        let Self { mss, window_scale, sack_permitted, timestamps, sack: _ } = self;
        let mss = if mss.is_some() { 4 } else { 0 };
        let window_scale = if window_scale.is_some() { 4 } else { 0 };
        let timestamps = match (timestamps, sack_permitted) {
            (Some(_), _) => 2 + TIMESTAMPS_LEN,
            (None, true) => 4,
            (None, false) => 0,
        };
        mss + window_scale + timestamps
    }

    fn sack_blocks_that_fit(&self) -> usize {
        let room = MAX_OPTIONS_LEN - self.len_without_sack();
        self.sack.len().min(room.saturating_sub(4) / SACK_BLOCK_LEN)
    }
}

/// Bytes that [`TcpOptions::emit`] writes, a multiple of 4 in 0..=40.
#[inline]
pub fn options_len(options: &TcpOptions) -> usize {
    let sack = match options.sack_blocks_that_fit() {
        0 => 0,
        blocks => 4 + SACK_BLOCK_LEN * blocks,
    };
    options.len_without_sack() + sack
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(count: u32) -> SackBlocks {
        (0..count).map(|i| (SeqNr(i * 100), SeqNr(i * 100 + 50))).collect()
    }

    fn emitted(options: &TcpOptions) -> Vec<u8> {
        let mut buf = [0xff; MAX_OPTIONS_LEN];
        let len = options.emit(&mut buf);
        assert_eq!(len, options_len(options));
        assert_eq!(len % 4, 0);
        buf[..len].to_vec()
    }

    #[test]
    fn a_segment_of_an_established_connection_carries_aligned_timestamps() {
        let options = TcpOptions { timestamps: Some((1, 2)), ..TcpOptions::NONE };
        assert_eq!(emitted(&options), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(TcpOptions::parse(&emitted(&options)), options);
    }

    #[test]
    fn sack_permitted_without_timestamps_is_aligned() {
        let options = TcpOptions { sack_permitted: true, ..TcpOptions::NONE };
        assert_eq!(emitted(&options), [1, 1, 4, 2]);
    }

    #[test]
    fn timestamps_leave_room_for_three_sack_blocks() {
        let options = TcpOptions { sack: blocks(4), ..TcpOptions::NONE };
        assert_eq!(TcpOptions::parse(&emitted(&options)), options);
        assert_eq!(emitted(&options).len(), 36);
        let stamped = TcpOptions { timestamps: Some((1, 2)), ..options };
        assert_eq!(emitted(&stamped).len(), 40);
        assert_eq!(TcpOptions::parse(&emitted(&stamped)).sack, blocks(3));
    }

    #[test]
    fn a_fifth_sack_block_finds_no_room() {
        let mut full = blocks(4);
        assert!(!full.push(SeqNr(1), SeqNr(2)));
        assert_eq!(full, blocks(5));
    }

    #[test]
    fn the_window_scale_is_clamped_to_14() {
        assert_eq!(TcpOptions::parse(&[3, 3, 15, 0]).window_scale, Some(14));
        assert_eq!(emitted(&TcpOptions { window_scale: Some(200), ..TcpOptions::NONE }), [1, 3, 3, 14]);
    }

    #[test]
    fn an_mss_of_zero_is_no_mss() {
        assert_eq!(TcpOptions::parse(&[2, 4, 0, 0]).mss, None);
    }

    #[test]
    fn unknown_kinds_are_skipped() {
        assert_eq!(TcpOptions::parse(&[254, 4, 9, 9, 2, 4, 2, 0]).mss, Some(512));
    }

    #[test]
    fn known_kinds_of_wrong_length_are_skipped() {
        let options = TcpOptions::parse(&[2, 3, 9, 3, 4, 9, 9, 4, 3, 9, 8, 4, 9, 9, 5, 4, 9, 9, 2, 4, 2, 0]);
        assert_eq!(options, TcpOptions { mss: Some(512), ..TcpOptions::NONE });
    }

    #[test]
    fn a_broken_length_ends_the_options_but_keeps_those_before() {
        let kept = TcpOptions { mss: Some(512), ..TcpOptions::NONE };
        for broken in [&[3, 0, 0, 4, 2][..], &[3, 1, 4, 2], &[3, 9, 4, 2], &[8], &[0, 3, 3, 7]] {
            let area = [&[2, 4, 2, 0], broken].concat();
            assert_eq!(TcpOptions::parse(&area), kept, "{broken:?}");
        }
    }
}
