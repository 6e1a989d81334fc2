//! A stub resolver (RFC 1034 §5.3.1) without input or output: [`hosts`](hosts::Hosts) and
//! [`resolv.conf`](conf::Conf) are parsed from text, DNS messages (RFC 1035 §4) are built and read, and a
//! [`Lookup`] says what to send where and until when to wait.
//!
//! Nothing a server sends can make it loop, allocate without bound, or accept an answer to a question
//! that was not asked.

#![forbid(unsafe_code)]

pub mod conf;
pub mod hosts;
pub mod lookup;
pub mod message;
pub mod order;

pub use conf::Conf;
pub use hosts::Hosts;
pub use lookup::{Action, Answer, Failure, Lookup};
pub use message::{Name, RecordType};
