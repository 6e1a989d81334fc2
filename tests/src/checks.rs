//! What a program must say when it was served well, whichever side it is on.

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

#[track_caller]
pub fn check_redis(output: &str) {
    assert!(output.contains("requests per second") && !output.contains("rror"), "{output}");
}

/// The summary of a ping, ours or the system's: so many sent, all answered.
#[track_caller]
pub fn check_ping(output: &str, count: u32) {
    let summary = output.lines().find(|l| l.contains("packets transmitted")).unwrap_or_default();
    let none_lost = summary.contains(", 0% packet loss") || summary.contains(", 0.0% packet loss");
    assert!(summary.starts_with(&format!("{count} packets transmitted, {count} ")) && none_lost, "{output}");
    assert!(!output.contains("DUP!"), "{output}");
}
