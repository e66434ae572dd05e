//! Room that is held on the disk, so that one that is full still takes what was
//! accepted before that was known.
//!
//! Without it a replica on a full disk could tell nothing any more: not even what is
//! written, since the value also shows the update that found no room.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

/// More than a batch usually takes. One that takes more waits for room, and so does all
/// that would show it.
const SIZE: usize = 4 << 20;

/// A file that is there to be removed.
pub(crate) struct Reserve {
    file: PathBuf,
    is_held: bool,
}

impl Reserve {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            file: directory.join("reserve"),
            is_held: false,
        }
    }

    /// Takes the room, unless it is held already. False where there is none.
    pub(crate) fn hold(&mut self) -> io::Result<bool> {
        if !self.is_held {
            match self.write() {
                Ok(()) => self.is_held = true,
                Err(error) if is_full(&error) => {
                    self.release();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.is_held)
    }

    /// Gives the room to whoever writes next. False where there was no file.
    pub(crate) fn release(&mut self) -> bool {
        self.is_held = false;
        fs::remove_file(&self.file).is_ok()
    }

    /// Not zeros: some file systems hold no room for those.
    fn write(&self) -> io::Result<()> {
        let mut options = backfence_files::private();
        let options = options.write(true).create(true).truncate(true);
        let mut file = options.open(&self.file)?;
        let piece = [0x5a; 1 << 16];
        for _ in 0..SIZE / piece.len() {
            file.write_all(&piece)?;
        }
        file.sync_all()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}
