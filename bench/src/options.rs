//! The command line.

use std::path::{Path, PathBuf};

pub const USAGE: &str = "\
usage: bench [options] [TREE]
  TREE              the build to measure (default: $IOPKT_TREE, else target/iopkt)
  --quick           3 runs of 1 second instead of 5 of 2
  --runs N          runs on each side
  --secs S          measured seconds of a run
  --only ROW        only rows whose name contains ROW; may be repeated
  --mtu N           of both ends of the wire (default 1500)
  --congestion C    of the kernel's TCP at both ends (default cubic, which is ours too)
  --idle N          idle connections of the memory row (default 5000)
  --daemon-cpus L   cores of the daemon, as taskset -c takes them (default: see README)
  --daemon-args A   more arguments for the daemon, in one word
  --quiet SECS      before each run, wait so long at most for the rest of the machine to be quiet
  --self-check      the kernel on both sides: each ratio must come out near 1
  --json            every single figure instead of the table
  --list            the rows
";

#[derive(Clone, Debug)]
pub struct Options {
    pub tree: PathBuf,
    pub runs: usize,
    pub secs: f64,
    pub only: Vec<String>,
    pub mtu: u32,
    pub congestion: String,
    pub idle: usize,
    pub daemon_cpus: Option<String>,
    pub daemon_args: Vec<String>,
    pub quiet: f64,
    pub self_check: bool,
    pub json: bool,
}

impl Options {
    /// `None` asks for the list.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            tree: default_tree(),
            runs: 5,
            secs: 2.0,
            only: Vec::new(),
            mtu: 1500,
            congestion: "cubic".to_owned(),
            idle: 5000,
            daemon_cpus: None,
            daemon_args: Vec::new(),
            quiet: 0.0,
            self_check: false,
            json: false,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => (options.runs, options.secs, options.idle) = (3, 1.0, 2000),
                "--runs" => options.runs = number(&word, &value()?, 1, 1000)?,
                "--secs" => options.secs = number(&word, &value()?, 0.1, 60.0)?,
                "--only" => options.only.push(value()?),
                "--mtu" => options.mtu = number(&word, &value()?, 576, 65535)?,
                "--congestion" => options.congestion = value()?,
                "--idle" => options.idle = number(&word, &value()?, 1, 15000)?,
                "--daemon-cpus" => options.daemon_cpus = Some(value()?),
                "--daemon-args" => options.daemon_args = value()?.split_whitespace().map(str::to_owned).collect(),
                "--quiet" => options.quiet = number(&word, &value()?, 0.0, 3600.0)?,
                "--self-check" => options.self_check = true,
                "--json" => options.json = true,
                "--list" | "--help" | "-h" => return Ok(None),
                _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
                _ => options.tree = PathBuf::from(word),
            }
        }
        if !options.self_check {
            let tree = &options.tree;
            options.tree = tree
                .canonicalize()
                .ok()
                .filter(|t| t.join("bin/iopkt").exists())
                .ok_or_else(|| format!("no build in {}: run `make build` first", tree.display()))?;
        }
        Ok(Some(options))
    }

    pub fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| row.contains(part.as_str()))
    }
}

fn default_tree() -> PathBuf {
    match std::env::var_os("IOPKT_TREE") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/iopkt"),
    }
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    word: &str,
    value: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    match value.parse::<T>() {
        Ok(n) if n >= least && n <= most => Ok(n),
        _ => Err(format!("{word}: {value:?} is not a number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn later_options_refine_quick() {
        let options = parsed("--self-check --quick --runs 7 --only rr --only udp").unwrap().unwrap();
        assert_eq!((options.runs, options.secs), (7, 1.0));
        assert!(options.wants("rr-1core") && options.wants("udp-64-tx") && !options.wants("idle"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parsed("--runs many").unwrap_err().contains("many"));
        assert!(parsed("--wrong").unwrap_err().contains("--wrong"));
        assert!(parsed("--json /nowhere/at/all").unwrap_err().contains("/nowhere/at/all"));
    }
}
