//! `iopkt run`: where the program finds itself, and which programs it refuses.

use std::fs;

use crate::fake::Fake;

/// Whether this machine lets us make namespaces; without them `iopkt run` only warns.
fn namespaces(fake: &Fake) -> bool {
    let out = fake.run("iopkt run -- true");
    assert!(out.status.success(), "{out:?}");
    out.stderr.is_empty()
}

#[test]
fn the_program_has_no_network_but_the_instances() {
    let fake = Fake::start();
    let out = fake.command("iopkt run -- sh -c").arg("cat /proc/net/dev; echo $SOCK $LD_PRELOAD $PATH").output();
    let text = String::from_utf8(out.expect("it starts").stdout).expect("text");
    let bin = fake.path("bin");
    let last = format!("/dev/socket {} {}:", fake.path("lib/libiopkt_socket.so").display(), bin.display());
    assert!(text.lines().last().is_some_and(|l| l.starts_with(&last)), "{text}");
    if namespaces(&fake) {
        let interfaces: Vec<&str> = text.lines().filter_map(|l| l.split_once(':')).map(|(n, _)| n.trim()).collect();
        assert!(interfaces.contains(&"lo") && !text.contains("eth0"), "{text}");
    }
}

#[test]
fn what_it_writes_to_resolv_conf_stays_with_the_instance() {
    let fake = Fake::start();
    if !namespaces(&fake) {
        return;
    }
    let host = fs::read_to_string("/etc/resolv.conf").ok();
    let line = "echo nameserver 192.0.2.53 >> /etc/resolv.conf; cat /etc/resolv.conf /etc/hosts";
    let out = fake.command("iopkt run -- sh -c").arg(line).output().expect("it starts");
    let text = String::from_utf8(out.stdout).expect("text");
    assert!(text.starts_with("nameserver 192.0.2.53\n127.0.0.1\tlocalhost\n"), "{text}");
    assert_eq!(fs::read_to_string("/etc/resolv.conf").ok(), host);
    let own = fs::read_to_string(fake.path("run/dev/socket/resolv.conf")).expect("the instance's file");
    assert_eq!(own, "nameserver 192.0.2.53\n");
}

#[test]
fn the_exit_status_is_the_programs() {
    let fake = Fake::start();
    let status = |line: &str| fake.command("iopkt run -- sh -c").arg(line).status().expect("it starts");
    assert_eq!(status("exit 7").code(), Some(7));
    let killed = std::os::unix::process::ExitStatusExt::signal(&status("kill -TERM $$"));
    assert_eq!(killed, Some(15));
    let (code, text) = fake.failure("iopkt run -- no-such-program");
    assert_eq!((code, text.as_str()), (127, "iopkt run: no-such-program: not found\n"));
}

#[test]
fn a_static_program_is_refused_with_the_reason() {
    let fake = Fake::start();
    let program = fake.path("static");
    let source = fake.path("static.c");
    fs::write(&source, "int main(void) { return 0; }\n").expect("a file");
    let mut cc = std::process::Command::new("cc");
    assert!(cc.arg("-static").arg(&source).arg("-o").arg(&program).status().expect("cc runs").success());
    let (code, text) = fake.failure(&format!("iopkt run {}", program.display()));
    assert!(code == 126 && text.contains("statically linked"), "{code} {text}");
    // The same behind a script.
    let script = fake.path("script");
    fs::write(&script, format!("#!{}\n", program.display())).expect("a file");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    assert_eq!(fake.failure(&format!("iopkt run {}", script.display())).0, 126);
}
