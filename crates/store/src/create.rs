//! The directory: its lock, how its file comes to be, and how another takes its place.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io, iter,
    path::{Path, PathBuf},
};

use backfence_files::sync_name;

use crate::OpenError;

const LOCK: &str = "lock";
const FILE: &str = "replica.redb";
const UNFINISHED: &str = "replica.redb.new";

/// Most files of one format that are kept. With more the directory is refused.
const MOST_KEPT: u32 = 100;

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
        backfence_files::make_folder(path).map_err(|source| OpenError::io(path, source))?;
        let file = path.join(LOCK);
        // Whoever could open it could keep this server from its data.
        let lock = backfence_files::open(&file, OpenOptions::new().write(true))
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

    pub(crate) fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Where a file is until it has all that belongs in it.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.path.join(UNFINISHED)
    }

    /// The file, or a new one under another name: a crash while it is made must not
    /// leave something that looks like a damaged one.
    pub(crate) fn find(&self) -> Result<Found, OpenError> {
        let mut options = OpenOptions::new();
        match options.read(true).write(true).open(self.file()) {
            Ok(file) => match backfence_files::make_private(&file) {
                Ok(()) => Ok(Found::Existing(file)),
                Err(source) => Err(OpenError::io(self.file(), source)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = self.new_file().map(Found::New);
                new.map_err(|source| OpenError::io(self.unfinished(), source))
            }
            Err(source) => Err(OpenError::io(self.file(), source)),
        }
    }

    /// An unfinished file, in place of what is left of another.
    fn new_file(&self) -> io::Result<File> {
        self.discard();
        let mut options = backfence_files::private();
        let options = options.read(true).write(true).create_new(true);
        options.open(self.unfinished())
    }

    /// Gives a new file its name, for good.
    pub(crate) fn finish(&self) -> Result<(), OpenError> {
        fs::rename(self.unfinished(), self.file())
            .and_then(|()| sync_name(&self.file()))
            .map_err(|source| OpenError::io(self.file(), source))
    }

    /// Copies the file to where an unfinished one is, over whatever is left there.
    pub(crate) fn copy(&self) -> Result<(), OpenError> {
        let copied = self.new_file().and_then(|mut to| {
            let mut from = File::open(self.file())?;
            io::copy(&mut from, &mut to)
        });
        let copied = copied.map(drop);
        copied.map_err(|source| OpenError::io(self.unfinished(), source))
    }

    /// Removes what is unfinished: it may hold the room that others lack.
    pub(crate) fn discard(&self) {
        // Where it cannot be removed no new one can be made, which says so.
        let _ = fs::remove_file(self.unfinished());
    }

    /// The name under which a file of this format is kept: one that is free, or is the
    /// file's already, where a crash came after [`keep`](Self::keep). What has the name else
    /// is of an earlier migration, after which somebody has put the old file back: it stays,
    /// since it may be what they want back again.
    pub(crate) fn name_to_keep(&self, format: u32) -> Result<PathBuf, OpenError> {
        let name = self.path.join(format!("{FILE}.format-{format}"));
        let others = (2..=MOST_KEPT).map(|number| {
            let name = format!("{FILE}.format-{format}.{number}");
            self.path.join(name)
        });
        for name in iter::once(name.clone()).chain(others) {
            let is_usable = match name.symlink_metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
                there => there.and_then(|there| Ok(is_same(&there, &self.file().metadata()?))),
            };
            if is_usable.map_err(|source| OpenError::io(&name, source))? {
                return Ok(name);
            }
        }
        Err(OpenError::io(name, io::ErrorKind::AlreadyExists.into()))
    }

    /// Gives the file a second name, for good. It has that for itself when a finished file
    /// takes the first.
    pub(crate) fn keep(&self, name: &Path) -> Result<(), OpenError> {
        let linked = match fs::hard_link(self.file(), name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        linked
            .and_then(|()| sync_name(name))
            .map_err(|source| OpenError::io(name, source))
    }
}

/// Whether a store is in this directory.
pub fn is_there(directory: &Path) -> bool {
    // Where that cannot be told, opening it says why.
    !matches!(directory.join(FILE).try_exists(), Ok(false))
}

/// Removes the store of a directory, and the directory where nothing else is in it. For one
/// that has just been made, and turns out to be of no use.
///
/// # Errors
///
/// If the store cannot be removed.
pub fn discard(directory: &Path) -> io::Result<()> {
    fs::remove_file(directory.join(FILE))?;
    fs::remove_file(directory.join(LOCK))?;
    // What else is there belongs to somebody else.
    let _ = fs::remove_dir(directory);
    Ok(())
}

/// Whether these are of one file under two names.
#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where nobody can tell, the file gets one name more.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    false
}
