//! devnp-packet on a veth pair, with the kernel's own stack, or a second devnp-packet, at the far end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use abi::{LinkFlags, Offload, raw};
use io_pkt::modules::LinkDevice;
use module_tests::build::modules;
use module_tests::frames::{ARP, BROADCAST, EXPERIMENTAL, Port, arp, ethernet, ethertype, readable};
use module_tests::namespace::{self, ip, mac_of, veth};
use module_tests::peer::{ACK, PSH, Tcp};

fn attach(options: &str) -> (LinkDevice, Port) {
    let mut devices = modules().attach_driver("packet", options).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(devices.len(), 1);
    let mut device = devices.remove(0);
    let port = Port::new(&mut device);
    (device, port)
}

#[test]
fn the_kernel_asks_and_is_answered() {
    if !namespace::enter("the_kernel_asks_and_is_answered") {
        return;
    }
    veth("veth0", "veth1");
    ip("addr add 10.1.0.1/24 dev veth1");
    let (device, mut port) = attach("if=veth0");
    assert_eq!((device.name(), device.driver(), device.mtu()), ("en0", "packet", 1500));
    assert!(device.is_up());
    assert_ne!(device.mac(), mac_of("veth0"), "our stack does not share the host's address");

    // A ping makes the kernel ask who has 10.1.0.2.
    let mut ping = std::process::Command::new("ping").args(["-c1", "-W2", "10.1.0.2"]).spawn().unwrap();
    let (request, _) = port.expect("an ARP request", |f, _| ethertype(f) == Some(ARP));
    assert_eq!(request[0..6], BROADCAST);
    assert_eq!(request[38..42], [10, 1, 0, 2]);
    let kernel = (mac_of("veth1"), [10, 1, 0, 1]);
    port.send(&ethernet(kernel.0, device.mac(), ARP, &arp(2, (device.mac(), [10, 1, 0, 2]), kernel)));
    // The answer arrived: now the echo request comes, to our address.
    let (echo, _) = port.expect("an echo request", |f, _| ethertype(f) == Some(0x0800));
    assert_eq!(echo[0..6], device.mac());
    assert_eq!((echo[23], echo[34]), (1, 8));
    let mut reply = echo.clone();
    reply[0..6].copy_from_slice(&kernel.0);
    reply[6..12].copy_from_slice(&device.mac());
    let (from, to) = ([10, 1, 0, 2], [10, 1, 0, 1]);
    reply[26..30].copy_from_slice(&from);
    reply[30..34].copy_from_slice(&to);
    reply[34] = 0;
    let check = u16::from_be_bytes([reply[36], reply[37]]);
    let check = check.checked_add(0x0800).unwrap_or_else(|| check.wrapping_add(0x0801));
    reply[36..38].copy_from_slice(&check.to_be_bytes());
    port.send(&reply);
    assert!(ping.wait().unwrap().success(), "the kernel took our echo reply");
}

#[test]
fn only_frames_for_us_and_for_groups_come_in() {
    if namespace::enter("only_frames_for_us_and_for_groups_come_in") {
        only_frames_for_us_and_for_groups_come_in_by("");
    }
}

#[test]
fn only_frames_for_us_and_for_groups_come_in_without_rings() {
    if namespace::enter("only_frames_for_us_and_for_groups_come_in_without_rings") {
        only_frames_for_us_and_for_groups_come_in_by(",ring=0");
    }
}

fn only_frames_for_us_and_for_groups_come_in_by(way: &str) {
    veth("veth0", "veth1");
    let (mut near, mut at_near) = attach(&format!("if=veth0{way}"));
    let (far, mut at_far) = attach("if=veth1");
    let stranger = [2, 9, 9, 9, 9, 9];
    let group = [1, 0, 0x5e, 0, 0, 5];
    let send_all = |at_far: &mut Port, mac: [u8; 6]| {
        for (i, to) in [stranger, group, BROADCAST, mac].into_iter().enumerate() {
            at_far.send(&ethernet(to, far.mac(), EXPERIMENTAL, &[i as u8; 50]));
        }
    };
    let mac = near.mac();
    let collect = |at_near: &mut Port| {
        let mut seen = Vec::new();
        at_near.receive_until(Duration::from_millis(300), |f, _| {
            seen.push(f[14]);
            seen.len() == 4
        });
        seen
    };
    send_all(&mut at_far, mac);
    assert_eq!(collect(&mut at_near), [1, 2, 3]);
    near.set_flags(LinkFlags { up: true, promisc: true, allmulti: false }).unwrap();
    send_all(&mut at_far, mac);
    assert_eq!(collect(&mut at_near), [0, 1, 2, 3]);
    // What we send ourselves does not come back to us.
    at_near.send(&ethernet(BROADCAST, mac, EXPERIMENTAL, &[7; 50]));
    assert_eq!(collect(&mut at_near), []);
    at_far.expect("it went the other way", |f, _| f[14] == 7);
    // The counters know of it all.
    let stats = near.stats().unwrap();
    assert_eq!((stats.rx_packets, stats.tx_packets, stats.tx_bytes), (7, 1, 64));
    // A new address is taken at once.
    near.set_mac(stranger).unwrap();
    near.set_flags(LinkFlags { up: true, ..LinkFlags::default() }).unwrap();
    at_far.send(&ethernet(mac, far.mac(), EXPERIMENTAL, &[8; 50]));
    at_far.send(&ethernet(stranger, far.mac(), EXPERIMENTAL, &[9; 50]));
    assert_eq!(collect(&mut at_near), [9]);
}

#[test]
fn a_frame_of_64_kib_with_its_offload_crosses_whole() {
    if namespace::enter("a_frame_of_64_kib_with_its_offload_crosses_whole") {
        a_frame_of_64_kib_with_its_offload_crosses_whole_by("");
    }
}

#[test]
fn a_frame_of_64_kib_with_its_offload_crosses_whole_without_rings() {
    if namespace::enter("a_frame_of_64_kib_with_its_offload_crosses_whole_without_rings") {
        a_frame_of_64_kib_with_its_offload_crosses_whole_by(",ring=0");
    }
}

fn a_frame_of_64_kib_with_its_offload_crosses_whole_by(way: &str) {
    veth("veth0", "veth1");
    let (_near, mut at_near) = attach("if=veth0");
    let (far, mut at_far) = attach(&format!("if=veth1,name=far{way}"));
    assert_eq!(far.name(), "far0");
    let tcp = Tcp::new([2, 0, 0, 0, 0, 1], far.mac(), [10, 1, 0, 2], [10, 1, 0, 1], 2000);
    let payload: Vec<u8> = (0..60_000u32).map(|i| (i % 251) as u8).collect();
    let (frame, offload) = tcp.frame(ACK, &payload, Some(1448));
    at_near.send_offloaded(&frame, offload);
    let (got, with) = at_far.expect("the merged frame", |f, _| ethertype(f) == Some(0x0800));
    assert_eq!(got, frame);
    assert_eq!((with.gso_kind(), with.gso_size), (raw::GSO_TCPV4, 1448));
    assert!(with.needs_csum() && with.csum_start == 34 && with.csum_offset == 16);
}

#[test]
fn tcp_segments_cut_by_the_link_reach_a_kernel_socket() {
    if namespace::enter("tcp_segments_cut_by_the_link_reach_a_kernel_socket") {
        tcp_segments_cut_by_the_link_reach_a_kernel_socket_by("");
    }
}

#[test]
fn tcp_segments_cut_by_the_link_reach_a_kernel_socket_without_rings() {
    if namespace::enter("tcp_segments_cut_by_the_link_reach_a_kernel_socket_without_rings") {
        tcp_segments_cut_by_the_link_reach_a_kernel_socket_by(",ring=0");
    }
}

fn tcp_segments_cut_by_the_link_reach_a_kernel_socket_by(way: &str) {
    veth("veth0", "veth1");
    ip("addr add 10.1.0.1/24 dev veth1");
    let (device, mut port) = attach(&format!("if=veth0{way}"));
    ip(&format!("neigh add 10.1.0.2 lladdr {} dev veth1", abi::mac::text(device.mac())));
    let listener = TcpListener::bind((Ipv4Addr::new(10, 1, 0, 1), 0)).unwrap();
    let to = listener.local_addr().unwrap().port();
    let mut tcp = Tcp::new(device.mac(), mac_of("veth1"), [10, 1, 0, 2], [10, 1, 0, 1], to);
    tcp.connect(&mut port);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();

    // 40,000 bytes in one frame: the kernel's side sees them, checksums and all.
    let payload: Vec<u8> = (0..40_000u32).map(|i| (i % 253) as u8).collect();
    let (frame, offload) = tcp.frame(ACK | PSH, &payload, Some(1448));
    port.send_offloaded(&frame, offload);
    let mut got = vec![0; payload.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, payload);
    tcp.snd_nxt += payload.len() as u32;

    // And back: what the kernel sends comes merged, known to be good, as far as our window goes.
    stream.write_all(&payload).unwrap();
    let mut received = Vec::new();
    let mut frames = 0;
    let end = Instant::now() + Duration::from_secs(5);
    while received.len() < payload.len() && Instant::now() < end {
        for (frame, offload) in port.burst(Duration::from_millis(100)) {
            let Some(segment) = tcp.segment(&frame).filter(|s| s.seq == tcp.rcv_nxt) else { continue };
            assert!(offload.csum_is_good());
            received.extend_from_slice(segment.payload);
            frames += 1;
            tcp.rcv_nxt = tcp.rcv_nxt.wrapping_add(segment.payload.len() as u32);
        }
        let (ack, offload) = tcp.frame(ACK, &[], None);
        port.send_offloaded(&ack, offload);
    }
    assert_eq!(received, payload);
    assert!(frames < 40_000 / 536, "{frames} frames: nothing was merged");
}

#[test]
fn without_offload_frames_are_plain() {
    if !namespace::enter("without_offload_frames_are_plain") {
        return;
    }
    veth("veth0", "veth1");
    let (near, mut at_near) = attach("if=veth0 offload=off");
    let (far, mut at_far) = attach("if=veth1");
    assert_eq!(near.caps(), abi::Caps::default());
    assert_eq!(far.caps(), abi::Caps::ALL);
    at_near.send(&ethernet(far.mac(), near.mac(), EXPERIMENTAL, &[5; 1500]));
    assert_eq!(at_far.expect("a full frame", |f, _| f[14] == 5).0.len(), 1514);
    at_far.send(&ethernet(near.mac(), far.mac(), EXPERIMENTAL, &[6; 46]));
    assert_eq!(at_near.expect("a small frame", |f, _| f[14] == 6).1, Offload::NONE);
    // One that is too long is counted, and the next still goes.
    at_near.send(&ethernet(far.mac(), near.mac(), EXPERIMENTAL, &[7; 1600]));
    at_near.send(&ethernet(far.mac(), near.mac(), EXPERIMENTAL, &[8; 100]));
    assert_eq!(at_far.expect("the one after", |f, _| f[14] > 6).0[14], 8);
    let mut near = near;
    assert_eq!(near.stats().unwrap().tx_dropped, 1);
}

#[test]
fn a_link_that_goes_down_or_away_says_so() {
    if namespace::enter("a_link_that_goes_down_or_away_says_so") {
        a_link_that_goes_down_or_away_says_so_by("");
    }
}

#[test]
fn a_link_that_goes_down_or_away_says_so_without_rings() {
    if namespace::enter("a_link_that_goes_down_or_away_says_so_without_rings") {
        a_link_that_goes_down_or_away_says_so_by(",ring=0");
    }
}

fn a_link_that_goes_down_or_away_says_so_by(way: &str) {
    veth("veth0", "veth1");
    let (device, mut port) = attach(&format!("if=veth0{way}"));
    ip("link set veth1 down");
    assert!(!port.state_change(&device), "the carrier is lost");
    ip("link set veth1 up");
    assert!(port.state_change(&device));
    ip("link set veth0 down");
    assert!(!port.state_change(&device));
    let fd = port.queue.fd().unwrap();
    let is_quiet = |port: &mut Port| {
        port.burst(Duration::ZERO);
        !readable(fd, Duration::from_millis(50))
    };
    assert!((0..100).any(|_| is_quiet(&mut port)), "what was reported is reported for ever");
    ip("link set veth0 up");
    assert!(port.state_change(&device));
    let (_far, mut at_far) = attach("if=veth1");
    at_far.send(&ethernet(BROADCAST, [2; 6], EXPERIMENTAL, &[1; 50]));
    port.expect("a frame after all that", |f, _| ethertype(f) == Some(EXPERIMENTAL));
    ip("link del veth0");
    assert!(!port.state_change(&device));
    // Sending into the void is counted, not an error.
    port.send(&ethernet(BROADCAST, [2; 6], EXPERIMENTAL, &[1; 50]));
    let mut device = device;
    assert_eq!(device.stats().unwrap().tx_dropped, 1);
    device.detach();
    assert_eq!(port.queue.rx(&mut port.pool), Err(abi::Errno::ENODEV));
}

#[test]
fn queues_share_the_flows() {
    if !namespace::enter("queues_share_the_flows") {
        return;
    }
    veth("veth0", "veth1");
    let mut devices = modules().attach_driver("packet", "if=veth0,queues=2").unwrap();
    let mut device = devices.remove(0);
    assert_eq!(device.queue_count(), 2);
    let mut ports = [Port::of(&mut device, 0), Port::of(&mut device, 1)];
    let (_far, mut at_far) = attach("if=veth1");
    for flow in 0..32u16 {
        let flow = Tcp { port: 1000 + flow, ..Tcp::new([2; 6], device.mac(), [10, 1, 0, 1], [10, 1, 0, 2], 80) };
        let (frame, offload) = flow.frame(ACK, b"x", None);
        at_far.send_offloaded(&frame, offload);
    }
    let mut counts = [0; 2];
    for (port, count) in ports.iter_mut().zip(&mut counts) {
        port.receive_until(Duration::from_millis(300), |f, _| {
            *count += usize::from(ethertype(f) == Some(0x0800));
            false
        });
    }
    assert_eq!(counts[0] + counts[1], 32, "each frame once: {counts:?}");
    assert!(counts.iter().all(|c| *c > 4), "{counts:?}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    if !namespace::enter("what_is_wrong_is_said_in_one_line") {
        return;
    }
    veth("veth0", "veth1");
    let error = |options: &str| {
        let result = modules().attach_driver("devnp-packet.so", options);
        result.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let known = "if, queues, promisc, offload, qdisc_bypass, ring, name, unit, mac, mtu, verbose";
    assert_eq!(error("fi=veth0"), format!("packet: unknown option \"fi\"; known: {known}"));
    assert_eq!(error("if=eth7"), "packet: no such interface \"eth7\"; interfaces: lo, veth1, veth0");
    assert_eq!(error(""), "packet: needs if=, the host's interface to use; interfaces: lo, veth1, veth0");
    assert_eq!(error("if=lo"), "packet: lo is not an Ethernet interface");
    assert_eq!(error("if=veth0,queues=0"), "packet: queues=0 is out of range; expected 1 to 64");
    assert_eq!(error("if=veth0,mtu=9000"), "packet: mtu=9000: the driver refuses it: Invalid argument");
    assert!(error("if=veth0,mac=1").starts_with("packet: mac=1 is not valid; expected 12 hex"));
    assert_eq!(error("if=veth0,ring=65"), "packet: ring=65 is out of range; expected 0 to 64");
    let (device, _port) = attach("if=veth0,mtu=1400,mac=020000000007");
    assert_eq!((device.mtu(), device.mac()), (1400, [2, 0, 0, 0, 0, 7]));
}

/// A merged frame of `len` bytes of payload, each of them `tag`.
fn merged(to: &LinkDevice, tag: u8, len: usize) -> (Vec<u8>, Offload) {
    let tcp = Tcp::new([2, 0, 0, 0, 0, 1], to.mac(), [10, 1, 0, 2], [10, 1, 0, 1], 2000);
    tcp.frame(ACK, &vec![tag; len], Some(1448))
}

/// Packet sockets in this namespace.
fn packet_sockets() -> usize {
    std::fs::read_to_string("/proc/net/packet").unwrap().lines().count() - 1
}

#[test]
fn small_and_merged_frames_come_whole_and_in_order() {
    if !namespace::enter("small_and_merged_frames_come_whole_and_in_order") {
        return;
    }
    veth("veth0", "veth1");
    let (_far, mut at_far) = attach("if=veth0,ring=0");
    let (near, mut at_near) = attach("if=veth1");
    assert_eq!(packet_sockets(), 3, "one without rings, two with");
    // Around the length at which frames change from one ring to the other, and up to the longest.
    let lengths: Vec<usize> = (1900..2100).step_by(7).chain([1, 65_000, 1448, 65_481, 10]).collect();
    for round in 0..20 {
        for (i, len) in lengths.iter().enumerate() {
            let (frame, offload) = merged(&near, (round + i) as u8, *len);
            at_far.send_offloaded(
                &frame,
                if *len > 1448 { offload } else { Offload { gso_type: 0, gso_size: 0, ..offload } },
            );
        }
        let mut seen = 0;
        at_near.receive_until(Duration::from_secs(5), |frame, offload| {
            let (expected, _) = merged(&near, (round + seen) as u8, lengths[seen]);
            assert!(frame == expected, "frame {seen} of round {round}: {} bytes, not {}", frame.len(), expected.len());
            assert!(offload.needs_csum() && (offload.csum_start, offload.csum_offset) == (34, 16));
            assert_eq!(offload.gso_kind() == raw::GSO_TCPV4, lengths[seen] > 1448);
            assert_eq!((frame.as_ptr() as usize + 14) % 16, 0, "its IP header is aligned");
            seen += 1;
            seen == lengths.len()
        });
        assert_eq!(seen, lengths.len());
    }
}

#[test]
fn frames_that_find_no_slot_are_counted_and_those_lent_stay_as_they_are() {
    if !namespace::enter("frames_that_find_no_slot_are_counted_and_those_lent_stay_as_they_are") {
        return;
    }
    veth("veth0", "veth1");
    let (_far, mut at_far) = attach("if=veth0,ring=0");
    let (mut near, mut at_near) = attach("if=veth1,ring=1");
    // One MiB each: 15 large slots, 496 small ones.
    let small =
        |to: &LinkDevice, i: u32| ethernet(to.mac(), [2; 6], EXPERIMENTAL, &[&i.to_be_bytes()[..], &[0; 50]].concat());
    let large = |i: u32| merged(&near, i as u8, 60_000);
    let (mut sent, mut received) = (0, 0);
    for i in 0..3 {
        let (frame, offload) = large(i);
        at_far.send_offloaded(&frame, offload);
    }
    assert!(readable(at_near.queue.fd().unwrap(), Duration::from_secs(2)));
    assert_eq!(at_near.queue.rx(&mut at_near.pool), Ok(3));
    // While these are held, more come than there is room for.
    for i in 3..43 {
        let (frame, offload) = large(i);
        at_far.send_offloaded(&frame, offload);
    }
    for i in 0..600 {
        at_far.send(&small(&near, i));
    }
    sent += 3 + 40 + 600;
    for (i, frame) in at_near.pool.frames().enumerate() {
        assert!(frame.data == large(i as u32).0, "frame {i} changed while it was held");
        received += 1;
    }
    let (mut larges, mut smalls) = (0, 0);
    at_near.receive_until(Duration::from_millis(500), |frame, _| {
        if ethertype(frame) == Some(EXPERIMENTAL) {
            assert_eq!(frame[14..18], u32::to_be_bytes(smalls));
            smalls += 1;
        } else {
            assert!(frame == large(3 + larges).0);
            larges += 1;
        }
        false
    });
    assert_eq!((larges, smalls), (12, 496), "as many as there are slots");
    received += u64::from(larges + smalls);
    let stats = near.stats().unwrap();
    assert_eq!((stats.rx_packets, stats.rx_dropped), (received, sent - received));
    // There is room again.
    at_far.send(&small(&near, 7));
    at_near.expect("one after the flood", |f, _| f[14..18] == [0, 0, 0, 7]);
}

#[test]
fn without_memory_for_a_ring_frames_are_received_by_calls() {
    if !namespace::enter("without_memory_for_a_ring_frames_are_received_by_calls") {
        return;
    }
    veth("veth0", "veth1");
    let (_far, mut at_far) = attach("if=veth0,ring=0");
    assert_eq!(packet_sockets(), 1);
    // Address space for all but 128 MiB of rings.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmSize:")).unwrap();
    let now = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
    // SAFETY: a valid structure, both ways.
    let old = unsafe {
        let mut old: libc::rlimit = core::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &mut old), 0);
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &libc::rlimit { rlim_cur: now + (64 << 20), ..old }), 0);
        old
    };
    let (near, mut at_near) = attach("if=veth1,ring=64");
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &old) }, 0);
    assert_eq!(packet_sockets(), 2, "no socket for a ring");
    let (frame, offload) = merged(&near, 5, 60_000);
    at_far.send_offloaded(&frame, offload);
    assert!(at_near.expect("a merged frame", |f, _| f.len() > 60_000).0 == frame);
}
