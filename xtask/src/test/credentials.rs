//! The search for credentials in the log of the whole run of the suites.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::environment;

/// What every password of a run begins with (`garenne_tests::log`), as text and as a debugged slice of bytes.
const MARKS: [&str; 2] = ["s3cr3t-", "115, 51, 99, 114, 51, 116, 45"];

/// Returns the file that the suites write every log line to.
pub(super) fn log_file() -> PathBuf {
    environment::target().join("tmp/suite.log")
}

/// Removes the log of an earlier run: it must not pass for this one's.
pub(super) fn forget() -> Result<()> {
    let file = log_file();
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| file.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Fails if a line of the log shows a credential, or if there is no log to search.
pub(super) fn search() -> Result<()> {
    search_file(&log_file())
}

fn search_file(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("the log of the run, {}", path.display()))?;
    let mut lines = 0_u64;
    let mut found = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        lines += 1;
        if MARKS.iter().any(|mark| line.contains(mark)) {
            found.push(format!("{}:{lines}: {line}", path.display()));
        }
    }
    ensure!(lines > 0, "the log {} is empty: the search would prove nothing", path.display());
    ensure!(found.is_empty(), "{} log lines show a credential:\n{}", found.len(), found.join("\n"));
    eprintln!("{lines} log lines in {}, none shows a credential", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(log: &str, expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, log).unwrap();
        let result = search_file(&path).map_or_else(|error| error.to_string(), |()| "clean".to_owned());
        assert!(result.contains(expected), "{result}");
    }

    #[test]
    fn a_credential_is_found_as_text_and_as_bytes() {
        check("fine\nuri amqp://u:s3cr3t-1@h\n", "log:2: uri amqp://u:s3cr3t-1@h");
        check("response [0, 115, 51, 99, 114, 51, 116, 45, 49]\n", "1 log lines show a credential");
        check("uri amqp://***@h\n", "clean");
    }

    #[test]
    fn an_empty_or_missing_log_is_a_failure() {
        check("", "is empty");
        assert!(search_file(Path::new("/nonexistent")).is_err());
    }
}
