//! End to end: real programs on one side, the Linux kernel's stack on the other.

mod clients;
mod daemon;
mod descriptors;
mod examples;
mod hostile;
mod idle;
mod options;
mod sockets;
