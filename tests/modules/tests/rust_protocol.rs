//! A protocol module written in Rust over the SDK, loaded from its shared object.

use io_pkt::modules::{ProtocolLink, Transmit};
use module_tests::build::modules;
use module_tests::frames::ethernet;

const ETHERTYPE: u16 = 0x88b6;

fn links() -> [ProtocolLink; 1] {
    [ProtocolLink { index: 5, name: "en0".into(), mtu: 1500, up: true, mac: [2, 0, 0, 0, 0, 5] }]
}

#[test]
fn frames_packets_and_time_reach_it() {
    let mut parrot = modules().attach_protocol("parrot", "verbose", &links(), 0).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((parrot.ethertypes(), parrot.ip_protocols()), (vec![ETHERTYPE], vec![253]));
    let from = [2, 0, 0, 0, 0, 9];
    let own = links()[0].mac;
    assert!(parrot.input_frame(5, &ethernet(own, from, ETHERTYPE, b"hello")));
    assert_eq!(parrot.take_transmit(), [Transmit { link: 5, frame: ethernet(from, own, ETHERTYPE, b"hello") }]);
    for now in [50, 100, 149, 150] {
        parrot.run_timers(now);
    }
    assert!(!parrot.input_packet(5, 254, b"packet"));
    assert!(parrot.input_packet(5, 253, b"packet"));
    assert!(parrot.take_transmit()[0].frame.ends_with(b"packet\x03"));

    // After a panic it is left alone, and can still be unloaded.
    assert!(parrot.input_frame(5, &ethernet(own, from, ETHERTYPE, b"panic")));
    parrot.input_frame(5, &ethernet(own, from, ETHERTYPE, b"hello"));
    assert_eq!(parrot.take_transmit(), []);
    assert!(parrot.can_detach());
    parrot.detach();
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let mut loader = modules();
    let mut error = |options: &str| {
        let result = loader.attach_protocol("lsm-parrot.so", options, &links(), 0);
        result.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(error("type=1"), "parrot: unknown option \"type\"; known: ethertype, protocol, verbose");
    assert_eq!(error("ethertype=70000"), "parrot: ethertype=70000 is out of range; expected 0 to 65535");
    assert_eq!(error("ethertype=0xdead"), "parrot: this parrot is no more");
    assert_eq!(error("ethertype=0xfeed"), "parrot: the protocol panicked in attach: fed up");
    assert_eq!(error("protocol=6"), "parrot: IP protocol 6: Invalid argument");
    // What it had registered before that failed is free again.
    assert_eq!(error(""), "");
    assert!(modules().attach_protocol("packet", "", &[], 0).is_err());
    let wrong_kind = modules().attach_driver("parrot", "").err().unwrap().to_string();
    assert!(wrong_kind.starts_with("unknown driver \"parrot\""), "{wrong_kind}");
}
