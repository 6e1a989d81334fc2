//! `iopkt capture`: the frames of an interface, between stack and link, as lines or as a file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use sockets::config::Request;

use super::frame_line;
use super::pcap::{self, Record};
use crate::client::Instance;
use crate::command::{Command, Failure, texts};
use crate::getopt::{Getopt, number};
use crate::stdout;

/// Longest part of a frame that can be asked for: a whole super-segment.
const SNAPLEN_MAX: u32 = 262_144;

/// Bytes of frames that may wait for us.
const PIPE_ROOM: usize = 1024 * 1024;

pub const COMMAND: Command = Command {
    name: "iopkt capture",
    summary: "show or keep the frames between stack and link",
    usage: &["[-p PREFIX] [-i INTERFACE] [-c COUNT] [-s BYTES] [-w FILE]"],
    details: "\
Without -i: the first interface that is not the loopback. -w writes a pcap
file (- is standard output) in the place of lines. Ends at Ctrl-C, or after
COUNT frames.
",
    run,
};

fn run(words: Vec<OsString>) -> Result<u8, Failure> {
    let words = texts(words)?;
    let mut options = Getopt::new(&words, "c:i:np:s:w:");
    let (mut prefix, mut interface, mut file, mut count, mut snaplen) = (None, None, None, u64::MAX, SNAPLEN_MAX);
    while let Some((letter, value)) = options.option().map_err(|f| f.with_status(super::USAGE))? {
        match letter {
            'c' => count = number('c', value, 1..=u64::MAX)?,
            'i' => interface = Some(value),
            'p' => prefix = Some(value),
            's' => snaplen = number('s', value, 1..=SNAPLEN_MAX)?,
            'w' => file = Some(value),
            _ => {}
        }
    }
    if let Some(extra) = options.rest().first() {
        return Err(Failure::usage(format!("{extra}: not expected")).with_status(super::USAGE));
    }
    process::interrupt::catch().map_err(|e| Failure::new(format!("signals: {e}")))?;
    let instance = Instance::open(prefix)?;
    let name = choose(&instance, interface)?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Failure::new(format!("pipe: {e}")))?;
    // More room means fewer frames dropped under load; what the host grants will do.
    let _ = fcntl_setpipe_size(&writer, PIPE_ROOM);
    let request = Request::Capture { interface: name.clone(), snaplen };
    instance.request_with(&request, &[writer.as_fd()])?;
    // From here on no frame is missed: a script may wait for this line.
    eprintln!("iopkt capture: listening on {name}");
    // The daemon's copy is the only one now: its end is the end of the capture.
    drop(writer);
    let source = Interruptible(File::from(reader));
    match file {
        None => show(source, count)?,
        Some("-") => keep(source, io::stdout().lock(), "standard output", count)?,
        Some(path) => {
            let out = File::create(path).map_err(|e| Failure::new(format!("{path}: {e}")))?;
            keep(source, out, path, count)?;
        }
    }
    Ok(0)
}

fn choose(instance: &Instance, wanted: Option<&str>) -> Result<String, Failure> {
    let interfaces = instance.interfaces()?;
    let found = match wanted {
        Some(name) => interfaces.iter().find(|i| i.name == name),
        None => interfaces.iter().find(|i| i.mac.is_some()).or(interfaces.first()),
    };
    found
        .map(|i| i.name.clone())
        .ok_or_else(|| Failure::new(format!("{}: no such interface", wanted.unwrap_or("no interface"))))
}

fn show(source: impl Read, count: u64) -> Result<(), Failure> {
    each(
        source,
        count,
        |_| Ok(()),
        |record, begin| {
            let time = record.time.saturating_sub(begin).as_secs_f64();
            stdout::print(&format!("{time:>11.6} {}\n", frame_line::describe(&record.frame, record.original_len)))
        },
    )
}

fn keep(source: impl Read, mut out: impl Write, path: &str, count: u64) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(format!("{path}: {e}"));
    let out = std::cell::RefCell::new(&mut out);
    let put = |bytes: &[u8]| {
        let mut out = out.borrow_mut();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(failed)
    };
    each(source, count, put, |record, _| put(&record.raw))
}

/// Calls `head` with the file's header, and `body` with each record and the first one's time.
fn each(
    source: impl Read,
    count: u64,
    head: impl FnOnce(&[u8]) -> Result<(), Failure>,
    mut body: impl FnMut(&Record, std::time::Duration) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(format!("capture: {e}"));
    let Some(mut records) = pcap::Records::open(source).map_err(failed)? else { return Ok(()) };
    head(records.header())?;
    let mut begin = None;
    for _ in 0..count {
        let Some(record) = records.next().map_err(failed)? else { break };
        body(&record, *begin.get_or_insert(record.time))?;
    }
    Ok(())
}

/// A source that ends at Ctrl-C.
struct Interruptible(File);

impl Read for Interruptible {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if process::interrupt::seen() {
                return Ok(0);
            }
            match self.0.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}
