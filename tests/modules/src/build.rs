//! Modules to load: ours as cargo builds them, C ones as plain `cc` does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use io_pkt::modules::Modules;

/// Modules that the tests load.
const MODULES: [&str; 5] = ["devnp-packet", "devnp-tap", "devnp-socket", "devnp-user", "lsm-parrot"];

/// The checkout's top.
pub fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").canonicalize().expect("the sources are there");
    here.join("../../..")
}

/// Where the drivers lie, after building them once. In a namespace they are built already.
pub fn driver_dir() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from);
        if !crate::namespace::inside() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.current_dir(top()).args(["build", "--quiet"]);
            for module in MODULES {
                cargo.args(["-p", module]);
            }
            assert!(cargo.status().expect("cargo runs").success(), "the modules do not build");
        }
        target.join("debug")
    };
    DIR.get_or_init(build).clone()
}

/// A loader that finds the drivers.
pub fn modules() -> Modules {
    Modules::new(vec![driver_dir()])
}

/// Compiles a module written in C, with warnings as errors, into a directory of the test's own.
pub fn compile_c(source: &str, output: &str, defines: &[&str]) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("iopkt-c-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory for C modules");
    let output = dir.join(output);
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"]);
    cc.arg("-I").arg(top().join("crates/abi/include")).arg("-o").arg(&output).arg(top().join(source));
    cc.args(defines.iter().map(|d| format!("-D{d}")));
    assert!(cc.status().expect("cc runs").success(), "{source} does not compile");
    output
}
