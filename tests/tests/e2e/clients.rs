//! Unmodified client programs against servers on the kernel's stack.

use e2e::{Lab, Link, PEER_V4, eventually, same_bytes};

#[test]
fn curl_fetches_a_file_from_a_kernel_peer_over_a_packet_link() {
    let lab = Lab::new(Link::Packet);
    let file = lab.data_file("file", 3_000_000);
    let _server = lab.peer_start(&["python3", "-m", "http.server", "--bind", PEER_V4, "8000"]);
    eventually("the server listens", || {
        lab.peer_run(&["ss", "-ltn"]).text().contains(":8000").then_some(())
    });
    let out = lab.path("out");
    let url = format!("http://{PEER_V4}:8000/file");
    lab.run(&["curl", "-sS", "--fail", "-o", &out.to_string_lossy(), &url]).ok();
    assert!(same_bytes(&file, &out));
}
