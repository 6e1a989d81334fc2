//! Scripted wire tests of TCP: exact segments in, exact segments out, on virtual time. One file a
//! subject; each test names the rule it holds the engine to.

#[path = "tcp/harness.rs"]
mod harness;

#[path = "tcp/closing.rs"]
mod closing;
#[path = "tcp/data.rs"]
mod data;
#[path = "tcp/loss.rs"]
mod loss;
#[path = "tcp/opening.rs"]
mod opening;
#[path = "tcp/options.rs"]
mod options;
#[path = "tcp/resets.rs"]
mod resets;
#[path = "tcp/windows.rs"]
mod windows;
