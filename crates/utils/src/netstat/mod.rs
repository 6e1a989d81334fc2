//! `netstat`: sockets, routes, interfaces and counters, in NetBSD's layouts.

mod interfaces;
mod routes;
mod sockets;
mod statistics;

use std::ffi::OsString;

use ::sockets::config::{Reply, Request};

use crate::client::Instance;
use crate::command::{Command, Failure, texts};
use crate::getopt::Getopt;
use crate::stdout;

pub use routes::tables as routing_tables;

pub const COMMAND: Command = Command {
    name: "netstat",
    summary: "sockets, routes, interfaces and protocol counters",
    usage: &[
        "[-p PREFIX] [-anv] [-f FAMILY] [-p PROTOCOL]",
        "[-p PREFIX] -r | -i [-bn] [-f FAMILY] [-I INTERFACE]",
        "[-p PREFIX] -s [-f FAMILY] [-p PROTOCOL]",
    ],
    details: "\
-p takes an instance's prefix when it begins with a slash, and otherwise a
protocol (tcp, udp, icmp, …). FAMILY is inet or inet6. -v adds how a socket's
bytes travel: through its pair of descriptors, and why, or by shared rings.
",
    run,
};

/// Which address families are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    pub inet: bool,
    pub inet6: bool,
}

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let words = texts(words)?;
    let mut options = Getopt::new(&words, "ainrsbvp:f:I:");
    let (mut prefix, mut protocol, mut interface) = (None, None, None);
    let (mut all, mut bytes, mut verbose, mut view) = (false, false, false, 'n');
    let mut families = Families { inet: true, inet6: true };
    while let Some((letter, value)) = options.option()? {
        match letter {
            'p' if value.starts_with('/') => prefix = Some(value),
            'p' => protocol = Some(value),
            'f' => families = family(value)?,
            'a' => all = true,
            'b' => bytes = true,
            'v' => verbose = true,
            'I' => (interface, view) = (Some(value), 'i'),
            'r' | 'i' | 's' => {
                if !matches!(view, 'n') && view != letter {
                    return Err(Failure::usage(format!("-{view} and -{letter} exclude each other")));
                }
                view = letter;
            }
            // Numbers are shown in any case.
            _ => {}
        }
    }
    if let Some(extra) = options.rest().first() {
        return Err(Failure::usage(format!("{extra}: not expected")));
    }
    let instance = Instance::open(prefix)?;
    let text = match view {
        'r' => routes::tables(&instance.routes()?, families.inet, families.inet6),
        'i' => {
            let known = instance.interfaces()?;
            if let Some(name) = interface
                && !known.iter().any(|i| i.name == name)
            {
                return Err(Failure::new(format!("{name}: no such interface")));
            }
            interfaces::table(&known, interface, bytes)
        }
        's' => match instance.request(&Request::Statistics)? {
            Reply::Statistics(groups) => statistics::groups(&groups, families, protocol)?,
            _ => return Err(instance.garbled().into()),
        },
        _ => sockets::table(&instance.sockets()?, all, verbose, families, protocol)?,
    };
    stdout::print(&text)?;
    Ok(0)
}

fn family(text: &str) -> Result<Families, Failure> {
    match text {
        "inet" => Ok(Families { inet: true, inet6: false }),
        "inet6" => Ok(Families { inet: false, inet6: true }),
        "unix" | "local" => Err(Failure::new(format!("{text}: unix sockets are the host's, not the instance's"))),
        _ => Err(Failure::new(format!("{text}: unknown address family (inet, inet6)"))),
    }
}
