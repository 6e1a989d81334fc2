//! An interface's medium (linux/ethtool.h), in the words of ifmedia(4).

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkSettings {
    command: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    port: u8,
    phy_address: u8,
    transceiver: u8,
    autonegotiation: u8,
    mdio_support: u8,
    packets: [u32; 2],
    speed_high: u16,
    crossover: [u8; 2],
    peer_advertising: u32,
    reserved: [u32; 2],
}

const ETHTOOL_GSET: u32 = 1;
const DUPLEX_HALF: u8 = 0;
const DUPLEX_FULL: u8 = 1;
const PORT_FIBRE: u8 = 3;

impl LinkSettings {
    pub fn request() -> LinkSettings {
        LinkSettings { command: ETHTOOL_GSET, ..LinkSettings::default() }
    }

    /// In Mbit/s; `None` when it is not known.
    fn speed(&self) -> Option<u32> {
        let speed = u32::from(self.speed_high) << 16 | u32::from(self.speed);
        // SPEED_UNKNOWN is -1, and 0xffff in the low half alone from old drivers.
        (speed != 0 && speed != u32::MAX && speed != 0xffff).then_some(speed)
    }
}

/// See [`Interface::media`](crate::Interface::media).
pub fn text(settings: &LinkSettings) -> Option<String> {
    let speed = settings.speed()?;
    let fibre = settings.port == PORT_FIBRE;
    let subtype = match (speed, fibre) {
        (10, false) => "10baseT".to_owned(),
        (100, false) => "100baseTX".to_owned(),
        (100, true) => "100baseFX".to_owned(),
        (1000, false) => "1000baseT".to_owned(),
        (1000, true) => "1000baseSX".to_owned(),
        (2500, _) => "2500baseT".to_owned(),
        (_, false) if speed.is_multiple_of(1000) => format!("{}GbaseT", speed / 1000),
        (_, true) if speed.is_multiple_of(1000) => format!("{}GbaseSR", speed / 1000),
        _ => format!("{speed}base"),
    };
    let duplex = match settings.duplex {
        DUPLEX_HALF => " half-duplex",
        DUPLEX_FULL => " full-duplex",
        _ => "",
    };
    Some(match settings.autonegotiation {
        0 => format!("Ethernet {subtype}{duplex}"),
        _ => format!("Ethernet autoselect ({subtype}{duplex})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_reads_as_ifconfig_shows_it() {
        let of = |speed: u32, duplex, port, autonegotiation| {
            let (low, high) = ((speed & 0xffff) as u16, (speed >> 16) as u16);
            text(&LinkSettings {
                speed: low,
                speed_high: high,
                duplex,
                port,
                autonegotiation,
                ..LinkSettings::default()
            })
        };
        assert_eq!(of(1000, 1, 0, 1).as_deref(), Some("Ethernet autoselect (1000baseT full-duplex)"));
        assert_eq!(of(10, 0, 0, 0).as_deref(), Some("Ethernet 10baseT half-duplex"));
        assert_eq!(of(10_000, 1, 0, 0).as_deref(), Some("Ethernet 10GbaseT full-duplex"));
        assert_eq!(of(100_000, 1, PORT_FIBRE, 1).as_deref(), Some("Ethernet autoselect (100GbaseSR full-duplex)"));
        assert_eq!((of(u32::MAX, 255, 0, 1), of(0xffff, 255, 0, 1), of(0, 1, 0, 1)), (None, None, None));
    }
}
