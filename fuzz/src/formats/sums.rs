//! The Internet checksum against the definition, two bytes at a time (RFC 1071).

use wire::checksum::{combine, finish, fold, is_valid, partial, partial_at, swap, update_bytes};

use crate::bytes::Bytes;

pub fn checksum(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let cut = usize::from(bytes.u16());
    let data = bytes.rest();
    assert_eq!(fold(partial(data)), plain(data));

    // Any cut gives the same sum, once the second half is turned round for an odd start.
    let (a, b) = data.split_at(cut.min(data.len()));
    let odd = a.len() % 2 == 1;
    assert_eq!(fold(combine(partial(a), partial_at(odd, b))), fold(partial(data)));
    assert_eq!(fold(if odd { swap(partial(b)) } else { partial(b) }), fold(partial_at(odd, b)));

    // A message with its own checksum is valid; a change carried into the checksum keeps it so (RFC 1624).
    let ck = finish(partial(data));
    assert!(is_valid(combine(partial(data), ck.into())));
    let (old, new) = (&a[..a.len() & !1], &b[..b.len() & !1]);
    let n = old.len().min(new.len());
    let (old, new) = (&old[..n], &new[..n]);
    let updated = update_bytes(finish(partial(old)), old, new);
    // All zeroes are the one case that has no sum (RFC 1624 §3); no header is.
    assert!(is_valid(combine(partial(new), updated.into())) || new.iter().all(|b| *b == 0));
}

fn plain(data: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in data.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
