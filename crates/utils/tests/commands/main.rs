//! The commands as a user runs them, against an instance that answers from a script.

mod fake;
mod run;

use fake::{Fake, ip};
use sockets::config::Request;

#[test]
fn ifconfig_shows_the_example_of_the_systems_description() {
    let fake = Fake::start();
    let expected = "\
en0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
     address: 00:11:22:33:44:55
     media: Ethernet autoselect (1000baseT full-duplex)
     inet 192.168.1.100 netmask 0xffffff00 broadcast 192.168.1.255
     inet6 fe80::211:22ff:fe33:4455%en0 prefixlen 64 scopeid 0x1
";
    for line in ["ifconfig en0", "ifconfig -a", "ifconfig", "ifconfig -p /dev/socket en0", "iopkt ifconfig en0"] {
        assert_eq!(fake.text(line), expected, "{line}");
    }
}

#[test]
fn ifconfig_changes_an_address_in_one_line() {
    let fake = Fake::start();
    fake.text("ifconfig en0 192.168.1.101 netmask 255.255.255.0 up");
    let changes = fake.changes();
    let [Request::DeleteAddress { addr, .. }, Request::AddAddress { address, .. }, Request::SetFlags { .. }] =
        changes.as_slice()
    else {
        panic!("{changes:?}")
    };
    assert_eq!((*addr, address.addr), (ip("192.168.1.100"), ip("192.168.1.101")));
}

#[test]
fn route_says_what_it_did_and_why_it_could_not() {
    let fake = Fake::start();
    assert_eq!(fake.text("route add default 192.168.1.1"), "add net default: gateway 192.168.1.1\n");
    assert_eq!(fake.text("route -q add default 192.168.1.1"), "");
    assert!(matches!(fake.changes().as_slice(), [Request::AddRoute { change: false, .. }, _]));
    let unreachable = "route: add net default: gateway 10.9.9.9: Network is unreachable\n";
    assert_eq!(fake.failure("route add default 10.9.9.9"), (1, unreachable.into()));
    assert_eq!(fake.failure("route add default 10.0.0.300"), (1, "route: bad address: 10.0.0.300\n".into()));
}

#[test]
fn netstat_shows_routes_from_all_pages_and_sockets_and_counters() {
    let fake = Fake::start();
    let routes = fake.text("netstat -rn");
    assert!(routes.contains("\ndefault            192.168.1.1        UGS "), "{routes}");
    assert!(routes.contains("\n192.168.1/24       link#en0           UC "), "{routes}");
    assert!(fake.text("netstat -an").ends_with("*.80                   *.*                    LISTEN\n"));
    assert_eq!(fake.text("netstat -s"), "tcp:\n\t123 packets sent\n");
    assert!(fake.text("netstat -i").contains("en0   1500  192.168.1/24  192.168.1.100"));
}

#[test]
fn ping_counts_its_answers() {
    let fake = Fake::start();
    let text = fake.text("ping -c 3 -i 0.01 10.0.2.2");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "PING 10.0.2.2 (10.0.2.2): 56 data bytes");
    assert!(lines[1].starts_with("64 bytes from 10.0.2.2: icmp_seq=0 ttl=64 time="), "{text}");
    assert_eq!(lines[5], "--- 10.0.2.2 ping statistics ---", "{text}");
    assert_eq!(lines[6], "3 packets transmitted, 3 packets received, 0.0% packet loss");
    assert!(lines[7].starts_with("round-trip min/avg/max/stddev = "));
}

#[test]
fn mount_loads_a_driver_and_leaves_the_rest_to_the_system() {
    let fake = Fake::start();
    fake.text("mount -T io-pkt -o name=a devnp-tap.so");
    let expected = Request::MountDriver { name: "devnp-tap.so".into(), options: "name=a".into() };
    assert_eq!(fake.changes(), [expected]);
    assert!(fake.text("mount --version").contains("util-linux"));
}

#[test]
fn status_and_stop_know_the_live_and_the_dead() {
    let fake = Fake::start();
    let dead = fake.path("run/dev/io-net2");
    std::fs::create_dir_all(&dead).expect("a folder");
    std::fs::write(dead.join("lock"), "1\n").expect("a file");
    let text = fake.text("iopkt status");
    assert!(text.contains("/dev/io-net2       dead"), "{text}");
    assert!(text.contains("00:01:01       1  en0 192.168.1.100/24"), "{text}");
    assert_eq!(fake.text("iopkt stop --all"), "");
    assert_eq!(fake.changes(), [Request::Stop]);
    let gone = fake.failure("ifconfig en0");
    let expected = "ifconfig: no live instance at /dev/socket (start one with: io-pkt-v6-hc -d DRIVER)\n";
    assert_eq!(gone.0, 1);
    assert!(gone.1 == expected || gone.1 == expected.replace("no live", "no"), "{gone:?}");
}

#[test]
fn an_error_names_the_word_that_was_wrong() {
    let fake = Fake::start();
    for (line, status, message) in [
        ("ifconfig en9", 1, "ifconfig: en9: no such interface\n"),
        (
            "ifconfig -p /dev/none en0",
            1,
            "ifconfig: no instance at /dev/none (start one with: io-pkt-v6-hc -p /dev/none -d DRIVER)\n",
        ),
        ("ifconfig -p none en0", 1, "ifconfig: none: not a prefix (an absolute path such as /dev/socket)\n"),
        ("netstat -f ipx", 1, "netstat: ipx: unknown address family (inet, inet6)\n"),
        ("netstat -I en9", 1, "netstat: en9: no such interface\n"),
        ("ping -I en9 10.0.0.1", 1, "ping: en9: no such interface\n"),
        ("iopkt frobnicate", 2, "iopkt: frobnicate: no such command"),
    ] {
        let (code, text) = fake.failure(line);
        assert!(code == status && text.starts_with(message), "{line}: {code} {text}");
    }
}
