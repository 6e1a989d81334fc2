//! The corpora that fuzzing left, replayed; and a few thousand changes of them, the same every time.
//!
//! `FUZZ_SMOKE=n` sets how many changed inputs each target gets.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use fuzz::mutate::Mutator;
use fuzz::{TARGETS, Target};

/// Changed inputs for each target: engines take longer, formats less.
const SMOKE: usize = 5_000;
const SMOKE_STACK: usize = 1_500;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Runs a target; what breaks it is printed, so that it can be replayed.
fn run(name: &str, target: Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("{name} fails on {}", hex(input));
    }
}

fn replay(names: impl Fn(&str) -> bool) {
    for (name, target) in TARGETS.iter().filter(|(name, _)| names(name)) {
        corpus(name).iter().for_each(|input| run(name, *target, input));
        fuzz::seeds::of(name).iter().for_each(|input| run(name, *target, input));
        run(name, *target, &[]);
    }
}

fn smoke(names: impl Fn(&str) -> bool, count: usize) {
    let count = std::env::var("FUZZ_SMOKE").ok().and_then(|n| n.parse().ok()).unwrap_or(count);
    for (number, (name, target)) in TARGETS.iter().enumerate().filter(|(_, (name, _))| names(name)) {
        let mut corpus = corpus(name);
        corpus.extend(fuzz::seeds::of(name));
        let mut mutator = Mutator::new(number as u64);
        for _ in 0..count {
            let (input, other) = (mutator.below(corpus.len()), mutator.below(corpus.len()));
            run(name, *target, &mutator.mutate(&corpus[input], &corpus[other]));
        }
    }
}

fn is_stack(name: &str) -> bool {
    name.starts_with("stack_")
}

#[test]
fn every_target_has_a_corpus_and_seeds() {
    for (name, _) in TARGETS {
        assert!(!corpus(name).is_empty() && !fuzz::seeds::of(name).is_empty(), "{name}");
    }
}

#[test]
fn the_corpora_of_formats_and_messages_are_survived() {
    replay(|name| !is_stack(name));
}

#[test]
fn the_corpora_of_the_engine_are_survived() {
    replay(is_stack);
}

#[test]
fn changed_formats_and_messages_are_survived() {
    smoke(|name| !is_stack(name), SMOKE);
}

#[test]
fn changed_frames_are_survived() {
    smoke(|name| name == "stack_frames", SMOKE_STACK);
}

#[test]
fn changed_sessions_are_survived() {
    smoke(|name| name == "stack_session", SMOKE_STACK);
}

#[test]
fn changed_segments_are_survived() {
    smoke(|name| name == "stack_tcp", SMOKE_STACK);
}
