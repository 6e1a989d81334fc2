//! Links that come and go: nothing is left of them but the module's code.

use module_tests::build::modules;
use module_tests::frames::Port;
use module_tests::namespace::{self, veth};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_hundred_links_leave_no_descriptor_and_no_thread() {
    if !namespace::enter("a_hundred_links_leave_no_descriptor_and_no_thread") {
        return;
    }
    veth("veth0", "veth1");
    let dir = std::env::temp_dir().join(format!("iopkt-lifecycle-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let mut loader = modules();
    let socket = format!("local={0}/a,remote={0}/b", dir.display());
    let mut drivers = vec![
        ("packet", "if=veth0,queues=2"),
        ("socket", socket.as_str()),
        ("user", "hostfwd=udp::5353-:53"),
        // And attachments that fail half-way.
        ("packet", "if=veth0,mtu=9000"),
        ("user", "hostfwd=tcp::5353-:53,hostfwd=tcp::5353-:53"),
    ];
    if std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok() {
        drivers.push(("tap", "if=tap0,queues=2"));
    }
    let mut round = || {
        for (driver, options) in &drivers {
            let Ok(mut devices) = loader.attach_driver(driver, options) else { continue };
            assert_eq!(devices[0].name(), "en0");
            let mut port = Port::new(&mut devices[0]);
            port.queue.rx(&mut port.pool).unwrap();
        }
    };
    round();
    let before = (descriptors(), threads());
    for _ in 0..20 {
        round();
    }
    assert_eq!((descriptors(), threads()), before);
    std::fs::remove_dir_all(dir).unwrap();
}
