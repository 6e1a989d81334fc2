//! The resolver: what servers answer, and the two files.

use core::net::SocketAddr;
use core::time::Duration;

use resolver::lookup::ADDRESSES_MAX;
use resolver::message::{self, Name, RecordType};
use resolver::{Action, Conf, Hosts, Lookup};

use crate::bytes::Bytes;

const ID: u16 = 0x1234;
const KINDS: [RecordType; 5] = [RecordType::A, RecordType::AAAA, RecordType::PTR, RecordType::CNAME, RecordType(255)];
const ASKED: &str = "www.example.com";
/// A look-up of two names, three servers and five attempts does less than this, whatever they answer.
const STEPS_MAX: usize = 10_000;

fn asked() -> Name {
    Name::from_text(ASKED).expect("a valid name")
}

/// The first byte says what was asked; if it is odd, the rest is what follows a question that fits.
pub fn response(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mode = bytes.u8();
    let kind = KINDS[usize::from(mode >> 1) % KINDS.len()];
    let message = if mode & 1 == 0 { bytes.rest().to_vec() } else { answer_to(ID, &asked(), kind, &mut bytes) };
    let Some(r) = message::response(&message, ID, &asked(), kind) else { return };
    assert!(r.addresses.len() + r.names.len() <= message.len() / 10);
    assert!(r.addresses.iter().all(|a| a.is_ipv4() == (kind == RecordType::A)));
    assert!(!r.truncated || r.addresses.is_empty());
    for name in r.names.iter().chain([&r.canonical]) {
        // Four characters a byte at most (`\DDD`).
        assert!(name.to_string().len() <= 4 * 255);
        if name.is_host_name() {
            assert_eq!(Name::from_text(&name.to_string()).as_ref(), Some(name));
        }
    }
}

/// A message that begins as an answer to the question must: flags, counts and records are the input's.
fn answer_to(id: u16, name: &Name, kind: RecordType, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut message = message::query(id, name, kind);
    let [flags_low, count] = bytes.array();
    message[2] = 0x81 | (flags_low >> 4 & 2);
    message[3] = flags_low & 0x8f;
    message[7] = count;
    message.extend_from_slice(bytes.rest());
    message
}

/// Drives a look-up: what comes is read from the input, and after it nothing answers.
pub fn lookup(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let conf = Conf::parse(core::str::from_utf8(bytes.slice(200)).unwrap_or(""), |_| Some(2));
    let text = core::str::from_utf8(bytes.slice(300)).ok().filter(|t| !t.is_empty()).unwrap_or(ASKED);
    let mode = bytes.u8();
    let mut id = ID;
    let mut lookup =
        Lookup::new(conf, text, &[RecordType::A, RecordType::AAAA][..1 + usize::from(mode & 1)], mode & 2 != 0, || {
            id = id.wrapping_add(1);
            id
        });
    let mut now = Duration::ZERO;
    let mut last: Option<(SocketAddr, Vec<u8>)> = None;
    for step in 0.. {
        assert!(step < STEPS_MAX, "a look-up ends");
        let until = match lookup.poll(now) {
            Action::Finished => break,
            Action::Send { server, message } => {
                last = Some((server, message));
                None
            }
            Action::Ask { server, message, until } => {
                last = Some((server, message));
                Some(until)
            }
            Action::Wait { until } => Some(until),
        };
        let Some((server, query)) = last.as_ref().filter(|_| !bytes.is_empty()) else {
            if let Some(until) = until {
                assert!(until > now, "waiting takes time");
                now = until;
            }
            continue;
        };
        match bytes.u8() % 6 {
            0 => lookup.handle_failure(),
            1 => lookup.handle_reply(*server, bytes.slice(600)),
            2..=4 => {
                // The question repeated, then what the input has.
                let mut message = query.clone();
                let [flags, count] = bytes.array();
                message[2..4].copy_from_slice(&[0x81 | flags >> 4 & 2, flags & 0x8f]);
                message[7] = count;
                message.extend_from_slice(bytes.slice(600));
                lookup.handle_reply(*server, &message);
            }
            _ => now += Duration::from_millis(u64::from(bytes.u16())),
        }
    }
    if let Ok(answer) = lookup.finish() {
        assert!(answer.addresses.len() <= ADDRESSES_MAX);
        assert!(answer.names.iter().all(|n| n.len() <= 255));
    }
}

pub fn resolv_conf(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let conf = Conf::parse(&text, |name| u32::try_from(name.len()).ok());
    assert!((1..=resolver::conf::SERVERS_MAX).contains(&conf.servers.len()));
    assert!(conf.search.len() <= resolver::conf::SEARCH_MAX && conf.search.iter().all(|d| !d.is_empty()));
    assert!(conf.ndots <= 15 && (1..=5).contains(&conf.attempts));
    assert!((1..=30).contains(&conf.timeout.as_secs()));
    // The same again from what it means.
    let mut again = String::new();
    for server in &conf.servers {
        let zone = match server {
            SocketAddr::V6(a) if a.scope_id() != 0 => format!("%{}", a.scope_id()),
            _ => String::new(),
        };
        again += &format!("nameserver {}{zone}\n", server.ip());
    }
    again += &format!("search {}\n", conf.search.join(" "));
    again += &format!("options ndots:{} timeout:{} attempts:{}", conf.ndots, conf.timeout.as_secs(), conf.attempts);
    again += if conf.use_vc { " use-vc\n" } else { "\n" };
    assert_eq!(Conf::parse(&again, |_| None), conf);
}

pub fn hosts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let hosts = Hosts::parse(&text);
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(Ok(addr)) = words.next().map(|w| w.parse::<core::net::IpAddr>()) else { continue };
        let Some(name) = words.next() else { continue };
        assert!(hosts.by_addr(addr).is_some());
        let found = hosts.by_name(name).any(|h| h.addr == addr);
        // A name that ends in a dot is asked for without it.
        assert!(found || name.ends_with('.'), "{name:?}");
    }
}
