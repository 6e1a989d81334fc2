//! devnp-user: the NAT reaches servers of the host, and the host reaches us. As in use, no privilege is
//! needed; the namespace only keeps the ports apart.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use io_pkt::modules::LinkDevice;
use module_tests::build::modules;
use module_tests::frames::{ARP, BROADCAST, Port, arp, ethernet, ethertype};
use module_tests::namespace::{self, ip};
use module_tests::peer::{ACK, PSH, SYN, Tcp, fold, ipv4, sum};

const US: [u8; 4] = [10, 0, 2, 15];
const HOST: [u8; 4] = [10, 0, 2, 2];

fn attach(options: &str) -> (LinkDevice, Port) {
    let mut devices = modules().attach_driver("user", options).unwrap_or_else(|e| panic!("{e}"));
    let mut device = devices.remove(0);
    let port = Port::new(&mut device);
    (device, port)
}

/// Asks for the gateway's address, and so makes ours known.
fn gateway(device: &LinkDevice, port: &mut Port) -> [u8; 6] {
    let ask = arp(1, (device.mac(), US), ([0; 6], HOST));
    port.send(&ethernet(BROADCAST, device.mac(), ARP, &ask));
    let (answer, offload) = port.expect("an ARP answer", |f, _| ethertype(f) == Some(ARP) && f[21] == 2);
    assert!(offload.csum_is_good());
    answer[22..28].try_into().unwrap()
}

#[test]
fn a_connection_to_the_host_carries_both_ways() {
    if !namespace::enter("a_connection_to_the_host_carries_both_ways") {
        return;
    }
    ip("link set lo up");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (device, mut port) = attach("");
    assert!(device.is_up());
    let plan = device.suggested_config().unwrap().ipv4.unwrap();
    assert_eq!((plan.addr.octets(), plan.gateway.octets(), plan.prefix_len), (US, HOST, 24));
    let gateway = gateway(&device, &mut port);
    let mut tcp = Tcp::new(device.mac(), gateway, US, HOST, listener.local_addr().unwrap().port());
    tcp.connect(&mut port);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let (frame, offload) = tcp.frame(ACK | PSH, b"from the guest", None);
    port.send_offloaded(&frame, offload);
    let mut got = [0; 14];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"from the guest");
    tcp.snd_nxt += 14;
    stream.write_all(b"from the host").unwrap();
    port.expect("the host's data", |f, _| tcp.segment(f).is_some_and(|s| s.payload == b"from the host"));
    // Detached, the NAT ends its connections and lets go of everything.
    device.detach();
    drop(port);
    assert_eq!(stream.read(&mut got).unwrap(), 0, "the NAT's end is closed");
}

#[test]
fn a_forwarded_port_leads_to_us() {
    if !namespace::enter("a_forwarded_port_leads_to_us") {
        return;
    }
    ip("link set lo up");
    let (device, mut port) = attach("hostfwd=tcp::8080-:80 hostfwd=udp:127.0.0.1:5353-:53");
    gateway(&device, &mut port);
    let _client = std::thread::spawn(|| TcpStream::connect((Ipv4Addr::LOCALHOST, 8080)));
    let (syn, _) = port.expect("a SYN to our port 80", |f, _| {
        ethertype(f) == Some(0x0800) && f[23] == 6 && f[36..38] == [0, 80] && f[47] == SYN
    });
    assert_eq!((&syn[0..6], &syn[30..34]), (&device.mac()[..], &US[..]));
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    udp.send_to(b"query", (Ipv4Addr::LOCALHOST, 5353)).unwrap();
    port.expect("a datagram to our port 53", |f, _| f.get(36..38) == Some(&[0, 53]) && f.ends_with(b"query"));
    // The port is taken by now.
    let again = modules().attach_driver("user", "hostfwd=tcp::8080-:80").err().unwrap().to_string();
    assert_eq!(again, "user: hostfwd=tcp::8080-:80: can not listen: Address already in use");
    device.detach();
    drop(port);
    TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).expect("the port is free again");
}

/// Of many clients that come at once none is turned away.
#[test]
fn a_forwarded_port_has_a_long_backlog() {
    if !namespace::enter("a_forwarded_port_has_a_long_backlog") {
        return;
    }
    ip("link set lo up");
    let (device, _port) = attach("hostfwd=tcp::8080-:80 hostfwd=udp::5353-:53 hostfwd=tcp:[::1]:8081-:80");
    for at in [":8080", ":8081"] {
        let out = std::process::Command::new("ss").args(["-Hltn", "sport", "=", at]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        // LISTEN 0 4096 127.0.0.1:8080 0.0.0.0:*
        let backlog: u32 =
            text.split_whitespace().nth(2).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        assert!(backlog >= 128, "{text}");
    }
    device.detach();
}

#[test]
fn dhcp_gives_the_address_that_the_plan_suggests() {
    if !namespace::enter("dhcp_gives_the_address_that_the_plan_suggests") {
        return;
    }
    let (device, mut port) = attach("net=192.168.9.0/24,ipv6=off");
    assert!(device.suggested_config().unwrap().ipv6.is_none());
    let mut dhcp = vec![1, 1, 6, 0, 9, 9, 9, 9];
    dhcp.resize(28, 0);
    dhcp.extend(device.mac());
    dhcp.resize(236, 0);
    dhcp.extend([99, 130, 83, 99, 53, 1, 1, 255]);
    let len = (8 + dhcp.len()) as u16;
    let udp = [&[0, 68, 0, 67][..], &len.to_be_bytes(), &[0, 0], &dhcp].concat();
    let packet = ipv4([0; 4], [255; 4], 17, &udp);
    port.send(&ethernet(BROADCAST, device.mac(), 0x0800, &packet));
    let (offer, _) = port.expect("an offer", |f, _| f.get(34..38) == Some(&[0, 67, 0, 68]));
    assert_eq!(offer[58..62], [192, 168, 9, 15]);
}

#[test]
fn ipv6_is_announced() {
    if !namespace::enter("ipv6_is_announced") {
        return;
    }
    let (device, mut port) = attach("prefix6=fd00:7::/64");
    // A router solicitation from fe80::1.
    let from = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let to = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let mut icmp = vec![133, 0, 0, 0, 0, 0, 0, 0];
    let check = !fold(sum(&[&from[..], &to].concat(), 8 + 58 + sum(&icmp, 0)));
    icmp[2..4].copy_from_slice(&check.to_be_bytes());
    let packet = [&[0x60, 0, 0, 0, 0, 8, 58, 255][..], &from, &to, &icmp].concat();
    port.send(&ethernet([0x33, 0x33, 0, 0, 0, 2], device.mac(), 0x86dd, &packet));
    let (advert, _) = port.expect("a router advertisement", |f, _| ethertype(f) == Some(0x86dd) && f[54] == 134);
    let prefix = [0xfd, 0, 0, 7, 0, 0, 0, 0];
    assert!(advert.windows(8).any(|w| w == prefix), "with the prefix");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let error = |options: &str| modules().attach_driver("user", options).err().unwrap().to_string();
    assert_eq!(error("net=10.0.2.0"), "user: net=10.0.2.0 is no IPv4 network of /8 to /27, such as 10.0.2.0/24");
    assert_eq!(error("mtu=70000"), "user: mtu=70000 is out of range; expected 68 to 65520");
    let form = "is not tcp|udp:[host address]:port-[our address]:port";
    assert_eq!(error("hostfwd=8080"), format!("user: hostfwd=8080 {form}"));
    assert!(
        error("host=1").starts_with("user: unknown option \"host\"; known: net, ipv4, ipv6, prefix6, dns, hostfwd")
    );
}
