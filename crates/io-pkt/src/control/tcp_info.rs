//! `struct tcp_info` of `<linux/tcp.h>`, as far as the engine knows what it asks for.

use stack::tcp::Info;
use stack::{Instant, SocketId, Stack};

/// Length in bytes of the structure up to and with `tcpi_snd_wnd`, `tcpi_rcv_wnd` (Linux 6).
pub const LEN: usize = 248;

/// `TCP_CLOSE` of `<netinet/tcp.h>`.
pub const CLOSED: u8 = 7;
/// `TCP_TIME_WAIT`.
pub const TIME_WAIT: u8 = 6;
/// TCP_INFINITE_SSTHRESH of Linux: there was no loss yet.
const SSTHRESH_NONE: u32 = i32::MAX as u32;

/// TCP_INFO of a socket; that of a closed one when the engine has let it go.
pub fn of(stack: &Stack, now: Instant, id: SocketId) -> Vec<u8> {
    let mut info = stack.tcp_info(now, id).unwrap_or(Info { state: CLOSED, ..Info::default() });
    if info.state == TIME_WAIT {
        info.state = CLOSED; // Linux takes TIME-WAIT away from the socket
    }
    lay_out(&info)
}

/// Lays a connection's facts out as Linux does: times in microseconds (the ages in milliseconds),
/// windows in segments where Linux counts segments.
pub fn lay_out(info: &Info) -> Vec<u8> {
    let mut b = Bytes(vec![0; LEN]);
    let segments = |bytes: u32| bytes.div_ceil(info.snd_mss.max(1));
    let micros = |d: stack::Duration| u32::try_from(d.as_micros()).unwrap_or(u32::MAX);
    let millis = |d: stack::Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let options = u8::from(info.timestamps) | u8::from(info.sack) << 1 | u8::from(info.scaling) << 2;
    b.0[0] = info.state;
    b.0[1] = info.ca_state;
    b.0[2] = info.retries;
    b.0[3] = info.probes;
    b.0[4] = info.backoff;
    b.0[5] = options;
    b.0[6] = info.snd_scale & 15 | info.rcv_scale << 4;
    b.u32(8, micros(info.rto));
    b.u32(12, 40_000); // ato: the delayed acknowledgement's time
    b.u32(16, info.snd_mss);
    b.u32(20, info.rcv_mss);
    b.u32(24, segments(info.unacked));
    b.u32(28, segments(info.sacked));
    b.u32(44, millis(info.last_data_sent));
    b.u32(52, millis(info.last_data_received));
    b.u32(56, millis(info.last_data_received)); // last_ack_recv
    b.u32(60, info.path_mtu);
    // On a loop a round trip may take no time that the clock shows; a measured one is never 0 in Linux.
    b.u32(68, micros(info.srtt).max(u32::from(info.snd_mss > 0)));
    b.u32(72, micros(info.rttvar));
    b.u32(76, if info.ssthresh >= SSTHRESH_NONE { SSTHRESH_NONE } else { segments(info.ssthresh) });
    b.u32(80, segments(info.cwnd));
    b.u32(84, info.snd_mss); // advmss
    b.u32(96, info.rcv_wnd); // rcv_space
    b.u32(100, info.retransmits); // total_retrans
    b.u32(144, info.not_sent); // notsent_bytes
    b.u32(148, micros(info.min_rtt));
    b.u32(228, info.snd_wnd);
    b.u32(232, info.rcv_wnd);
    b.0
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn u32(&mut self, at: usize, v: u32) {
        self.0[at..at + 4].copy_from_slice(&v.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_where_linux_has_them() {
        let info = Info {
            state: 1,
            sack: true,
            snd_mss: 1448,
            cwnd: 14_480,
            rto: stack::Duration::from_millis(200),
            ..Info::default()
        };
        let b = lay_out(&info);
        let at = |offset: usize| u32::from_ne_bytes(b[offset..offset + 4].try_into().expect("four"));
        assert_eq!((b[0], b[5]), (1, 2));
        assert_eq!(at(std::mem::offset_of!(libc::tcp_info, tcpi_rto)), 200_000);
        assert_eq!(at(std::mem::offset_of!(libc::tcp_info, tcpi_snd_mss)), 1448);
        assert_eq!(at(std::mem::offset_of!(libc::tcp_info, tcpi_snd_cwnd)), 10);
    }
}
