//! Options with an effect that only a program sees, and all that is not supported: refused, never ignored (docs/sockets.md).

use e2e::{Lab, Link, PEER_V4, PEER_V6, script};

#[test]
fn what_is_not_supported_is_refused() {
    let lab = Lab::new(Link::None);
    for (family, address) in [("4", "127.0.0.1"), ("6", "::1")] {
        assert_eq!(lab.run(&["python3", &script("refused.py"), family, address]).ok(), "", "IPv{family}");
    }
}

#[test]
fn iperf3_reads_congestion_window_and_round_trip() {
    let lab = Lab::new(Link::Packet);
    for addr in [PEER_V4, PEER_V6] {
        let mut server = lab.peer_start(&["iperf3", "-s", "-B", addr, "-1", "--forceflush"]);
        server.wait_for("Server listening");
        let report = lab.run(&["iperf3", "-c", addr, "-t", "1", "-J"]).ok();
        // "max_snd_cwnd":	1448000,
        let number = |key: &str| {
            let line = report.lines().find(|l| l.trim_start().starts_with(&format!("\"{key}\":")));
            let text = line.and_then(|l| l.split(':').nth(1)).map(|v| v.trim().trim_end_matches(','));
            text.and_then(|t| t.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {key} in {report}"))
        };
        assert!(number("max_snd_cwnd") >= 10_000 && number("mean_rtt") > 0, "{report}");
    }
}

/// nginx' `reuseport`: two processes that listen on one port.
#[test]
fn processes_with_reuseport_share_the_connections() {
    let lab = Lab::new(Link::Packet);
    let serve = |name: &str| {
        let script = format!(
            "import socket\n\
             s = socket.create_server(('0.0.0.0', 7000), reuse_port=True, backlog=128)\n\
             print('ready', flush=True)\n\
             while True:\n  c, _ = s.accept(); c.sendall(b'{name}'); c.close()\n"
        );
        let mut server = lab.start(&["python3", "-c", &script]);
        server.wait_for("ready");
        server
    };
    let _servers = [serve("A"), serve("B")];
    let count = "import socket\n\
                 who = [socket.create_connection(('192.168.1.100', 7000)).recv(1) for _ in range(60)]\n\
                 print(who.count(b'A') > 10 and who.count(b'B') > 10, len(who))\n";
    assert_eq!(lab.peer_run(&["python3", "-c", count]).ok(), "True 60\n");
}

#[test]
fn an_interface_is_configured_by_ioctls() {
    let lab = Lab::new(Link::Packet);
    let said = lab.run(&["python3", &script("configure.py"), "en0"]).ok();
    let expected = "mtu 1400\naddress 10.77.1.2 255.0.0.0\nnetmask 255.255.0.0 broadcast 10.77.255.255\nup 0\nup 1\n\
                    0x8922 22\n0x891c 22\n0x8970 25\n";
    assert_eq!(said, expected, "EINVAL twice, ENOTTY");
}
