//! Many at once.

use std::io::Write;

use e2e::{Lab, Link, Running, STACK_V4, eventually, program};

use super::{Held, back_at, no_sockets_left_but};

#[test]
fn ten_thousand_idle_connections_cost_little_and_leave_nothing() {
    // A descriptor of the daemon's each: the hard limit of RLIMIT_NOFILE must be above that.
    const CROWD: usize = 10_000;
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut server = lab.start(&[&program("idle"), "serve", STACK_V4, "5000"]);
    server.wait_for("listening");
    let crowd = |size: usize| {
        let mut client = lab.peer_start(&[&program("idle"), "connect", STACK_V4, "5000", &size.to_string()]);
        client.wait_for("connected");
        client
    };
    let ask = |client: &mut Running, word: &str, answer: &str| {
        writeln!(client.stdin(), "{word}").expect("the program reads");
        client.wait_for(answer)
    };
    let mut first = crowd(2_000);
    ask(&mut first, "close", "closed");
    no_sockets_left_but(&lab, 1);
    drop(first);
    let before = Held::by(daemon);
    let mut client = crowd(CROWD);
    // The last of them may still be on their way to the program.
    eventually("the program has them all", || {
        (Held::by(daemon).descriptors >= before.descriptors + CROWD).then_some(())
    });
    let each = Held::by(daemon).memory.saturating_sub(before.memory) / CROWD;
    assert!(each <= 8 * 1024, "{each} bytes for each connection");
    let said = ask(&mut client, "ask", "answered in");
    let ms: u64 = said.split_whitespace().nth(2).and_then(|n| n.parse().ok()).expect("a number");
    assert!(ms < 500, "{said}");
    ask(&mut client, "close", "closed");
    no_sockets_left_but(&lab, 1);
    back_at(daemon, before);
}
