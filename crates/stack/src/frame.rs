//! Frames as they cross between the engine and its links: bursts in, batches out.

use shm::Slice;

/// An interface's index: 1 is `lo0`, links follow in order of attachment (if_nametoindex(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl LinkId {
    pub const LOOPBACK: LinkId = LinkId(1);
}

/// Work that a link takes off the stack, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Fills in a TCP or UDP checksum given where it stands ([`TxCsum`]).
    pub tx_csum: bool,
    /// Cuts TCP over IPv4 / over IPv6 into segments.
    pub tso4: bool,
    pub tso6: bool,
    /// Cuts UDP into datagrams.
    pub uso: bool,
    /// Tells which received checksums are known good, and may merge TCP segments.
    pub rx_csum: bool,
    pub gro: bool,
}

/// What a link says about a received frame's TCP or UDP checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RxCsum {
    /// Nothing: verify it.
    #[default]
    Unknown,
    /// Known good (verified by the link, or never on a wire).
    Good,
}

/// One received frame, Ethernet header first.
#[derive(Clone, Copy, Debug)]
pub struct RxFrame<'a> {
    pub data: &'a [u8],
    pub csum: RxCsum,
    /// Payload bytes of each segment or datagram that a merged frame stands for.
    pub gso_size: Option<u16>,
}

/// The link is to fill in a checksum: from `start` to the end of the frame, stored at
/// `start + offset`, which holds the folded pseudo-header sum already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxCsum {
    pub start: u16,
    pub offset: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    Tcp4,
    Tcp6,
    Udp,
}

/// The link is to cut the payload into pieces of `size` bytes, each behind a copy of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    pub kind: GsoKind,
    /// Payload bytes a piece.
    pub size: u16,
    /// Bytes of all headers, Ethernet included.
    pub header_len: u16,
}

/// What follows a frame's header.
#[derive(Clone, Debug)]
pub enum Payload {
    None,
    /// Bytes in the batch's arena, right after the header.
    Inline(u32),
    /// Bytes of a ring, gathered by the driver; the second slice may be empty.
    Ring([Slice; 2]),
}

/// One frame on its way out.
#[derive(Clone, Debug)]
pub struct TxFrame {
    pub link: LinkId,
    /// Where in the batch's arena the headers (and inline payload) begin.
    pub start: u32,
    /// Bytes of headers, Ethernet first.
    pub header_len: u32,
    pub payload: Payload,
    pub csum: Option<TxCsum>,
    pub gso: Option<Gso>,
}

/// Frames to send, in order. The owner of the engine takes it with `Stack::take_transmit`, hands the
/// frames to the drivers, and gives it back cleared to reuse its memory.
#[derive(Default, Debug)]
pub struct TxBatch {
    pub arena: Vec<u8>,
    pub frames: Vec<TxFrame>,
}

impl TxBatch {
    pub fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
    }

    /// Header and inline payload of a frame.
    pub fn head(&self, frame: &TxFrame) -> &[u8] {
        let inline = if let Payload::Inline(n) = frame.payload { n } else { 0 };
        &self.arena[frame.start as usize..(frame.start + frame.header_len + inline) as usize]
    }

    /// Ring slices of a frame; empty when its payload is inline.
    pub fn slices<'a>(&self, frame: &'a TxFrame) -> &'a [Slice] {
        match &frame.payload {
            Payload::Ring(s) if s[1].is_empty() => &s[..1],
            Payload::Ring(s) => s,
            _ => &[],
        }
    }

    /// Length of the whole frame in bytes.
    pub fn len_of(&self, frame: &TxFrame) -> usize {
        self.head(frame).len() + self.slices(frame).iter().map(Slice::len).sum::<usize>()
    }

    /// The whole frame as contiguous bytes: for captures, tests, and links that cannot gather.
    pub fn to_vec(&self, frame: &TxFrame) -> Vec<u8> {
        let mut bytes = self.head(frame).to_vec();
        for s in self.slices(frame) {
            let at = bytes.len();
            bytes.resize(at + s.len(), 0);
            s.copy_out(0, &mut bytes[at..]);
        }
        bytes
    }
}
