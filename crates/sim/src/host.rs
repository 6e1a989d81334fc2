//! A host of the simulation: an engine with one Ethernet link.

use std::net::IpAddr;

use stack::net::LinkSetup;
use stack::options::RecvMeta;
use stack::{Config, Instant, LinkId, Offloads, RxCsum, RxFrame, Sink, SocketId, Stack, TxBatch};

/// Datagrams that arrived, in order.
#[derive(Default)]
pub struct Inbox(pub Vec<(SocketId, RecvMeta, Vec<u8>)>);

impl Sink for Inbox {
    fn datagram(&mut self, socket: SocketId, meta: &RecvMeta, payload: &[u8]) -> bool {
        self.0.push((socket, *meta, payload.to_vec()));
        true
    }

    fn datagram_error(&mut self, _socket: SocketId) {}
}

pub struct Host {
    pub stack: Stack,
    pub link: LinkId,
    pub inbox: Inbox,
    batch: TxBatch,
}

impl Host {
    /// A host with these addresses (address, prefix length) on a link of `mtu` bytes.
    pub fn new(seed: u64, number: u8, mtu: u32, addresses: &[(IpAddr, u8)]) -> Host {
        let mut stack = Stack::new(Config::high_capacity(seed));
        let link = stack
            .net
            .add_link(
                Instant::ZERO,
                LinkSetup {
                    name: "en0".into(),
                    mac: wire::MacAddr([2, 0, 0, 0, 0, number]),
                    mtu,
                    offloads: Offloads::default(),
                    driver: "sim".into(),
                    media: String::new(),
                    link_up: true,
                },
            )
            .expect("a fresh engine has no en0");
        stack.net.set_admin_flags(Instant::ZERO, link, 1, 0).expect("the link exists");
        for &(addr, len) in addresses {
            stack.net.add_address(Instant::ZERO, link, addr, len, None).expect("the address is new");
        }
        Host { stack, link, inbox: Inbox::default(), batch: TxBatch::default() }
    }

    pub fn receive(&mut self, now: Instant, frame: &[u8]) {
        let frame = RxFrame { data: frame, csum: RxCsum::Unknown, gso_size: None };
        self.stack.handle_frames(now, self.link, &[frame], &mut self.inbox);
    }

    /// Runs timers and transports; gives back the frames that go out.
    pub fn run(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.stack.next_deadline() <= now {
            self.stack.handle_timeout(now, &mut self.inbox);
        }
        self.stack.flush(now, &mut self.inbox);
        self.batch.clear();
        self.stack.take_transmit(&mut self.batch);
        self.batch.frames.iter().map(|f| self.batch.to_vec(f)).collect()
    }
}
