//! Between the engine's words for a frame and the modules'.

use abi::{Caps, Offload, raw};
use stack::{GsoKind, Offloads, RxCsum, RxFrame, TxBatch, TxFrame};

use super::link::Packet;
use super::pool::ReceivedFrame;

/// What a link takes off the engine.
pub fn offloads(caps: Caps) -> Offloads {
    let Caps { tx_csum, rx_csum, tso4, tso6, uso, rx_gso } = caps;
    Offloads { tx_csum, tso4, tso6, uso, rx_csum, gro: rx_gso }
}

/// A frame of the engine's batch, for [`super::LinkQueue::tx`].
pub fn packet<'a>(batch: &'a TxBatch, frame: &'a TxFrame) -> Packet<'a> {
    let mut offload = Offload::NONE;
    if let Some(csum) = frame.csum {
        offload.flags = raw::CSUM_PARTIAL;
        offload.csum_start = csum.start;
        offload.csum_offset = csum.offset;
    }
    if let Some(gso) = frame.gso {
        offload.gso_type = match gso.kind {
            GsoKind::Tcp4 => raw::GSO_TCPV4,
            GsoKind::Tcp6 => raw::GSO_TCPV6,
            GsoKind::Udp => raw::GSO_UDP,
        };
        offload.gso_size = gso.size;
        offload.hdr_len = gso.header_len;
    }
    Packet { head: batch.head(frame), slices: batch.slices(frame), offload }
}

/// A received frame, for the engine.
pub fn rx_frame(frame: ReceivedFrame<'_>) -> RxFrame<'_> {
    let ReceivedFrame { data, offload } = frame;
    let merged = offload.gso_kind() != raw::GSO_NONE && offload.gso_size > 0;
    RxFrame {
        data,
        csum: if offload.csum_is_good() { RxCsum::Good } else { RxCsum::Unknown },
        gso_size: merged.then_some(offload.gso_size),
    }
}
