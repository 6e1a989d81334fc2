//! Writes the seeds of every target into a folder (by default the corpora): `cargo run -p fuzz --bin seed [FOLDER]`.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let corpora =
        env::args_os().nth(1).map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus"), PathBuf::from);
    for (name, _) in fuzz::TARGETS {
        let folder = corpora.join(name);
        fs::create_dir_all(&folder)?;
        for (i, seed) in fuzz::seeds::of(name).iter().enumerate() {
            fs::write(folder.join(format!("seed-{i:02}")), seed)?;
        }
    }
    Ok(())
}
