//! `netstat -a`: the sockets, an address and its port joined by a dot as BSD writes them.

use std::net::SocketAddr;

use sockets::config::SocketRow;

use super::Families;
use crate::command::Failure;

/// Protocols in the order they are printed.
const ORDER: &[&str] = &["tcp", "udp", "sctp", "icmp", "raw"];

/// Without `all`, no listeners and no sockets without a peer; `verbose`: with the mode of each.
pub fn table(
    rows: &[SocketRow],
    all: bool,
    verbose: bool,
    families: Families,
    protocol: Option<&str>,
) -> Result<String, Failure> {
    if let Some(name) = protocol
        && !ORDER.contains(&name.trim_end_matches('6'))
    {
        return Err(Failure::new(format!("{name}: unknown protocol ({})", ORDER.join(", "))));
    }
    let mut text = String::new();
    for (wanted, v6, name) in [(families.inet, false, "Internet"), (families.inet6, true, "Internet6")] {
        let mut chosen: Vec<&SocketRow> = rows
            .iter()
            .filter(|r| r.protocol.ends_with('6') == v6)
            .filter(|r| all || (r.state != "LISTEN" && r.peer.is_some_and(|p| !p.ip().is_unspecified())))
            .filter(|r| protocol.is_none_or(|p| r.protocol.trim_end_matches('6') == p.trim_end_matches('6')))
            .collect();
        if !wanted || chosen.is_empty() {
            continue;
        }
        chosen.sort_by_key(|r| (rank(&r.protocol), r.local, r.peer));
        let servers = if all { " (including servers)" } else { "" };
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}Active {name} connections{servers}\n"));
        text.push_str("Proto Recv-Q Send-Q  Local Address          Foreign Address        State");
        text.push_str(if verbose { "        Mode\n" } else { "\n" });
        for r in chosen {
            let (local, peer) = (dotted(r.local), dotted(r.peer));
            let mode = if verbose { &r.mode } else { "" };
            let line = format!(
                "{:<5} {:>6} {:>6}  {local:<22} {peer:<22} {:<12} {mode}",
                r.protocol, r.recv_queue, r.send_queue, r.state
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    Ok(text)
}

fn rank(protocol: &str) -> usize {
    ORDER.iter().position(|p| *p == protocol.trim_end_matches('6')).unwrap_or(ORDER.len())
}

/// `192.168.1.1.80`, `fe80::1%2.80`, `*.80`, `*.*`.
fn dotted(addr: Option<SocketAddr>) -> String {
    let Some(addr) = addr else { return "*.*".into() };
    let host = match addr {
        _ if addr.ip().is_unspecified() => "*".into(),
        SocketAddr::V6(a) if a.scope_id() != 0 => format!("{}%{}", a.ip(), a.scope_id()),
        _ => addr.ip().to_string(),
    };
    match addr.port() {
        0 => format!("{host}.*"),
        port => format!("{host}.{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Families = Families { inet: true, inet6: true };

    fn row(protocol: &str, local: &str, peer: Option<&str>, state: &str) -> SocketRow {
        SocketRow {
            protocol: protocol.into(),
            recv_queue: 0,
            send_queue: 12,
            local: Some(local.parse().expect("a literal of this test")),
            peer: peer.map(|p| p.parse().expect("a literal of this test")),
            state: state.into(),
            pid: 1,
            uid: 0,
            mode: "pair".into(),
        }
    }

    fn rows() -> Vec<SocketRow> {
        vec![
            row("udp", "0.0.0.0:53", None, ""),
            row("tcp", "0.0.0.0:80", None, "LISTEN"),
            row("tcp", "192.168.1.1:80", Some("10.0.0.9:40000"), "ESTABLISHED"),
            row("tcp6", "[::]:80", None, "LISTEN"),
        ]
    }

    #[test]
    fn the_layout_is_netbsds() {
        assert_eq!(
            table(&rows(), true, false, BOTH, None),
            Ok("\
Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        State
tcp        0     12  *.80                   *.*                    LISTEN
tcp        0     12  192.168.1.1.80         10.0.0.9.40000         ESTABLISHED
udp        0     12  *.53                   *.*

Active Internet6 connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        State
tcp6       0     12  *.80                   *.*                    LISTEN
"
            .into())
        );
    }

    #[test]
    fn verbose_shows_how_the_bytes_travel() {
        let text = table(&rows(), true, true, BOTH, None).expect("no protocol named");
        assert!(text.lines().nth(1).is_some_and(|head| head.ends_with("State        Mode")), "{text}");
        assert!(text.lines().nth(2).is_some_and(|line| line.ends_with("LISTEN       pair")), "{text}");
    }

    #[test]
    fn without_all_only_connections_are_shown() {
        let text = table(&rows(), false, false, BOTH, None).expect("no protocol named");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("Active Internet connections\n"));
    }

    #[test]
    fn one_protocol_and_one_family() {
        let text = table(&rows(), true, false, Families { inet: true, inet6: false }, Some("udp")).expect("known");
        assert!(text.contains("udp") && !text.contains("tcp"), "{text}");
        let e = table(&rows(), true, false, BOTH, Some("xtp")).map_err(|f| f.message);
        assert_eq!(e, Err("xtp: unknown protocol (tcp, udp, sctp, icmp, raw)".into()));
    }
}
