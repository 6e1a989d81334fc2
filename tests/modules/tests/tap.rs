//! devnp-tap with the kernel's own stack behind the interface.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use abi::raw;
use io_pkt::modules::LinkDevice;
use module_tests::build::modules;
use module_tests::frames::{ARP, BROADCAST, EXPERIMENTAL, Port, arp, ethernet, ethertype};
use module_tests::namespace::{self, ip, mac_of};
use module_tests::peer::{ACK, PSH, Tcp};

fn attach(options: &str) -> (LinkDevice, Port) {
    let mut devices = modules().attach_driver("tap", options).unwrap_or_else(|e| panic!("{e}"));
    let mut device = devices.remove(0);
    let port = Port::new(&mut device);
    (device, port)
}

fn bring_up(name: &str) {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
    ip(&format!("link set {name} up"));
    ip(&format!("addr add 10.1.0.1/24 dev {name}"));
}

#[test]
fn the_link_is_up_while_the_interface_is_and_goes_with_it() {
    if !namespace::enter_with_tun("the_link_is_up_while_the_interface_is_and_goes_with_it") {
        return;
    }
    let (device, mut port) = attach("if=tap5");
    assert_eq!((device.name(), device.is_up()), ("en0", false));
    bring_up("tap5");
    assert!(port.state_change(&device));
    ip("link set tap5 down");
    assert!(!port.state_change(&device));
    ip("link set tap5 up");
    assert!(port.state_change(&device));
    ip("link del tap5");
    assert!(!port.state_change(&device));
    port.send(&ethernet(BROADCAST, device.mac(), EXPERIMENTAL, &[1; 50]));
    let mut device = device;
    assert_eq!(device.stats().unwrap().tx_dropped, 1);
    // A broken descriptor is not polled for ever.
    let fd = port.queue.fd().unwrap();
    port.queue.rx(&mut port.pool).unwrap();
    assert!(!module_tests::frames::readable(fd, Duration::from_millis(50)));
}

#[test]
fn an_interface_that_we_made_goes_with_the_link() {
    if !namespace::enter_with_tun("an_interface_that_we_made_goes_with_the_link") {
        return;
    }
    let (device, port) = attach("");
    assert_eq!(device.description(), "tap interface tap0");
    assert!(ip("-o link").contains("tap0"));
    device.detach();
    assert!(ip("-o link").contains("tap0"), "a shard still holds a queue");
    drop(port);
    assert!(!ip("-o link").contains("tap0"));
    // One that the operator made stays.
    ip("tuntap add dev tap7 mode tap");
    drop(attach("if=tap7"));
    assert!(ip("-o link").contains("tap7"));
}

#[test]
fn the_kernel_and_we_exchange_super_segments() {
    if !namespace::enter_with_tun("the_kernel_and_we_exchange_super_segments") {
        return;
    }
    let (device, mut port) = attach("if=tap0");
    bring_up("tap0");
    assert!(port.state_change(&device));
    assert!(device.caps().tso4 && device.caps().rx_gso);
    // The kernel's ARP request, as it begins to talk.
    let kernel = UdpSocket::bind((Ipv4Addr::new(10, 1, 0, 1), 0)).unwrap();
    kernel.send_to(b"hello", (Ipv4Addr::new(10, 1, 0, 2), 9)).unwrap();
    port.expect("an ARP request", |f, _| ethertype(f) == Some(ARP) && f[38..42] == [10, 1, 0, 2]);
    let peer = (mac_of("tap0"), [10, 1, 0, 1]);
    port.send(&ethernet(peer.0, device.mac(), ARP, &arp(2, (device.mac(), [10, 1, 0, 2]), peer)));
    port.expect("the datagram", |f, _| ethertype(f) == Some(0x0800) && f.ends_with(b"hello"));

    let listener = TcpListener::bind((Ipv4Addr::new(10, 1, 0, 1), 0)).unwrap();
    let mut tcp = Tcp::new(device.mac(), peer.0, [10, 1, 0, 2], peer.1, listener.local_addr().unwrap().port());
    tcp.connect(&mut port);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let payload: Vec<u8> = (0..50_000u32).map(|i| (i % 253) as u8).collect();
    let (frame, offload) = tcp.frame(ACK | PSH, &payload, Some(1448));
    port.send_offloaded(&frame, offload);
    let mut got = vec![0; payload.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, payload);
    tcp.snd_nxt += payload.len() as u32;

    stream.write_all(&payload).unwrap();
    let mut largest = 0;
    let mut received = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while received.len() < payload.len() && Instant::now() < end {
        for (frame, offload) in port.burst(Duration::from_millis(100)) {
            let Some(segment) = tcp.segment(&frame).filter(|s| s.seq == tcp.rcv_nxt) else { continue };
            assert!(offload.csum_is_good());
            assert!(segment.payload.len() <= 1460 || offload.gso_kind() == raw::GSO_TCPV4);
            largest = largest.max(segment.payload.len());
            received.extend_from_slice(segment.payload);
            tcp.rcv_nxt = tcp.rcv_nxt.wrapping_add(segment.payload.len() as u32);
        }
        let (ack, offload) = tcp.frame(ACK, &[], None);
        port.send_offloaded(&ack, offload);
    }
    assert_eq!(received, payload);
    assert!(largest > 1460, "nothing was merged");
}

#[test]
fn two_queues_and_jumbo_frames() {
    if !namespace::enter_with_tun("two_queues_and_jumbo_frames") {
        return;
    }
    let mut devices = modules().attach_driver("tap", "if=tap0,queues=2,mtu=9000").unwrap();
    let mut device = devices.remove(0);
    assert_eq!((device.mtu(), device.queue_count()), (9000, 2));
    let mut ports = [Port::of(&mut device, 0), Port::of(&mut device, 1)];
    bring_up("tap0");
    assert!(ports[0].state_change(&device));
    assert!(ip("-o link show tap0").contains("mtu 9000"));
    ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev tap0");
    for _ in 0..40 {
        // Each socket is a flow of its own.
        let flow = UdpSocket::bind((Ipv4Addr::new(10, 1, 0, 1), 0)).unwrap();
        flow.send_to(&[5; 8000], (Ipv4Addr::new(10, 1, 0, 2), 9)).unwrap();
    }
    let mut counts = [0; 2];
    for (port, count) in ports.iter_mut().zip(&mut counts) {
        port.receive_until(Duration::from_millis(300), |f, _| {
            *count += usize::from(f.len() == 14 + 20 + 8 + 8000);
            false
        });
    }
    assert_eq!(counts[0] + counts[1], 40, "each frame once: {counts:?}");
    assert!(counts.iter().all(|c| *c > 4), "{counts:?}");
    device.set_mtu(1280).unwrap();
    assert!(ip("-o link show tap0").contains("mtu 1280"), "both sides have it");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    if !namespace::enter_with_tun("what_is_wrong_is_said_in_one_line") {
        return;
    }
    let error = |options: &str| modules().attach_driver("tap", options).err().map(|e| e.to_string());
    let (_device, _port) = attach("if=tap0");
    assert_eq!(error("if=tap0").unwrap(), "tap: tap0: another program is attached to it");
    assert_eq!(error("if=averyveryverylongname").unwrap(), "tap: if=averyveryverylongname can not name an interface");
    let lo = error("if=lo").unwrap();
    assert_eq!(lo, "tap: lo: is no tap interface, or was made for another number of queues than 1");
    assert_eq!(error("if=tap1,mtu=70000").unwrap(), "tap: mtu=70000 is out of range; expected 68 to 65521");
    assert!(!ip("-o link").contains("tap1"), "nothing is left of an attachment that failed");
}
