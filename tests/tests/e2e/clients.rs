//! Unmodified client programs on the instance against servers on the kernel's stack.

use e2e::{Family, Lab, Link, Running, Ssh, bracketed, eventually, on_each_link, refs, same_bytes, script};

on_each_link!(
    curl_fetches_files_byte_exact,
    iperf3_measures_tcp_both_ways_and_udp,
    redis_benchmark_is_served,
    ssh_and_scp_reach_an_sshd,
    python_fetches_and_echoes,
    socat_carries_streams_and_datagrams,
    names_are_resolved_over_udp_and_tcp,
);

const SIZE: usize = 3_000_000;

fn http_server(lab: &Lab, addr: &str) -> Running {
    let words = ["python3", "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind", addr, "8000"];
    let mut server = lab.peer_start(&words);
    server.wait_for("Serving HTTP");
    server
}

fn curl_fetches_files_byte_exact(link: Link) {
    let lab = Lab::new(link);
    let file = lab.data_file("file", SIZE);
    let (first, second) = (lab.path("first"), lab.path("second"));
    for family in Family::BOTH {
        let _server = http_server(&lab, family.peer());
        let url = format!("http://{}:8000/file", bracketed(family.peer()));
        let (first, second) = (&first.to_string_lossy(), &second.to_string_lossy());
        let words = ["curl", "-sS", "--fail", "-w", "%{num_connects}\n", "-o", first, &url, "-o", second, &url];
        // The second transfer finds the connection open.
        assert_eq!(lab.run(&words).ok(), "1\n0\n", "{family:?}");
        for got in [first, second] {
            assert!(same_bytes(&file, got.as_ref().as_ref()), "{family:?}: {got}");
        }
    }
}

fn iperf3_measures_tcp_both_ways_and_udp(link: Link) {
    let lab = Lab::new(link);
    for family in Family::BOTH {
        let mut server = lab.peer_start(&["iperf3", "-s", "-B", family.peer(), "--forceflush"]);
        for options in e2e::IPERF3_CASES {
            server.wait_for("Server listening");
            let words = [&["iperf3", "-c", family.peer()], *options].concat();
            e2e::check_iperf3(&lab.run(&words).ok(), options);
        }
    }
}

fn redis_benchmark_is_served(link: Link) {
    let lab = Lab::new(link);
    let mut server = lab.peer_start(e2e::REDIS_SERVER);
    server.wait_for("Ready to accept connections");
    for family in Family::BOTH {
        for options in e2e::REDIS_CASES {
            let words = [&["redis-benchmark", "-h", family.peer(), "-q"], *options].concat();
            e2e::check_redis(&lab.run(&words).ok());
        }
    }
}

fn ssh_and_scp_reach_an_sshd(link: Link) {
    let lab = Lab::new(link);
    let ssh = Ssh::prepare(&lab);
    let mut server = lab.peer_start(&refs(&ssh.server()));
    server.wait_for("Server listening");
    for family in Family::BOTH {
        e2e::check_ssh(&lab, &ssh, family.peer(), |words, input| lab.run_with_input(&refs(words), input));
    }
}

fn python_fetches_and_echoes(link: Link) {
    let lab = Lab::new(link);
    let file = lab.data_file("file", SIZE);
    let echo = &script("echo_server.py");
    let mut server = lab.peer_start(&["python3", echo, "7000", Family::V4.peer(), Family::V6.peer()]);
    server.wait_for("ready");
    for family in Family::BOTH {
        let _server = http_server(&lab, family.peer());
        let url = format!("http://{}:8000/file", bracketed(family.peer()));
        let got = lab.path("got");
        let fetch = "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])";
        lab.run(&["python3", "-c", fetch, &url, &got.to_string_lossy()]).ok();
        assert!(same_bytes(&file, &got), "{family:?}");
        let said = lab.run(&["python3", &script("echo_client.py"), family.peer(), "7000", "20"]).ok();
        assert_eq!(said, "20 connections echoed\n", "{family:?}");
    }
}

fn socat_carries_streams_and_datagrams(link: Link) {
    let lab = Lab::new(link);
    let file = lab.data_file("file", SIZE);
    let input = std::fs::read(&file).expect("just written");
    for family in Family::BOTH {
        let (n, addr) = (family.digit(), bracketed(family.peer()));
        let mut echo =
            lab.peer_start(&["socat", "-d", "-d", &format!("TCP{n}-LISTEN:7000,reuseaddr,fork"), "EXEC:cat"]);
        echo.wait_for("listening on");
        let echoed = lab.run_with_input(&["socat", "-t", "30", "-", &format!("TCP{n}:{addr}:7000")], &input);
        assert!(echoed.stdout == input, "{family:?}: {} bytes came back: {}", echoed.stdout.len(), echoed.stderr);

        let mut echo = lab.peer_start(&["socat", "-d", "-d", &format!("UDP{n}-LISTEN:7001,fork"), "PIPE"]);
        echo.wait_for("listening on");
        let echoed = lab.run_with_input(&["socat", "-t", "1", "-", &format!("UDP{n}:{addr}:7001")], b"a datagram");
        assert_eq!(echoed.ok(), "a datagram", "{family:?}");
    }
}

fn names_are_resolved_over_udp_and_tcp(link: Link) {
    let lab = Lab::new(link);
    let (v4, v6) = (Family::V4.peer(), Family::V6.peer());
    let mut names = lab.peer_start(&["python3", &script("dns_server.py"), "53", v4, v6, v4, v6]);
    names.wait_for("ready");
    for family in Family::BOTH {
        let server = format!("@{}", family.peer());
        for (kind, addr) in [("A", v4), ("AAAA", v6)] {
            for transport in ["+notcp", "+tcp"] {
                let words = ["dig", &server, "+short", transport, "server.test", kind];
                assert_eq!(lab.run(&words).ok().trim(), addr, "{words:?}");
            }
        }
        // Too long for a datagram: dig is told so and asks again over TCP.
        let long = lab.run(&["dig", &server, "+short", "+noedns", "big.test", "TXT"]).ok();
        assert!(long.len() > 5_000, "{family:?}: {long}");
        names.wait_for("tcp big.test");

        // getaddrinfo(3) and its family, through the instance's own resolv.conf.
        std::fs::write(lab.resolv_conf(), format!("nameserver {}\n", family.peer())).expect("the instance's file");
        let _server = http_server(&lab, family.peer());
        let option = format!("-{}", family.digit());
        let said = lab.run(&["curl", "-sS", "--fail", &option, "http://server.test:8000/resolv"]);
        assert!(said.stderr.contains("404"), "{family:?}: the server was not reached: {}", said.stderr);
        let said = lab.run(&["curl", "-sS", "http://nobody.test:8000/"]);
        assert_eq!(said.code, Some(6), "could not resolve host: {}", said.stderr);
        eventually("the question came to our server", || names.output().contains("nobody.test").then_some(()));
    }
}
