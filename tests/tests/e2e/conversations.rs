//! Real servers with real clients. Each conversation is written once and held with either side on the instance:
//! `clients` and `servers` say which, over which link.

use e2e::{Family, Running, Ssh, Talk, bracketed, check_iperf3, check_redis, data_file, refs, same_bytes};

/// Bytes of the files that are carried where no more is said.
const SIZE: usize = 3_000_000;

pub fn http_server(talk: &dyn Talk, family: Family) -> Running {
    let words = ["python3", "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind", talk.bind(family), "8000"];
    let mut server = talk.serve(&words);
    server.wait_for("Serving HTTP");
    server
}

/// Fetches the file behind a URL, which is `FILE`, twice on one connection.
pub fn curl_fetches_twice(talk: &dyn Talk, url: &str, file: &std::path::Path) {
    let (first, second) = (talk.path("first"), talk.path("second"));
    let (first, second) = (&first.to_string_lossy(), &second.to_string_lossy());
    let words = ["curl", "-sS", "--fail", "-w", "%{num_connects}\n", "-o", first, url, "-o", second, url];
    // The second transfer finds the connection open.
    assert_eq!(talk.ask(&words).ok(), "1\n0\n", "{url}");
    for got in [first, second] {
        assert!(same_bytes(file, got.as_ref().as_ref()), "{url}: {got}");
    }
}

fn file(talk: &dyn Talk) -> std::path::PathBuf {
    let path = talk.path("file");
    data_file(&path, SIZE);
    path
}

pub fn curl(talk: &dyn Talk) {
    let file = file(talk);
    for family in Family::BOTH {
        let _server = http_server(talk, family);
        let url = format!("http://{}:8000/file", bracketed(talk.reach(family)));
        curl_fetches_twice(talk, &url, &file);
    }
}

/// TCP to the server, from it, eight streams, and UDP (within what a debug build carries).
const IPERF3_CASES: &[&[&str]] = &[
    &["-t", "1"],
    &["-t", "1", "-R"],
    &["-t", "1", "-P", "8"],
    &["-t", "1", "-P", "8", "-R"],
    &["-t", "1", "-u", "-b", "50M"],
    &["-t", "1", "-u", "-b", "50M", "-R"],
];

pub fn iperf3(talk: &dyn Talk) {
    for family in Family::BOTH {
        let mut server = talk.serve(&["iperf3", "-s", "-B", talk.bind(family), "--forceflush"]);
        for options in IPERF3_CASES {
            server.wait_for("Server listening");
            let words = [&["iperf3", "-c", talk.reach(family)], *options].concat();
            check_iperf3(&talk.ask(&words).ok(), options);
        }
    }
}

/// Small and large values, many connections, one request at a time and pipelined.
const REDIS_CASES: &[&[&str]] = &[
    &["-n", "2000", "-c", "50", "-t", "ping,set,get,incr,lpush,lrange_100,mset"],
    &["-n", "20000", "-c", "20", "-P", "32", "-d", "100", "-t", "set,get"],
    &["-n", "500", "-c", "10", "-d", "100000", "-t", "set,get"],
];

pub fn redis(talk: &dyn Talk) {
    let words = ["redis-server", "--bind", "*", "-::*", "--protected-mode", "no", "--save", "", "--port", "6379"];
    let mut server = talk.serve(&words);
    server.wait_for("Ready to accept connections");
    for family in Family::BOTH {
        for options in REDIS_CASES {
            let words = [&["redis-benchmark", "-h", talk.reach(family), "-q"], *options].concat();
            check_redis(&talk.ask(&words).ok());
        }
    }
}

/// A command with input, output and status, and a file there and back.
pub fn ssh(talk: &dyn Talk, ssh: &Ssh) {
    let mut server = talk.serve_as_user(&refs(&ssh.server()));
    server.wait_for("Server listening");
    let file = file(talk);
    let (far, back) = (talk.path("far"), talk.path("back"));
    for family in Family::BOTH {
        let addr = talk.reach(family);
        let input = vec![b'x'; 300_000];
        let said = talk.ask_with_input(&refs(&ssh.ssh(addr, "wc -c; echo $SSH_CONNECTION; exit 7")), &input);
        assert_eq!(said.code, Some(7), "{addr}: {}{}", said.text(), said.stderr);
        let text = said.text();
        assert!(text.contains("300000") && text.contains(talk.bind(family)), "{text}");

        let remote = Ssh::remote(addr, &far.to_string_lossy());
        talk.ask(&refs(&ssh.scp(&file.to_string_lossy(), &remote))).ok();
        assert!(same_bytes(&file, &far), "{addr}: to the server");
        talk.ask(&refs(&ssh.scp(&remote, &back.to_string_lossy()))).ok();
        assert!(same_bytes(&file, &back), "{addr}: from the server");
        for copy in [&far, &back] {
            std::fs::remove_file(copy).expect("it was just compared");
        }
    }
}

pub fn python(talk: &dyn Talk) {
    let file = file(talk);
    let (v4, v6) = (talk.bind(Family::V4), talk.bind(Family::V6));
    let mut server = talk.serve(&["python3", &talk.script("echo_server.py"), "7000", v4, v6]);
    server.wait_for("ready");
    for family in Family::BOTH {
        let _server = http_server(talk, family);
        let url = format!("http://{}:8000/file", bracketed(talk.reach(family)));
        let got = talk.path(&format!("got{}", family.digit()));
        let fetch = "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])";
        talk.ask(&["python3", "-c", fetch, &url, &got.to_string_lossy()]).ok();
        assert!(same_bytes(&file, &got), "{family:?}");
        let said = talk.ask(&["python3", &talk.script("echo_client.py"), talk.reach(family), "7000", "20"]).ok();
        assert_eq!(said, "20 connections echoed\n", "{family:?}");
    }
}

pub fn socat(talk: &dyn Talk) {
    let input = std::fs::read(file(talk)).expect("just written");
    for family in Family::BOTH {
        let (n, bind, addr) = (family.digit(), bracketed(talk.bind(family)), bracketed(talk.reach(family)));
        let listen = format!("TCP{n}-LISTEN:7000,bind={bind},reuseaddr,fork");
        let mut echo = talk.serve(&["socat", "-d", "-d", &listen, "EXEC:cat"]);
        echo.wait_for("listening on");
        let echoed = talk.ask_with_input(&["socat", "-t", "30", "-", &format!("TCP{n}:{addr}:7000")], &input);
        assert!(echoed.stdout == input, "{family:?}: {} bytes came back: {}", echoed.stdout.len(), echoed.stderr);

        let listen = format!("UDP{n}-LISTEN:7001,bind={bind},fork");
        let mut echo = talk.serve(&["socat", "-d", "-d", &listen, "PIPE"]);
        echo.wait_for("listening on");
        for text in ["a datagram", "another from elsewhere"] {
            let echoed =
                talk.ask_with_input(&["socat", "-t", "1", "-", &format!("UDP{n}:{addr}:7001")], text.as_bytes());
            assert_eq!(echoed.ok(), text, "{family:?}");
        }
    }
}

/// The addresses that `server.test` has, in every conversation.
const NAMED: [(&str, &str); 2] = [("A", "192.168.1.1"), ("AAAA", "2001:db8:1::1")];

/// `tests/scripts/dns_server.py` at port 53 of both families.
pub fn name_server(talk: &dyn Talk) -> Running {
    let script = talk.script("dns_server.py");
    let (v4, v6) = (talk.bind(Family::V4), talk.bind(Family::V6));
    let mut names = talk.serve(&["python3", &script, "53", NAMED[0].1, NAMED[1].1, v4, v6]);
    names.wait_for("ready");
    names
}

pub fn dig(talk: &dyn Talk, names: &mut Running) {
    for family in Family::BOTH {
        let server = format!("@{}", talk.reach(family));
        for (kind, addr) in NAMED {
            for transport in ["+notcp", "+tcp"] {
                let words = ["dig", &server, "+short", transport, "server.test", kind];
                assert_eq!(talk.ask(&words).ok().trim(), addr, "{words:?}");
            }
        }
        // Too long for a datagram: dig is told so and asks again over TCP.
        let long = talk.ask(&["dig", &server, "+short", "+noedns", "big.test", "TXT"]).ok();
        assert!(long.len() > 5_000, "{family:?}: {long}");
        names.wait_for("tcp big.test");
    }
}
