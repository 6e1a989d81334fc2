//! What the tests of modules share: namespaces of their own, drivers freshly built, frames by hand.
//!
//! A test that needs interfaces begins with `if !namespace::enter("its_name") { return; }`: it is then run
//! again, alone, in new user, network and mount namespaces (`unshare -Urnm`), where it may do as it likes.

pub mod build;
pub mod frames;
pub mod namespace;
pub mod peer;
