//! The C programs of `tests/programs` and `examples/spec`: built once per test process, judged by what they print.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::process::Finished;
use crate::tree::repository;

/// The path of a program of `tests/programs`, by its name.
pub fn program(name: &str) -> String {
    built(&repository().join("tests/programs").join(format!("{name}.c")), true)
}

/// The path of a program of `examples/spec`, built as its reader would: plain `cc`, but every warning is an error.
pub fn example(name: &str) -> String {
    built(&repository().join("examples/spec").join(format!("{name}.c")), false)
}

/// Builds once per process, into a folder of its own, so that two test processes do not meet.
fn built(source: &Path, with_side: bool) -> String {
    static DONE: Mutex<Vec<(PathBuf, &'static OnceLock<String>)>> = Mutex::new(Vec::new());
    let once = {
        let mut done = DONE.lock().expect("no builder has panicked");
        match done.iter().find(|(path, _)| path == source) {
            Some((_, once)) => *once,
            None => {
                let once: &'static OnceLock<String> = Box::leak(Box::default());
                done.push((source.to_owned(), once));
                once
            }
        }
    };
    once.get_or_init(|| compile(source, with_side)).clone()
}

/// The folder of this process; what processes that are gone have left is removed.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let all = repository().join("target/programs");
        for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(entry.file_name()).exists() {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let own = all.join(std::process::id().to_string());
        std::fs::create_dir_all(&own).expect("room in the target directory");
        own.canonicalize().expect("it was just made")
    })
}

fn compile(source: &Path, with_side: bool) -> String {
    let out = folder().join(source.file_stem().expect("a file name"));
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&out).arg(source);
    if with_side {
        // Fortified, so that the names that end in _chk are called too.
        cc.args(["-O2", "-g", "-D_FORTIFY_SOURCE=2", "-D_GNU_SOURCE", "-pthread"]).args(side());
    }
    let result = cc.output().expect("a C compiler");
    assert!(result.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&result.stderr));
    out.to_string_lossy().into_owned()
}

/// What the programs of `tests/programs` share.
fn side() -> Vec<PathBuf> {
    let dir = repository().join("tests/programs/side");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the folder is in the repository")
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "c"))
        .collect();
    files.sort();
    files
}

/// True for a check that `tests/programs/deviations.txt` names: `PROGRAM: CHECK` begins a line there, and
/// the reason follows indented.
fn is_known_deviation(program: &str, line: &str) -> bool {
    let Some(check) = line.strip_prefix("not ok ") else { return false };
    include_str!("../programs/deviations.txt")
        .lines()
        .filter(|l| !l.starts_with([' ', '#']))
        .filter_map(|l| l.split_once(": "))
        .any(|(p, name)| p == program && check.starts_with(name))
}

/// What is wrong with a program that prints `ok NAME` and `not ok NAME: REASON`: nothing when every check is good.
pub fn complaints(what: &str, finished: &Finished) -> Vec<String> {
    let text = finished.text();
    let program = what.split_whitespace().next().unwrap_or(what).trim_end_matches(':');
    let mut list: Vec<String> = text
        .lines()
        .filter(|l| l.starts_with("not ok") && !is_known_deviation(program, l))
        .map(|l| format!("{what}: {l}"))
        .collect();
    let known = text.lines().any(|l| l.starts_with("not ok") && is_known_deviation(program, l));
    let good = text.lines().filter(|l| l.starts_with("ok ")).count();
    if list.is_empty() && ((finished.code != Some(0) && !known) || good == 0) {
        let last = text.lines().last().unwrap_or("nothing");
        let code = finished.code;
        list.push(format!(
            "{what}: exit {code:?} after {good} good checks, the last words: {last}; {}",
            finished.stderr
        ));
    }
    list
}

/// Fails with all complaints together.
#[track_caller]
pub fn none_of(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
