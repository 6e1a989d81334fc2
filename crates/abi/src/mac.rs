//! Ethernet addresses for links that have none of their own.

/// A locally administered individual address, the same for the same seed.
pub fn derived(seed: &[u8]) -> [u8; 6] {
    // FNV-1a, 64 bits: names and addresses differ in few bytes, and nobody gains by a collision.
    let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    let [_, _, mac @ ..] = (hash ^ (hash >> 32)).to_be_bytes();
    local(mac)
}

/// A locally administered individual address from the kernel's random numbers.
pub fn random() -> [u8; 6] {
    let mut mac = [0; 6];
    // SAFETY: writes up to six bytes; should it fail, the address is merely a constant one.
    unsafe { libc::getrandom(mac.as_mut_ptr().cast(), mac.len(), 0) };
    local(mac)
}

fn local(mut mac: [u8; 6]) -> [u8; 6] {
    mac[0] = mac[0] & !0x01 | 0x02;
    mac
}

/// "02:00:0a:0b:0c:0d"
pub fn text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    #[test]
    fn derived_addresses_are_local_stable_and_differ() {
        let [a, b] = ["tap0", "tap1"].map(|n| super::derived(n.as_bytes()));
        assert_ne!(a, b);
        assert_eq!(a, super::derived(b"tap0"));
        for mac in [a, b, super::random()] {
            assert_eq!(mac[0] & 3, 2);
        }
    }
}
