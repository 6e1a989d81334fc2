//! Scripted wire tests below TCP: exact frames in, exact frames out, on virtual time. One file a
//! subject; each test names the rule it holds the engine to.

#[path = "wire/harness.rs"]
mod harness;

#[path = "wire/arp.rs"]
mod arp;
#[path = "wire/autoconf.rs"]
mod autoconf;
#[path = "wire/configuration.rs"]
mod configuration;
#[path = "wire/forwarding.rs"]
mod forwarding;
#[path = "wire/fragments.rs"]
mod fragments;
#[path = "wire/icmp.rs"]
mod icmp;
#[path = "wire/multicast.rs"]
mod multicast;
#[path = "wire/ndp.rs"]
mod ndp;
#[path = "wire/raw.rs"]
mod raw;
#[path = "wire/stream_options.rs"]
mod stream_options;
#[path = "wire/tcp6.rs"]
mod tcp6;
#[path = "wire/udp.rs"]
mod udp;
