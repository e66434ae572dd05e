//! The directory: its lock, and how its file comes to be.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use crate::OpenError;

const LOCK: &str = "lock";
const FILE: &str = "replica.redb";
const UNFINISHED: &str = "replica.redb.new";

/// A directory that nobody else can use as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: Box<Path>,
    _lock: File,
}

/// The file of a directory.
pub(crate) enum Found {
    /// It was there.
    Existing(File),
    /// It is empty, and [`Directory::finish`] gives it its name once it is not.
    New(File),
}

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        make(path).map_err(|source| OpenError::io(path, source))?;
        let file = path.join(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(|source| OpenError::io(&file, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.into(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                directory: path.into(),
            }),
            Err(TryLockError::Error(source)) => Err(OpenError::io(&file, source)),
        }
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.path.join(FILE)
    }

    /// The file, or a new one under another name: a crash while it is made must not
    /// leave something that looks like a damaged one.
    pub(crate) fn find(&self) -> Result<Found, OpenError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.open(self.file()) {
            Ok(file) => Ok(Found::Existing(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let unfinished = self.path.join(UNFINISHED);
                let new = options.create(true).truncate(true).open(&unfinished);
                new.map(Found::New)
                    .map_err(|source| OpenError::io(&unfinished, source))
            }
            Err(source) => Err(OpenError::io(self.file(), source)),
        }
    }

    /// Gives a new file its name, for good.
    pub(crate) fn finish(&self) -> Result<(), OpenError> {
        fs::rename(self.path.join(UNFINISHED), self.file())
            .and_then(|()| sync(&self.path))
            .map_err(|source| OpenError::io(self.file(), source))
    }
}

/// Makes the directory and those above it, and has their names on the disk.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make(parent)?;
    fs::create_dir(path)?;
    sync(parent)
}

/// A new name is on the disk only when its directory has been synced.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
