//! Unmodified servers on the instance, their clients on the kernel's stack.

use e2e::{Family, Lab, Link, OverWire, check_ping, on_each_link};

use crate::conversations;

on_each_link!(
    python_serves_files_to_curl,
    iperf3_serves_tcp_both_ways_and_udp,
    redis_serves_a_benchmark,
    sshd_serves_ssh_and_scp,
    python_serves_files_and_echoes,
    socat_serves_streams_and_datagrams,
    a_name_server_answers_over_udp_and_tcp,
    the_instance_answers_ping,
);

fn python_serves_files_to_curl(link: Link) {
    conversations::curl(&OverWire::server_on_instance(link));
}

fn iperf3_serves_tcp_both_ways_and_udp(link: Link) {
    conversations::iperf3(&OverWire::server_on_instance(link));
}

fn redis_serves_a_benchmark(link: Link) {
    conversations::redis(&OverWire::server_on_instance(link));
}

fn sshd_serves_ssh_and_scp(link: Link) {
    let wire = OverWire::server_on_instance(link);
    conversations::ssh(&wire, &wire.ssh());
}

fn python_serves_files_and_echoes(link: Link) {
    conversations::python(&OverWire::server_on_instance(link));
}

fn socat_serves_streams_and_datagrams(link: Link) {
    conversations::socat(&OverWire::server_on_instance(link));
}

fn a_name_server_answers_over_udp_and_tcp(link: Link) {
    let wire = OverWire::server_on_instance(link);
    let mut names = conversations::name_server(&wire);
    conversations::dig(&wire, &mut names);
}

fn the_instance_answers_ping(link: Link) {
    let lab = Lab::new(link);
    for family in Family::BOTH {
        let option = format!("-{}", family.digit());
        let ping = |options: &[&str]| {
            let words = [&["ping", &option, "-n"], options, &[family.stack()]].concat();
            lab.peer_run(&words).ok()
        };
        // The largest comes in fragments.
        for size in ["0", "56", "1452", "9000"] {
            check_ping(&ping(&["-c", "3", "-i", "0.05", "-s", size]), 3);
        }
        // With a deadline ping(8) goes on until 1,000 are answered; without, it waits for the last answer no longer
        // than twice the longest round trip, which on a busy machine is too short.
        let flood = ping(&["-f", "-c", "1000", "-w", "20"]);
        let summary = flood.lines().find(|l| l.contains("packets transmitted")).unwrap_or_default();
        let numbers: Vec<u32> = summary.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        assert!(matches!(numbers[..], [sent, 1000, ..] if sent <= 1005), "{flood}");
    }
}
