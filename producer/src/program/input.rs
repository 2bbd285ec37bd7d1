//! The input: files one after the other, or standard input.

use std::{
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use tokio::io::{AsyncBufRead, BufReader};

use super::lines::{Line, Lines};

/// How much is read at once. tokio reads files on a blocking thread, so small reads are slow.
const BUFFER_BYTES: usize = 256 << 10;

/// The lines of all inputs, in order.
pub(crate) struct Input {
    paths: std::vec::IntoIter<PathBuf>,
    limit: usize,
    /// Whether lines are named with their file, because there is more than one.
    names: bool,
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    name: Option<Rc<str>>,
    lines: Lines<Box<dyn AsyncBufRead + Unpin>>,
}

/// An input that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {error}")]
pub(crate) struct InputError {
    path: String,
    error: io::Error,
}

/// Checks that the files are there and can be read, before anything is published. Pipes are not opened for that.
pub(crate) fn check(files: &[PathBuf]) -> Result<(), InputError> {
    let readable = |path: &Path| {
        let kind = fs::metadata(path)?.file_type();
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if kind.is_file() {
            fs::File::open(path)?;
        }
        Ok(())
    };
    for path in files.iter().filter(|path| !is_stdin(path)) {
        readable(path).map_err(|error| InputError { path: path.display().to_string(), error })?;
    }
    Ok(())
}

/// Tells whether `path` is one of the files.
pub(crate) fn reads(files: &[PathBuf], path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    files.iter().filter_map(|file| file.canonicalize().ok()).any(|file| file == path)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

// === impl Input ===

impl Input {
    /// Reads these files, or standard input if there are none. Lines are at most `limit` bytes.
    pub(crate) fn new(files: &[PathBuf], limit: usize) -> Self {
        let paths = if files.is_empty() { vec![PathBuf::from("-")] } else { files.to_vec() };
        Self { names: paths.len() > 1, paths: paths.into_iter(), limit, open: None }
    }

    /// Reads the next line and the name of its file, or `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as [`Lines::next`].
    pub(crate) async fn next(&mut self) -> Result<Option<(Option<Rc<str>>, Line)>, InputError> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => match self.paths.next() {
                    None => return Ok(None),
                    Some(path) => self.open.insert(Open::new(path, self.names, self.limit).await?),
                },
            };
            match open.lines.next().await {
                Ok(Some(line)) => return Ok(Some((open.name.clone(), line))),
                Ok(None) => self.open = None,
                Err(error) => return Err(InputError { path: open.path.display().to_string(), error }),
            }
        }
    }
}

// === impl Open ===

impl Open {
    async fn new(path: PathBuf, named: bool, limit: usize) -> Result<Self, InputError> {
        let reader: Box<dyn AsyncBufRead + Unpin> = if is_stdin(&path) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, tokio::io::stdin()))
        } else {
            match tokio::fs::File::open(&path).await {
                Ok(file) => Box::new(BufReader::with_capacity(BUFFER_BYTES, file)),
                Err(error) => return Err(InputError { path: path.display().to_string(), error }),
            }
        };
        let name = named.then(|| path.to_string_lossy().into());
        Ok(Self { path, name, lines: Lines::new(reader, limit) })
    }
}
