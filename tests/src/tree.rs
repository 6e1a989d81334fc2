//! Where the built commands and libraries are.

use std::path::{Path, PathBuf};

/// `$IOPKT_TREE`, else `target/iopkt-test` of the workspace: what `make test-tree` lays out.
pub fn tree() -> PathBuf {
    let tree = match std::env::var_os("IOPKT_TREE") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/iopkt-test"),
    };
    let tree = tree.canonicalize().unwrap_or(tree);
    assert!(tree.join("bin/iopkt").exists(), "no build in {}: run `make test-tree` first", tree.display());
    tree
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A Python program of `tests/scripts`, by name.
pub fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    assert!(path.exists(), "{}", path.display());
    path.to_string_lossy().into_owned()
}
