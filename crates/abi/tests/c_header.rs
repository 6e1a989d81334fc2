//! The C header and its Rust copy say the same: a C program made from the list below prints every size
//! and offset, and every constant, as the C compiler sees them.

use std::fmt::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use abi::raw::*;

/// One structure's lines: "name size" and "name.field offset". `c = rust` where the names differ.
macro_rules! layouts {
    ($($structure:ident { $($c:ident $(= $rust:ident)?),* $(,)? })*) => {{
        let mut c = String::new();
        let mut rust = String::new();
        $(
            let name = stringify!($structure);
            writeln!(c, "S({name})").unwrap();
            writeln!(rust, "{name} {}", size_of::<$structure>()).unwrap();
            $(
                let field = stringify!($c);
                writeln!(c, "F({name}, {field})").unwrap();
                writeln!(rust, "{name}.{field} {}", layouts!(@offset $structure $c $($rust)?)).unwrap();
            )*
        )*
        (c, rust)
    }};
    (@offset $structure:ident $c:ident) => { offset_of!($structure, $c) };
    (@offset $structure:ident $c:ident $rust:ident) => { offset_of!($structure, $rust) };
}

macro_rules! constants {
    ($($c:ident = $rust:ident),* $(,)?) => {{
        let mut c = String::new();
        let mut rust = String::new();
        $(
            writeln!(c, "C({})", stringify!($c)).unwrap();
            writeln!(rust, "{} {}", stringify!($c), u64::try_from($rust).unwrap()).unwrap();
        )*
        (c, rust)
    }};
}

#[test]
fn sizes_offsets_and_constants_agree() {
    let layouts = layouts! {
        iopkt_option { name, help, type = kind, reserved }
        iopkt_offload { flags, gso_type, hdr_len, gso_size, csum_start, csum_offset }
        iopkt_pool { size, memfd, base, length, stride, headroom, own_first, own_count }
        iopkt_memory { size, reserved, base, length }
        iopkt_rx { data, pool_offset, room, len, offload, reserved }
        iopkt_tx { iov, iov_count, len, offload, reserved }
        iopkt_suggested_config {
            size, valid, ipv4, ipv4_gateway, ipv4_dns, ipv4_prefix_len, ipv6_prefix_len, reserved, ipv6,
            ipv6_gateway, ipv6_dns,
        }
        iopkt_link_info {
            size, unit, base, description, media, mac, reserved, mtu, mtu_max, caps, queues, up, own_frames, config,
        }
        iopkt_link_stats {
            size, reserved, valid, tx_packets, tx_bytes, rx_packets, rx_bytes, tx_multicast, tx_broadcast,
            rx_multicast, rx_broadcast, tx_failed_allocs, rx_failed_allocs, rx_dropped, tx_dropped, align_errors,
            single_collisions, multi_collisions, fcs_errors, tx_deferred, late_collisions, xcoll_aborted,
            internal_tx_errors, no_carrier, internal_rx_errors, excessive_deferrals, length_field_mismatch,
            length_field_outrange, oversized_packets, sqe_errors, symbol_errors, jabber_detected, short_packets,
            total_collision_frames, dribble_bits,
        }
        iopkt_link_ops {
            size, reserved, fd, rx, tx, tx_fd, set_flags, multicast, set_mac, set_mtu, stats, pool, detach, memory,
            rx_done,
        }
        iopkt_host { abi_version, size, log, fail, option, option_u32, link_new, link_state }
        iopkt_driver { abi_version, size, name, description, options, attach }
        iopkt_link_desc { index, mtu, up, mac, reserved, name }
        iopkt_stack {
            abi_version, size, log, fail, option, option_u32, register_ethertype, register_ipproto, transmit, links,
            timer,
        }
        iopkt_protocol { abi_version, size, name, description, options, attach, detach }
    };
    let constants = constants! {
        IOPKT_ABI_VERSION = ABI_VERSION, IOPKT_OPT_BOOL = OPT_BOOL, IOPKT_OPT_U32 = OPT_U32,
        IOPKT_OPT_STRING = OPT_STRING, IOPKT_OPT_MAC = OPT_MAC, IOPKT_CSUM_PARTIAL = CSUM_PARTIAL,
        IOPKT_CSUM_GOOD = CSUM_GOOD, IOPKT_GSO_NONE = GSO_NONE, IOPKT_GSO_TCPV4 = GSO_TCPV4,
        IOPKT_GSO_TCPV6 = GSO_TCPV6, IOPKT_GSO_UDP = GSO_UDP, IOPKT_GSO_ECN = GSO_ECN,
        IOPKT_CAP_TX_CSUM = CAP_TX_CSUM, IOPKT_CAP_RX_CSUM = CAP_RX_CSUM, IOPKT_CAP_TSO4 = CAP_TSO4,
        IOPKT_CAP_TSO6 = CAP_TSO6, IOPKT_CAP_USO = CAP_USO, IOPKT_CAP_RX_GSO = CAP_RX_GSO,
        IOPKT_CONFIG_IPV4 = CONFIG_IPV4, IOPKT_CONFIG_IPV6 = CONFIG_IPV6, IOPKT_UNIT_ANY = UNIT_ANY,
        IOPKT_QUEUES_MAX = QUEUES_MAX, IOPKT_LINK_UP = LINK_UP, IOPKT_LINK_PROMISC = LINK_PROMISC,
        IOPKT_LINK_ALLMULTI = LINK_ALLMULTI, IOPKT_LOG_ERROR = LOG_ERROR, IOPKT_LOG_WARN = LOG_WARN,
        IOPKT_LOG_INFO = LOG_INFO, IOPKT_LOG_DEBUG = LOG_DEBUG, IOPKT_LINK_NAME_MAX = LINK_NAME_MAX,
    };
    let expected = format!("{}{}", layouts.1, constants.1);
    let seen_by_c = run_c(&format!("{}{}", layouts.0, constants.0));
    for (c, rust) in seen_by_c.lines().zip(expected.lines()) {
        assert_eq!(c, rust, "the header (left) and raw.rs (right) differ");
    }
    assert_eq!(seen_by_c.lines().count(), expected.lines().count());
    // The offload header goes to the kernel as it is.
    assert_eq!(size_of::<iopkt_offload>(), 10, "struct virtio_net_hdr");
}

/// Every field of the header is in the list above: what no list names would pass unseen.
#[test]
fn the_list_names_every_field_of_the_header() {
    let header = include_str!("../include/iopkt/module.h");
    let code: String = header.split("*/").filter_map(|part| part.split("/*").next()).collect();
    let list = include_str!("c_header.rs");
    let mut structure = None;
    for line in code.lines() {
        if let Some(name) = line.strip_prefix("struct ").and_then(|l| l.strip_suffix(" {")) {
            structure = Some(name);
        } else if line.starts_with('}') {
            structure = None;
        } else if let Some(structure) = structure {
            let Some(field) = field_of(line) else { continue };
            let at = list.find(&format!("        {structure} {{")).expect("the structure is listed");
            let fields = list[at..].split('}').next().unwrap_or_default();
            assert!(fields.split([' ', ',', '{', '\n']).any(|f| f == field), "{structure}.{field} is not listed");
        }
    }
}

/// The name that a line of a structure declares: "int (*fd)(…", "uint32_t size;", "uint8_t mac[6];".
fn field_of(line: &str) -> Option<&str> {
    let code = line.trim();
    if let Some(pointer) = code.split("(*").nth(1) {
        return pointer.split(')').next();
    }
    let declared = code.split(';').next().filter(|_| code.contains(';'))?;
    let name = declared.split('[').next()?.rsplit([' ', '*']).next()?;
    (!declared.contains(')')).then_some(name)
}

fn run_c(lines: &str) -> String {
    let source = format!(
        "#include <iopkt/module.h>\n#include <stddef.h>\n#include <stdio.h>\n\
         #define S(s) printf(#s \" %zu\\n\", sizeof(struct s));\n\
         #define F(s, f) printf(#s \".\" #f \" %zu\\n\", offsetof(struct s, f));\n\
         #define C(c) printf(#c \" %llu\\n\", (unsigned long long)(c));\n\
         int main(void) {{\n{lines}return 0;\n}}\n"
    );
    let dir = std::env::temp_dir().join(format!("iopkt-header-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (file, program) = (dir.join("layout.c"), dir.join("layout"));
    std::fs::write(&file, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror"]);
    let status = cc.arg("-I").arg(include).arg("-o").arg(&program).arg(&file).status().expect("cc runs");
    assert!(status.success(), "the header does not compile");
    let output = Command::new(&program).output().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    String::from_utf8(output.stdout).unwrap()
}
