//! The `producer` service: publishes NDJSON to RabbitMQ, every line confirmed.

mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main()
}
