//! From the name on the command line to a file: NAME, `devnp-NAME[.so]`, `devn-NAME.so` or a path; a
//! path that is not there (`/lib/dll/X`) is looked up as X in the module path.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ModuleError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Driver,
    Protocol,
}

impl Family {
    pub(super) fn word(self) -> &'static str {
        match self {
            Family::Driver => "driver",
            Family::Protocol => "protocol",
        }
    }

    /// The first is ours, the others are what older names begin with.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Family::Driver => &["devnp-", "devn-"],
            Family::Protocol => &["lsm-", "npm-"],
        }
    }
}

/// `$IOPKT_DLL` (a colon-separated list); else `../lib/dll` beside the executable's directory, and the
/// directory itself, where a cargo build leaves its libraries.
pub fn search_path() -> Vec<PathBuf> {
    if let Some(list) = std::env::var_os("IOPKT_DLL").filter(|l| !l.is_empty()) {
        return std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect();
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let Some(dir) = exe.parent() else { return Vec::new() };
    let mut dirs = vec![dir.join("../lib/dll"), dir.to_owned()];
    if dir.ends_with("deps") {
        dirs.extend(dir.parent().map(Path::to_owned));
    }
    dirs
}

pub(super) fn find(name: &str, family: Family, search: &[PathBuf]) -> Result<PathBuf, ModuleError> {
    if name.contains('/') && Path::new(name).is_file() {
        return Ok(PathBuf::from(name));
    }
    let stem = stem(name, family);
    let files: Vec<String> = family.prefixes().iter().map(|p| format!("{p}{stem}.so")).collect();
    let cargo = cargo_name(&files[0]);
    let found = search
        .iter()
        .flat_map(|dir| files.iter().chain([&cargo]).map(move |file| dir.join(file)))
        .find(|path| !stem.is_empty() && path.is_file());
    found.ok_or_else(|| {
        let dirs: Vec<_> = search.iter().map(|d| d.display().to_string()).collect();
        let known = known(family, search);
        ModuleError::NotFound {
            family: family.word(),
            name: name.to_owned(),
            looked_for: files.join(" or "),
            searched: if dirs.is_empty() { "an empty module path".to_owned() } else { dirs.join(":") },
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        }
    })
}

/// "packet" of "packet", "devnp-packet", "devnp-packet.so" and "/lib/dll/devn-packet.so".
fn stem(name: &str, family: Family) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let file = file.strip_suffix(".so").unwrap_or(file);
    family.prefixes().iter().find_map(|p| file.strip_prefix(p)).unwrap_or(file)
}

/// What cargo calls the library that is installed as `file`.
fn cargo_name(file: &str) -> String {
    format!("lib{}", file.replace('-', "_"))
}

/// The modules in the path, by the names that `-d` or `-p` takes.
pub(super) fn known(family: Family, search: &[PathBuf]) -> Vec<String> {
    let mut names = BTreeSet::new();
    let entries = search.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    for entry in entries {
        let file = entry.file_name();
        let Some(file) = file.to_str().and_then(|f| f.strip_suffix(".so")) else { continue };
        for prefix in family.prefixes() {
            let cargo = cargo_name(prefix);
            if let Some(stem) = file.strip_prefix(prefix) {
                names.insert(stem.to_owned());
            } else if let Some(stem) = file.strip_prefix(&cargo) {
                names.insert(stem.replace('_', "-"));
            }
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with(files: &[&str]) -> PathBuf {
        let unique = format!("iopkt-resolve-{}-{}", std::process::id(), files.join("+"));
        let dir = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&dir).unwrap();
        files.iter().for_each(|f| std::fs::write(dir.join(f), b"").unwrap());
        dir
    }

    #[test]
    fn all_forms_of_a_name_lead_to_the_same_file() {
        let dir = dir_with(&["devnp-packet.so"]);
        let here = dir.join("devnp-packet.so");
        let forms = ["packet", "devnp-packet", "devnp-packet.so", "devn-packet.so", "/lib/dll/devnp-packet.so"];
        for name in forms.iter().copied().chain([here.to_str().unwrap()]) {
            assert_eq!(find(name, Family::Driver, std::slice::from_ref(&dir)).unwrap(), here, "{name}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_name_that_cargo_builds_serves_too() {
        let dir = dir_with(&["libdevnp_packet.so", "liblsm_x.so"]);
        let path = find("packet", Family::Driver, std::slice::from_ref(&dir)).unwrap();
        assert_eq!(path, dir.join("libdevnp_packet.so"));
        assert_eq!(known(Family::Driver, std::slice::from_ref(&dir)), ["packet"]);
        assert_eq!(known(Family::Protocol, std::slice::from_ref(&dir)), ["x"]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_unknown_name_tells_what_was_looked_for_and_what_there_is() {
        let dir = dir_with(&["devnp-tap.so", "devn-old.so"]);
        let text = find("e1001", Family::Driver, std::slice::from_ref(&dir)).unwrap_err().to_string();
        let expected = format!(
            "unknown driver \"e1001\": no devnp-e1001.so or devn-e1001.so in {}; known: old, tap",
            dir.display()
        );
        assert_eq!(text, expected);
        assert!(find("", Family::Driver, std::slice::from_ref(&dir)).is_err());
        assert!(find("devnp-.so", Family::Driver, &[]).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
