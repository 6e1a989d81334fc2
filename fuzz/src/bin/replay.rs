//! Runs one target on one input: `cargo run -p fuzz --bin replay TARGET FILE`, or hexadecimal digits instead of a file.

use std::{env, fs, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [name, input] = args.as_slice() else {
        eprintln!("usage: replay TARGET FILE|HEX");
        return ExitCode::from(2);
    };
    let Some(target) = fuzz::target(name) else {
        eprintln!("replay: unknown target {name:?}");
        return ExitCode::from(2);
    };
    match fs::read(input).ok().or_else(|| from_hex(input)) {
        Some(bytes) => target(&bytes),
        None => {
            eprintln!("replay: {input:?} is neither a file nor hexadecimal");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |i: usize| text.get(i..i + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    (0..text.len()).step_by(2).map(digit).collect()
}
