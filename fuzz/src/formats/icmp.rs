//! ICMP of both families.

use std::net::Ipv6Addr;

use wire::icmpv4::Icmpv4Message;
use wire::icmpv6::{self, Icmpv6Message};

use super::with_checksum;
use crate::bytes::Bytes;

pub fn v4(data: &[u8]) {
    if let Some(fixed) = with_checksum(data) {
        assert_eq!(Icmpv4Message::parse(&fixed).is_ok(), Icmpv4Message::parse_unchecked(data).is_ok());
    }
    let Ok(message) = Icmpv4Message::parse_unchecked(data) else {
        assert!(Icmpv4Message::parse(data).is_err());
        return;
    };
    assert!(message.len() <= data.len());
    assert_eq!(message.kind(), data[0]);
    let emitted = message.to_vec();
    assert_eq!(emitted.len(), message.len());
    assert_eq!(Icmpv4Message::parse(&emitted), Ok(message));
    assert!(message.original().is_none_or(|original| original.len() + 8 == data.len()));
}

/// The addresses of the pseudo-header come first.
pub fn v6(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (src, dst) = (Ipv6Addr::from(bytes.array::<16>()), Ipv6Addr::from(bytes.array::<16>()));
    let data = bytes.rest();
    if data.len() >= 4 {
        let mut fixed = data.to_vec();
        icmpv6::finish(&mut fixed, src, dst);
        assert_eq!(icmpv6::verify(&fixed, src, dst), Ok(()));
        assert_eq!(Icmpv6Message::parse(&fixed, src, dst).is_ok(), Icmpv6Message::parse_unchecked(data).is_ok());
    }
    let Ok(message) = Icmpv6Message::parse_unchecked(data) else {
        assert!(Icmpv6Message::parse(data, src, dst).is_err());
        return;
    };
    assert_eq!((message.len(), message.kind()), (data.len(), data[0]));
    assert_eq!(message.is_error(), message.kind() < 128);
    let emitted = message.to_vec(src, dst);
    assert_eq!(Icmpv6Message::parse(&emitted, src, dst), Ok(message));
}
