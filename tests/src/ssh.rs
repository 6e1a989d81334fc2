//! An sshd that needs no root: in a user namespace of one uid there is nobody to drop privileges to,
//! so it runs as an ordinary user and lets in that user alone.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::family::bracketed;
use crate::lab::Lab;

pub const SSH_PORT: &str = "2222";
const USER: &str = "tester";
const UID: u32 = 1000;

/// Keys, configuration and account inside a laboratory.
pub struct Ssh {
    key: PathBuf,
    config: PathBuf,
}

impl Ssh {
    /// The account is a line in a passwd that stands before the host's in the laboratory's mount namespace.
    pub fn prepare(lab: &Lab) -> Ssh {
        let (key, host_key, config) = (lab.path("user_key"), lab.path("host_key"), lab.path("sshd_config"));
        for file in [&key, &host_key] {
            lab.home_run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &file.to_string_lossy()]).ok();
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
        let passwd = lab.path("passwd");
        let host = std::fs::read_to_string("/etc/passwd").expect("every host has one");
        let others = host.lines().filter(|l| l.split(':').nth(2) != Some(&UID.to_string()));
        let mut lines: Vec<String> = others.map(str::to_owned).collect();
        lines.push(format!("{USER}:x:{UID}:{UID}::{}:/bin/sh\n", lab.dir.display()));
        std::fs::write(&passwd, lines.join("\n")).expect("a passwd");
        lab.home_run(&["mount", "--bind", &passwd.to_string_lossy(), "/etc/passwd"]).ok();
        Ssh { key, config }
    }

    /// The server's command line, for the instance or for the peer.
    pub fn server(&self) -> Vec<String> {
        let user = [format!("--map-user={UID}"), format!("--map-group={UID}")];
        let config = self.config.to_string_lossy().into_owned();
        ["unshare".to_owned(), "--user".to_owned()]
            .into_iter()
            .chain(user)
            .chain(["/usr/sbin/sshd", "-D", "-e", "-f", &config].map(str::to_owned))
            .collect()
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
