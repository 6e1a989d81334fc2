//! The one client of the daemon that all commands share: finds an instance, asks it, and turns
//! what goes wrong into a sentence for the user.

use std::cell::RefCell;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use msg::Connection;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use sockets::Errno;
use sockets::call::{MESSAGE_MAX, Op, ReplyHeader, RequestHeader};
use sockets::config::{Interface, Reply, Request, Route, SocketRow, Status};
use sockets::paths;

/// Longest wait for an answer; attaching a driver is the slowest thing asked for.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Most pages of one table that are asked for: a daemon that never ends a table ends here.
const PAGES_MAX: usize = 100_000;

/// Why an instance could not be asked, or what it answered.
#[derive(Debug)]
pub enum ClientError {
    /// Not a prefix at all.
    BadPrefix { prefix: String, errno: Errno },
    /// Nobody serves this prefix; `stale` when a dead instance left its folder.
    NoInstance { prefix: String, stale: bool },
    /// The control socket is another user's.
    Denied { prefix: String },
    /// It went away, or kept silent for too long.
    Lost { prefix: String, errno: Errno },
    /// It answered what this version does not understand.
    Garbled { prefix: String },
    /// It said no, and why.
    Refused { errno: Errno, text: String },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::BadPrefix { prefix, errno: Errno::ENAMETOOLONG } => write!(f, "{prefix}: prefix too long"),
            ClientError::BadPrefix { prefix, .. } => {
                write!(f, "{prefix}: not a prefix (an absolute path such as {})", paths::DEFAULT_PREFIX)
            }
            ClientError::NoInstance { prefix, stale } => {
                let dead = if *stale { "live " } else { "" };
                let option = match prefix == paths::DEFAULT_PREFIX {
                    true => String::new(),
                    false => format!(" -p {prefix}"),
                };
                write!(f, "no {dead}instance at {prefix} (start one with: io-pkt-v6-hc{option} -d DRIVER)")
            }
            ClientError::Denied { prefix } => write!(f, "{prefix}: the instance belongs to another user"),
            ClientError::Lost { prefix, errno: Errno::EAGAIN } => write!(f, "{prefix}: the instance does not answer"),
            ClientError::Lost { prefix, .. } => write!(f, "{prefix}: the instance has ended"),
            ClientError::Garbled { prefix } => {
                write!(f, "{prefix}: the instance speaks another version (restart it: iopkt stop -p {prefix})")
            }
            ClientError::Refused { text, .. } => f.write_str(text),
        }
    }
}

/// A control connection to a live instance.
#[derive(Debug)]
pub struct Instance {
    prefix: String,
    dir: PathBuf,
    /// The connection, and room for one reply.
    ctl: RefCell<(Connection, Vec<u8>)>,
}

impl Instance {
    /// The instance that a command means: by its `-p`, else by `$SOCK`, else the first one.
    pub fn open(option: Option<&str>) -> Result<Instance, ClientError> {
        Instance::find(&paths::prefix(option, env))
    }

    /// The instance with this prefix. A name that stands before `/dev/socket` (`SOCK=/alt`, as
    /// with `prefix=/alt` of the original) is understood too.
    pub fn find(prefix: &str) -> Result<Instance, ClientError> {
        let longer = format!("{}{}", prefix.trim_end_matches('/'), paths::DEFAULT_PREFIX);
        let mut first_error = None;
        for prefix in [prefix, &longer] {
            for run_dir in run_dirs() {
                let dir = match paths::instance_dir(&run_dir, prefix) {
                    Ok(dir) => dir,
                    Err(errno) => {
                        first_error.get_or_insert(ClientError::BadPrefix { prefix: prefix.into(), errno });
                        continue;
                    }
                };
                match Instance::at(prefix, dir) {
                    Ok(instance) => return Ok(instance),
                    Err(e @ (ClientError::NoInstance { stale: false, .. } | ClientError::BadPrefix { .. })) => {
                        first_error.get_or_insert(e);
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        Err(first_error.expect("the loop ran at least once and did not return"))
    }

    /// The instance whose folder this is.
    pub fn at(prefix: &str, dir: PathBuf) -> Result<Instance, ClientError> {
        let ctl = Connection::open(&dir.join(paths::CTL)).map_err(|errno| match errno {
            Errno::EACCES | Errno::EPERM => ClientError::Denied { prefix: prefix.into() },
            // 20 is ENOTDIR.
            Errno::ENOENT | Errno(20) => ClientError::NoInstance { prefix: prefix.into(), stale: false },
            Errno::ECONNREFUSED => ClientError::NoInstance { prefix: prefix.into(), stale: true },
            errno => ClientError::Lost { prefix: prefix.into(), errno },
        })?;
        let instance = Instance { prefix: prefix.into(), dir, ctl: RefCell::new((ctl, vec![0; MESSAGE_MAX])) };
        instance.set_patience(ANSWER_WAIT)?;
        Ok(instance)
    }

    /// From now on an answer is awaited for this long.
    pub fn set_patience(&self, wait: Duration) -> Result<(), ClientError> {
        let ctl = self.ctl.borrow();
        [Timeout::Recv, Timeout::Send]
            .into_iter()
            .try_for_each(|which| set_socket_timeout(&ctl.0, which, Some(wait)))
            .map_err(|e| self.lost(Errno(e.raw_os_error())))
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the instance keeps its control socket, its log, its `resolv.conf` and `hosts`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn request(&self, request: &Request) -> Result<Reply, ClientError> {
        self.request_with(request, &[])
    }

    /// A request that descriptors go along with.
    pub fn request_with(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Reply, ClientError> {
        let body = postcard::to_allocvec(request)
            .map_err(|_| ClientError::Refused { errno: Errno::EMSGSIZE, text: "the request is too long".into() })?;
        let (body, _) = self.call(Op::Config, 0, &body, fds)?;
        match postcard::from_bytes(&body) {
            Ok(Reply::Error { errno, text }) => Err(ClientError::Refused { errno, text }),
            Ok(reply) => Ok(reply),
            Err(_) => Err(self.garbled()),
        }
    }

    /// One control call: the body of the reply, and the descriptor that came with it.
    pub fn call(
        &self,
        op: Op,
        handle: u64,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Vec<u8>, Option<OwnedFd>), ClientError> {
        let mut message = RequestHeader { op, len: body.len() as u32, handle }.to_bytes().to_vec();
        message.extend_from_slice(body);
        if message.len() > MESSAGE_MAX {
            return Err(ClientError::Refused { errno: Errno::EMSGSIZE, text: "the request is too long".into() });
        }
        let (connection, room) = &mut *self.ctl.borrow_mut();
        let (len, fds) = connection.send(&message, fds, room).map_err(|errno| self.lost(errno))?;
        let (header, body) = ReplyHeader::parse(&room[..len]).map_err(|_| self.garbled())?;
        match header.errno {
            0 => Ok((body.to_vec(), fds.into_iter().next())),
            errno => {
                let errno = Errno(errno);
                Err(ClientError::Refused { errno, text: errno.message().into() })
            }
        }
    }

    fn lost(&self, errno: Errno) -> ClientError {
        ClientError::Lost { prefix: self.prefix.clone(), errno }
    }

    /// For a caller that got an answer of another kind than it asked for.
    pub fn garbled(&self) -> ClientError {
        ClientError::Garbled { prefix: self.prefix.clone() }
    }

    /// A request whose only good answer is [`Reply::Done`].
    pub fn command(&self, request: &Request) -> Result<(), ClientError> {
        match self.request(request)? {
            Reply::Done => Ok(()),
            _ => Err(self.garbled()),
        }
    }

    pub fn status(&self) -> Result<Status, ClientError> {
        match self.request(&Request::Status)? {
            Reply::Status(status) => Ok(status),
            _ => Err(self.garbled()),
        }
    }

    pub fn interfaces(&self) -> Result<Vec<Interface>, ClientError> {
        match self.request(&Request::Interfaces)? {
            Reply::Interfaces(all) => Ok(all),
            _ => Err(self.garbled()),
        }
    }

    pub fn routes(&self) -> Result<Vec<Route>, ClientError> {
        self.pages(
            |from| Request::Routes { from },
            |reply| match reply {
                Reply::Routes { rows, next } => Some((rows, next)),
                _ => None,
            },
        )
    }

    pub fn sockets(&self) -> Result<Vec<SocketRow>, ClientError> {
        self.pages(
            |from| Request::Sockets { from },
            |reply| match reply {
                Reply::Sockets { rows, next } => Some((rows, next)),
                _ => None,
            },
        )
    }

    fn pages<T>(
        &self,
        ask: impl Fn(u32) -> Request,
        rows_of: impl Fn(Reply) -> Option<(Vec<T>, Option<u32>)>,
    ) -> Result<Vec<T>, ClientError> {
        let mut all = Vec::new();
        let mut from = 0;
        for _ in 0..PAGES_MAX {
            let (mut rows, next) = rows_of(self.request(&ask(from))?).ok_or_else(|| self.garbled())?;
            all.append(&mut rows);
            match next {
                Some(next) if next > from => from = next,
                _ => return Ok(all),
            }
        }
        Err(self.garbled())
    }
}

/// Where instances may be: the user's own run-time directory, and root's when he set none.
pub fn run_dirs() -> Vec<PathBuf> {
    let mut dirs = vec![own_run_dir()];
    let system = paths::run_dir(|_| None, 0);
    if env("IOPKT_RUN").is_none_or(|v| v.is_empty()) && !dirs.contains(&system) {
        dirs.push(system);
    }
    dirs
}

/// Where this user's instances are made.
pub fn own_run_dir() -> PathBuf {
    paths::run_dir(env, rustix::process::geteuid().as_raw())
}

pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_say_what_to_do() {
        let none = ClientError::NoInstance { prefix: "/dev/socket".into(), stale: false };
        assert_eq!(none.to_string(), "no instance at /dev/socket (start one with: io-pkt-v6-hc -d DRIVER)");
        let stale = ClientError::NoInstance { prefix: "/dev/io-net2".into(), stale: true };
        assert_eq!(
            stale.to_string(),
            "no live instance at /dev/io-net2 (start one with: io-pkt-v6-hc -p /dev/io-net2 -d DRIVER)"
        );
        let bad = ClientError::BadPrefix { prefix: "x".into(), errno: Errno::EINVAL };
        assert_eq!(bad.to_string(), "x: not a prefix (an absolute path such as /dev/socket)");
    }

    #[test]
    fn a_folder_without_a_listener_is_no_instance() {
        let dir = std::env::temp_dir().join(format!("iopkt-client-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let none = Instance::at("/x", dir.clone());
        assert!(matches!(none, Err(ClientError::NoInstance { stale: false, .. })), "{none:?}");
        drop(std::os::unix::net::UnixListener::bind(dir.join("ctl")).expect("a socket"));
        let stale = Instance::at("/x", dir.clone());
        std::fs::remove_dir_all(&dir).expect("the folder is ours");
        assert!(stale.is_err());
    }
}
