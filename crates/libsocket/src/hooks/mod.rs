//! The libc functions that programs find here instead of libc's, by subject.

pub mod data;
mod descriptors;
pub mod interfaces;
mod ioctls;
mod mmsg;
mod options;
mod names;
mod hostent;
pub mod socket;
mod syscall;
