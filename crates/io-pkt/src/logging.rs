//! Where log lines go: standard error in the foreground, the instance's `log` file otherwise.

use std::fs::File;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;

/// Sets the log up for the rest of the process. `verbose` counts the `-v`s; `file` is `None` in the
/// foreground. A second call does nothing.
pub fn start(verbose: u8, file: Option<File>) {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    let _ = match file {
        Some(file) => {
            tracing::subscriber::set_global_default(builder.with_ansi(false).with_writer(Mutex::new(file)).finish())
        }
        None => tracing::subscriber::set_global_default(builder.with_ansi(false).with_writer(std::io::stderr).finish()),
    };
}
