//! Running other programs, with a limit on their time.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt;

/// How often a running child, or a condition, is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Runs a program to its end with its output shown; fails if it fails, takes longer than `limit`, or Ctrl-C is pressed.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    // A group of its own: at the limit, everything that it started ends with it.
    let mut child = own_group(command.stdin(Stdio::null())).spawn().with_context(|| show(command))?;
    let status = wait(&mut child, limit).with_context(|| show(command))?;
    ensure!(status.success(), "{}: {status}", show(command));
    Ok(())
}

/// Runs a program and returns what it printed; fails as [`run`] does, with what it printed.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let output = try_output(command, limit)?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", show(command), complaint.trim());
    Ok(printed)
}

/// Runs a program and returns its status and what it printed.
pub(crate) fn try_output(command: &mut Command, limit: Duration) -> Result<Output> {
    // Files, not pipes: a pipe ends only when the last process that inherited it ends, which may be a daemon.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    own_group(command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?));
    let mut child = command.spawn().with_context(|| show(command))?;
    let status = wait(&mut child, limit).with_context(|| show(command))?;
    Ok(Output { status, stdout: read(&mut stdout)?, stderr: read(&mut stderr)? })
}

fn read(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    io::copy(file, &mut bytes)?;
    Ok(bytes)
}

/// Waits until `condition` returns something; `None` after `limit`.
pub(crate) fn wait_for<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        interrupt::check()?;
        if start.elapsed() > limit {
            return Ok(None);
        }
        pause(POLL);
    }
}

/// Blocks this thread: between two looks at a condition.
pub(crate) fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here to be blocked")]
    std::thread::sleep(time);
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let status = wait_for(limit, || Ok(child.try_wait()?));
    if let Ok(Some(status)) = status {
        return Ok(status);
    }
    kill_group(child.id());
    let _ = child.wait();
    status?;
    bail!("not done within {} s", limit.as_secs())
}

/// Gives a child a group of its own: Ctrl-C in the terminal does not reach it, and it ends with all that it started.
#[cfg(unix)]
pub(crate) fn own_group(command: &mut Command) -> &mut Command {
    std::os::unix::process::CommandExt::process_group(command, 0)
}

/// Gives a child a group of its own: Ctrl-C in the terminal does not reach it.
#[cfg(windows)]
pub(crate) fn own_group(command: &mut Command) -> &mut Command {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP)
}

/// Ends a process and all that it started.
#[cfg(windows)]
fn kill_group(group: u32) {
    let _ = Command::new("taskkill")
        .args(["/T", "/F", "/PID", &group.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Ends a group of processes: politely, then surely.
#[cfg(unix)]
fn kill_group(group: u32) {
    for signal in ["-INT", "-KILL"] {
        let _ =
            Command::new("kill").args([signal, "--", &format!("-{group}")]).stderr(Stdio::null()).status();
        pause(Duration::from_secs(1));
    }
}

/// Shows a command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_output_of_a_success_is_returned() {
        assert_eq!(output(Command::new("echo").arg("hello"), LONG).unwrap(), "hello\n");
    }

    #[test]
    fn a_failure_says_which_command_and_what_it_printed() {
        let error = output(Command::new("sh").args(["-c", "echo no >&2; exit 3"]), LONG).unwrap_err();
        assert_eq!(error.to_string(), "sh -c echo no >&2; exit 3: no");
    }

    #[test]
    fn a_daemon_that_inherits_the_output_is_not_waited_for() {
        let start = Instant::now();
        assert_eq!(output(Command::new("sh").args(["-c", "sleep 60 & echo done"]), LONG).unwrap(), "done\n");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_command_is_ended_at_its_limit() {
        let start = Instant::now();
        let error = run(Command::new("sleep").arg("600"), Duration::ZERO).unwrap_err();
        assert!(format!("{error:#}").contains("not done within 0 s"), "{error:#}");
        assert!(start.elapsed() < LONG);
    }
}
