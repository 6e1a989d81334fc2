//! nginx with two workers on the instance: many processes that share one listener, sendfile(2), keep-alive, and a change of
//! workers while it is busy.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::{Family, Lab, Link, OverWire, Running, Talk, bracketed, data_file, eventually, on_each_link, same_bytes};

use crate::conversations::curl_fetches_twice;

on_each_link!(a_gigabyte_is_byte_exact_and_connections_are_kept, a_reload_under_load_fails_no_request);

pub const PORT: &str = "8080";
/// What the description of this system promises to carry: one file of 1 GiB.
const GIGABYTE: usize = 1 << 30;

/// Serves the laboratory's directory, and at /worker the process that answers.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/nginx-{kind};"))
        .join(" ");
    format!(
        "daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log stderr notice;
         events {{ worker_connections 512; }}
         http {{
             access_log off; sendfile on; {temporary}
             server {{
                 listen {PORT}; listen [::]:{PORT};
                 root {dir};
                 location = /worker {{ return 200 \"$pid\\n\"; }}
             }}
         }}"
    )
}

/// Its master is an ordinary user, so that it changes to no other for its workers.
pub fn nginx(talk: &dyn Talk) -> Running {
    let file = talk.path("nginx.conf");
    std::fs::write(&file, configuration(talk.dir())).expect("room for a file");
    let mut server = talk.serve_as_user(&["nginx", "-e", "stderr", "-c", &file.to_string_lossy()]);
    for _ in 0..2 {
        server.wait_for("start worker process ");
    }
    server
}

fn url(family: Family, path: &str) -> String {
    format!("http://{}:{PORT}/{path}", bracketed(family.stack()))
}

fn a_gigabyte_is_byte_exact_and_connections_are_kept(link: Link) {
    let wire = OverWire::server_on_instance(link);
    let _server = nginx(&wire);
    let (small, large) = (wire.path("small"), wire.path("large"));
    data_file(&small, 3_000_000);
    data_file(&large, GIGABYTE);
    for family in Family::BOTH {
        curl_fetches_twice(&wire, &url(family, "small"), &small);
        // Compared as it comes, on the peer.
        let fetch = "set -o pipefail; curl -sS --fail \"$0\" | cmp - \"$1\"";
        wire.ask(&["bash", "-c", fetch, &url(family, "large"), &large.to_string_lossy()]).ok();
    }
}

/// Requests, 20 at a time, until the file `stop` is there; one line for each answer: who gave it.
const LOAD: &str = "until [ -e stop ]; do \
     curl -sS --fail --no-progress-meter -Z --parallel-max 20 \"$@\" || { echo FAILED $?; exit 1; }; done; echo over";

fn a_reload_under_load_fails_no_request(link: Link) {
    let wire = OverWire::server_on_instance(link);
    let server = nginx(&wire);
    let lab = &wire.lab;
    let (slow_file, slow_url) = (wire.path("slow"), url(Family::V4, "slow"));
    data_file(&slow_file, 4_000_000);
    let load = |family: Family, options: &[&str]| {
        let many = url(family, "worker?[1-200]");
        lab.peer_start(&[&["bash", "-c", LOAD, "load"], options, &[many.as_str()]].concat())
    };
    let mut loads = [
        load(Family::V4, &["-H", "Connection: close"]),
        load(Family::V6, &["-H", "Connection: close"]),
        load(Family::V4, &[]),
        load(Family::V6, &[]),
    ];
    let mut old = eventually("both workers answer", || {
        let seen: BTreeSet<String> = loads.iter_mut().flat_map(workers).collect();
        (seen.len() == 2).then_some(seen)
    });
    for _ in 0..3 {
        // A transfer of a second or more, which the old worker has to see to its end.
        let got = wire.path("got");
        let mut slow = lab.peer_start(&["curl", "-sS", "--fail", "--limit-rate", "4M", "-o", "got", &slow_url]);
        eventually("the transfer has begun", || got.metadata().is_ok_and(|m| m.len() > 0).then_some(()));
        server.signal("HUP");
        let new = eventually("two others answer", || {
            let seen: BTreeSet<String> = loads.iter_mut().flat_map(workers).collect();
            let new: BTreeSet<String> = seen.difference(&old).cloned().collect();
            (new.len() == 2).then_some(new)
        });
        assert_eq!(slow.wait(), Some(0), "{}", slow.rest());
        assert!(same_bytes(&slow_file, &got));
        std::fs::remove_file(&got).expect("it was just compared");
        for worker in &old {
            let process = Path::new("/proc").join(worker);
            eventually("the old workers end", || (!process.exists()).then_some(()));
        }
        old.extend(new);
    }
    std::fs::write(wire.path("stop"), "").expect("room for a file");
    for load in &mut loads {
        load.wait_for("over");
        assert!(!load.output().contains("FAILED"), "{}", load.output());
    }
    assert!(!no_connection(lab), "it still listens");
    drop(server);
    eventually("every connection ends with nginx", || no_connection(lab).then_some(()));
}

/// The workers that have answered so far.
fn workers(load: &mut Running) -> Vec<String> {
    let output = load.output();
    assert!(!output.contains("FAILED"), "{output}");
    let mut seen: Vec<String> = output.lines().filter(|l| l.parse::<u32>().is_ok()).map(str::to_owned).collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// Nothing listens at the port any more, and nothing but TIME_WAIT is left of its connections.
fn no_connection(lab: &Lab) -> bool {
    let text = lab.command(&["netstat", "-an"]).ok();
    text.lines().filter(|l| l.contains(&format!(".{PORT} "))).all(|l| l.trim_end().ends_with("TIME_WAIT"))
}
