//! What the corpora and seeds of the engine reach: its counters, summed up, and those that nothing moved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

fn main() -> io::Result<()> {
    let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for target in ["stack_frames", "stack_session", "stack_tcp"] {
        let mut inputs = fuzz::seeds::of(target);
        for entry in fs::read_dir(corpora.join(target))? {
            inputs.push(fs::read(entry?.path())?);
        }
        for input in inputs {
            for (protocol, text, value) in fuzz::engine::counters(target, &input) {
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
