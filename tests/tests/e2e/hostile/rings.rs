//! What programs write into the memory that they share with the daemon.

use e2e::{Lab, Link, PEER_V4, PEER_V6, script};

use super::{Held, back_at, count, no_sockets_left, serves};

/// Connections whose rings are spoilt at a time.
const SPOILT: &str = "8";

#[test]
fn anything_written_into_rings_harms_only_its_writer() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut echo = lab.peer_start(&["python3", &script("echo_server.py"), "7000", PEER_V4, PEER_V6]);
    echo.wait_for("ready");
    let round = |seed: &str, seconds: &str| {
        let words = ["python3", &script("hostile_rings.py"), PEER_V4, "7000", SPOILT, seconds, seed];
        let mut hostile = lab.start(&[&["env", "IOPKT_MODE=ring"], &words[..]].concat());
        hostile.wait_for("spoils");
        // Others' bytes arrive meanwhile, whichever way they go.
        for mode in ["IOPKT_MODE=ring", "IOPKT_MODE=pair"] {
            let said = lab.run(&["env", mode, "python3", &script("echo_client.py"), PEER_V6, "7000", "10"]).ok();
            assert_eq!(said, "10 connections echoed\n");
        }
        assert_eq!(hostile.wait(), Some(0));
        serves(&lab);
    };
    round("1", "1");
    no_sockets_left(&lab);
    let before = Held::by(daemon);
    for seed in ["2", "3"] {
        round(seed, &count(2, 30));
    }
    no_sockets_left(&lab);
    back_at(daemon, before);
}
