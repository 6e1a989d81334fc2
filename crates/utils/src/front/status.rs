//! `iopkt status`: the instances that live, and the folders that dead ones left.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sockets::config::{Interface, Status};
use sockets::paths;

use crate::client::{ClientError, Instance, run_dirs};
use crate::command::{Command, Failure, texts};
use crate::getopt::Getopt;
use crate::{inet, stdout};

/// Folders below the run-time directory that a prefix can name.
const DEPTH_MAX: usize = 8;
/// A live instance answers at once; one that hangs must not hide the others.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most folders looked into.
const FOLDERS_MAX: usize = 10_000;

pub const COMMAND: Command = Command {
    name: "iopkt status",
    summary: "the instances of this machine, their interfaces and sockets",
    usage: &["[-p PREFIX | --all]"],
    details: "Exit status: 0 when an instance lives, 1 when none does.\n",
    run,
};

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let words = texts(words)?;
    let words: Vec<String> = words.into_iter().filter(|w| w != "--all").collect();
    let mut options = Getopt::new(&words, "p:");
    let mut prefix = None;
    while let Some((_, value)) = options.option().map_err(|f| f.with_status(super::USAGE))? {
        prefix = Some(value);
    }
    if let Some(extra) = options.rest().first() {
        return Err(Failure::usage(format!("{extra}: not expected")).with_status(super::USAGE));
    }
    let found = match prefix {
        Some(prefix) => match Instance::find(prefix) {
            Ok(instance) => vec![look(instance)],
            Err(ClientError::NoInstance { prefix, stale: true }) => vec![Found::stale(prefix)],
            Err(e) => return Err(e.into()),
        },
        None => all()?,
    };
    stdout::print(&table(&found))?;
    Ok(if found.iter().any(|f| f.live()) { 0 } else { 1 })
}

/// An instance, or what is left of one.
#[derive(Debug)]
struct Found {
    prefix: String,
    state: Result<(Status, Vec<Interface>), String>,
}

impl Found {
    fn stale(prefix: String) -> Found {
        Found { prefix, state: Err("dead; its folder is taken over by the next one".into()) }
    }

    fn live(&self) -> bool {
        self.state.is_ok()
    }
}

fn look(instance: Instance) -> Found {
    let state = instance
        .set_patience(PATIENCE)
        .and_then(|()| instance.status())
        .and_then(|s| Ok((s, instance.interfaces()?)))
        .map_err(|e| e.to_string());
    Found { prefix: instance.prefix().to_owned(), state }
}

fn all() -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for (prefix, dir) in instances() {
        match Instance::at(&prefix, dir) {
            Ok(instance) => found.push(look(instance)),
            Err(ClientError::NoInstance { .. }) => found.push(Found::stale(prefix)),
            Err(e) => found.push(Found { prefix, state: Err(e.to_string()) }),
        }
    }
    Ok(found)
}

/// Every folder that is or was an instance's, with its prefix.
pub fn instances() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for run_dir in run_dirs() {
        walk(&run_dir, &run_dir, DEPTH_MAX, &mut found);
    }
    found
}

fn walk(run_dir: &Path, dir: &Path, depth: usize, found: &mut Vec<(String, PathBuf)>) {
    if dir != run_dir
        && (dir.join(paths::CTL).exists() || dir.join(paths::LOCK).exists())
        && let Some(relative) = dir.strip_prefix(run_dir).ok().and_then(Path::to_str)
    {
        found.push((format!("/{relative}"), dir.to_path_buf()));
    }
    if depth == 0 || found.len() >= FOLDERS_MAX {
        return;
    }
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|e| e.ok().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path())).collect();
    folders.sort();
    for folder in folders {
        walk(run_dir, &folder, depth - 1, found);
    }
}

fn table(found: &[Found]) -> String {
    if found.is_empty() {
        return "no instances\n".into();
    }
    let mut text =
        format!("{:<18} {:>7} {:<13} {:>9} {:>7}  INTERFACES\n", "PREFIX", "PID", "VARIANT", "UPTIME", "SOCKETS");
    for f in found {
        match &f.state {
            Ok((s, interfaces)) => {
                let mut lines = interfaces.iter().map(interface);
                let first = lines.next().unwrap_or_else(|| "-".into());
                let uptime = uptime(s.uptime_s);
                text.push_str(&format!(
                    "{:<18} {:>7} {:<13} {uptime:>9} {:>7}  {first}\n",
                    f.prefix, s.pid, s.variant, s.sockets
                ));
                for line in lines {
                    text.push_str(&format!("{:60}{line}\n", ""));
                }
            }
            Err(why) => {
                let why = why.trim_start_matches(&format!("{}: ", f.prefix));
                text.push_str(&format!("{:<18} {why}\n", f.prefix));
            }
        }
    }
    text
}

fn interface(i: &Interface) -> String {
    let mut words = vec![i.name.clone()];
    words.extend(i.addresses.iter().map(|a| format!("{}/{}", inet::zoned(&a.addr, Some(&i.name)), a.prefix_len)));
    if !i.link_up {
        words.push("(no carrier)".into());
    }
    words.join(" ")
}

fn uptime(s: u64) -> String {
    let (d, h, m, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match d {
        0 => format!("{h:02}:{m:02}:{s:02}"),
        _ => format!("{d}d{h:02}:{m:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockets::config::{InterfaceAddress, LinkCounters, iff};

    #[test]
    fn live_and_dead_instances_stand_in_one_table() {
        let en0 = Interface {
            index: 2,
            name: "en0".into(),
            flags: iff::UP,
            mtu: 1500,
            mac: None,
            media: String::new(),
            driver: "user".into(),
            link_up: true,
            offloads: Vec::new(),
            addresses: vec![InterfaceAddress::new("10.0.2.15".parse().expect("a literal"), 24)],
            counters: LinkCounters::default(),
        };
        let lo0 = Interface { index: 1, name: "lo0".into(), addresses: Vec::new(), ..en0.clone() };
        let status = Status {
            version: "0.1.0".into(),
            pid: 4242,
            prefix: "/dev/socket".into(),
            variant: "io-pkt-v6-hc".into(),
            uptime_s: 3723,
            interfaces: 2,
            sockets: 7,
            threads: 1,
        };
        let found = [
            Found { prefix: "/dev/socket".into(), state: Ok((status, vec![lo0, en0])) },
            Found::stale("/dev/io-net2".into()),
        ];
        assert_eq!(
            table(&found),
            "\
PREFIX                 PID VARIANT          UPTIME SOCKETS  INTERFACES
/dev/socket           4242 io-pkt-v6-hc   01:02:03       7  lo0
                                                            en0 10.0.2.15/24
/dev/io-net2       dead; its folder is taken over by the next one
"
        );
        assert_eq!(uptime(90_061), "1d01:01");
    }
}
