//! Tunables of TCP, with the values that a fresh instance has.

use crate::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// First and largest receive buffer in bytes (net.inet.tcp.recvspace, recvbuf_max).
    pub rcvbuf: usize,
    pub rcvbuf_max: usize,
    /// First and largest send buffer in bytes.
    pub sndbuf: usize,
    pub sndbuf_max: usize,
    /// SYNs sent again before ETIMEDOUT.
    pub syn_retries: u32,
    /// SYN-ACKs sent again before the half-open connection is let go.
    pub synack_retries: u32,
    /// Retransmissions of data before ETIMEDOUT (RFC 9293 §3.8.3, R2).
    pub data_retries: u32,
    /// The same for a connection that no program holds any more, whatever its TCP_USER_TIMEOUT says
    /// (RFC 9293 §3.9.1.5 leaves it to us; Linux: tcp_orphan_retries, with the same eight).
    pub orphan_retries: u32,
    /// Twice the maximum segment lifetime.
    pub time_wait: Duration,
    /// How long an orphan stays in FIN_WAIT_2.
    pub fin_timeout: Duration,
    /// Longest wait with an acknowledgement (RFC 9293 §3.8.6.3: under 500 ms).
    pub delayed_ack: Duration,
    pub keep_idle: u32,
    pub keep_interval: u32,
    pub keep_count: u32,
    pub congestion: &'static str,
    pub ports: core::ops::RangeInclusive<u16>,
    /// Challenge acknowledgements in a second, for all connections (RFC 5961 §7).
    pub challenge_acks: u32,
    /// Half-open connections of one listener.
    pub syn_backlog: usize,
    /// Connections in TIME_WAIT; the oldest goes when one more comes.
    pub time_wait_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rcvbuf: 256 * 1024,
            rcvbuf_max: 4 << 20,
            sndbuf: 256 * 1024,
            sndbuf_max: 4 << 20,
            syn_retries: 6,
            synack_retries: 5,
            data_retries: 15,
            orphan_retries: 8,
            time_wait: Duration::from_secs(60),
            fin_timeout: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            keep_idle: 7200,
            keep_interval: 75,
            keep_count: 9,
            congestion: "cubic",
            ports: 32768..=60999,
            challenge_acks: 1000,
            syn_backlog: 1024,
            time_wait_max: 16_384,
        }
    }
}

impl Settings {
    /// The window scale offered: enough for the largest receive buffer (RFC 7323 §2.2).
    pub fn window_scale(&self) -> u8 {
        (0..=14u8).find(|&s| (65_535usize << s) >= self.rcvbuf_max).unwrap_or(14)
    }
}
