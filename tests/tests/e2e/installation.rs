//! What `make run` and `make install` leave: the show that ends `make run`, and a tree that works where it was put.

use std::process::Command;

use e2e::{Family, Finished, Rootless, Talk, copy, data_file, repository, same_bytes, tree};

use crate::conversations::http_server;

/// `scripts/run-demo`, with the files beside it, where the user can read them.
fn demo(place: &Rootless, run: impl Fn(&[&str]) -> Finished) {
    std::fs::create_dir_all(place.path("top")).expect("room for a folder");
    copy(&repository().join("scripts"), &place.path("top/scripts"));
    let script = place.path("top/scripts/run-demo").to_string_lossy().into_owned();
    let said = run(&[&script, &place.tree().to_string_lossy()]);
    let text = said.text();
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{text}");

    let section = |title: &str| {
        let at = text.lines().skip_while(|l| !l.starts_with(title)).skip(1);
        let lines: Vec<&str> = at.take_while(|l| !l.is_empty()).collect();
        assert!(!lines.is_empty(), "nothing under {title:?}:\n{text}");
        lines
    };
    let page = section("curl fetched ");
    assert!(page[0].contains("iopkt's own TCP"), "{page:?}");
    let capture = section("Between stack and link");
    assert!(capture.iter().any(|l| l.contains("Flags [S]")), "{capture:#?}");
    assert!(capture.iter().any(|l| l.contains("10.0.2.2")) && capture.len() > 5, "{capture:#?}");
    let counters = section("Counters of netstat -s that rose");
    assert!(counters.iter().any(|l| l.trim_start().starts_with("tcp")), "{counters:#?}");
    assert!(section("$ ifconfig").iter().any(|l| l.contains("inet 10.0.2.15")), "{text}");
    // At that moment: the connection is there.
    let sockets = section("$ netstat");
    assert!(sockets.iter().any(|l| l.contains("10.0.2.2.") && l.trim_end().ends_with("ESTABLISHED")), "{sockets:#?}");
    let next = section("It works. To try next");
    assert_eq!(next.iter().filter(|l| l.contains("/bin/iopkt ")).count(), 3, "{next:#?}");
    // It leaves nothing behind: no instance, no folder.
    let left: Vec<_> = std::fs::read_dir(&place.dir).expect("it is ours").filter_map(|e| e.ok()).collect();
    assert!(left.iter().all(|e| !e.file_name().to_string_lossy().starts_with("iopkt-demo")), "{left:?}");
}

#[test]
fn the_demonstration_shows_its_proofs_to_a_user() {
    let place = Rootless::new();
    demo(&place, |words| place.user(words));
}

#[test]
fn the_demonstration_shows_its_proofs_to_root() {
    let place = Rootless::new();
    demo(&place, |words| place.root(words));
}

#[test]
fn the_demonstration_fails_with_the_reason() {
    let place = Rootless::new();
    // A tree without the user link's driver.
    let broken = place.path("broken");
    copy(&tree(), &broken);
    std::fs::remove_file(broken.join("lib/dll/devnp-user.so")).expect("every tree has it");
    let script = repository().join("scripts/run-demo");
    let said = place.root(&[&script.to_string_lossy(), &broken.to_string_lossy()]);
    assert_eq!(said.code, Some(1), "{}", said.text());
    assert!(said.stderr.contains("make run: the instance did not start"), "{}", said.stderr);
}

#[test]
fn an_installed_tree_works_where_it_was_put() {
    let stage = Rootless::new();
    let destination = stage.path("stage").to_string_lossy().into_owned();
    let mut make = Command::new("make");
    make.arg("-C").arg(repository()).arg("install").arg(format!("TREE={}", tree().display()));
    make.args([&format!("DESTDIR={destination}"), "PREFIX=/opt/elsewhere"]);
    let made = make.output().expect("make is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let installed = stage.path("stage/opt/elsewhere");

    // A place whose user has just this tree.
    let place = Rootless::with_tree(installed.clone());
    assert_eq!(place.tree(), installed, "it can be used by everybody");
    let file = place.path("file");
    data_file(&file, 300_000);
    let _server = http_server(&place, Family::V4);
    let got = place.path("got").to_string_lossy().into_owned();
    place.run(&["curl", "-sS", "--fail", "-o", &got, "http://10.0.2.2:8000/file"]).ok();
    assert!(same_bytes(&file, got.as_ref()));

    let library = place.run(&["sh", "-c", "echo $LD_PRELOAD"]).ok();
    assert_eq!(library.trim(), installed.join("lib/libiopkt_socket.so").to_string_lossy());
    let status = place.user(&["iopkt", "status"]).ok();
    let pid = status.lines().nth(1).and_then(|l| l.split_whitespace().nth(1)).expect("a row").to_owned();
    let maps = place.root(&["cat", &format!("/proc/{pid}/maps")]).ok();
    for part in ["bin/io-pkt", "lib/dll/devnp-user.so"] {
        assert!(maps.contains(&*installed.join(part).to_string_lossy()), "{part}: {maps}");
    }
}
