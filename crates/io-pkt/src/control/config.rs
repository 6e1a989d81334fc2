//! Configuration and state for the commands: `sockets::config`'s requests, against the engine's
//! configuration and the links.

use errno::Errno;
use sockets::config::{CounterGroup, PAGE_ROWS, Reply, Request, Status, Sysctl};
use stack::net::RouteSpec;
use stack::{Instant, LinkId};

use super::{Answer, Call, tables};
use crate::capture::Capture;
use crate::shard::{End, Shard};

/// A refusal: the number and one sentence that names what was wrong.
type Refusal = (Errno, String);

fn refusal(error: Errno, what: impl core::fmt::Display) -> Refusal {
    (error, format!("{what}: {error}"))
}

/// May everyone ask this?
fn is_question(request: &Request) -> bool {
    matches!(
        request,
        Request::Status
            | Request::Interfaces
            | Request::Routes { .. }
            | Request::LookupRoute { .. }
            | Request::Neighbours { .. }
            | Request::Sockets { .. }
            | Request::Statistics
            | Request::Sysctls
    )
}

impl Shard {
    pub(super) fn config_call(&mut self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        let request: Request = postcard::from_bytes(call.body).map_err(|_| Errno::EPROTO)?;
        let result = if is_question(&request) || self.is_privileged(&call.client) {
            self.configure(call, request)
        } else {
            Err((Errno::EPERM, "only root and the user who runs this instance may change it".to_owned()))
        };
        let reply = result.unwrap_or_else(|(errno, text)| Reply::Error { errno, text });
        let body = postcard::to_allocvec(&reply).map_err(|_| Errno::ENOMEM)?;
        if body.len() + sockets::call::ReplyHeader::LEN > sockets::call::MESSAGE_MAX {
            return Err(Errno::EMSGSIZE);
        }
        Ok(Answer::of(body))
    }

    fn link_named(&self, name: &str) -> Result<LinkId, Refusal> {
        self.stack.net.link_by_name(name).ok_or_else(|| {
            let known: Vec<&str> = self.stack.net.links().map(|l| l.name).collect();
            (Errno::ENXIO, format!("no interface \"{name}\"; interfaces: {}", known.join(", ")))
        })
    }

    fn configure(&mut self, call: &mut Call<'_>, request: Request) -> Result<Reply, Refusal> {
        let now = call.now;
        match request {
            Request::Status => return Ok(Reply::Status(self.status())),
            Request::Interfaces => return Ok(self.interfaces(now)),
            Request::AddAddress { interface, address } => {
                let id = self.link_named(&interface)?;
                let what = format!("{interface}: {}/{}", address.addr, address.prefix_len);
                let broadcast = match address.broadcast {
                    Some(core::net::IpAddr::V4(b)) => Some(b),
                    _ => None,
                };
                let mut added = self.stack.net.add_address(now, id, address.addr, address.prefix_len, broadcast);
                if added == Err(Errno::EEXIST) {
                    // "Adds or changes".
                    self.stack.net.delete_address(now, id, address.addr).map_err(|e| refusal(e, &what))?;
                    added = self.stack.net.add_address(now, id, address.addr, address.prefix_len, broadcast);
                }
                added.map_err(|e| refusal(e, what))?;
            }
            Request::DeleteAddress { interface, addr } => {
                let id = self.link_named(&interface)?;
                self.stack.net.delete_address(now, id, addr).map_err(|e| refusal(e, format!("{interface}: {addr}")))?;
            }
            Request::SetFlags { interface, set, clear } => {
                let id = self.link_named(&interface)?;
                self.stack.net.set_admin_flags(now, id, set, clear).map_err(|e| refusal(e, interface))?;
            }
            Request::SetMtu { interface, mtu } => {
                let id = self.link_named(&interface)?;
                self.set_mtu(now, id, mtu).map_err(|e| refusal(e, format!("{interface}: mtu {mtu}")))?;
            }
            Request::SetLinkAddress { interface, mac } => {
                let id = self.link_named(&interface)?;
                let mac = wire::MacAddr(mac);
                self.set_mac(now, id, mac).map_err(|e| refusal(e, format!("{interface}: {mac}")))?;
            }
            Request::Destroy { interface } => {
                let id = self.link_named(&interface)?;
                self.links.destroy(now, &mut self.stack, id).map_err(|e| refusal(e, &interface))?;
                tracing::info!("{interface}: detached");
            }
            Request::MountDriver { name, options } => {
                let names = self.attach(now, &name, &options)?;
                return Ok(Reply::Attached(names));
            }
            Request::MountProtocol { name, options } => {
                self.links.attach_protocol(now, &mut self.stack, &name, &options)?;
                tracing::info!("{name}: loaded");
            }
            Request::Routes { from } => return Ok(self.routes(from)),
            Request::AddRoute { route, change } => {
                let what = format!("{}/{}", route.destination, route.prefix_len);
                let link = route.interface.as_deref().map(|n| self.link_named(n)).transpose()?;
                let spec = RouteSpec {
                    dst: route.destination,
                    prefix_len: route.prefix_len,
                    gateway: route.gateway,
                    link,
                    flags: route.flags,
                    mtu: route.mtu,
                    source: route.source,
                };
                self.stack.net.add_route(now, spec, change).map_err(|e| refusal(e, what))?;
            }
            Request::DeleteRoute { destination, prefix_len, gateway } => {
                let deleted = self.stack.net.delete_route(now, destination, prefix_len, gateway, None);
                deleted.map_err(|e| refusal(e, format!("{destination}/{prefix_len}")))?;
            }
            Request::FlushRoutes { ipv4, ipv6 } => {
                self.stack.net.flush_routes(now, ipv4, ipv6);
            }
            Request::LookupRoute { destination } => {
                let route = self.stack.net.lookup_route(destination).map(|r| tables::route(&self.stack, r));
                return Ok(Reply::Route(route));
            }
            Request::Neighbours { from } => return Ok(self.neighbours(from)),
            Request::SetNeighbour { interface, addr, mac, permanent } => {
                let id = self.link_named(&interface)?;
                if !permanent {
                    return Err((Errno::EOPNOTSUPP, format!("{addr}: only permanent entries can be set")));
                }
                let set = self.stack.net.set_neighbour(now, id, addr, wire::MacAddr(mac));
                set.map_err(|e| refusal(e, format!("{interface}: {addr}")))?;
            }
            Request::DeleteNeighbour { interface, addr } => {
                let id = if interface.is_empty() { None } else { Some(self.link_named(&interface)?) };
                self.stack.net.delete_neighbour(now, id, addr).map_err(|e| refusal(e, addr))?;
            }
            Request::Sockets { from } => return Ok(self.sockets(from)),
            Request::Statistics => return Ok(self.statistics()),
            Request::Sysctls => return Ok(self.sysctls()),
            Request::SetSysctl { name, value } => self.set_sysctl(&name, &value)?,
            Request::Capture { interface, snaplen } => {
                let id = self.link_named(&interface)?;
                let out =
                    call.fds.pop().ok_or((Errno::EBADF, "a capture needs a descriptor to write to".to_owned()))?;
                let failed = |e: std::io::Error| {
                    refusal(Errno(e.raw_os_error().unwrap_or(libc::EIO)), "the capture's descriptor")
                };
                let capture = Capture::new(out, snaplen).map_err(failed)?;
                self.links.capture(id, capture).map_err(|e| refusal(e, interface))?;
            }
            Request::Stop => self.end = Some(End::Asked),
        }
        Ok(Reply::Done)
    }

    /// Loads a driver, attaches its links, and puts their name servers into the instance's resolv.conf.
    pub(crate) fn attach(&mut self, now: Instant, driver: &str, options: &str) -> Result<Vec<String>, Refusal> {
        let attached = self.links.attach(now, &mut self.stack, driver, options)?;
        if let Err(error) = self.instance.suggest_name_servers(&attached.name_servers) {
            tracing::warn!("resolv.conf: {error}");
        }
        tracing::info!("{driver}: attached {}", attached.names.join(", "));
        Ok(attached.names)
    }

    /// The driver first, since it may refuse; back again when the engine does.
    pub(super) fn set_mtu(&mut self, now: Instant, id: LinkId, mtu: u32) -> Result<(), Errno> {
        let before = self.stack.net.link(id).ok_or(Errno::ENXIO)?.mtu;
        self.links.set_mtu(id, mtu)?;
        self.stack.net.set_mtu(now, id, mtu).inspect_err(|_| {
            let _ = self.links.set_mtu(id, before);
        })
    }

    pub(super) fn set_mac(&mut self, now: Instant, id: LinkId, mac: wire::MacAddr) -> Result<(), Errno> {
        let before = self.stack.net.link(id).ok_or(Errno::ENXIO)?.mac;
        self.links.set_mac(id, mac.0)?;
        self.stack.net.set_mac(now, id, mac).inspect_err(|_| {
            let _ = self.links.set_mac(id, before.0);
        })
    }

    pub(crate) fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let number: i64 = value.parse().map_err(|_| (Errno::EINVAL, format!("{name}={value}: expected a number")))?;
        self.stack.net.set_sysctl(name, number).map_err(|e| match e {
            Errno::ENOENT => (e, format!("no sysctl \"{name}\"")),
            _ => refusal(e, format!("{name}={value}")),
        })
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            prefix: self.instance.prefix().to_owned(),
            variant: self.variant.name().to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            interfaces: self.stack.net.links().count() as u32,
            sockets: self.table.held() as u32,
            threads: 1,
        }
    }

    fn interfaces(&mut self, now: Instant) -> Reply {
        let links = &mut self.links;
        Reply::Interfaces(self.stack.net.links().map(|l| tables::interface(now, &l, links.counters(l.id))).collect())
    }

    fn routes(&self, from: u32) -> Reply {
        let mut all = self.stack.net.routes().skip(from as usize);
        let rows: Vec<_> = all.by_ref().take(PAGE_ROWS).map(|r| tables::route(&self.stack, r)).collect();
        let next = all.next().map(|_| from + rows.len() as u32);
        Reply::Routes { rows, next }
    }

    fn neighbours(&self, from: u32) -> Reply {
        let mut all = self.stack.net.neighbours().skip(from as usize);
        let rows: Vec<_> = all.by_ref().take(PAGE_ROWS).map(|n| tables::neighbour(&self.stack, &n)).collect();
        let next = all.next().map(|_| from + rows.len() as u32);
        Reply::Neighbours { rows, next }
    }

    fn sockets(&mut self, from: u32) -> Reply {
        self.count_all_unclaimed();
        let mut at = 0;
        let mut rows = Vec::new();
        self.stack.for_each_socket(&mut |view| {
            if at >= from && rows.len() < PAGE_ROWS {
                let holder = view.id.and_then(|id| self.table.by_id(id)).and_then(|slot| self.table.get(slot));
                let (pid, uid) = holder.map_or((0, 0), |s| (s.owner.pid, s.owner.uid));
                rows.push(tables::socket(&view, pid, uid, holder.map_or("", |s| s.mode())));
            }
            at += 1;
        });
        let end = from + rows.len() as u32;
        Reply::Sockets { rows, next: (end < at).then_some(end) }
    }

    fn statistics(&mut self) -> Reply {
        let mut groups: Vec<CounterGroup> = Vec::new();
        let mut add = |protocol: &str, sentence: &str, value: u64| {
            if value == 0 {
                return;
            }
            let counter = (sentence.to_owned(), value);
            match groups.iter_mut().find(|g| g.protocol == protocol) {
                Some(group) => group.counters.push(counter),
                None => groups.push(CounterGroup { protocol: protocol.to_owned(), counters: vec![counter] }),
            }
        };
        self.stack.counters(&mut |protocol, sentence, value| add(protocol, sentence, value));
        self.counters.each(|sentence, value| add("io-pkt", sentence, value));
        let msg::Counters { clients_refused, clients_cut_off, messages_refused } = self.control.counters();
        add("io-pkt", "clients turned away", clients_refused);
        add("io-pkt", "clients cut off for not reading replies", clients_cut_off);
        add("io-pkt", "control messages too long", messages_refused);
        Reply::Statistics(groups)
    }

    fn sysctls(&self) -> Reply {
        let mut all = Vec::new();
        self.stack.net.for_each_sysctl(&mut |info, value| {
            all.push(Sysctl {
                name: info.name.to_owned(),
                value: value.to_string(),
                writable: true,
                help: info.about.to_owned(),
            });
        });
        Reply::Sysctls(all)
    }
}
