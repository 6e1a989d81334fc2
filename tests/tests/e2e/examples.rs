//! The C programs of the spec text, run unchanged: on an instance, and on the kernel to see that they are right.

use std::io::Write;

use e2e::{Lab, Link, PEER_V4, Running, STACK_V4, STACK_V6, eventually, example};

/// A laboratory whose peer has the addresses of the text as well, and ours a route to them.
fn lab() -> Lab {
    let lab = Lab::new(Link::Packet);
    the_peer_has_the_texts_addresses(&lab);
    lab.command(&["ifconfig", "en0", "inet6", "2001:db8::100/64"]).ok();
    lab.wait_for_address("2001:db8::100");
    lab
}

/// The same with the kernel in the daemon's place.
fn kernel_lab() -> Lab {
    let lab = Lab::without_daemon();
    lab.home_run(&["ip", "addr", "add", &format!("{STACK_V4}/24"), "dev", "veth0"]).ok();
    lab.home_run(&["ip", "addr", "add", &format!("{STACK_V6}/64"), "dev", "veth0", "nodad"]).ok();
    lab.home_run(&["ip", "addr", "add", "2001:db8::100/64", "dev", "veth0", "nodad"]).ok();
    the_peer_has_the_texts_addresses(&lab);
    lab
}

fn the_peer_has_the_texts_addresses(lab: &Lab) {
    lab.peer_run(&["ip", "addr", "add", "192.168.1.200/24", "dev", "veth1"]).ok();
    lab.peer_run(&["ip", "addr", "add", "2001:db8::1/64", "dev", "veth1", "nodad"]).ok();
}

fn on_the_instance(lab: &Lab, program: &str) -> Running {
    lab.start(&[program])
}

fn on_the_kernel(lab: &Lab, program: &str) -> Running {
    Running::start(lab.home_command(program))
}

type Start = fn(&Lab, &str) -> Running;

/// A Python program on the peer that says "listening" and then what it got.
fn peer_python(lab: &Lab, program: &str) -> Running {
    let mut peer = lab.peer_start(&["python3", "-u", "-c", program]);
    peer.wait_for("listening");
    peer
}

fn tcp_server(lab: &Lab, start: Start) {
    let mut server = start(lab, &example("tcp_server"));
    let client = format!(
        "import socket\ns = socket.create_connection(('{STACK_V4}', 8080), 5)\ns.sendall(b'hello')\nprint(s.makefile().read(), end='')"
    );
    let heard = eventually("the server answers", || {
        let finished = lab.peer_run(&["python3", "-c", &client]);
        (finished.code == Some(0)).then(|| finished.text())
    });
    assert_eq!(heard, "OK\n");
    server.wait_for(&format!("answered {PEER_V4}"));
    assert_eq!(server.wait(), Some(0));
}

fn udp_client(lab: &Lab, start: Start) {
    let mut server = peer_python(
        lab,
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('192.168.1.200', 9000))\nprint('listening')\nprint(s.recvfrom(100))",
    );
    assert_eq!(start(lab, &example("udp_client")).wait(), Some(0));
    let heard = server.wait_for("ping");
    assert!(heard.contains(STACK_V4), "{heard}");
}

fn ipv6_tcp_client(lab: &Lab, start: Start) {
    let mut server = peer_python(
        lab,
        "import socket\ns = socket.create_server(('2001:db8::1', 443), family=socket.AF_INET6)\nprint('listening')\nc, a = s.accept()\nprint('from', a[0], c.recv(10))",
    );
    let mut client = start(lab, &example("ipv6_tcp_client"));
    client.wait_for("connected");
    assert_eq!(client.wait(), Some(0));
    server.wait_for("from 2001:db8::100 b''");
}

/// A program on the peer that connects so many times once it is told to: Python takes its time to start.
fn clients(lab: &Lab, count: u32) -> Running {
    let program = format!(
        "import socket\nprint('listening')\ninput()\nkept = [socket.create_connection(('{STACK_V4}', 8080), 5) for i in range({count})]\ninput()"
    );
    peer_python(lab, &program)
}

fn poll_and_select(lab: &Lab, start: Start) {
    let mut client = clients(lab, 1);
    let mut program = start(lab, &example("nonblocking_poll_select"));
    program.wait_for("polling");
    client.stdin().write_all(b"go\n").expect("it waits for this");
    program.wait_for("connection");
    program.stdin().write_all(b"a line\n").expect("it reads");
    program.wait_for("pipe");
    program.wait_for("selecting");
    // Nobody comes within its second: select says so.
    program.wait_for("select: nothing");
    assert_eq!(program.wait(), Some(0));
}

fn select_sees_a_connection(lab: &Lab, start: Start) {
    let mut client = clients(lab, 4);
    let mut program = start(lab, &example("nonblocking_poll_select"));
    program.wait_for("polling");
    program.stdin().write_all(b"a line\n").expect("it reads");
    program.wait_for("pipe");
    // The first ends the loop; the others are there for select.
    client.stdin().write_all(b"go\n").expect("it waits for this");
    program.wait_for("select: connection");
    assert_eq!(program.wait(), Some(0));
}

fn unix_sockets(lab: &Lab, start: Start) {
    let mut program = start(lab, &example("unix_sockets"));
    program.wait_for("heard hello");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn the_tcp_server_of_the_text() {
    tcp_server(&lab(), on_the_instance);
}

#[test]
fn the_udp_client_of_the_text() {
    udp_client(&lab(), on_the_instance);
}

#[test]
fn the_ipv6_client_of_the_text() {
    ipv6_tcp_client(&lab(), on_the_instance);
}

#[test]
fn poll_and_select_of_the_text() {
    let lab = lab();
    poll_and_select(&lab, on_the_instance);
    select_sees_a_connection(&lab, on_the_instance);
}

#[test]
fn the_unix_sockets_of_the_text() {
    unix_sockets(&lab(), on_the_instance);
}

#[test]
fn the_programs_of_the_text_run_on_the_kernel() {
    let lab = kernel_lab();
    tcp_server(&lab, on_the_kernel);
    udp_client(&lab, on_the_kernel);
    ipv6_tcp_client(&lab, on_the_kernel);
    poll_and_select(&lab, on_the_kernel);
    select_sees_a_connection(&lab, on_the_kernel);
}
