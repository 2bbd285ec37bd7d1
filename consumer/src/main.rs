//! The `consumer` service: reads a queue and writes NDJSON, acknowledging only what has been flushed.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
