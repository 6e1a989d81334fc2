//! What a program is asked to do, and what it must then say, whichever side it is on.

use crate::lab::{Lab, same_bytes};
use crate::process::Finished;
use crate::ssh::Ssh;

/// TCP to the server, from it, eight streams, and UDP (within what a debug build carries).
pub const IPERF3_CASES: &[&[&str]] = &[
    &["-t", "1"],
    &["-t", "1", "-R"],
    &["-t", "1", "-P", "8"],
    &["-t", "1", "-P", "8", "-R"],
    &["-t", "1", "-u", "-b", "50M"],
    &["-t", "1", "-u", "-b", "50M", "-R"],
];

/// The client's output: it came to its end and the receiver got something; of datagrams nearly all.
#[track_caller]
pub fn check_iperf3(output: &str, options: &[&str]) {
    assert!(output.contains("iperf Done."), "{options:?}: {output}");
    let streams = if options.contains(&"8") { 8 } else { 1 };
    let received: Vec<&str> = output.lines().filter(|l| l.ends_with("receiver") && !l.contains("SUM")).collect();
    assert_eq!(received.len(), streams, "{options:?}: {output}");
    assert!(received.iter().all(|l| !l.contains(" 0.00 Bytes")), "a stream carried nothing: {options:?}: {output}");
    if options.contains(&"-u") {
        // … 0/4316 (0%)  receiver
        let lost = received[0].rsplit(['(', '%']).nth(1).and_then(|p| p.parse::<f64>().ok());
        assert!(lost.is_some_and(|l| l < 5.0), "{options:?}: {output}");
    }
}

pub const REDIS_PORT: &str = "6379";
pub const REDIS_SERVER: &[&str] =
    &["redis-server", "--bind", "*", "-::*", "--protected-mode", "no", "--save", "", "--port", REDIS_PORT];
/// Small and large values, many connections, one request at a time and pipelined.
pub const REDIS_CASES: &[&[&str]] = &[
    &["-n", "2000", "-c", "50", "-t", "ping,set,get,incr,lpush,lrange_100,mset"],
    &["-n", "20000", "-c", "20", "-P", "32", "-d", "100", "-t", "set,get"],
    &["-n", "500", "-c", "10", "-d", "100000", "-t", "set,get"],
];

#[track_caller]
pub fn check_redis(output: &str) {
    assert!(output.contains("requests per second") && !output.contains("rror"), "{output}");
}

/// A command with input, output and status, and a file there and back; `client` runs a command line.
#[track_caller]
pub fn check_ssh(lab: &Lab, ssh: &Ssh, addr: &str, client: impl Fn(&[String], &[u8]) -> Finished) {
    let input = vec![b'x'; 300_000];
    let said = client(&ssh.ssh(addr, "wc -c; echo $SSH_CONNECTION; exit 7"), &input);
    assert_eq!(said.code, Some(7), "{addr}: {}{}", said.text(), said.stderr);
    let text = said.text();
    assert!(text.contains("300000") && text.contains(addr), "{text}");

    let file = lab.data_file("there", 3_000_000);
    let (far, back) = (lab.path("far"), lab.path("back"));
    client(&ssh.scp(&file.to_string_lossy(), &Ssh::remote(addr, &far.to_string_lossy())), b"").ok();
    assert!(same_bytes(&file, &far), "{addr}: to the server");
    client(&ssh.scp(&Ssh::remote(addr, &far.to_string_lossy()), &back.to_string_lossy()), b"").ok();
    assert!(same_bytes(&file, &back), "{addr}: from the server");
}
