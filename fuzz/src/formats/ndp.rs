//! Neighbour discovery.

use std::net::Ipv6Addr;

use wire::icmpv6;
use wire::ndp::{NdpMessage, NdpOption, NdpOptions, RouteInfo};

use super::list_bound;
use crate::bytes::Bytes;

/// The addresses and the hop limit of the packet come first.
pub fn message(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (src, dst) = (Ipv6Addr::from(bytes.array::<16>()), Ipv6Addr::from(bytes.array::<16>()));
    let hop_limit = bytes.u8();
    let data = bytes.rest();
    let mut walk = NdpOptions::new(data);
    let mut count = 0;
    while let Some(option) = walk.next() {
        count += 1;
        assert!(count <= list_bound(data));
        if option.is_err() {
            assert_eq!(walk.next(), None, "nothing follows an error");
        }
    }
    let Ok((message, options)) = NdpMessage::parse(data) else { return };
    if message.validate(&options, src, dst, hop_limit).is_ok() {
        assert_eq!(hop_limit, 255);
    }
    let list: Vec<NdpOption<'_>> =
        options.map(|option| option.expect("a parsed message has no broken option")).collect();
    let mut out = vec![0xa5; message.len(&list)];
    assert!(out.len() <= data.len());
    assert_eq!(message.emit(&list, src, dst, &mut out), out.len());
    assert_eq!(icmpv6::verify(&out, src, dst), Ok(()));
    let (again, options) = NdpMessage::parse(&out).expect("what was emitted is valid");
    assert_eq!(again, message);
    let same = options.zip(&list).all(|(new, old)| new.is_ok_and(|new| meaning(new) == meaning(*old)));
    assert!(same && NdpMessage::parse(&out).is_ok_and(|(_, o)| o.count() == list.len()));
}

/// An option without what it says is to be ignored: the bits of a route beyond its prefix.
fn meaning(option: NdpOption<'_>) -> NdpOption<'_> {
    match option {
        NdpOption::RouteInfo(info) => {
            let kept = 128 - u32::from(info.prefix_len.div_ceil(64)) * 64;
            let bits = info.prefix.to_bits();
            let prefix = Ipv6Addr::from_bits(bits.checked_shr(kept).and_then(|b| b.checked_shl(kept)).unwrap_or(0));
            NdpOption::RouteInfo(RouteInfo { prefix, ..info })
        }
        other => other,
    }
}
