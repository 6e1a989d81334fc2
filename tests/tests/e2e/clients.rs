//! Unmodified client programs on the instance against servers on the kernel's stack.

use e2e::{Family, Lab, Link, OverWire, Talk, check_ping, eventually, on_each_link};

use crate::conversations::{self, http_server};

on_each_link!(
    curl_fetches_files_byte_exact,
    iperf3_measures_tcp_both_ways_and_udp,
    redis_benchmark_is_served,
    ssh_and_scp_reach_an_sshd,
    python_fetches_and_echoes,
    socat_carries_streams_and_datagrams,
    names_are_resolved_over_udp_and_tcp,
    ping_ours_and_the_systems_is_answered,
);

fn curl_fetches_files_byte_exact(link: Link) {
    conversations::curl(&OverWire::server_on_peer(link));
}

fn iperf3_measures_tcp_both_ways_and_udp(link: Link) {
    conversations::iperf3(&OverWire::server_on_peer(link));
}

fn redis_benchmark_is_served(link: Link) {
    conversations::redis(&OverWire::server_on_peer(link));
}

fn ssh_and_scp_reach_an_sshd(link: Link) {
    let wire = OverWire::server_on_peer(link);
    conversations::ssh(&wire, &wire.ssh());
}

fn python_fetches_and_echoes(link: Link) {
    conversations::python(&OverWire::server_on_peer(link));
}

fn socat_carries_streams_and_datagrams(link: Link) {
    conversations::socat(&OverWire::server_on_peer(link));
}

fn names_are_resolved_over_udp_and_tcp(link: Link) {
    let wire = OverWire::server_on_peer(link);
    let mut names = conversations::name_server(&wire);
    conversations::dig(&wire, &mut names);
    let lab = &wire.lab;
    for family in Family::BOTH {
        // getaddrinfo(3) and its family, through the instance's own resolv.conf.
        std::fs::write(lab.resolv_conf(), format!("nameserver {}\n", wire.reach(family))).expect("the instance's file");
        let _server = http_server(&wire, family);
        let option = format!("-{}", family.digit());
        let said = wire.ask(&["curl", "-sS", "--fail", &option, "http://server.test:8000/resolv"]);
        assert!(said.stderr.contains("404"), "{family:?}: the server was not reached: {}", said.stderr);
        let said = wire.ask(&["curl", "-sS", "http://nobody.test:8000/"]);
        assert_eq!(said.code, Some(6), "could not resolve host: {}", said.stderr);
        eventually("the question came to our server", || names.output().contains("nobody.test").then_some(()));
    }
}

fn ping_ours_and_the_systems_is_answered(link: Link) {
    let lab = Lab::new(link);
    for (family, ours) in Family::BOTH.into_iter().zip(["ping", "ping6"]) {
        let peer = family.peer();
        // The largest must be cut into fragments.
        for size in ["0", "56", "1452", "9000"] {
            check_ping(&lab.command(&[ours, "-c", "3", "-i", "0.05", "-s", size, peer]).ok(), 3);
            let option = format!("-{}", family.digit());
            check_ping(&lab.run(&["/usr/bin/ping", &option, "-c", "3", "-i", "0.05", "-s", size, peer]).ok(), 3);
        }
    }
}
