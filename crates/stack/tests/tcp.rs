//! Scripted wire tests of TCP: exact segments in, exact segments out, on virtual time. One file a
//! subject; each test names the rule it holds the engine to.

#[path = "tcp/harness.rs"]
mod harness;

#[path = "tcp/bookkeeping.rs"]
mod bookkeeping;
#[path = "tcp/closing.rs"]
mod closing;
#[path = "tcp/congestion.rs"]
mod congestion;
#[path = "tcp/data.rs"]
mod data;
#[path = "tcp/half_open.rs"]
mod half_open;
#[path = "tcp/loss.rs"]
mod loss;
#[path = "tcp/opening.rs"]
mod opening;
#[path = "tcp/options.rs"]
mod options;
#[path = "tcp/orphans.rs"]
mod orphans;
#[path = "tcp/path.rs"]
mod path;
#[path = "tcp/resets.rs"]
mod resets;
#[path = "tcp/time_wait.rs"]
mod time_wait;
#[path = "tcp/windows.rs"]
mod windows;
