//! What the corpora of the engine reach: its counters, summed up, and those that nothing moved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

fn main() -> io::Result<()> {
    let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for target in ["stack_frames", "stack_session", "stack_tcp"] {
        for entry in fs::read_dir(corpora.join(target))? {
            for (protocol, text, value) in fuzz::engine::counters(target, &fs::read(entry?.path())?) {
                *sums.entry((protocol, text)).or_default() += value;
            }
        }
    }
    for ((protocol, text), sum) in &sums {
        println!("{protocol:8} {sum:12} {text}");
    }
    let silent = sums.values().filter(|sum| **sum == 0).count();
    println!("{} counters, {silent} of them never moved", sums.len());
    Ok(())
}
