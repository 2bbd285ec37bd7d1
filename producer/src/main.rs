//! The `producer` service: publishes NDJSON to RabbitMQ, every line confirmed.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
