//! The rings: each byte arrives once, in order, and no byte is touched by two sides at once (loom's cells in
//! `Region` report that), whoever is killed where.

use loom::sync::Arc as LoomArc;
use loom::sync::Mutex;
use loom::thread;

use super::life::{explore, mortal, step};
use crate::region::Region;
use crate::socket::map::Map;
use crate::socket::{Reader, ReceiveBuffer, SendBuffer, Writer};

const SIZE: usize = 4;

/// What the program's end of a ring is made of.
#[derive(Clone)]
struct Program(std::sync::Arc<Map>, std::sync::Arc<Region>);

impl Program {
    fn new() -> Program {
        Program(std::sync::Arc::new(Map::unmapped()), std::sync::Arc::new(Region::private(SIZE)))
    }

    fn writer(&self) -> Writer<'_> {
        Writer::new(&self.0, &self.1)
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.0, &self.1)
    }
}

/// Ends of one send ring.
fn send_ring() -> (Program, SendBuffer) {
    let program = Program::new();
    let buffer = SendBuffer::new(program.0.clone(), program.1.clone());
    (program, buffer)
}

fn receive_ring() -> (ReceiveBuffer, Program) {
    let program = Program::new();
    (ReceiveBuffer::new(program.0.clone(), program.1.clone()), program)
}

/// Bytes 1, 2, 3, … from `next` on, as many as fit, at most `n`; gives back the next one.
fn write(program: &Program, next: u8, n: u8) -> u8 {
    let bytes: Vec<u8> = (next..next + n).collect();
    next + program.writer().write(&bytes) as u8
}

/// All there is, named and read as a driver would, twice (a retransmission), then acknowledged one by one.
fn acknowledge(buffer: &mut SendBuffer, got: &mut Vec<u8>) {
    buffer.refresh();
    while !buffer.is_empty() {
        let (mut first, mut again) = (vec![0; buffer.len()], vec![0; buffer.len()]);
        let [a, b] = buffer.slices(0, first.len()).expect("they are there");
        a.copy_out(0, &mut first[..a.len()]);
        b.copy_out(0, &mut first[a.len()..]);
        buffer.peek(0, &mut again);
        assert_eq!(first, again, "kept until acknowledged");
        got.push(first[0]);
        buffer.consume(1);
    }
}

fn assert_sequence(got: &[u8]) {
    assert!(got.iter().copied().eq(1..=got.len() as u8), "{got:?}");
}

#[test]
fn sent_bytes_stay_until_acknowledged_and_arrive_once() {
    explore(3, || {
        let (writer, mut buffer) = send_ring();
        let program = thread::spawn(move || {
            let next = [3, 2, 3].iter().fold(1, |next, n| write(&writer, next, *n));
            (writer, next)
        });
        let mut got = Vec::new();
        acknowledge(&mut buffer, &mut got);
        acknowledge(&mut buffer, &mut got);
        let (writer, next) = program.join().expect("the program");
        acknowledge(&mut buffer, &mut got);
        assert_eq!(writer.writer().room(), SIZE);
        assert_eq!(got.len() as u8, next - 1);
        assert_sequence(&got);
        assert_eq!(buffer.faults(), 0);
    });
}

/// What a write does that others can notice: it publishes. Two of them, and one more: nobody dies.
const WRITE_STEPS: usize = 3;

#[test]
fn a_writer_may_die_anywhere_and_another_goes_on() {
    for steps in 0..WRITE_STEPS {
        explore(3, move || {
            let (writer, mut buffer) = send_ring();
            let program = thread::spawn(move || {
                // Bytes whose write came back; one that died in it has written all or nothing.
                let next = Mutex::new(1);
                mortal(steps, || {
                    for n in [2, 3] {
                        let before = *next.lock().expect("no death in here");
                        let after = write(&writer, before, n);
                        *next.lock().expect("no death in here") = after;
                    }
                });
                let next = next.into_inner().expect("no death in there");
                (write(&writer, next, 3), writer)
            });
            let mut got = Vec::new();
            acknowledge(&mut buffer, &mut got);
            acknowledge(&mut buffer, &mut got);
            let (next, _writer) = program.join().expect("the survivor");
            acknowledge(&mut buffer, &mut got);
            assert_eq!(got.len() as u8, next - 1);
            assert_sequence(&got);
        });
    }
}

/// The daemon's side: each payload out of order first, then the hole before it.
fn receive(buffer: &mut ReceiveBuffer, next: u8) -> u8 {
    if buffer.refresh() < 2 {
        return next;
    }
    buffer.place(1, &[next + 1]);
    buffer.place(0, &[next]);
    buffer.advance(2);
    next + 2
}

#[test]
fn out_of_order_payload_is_seen_when_its_hole_is_filled_and_not_before() {
    explore(3, || {
        let (mut buffer, reader) = receive_ring();
        let daemon = thread::spawn(move || {
            let next = (0..4).fold(1, |next, _| receive(&mut buffer, next));
            (buffer, next)
        });
        let (mut got, mut out) = (Vec::new(), [0; SIZE]);
        for _ in 0..3 {
            let n = reader.reader().read(&mut out[..3]);
            got.extend(&out[..n]);
        }
        let (mut buffer, next) = daemon.join().expect("the daemon");
        loop {
            let n = reader.reader().read(&mut out);
            got.extend(&out[..n]);
            if n == 0 {
                break;
            }
        }
        assert_eq!(buffer.refresh(), SIZE);
        assert_eq!(got.len() as u8, next - 1);
        assert_sequence(&got);
        assert_eq!(buffer.faults(), 0);
    });
}

#[test]
fn a_reader_may_die_anywhere_and_another_reads_on() {
    for steps in 0..5 {
        explore(3, move || {
            let (mut buffer, reader) = receive_ring();
            let daemon = thread::spawn(move || (0..3).fold(1, |next, _| receive(&mut buffer, next)));
            let got = LoomArc::new(Mutex::new(Vec::new()));
            let mut out = [0; SIZE];
            mortal(steps, || {
                for _ in 0..2 {
                    // Of a read that its reader did not survive nobody knows what it returned.
                    let n = reader.reader().read(&mut out[..3]);
                    step();
                    got.lock().expect("no death in here").extend_from_slice(&out[..n]);
                }
            });
            let mut got = got.lock().expect("no death in there").clone();
            let next = daemon.join().expect("the daemon");
            let known = got.len();
            let mut rest = [0; SIZE];
            let n = reader.reader().read(&mut rest);
            got.extend_from_slice(&rest[..n]);
            assert_sequence(&got[..known]);
            // The dead one may have let go of the read that was its last; what follows is the end of the stream.
            assert!(rest[..n].iter().copied().eq(next - n as u8..next), "{got:?} of {next}");
            let lost = usize::from(next) - 1 - got.len();
            assert!(lost <= 3 && (lost == 0 || steps < 4), "{got:?} of {next}");
        });
    }
}
