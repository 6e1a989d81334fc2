//! Modules written in C, built by plain `cc` over the header, loaded and run; and C objects that are not
//! quite modules.

use io_pkt::modules::{Modules, ProtocolLink, Transmit};
use module_tests::build::{compile_c, modules};
use module_tests::frames::{EXPERIMENTAL, Port, ethernet, readable};

use abi::Errno;
use std::time::Duration;

#[test]
fn the_driver_in_c_echoes() {
    let path = compile_c("examples/modules/loopback-driver.c", "devnp-loopback.so", &[]);
    let mut modules = Modules::new(vec![path.parent().unwrap().to_owned()]);
    let mut devices = modules.attach_driver("loopback", "depth=2").unwrap();
    let mut device = devices.remove(0);
    assert_eq!((device.name(), device.driver(), device.mtu()), ("lb0", "loopback", 1500));
    let mut port = Port::new(&mut device);
    let other = [2, 0, 0, 0, 0, 9];
    for i in 0..3 {
        port.send(&ethernet(other, device.mac(), EXPERIMENTAL, &[i; 50]));
    }
    let (frame, offload) = port.expect("an echo", |_, _| true);
    assert_eq!(frame, ethernet(device.mac(), other, EXPERIMENTAL, &[0; 50]));
    assert!(offload.csum_is_good());
    assert!(!readable(port.queue.fd().unwrap(), Duration::ZERO), "the burst took both");
    let stats = device.stats().unwrap();
    assert_eq!((stats.tx_packets, stats.rx_packets, stats.tx_bytes), (3, 2, 192));
    assert_eq!(stats.kept().collect::<Vec<_>>(), [("tx_dropped", 1)]);

    // A second of the same; the first goes, its name is free.
    let second = modules.attach_driver("/lib/dll/devnp-loopback.so", "echo=off,unit=4").unwrap().remove(0);
    assert_eq!(second.name(), "lb4");
    drop((device, port));
    assert_eq!(modules.attach_driver("loopback", "").unwrap()[0].name(), "lb0");
}

#[test]
fn its_options_are_checked_for_it() {
    let path = compile_c("examples/modules/loopback-driver.c", "devnp-checked.so", &[]);
    let mut modules = Modules::new(vec![path.parent().unwrap().to_owned()]);
    let mut error = |options: &str| modules.attach_driver("checked", options).err().unwrap().to_string();
    assert_eq!(error("size=1"), "loopback: unknown option \"size\"; known: echo, depth, name, unit, mac, mtu, verbose");
    assert_eq!(error("depth=many"), "loopback: depth=many is not valid; expected a number (decimal or 0x…)");
    assert_eq!(error("depth=5000"), "loopback: depth=5000 is out of range; expected 1 to 1024");
    assert_eq!(error("mtu=9000"), "loopback: mtu=9000: the driver refuses it: Invalid argument");
    assert_eq!(error("mac=020000000001"), "loopback: mac=020000000001: the driver refuses it: Operation not supported");
    assert_eq!(error("name=lo0"), "loopback: there is an interface lo0 already");
}

#[test]
fn the_protocol_in_c_counts_and_answers() {
    let path = compile_c("examples/modules/ethertype-count.c", "lsm-ethertype-count.so", &[]);
    let mut modules = Modules::new(vec![path.parent().unwrap().to_owned()]);
    let link = |index, up| ProtocolLink {
        index,
        name: format!("en{index}"),
        mtu: 1500,
        up,
        mac: [2, 0, 0, 0, 0, index as u8],
    };
    let links = [link(2, true), link(3, false)];
    let mut count = modules.attach_protocol("ethertype-count", "hello=100", &links, 1000).unwrap();
    assert_eq!(count.ethertypes(), [EXPERIMENTAL]);

    let from = [2, 0, 0, 0, 0, 9];
    assert!(!count.input_frame(2, &ethernet(links[0].mac, from, 0x88b6, b"ping")));
    assert!(!count.input_frame(2, b"short"));
    assert!(count.input_frame(2, &ethernet(links[0].mac, from, EXPERIMENTAL, b"other")));
    assert!(count.input_frame(2, &ethernet(links[0].mac, from, EXPERIMENTAL, b"ping")));
    let mut pong = ethernet(from, links[0].mac, EXPERIMENTAL, b"pong 2");
    pong.resize(60, 0);
    assert_eq!(count.take_transmit(), [Transmit { link: 2, frame: pong }]);
    // A frame from a link that has just gone is not answered.
    count.set_links(&links[1..]);
    count.input_frame(2, &ethernet(links[0].mac, from, EXPERIMENTAL, b"ping"));
    assert_eq!(count.take_transmit(), []);

    // Time is ours to tell. Only links that are up are greeted.
    count.set_links(&links);
    assert_eq!(count.next_deadline_ms(), Some(1100));
    count.run_timers(1099);
    assert_eq!(count.take_transmit(), []);
    count.run_timers(1350);
    let hello = count.take_transmit();
    assert_eq!(hello.len(), 1, "a timer that was missed runs once");
    assert!(hello[0].frame[14..].starts_with(b"hello from en2\0"));
    assert_eq!(count.next_deadline_ms(), Some(1450));

    // An EtherType belongs to one module; detached, it is free.
    let mut error = |options: &str| {
        let result = modules.attach_protocol("lsm-ethertype-count.so", options, &links, 0);
        result.err().map(|e| (e.to_string(), e.errno()))
    };
    let taken = "ethertype-count: EtherType 88b5 is taken by another module".to_owned();
    assert_eq!(error(""), Some((taken, Errno::EEXIST)));
    let own = "ethertype-count: EtherType 0800 is not for modules to take".to_owned();
    assert_eq!(error("ethertype=0x800"), Some((own, Errno::EINVAL)));
    count.detach();
    assert_eq!(error(""), None);
}

#[test]
fn what_is_no_module_is_refused_with_the_reason() {
    let source = "tests/modules/c/odd-modules.c";
    let cases = [
        ("NO_SYMBOL", "is not a driver module: it does not export \"iopkt_driver\""),
        ("VERSION", "speaks version 7 of the module ABI, this daemon version 0"),
        ("SIZE", "its iopkt_driver has 16 bytes, at least 40 are needed: rebuild it with this daemon's header"),
        ("NO_ATTACH", "is not valid: it has no attach function"),
        ("NO_NAME", "is not valid: it has no name"),
    ];
    for (define, expected) in cases {
        let path = compile_c(source, &format!("devnp-{define}.so"), &[define]);
        let error = modules().attach_driver(path.to_str().unwrap(), "").err().unwrap().to_string();
        assert_eq!(error, format!("{}: {expected}", path.display()));
    }
    let attach = |define: &str| {
        let path = compile_c(source, &format!("devnp-{define}.so"), &[define]);
        modules().attach_driver(path.to_str().unwrap(), "").err().unwrap().to_string()
    };
    assert_eq!(attach("NO_LINK"), "odd: attached without making a link");
    assert_eq!(attach("SILENT"), "odd: attach failed: No such device or address");
    assert_eq!(attach("BAD_OPS"), "odd: link_new needs fd, rx, tx and detach");
    assert_eq!(attach("NO_QUEUES"), "odd: link_new with 0 queues and an MTU of 1500");
    assert_eq!(attach("BAD_TABLE"), "odd: its option table is not valid");

    // A driver that fails after it made a link: the link is ended, once.
    let path = compile_c(source, "devnp-late.so", &["LATE_FAILURE"]);
    let mut loader = modules();
    for links_ended in 0..3 {
        let error = loader.attach_driver(path.to_str().unwrap(), "").err().unwrap().to_string();
        assert_eq!(error, format!("odd: changed its mind after the link; {links_ended} ended before"));
    }

    let text = std::env::temp_dir().join(format!("devnp-text-{}.so", std::process::id()));
    std::fs::write(&text, "this is no shared object").unwrap();
    let error = modules().attach_driver(text.to_str().unwrap(), "").err().unwrap().to_string();
    assert!(error.starts_with(&format!("{}: can not be loaded: ", text.display())), "{error}");
    std::fs::remove_file(text).unwrap();
}

#[test]
fn a_driver_that_returns_nonsense_is_an_error_not_a_crash() {
    let path = compile_c("tests/modules/c/odd-modules.c", "devnp-nonsense.so", &["NONSENSE"]);
    let mut device = modules().attach_driver(path.to_str().unwrap(), "").unwrap().remove(0);
    let mut port = Port::new(&mut device);
    let outcomes: Vec<_> = (0..4).map(|_| port.queue.rx(&mut port.pool)).collect();
    let expected = [Err(Errno::EFAULT), Err(Errno::EFAULT), Err(Errno::EIO), Err(Errno(i32::MAX))];
    assert_eq!(outcomes, expected);
    let packet = io_pkt::modules::Packet { head: &[0; 60], slices: &[], offload: abi::Offload::NONE };
    assert_eq!(port.queue.tx([packet, packet]), Ok(2), "it claims to have taken a thousand");
    assert_eq!(device.stats(), Err(Errno::EOPNOTSUPP));
    assert_eq!(port.queue.fd(), None);
}
