//! The command line of the `io-pkt` variants.
//!
//! A driver's or protocol's options are the next word if that does not begin with `-`, or follow the
//! name after a space inside one quoted word, or both; they are separated by commas or spaces.
//! `-p` with a path names the instance's prefix; `-p tcpip prefix=/alt` puts it at
//! `/alt/dev/socket`; `-i N` at `/dev/io-netN` (N > 0).

use std::path::Path;

use sockets::paths::DEFAULT_PREFIX;

use crate::sys::Scheduling;

/// Which of the daemon's variants was called, by the name of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    V6Hc,
    /// IPv4 only.
    V4Hc,
    /// Standard capacity: the small tables.
    V6,
}

impl Variant {
    pub fn of_program(argv0: &str) -> Variant {
        match Path::new(argv0).file_name().and_then(|n| n.to_str()) {
            Some("io-pkt-v4-hc") => Variant::V4Hc,
            Some("io-pkt-v6") => Variant::V6,
            _ => Variant::V6Hc,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Variant::V6Hc => "io-pkt-v6-hc",
            Variant::V4Hc => "io-pkt-v4-hc",
            Variant::V6 => "io-pkt-v6",
        }
    }

    pub fn stack_config(self, seed: u64) -> stack::Config {
        match self {
            Variant::V6Hc => stack::Config::high_capacity(seed),
            Variant::V4Hc => stack::Config { ipv6: false, ..stack::Config::high_capacity(seed) },
            Variant::V6 => stack::Config::standard(seed),
        }
    }
}

/// A driver or protocol module and its options, comma-separated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    pub options: String,
}

/// `-U uid[:gid[,gid…]]`, as numbers or names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub user: String,
    pub groups: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    pub variant: Variant,
    pub prefix: String,
    pub drivers: Vec<Module>,
    pub protocols: Vec<Module>,
    /// Sysctls set by `-p tcpip` options, and its `somaxconn`.
    pub sysctls: Vec<(String, String)>,
    pub somaxconn: Option<usize>,
    /// QNX priority 1–255.
    pub priority: Option<u8>,
    pub user: Option<User>,
    pub verbose: u8,
    pub crash_handler: bool,
    pub foreground: bool,
}

impl Args {
    /// Descriptors that drivers are to take over from whoever started us: `fd=N` among their options.
    pub fn inherited_descriptors(&self) -> Vec<u32> {
        let options = self.drivers.iter().flat_map(|d| d.options.split(','));
        options.filter_map(|o| o.trim().strip_prefix("fd=")?.parse().ok()).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    Run(Args),
    Help,
    Version,
}

pub const DEFAULT_PRIORITY: u8 = 21;

pub fn usage(variant: Variant) -> String {
    format!(
        "usage: {} [-fSv] [-d driver [options]] [-i instance] [-P priority] [-p protocol [options]] [-p /prefix] [-t threads] [-U user[:group[,group]]]",
        variant.name()
    )
}

pub fn help(variant: Variant) -> String {
    format!(
        "{}

  -d driver [options]     load a driver and attach its links; may be repeated
  -f                      stay in the foreground, log to standard error
  -i N                    instance number: serve /dev/io-netN (0: {DEFAULT_PREFIX})
  -P priority             1-255, default {DEFAULT_PRIORITY} (nice 0); 22-63 nicer to us, 64 and above real time
  -p /prefix              serve this prefix, such as /dev/io-net2
  -p protocol [options]   load a protocol module; tcpip is built in and takes
                          prefix=/alt, somaxconn=N, forward, forward6
  -S                      do not install the crash handler
  -t threads              1 is the only value in this version
  -U user[:group,...]     become this user once the links are open
  -v                      log more; may be repeated
  --version               say which version this is",
        usage(variant)
    )
}

/// Reads the command line, `words` without the program's name.
///
/// Errors: one line that names the word that was wrong.
pub fn parse(argv0: &str, words: &[String]) -> Result<Parsed, String> {
    let mut args = Args {
        variant: Variant::of_program(argv0),
        prefix: DEFAULT_PREFIX.to_owned(),
        drivers: Vec::new(),
        protocols: Vec::new(),
        sysctls: Vec::new(),
        somaxconn: None,
        priority: None,
        user: None,
        verbose: 0,
        crash_handler: true,
        foreground: false,
    };
    let mut words = words.iter().map(String::as_str).peekable();
    let mut instance = None;
    let mut prefix = None;
    while let Some(word) = words.next() {
        match word {
            "-h" | "--help" => return Ok(Parsed::Help),
            "--version" => return Ok(Parsed::Version),
            _ => {}
        }
        let Some(mut letters) = word.strip_prefix('-').filter(|l| !l.is_empty() && !l.starts_with('-')) else {
            return Err(format!("unexpected word \"{word}\""));
        };
        while let Some(letter) = letters.chars().next() {
            letters = &letters[letter.len_utf8()..];
            match letter {
                'f' => args.foreground = true,
                'S' => args.crash_handler = false,
                'v' => args.verbose = args.verbose.saturating_add(1),
                'h' => return Ok(Parsed::Help),
                'd' | 'i' | 'P' | 'p' | 't' | 'U' => {
                    let value = match letters {
                        "" => words.next().ok_or_else(|| format!("-{letter} needs a value"))?,
                        attached => attached,
                    };
                    letters = "";
                    match letter {
                        'd' => args.drivers.push(module(value, &mut words)?),
                        'i' => instance = Some(number(letter, value, 0, 9999)?),
                        'P' => args.priority = Some(number(letter, value, 1, 255)? as u8),
                        'p' if value.starts_with('/') && !value.ends_with(".so") => prefix = Some(value.to_owned()),
                        'p' => {
                            let protocol = module(value, &mut words)?;
                            if protocol.name == "tcpip" {
                                tcpip(&protocol.options, &mut args, &mut prefix)?;
                            } else {
                                args.protocols.push(protocol);
                            }
                        }
                        't' => {
                            if number(letter, value, 1, 255)? != 1 {
                                return Err(format!(
                                    "-t {value}: this version runs one thread; -t 1 is the only value"
                                ));
                            }
                        }
                        _ => args.user = Some(user(value)?),
                    }
                }
                _ => return Err(format!("unknown option -{letter} in \"{word}\"")),
            }
        }
    }
    args.prefix = match (prefix, instance) {
        (Some(prefix), _) => prefix,
        (None, Some(n)) if n > 0 => format!("/dev/io-net{n}"),
        _ => DEFAULT_PREFIX.to_owned(),
    };
    Ok(Parsed::Run(args))
}

fn module<'a>(word: &'a str, words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Result<Module, String> {
    let mut pieces = word.split([' ', '\t', ',']).filter(|p| !p.is_empty());
    let name = pieces.next().ok_or_else(|| "an empty module name".to_owned())?.to_owned();
    let mut options: Vec<&str> = pieces.collect();
    if let Some(next) = words.next_if(|w| !w.starts_with('-')) {
        options.extend(next.split([' ', '\t', ',']).filter(|p| !p.is_empty()));
    }
    Ok(Module { name, options: options.join(",") })
}

fn number(letter: char, value: &str, min: u32, max: u32) -> Result<u32, String> {
    match value.parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(format!("-{letter} {value}: expected a number from {min} to {max}")),
    }
}

fn tcpip(options: &str, args: &mut Args, prefix: &mut Option<String>) -> Result<(), String> {
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, "1"));
        let sysctl = |name: &str| (name.to_owned(), value.to_owned());
        match key {
            "prefix" if value.starts_with('/') => {
                *prefix = Some(format!("{}{DEFAULT_PREFIX}", value.trim_end_matches('/')));
            }
            "prefix" => return Err(format!("tcpip prefix={value}: expected an absolute path")),
            "somaxconn" => match value.parse() {
                Ok(n @ 1..=65_535) => args.somaxconn = Some(n),
                _ => return Err(format!("tcpip somaxconn={value}: expected a number from 1 to 65535")),
            },
            "forward" => args.sysctls.push(sysctl("net.inet.ip.forwarding")),
            "forward6" => args.sysctls.push(sysctl("net.inet6.ip6.forwarding")),
            _ => return Err(format!("unknown tcpip option \"{key}\"; known: prefix, somaxconn, forward, forward6")),
        }
    }
    Ok(())
}

fn user(value: &str) -> Result<User, String> {
    let (user, groups) = value.split_once(':').unwrap_or((value, ""));
    let groups: Vec<String> = groups.split(',').filter(|g| !g.is_empty()).map(str::to_owned).collect();
    if user.is_empty() || (value.contains(':') && groups.is_empty()) {
        return Err(format!("-U {value}: expected user[:group[,group]]"));
    }
    Ok(User { user: user.to_owned(), groups })
}

/// What a QNX priority means to Linux: 21 is nice 0; below, nicer to others; up to 63, a negative
/// nice value; from 64 on (privileged there as here), real time.
pub fn scheduling(priority: u8) -> Scheduling {
    let p = i32::from(priority);
    match p {
        ..=63 => Scheduling::Nice((i32::from(DEFAULT_PRIORITY) - p).clamp(-20, 19)),
        _ => Scheduling::RoundRobin(1 + (p - 64) * 98 / 191),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Args {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        match parse("/usr/bin/io-pkt-v6-hc", &words) {
            Ok(Parsed::Run(args)) => args,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn refused(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        parse("io-pkt", &words).expect_err("a refusal")
    }

    #[test]
    fn driver_options_come_as_the_next_word_or_inside_the_quoted_word() {
        let wanted = vec![
            Module { name: "fec".into(), options: "address=0x30BE0000,irq=118".into() },
            Module { name: "/lib/dll/devnp-e1000.so".into(), options: "speed=1000,duplex=1".into() },
            Module { name: "devnp-speedo.so".into(), options: String::new() },
        ];
        assert_eq!(
            run(&[
                "-d",
                "fec",
                "address=0x30BE0000,irq=118",
                "-d",
                "/lib/dll/devnp-e1000.so speed=1000,duplex=1",
                "-d",
                "devnp-speedo.so"
            ])
            .drivers,
            wanted
        );
        assert_eq!(
            run(&[
                "-dfec address=0x30BE0000 irq=118",
                "-d",
                "/lib/dll/devnp-e1000.so",
                "speed=1000 duplex=1",
                "-ddevnp-speedo.so",
                "-v"
            ])
            .drivers,
            wanted
        );
    }

    #[test]
    fn a_prefix_comes_as_a_path_a_tcpip_option_or_an_instance_number() {
        assert_eq!(run(&[]).prefix, "/dev/socket");
        assert_eq!(run(&["-p", "/dev/io-net2"]).prefix, "/dev/io-net2");
        assert_eq!(run(&["-ptcpip", "prefix=/alt"]).prefix, "/alt/dev/socket");
        assert_eq!(run(&["-i1", "-ptcpip", "prefix=/alt"]).prefix, "/alt/dev/socket");
        assert_eq!(run(&["-i", "2"]).prefix, "/dev/io-net2");
        assert_eq!(run(&["-i0"]).prefix, "/dev/socket");
    }

    #[test]
    fn flags_cluster_and_values_attach() {
        let a = run(&["-vfv", "-S", "-P10", "-U", "33:33,4", "-t1"]);
        assert_eq!((a.verbose, a.foreground, a.crash_handler, a.priority), (2, true, false, Some(10)));
        assert_eq!(a.user, Some(User { user: "33".into(), groups: vec!["33".into(), "4".into()] }));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["-x"][..], "-x"),
            (&["extra"], "extra"),
            (&["-t", "4"], "-t 4"),
            (&["-P", "0"], "-P 0"),
            (&["-d"], "-d"),
            (&["-p", "tcpip", "cache=1"], "cache"),
            (&["-U", "1:"], "1:"),
            (&["--what"], "--what"),
        ] {
            assert!(refused(words).contains(named), "{words:?}: {}", refused(words));
        }
    }

    #[test]
    fn the_program_name_chooses_the_variant() {
        assert_eq!(Variant::of_program("/x/io-pkt-v4-hc"), Variant::V4Hc);
        assert_eq!(Variant::of_program("io-pkt-v6"), Variant::V6);
        assert_eq!(Variant::of_program("io-pkt"), Variant::V6Hc);
        assert!(!Variant::V4Hc.stack_config(1).ipv6);
    }

    #[test]
    fn the_default_priority_is_nice_zero_and_the_highest_is_real_time() {
        assert_eq!(scheduling(21), Scheduling::Nice(0));
        assert_eq!(scheduling(1), Scheduling::Nice(19));
        assert_eq!(scheduling(63), Scheduling::Nice(-20));
        assert_eq!(scheduling(64), Scheduling::RoundRobin(1));
        assert_eq!(scheduling(255), Scheduling::RoundRobin(99));
    }
}
