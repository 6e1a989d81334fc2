//! Running a test in namespaces of its own.

use std::process::Command;
use std::time::{Duration, Instant};

const MARK: &str = "IOPKT_TEST_NAMESPACE";

/// Whether this process runs in a test's namespaces.
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// True inside. Outside: runs the named test (of this same executable) inside, fails if it fails,
/// and gives back false.
pub fn enter(test: &str) -> bool {
    if inside() {
        return true;
    }
    crate::build::driver_dir();
    let exe = std::env::current_exe().expect("this test has a file");
    let output = Command::new("unshare")
        .arg("-Urnm")
        .arg(exe)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .expect("unshare runs (util-linux)");
    let text = [output.stdout, output.stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
    assert!(output.status.success(), "in its namespaces, {test} failed:\n{text}");
    assert!(text.contains("1 passed"), "there is no test {test}:\n{text}");
    false
}

/// As [`enter`], for tests of TAP: false, with a message, where the host lets nobody open `/dev/net/tun`.
pub fn enter_with_tun(test: &str) -> bool {
    let open = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    match open {
        Ok(_) => enter(test),
        Err(e) => {
            println!("{test}: skipped: /dev/net/tun: {e}");
            false
        }
    }
}

/// Runs `ip ARGS`; the arguments are separated by spaces.
pub fn ip(args: &str) -> String {
    run("ip", args)
}

pub fn run(program: &str, args: &str) -> String {
    assert!(inside(), "never outside a test's own namespaces");
    let output = Command::new(program).args(args.split(' ')).output().expect("the program runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A pair of interfaces, both up, quiet (no IPv6 of their own).
pub fn veth(a: &str, b: &str) {
    ip("link set lo up");
    ip(&format!("link add {a} type veth peer name {b}"));
    for name in [a, b] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").expect("sysctl");
        ip(&format!("link set {name} up"));
    }
    // The kernel activates the queues of an interface a little after its carrier came.
    let end = Instant::now() + Duration::from_secs(5);
    while ![a, b].iter().all(|name| ip(&format!("-o link show {name}")).contains("state UP")) {
        assert!(Instant::now() < end, "{a} and {b} do not come up");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The address of an interface of the kernel's.
pub fn mac_of(interface: &str) -> [u8; 6] {
    let text = ip(&format!("-o link show {interface}"));
    let mac = text.split("link/ether ").nth(1).and_then(|t| t.split(' ').next());
    mac.and_then(abi::options::parse_mac).expect("an Ethernet interface")
}
