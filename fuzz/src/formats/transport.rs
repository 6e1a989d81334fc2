//! UDP and TCP headers.

use wire::tcp::{MAX_OPTIONS_LEN, MAX_WINDOW_SCALE, TcpHeader, TcpOptions, options_len};
use wire::udp::UdpHeader;

pub fn udp(data: &[u8]) {
    let Ok((header, payload)) = UdpHeader::parse(data) else { return };
    assert_eq!(payload.len() + UdpHeader::LEN, usize::from(header.len));
    let mut out = [0xa5; UdpHeader::LEN];
    header.emit(&mut out);
    assert_eq!(out, data[..UdpHeader::LEN]);
    let pseudo = 0x1234_5678;
    let checksum = header.compute_checksum(payload, pseudo);
    let fixed = UdpHeader { checksum, ..header };
    assert!(checksum != 0 && fixed.verify(payload, pseudo));
    assert!(header.has_checksum() || !header.verify(payload, pseudo));
}

pub fn tcp(data: &[u8]) {
    let Ok((header, options, payload)) = TcpHeader::parse(data) else { return };
    let header_len = usize::from(header.header_len);
    assert_eq!(payload, &data[header_len..]);
    check_options(&options);
    assert_eq!(options, TcpOptions::parse(&data[TcpHeader::LEN..header_len]));
    let mut out = [0xa5; TcpHeader::MAX_LEN];
    let len = header.emit(&options, &mut out);
    let (again, options_again, rest) = TcpHeader::parse(&out[..len]).expect("an emitted header");
    assert_eq!(TcpHeader { header_len: header.header_len, ..again }, header);
    assert_eq!(usize::from(again.header_len), len);
    assert!(rest.is_empty());
    same_but_for_sack_without_room(&options_again, &options);
}

pub fn tcp_options(data: &[u8]) {
    let options = TcpOptions::parse(data);
    check_options(&options);
    let mut out = [0xa5; MAX_OPTIONS_LEN];
    let len = options.emit(&mut out);
    assert_eq!(len, options_len(&options));
    same_but_for_sack_without_room(&TcpOptions::parse(&out[..len]), &options);
}

fn check_options(options: &TcpOptions) {
    assert!(options.mss != Some(0));
    assert!(options.window_scale.is_none_or(|shift| shift <= MAX_WINDOW_SCALE));
    let len = options_len(options);
    assert!(len <= MAX_OPTIONS_LEN && len.is_multiple_of(4));
}

/// `emit` leaves out SACK blocks that find no room, the last ones first.
fn same_but_for_sack_without_room(emitted: &TcpOptions, options: &TcpOptions) {
    assert_eq!(TcpOptions { sack: options.sack, ..*emitted }, *options);
    assert!(options.sack.as_slice().starts_with(emitted.sack.as_slice()));
}
