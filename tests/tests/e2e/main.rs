//! End to end: real programs on one side, the Linux kernel's stack on the other.

mod clients;
mod descriptors;
mod examples;
mod options;
mod sockets;
