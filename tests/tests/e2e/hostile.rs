//! Bad input, from every side that can give some: frames, control messages, bytes in pairs, programs that die, tables that
//! fill up, drivers that fail. The daemon counts it, goes on, and gives back what it took.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use e2e::{
    Family, Lab, Link, PEER_V4, PEER_V6, Running, STACK_V4, STACK_V6, bracketed, complaints, eventually, none_of, program,
    same_bytes, script,
};

/// `often` in a full run, `seldom` otherwise.
fn count(seldom: usize, often: usize) -> String {
    let n = if std::env::var_os("IOPKT_TEST_FULL").is_some() { often } else { seldom };
    n.to_string()
}

/// What a daemon holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    /// Bytes of memory of its own: not the pages of files that it has mapped.
    memory: usize,
}

/// What the heap of a small daemon grows by until it has seen everything, in bytes.
const SETTLING: usize = 4 << 20;

impl Held {
    fn by(pid: u32) -> Held {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon is alive").count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon is alive");
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("a line of proc(5)");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        Held { descriptors, memory: kib * 1024 }
    }

    /// No descriptor more, and memory within 5 %, or what a small daemon's heap needs to settle.
    fn is_back_at(self, before: Held) -> bool {
        self.descriptors <= before.descriptors && self.memory <= before.memory + (before.memory / 20).max(SETTLING)
    }
}

/// Waits until the daemon holds no more than before.
#[track_caller]
fn back_at(pid: u32, before: Held) {
    let mut last = before;
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the daemon holds what it held before", || {
            last = Held::by(pid);
            last.is_back_at(before).then_some(())
        })
    }));
    assert!(waited.is_ok(), "{last:?} instead of {before:?}");
}

/// The sockets of `netstat -an` but for connections in TIME_WAIT.
fn sockets(lab: &Lab) -> Vec<String> {
    let text = lab.command(&["netstat", "-an"]).ok();
    let is_socket = |l: &&str| ["tcp", "udp", "icmp", "raw"].iter().any(|p| l.starts_with(p));
    text.lines().filter(is_socket).filter(|l| !l.contains("TIME_WAIT")).map(str::to_owned).collect()
}

#[track_caller]
fn no_sockets_left(lab: &Lab) {
    no_sockets_left_but(lab, 0);
}

#[track_caller]
fn no_sockets_left_but(lab: &Lab, some: usize) {
    let mut last = Vec::new();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("every socket is gone", || {
            last = sockets(lab);
            (last.len() <= some).then_some(())
        })
    }));
    last.truncate(20);
    assert!(waited.is_ok(), "left over: {last:#?}");
}

/// The number before a sentence of `netstat -s`.
fn counter(lab: &Lab, sentence: &str) -> u64 {
    let text = lab.command(&["netstat", "-s"]).ok();
    let line = text.lines().find(|l| l.contains(sentence));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// An attacker outside the laboratory's namespaces, as `hostile_control.py` wants it.
fn attacker(lab: &Lab, name: &str, case: &str, counts: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(script(name));
    if !case.is_empty() {
        command.arg(case);
    }
    command.arg(lab.run_dir().join("dev/socket/ctl")).args(counts);
    command
}

#[track_caller]
fn attack(lab: &Lab, name: &str, case: &str, counts: &[&str]) {
    e2e::finish(attacker(lab, name, case, counts), b"").ok();
}

/// A socket can be had, and a connection over lo0 carries bytes.
#[track_caller]
fn serves(lab: &Lab) {
    let program = "import socket; s = socket.create_server(('127.0.0.1', 0)); \
                   c = socket.create_connection(s.getsockname()); a, _ = s.accept(); \
                   c.sendall(b'x'); assert a.recv(1) == b'x'";
    lab.run(&["python3", "-c", program]).ok();
}

// --- the control channel -------------------------------------------------------------------------

#[test]
fn hostile_control_messages_are_answered_counted_and_leave_nothing() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    serves(&lab);
    attack(&lab, "hostile_control.py", "random", &["200", "1"]);
    let before = Held::by(daemon);
    for seed in ["2", "3"] {
        attack(&lab, "hostile_control.py", "random", &[&count(6_000, 60_000), seed]);
        serves(&lab);
    }
    attack(&lab, "hostile_control.py", "foreign", &["2000", "4"]);
    attack(&lab, "hostile_control.py", "half", &["200", "5"]);
    attack(&lab, "hostile_control.py", "unread", &["20"]);
    serves(&lab);
    no_sockets_left(&lab);
    back_at(daemon, before);
    for sentence in ["no request", "messages too long", "cut off for not reading"] {
        assert!(counter(&lab, sentence) > 0, "{sentence}: {}", lab.command(&["netstat", "-s"]).text());
    }
}

#[test]
fn silent_clients_and_floods_do_not_keep_others_waiting() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    serves(&lab);
    let before = Held::by(daemon);
    let mut silent = Running::start(attacker(&lab, "hostile_control.py", "silent", &["500"]));
    silent.wait_for("silent 500");
    serves(&lab);
    let mut flood = Running::start(attacker(&lab, "hostile_control.py", "flood", &["3"]));
    flood.wait_for("flooding");
    for _ in 0..5 {
        let begin = Instant::now();
        serves(&lab);
        assert!(begin.elapsed().as_secs() < 5, "a flood kept a program waiting for {:?}", begin.elapsed());
    }
    drop((silent, flood));
    back_at(daemon, before);
}

// --- pairs ---------------------------------------------------------------------------------------

#[test]
fn anything_written_into_pairs_at_any_time_harms_only_its_writer() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    serves(&lab);
    attack(&lab, "hostile_pairs.py", "", &["700", "1"]);
    let before = Held::by(daemon);
    for seed in ["2", "3", "4"] {
        attack(&lab, "hostile_pairs.py", "", &[&count(700, 10_000), seed]);
        serves(&lab);
    }
    no_sockets_left(&lab);
    back_at(daemon, before);
}

// --- frames --------------------------------------------------------------------------------------

#[test]
fn malformed_frames_are_counted_while_transfers_go_on_byte_exact() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut listener = lab.start(&[&program("idle"), "serve", STACK_V4, "5000"]);
    listener.wait_for("listening");
    let file = lab.data_file("file", 300_000);
    let mut servers = Vec::new();
    for family in Family::BOTH {
        let words = ["python3", "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind", family.peer(), "8000"];
        let mut server = lab.peer_start(&words);
        server.wait_for("Serving HTTP");
        servers.push(server);
    }
    let got = lab.path("got");
    let fetch = |family: Family| {
        let url = format!("http://{}:8000/file", bracketed(family.peer()));
        lab.run(&["curl", "-sS", "--fail", "--max-time", "30", "-o", &got.to_string_lossy(), &url]).ok();
        assert!(same_bytes(&file, &got), "{family:?}: other bytes");
    };
    let text = lab.command(&["ifconfig", "en0"]).ok();
    let is_mac = |w: &&str| w.len() == 17 && w.matches(':').count() == 5;
    let mac = text.split_whitespace().find(is_mac).expect("an Ethernet address");
    let frames = |frames: &str, seed: &str| {
        let script = script("hostile_frames.py");
        let peers = [PEER_V4, STACK_V4, PEER_V6, STACK_V6];
        lab.peer_start(&[&["python3", &script, "veth1", mac], &peers[..], &[frames, seed]].concat())
    };
    frames("20000", "1").wait_for("sent");
    Family::BOTH.into_iter().for_each(fetch);
    let before = Held::by(daemon);
    for seed in ["2", "3"] {
        let mut sender = frames(&count(50_000, 1_000_000), seed);
        let mut fetched = 0;
        while sender.is_alive() {
            Family::BOTH.into_iter().for_each(fetch);
            fetched += 1;
        }
        sender.wait_for("sent");
        assert!(fetched > 1, "the frames were gone before anything was fetched");
    }
    Family::BOTH.into_iter().for_each(fetch);
    let sentences = [
        "bad header checksums", "with bad options", "malformed fragments", "messages < minimum length", "with bad format",
        "discarded for bad checksums", "with bad data length field", "bad neighbor solicitation", "of an unknown type",
        "bad router advertisement", "violated scope rules",
    ];
    for sentence in sentences {
        assert!(counter(&lab, sentence) > 0, "{sentence}: {}", lab.command(&["netstat", "-s"]).text());
    }
    // Neighbours stay known for a while, and fragments wait, within 16 MiB, for what completes them.
    let (held, allowed) = (Held::by(daemon), before.memory + SETTLING + (16 << 20));
    assert!(held.memory < allowed && held.descriptors <= before.descriptors, "{before:?}, then {held:?}");
    assert!(listener.is_alive());
}

// --- programs that die ---------------------------------------------------------------------------

#[test]
fn programs_killed_at_any_moment_leave_nothing() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut echo = lab.peer_start(&["python3", &script("echo_server.py"), "7000", PEER_V4, PEER_V6]);
    echo.wait_for("ready");
    let killed = |peer: &str, rounds: &str, seed: &str| {
        let said = lab.run(&[&program("killed"), peer, "7000", rounds, seed]).ok();
        assert!(said.contains(&format!("killed {rounds}")), "{said}");
    };
    killed(PEER_V4, "30", "1");
    no_sockets_left(&lab);
    let before = Held::by(daemon);
    killed(PEER_V4, &count(100, 2_000), "2");
    killed(PEER_V6, &count(100, 2_000), "3");
    no_sockets_left(&lab);
    let connected = || lab.peer_run(&["ss", "-Htan", "sport", "=", ":7000"]).ok();
    eventually("the peer has seen every connection end", || {
        connected().lines().all(|l| l.starts_with("LISTEN") || l.starts_with("TIME-WAIT")).then_some(())
    });
    back_at(daemon, before);
    serves(&lab);
}

// --- tables --------------------------------------------------------------------------------------

/// A laboratory whose daemon is started by these words.
fn lab_with(words: &[&str]) -> (Lab, Running) {
    let lab = Lab::without_daemon();
    let mut command = lab.home_command(words[0]);
    command.args(&words[1..]);
    let mut daemon = Running::start(command);
    daemon.wait_for("serves");
    (lab, daemon)
}

#[test]
fn full_tables_say_so_and_work_again_when_emptied() {
    let (lab, daemon) = lab_with(&["io-pkt-v6", "-f", "-d", "packet", "if=veth0"]);
    lab.command(&["ifconfig", "en0", &format!("{STACK_V4}/24"), "up"]).ok();
    lab.command(&["ifconfig", "en0", "inet6", &format!("{STACK_V6}/64")]).ok();
    lab.wait_for_address(STACK_V6);
    let reaches = |command: &str, addr: &str| lab.command(&[command, "-c", "1", addr]).code == Some(0);
    assert!(reaches("ping", PEER_V4) && reaches("ping6", PEER_V6));
    let said = lab.run(&[&program("full_tables")]);
    none_of(complaints("full_tables", &said));
    // The neighbours are full now, of such as do not answer; those who do are still known.
    assert!(counter(&lab, "full neighbour table") > 0, "{}", lab.command(&["netstat", "-s"]).text());
    assert!(reaches("ping", PEER_V4) && reaches("ping6", PEER_V6), "a living neighbour was displaced");
    no_sockets_left(&lab);
    serves(&lab);
    drop(daemon);
}

#[test]
fn a_daemon_without_descriptors_says_so_and_goes_on() {
    let (lab, mut daemon) = lab_with(&["prlimit", "--nofile=100:100", "io-pkt-v6-hc", "-f"]);
    let program = "import errno, socket\n\
                   s = socket.create_server(('127.0.0.1', 0), backlog=200)\n\
                   for _ in range(3):\n\
                   \x20   held = []\n\
                   \x20   try:\n\
                   \x20       while True: held.append(socket.socket())\n\
                   \x20   except OSError as e: assert e.errno in (errno.ENFILE, errno.EMFILE), e\n\
                   \x20   assert len(held) > 50, len(held)\n\
                   \x20   c = held.pop()\n\
                   \x20   c.connect(s.getsockname())\n\
                   \x20   for h in held: h.close()\n\
                   \x20   a, _ = s.accept()\n\
                   \x20   c.sendall(b'x')\n\
                   \x20   assert a.recv(1) == b'x'";
    lab.run(&["python3", "-c", program]).ok();
    assert!(counter(&lab, "no descriptor was left") > 0);
    assert!(daemon.is_alive());
    // One more client than there are descriptors is turned away, not left waiting.
    let mut silent = Running::start(attacker(&lab, "hostile_control.py", "silent", &["120"]));
    silent.wait_for("silent");
    let turned_away = lab.command(&["netstat", "-an"]);
    assert!(turned_away.code != Some(0) || turned_away.text().contains("Active"), "{turned_away:?}");
    drop(silent);
    eventually("descriptors are back", || (lab.command(&["netstat", "-an"]).code == Some(0)).then_some(()));
    serves(&lab);
}

// --- a crowd -------------------------------------------------------------------------------------

#[test]
fn nine_thousand_idle_connections_cost_little_and_leave_nothing() {
    const CROWD: usize = 9_000;
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut server = lab.start(&[&program("idle"), "serve", STACK_V4, "5000"]);
    server.wait_for("listening");
    let crowd = |size: usize| {
        let mut client = lab.peer_start(&[&program("idle"), "connect", STACK_V4, "5000", &size.to_string()]);
        client.wait_for("connected");
        client
    };
    let ask = |client: &mut Running, word: &str, answer: &str| {
        writeln!(client.stdin(), "{word}").expect("the program reads");
        client.wait_for(answer)
    };
    let mut first = crowd(2_000);
    ask(&mut first, "close", "closed");
    no_sockets_left_but(&lab, 1);
    drop(first);
    let before = Held::by(daemon);
    let mut client = crowd(CROWD);
    // The last of them may still be on their way to the program.
    eventually("the program has them all", || (Held::by(daemon).descriptors >= before.descriptors + CROWD).then_some(()));
    let each = Held::by(daemon).memory.saturating_sub(before.memory) / CROWD;
    assert!(each <= 8 * 1024, "{each} bytes for each connection");
    let said = ask(&mut client, "ask", "answered in");
    let ms: u64 = said.split_whitespace().nth(2).and_then(|n| n.parse().ok()).expect("a number");
    assert!(ms < 500, "{said}");
    ask(&mut client, "close", "closed");
    no_sockets_left_but(&lab, 1);
    back_at(daemon, before);
}

// --- links ---------------------------------------------------------------------------------------

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

/// Fraction of a core that a process used while `during` ran.
fn load(pid: u32, during: impl FnOnce()) -> f64 {
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is alive");
        let fields: Vec<u64> = stat.rsplit(')').next().expect("one").split(' ').filter_map(|w| w.parse().ok()).collect();
        (fields[10] + fields[11]) as f64 / 100.0
    };
    let (before, begin) = (used(), Instant::now());
    during();
    (used() - before) / begin.elapsed().as_secs_f64()
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
fn endless(lab: &Lab) -> (Running, Running) {
    let mut sender = lab.peer_start(&["socat", "-u", "OPEN:/dev/zero", "TCP-LISTEN:6000,reuseaddr,fork"]);
    eventually("socat listens", || {
        lab.peer_run(&["ss", "-Htln", "sport", "=", ":6000"]).text().contains("6000").then_some(())
    });
    assert!(sender.is_alive());
    let receiver = lab.start(&["sh", "-c", "echo receiving; exec socat -u TCP:192.168.1.1:6000 OPEN:/dev/null"]);
    (sender, receiver)
}

/// Packets that came in on en0.
fn received(lab: &Lab) -> u64 {
    counter(lab, "total packets received")
}

fn flows(lab: &Lab) {
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
