//! A server and its client, on the two sides of a network: the tests of programs are written once against
//! [`Talk`], and run with either side on the instance.

use std::path::{Path, PathBuf};

use crate::family::Family;
use crate::lab::{Lab, Link};
use crate::process::{Finished, Running};
use crate::rootless::UID;
use crate::ssh::Ssh;
use crate::tree::script;

pub trait Talk {
    /// A folder that both sides see.
    fn dir(&self) -> &Path;

    /// The address that a server takes.
    fn bind(&self, family: Family) -> &'static str;

    /// The address at which its client finds it.
    fn reach(&self, family: Family) -> &'static str;

    /// A program on the server's side that goes on beside the test.
    fn serve(&self, words: &[&str]) -> Running;

    /// A program on the client's side, to its end.
    fn ask_with_input(&self, words: &[&str], input: &[u8]) -> Finished;

    fn ask(&self, words: &[&str]) -> Finished {
        self.ask_with_input(words, b"")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Serves as a user without privilege, for servers that would otherwise change to one.
    fn serve_as_user(&self, words: &[&str]) -> Running {
        self.serve(words)
    }

    /// A Python program of `tests/scripts`, where both sides can read it.
    fn script(&self, name: &str) -> String {
        script(name)
    }
}

/// Over the wire of a laboratory, the Linux kernel's stack at one end.
pub struct OverWire {
    pub lab: Lab,
    serving: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Instance,
    Peer,
}

impl OverWire {
    pub fn server_on_instance(link: Link) -> OverWire {
        OverWire { lab: Lab::new(link), serving: Side::Instance }
    }

    pub fn server_on_peer(link: Link) -> OverWire {
        OverWire { lab: Lab::new(link), serving: Side::Peer }
    }

    /// Keys and account for an sshd on either side.
    pub fn ssh(&self) -> Ssh {
        let run = |words: &[&str]| self.lab.home_run(words);
        Ssh::prepare(&self.lab.dir, &run, &run)
    }
}

impl Talk for OverWire {
    fn dir(&self) -> &Path {
        &self.lab.dir
    }

    fn bind(&self, family: Family) -> &'static str {
        match self.serving {
            Side::Instance => family.stack(),
            Side::Peer => family.peer(),
        }
    }

    fn reach(&self, family: Family) -> &'static str {
        self.bind(family)
    }

    fn serve(&self, words: &[&str]) -> Running {
        match self.serving {
            Side::Instance => self.lab.start(words),
            Side::Peer => self.lab.peer_start(words),
        }
    }

    /// The laboratory has one uid; in a user namespace of its own that is an ordinary user's.
    fn serve_as_user(&self, words: &[&str]) -> Running {
        let user = [format!("--map-user={UID}"), format!("--map-group={UID}")];
        self.serve(&[&["unshare", "--user", &user[0], &user[1]], words].concat())
    }

    fn ask_with_input(&self, words: &[&str], input: &[u8]) -> Finished {
        match self.serving {
            Side::Instance => self.lab.peer_run_with_input(words, input),
            Side::Peer => self.lab.run_with_input(words, input),
        }
    }
}
