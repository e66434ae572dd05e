//! Lines on stdout.

use std::{
    fmt,
    io::{self, Write as _},
};

use crate::Exit;

/// Why stdout took no more.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Its reader has gone, as `head` does. No fault: [`main`](crate::main) ends
    /// with 0 and says nothing.
    #[error("nobody reads the output any more")]
    Closed,
    /// Anything else, such as a full disk.
    #[error("cannot write to stdout")]
    Failed(#[source] io::Error),
}

impl OutputError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Closed => Exit::Done,
            Self::Failed(_) => Exit::Internal,
        }
    }
}

/// Writes a text to stdout at once, where `print!` would panic at a closed pipe.
///
/// # Errors
///
/// [`OutputError`] when it cannot be written.
pub fn print(text: impl fmt::Display) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::Closed,
            _ => OutputError::Failed(error),
        })
}

/// Writes a line that others may wait for, such as `SERVER READY`. A server goes
/// on when nobody can read it.
pub fn announce(line: impl fmt::Display) {
    if let Err(OutputError::Failed(error)) = print(format_args!("{line}\n")) {
        tracing::warn!(%error, "cannot write to stdout");
    }
}
