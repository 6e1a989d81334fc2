//! Links whose driver fails, and links that go away.

use std::process::Command;

use e2e::{Lab, Link, PEER_V4, Running, STACK_V4, eventually};

use super::{Held, counter, load, no_sockets_left, serves};

/// A C driver of `tests/modules/c`, built.
fn driver(lab: &Lab, name: &str) -> String {
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let out = lab.path(&format!("devnp-{name}.so")).to_string_lossy().into_owned();
    let source = format!("{top}/tests/modules/c/{name}-driver.c");
    let built = Command::new("cc")
        .args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"])
        .args(["-I", &format!("{top}/crates/abi/include"), "-o", &out, &source])
        .status();
    assert!(built.is_ok_and(|s| s.success()), "{source} does not compile");
    out
}

#[test]
fn a_driver_that_fails_at_random_is_counted_and_survived() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    let path = driver(&lab, "faulty");
    lab.command(&["mount", "-T", "io-pkt", "-o", "seed=7", &path]).ok();
    lab.command(&["ifconfig", "en0", "10.7.0.1/24", "up"]).ok();
    let program = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                   for i in range(5000):\n\
                   \x20   try: s.sendto(b'x' * (i % 1400), ('10.7.0.255' if i % 2 else '10.7.0.%d' % (i % 250 + 2), 9))\n\
                   \x20   except PermissionError: s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n\
                   \x20   except OSError: pass";
    lab.run(&["python3", "-c", program]).ok();
    let errors = || {
        let text = lab.command(&["netstat", "-i"]).ok();
        let line = text.lines().find(|l| l.starts_with("en0")).unwrap_or_default().to_owned();
        (line.clone(), line.split_whitespace().filter_map(|w| w.parse::<u64>().ok()).collect::<Vec<_>>())
    };
    eventually("errors are counted both ways", || {
        // Name Mtu Network Address Ipkts Ierrs Opkts Oerrs Colls
        let (_, n) = errors();
        let k = n.len();
        (k >= 5 && n[k - 4] > 0 && n[k - 2] > 0).then_some(())
    });
    serves(&lab);
    assert!(std::path::Path::new(&format!("/proc/{daemon}")).exists());
    lab.command(&["ifconfig", "en0", "destroy"]).ok();
    let idle = load(daemon, || (0..20).for_each(|_| serves(&lab)));
    assert!(idle < 0.9, "a driver that is gone still keeps the daemon busy: {idle}");
}

/// A transfer to the instance that never ends by itself.
pub fn endless(lab: &Lab) -> (Running, Running) {
    let mut sender = lab.peer_start(&["socat", "-u", "OPEN:/dev/zero", "TCP-LISTEN:6000,reuseaddr"]);
    eventually("socat listens", || {
        lab.peer_run(&["ss", "-Htln", "sport", "=", ":6000"]).text().contains("6000").then_some(())
    });
    assert!(sender.is_alive());
    let receiver = lab.start(&["sh", "-c", "echo receiving as $$; exec socat -u TCP:192.168.1.1:6000 OPEN:/dev/null"]);
    (sender, receiver)
}

/// Packets that came in on en0.
fn received(lab: &Lab) -> u64 {
    counter(lab, "total packets received")
}

pub fn flows(lab: &Lab) {
    let before = received(lab);
    eventually("the transfer goes on", || (received(lab) > before + 200).then_some(()));
}

#[test]
fn an_interface_may_be_destroyed_under_load_and_come_back() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    for _ in 0..3 {
        let (sender, mut receiver) = endless(&lab);
        receiver.wait_for("receiving");
        flows(&lab);
        lab.command(&["ifconfig", "en0", "destroy"]).ok();
        serves(&lab);
        assert!(!lab.command(&["ifconfig", "-a"]).ok().contains("en0"));
        drop((receiver, sender));
        lab.command(&["mount", "-T", "io-pkt", "-o", "if=veth0,unit=0", "devnp-packet.so"]).ok();
        lab.command(&["ifconfig", "en0", &format!("{STACK_V4}/24"), "up"]).ok();
        eventually("the peer is there again", || {
            (lab.command(&["ping", "-c", "1", PEER_V4]).code == Some(0)).then_some(())
        });
    }
    no_sockets_left(&lab);
    assert!(Held::by(daemon).descriptors < 40, "{:?}", Held::by(daemon));
}

fn a_link_deleted_under_load_is_down(link: Link, delete: impl Fn(&Lab)) {
    let mut lab = Lab::new(link);
    let daemon = lab.daemon().pid();
    let (_sender, mut receiver) = endless(&lab);
    receiver.wait_for("receiving");
    flows(&lab);
    delete(&lab);
    eventually("the link is seen to be down", || {
        let text = lab.command(&["ifconfig", "en0"]).text();
        (text.contains("no carrier") || !text.contains("RUNNING")).then_some(())
    });
    serves(&lab);
    let idle = load(daemon, || (0..20).for_each(|_| serves(&lab)));
    assert!(idle < 0.9, "a link that is gone keeps the daemon busy: {idle}");
    lab.command(&["ifconfig", "en0", "destroy"]).ok();
    serves(&lab);
}

#[test]
fn a_veth_deleted_under_load_is_a_link_down() {
    a_link_deleted_under_load_is_down(Link::Packet, |lab| drop(lab.home_run(&["ip", "link", "del", "veth0"]).ok()));
}

#[test]
fn a_tap_deleted_under_load_is_a_link_down() {
    a_link_deleted_under_load_is_down(Link::Tap, |lab| drop(lab.peer_run(&["ip", "link", "del", "veth1"]).ok()));
}

/// Frames dropped on their way into en0.
fn dropped(lab: &Lab) -> u64 {
    let text = lab.command(&["ifconfig", "-v", "en0"]).ok();
    let words = text.lines().find(|l| l.contains("input:")).and_then(|l| l.rsplit(", ").next()).unwrap_or_default();
    words.trim_end_matches(" dropped").parse().unwrap_or_else(|_| panic!("no count of drops: {text}"))
}

#[test]
fn frames_for_which_a_stopped_daemon_has_no_room_are_counted() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &daemon]).status().is_ok_and(|s| s.success()));
    lab.peer_run(&["ping", "-c", "1", STACK_V4]).ok();
    assert_eq!(dropped(&lab), 0);
    signal("-STOP");
    let flood = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                 for i in range(5000): s.sendto(b'x' * 100, ('%', 9))";
    let flooded = lab.peer_run(&["python3", "-c", &flood.replace('%', STACK_V4)]);
    signal("-CONT");
    flooded.ok();
    serves(&lab);
    let lost = dropped(&lab);
    assert!((3000..5000).contains(&lost), "{lost} of 5000 dropped, with rings of about a thousand small slots");
    lab.peer_run(&["ping", "-c", "1", STACK_V4]).ok();
    assert_eq!(dropped(&lab), lost, "there is room again");
}
