//! The commands of the original's documentation as they stand there, and what they print.

use e2e::{Lab, Link, PEER_V4};

#[test]
fn a_static_configuration_as_the_text_has_it() {
    let mut lab = Lab::without_daemon();
    lab.start_daemon(&["-d", "packet", "if=veth0,mac=00:11:22:33:44:55"]);
    let said = lab.command(&["ifconfig", "en0", "192.168.1.100", "netmask", "255.255.255.0", "up"]).ok();
    assert_eq!(said, "");
    lab.wait_for_address("fe80::211:22ff:fe33:4455");
    // The medium is what the kernel says of its veth.
    let expected = "\
en0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
     address: 00:11:22:33:44:55
     media: Ethernet 10GbaseT full-duplex
     inet 192.168.1.100 netmask 0xffffff00 broadcast 192.168.1.255
     inet6 fe80::211:22ff:fe33:4455%en0 prefixlen 64 scopeid 0x2
";
    assert_eq!(lab.command(&["ifconfig", "en0"]).ok(), expected);
    let all = lab.command(&["ifconfig", "-a"]).ok();
    assert!(all.starts_with("lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST>") && all.ends_with(expected), "{all}");

    assert_eq!(lab.command(&["route", "add", "default", PEER_V4]).ok(), "add net default: gateway 192.168.1.1\n");
    let routes = lab.command(&["netstat", "-rn"]).ok();
    let words: Vec<Vec<&str>> = routes.lines().map(|l| l.split_whitespace().collect()).collect();
    assert!(words.contains(&vec!["default", PEER_V4, "UGS", "-", "0", "-", "en0"]), "{routes}");
    assert!(words.contains(&vec!["192.168.1/24", "link#en0", "UC", "-", "0", "-", "en0"]), "{routes}");

    let ping = lab.command(&["ping", "-c", "2", PEER_V4]).ok();
    assert!(ping.contains("64 bytes from 192.168.1.1: icmp_seq=1 ttl=64 time="), "{ping}");
    assert!(ping.contains("2 packets transmitted, 2 packets received, 0.0% packet loss"), "{ping}");
    let all = lab.command(&["netstat", "-s"]).ok();
    assert!(all.contains("2 echo replies received"), "{all}");
    assert!(!all.contains("\t0 "), "a counter that nothing moved is printed:\n{all}");
}

#[test]
fn an_error_is_one_line_that_names_the_word_that_was_wrong() {
    let lab = Lab::new(Link::None);
    for (words, said) in [
        (&["ifconfig", "enx"][..], "ifconfig: enx: no such interface\n"),
        (&["ifconfig", "lo0", "192.168.1.300"], "ifconfig: bad address: 192.168.1.300\n"),
        (&["ifconfig", "lo0", "10.0.0.1/33"], "ifconfig: bad prefix length: 33\n"),
        (
            &["ifconfig", "-p", "/dev/nowhere", "-a"],
            "ifconfig: no instance at /dev/nowhere (start one with: io-pkt-v6-hc -p /dev/nowhere -d DRIVER)\n",
        ),
    ] {
        let finished = lab.command(words);
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(1), said), "{words:?}");
    }
}
