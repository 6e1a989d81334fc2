//! resolv.conf(5).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

/// Most name servers (MAXNS).
pub const SERVERS_MAX: usize = 3;
/// Most domains in the search list.
pub const SEARCH_MAX: usize = 32;
const PORT: u16 = 53;

/// What the file says, with the defaults and limits of resolv.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    /// Never empty: 127.0.0.1 stands in where none is named.
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// A name with at least this many dots is tried as it is first.
    pub ndots: usize,
    pub timeout: Duration,
    /// Rounds through all servers.
    pub attempts: u32,
    /// TCP from the start.
    pub use_vc: bool,
}

impl Default for Conf {
    fn default() -> Conf {
        Conf {
            servers: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            use_vc: false,
        }
    }
}

impl Conf {
    /// Reads the file's text. `scope` gives the index of an interface's name, for `fe80::1%en0`.
    /// What is not understood is passed over, as libc does.
    pub fn parse(text: &str, scope: impl Fn(&str) -> Option<u32>) -> Conf {
        let mut conf = Conf { servers: Vec::new(), ..Conf::default() };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < SERVERS_MAX => {
                    conf.servers.extend(words.next().and_then(|w| server(w, &scope)));
                }
                Some("domain") => conf.search = words.next().map(domain).into_iter().collect(),
                Some("search") => conf.search = words.take(SEARCH_MAX).map(domain).collect(),
                Some("options") => words.for_each(|w| conf.option(w)),
                _ => {}
            }
        }
        conf.search.retain(|d| !d.is_empty());
        if conf.servers.is_empty() {
            conf.servers = Conf::default().servers;
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let number = |prefix: &str| word.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok());
        if let Some(n) = number("ndots:") {
            self.ndots = n.min(15) as usize;
        } else if let Some(n) = number("timeout:") {
            self.timeout = Duration::from_secs(u64::from(n.clamp(1, 30)));
        } else if let Some(n) = number("attempts:") {
            self.attempts = n.clamp(1, 5);
        } else if word == "use-vc" {
            self.use_vc = true;
        }
    }
}

fn domain(word: &str) -> String {
    word.trim_end_matches('.').to_ascii_lowercase()
}

fn server(word: &str, scope: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let (address, zone) = word.split_once('%').map_or((word, None), |(a, z)| (a, Some(z)));
    let mut socket_addr = SocketAddr::new(address.parse().ok()?, PORT);
    if let (SocketAddr::V6(a), Some(zone)) = (&mut socket_addr, zone) {
        a.set_scope_id(zone.parse().ok().or_else(|| scope(zone))?);
    }
    Some(socket_addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_is_known_is_taken_and_limits_hold() {
        let text = "# comment\nnameserver 10.0.0.1\nnameserver fe80::1%en0 ; tail\nnameserver nonsense\n\
                    nameserver ::1\nnameserver 10.0.0.4\nsearch a.example. B.example\n\
                    options ndots:99 timeout:0 attempts:9 rotate use-vc\nsortlist 1\n";
        let conf = Conf::parse(text, |name| (name == "en0").then_some(3));
        let servers: Vec<String> = conf.servers.iter().map(|s| s.to_string()).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1%3]:53", "[::1]:53"]);
        assert_eq!(conf.search, ["a.example", "b.example"]);
        assert_eq!((conf.ndots, conf.timeout.as_secs(), conf.attempts, conf.use_vc), (15, 1, 5, true));
    }

    #[test]
    fn an_empty_file_means_the_local_server() {
        assert_eq!(Conf::parse("", |_| None), Conf::default());
    }

    #[test]
    fn the_last_of_domain_and_search_counts() {
        assert_eq!(Conf::parse("search a b\ndomain c\n", |_| None).search, ["c"]);
    }
}
