//! Tables that are full, and descriptors that have run out.

use e2e::{Lab, PEER_V4, PEER_V6, Running, STACK_V4, STACK_V6, complaints, eventually, none_of, program};

use super::{attacker, counter, no_sockets_left, serves};

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
