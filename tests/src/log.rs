//! Every log line of the run, down to what the AMQP client traces, and the search for credentials in them.
//!
//! The file is named by `GARENNE_TEST_LOG`, by default `tmp/suite.log` in the target directory.
//! `cargo xtask test` searches the whole of it after the run; [`leaks`] tells at any moment what was found so far.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// What every password of a run begins with. `cargo xtask test` searches for the same text.
const MARK: &str = "s3cr3t-";
/// The same as a debugged slice of bytes.
const MARK_AS_BYTES: &str = "115, 51, 99, 114, 51, 116, 45";

static PASSWORD: LazyLock<String> = LazyLock::new(|| format!("{MARK}{}", uuid::Uuid::now_v7().simple()));
static LOG: LazyLock<Log> = LazyLock::new(Log::open);

/// Returns the password of every user that this run makes: it must never appear in a log line, an error or a `Debug` output.
#[must_use]
pub fn password() -> &'static str {
    &PASSWORD
}

/// Tells whether a text shows a password of a run, as text or as debugged bytes.
#[must_use]
pub fn shows_credential(text: &str) -> bool {
    text.contains(MARK) || text.contains(MARK_AS_BYTES)
}

/// Collects log lines from now on: everything of this project and of lapin, the rest from `INFO` on. Later calls do nothing.
///
/// [`Vhost`](crate::Vhost) and [`OwnBroker`](crate::OwnBroker) call it.
pub fn install() {
    install_up_to(LevelFilter::TRACE);
}

/// As [`install`], but of this project and of lapin only up to a level: for runs of which every line would be too much.
pub fn install_up_to(level: LevelFilter) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let everything = ["garenne", "lapin", "amq_protocol", "async_rs"];
        let targets = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_targets(everything.map(|target| (target, level)));
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Line(&LOG)).with_filter(targets);
        // A test binary that brings a subscriber of its own cannot be searched, and must not pass as clean.
        tracing_subscriber::registry().with(lines).try_init().expect("no other subscriber is installed");
    });
}

/// How a line of lapin's own begins behind its level. None may reach a subscriber: at `TRACE` they hold the password's bytes.
const FOREIGN: &str = " lapin::";

/// Returns the log lines so far that show a credential, and those that lapin wrote.
#[must_use]
pub fn leaks() -> Vec<String> {
    LOG.state().leaks.clone()
}

/// Returns how many log lines were searched so far.
#[must_use]
pub fn lines() -> u64 {
    LOG.state().lines
}

struct Log(Mutex<State>);

struct State {
    file: File,
    lines: u64,
    leaks: Vec<String>,
}

impl Log {
    fn open() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the fixture is configured by the environment alone")]
        let given = std::env::var("GARENNE_TEST_LOG").ok();
        // A path that was given may be shared by several processes of one run: each appends.
        let keep = given.is_some();
        let path = given.map_or_else(default_path, PathBuf::from);
        let open = || {
            std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
            if !keep {
                File::create(&path)?;
            }
            OpenOptions::new().create(true).append(true).open(&path)
        };
        let file = open().unwrap_or_else(|error| panic!("the log `{}`: {error}", path.display()));
        Self(Mutex::new(State { file, lines: 0, leaks: Vec::new() }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `target/tmp/suite.log`, seen from a test in `target/debug/deps`, or from a program in `target/debug`.
fn default_path() -> PathBuf {
    let binary = std::env::current_exe().expect("a binary knows its path");
    let directory = binary.parent().expect("a binary is in a directory");
    let above = if directory.ends_with("deps") { 2 } else { 1 };
    directory.ancestors().nth(above).expect("binaries are in target/PROFILE").join("tmp/suite.log")
}

/// Writes one event: the formatter hands it over in one piece.
struct Line(&'static Log);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        state.lines += 1;
        let text = String::from_utf8_lossy(line);
        if shows_credential(&text) || text.contains(FOREIGN) {
            state.leaks.push(text.into_owned());
        }
        state.file.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_as_text_and_as_bytes() {
        assert!(shows_credential(&format!("amqp://u:{}@h", password())));
        assert!(shows_credential(&format!("{:?}", password().as_bytes())));
        assert!(!shows_credential("amqp://***@h"));
    }

    #[test]
    fn a_line_that_shows_a_credential_is_found() {
        let before = lines();
        install();
        tracing::trace!(target: "garenne::test", "all is well");
        assert!(lines() > before);
        assert!(leaks().is_empty());
    }
}
