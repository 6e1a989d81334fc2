//! The daemon's own beginnings and ends, with real links and programs.

use std::path::Path;

use e2e::{Family, Lab, Link, Running, eventually, program};

/// Names of all files below a directory.
fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let below = |entry: std::fs::DirEntry| match entry.path() {
        path if path.is_dir() => files(&path),
        path => vec![path.file_name().unwrap_or_default().to_string_lossy().into_owned()],
    };
    entries.filter_map(Result::ok).flat_map(below).collect()
}

#[test]
fn sigterm_with_connections_open_ends_them_at_the_peer_and_leaves_no_file() {
    const COUNT: &str = "20";
    for link in [Link::Packet, Link::Tap] {
        let mut lab = Lab::new(link);
        let mut ours = Vec::new();
        let mut peers = Vec::new();
        for family in Family::BOTH {
            let mut peer = lab.peer_start(&[&program("ends"), "listen", family.peer(), "4001", COUNT]);
            peer.wait_for("listening");
            ours.push(lab.start(&[&program("hold"), "connect", family.peer(), "4001", COUNT]));
            peers.push(peer);
            let mut server = lab.start(&[&program("hold"), "listen", family.stack(), "4002", COUNT]);
            server.wait_for("listening");
            ours.push(server);
            peers.push(lab.peer_start(&[&program("ends"), "connect", family.stack(), "4002", COUNT]));
        }
        ours.iter_mut().for_each(|p| drop(p.wait_for("holding")));
        peers.iter_mut().for_each(|p| drop(p.wait_for("watching")));
        lab.daemon().signal("TERM");
        assert_eq!(lab.daemon().wait(), Some(0), "{}", lab.daemon().output());
        for mut peer in peers {
            peer.wait_for("all ended");
        }
        assert_eq!(files(&lab.run_dir()), ["log"], "{link:?}");
    }
}

/// Words, and what the one line must name.
const WRONG: [(&[&str], &[&str]); 7] = [
    (&["-d", "nosuch"], &["nosuch"]),
    (&["-d", "packet", "if=veth0,spede=1"], &["spede", "known:", "promisc"]),
    (&["-d", "packet", "if=veth0,queues=many"], &["queues=many", "number"]),
    (&["-d", "packet", "if=em77"], &["em77", "interfaces:", "veth0"]),
    (&["-d", "packet"], &["packet", "if="]),
    (&["-d", "tap", "if=tap0", "-d", "packet", "if=em77"], &["em77"]),
    (&["-d", "socket", "local=/nonexistent/a,remote=/nonexistent/b"], &["/nonexistent/a"]),
];

#[track_caller]
fn fails_with_one_line(lab: &Lab, command: &[&str], named: &[&str]) {
    let said = lab.command(command);
    assert_eq!(said.code, Some(1), "{command:?}: {}", said.stderr);
    // In the foreground the log stands there too, with what went well before.
    let lines: Vec<&str> = said.stderr.lines().filter(|l| !l.contains(" INFO ")).collect();
    assert!(matches!(lines[..], [line] if line.starts_with("io-pkt-v6")), "{command:?}: {}", said.stderr);
    assert!(named.iter().all(|n| lines[0].contains(n)), "{command:?}: not {named:?} in {}", lines[0]);
}

#[test]
fn a_start_that_fails_is_one_line_status_1_and_nothing_left() {
    let lab = Lab::without_daemon();
    for (words, named) in WRONG {
        for program in [&["io-pkt-v6-hc"][..], &["io-pkt-v6-hc", "-f"]] {
            fails_with_one_line(&lab, &[program, words].concat(), named);
            let left = files(&lab.run_dir());
            assert!(left.iter().all(|f| f == "log"), "{words:?}: {left:?}");
            let links = lab.home_run(&["ip", "-o", "link"]).ok();
            assert!(!links.contains("tap0"), "{words:?}: {links}");
        }
    }
    // Nothing of it is in the way of one that is right.
    let mut command = lab.home_command("io-pkt-v6-hc");
    command.args(["-f", "-d", "packet", "if=veth0"]);
    let mut daemon = Running::start(command);
    daemon.wait_for("serves");
    let served = format!("already served by process {}", daemon.pid());
    fails_with_one_line(&lab, &["io-pkt-v6-hc", "-d", "packet", "if=veth0"], &["/dev/socket", &served]);
    assert!(daemon.is_alive());
}

#[test]
fn a_missing_privilege_is_named() {
    let lab = Lab::without_daemon();
    // Root of the namespace, without any of root's rights.
    let bare = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "io-pkt-v6-hc"];
    for (words, named) in [
        (&["-d", "packet", "if=veth0"][..], &["packet", "CAP_NET_RAW"][..]),
        (&["-d", "tap", "if=tap0"], &["tap", "CAP_NET_ADMIN"]),
        (&["-U", "0:0"], &["-U 0", "Operation not permitted"]),
        (&["-P", "100"], &["-P 100", "Operation not permitted"]),
    ] {
        fails_with_one_line(&lab, &[&bare[..], words].concat(), named);
    }
}

#[test]
fn the_place_of_a_killed_daemon_is_taken_over_with_its_link() {
    let mut lab = Lab::new(Link::Packet);
    lab.daemon().signal("KILL");
    lab.daemon().wait();
    assert!(files(&lab.run_dir()).contains(&"ctl".to_owned()), "a killed one leaves its name");
    let address = Family::V4.stack();
    lab.start_daemon(&["-d", "packet", "if=veth0"]);
    lab.command(&["ifconfig", "en0", &format!("{address}/24"), "up"]).ok();
    eventually("the peer is reached", || {
        (lab.command(&["ping", "-c", "1", Family::V4.peer()]).code == Some(0)).then_some(())
    });
}
