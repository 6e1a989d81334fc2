//! DNS messages (RFC 1035 §4): a query out, a response in.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in its wire form, and longest label (RFC 1035 §2.3.4).
const NAME_MAX: usize = 255;
const LABEL_MAX: usize = 63;
/// Header before the question (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Most records of a response that are looked at.
const RECORDS_MAX: usize = 512;
const CLASS_IN: u16 = 1;

/// The type of a question or record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordType(pub u16);

impl RecordType {
    pub const A: RecordType = RecordType(1);
    pub const CNAME: RecordType = RecordType(5);
    pub const PTR: RecordType = RecordType(12);
    pub const AAAA: RecordType = RecordType(28);
}

/// A domain name in its wire form: at most 255 bytes, labels of 1 to 63 bytes, ended by the root.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// Reads the dotted text form; a final dot changes nothing. `None` for what cannot be a name.
    pub fn from_text(text: &str) -> Option<Name> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        if !text.is_empty() {
            for label in text.split('.') {
                if label.is_empty() || label.len() > LABEL_MAX {
                    return None;
                }
                wire.push(label.len() as u8);
                wire.extend_from_slice(label.as_bytes());
            }
        }
        wire.push(0);
        (wire.len() <= NAME_MAX).then_some(Name(wire))
    }

    /// The name under which an address is looked up (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn reverse(addr: IpAddr) -> Name {
        let text = match addr {
            IpAddr::V4(a) => {
                let [a, b, c, d] = a.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(a) => {
                let nibbles = a.octets().into_iter().rev().flat_map(|b| [b & 15, b >> 4]);
                nibbles.map(|n| format!("{n:x}.")).collect::<String>() + "ip6.arpa"
            }
        };
        Name::from_text(&text).unwrap_or(Name(vec![0]))
    }

    /// Reads a name that may be compressed (RFC 1035 §4.1.4), and how many bytes it takes where it
    /// stands. A pointer must point backwards, before the place where the last one led, so that no
    /// chain can loop.
    fn read(message: &[u8], at: usize) -> Option<(Name, usize)> {
        let mut wire = Vec::new();
        let (mut pos, mut limit) = (at, at);
        let mut end = None;
        loop {
            let len = usize::from(*message.get(pos)?);
            match len {
                0 => {
                    wire.push(0);
                    return (wire.len() <= NAME_MAX).then(|| (Name(wire), end.unwrap_or(pos + 1) - at));
                }
                1..=LABEL_MAX => {
                    wire.extend_from_slice(message.get(pos..pos + 1 + len)?);
                    if wire.len() >= NAME_MAX {
                        return None;
                    }
                    pos += 1 + len;
                }
                0xc0.. => {
                    let target = (len & 0x3f) << 8 | usize::from(*message.get(pos + 1)?);
                    if target >= limit {
                        return None;
                    }
                    end.get_or_insert(pos + 2);
                    (pos, limit) = (target, target);
                }
                _ => return None,
            }
        }
    }

    fn is_same(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// Whether it is a host name (RFC 1123 §2.1, with the underscore that is met in practice): what
    /// programs may be given without surprise.
    pub fn is_host_name(&self) -> bool {
        self.labels().all(|l| l.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
            && self.labels().next().is_some_and(|l| l[0] != b'-')
    }

    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        core::iter::from_fn(move || {
            let (&len, after) = rest.split_first()?;
            if len == 0 {
                return None;
            }
            let (label, next) = after.split_at_checked(usize::from(len))?;
            rest = next;
            Some(label)
        })
    }
}

/// The dotted form without the final dot; a byte that is not printable as `\DDD`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.labels().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            for &b in label {
                match b {
                    b'.' | b'\\' => write!(f, "\\{}", b as char)?,
                    0x21..=0x7e => write!(f, "{}", b as char)?,
                    _ => write!(f, "\\{b:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A query with recursion desired and one question.
pub fn query(id: u16, name: &Name, kind: RecordType) -> Vec<u8> {
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut m = Vec::with_capacity(HEADER + name.0.len() + 4);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        m.extend_from_slice(&word.to_be_bytes());
    }
    m.extend_from_slice(&name.0);
    m.extend_from_slice(&kind.0.to_be_bytes());
    m.extend_from_slice(&CLASS_IN.to_be_bytes());
    m
}

/// RCODE (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NoError,
    NoSuchName,
    /// The server cannot or will not: another may.
    Other(u8),
}

/// What a response says about its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub code: Code,
    /// It did not fit: ask again over TCP (RFC 1035 §4.2.1).
    pub truncated: bool,
    /// The name that the aliases led to.
    pub canonical: Name,
    pub addresses: Vec<IpAddr>,
    /// Names that PTR records gave.
    pub names: Vec<Name>,
}

/// The 16-bit word at `at`, in network order.
fn word(m: &[u8], at: usize) -> Option<u16> {
    m.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Reads a response to `query(id, name, kind)`; `None` when it is not one, or is malformed.
pub fn response(m: &[u8], id: u16, name: &Name, kind: RecordType) -> Option<Response> {
    const RESPONSE: u16 = 0x8000;
    const OPCODE: u16 = 0x7800;
    const TRUNCATED: u16 = 0x0200;
    let flags = word(m, 2)?;
    if word(m, 0)? != id || flags & RESPONSE == 0 || flags & OPCODE != 0 || word(m, 4)? != 1 {
        return None;
    }
    let (asked, len) = Name::read(m, HEADER)?;
    let question_end = HEADER + len;
    if !asked.is_same(name) || word(m, question_end)? != kind.0 || word(m, question_end + 2)? != CLASS_IN {
        return None;
    }
    let truncated = flags & TRUNCATED != 0;
    let code = match (flags & 15) as u8 {
        0 => Code::NoError,
        3 => Code::NoSuchName,
        other => Code::Other(other),
    };
    let mut r = Response { code, truncated, canonical: name.clone(), addresses: Vec::new(), names: Vec::new() };
    if truncated {
        return Some(r);
    }
    let records = records(m, question_end + 4, word(m, 6)?)?;
    r.canonical = end_of_aliases(m, &records, name)?;
    for record in records.iter().filter(|d| d.kind == kind && d.owner.is_same(&r.canonical)) {
        let data = m.get(record.data..record.data + record.len)?;
        match kind {
            RecordType::A => r.addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            RecordType::AAAA => r.addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            RecordType::PTR => r.names.push(Name::read(m, record.data)?.0),
            _ => {}
        }
    }
    Some(r)
}

/// One record of the answer section; its data by its place in the message.
struct Record {
    owner: Name,
    kind: RecordType,
    data: usize,
    len: usize,
}

fn records(m: &[u8], mut at: usize, count: u16) -> Option<Vec<Record>> {
    /// Type, class, TTL, length (RFC 1035 §4.1.3).
    const FIXED: usize = 10;
    let mut records = Vec::new();
    for _ in 0..usize::from(count).min(RECORDS_MAX) {
        let (owner, len) = Name::read(m, at)?;
        at += len;
        let len = usize::from(word(m, at + 8)?);
        let record = Record { owner, kind: RecordType(word(m, at)?), data: at + FIXED, len };
        let is_internet = word(m, at + 2)? == CLASS_IN;
        at += FIXED + len;
        if at > m.len() {
            return None;
        }
        if is_internet {
            records.push(record);
        }
    }
    Some(records)
}

/// Follows the CNAME records of one message, whatever their order (RFC 1034 §3.6.2).
fn end_of_aliases(m: &[u8], records: &[Record], name: &Name) -> Option<Name> {
    const ALIASES_MAX: usize = 16;
    let mut name = name.clone();
    for _ in 0..ALIASES_MAX {
        let alias = records.iter().find(|r| r.kind == RecordType::CNAME && r.owner.is_same(&name));
        match alias {
            Some(r) => name = Name::read(m, r.data)?.0,
            None => return Some(name),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).expect("a name of this test")
    }

    /// A response to `name A` with the records given as (owner, type, data) in wire form.
    fn reply(id: u16, asked: &Name, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut m = query(id, asked, RecordType::A);
        m[2] = 0x81;
        m[3] = 0x80;
        m[7] = records.len() as u8;
        for (owner, kind, data) in records {
            m.extend_from_slice(owner);
            m.extend_from_slice(&kind.to_be_bytes());
            m.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            m.extend_from_slice(&(data.len() as u16).to_be_bytes());
            m.extend_from_slice(data);
        }
        m
    }

    #[test]
    fn addresses_are_found_behind_aliases_in_any_order() {
        let asked = name("www.example");
        let real = name("real.example");
        let m =
            reply(7, &asked, &[(&real.0, 1, &[10, 0, 0, 1]), (&[0xc0, 12], 5, &real.0), (b"\x05other\0", 1, &[6; 4])]);
        let r = response(&m, 7, &name("WWW.example."), RecordType::A).expect("well formed");
        assert_eq!(r.addresses, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(r.canonical.to_string(), "real.example");
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let asked = name("www.example");
        let m = reply(7, &asked, &[]);
        assert!(response(&m, 7, &asked, RecordType::A).is_some());
        assert!(response(&m, 8, &asked, RecordType::A).is_none());
        assert!(response(&m, 7, &name("x.example"), RecordType::A).is_none());
        assert!(response(&m, 7, &asked, RecordType::AAAA).is_none());
        assert!(response(&query(7, &asked, RecordType::A), 7, &asked, RecordType::A).is_none());
    }

    #[test]
    fn compression_loops_forward_pointers_and_alias_loops_are_refused() {
        let asked = name("a.b");
        let start = query(7, &asked, RecordType::A).len() as u8;
        for owner in [[0xc0, start], [0xc0, start + 1], [0xff, 0xff], [0x80, 0]] {
            assert!(response(&reply(7, &asked, &[(&owner, 1, &[1; 4])]), 7, &asked, RecordType::A).is_none());
        }
        let circle = reply(7, &asked, &[(&[0xc0, 12], 5, &[0xc0, 12])]);
        assert!(response(&circle, 7, &asked, RecordType::A).is_none());
    }

    #[test]
    fn no_cut_of_a_message_panics() {
        let asked = name("www.example");
        let m = reply(7, &asked, &[(&[0xc0, 12], 1, &[10, 0, 0, 1])]);
        for n in 0..m.len() {
            assert!(response(&m[..n], 7, &asked, RecordType::A).is_none(), "cut at {n}");
        }
        let mut noise = 12345u32;
        for _ in 0..20_000 {
            let mut hurt = m.clone();
            for _ in 0..3 {
                noise = noise.wrapping_mul(1_103_515_245).wrapping_add(12345);
                let at = (noise >> 8) as usize % hurt.len();
                hurt[at] = noise as u8;
            }
            let _ = response(&hurt, 7, &asked, RecordType::A);
        }
    }

    #[test]
    fn names_keep_to_their_limits() {
        assert!(Name::from_text(&"a".repeat(64)).is_none());
        assert!(Name::from_text(&["abcdefg"; 40].join(".")).is_none());
        assert!(Name::from_text("a..b").is_none() && Name::from_text("").is_some());
        let reversed = Name::reverse("2001:db8::1".parse().expect("a literal")).to_string();
        assert!(reversed.starts_with("1.0.0.0.") && reversed.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"));
        assert_eq!(Name::reverse("10.1.2.3".parse().expect("a literal")).to_string(), "3.2.1.10.in-addr.arpa");
        assert!(name("a_b-c.d").is_host_name() && !name("a b").is_host_name() && !name("-a").is_host_name());
    }
}
