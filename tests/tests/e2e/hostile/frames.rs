//! Frames that nobody should send.

use e2e::{Family, Lab, Link, PEER_V4, PEER_V6, STACK_V4, STACK_V6, bracketed, program, same_bytes, script};

use super::{Held, SETTLING, count, counter};

#[test]
fn malformed_frames_are_counted_while_transfers_go_on_byte_exact() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    let mut listener = lab.start(&[&program("idle"), "serve", STACK_V4, "5000"]);
    listener.wait_for("listening");
    let file = lab.data_file("file", 300_000);
    let mut servers = Vec::new();
    for family in Family::BOTH {
        let words = ["python3", "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind", family.peer(), "8000"];
        let mut server = lab.peer_start(&words);
        server.wait_for("Serving HTTP");
        servers.push(server);
    }
    let got = lab.path("got");
    let fetch = |family: Family| {
        let url = format!("http://{}:8000/file", bracketed(family.peer()));
        lab.run(&["curl", "-sS", "--fail", "--max-time", "30", "-o", &got.to_string_lossy(), &url]).ok();
        assert!(same_bytes(&file, &got), "{family:?}: other bytes");
    };
    let text = lab.command(&["ifconfig", "en0"]).ok();
    let is_mac = |w: &&str| w.len() == 17 && w.matches(':').count() == 5;
    let mac = text.split_whitespace().find(is_mac).expect("an Ethernet address");
    let frames = |frames: &str, seed: &str| {
        let script = script("hostile_frames.py");
        let peers = [PEER_V4, STACK_V4, PEER_V6, STACK_V6];
        lab.peer_start(&[&["python3", &script, "veth1", mac], &peers[..], &[frames, seed]].concat())
    };
    frames("20000", "1").wait_for("sent");
    Family::BOTH.into_iter().for_each(fetch);
    let before = Held::by(daemon);
    for seed in ["2", "3"] {
        let mut sender = frames(&count(50_000, 1_000_000), seed);
        let mut fetched = 0;
        while sender.is_alive() {
            Family::BOTH.into_iter().for_each(fetch);
            fetched += 1;
        }
        sender.wait_for("sent");
        assert!(fetched > 1, "the frames were gone before anything was fetched");
    }
    Family::BOTH.into_iter().for_each(fetch);
    let sentences = [
        "bad header checksums",
        "with bad options",
        "malformed fragments",
        "messages < minimum length",
        "with bad format",
        "discarded for bad checksums",
        "with bad data length field",
        "bad neighbor solicitation",
        "of an unknown type",
        "bad router advertisement",
        "violated scope rules",
    ];
    for sentence in sentences {
        assert!(counter(&lab, sentence) > 0, "{sentence}: {}", lab.command(&["netstat", "-s"]).text());
    }
    // Neighbours stay known for a while, and fragments wait, within 16 MiB, for what completes them.
    let (held, allowed) = (Held::by(daemon), before.memory + SETTLING + (16 << 20));
    assert!(held.memory < allowed && held.descriptors <= before.descriptors, "{before:?}, then {held:?}");
    assert!(listener.is_alive());
}
