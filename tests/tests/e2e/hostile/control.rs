//! Messages on the control channel that no library would send.

use std::time::Instant;

use e2e::{Lab, Link, Running};

use super::{Held, attack, attacker, back_at, count, counter, no_sockets_left, serves};

#[test]
fn hostile_control_messages_are_answered_counted_and_leave_nothing() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    serves(&lab);
    attack(&lab, "hostile_control.py", "random", &["200", "1"]);
    let before = Held::by(daemon);
    for seed in ["2", "3"] {
        attack(&lab, "hostile_control.py", "random", &[&count(6_000, 60_000), seed]);
        serves(&lab);
    }
    attack(&lab, "hostile_control.py", "foreign", &["2000", "4"]);
    attack(&lab, "hostile_control.py", "half", &["200", "5"]);
    attack(&lab, "hostile_control.py", "unread", &["20"]);
    serves(&lab);
    no_sockets_left(&lab);
    back_at(daemon, before);
    for sentence in ["no request", "messages too long", "cut off for not reading"] {
        assert!(counter(&lab, sentence) > 0, "{sentence}: {}", lab.command(&["netstat", "-s"]).text());
    }
}

#[test]
fn silent_clients_and_floods_do_not_keep_others_waiting() {
    let mut lab = Lab::new(Link::None);
    let daemon = lab.daemon().pid();
    serves(&lab);
    let before = Held::by(daemon);
    let mut silent = Running::start(attacker(&lab, "hostile_control.py", "silent", &["500"]));
    silent.wait_for("silent 500");
    serves(&lab);
    let mut flood = Running::start(attacker(&lab, "hostile_control.py", "flood", &["3"]));
    flood.wait_for("flooding");
    for _ in 0..5 {
        let begin = Instant::now();
        serves(&lab);
        assert!(begin.elapsed().as_secs() < 5, "a flood kept a program waiting for {:?}", begin.elapsed());
    }
    drop((silent, flood));
    back_at(daemon, before);
}
