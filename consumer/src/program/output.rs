//! Where the records go: standard output or a file.

use std::{
    fs::{OpenOptions, TryLockError},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use tokio::{
    fs::File,
    io::{AsyncWriteExt, Stdout},
};

use super::{
    repair::{Remedy, diagnose},
    say,
};

/// Where the records go.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(Stdout),
    File {
        path: PathBuf,
        file: File,
        /// `false` for devices and pipes, which have no disk.
        synced: bool,
    },
}

// === impl Output ===

impl Output {
    /// Opens the file, or standard output if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, or another process has it locked.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::Stdout(tokio::io::stdout())) };
        let (file, synced) =
            open(path).map_err(|error| format!("cannot append to {}: {error}", path.display()))?;
        Ok(Self::File { path: path.to_owned(), file: File::from_std(file), synced })
    }

    /// Writes lines and flushes them: on standard output to its reader or the system, in a file to the disk.
    ///
    /// # Errors
    ///
    /// Fails as writing fails; part of the lines may be written then.
    pub(crate) async fn write(&mut self, lines: &[u8]) -> Result<(), String> {
        self.write_and_flush(lines).await.map_err(|error| match self {
            Self::Stdout(_) if error.kind() == io::ErrorKind::BrokenPipe => {
                "nobody reads standard output any more (broken pipe)".to_owned()
            }
            Self::Stdout(_) => format!("cannot write to standard output: {error}"),
            Self::File { path, .. } => format!("cannot write to {}: {error}", path.display()),
        })
    }

    async fn write_and_flush(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                stdout.write_all(lines).await?;
                stdout.flush().await
            }
            Self::File { file, synced, .. } => {
                file.write_all(lines).await?;
                file.flush().await?;
                if *synced { file.sync_data().await } else { Ok(()) }
            }
        }
    }
}

/// Opens a file for appending, locked and with a whole last line. Also tells whether it is a regular file.
fn open(path: &Path) -> io::Result<(std::fs::File, bool)> {
    let known = path.exists();
    let is_regular = !known || path.metadata()?.is_file();
    if is_regular {
        repair(path)?;
    }
    // A pipe must not be opened by us for reading.
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    if is_regular {
        lock(&file)?;
    }
    if !known {
        sync_directory(path)?;
    }
    Ok((file, is_regular))
}

/// Mends the end of a file that an earlier run may have left torn. Through a handle of its own, because one that appends cannot cut
/// on every platform.
fn repair(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    lock(&file)?;
    match diagnose(&mut file)? {
        Remedy::Nothing => {}
        Remedy::LineBreak => {
            file.seek(SeekFrom::End(0))?;
            file.write_all(b"\n")?;
        }
        Remedy::Cut(len) => {
            file.set_len(len)?;
            say(&format!(
                "cut a torn record off the end of {}; its message was not acknowledged",
                path.display()
            ));
        }
    }
    Ok(())
}

fn lock(file: &std::fs::File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("another process has it locked, such as another consumer"))
        }
        // Some file systems have no locks.
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "the output is not locked");
            Ok(())
        }
    }
}

/// Puts the name of a new file on the disk too.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Directories cannot be synced on this platform.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the other platforms")]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
