//! The messages between programs and the daemon: any bytes may come over the control socket, from a datagram pair, or
//! as a `struct sockaddr` of a program.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockets::addr::{SOCKADDR_IN6_LEN, WireAddr};
use sockets::call::{AcceptMessage, Reader, ReplyHeader, RequestHeader, SocketInfo, Writer};
use sockets::config::{IfAddr, Reply, Request};
use sockets::datagram::Header;

pub fn call(data: &[u8]) {
    if let Ok((header, body)) = RequestHeader::parse(data) {
        assert_eq!((header.len as usize, RequestHeader::LEN + body.len()), (body.len(), data.len()));
        assert_eq!(header.to_bytes(), data[..RequestHeader::LEN]);
    }
    if let Ok((header, body)) = ReplyHeader::parse(data) {
        assert_eq!(ReplyHeader::LEN + body.len(), data.len());
        assert_eq!(header.to_bytes(), data[..ReplyHeader::LEN]);
    }
    if let Ok(info) = SocketInfo::parse(data) {
        assert_eq!(info.to_bytes(), data[..SocketInfo::LEN]);
    }
    if let Ok(message) = AcceptMessage::parse(data) {
        assert_eq!(message.to_bytes(), data[..AcceptMessage::LEN]);
    }
    if let Ok((header, payload)) = Header::parse(data) {
        assert_eq!(Header::LEN + payload.len(), data.len());
        assert_eq!(header.to_bytes(), data[..Header::LEN]);
        let _ = (header.addr.socket_addr(), header.local.mapped());
    }
    sockaddr(data);
    fields(data);
}

fn sockaddr(data: &[u8]) {
    let Ok(addr) = WireAddr::from_sockaddr(data) else { return };
    let mut raw = [0; SOCKADDR_IN6_LEN];
    let len = addr.to_sockaddr(&mut raw);
    assert!(len <= SOCKADDR_IN6_LEN);
    assert_eq!(WireAddr::from_sockaddr(&raw[..len]), Ok(addr));
    assert_eq!(WireAddr::from_bytes(&addr.to_bytes()), addr);
    match addr.socket_addr() {
        Some(socket_addr) => {
            assert_eq!(WireAddr::from(socket_addr), addr);
            assert!(addr.mapped().ip_addr().is_some_and(|ip| ip.is_ipv6()));
        }
        None => assert_eq!(addr.family, sockets::addr::AF_UNSPEC),
    }
}

/// Takes fields in the order that the bytes themselves say, and puts them back.
fn fields(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut copy = vec![0; data.len()];
    let mut writer = Writer::new(&mut copy);
    for kind in data {
        let before = reader.rest();
        let taken = match kind % 5 {
            0 => reader.u16().map(|_| 2),
            1 => reader.u32().map(|_| 4),
            2 => reader.i32().map(|_| 4),
            3 => reader.u64().map(|_| 8),
            _ => reader.take(usize::from(kind >> 3)).map(<[u8]>::len),
        };
        match taken {
            Ok(n) => writer.put(&before[..n]).expect("as much room as there was to read"),
            Err(_) => assert_eq!(reader.rest(), before, "a field that is not there takes nothing"),
        }
    }
    let done = writer.len();
    assert_eq!(done + reader.rest().len(), data.len());
    assert_eq!(copy[..done], data[..done]);
}

pub fn config(data: &[u8]) {
    round_trip::<Request>(data);
    round_trip::<Reply>(data);
    round_trip::<Vec<IfAddr>>(data);
}

fn round_trip<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(value) = postcard::from_bytes::<T>(data) else { return };
    let bytes = postcard::to_allocvec(&value).expect("what was read can be written");
    assert!(bytes.len() <= data.len(), "the shortest form is not longer");
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(&value));
}
