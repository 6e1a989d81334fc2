//! `netstat -s`: the counters that something has moved, by protocol.

use sockets::config::CounterGroup;

use super::Families;
use crate::command::Failure;

/// All groups, or the one of a protocol (with its IPv6 sister).
pub fn groups(all: &[CounterGroup], families: Families, protocol: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = protocol
        && !all.iter().any(|g| g.protocol == name)
    {
        let names: Vec<&str> = all.iter().map(|g| g.protocol.as_str()).collect();
        return Err(Failure::new(format!("{name}: no counters of that protocol ({})", names.join(", "))));
    }
    let mut text = String::new();
    for group in all.iter().filter(|g| protocol.is_none_or(|name| g.protocol == name)) {
        // Transports serve both families.
        let shown = match group.protocol.as_str() {
            "ip6" | "icmp6" | "nd" => families.inet6,
            "ip" | "icmp" | "igmp" | "arp" => families.inet,
            _ => true,
        };
        let mut moved = group.counters.iter().filter(|(_, n)| *n != 0).peekable();
        if !shown || moved.peek().is_none() {
            continue;
        }
        text.push_str(&format!("{}:\n", group.protocol));
        text.extend(moved.map(|(sentence, n)| format!("\t{n} {}\n", one(sentence, *n))));
    }
    Ok(text)
}

/// `1 packets sent` reads `1 packet sent`: the first plural of the sentence goes.
fn one(sentence: &str, n: u64) -> String {
    const PLURALS: &[&str] =
        &["packets", "connections", "datagrams", "bytes", "segments", "fragments", "errors", "times"];
    if n != 1 {
        return sentence.to_owned();
    }
    let mut done = false;
    let words: Vec<&str> = sentence
        .split(' ')
        .map(|word| match !done && PLURALS.contains(&word) {
            true => {
                done = true;
                &word[..word.len() - 1]
            }
            false => word,
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Families = Families { inet: true, inet6: true };

    fn group(protocol: &str, counters: &[(&str, u64)]) -> CounterGroup {
        CounterGroup {
            protocol: protocol.into(),
            counters: counters.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect(),
        }
    }

    fn all() -> Vec<CounterGroup> {
        vec![
            group("ip6", &[("packets received", 2)]),
            group("tcp", &[("packets sent", 123), ("connections requested", 1), ("checksum errors", 0)]),
            group("udp", &[("datagrams received", 0)]),
        ]
    }

    #[test]
    fn a_counter_that_nothing_moves_is_not_printed() {
        assert_eq!(
            groups(&all(), BOTH, None),
            Ok("ip6:\n\t2 packets received\ntcp:\n\t123 packets sent\n\t1 connection requested\n".into())
        );
    }

    #[test]
    fn one_protocol_or_one_family() {
        assert_eq!(groups(&all(), BOTH, Some("ip6")), Ok("ip6:\n\t2 packets received\n".into()));
        let four = groups(&all(), Families { inet: true, inet6: false }, None).expect("no protocol named");
        assert!(!four.contains("ip6"));
        let e = groups(&all(), BOTH, Some("xtp")).map_err(|f| f.message);
        assert_eq!(e, Err("xtp: no counters of that protocol (ip6, tcp, udp)".into()));
    }
}
