//! `mount -T io-pkt [-o opts] DRIVER`: loads a driver or protocol module into a running instance.
//! Every other use is the system's mount's.

use std::ffi::{OsStr, OsString};

use sockets::config::{Reply, Request};

use crate::client::Instance;
use crate::command::{Command, Failure};
use crate::hand_over::hand_over;

/// What the original's `-T` takes for its network stack.
const TYPES: &[&str] = &["io-pkt", "io-net", "tcpip"];

pub const COMMAND: Command = Command {
    name: "mount",
    summary: "load a driver or protocol module into a running instance",
    usage: &["-T io-pkt [-p PREFIX] [-o OPTION[,OPTION]] DRIVER", "… (anything else: the system's mount)"],
    details: "A name that begins with lsm- is a protocol module.\n",
    run,
};

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    prefix: Option<String>,
    options: String,
    module: String,
}

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    if !is_ours(&words) {
        return Err(hand_over("mount", &words));
    }
    let Mount { prefix, options, module } = parse(crate::command::texts(words)?)?;
    let instance = Instance::open(prefix.as_deref())?;
    let file = module.rsplit('/').next().unwrap_or_default();
    let request = match file.starts_with("lsm-") {
        true => Request::MountProtocol { name: module, options },
        false => Request::MountDriver { name: module, options },
    };
    match instance.request(&request)? {
        Reply::Done | Reply::Attached(_) => Ok(0),
        _ => Err(instance.garbled().into()),
    }
}

/// `-T io-pkt` or `-Tio-pkt`, before the first word that is no option.
fn is_ours(words: &[OsString]) -> bool {
    let named = |word: &OsStr| TYPES.iter().any(|t| word == *t);
    words.iter().enumerate().any(|(i, word)| match word.to_str().and_then(|w| w.strip_prefix("-T")) {
        Some("") => words.get(i + 1).is_some_and(|w| named(w)),
        Some(joined) => named(joined.as_ref()),
        None => false,
    })
}

fn parse(words: Vec<String>) -> Result<Mount, Failure> {
    let (mut prefix, mut options, mut module) = (None, Vec::new(), None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let letter = word.strip_prefix('-').and_then(|w| w.chars().next());
        let mut value = |letter: char| match &word[2..] {
            "" => words.next().ok_or_else(|| Failure::usage(format!("option requires an argument -- {letter}"))),
            joined => Ok(joined.to_owned()),
        };
        match letter {
            Some('T') => drop(value('T')?),
            Some('o') => options.push(value('o')?),
            Some('p') => prefix = Some(value('p')?),
            Some(_) => return Err(Failure::usage(format!("{word}: unknown option"))),
            None if module.is_none() => module = Some(word),
            None => return Err(Failure::usage(format!("{word}: not expected"))),
        }
    }
    let module = module.ok_or_else(|| Failure::usage("no driver named"))?;
    Ok(Mount { prefix, options: options.join(","), module })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn parsed(text: &str) -> Result<Mount, String> {
        parse(text.split_whitespace().map(str::to_owned).collect()).map_err(|f| f.message)
    }

    #[test]
    fn only_the_stacks_types_are_ours() {
        assert!(is_ours(&os("-T io-pkt devnp-tap.so")));
        assert!(is_ours(&os("-Tio-net devnp-tap.so")));
        for other in ["-t tmpfs none /mnt", "-T /etc/fstab -a", "/dev/sda1 /mnt", ""] {
            assert!(!is_ours(&os(other)), "{other}");
        }
    }

    #[test]
    fn options_may_stand_anywhere() {
        let expected = Mount { prefix: None, options: "name=a,unit=1".into(), module: "/lib/dll/devnp-tap.so".into() };
        assert_eq!(parsed("-T io-pkt -o name=a -ounit=1 /lib/dll/devnp-tap.so"), Ok(expected));
        assert_eq!(parsed("-T io-pkt tap -p /dev/io-net2").map(|m| m.prefix), Ok(Some("/dev/io-net2".into())));
        assert_eq!(parsed("-T io-pkt"), Err("no driver named".into()));
        assert_eq!(parsed("-T io-pkt a b"), Err("b: not expected".into()));
    }
}
