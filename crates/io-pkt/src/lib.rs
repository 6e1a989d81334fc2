//! `io-pkt`: the daemon that owns the links and the protocols of an instance and serves the sockets of
//! its programs. The engine is `stack`; here are the loop that drives it, the control calls, the links
//! that modules bring, and the instance's place in the file system.

pub mod args;
pub mod capture;
pub mod control;
pub mod daemonize;
pub mod instance;
pub mod links;
pub mod logging;
pub mod modules;
pub mod protocols;
pub mod shard;
pub mod start;
pub mod sys;
