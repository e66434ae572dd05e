//! Why a directory is refused, and why a batch was not written.

use std::{io, path::PathBuf};

use redb::{DatabaseError, StorageError};

/// Why a directory cannot be used. Nothing in it was harmed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open, or this one.
    #[error(
        "the data directory {} is in use by another process: stop that one, or give each \
         replica a directory of its own",
        directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// A newer version of the program has written it, or a much older one.
    #[error(
        "the data in {} has format {found}, and this program reads formats {oldest} to \
         {known}: start {} version of it, or use an empty directory",
        file.display(),
        if found > known { "a newer" } else { "an older" }
    )]
    OtherFormat {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The oldest that is read here: what has a former one is migrated.
        oldest: u32,
        /// The one that is written here.
        known: u32,
    },
    /// It belongs to another server.
    #[error(
        "the data in {} is of server {stored}, not of server {given}: give server {given} \
         its own directory, or an empty one",
        file.display()
    )]
    OtherServer {
        /// The file.
        file: PathBuf,
        /// The server that wrote it.
        stored: u32,
        /// The one that wants it.
        given: u32,
    },
    /// It has updates that only a newer version of the program understands.
    #[error(
        "the data in {} have updates that this program does not understand: start a newer \
         version of it, or the one that was here before",
        file.display()
    )]
    TooNew {
        /// The file.
        file: PathBuf,
    },
    /// It was written over other movies and ratings.
    #[error(
        "the data in {} belongs to movies and ratings with the fingerprint {stored}, and those \
         that are loaded have {given}: load the same files as before, or use an empty directory",
        file.display()
    )]
    OtherData {
        /// The file.
        file: PathBuf,
        /// The fingerprint of the data that it was written over.
        stored: String,
        /// Of the data that is loaded.
        given: String,
    },
    /// It is damaged, or it is something else.
    #[error(
        "{} is damaged, or was not written by this program ({what}): move it away and \
         start with an empty directory, which is then filled by the other replicas, or put \
         back a copy",
        file.display()
    )]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The disk is full. It can be opened again when there is room.
    #[error("there is no space left to open {} ({source}): make room", file.display())]
    NoSpace {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system would not let it be read or written.
    #[error("cannot use {} ({source}): check that it exists, and may be written", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a batch is not on the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full, or the quota. What was written before is safe. Drop the store,
    /// open it again when there is room, and write the batch again.
    #[error("the batch is not in {}: no space left ({what}); make room", file.display())]
    NoSpace {
        /// The file.
        file: PathBuf,
        /// What was attempted, and what the system said.
        what: String,
    },
    /// Anything else, above all a failed sync. Nobody can tell what is on the disk, and
    /// trying again would hide that: stop.
    #[error(
        "cannot write to {} ({what}): the process has to stop; check the disk, then start again",
        file.display()
    )]
    Failed {
        /// The file.
        file: PathBuf,
        /// What was attempted, and what the system said.
        what: String,
    },
}

/// Whether there is no room, which passes.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

impl OpenError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if is_full(&source) {
            Self::NoSpace { file: path, source }
        } else {
            Self::Io { path, source }
        }
    }

    /// What the database found when it opened or read the file.
    pub(crate) fn database(file: PathBuf, error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => {
                let directory = file.parent().map(Into::into);
                Self::InUse {
                    directory: directory.unwrap_or(file),
                }
            }
            // This is how the database says that it misses its mark, or the end.
            redb::Error::Io(source)
                if !matches!(
                    source.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::io(file, source)
            }
            other => Self::Corrupt {
                file,
                what: other.to_string(),
            },
        }
    }
}

/// Why what was read cannot be used.
pub(crate) enum Unreadable {
    Database(redb::Error),
    What(String),
    TooNew,
}

impl Unreadable {
    pub(crate) fn at(self, file: PathBuf) -> OpenError {
        match self {
            Self::Database(error) => OpenError::database(file, error),
            Self::What(what) => OpenError::Corrupt { file, what },
            Self::TooNew => OpenError::TooNew { file },
        }
    }
}

impl From<StorageError> for Unreadable {
    fn from(error: StorageError) -> Self {
        Self::Database(error.into())
    }
}

impl From<redb::TableError> for Unreadable {
    fn from(error: redb::TableError) -> Self {
        Self::Database(error.into())
    }
}

impl From<redb::TransactionError> for Unreadable {
    fn from(error: redb::TransactionError) -> Self {
        Self::Database(error.into())
    }
}

impl From<DatabaseError> for Unreadable {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error.into())
    }
}

impl From<redb::CommitError> for Unreadable {
    fn from(error: redb::CommitError) -> Self {
        Self::Database(error.into())
    }
}

impl From<backfence_wire::Malformed> for Unreadable {
    fn from(error: backfence_wire::Malformed) -> Self {
        match error {
            backfence_wire::LATER_KIND => Self::TooNew,
            error => Self::What(error.to_string()),
        }
    }
}
