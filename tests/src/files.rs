//! Files that are carried over a network, and what came of them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes a file of `size` bytes in which no eight bytes stand twice.
pub fn data_file(path: &Path, size: usize) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("room for a test file"));
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut left = size;
    while left > 0 {
        // Marsaglia's xorshift, whose period is longer than any file.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        let part = left.min(word.len());
        file.write_all(&word[..part]).expect("room for a test file");
        left -= part;
    }
    file.flush().expect("room for a test file");
}

/// True when two files hold the same bytes.
pub fn same_bytes(a: &Path, b: &Path) -> bool {
    match (std::fs::read(a), std::fs::read(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
