//! Finds a program and says whether the socket library can enter it. One that it cannot would run
//! without any network, and look broken; it is refused with the reason instead.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags};

use super::elf::{self, Elf};

/// Interpreters of interpreters that the kernel follows (execve(2)).
const SCRIPTS_MAX: usize = 4;
/// Longest `#!` line that the kernel reads.
const SCRIPT_LINE_MAX: u64 = 256;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o10;

/// The file that execvp(3) would run.
pub fn find(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let file = PathBuf::from(name);
        return file.exists().then_some(file);
    }
    std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_ok())
}

/// `Err` is why the program cannot be on an instance. `words` is its command line.
pub fn check(file: &Path, words: &[OsString], path: &OsStr, new_user_namespace: bool) -> Result<(), String> {
    let own = elf::read(Path::new("/proc/self/exe")).ok().flatten();
    let mut file = file.to_path_buf();
    let mut words = words.to_vec();
    for _ in 0..SCRIPTS_MAX {
        check_privilege(&file, new_user_namespace)?;
        // What cannot be read may still be run; then the kernel and the loader have the last word.
        if let Ok(Some(elf)) = elf::read(&file) {
            check_elf(&elf, own.as_ref())?;
            match behind_env(&file, &words, path) {
                Some((next, rest)) => (file, words) = (next, rest),
                None => return Ok(()),
            }
            continue;
        }
        let Some((interpreter, argument)) = script(&file) else { return Ok(()) };
        let mut next = vec![interpreter.clone().into_os_string()];
        next.extend(argument);
        next.push(file.into_os_string());
        next.extend(words.into_iter().skip(1));
        (file, words) = (interpreter, next);
    }
    Ok(())
}

fn check_elf(elf: &Elf, own: Option<&Elf>) -> Result<(), String> {
    if own.is_some_and(|own| (own.form, own.machine) != (elf.form, elf.machine)) {
        return Err("built for another processor than iopkt's socket library".into());
    }
    let Some(loader) = &elf.interpreter else {
        return Err("a statically linked program, which iopkt's socket library cannot enter".into());
    };
    if elf.go {
        return Err("a Go program calls the kernel itself; iopkt's socket library cannot enter it".into());
    }
    let name_of = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    match own.and_then(|own| own.interpreter.as_ref()) {
        Some(ours) if name_of(ours) != name_of(loader) => {
            Err(format!("linked with another C library ({loader}) than iopkt's socket library ({ours})"))
        }
        _ => Ok(()),
    }
}

/// Whether the kernel would mark the program AT_SECURE, for which ld.so(8) drops LD_PRELOAD.
fn check_privilege(file: &Path, new_user_namespace: bool) -> Result<(), String> {
    let Ok(meta) = fs::metadata(file) else { return Ok(()) };
    if rustix::fs::statvfs(file).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID)) {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let sets_uid = meta.mode() & S_ISUID != 0 && meta.uid() != uid;
    let sets_gid = meta.mode() & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP && meta.gid() != gid;
    // In a user namespace that holds just one user and one group there is nobody to become.
    if (sets_uid || sets_gid) && !new_user_namespace {
        return Err("a set-user-ID program; the system keeps iopkt's socket library out of those".into());
    }
    let mut value = [0u8; 64];
    if uid != 0 && rustix::fs::getxattr(file, "security.capability", &mut value).is_ok() {
        return Err("a program with file capabilities; the system keeps iopkt's socket library out of those".into());
    }
    Ok(())
}

/// The interpreter of a script and its one argument. A text without `#!` is run by the shell.
fn script(file: &Path) -> Option<(PathBuf, Option<OsString>)> {
    let mut head = Vec::new();
    fs::File::open(file).ok()?.take(SCRIPT_LINE_MAX).read_to_end(&mut head).ok()?;
    parse_script(&head)
}

fn parse_script(head: &[u8]) -> Option<(PathBuf, Option<OsString>)> {
    let Some(line) = head.strip_prefix(b"#!") else { return Some(("/bin/sh".into(), None)) };
    let line = line.split(|b| *b == b'\n').next()?.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    if interpreter.is_empty() {
        return None;
    }
    let argument = argument.trim_ascii();
    let argument = (!argument.is_empty()).then(|| OsString::from_vec(argument.to_vec()));
    Some((OsStr::from_bytes(interpreter).into(), argument))
}

/// The program that env(1) will run, as far as its command line says so plainly.
fn behind_env(file: &Path, words: &[OsString], path: &OsStr) -> Option<(PathBuf, Vec<OsString>)> {
    if file.file_name()? != "env" {
        return None;
    }
    let plain = |w: &&OsString| !w.as_bytes().starts_with(b"-") && !w.as_bytes().contains(&b'=');
    let at = 1 + words.iter().skip(1).position(|w| plain(&w))?;
    Some((find(&words[at], path)?, words[at..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(interpreter: Option<&str>) -> Elf {
        Elf { form: [2, 1], machine: 62, interpreter: interpreter.map(str::to_owned), go: false }
    }

    #[test]
    fn what_the_library_cannot_enter_is_refused_with_its_reason() {
        let own = elf(Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(check_elf(&elf(Some("/usr/lib64/ld-linux-x86-64.so.2")), Some(&own)), Ok(()));
        for (program, word) in [
            (elf(None), "statically"),
            (elf(Some("/lib/ld-musl-x86_64.so.1")), "ld-musl"),
            (Elf { go: true, ..own.clone() }, "Go"),
            (Elf { machine: 183, ..own.clone() }, "processor"),
            (Elf { form: [1, 1], ..own.clone() }, "processor"),
        ] {
            let why = check_elf(&program, Some(&own)).expect_err(word);
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn script_lines_are_read_as_the_kernel_does() {
        let os = |t: &str| Some(OsString::from(t));
        assert_eq!(parse_script(b"#!/bin/sh\necho"), Some(("/bin/sh".into(), None)));
        assert_eq!(
            parse_script(b"#! /usr/bin/env -S python3 -u \n"),
            Some(("/usr/bin/env".into(), os("-S python3 -u")))
        );
        assert_eq!(parse_script(b"echo hello"), Some(("/bin/sh".into(), None)));
        assert_eq!(parse_script(b"#!\n"), None);
    }

    #[test]
    fn env_is_looked_through() {
        let path = OsStr::new("/usr/bin:/bin");
        let words: Vec<OsString> = ["env", "A=1", "sh", "-c", "x"].map(Into::into).to_vec();
        let (_, rest) = behind_env(Path::new("/usr/bin/env"), &words, path).expect("sh is everywhere");
        assert_eq!(rest, ["sh", "-c", "x"]);
        assert_eq!(behind_env(Path::new("/bin/sh"), &words, path), None);
    }
}
