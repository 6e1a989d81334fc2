//! End to end: real programs on one side, the Linux kernel's stack on the other.

mod clients;
mod commands;
mod conversations;
mod daemon;
mod descriptors;
mod examples;
mod hostile;
mod idle;
mod installation;
mod modes;
mod nginx;
mod options;
mod rootless;
mod servers;
mod sockets;
