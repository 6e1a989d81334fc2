use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(io_pkt::start::run(std::env::args().collect()))
}
