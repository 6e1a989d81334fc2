//! The lean program: compiled here, and its `result` lines read.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::Running;

/// Compiles lean/*.c into `dir`.
pub fn compile(dir: &Path) -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("lean");
    let entries = std::fs::read_dir(&sources).map_err(|e| format!("{}: {e}", sources.display()))?;
    let files = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "c"));
    let lean = dir.join("lean");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread", "-o"]).arg(&lean).args(files);
    let output = cc.output().map_err(|e| format!("cc: {e}"))?;
    if !output.status.success() {
        return Err(format!("cc does not compile {}:\n{}", sources.display(), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(lean)
}

/// A `result` line: words of the form key=number.
#[derive(Clone, Debug)]
pub struct Figures(String);

impl Figures {
    /// Waits until a program has printed its own.
    pub fn of(program: &mut Running) -> Figures {
        Figures(program.wait_for("result "))
    }

    pub fn get(&self, key: &str) -> f64 {
        let value = self.0.split_whitespace().find_map(|w| w.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {key} in {:?}", self.0))
    }

    pub fn count(&self) -> f64 {
        self.get("count")
    }

    pub fn secs(&self) -> f64 {
        self.get("ns") / 1e9
    }

    pub fn cpu_secs(&self) -> f64 {
        self.get("cpu_us") / 1e6
    }
}
