//! IPv6 headers, the chain of extension headers, their options.

use wire::ParseError;
use wire::ipv6::{
    ExtensionHeader, ExtensionHeaders, FragmentHeader, Ipv6Header, MAX_EXTENSION_HEADERS, OptionsArea, emit_padding,
    walk, walk_from,
};

use super::list_bound;

pub fn packet(data: &[u8]) {
    let Ok((header, rest)) = Ipv6Header::parse_header(data) else {
        assert!(Ipv6Header::parse(data).is_err());
        return;
    };
    let mut out = [0xa5; Ipv6Header::LEN];
    header.emit(&mut out);
    assert_eq!(out, data[..Ipv6Header::LEN]);
    match Ipv6Header::parse(data) {
        Ok((again, payload)) => {
            assert_eq!(again, header);
            assert_eq!(payload, &rest[..header.payload_len.into()]);
            extension_headers(header.next_header, payload);
        }
        Err(error) => {
            assert_eq!(error, ParseError::Truncated);
            assert!(usize::from(header.payload_len) > rest.len());
        }
    }
}

/// The first byte names the first header of the chain.
pub fn chain(data: &[u8]) {
    let Some((&next, payload)) = data.split_first() else { return };
    extension_headers(next, payload);
    let mut padding = vec![0xa5; usize::from(next)];
    emit_padding(&mut padding);
    option_list(OptionsArea { offset: Ipv6Header::LEN, area: &padding }, Ipv6Header::LEN + padding.len());
    if let Ok((fragment, rest)) = FragmentHeader::parse(payload) {
        let mut out = [0xa5; FragmentHeader::LEN];
        fragment.emit(&mut out);
        assert_eq!(FragmentHeader::parse(&out), Ok((fragment, &[][..])));
        assert_eq!(rest.len() + FragmentHeader::LEN, payload.len());
    }
}

fn extension_headers(next: u8, payload: &[u8]) {
    let total = Ipv6Header::LEN + payload.len();
    let mut headers = ExtensionHeaders::new(next, payload);
    let mut count = 0;
    while let Some(header) = headers.next() {
        count += 1;
        assert!(count <= MAX_EXTENSION_HEADERS + 1);
        match header {
            Ok(ExtensionHeader::HopByHop(area)) => {
                assert_eq!(count, 1, "hop-by-hop options come first");
                option_list(area, total);
            }
            Ok(ExtensionHeader::DestOptions(area)) => option_list(area, total),
            Ok(ExtensionHeader::Routing(routing)) => assert!(routing.unrecognized().offset < total),
            Ok(ExtensionHeader::Fragment(fragment)) => {
                assert_eq!(fragment.offset + FragmentHeader::LEN + fragment.payload.len(), total);
            }
            Err(error) => {
                // A header that is missing altogether stands one byte beyond the end.
                assert!(error.offset <= total);
                assert_eq!(headers.next(), None, "nothing follows an error");
            }
        }
        assert_eq!(headers.offset() + headers.rest().len(), total);
    }
    let Ok(chain) = walk(next, payload) else { return };
    assert_eq!(chain.payload, &payload[chain.upper_offset - Ipv6Header::LEN..]);
    assert!(chain.unrecognized().offset < total);
    if chain.next_field >= Ipv6Header::LEN {
        assert_eq!(payload[chain.next_field - Ipv6Header::LEN], chain.upper_proto);
    } else {
        assert_eq!((chain.next_field, chain.upper_proto), (Ipv6Header::NEXT_HEADER_OFFSET, next));
    }
    if let Some(fragment) = chain.fragment.filter(|_| chain.needs_reassembly())
        && let Ok(inner) = walk_from(fragment.header.next, fragment.offset, chain.upper_offset, chain.payload)
    {
        assert_eq!(inner.upper_offset + inner.payload.len(), total);
        assert!(inner.hop_by_hop.is_none());
    }
}

fn option_list(area: OptionsArea<'_>, total: usize) {
    let mut options = area.options();
    let (mut count, mut last) = (0, None);
    while let Some(option) = options.next() {
        count += 1;
        assert!(count <= list_bound(area.area));
        match option {
            Ok(option) => {
                assert!(option.offset < total && Some(option.offset) > last);
                last = Some(option.offset);
                assert_eq!(option.unrecognized().offset, option.offset);
                let _ = option.unknown_action();
            }
            Err(error) => {
                assert!(error.offset < total);
                assert_eq!(options.next(), None, "nothing follows an error");
            }
        }
    }
}
