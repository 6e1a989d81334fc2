//! The user link under a uid without any privilege: programs of an instance reach servers on the host's loopback, and the
//! host reaches servers of the instance through forwarded ports.

use std::path::Path;

use e2e::{Family, HOST_V4, Rootless, Talk, UID, check_ping, data_file, eventually, same_bytes, static_program};

use crate::conversations::{self, curl_fetches_twice, http_server};
use crate::nginx;

mod clients {
    use super::*;

    #[test]
    fn curl_fetches_files_byte_exact() {
        conversations::curl(&Rootless::server_on_host());
    }

    #[test]
    fn redis_benchmark_is_served() {
        conversations::redis(&Rootless::server_on_host());
    }

    #[test]
    fn ssh_and_scp_reach_an_sshd() {
        let place = Rootless::server_on_host();
        conversations::ssh(&place, &place.ssh());
    }

    #[test]
    fn python_fetches_and_echoes() {
        conversations::python(&Rootless::server_on_host());
    }

    #[test]
    fn socat_carries_streams_and_datagrams() {
        conversations::socat(&Rootless::server_on_host());
    }

    #[test]
    fn the_links_name_server_asks_the_hosts() {
        let place = Rootless::server_on_host();
        let mut names = conversations::name_server(&place);
        conversations::dig(&place, &mut names);
        // 10.0.2.3, which the instance has in its resolv.conf without anybody's doing.
        for words in [&["dig", "+short", "server.test", "A"][..], &["dig", "@10.0.2.3", "+short", "server.test", "A"]] {
            assert_eq!(place.run(words).ok(), "192.168.1.1\n", "{words:?}");
        }
        let look = "import socket; print(sorted({a[4][0] for a in socket.getaddrinfo('server.test', 80)}))";
        assert_eq!(place.run(&["python3", "-c", look]).ok(), "['192.168.1.1', '2001:db8:1::1']\n");
        eventually("the host's name server was asked", || names.output().contains("udp server.test").then_some(()));
    }

    #[test]
    fn ping_reaches_the_link_and_the_host() {
        let place = Rootless::server_on_host();
        for (command, addr) in [("ping", Family::V4.host()), ("ping6", Family::V6.host()), ("ping", HOST_V4)] {
            check_ping(&place.user(&[command, "-c", "3", "-i", "0.05", addr]).ok(), 3);
        }
        // The system's: a copy, since the library is kept out of the original by its file capability.
        let ping = place.path("ping-copy");
        std::fs::copy("/usr/bin/ping", &ping).expect("it is installed");
        check_ping(&place.run(&[&ping.to_string_lossy(), "-c", "3", "-i", "0.2", HOST_V4]).ok(), 3);
    }
}

mod servers {
    use super::*;

    #[test]
    fn nginx_is_reached_from_the_host() {
        let place = Rootless::server_on_instance();
        let _server = nginx::nginx(&place);
        let file = place.path("file");
        data_file(&file, 30_000_000);
        for at in ["127.0.0.1", "[::1]"] {
            curl_fetches_twice(&place, &format!("http://{at}:{}/file", nginx::PORT), &file);
        }
    }

    #[test]
    fn python_serves_files_and_echoes() {
        conversations::python(&Rootless::server_on_instance());
    }

    #[test]
    fn redis_serves_a_benchmark() {
        conversations::redis(&Rootless::server_on_instance());
    }

    #[test]
    fn sshd_serves_ssh_and_scp() {
        let place = Rootless::server_on_instance();
        conversations::ssh(&place, &place.ssh());
    }

    #[test]
    fn socat_serves_streams_and_datagrams() {
        conversations::socat(&Rootless::server_on_instance());
    }

    #[test]
    fn a_name_server_answers_over_udp_and_tcp() {
        let place = Rootless::server_on_instance();
        let mut names = conversations::name_server(&place);
        conversations::dig(&place, &mut names);
    }
}

#[test]
fn the_user_has_no_privilege_inside_or_outside() {
    let place = Rootless::new();
    let ask = "id -u; grep -E '^Cap(Prm|Eff)' /proc/self/status";
    let none = format!("{UID}\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
    assert_eq!(place.user(&["sh", "-c", ask]).ok(), none);
    assert_eq!(place.run(&["sh", "-c", ask]).ok(), none);
}

#[test]
fn run_starts_an_instance_and_stop_ends_all() {
    let place = Rootless::new();
    let status = || place.user(&["iopkt", "status"]);
    let none = status();
    assert_eq!((none.code, none.text().as_str()), (Some(1), "no instances\n"), "{}", none.stderr);

    let file = place.path("file");
    data_file(&file, 300_000);
    let _server = http_server(&place, Family::V4);
    for prefix in ["/dev/socket", "/dev/io-net2"] {
        let got = place.path("got").to_string_lossy().into_owned();
        let curl = ["curl", "-sS", "--fail", "-o", &got, "http://10.0.2.2:8000/file"];
        place.user(&[&["iopkt", "run", "-p", prefix, "--"], &curl[..]].concat()).ok();
        assert!(same_bytes(&file, Path::new(&got)), "{prefix}");
        std::fs::remove_file(&got).expect("it was just compared");
    }
    let both = status().ok();
    let rows: Vec<&str> = both.lines().filter(|l| l.starts_with('/')).collect();
    assert_eq!(rows.len(), 2, "{both}");
    assert!(rows[0].starts_with("/dev/io-net2 ") && rows[1].starts_with("/dev/socket "), "{both}");
    assert_eq!(both.matches(" 10.0.2.15/24").count(), 2, "{both}");
    let daemons: Vec<String> =
        rows.iter().filter_map(|r| r.split_whitespace().nth(1)).map(|pid| format!("/proc/{pid}")).collect();
    assert!(daemons.len() == 2 && daemons.iter().all(|d| Path::new(d).exists()), "{both}");

    place.user(&["iopkt", "stop", "--all"]).ok();
    eventually("both daemons are gone", || daemons.iter().all(|d| !Path::new(d).exists()).then_some(()));
    assert_eq!(status().code, Some(1));
}

#[test]
fn resolv_conf_and_hosts_of_a_program_are_the_instances() {
    let place = Rootless::new();
    let before = std::fs::read_to_string("/etc/resolv.conf").expect("every host has one");
    let write = "echo \"nameserver 192.0.2.53\" >> /etc/resolv.conf && echo 192.0.2.7 printer >> /etc/hosts && \
                 cat /etc/resolv.conf";
    let inside = place.run(&["sh", "-c", write]).ok();
    assert!(inside.contains("nameserver 10.0.2.3") && inside.ends_with("nameserver 192.0.2.53\n"), "{inside}");
    // The next program on the instance sees it, the host does not.
    let look = "import socket; print(socket.gethostbyname('printer'))";
    assert_eq!(place.run(&["python3", "-c", look]).ok(), "192.0.2.7\n");
    assert_eq!(place.user(&["cat", "/etc/resolv.conf"]).ok(), "nameserver 127.0.0.1\n");
    assert_eq!(std::fs::read_to_string("/etc/resolv.conf").expect("it was there"), before);
    assert!(!place.user(&["cat", "/etc/hosts"]).ok().contains("192.0.2.7"));
}

#[test]
fn what_the_library_cannot_enter_is_refused_with_the_reason() {
    let place = Rootless::new();
    let program = static_program(&place.dir).to_string_lossy().into_owned();
    let said = place.run(&[&program]);
    let why = "a statically linked program, which iopkt's socket library cannot enter";
    assert_eq!((said.code, said.stderr.as_str()), (Some(126), format!("iopkt run: {program}: {why}\n").as_str()));
}

#[test]
fn nothing_of_the_host_is_seen_past_the_instance() {
    let place = Rootless::server_on_host();
    let _server = http_server(&place, Family::V4);
    // The host's loopback is not the instance's.
    let said = place.run(&["curl", "-sS", "--max-time", "10", "http://127.0.0.1:8000/"]);
    assert_eq!(said.code, Some(7), "connection refused: {}", said.stderr);
    let interfaces = place.run(&["cat", "/proc/net/dev"]).ok();
    assert_eq!(interfaces.lines().filter(|l| l.contains(':')).count(), 1, "{interfaces}");
}
