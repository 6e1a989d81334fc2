//! IPv4 headers and options.

use wire::ParseError;
use wire::ipv4::{Ipv4Header, Ipv4Option, Ipv4Options};

use super::list_bound;

pub fn packet(data: &[u8]) {
    let Ok((header, area)) = Ipv4Header::parse_header(data) else {
        assert!(Ipv4Header::parse_unchecked_sum(data).is_err() && Ipv4Header::parse(data).is_err());
        return;
    };
    assert_eq!(area.len() + Ipv4Header::LEN, usize::from(header.header_len));
    assert!(header.frag_offset.is_multiple_of(8));
    options(area);

    // The flag that RFC 791 reserves is not kept; all else is.
    let mut out = [0xa5; Ipv4Header::MAX_LEN];
    assert_eq!(header.emit_with_options(area, &mut out), Ok(usize::from(header.header_len)));
    assert_eq!(Ipv4Header::parse_header(&out), Ok((header, area)));

    match Ipv4Header::parse_unchecked_sum(data) {
        Ok((whole, options, payload)) => {
            assert_eq!((whole, options), (header, area));
            assert_eq!(payload.len(), usize::from(header.payload_len()));
            let emitted = [&out[..header.header_len.into()], payload].concat();
            assert_eq!(Ipv4Header::parse(&emitted), Ok((header, area, payload)), "the emitted checksum fits");
        }
        Err(error) => {
            assert_eq!(error, ParseError::Truncated);
            assert!(usize::from(header.total_len) > data.len());
        }
    }
    if let Ok(whole) = Ipv4Header::parse(data) {
        assert_eq!(Ipv4Header::parse_unchecked_sum(data), Ok(whole));
    }
}

pub fn options(area: &[u8]) {
    let seen = &area[..area.len().min(Ipv4Header::MAX_OPTIONS_LEN)];
    let mut walk = Ipv4Options::new(area);
    let mut count = 0;
    loop {
        let before = walk.offset();
        let Some(option) = walk.next() else { break };
        count += 1;
        assert!(count <= list_bound(seen));
        match option {
            Ok(option) => {
                assert!(walk.offset() > before, "an option has a length");
                assert!(usize::from(walk.offset()) <= Ipv4Header::LEN + seen.len());
                assert!(option.route_addrs().count() <= seen.len() / 4);
                assert!(option.is_copied() || !matches!(option, Ipv4Option::RouterAlert { .. }));
            }
            Err(error) => {
                assert!((Ipv4Header::LEN..Ipv4Header::MAX_LEN).contains(&usize::from(error.pointer)));
                assert_eq!(walk.next(), None, "nothing follows an error");
            }
        }
    }
}
