//! The libc functions that programs find here instead of libc's, by subject.

pub mod data;
mod descriptors;
mod hostent;
pub mod interfaces;
mod ioctls;
mod leaving;
mod mmsg;
mod names;
mod options;
pub mod sandbox;
pub mod socket;
mod syscall;
mod watch;
