//! `getifaddrs(3)` of the instance.

use errno::Errno;
use sockets::config::{IfAddr, iff};

use super::{Answer, tables};
use crate::shard::Shard;

/// `IFF_MULTICAST` and `IFF_LOWER_UP` of `<linux/if.h>`.
const LINUX_MULTICAST: u32 = 0x1000;
const LINUX_LOWER_UP: u32 = 0x1_0000;

/// BSD's interface flags as Linux numbers them: the low ones agree.
pub(super) fn linux_flags(flags: u32, link_up: bool) -> u32 {
    let same = iff::UP
        | iff::BROADCAST
        | iff::DEBUG
        | iff::LOOPBACK
        | iff::POINTOPOINT
        | iff::RUNNING
        | iff::NOARP
        | iff::PROMISC
        | iff::ALLMULTI;
    let mut linux = flags & same;
    // <linux/if.h>: IFF_ALLMULTI is 0x200, as in BSD.
    if flags & iff::MULTICAST != 0 {
        linux |= LINUX_MULTICAST;
    }
    if link_up {
        linux |= LINUX_LOWER_UP;
    }
    linux
}

impl Shard {
    /// One record for each link without an address (its link-layer one), then one for each address.
    pub(super) fn interface_addrs_call(&mut self) -> Result<Answer, Errno> {
        let now = self.now();
        let mut records: Vec<IfAddr> = Vec::new();
        for link in self.stack.net.links() {
            let record = IfAddr {
                index: link.id.0,
                name: link.name.to_owned(),
                flags: linux_flags(link.flags, link.link_up),
                mtu: link.mtu,
                mac: Some(link.mac.0),
                addr: None,
            };
            records.push(record.clone());
            for address in link.addresses {
                records.push(IfAddr { addr: Some(tables::address(now, address)), ..record.clone() });
            }
        }
        let body = postcard::to_allocvec(&records).map_err(|_| Errno::ENOMEM)?;
        if body.len() + sockets::call::ReplyHeader::LEN > sockets::call::MESSAGE_MAX {
            return Err(Errno::EMSGSIZE);
        }
        Ok(Answer::of(body))
    }
}
