//! An sshd that needs no root: it runs as an ordinary user and lets in that user alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::family::bracketed;
use crate::process::Finished;
use crate::rootless::UID;

pub const SSH_PORT: &str = "2222";
const USER: &str = "tester";

/// Keys, configuration and account inside a laboratory.
pub struct Ssh {
    key: PathBuf,
    config: PathBuf,
}

impl Ssh {
    /// The account is a line in a passwd that stands before the host's in a mount namespace, where `root` mounts it;
    /// the keys are the property of `user`.
    pub fn prepare(dir: &Path, user: &dyn Fn(&[&str]) -> Finished, root: &dyn Fn(&[&str]) -> Finished) -> Ssh {
        let (key, host_key, config) = (dir.join("user_key"), dir.join("host_key"), dir.join("sshd_config"));
        for file in [&key, &host_key] {
            user(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &file.to_string_lossy()]).ok();
        }
        let mut text = String::new();
        for (name, value) in [
            ("Port", SSH_PORT),
            ("HostKey", &host_key.to_string_lossy()),
            ("AuthorizedKeysFile", &format!("{}.pub", key.display())),
            ("PidFile", "none"),
            ("UsePAM", "no"),
            ("StrictModes", "no"),
            ("Subsystem", "sftp internal-sftp"),
        ] {
            let _ = writeln!(text, "{name} {value}");
        }
        std::fs::write(&config, text).expect("a configuration");
        let passwd = dir.join("passwd");
        let host = std::fs::read_to_string("/etc/passwd").expect("every host has one");
        let others = host.lines().filter(|l| l.split(':').nth(2) != Some(&UID.to_string()));
        let mut lines: Vec<String> = others.map(str::to_owned).collect();
        lines.push(format!("{USER}:x:{UID}:{UID}::{}:/bin/sh\n", dir.display()));
        std::fs::write(&passwd, lines.join("\n")).expect("a passwd");
        root(&["mount", "--bind", &passwd.to_string_lossy(), "/etc/passwd"]).ok();
        Ssh { key, config }
    }

    /// The server's command line, to be run by the user.
    pub fn server(&self) -> Vec<String> {
        ["/usr/sbin/sshd", "-D", "-e", "-f", &self.config.to_string_lossy()].map(str::to_owned).to_vec()
    }

    /// `ssh ADDR COMMAND`.
    pub fn ssh(&self, addr: &str, command: &str) -> Vec<String> {
        let mut words = self.client("ssh", "-p");
        words.extend([format!("{USER}@{addr}"), command.to_owned()]);
        words
    }

    /// `scp FROM TO`.
    pub fn scp(&self, from: &str, to: &str) -> Vec<String> {
        let mut words = self.client("scp", "-P");
        words.extend([from.to_owned(), to.to_owned()]);
        words
    }

    /// A file on the server as scp names it.
    pub fn remote(addr: &str, file: &str) -> String {
        format!("{USER}@{}:{file}", bracketed(addr))
    }

    fn client(&self, program: &str, port: &str) -> Vec<String> {
        let key = self.key.to_string_lossy();
        let mut words = [program, "-F", "none", "-i", &key, port, SSH_PORT].map(str::to_owned).to_vec();
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR"] {
            words.extend(["-o".to_owned(), option.to_owned()]);
        }
        words
    }
}
