//! Every call of a socket, by the programs of `tests/programs`: on the kernel itself, which says what is expected, within one
//! instance, and over the wire with the kernel at either end.

use std::thread;

use e2e::{Finished, Lab, Link, PEER_V4, PEER_V6, Running, STACK_V4, STACK_V6, complaints, none_of, program};

use crate::descriptors::DESCRIPTORS;
use crate::modes::{MANY, MODES};

pub const STREAM: &[&str] = &[
    "stream_calls",
    "stream_receive",
    "stream_send",
    "stream_ends",
    "stream_connect",
    "stream_again",
    "stream_over",
    "stream_backlog",
    "stream_options",
    "stream_bulk",
    "dual_stack",
];
pub const DATAGRAM: &[&str] =
    &["datagram", "datagram_states", "datagram_limits", "datagram_ancillary", "datagram_options"];
pub const READINESS: &[&str] = &["epoll_triggers", "epoll_states", "poll_select", "signals"];

pub const V4: &str = "4";
pub const V6: &str = "6";

/// Each program of the list with these words; what they complain about.
pub fn all(programs: &[&str], words: &[&str], run: &dyn Fn(&[&str]) -> Finished) -> Vec<String> {
    let one = |name: &&str| {
        let path = program(name);
        let command: Vec<&str> = [path.as_str()].iter().chain(words).copied().collect();
        complaints(&format!("{name} {}", words.join(" ")), &run(&command))
    };
    programs.iter().flat_map(one).collect()
}

pub fn ready(mut agent: Running) -> Running {
    agent.wait_for("ready");
    agent
}

/// Both sides within one instance that has nothing but lo0.
pub fn within_one_instance(programs: &[&str]) {
    let lab = Lab::new(Link::None);
    let run = |words: &[&str]| lab.run(words);
    let mut list = all(programs, &[V4, "127.0.0.1"], &run);
    list.extend(all(programs, &[V6, "::1"], &run));
    none_of(list);
}

/// The program on the instance, the agent on the kernel.
pub fn against_the_kernel(programs: &[&str]) {
    let lab = Lab::new(Link::Packet);
    let agent = program("agent");
    let _agents = [PEER_V4, PEER_V6].map(|at| ready(lab.peer_start(&[&agent, at])));
    let run = |words: &[&str]| lab.run(words);
    let mut list = all(programs, &[V4, STACK_V4, PEER_V4], &run);
    list.extend(all(programs, &[V6, STACK_V6, PEER_V6], &run));
    none_of(list);
}

/// The program on the kernel, the agent on the instance.
pub fn from_the_kernel(programs: &[&str]) {
    let lab = Lab::new(Link::Packet);
    let agent = program("agent");
    let _agents = [STACK_V4, STACK_V6].map(|at| ready(lab.start(&[&agent, at])));
    let run = |words: &[&str]| lab.peer_run(words);
    let mut list = all(programs, &[V4, PEER_V4, STACK_V4], &run);
    list.extend(all(programs, &[V6, PEER_V6, STACK_V6], &run));
    none_of(list);
}

#[test]
fn stream_sockets_within_one_instance() {
    within_one_instance(STREAM);
}

#[test]
fn stream_sockets_against_the_kernel() {
    against_the_kernel(STREAM);
}

#[test]
fn stream_sockets_of_the_kernel_against_ours() {
    from_the_kernel(STREAM);
}

#[test]
fn datagram_sockets_within_one_instance() {
    within_one_instance(DATAGRAM);
}

#[test]
fn datagram_sockets_against_the_kernel() {
    against_the_kernel(DATAGRAM);
}

#[test]
fn datagram_sockets_of_the_kernel_against_ours() {
    from_the_kernel(DATAGRAM);
}

#[test]
fn readiness_and_signals_within_one_instance() {
    within_one_instance(READINESS);
}

#[test]
fn readiness_and_signals_against_the_kernel() {
    against_the_kernel(READINESS);
}

const HOSTS: &str = "192.0.2.7 printer.example printer\n2001:db8:7::7 printer.example\n";
const NAMES: [&str; 4] = ["printer.example", "printer", "192.0.2.7", "2001:db8:7::7"];

/// `names` after a shell has done `preparation` on the file of names, which is `$0` in it.
fn names(lab: &Lab, preparation: &str, run: &dyn Fn(&[&str]) -> Finished) -> Vec<String> {
    let hosts = lab.path("names");
    std::fs::write(&hosts, HOSTS).expect("room for a file");
    let script = format!("{preparation} && exec \"$@\"");
    let (hosts, path) = (hosts.to_string_lossy().into_owned(), program("names"));
    let command: Vec<&str> = ["sh", "-c", &script, &hosts, &path].into_iter().chain(NAMES).collect();
    complaints("names", &run(&command))
}

#[test]
fn names_and_services_of_an_instance() {
    let lab = Lab::new(Link::None);
    none_of(names(&lab, "cat \"$0\" >> /etc/hosts", &|words| lab.run(words)));
}

#[test]
fn interfaces_of_an_instance() {
    let lab = Lab::new(Link::Packet);
    let interfaces = program("interfaces");
    let en0 = [&interfaces, "en0", STACK_V4, "255.255.255.0", STACK_V6, "1500"];
    let lo0 = [&interfaces, "lo0", "127.0.0.1", "255.0.0.0", "::1", "0"];
    let mut list = complaints("interfaces en0", &lab.run(&en0));
    list.extend(complaints("interfaces lo0", &lab.run(&lo0)));
    none_of(list);
}

/// Two namespaces with the kernel's stack on both ends of the wire: the daemon's place is the kernel's.
fn kernel_lab() -> Lab {
    let lab = Lab::without_daemon();
    lab.home_run(&["ip", "addr", "add", &format!("{STACK_V4}/24"), "broadcast", "+", "dev", "veth0"]).ok();
    lab.home_run(&["ip", "addr", "add", &format!("{STACK_V6}/64"), "dev", "veth0", "nodad"]).ok();
    lab
}

fn kernel_alone(words: &[&str]) -> Vec<String> {
    let lab = kernel_lab();
    let programs = [STREAM, DATAGRAM, READINESS, DESCRIPTORS, MODES].concat();
    all(&programs, words, &|command| lab.home_run(command))
}

fn kernel_on_the_wire(words: &[&str]) -> Vec<String> {
    let lab = kernel_lab();
    let _agent = ready(lab.peer_start(&[&program("agent"), words[2]]));
    let programs = [STREAM, DATAGRAM, READINESS, DESCRIPTORS, MODES].concat();
    all(&programs, words, &|command| lab.home_run(command))
}

/// Each family at its own place, since the ports of a client are used up for a while.
fn kernel_many() -> Vec<String> {
    let lab = kernel_lab();
    let _agent = ready(lab.peer_start(&[&program("agent"), PEER_V6]));
    let mut list = all(MANY, &[V4, "127.0.0.1"], &|command| lab.home_run(command));
    list.extend(all(MANY, &[V6, STACK_V6, PEER_V6], &|command| lab.home_run(command)));
    list
}

fn kernel_names_and_interfaces() -> Vec<String> {
    let lab = kernel_lab();
    let run = |command: &[&str]| lab.home_run(command);
    let interfaces = program("interfaces");
    let mut list = names(&lab, "cat /etc/hosts >> \"$0\" && mount --bind \"$0\" /etc/hosts", &run);
    let veth0 = [interfaces.as_str(), "veth0", STACK_V4, "255.255.255.0", STACK_V6, "1500"];
    let lo = [interfaces.as_str(), "lo", "127.0.0.1", "255.0.0.0", "::1", "65536"];
    list.extend(complaints("interfaces veth0", &run(&veth0)));
    list.extend(complaints("interfaces lo", &run(&lo)));
    list
}

/// What the programs expect of us is what Linux does.
#[test]
fn programs_pass_on_the_kernel_itself() {
    let places = [
        thread::spawn(|| kernel_alone(&[V4, "127.0.0.1"])),
        thread::spawn(|| kernel_alone(&[V6, "::1"])),
        thread::spawn(|| kernel_on_the_wire(&[V4, STACK_V4, PEER_V4])),
        thread::spawn(|| kernel_on_the_wire(&[V6, STACK_V6, PEER_V6])),
        thread::spawn(kernel_many),
        thread::spawn(kernel_names_and_interfaces),
    ];
    none_of(places.into_iter().flat_map(|p| p.join().expect("its laboratory works")).collect());
}
