//! Stores of former formats. They are migrated when they are opened; the file as it was is
//! kept.

use std::{
    fmt,
    fs::{File, OpenOptions},
    path::PathBuf,
};

use backfence_wire::stored;
use redb::{ReadableTable as _, WriteTransaction, backends::FileBackend};

use crate::{
    OpenError, Store,
    create::Directory,
    error::Unreadable,
    owner::Owner,
    store::builder,
    tables::{EXECUTED, FORMAT, META, name},
};

/// The oldest format that is read.
pub(crate) const OLDEST: u32 = 4;

/// Makes one format of the one before.
type Step = fn(&WriteTransaction) -> Result<(), Unreadable>;

/// From the oldest format to this one. A new format adds one at the end, and a file to
/// `tests/formats`; no step changes any more once its format was released.
const STEPS: [Step; (FORMAT - OLDEST) as usize] = [four_to_five];

/// Whether it is a format that can be migrated.
pub(crate) fn is_former(format: u32) -> bool {
    (OLDEST..FORMAT).contains(&format)
}

/// That a store was migrated when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Migrated {
    /// The format that it had.
    pub from: u32,
    /// The one that it has now.
    pub to: u32,
    /// Where the file as it was is kept. Nothing needs it, but who goes back to an older
    /// version; it can be removed.
    pub kept: PathBuf,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, kept } = self;
        let kept = kept.display();
        write!(
            f,
            "migrated from format {from} to {to}; the file as it was is kept at {kept}"
        )
    }
}

/// A directory whose store has a former format.
pub(crate) struct Migration<'a> {
    directory: &'a Directory,
    owner: &'a Owner,
    from: u32,
    kept: PathBuf,
}

type Change = fn(&Migration<'_>) -> Result<(), OpenError>;

/// What is done to the directory. Each change is on the disk before the next begins, and
/// whatever the crash, either the old file or the new one has the name; so after any of them
/// the directory can be opened, which then begins with the first again.
const CHANGES: [Change; 4] = [
    |migration| migration.directory.copy(),
    |migration| migration.change(),
    |migration| migration.directory.keep(&migration.kept),
    |migration| migration.directory.finish(),
];

impl<'a> Migration<'a> {
    /// `owner` was found to be right, and the format to be [a former one](is_former).
    pub(crate) fn new(
        directory: &'a Directory,
        owner: &'a Owner,
        from: u32,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            kept: directory.name_to_keep(from)?,
            directory,
            owner,
            from,
        })
    }

    pub(crate) fn run(self) -> Result<Migrated, OpenError> {
        let done = CHANGES.iter().try_for_each(|change| change(&self));
        done.inspect_err(|_| self.directory.discard())?;
        Ok(Migrated {
            from: self.from,
            to: FORMAT,
            kept: self.kept,
        })
    }

    /// Migrates the copy, and reads it: what cannot be read takes nobody's place.
    fn change(&self) -> Result<(), OpenError> {
        let file = self.directory.file();
        let migrated = take_steps(self.copy()?, self.from);
        migrated.map_err(|error| error.at(file.clone()))?;
        let backend = FileBackend::new(self.copy()?)
            .map_err(|error| OpenError::database(file.clone(), error.into()))?;
        drop(Store::start(backend, false, file, self.owner)?);
        let synced = self.copy()?.sync_all();
        synced.map_err(|source| OpenError::io(self.directory.unfinished(), source))
    }

    fn copy(&self) -> Result<File, OpenError> {
        let copy = self.directory.unfinished();
        let opened = OpenOptions::new().read(true).write(true).open(&copy);
        opened.map_err(|source| OpenError::io(copy, source))
    }
}

/// All that lead from a format to this one, in one transaction.
fn take_steps(file: File, from: u32) -> Result<(), Unreadable> {
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    let transaction = database.begin_write()?;
    for step in &STEPS[(from - OLDEST) as usize..] {
        step(&transaction)?;
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert(name::FORMAT, FORMAT.to_le_bytes().as_slice())?;
    drop(meta);
    transaction.commit()?;
    Ok(database.close()?)
}

/// Digests were of another kind, which says nothing about a retry any more: the replies that
/// had one are merged, as older ones are. Nor had clusters names: there is none until the
/// replica hears of one.
fn four_to_five(transaction: &WriteTransaction) -> Result<(), Unreadable> {
    let mut table = transaction.open_table(EXECUTED)?;
    let mut merged = Vec::new();
    for entry in table.iter()? {
        let (key, bytes) = entry?;
        let (session, executed) = stored::read_executed(bytes.value())?;
        merged.push((key.value(), stored::executed(session, &executed)));
    }
    for (key, bytes) in merged {
        table.insert(key, bytes.as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use backfence_ratings::Base;

    use super::*;
    use crate::Recovered;

    const OLD: &[u8] = include_bytes!("../tests/formats/4/replica.redb");

    /// What `OLD` was written over.
    fn base() -> Arc<Base> {
        let movies = "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),Crime\n";
        let ratings = "userId,movieId,rating,timestamp\n1,1,4.0,1\n";
        let loaded = Base::read(movies.as_bytes(), ratings.as_bytes(), true);
        Arc::new(loaded.expect("every row is good").base)
    }

    fn open(directory: &Path) -> Recovered {
        let opened = Store::open(directory, 1, base());
        opened.expect("it opens without a tool").1
    }

    /// Once, and once more in what the first has left.
    #[test]
    fn a_crash_after_any_change_leaves_a_store_that_opens() {
        let owner = Owner {
            server: 1,
            base: base(),
        };
        for stop in 0..=CHANGES.len() {
            for crashes in 1..=2 {
                let folder = tempfile::tempdir().expect("a directory");
                let path = folder.path();
                fs::write(path.join("replica.redb"), OLD).expect("it is ours");
                for crash in 1..=crashes {
                    let directory = Directory::open(path).expect("it is ours");
                    let migration = Migration::new(&directory, &owner, 4).expect("a name is free");
                    let is_done = stop == CHANGES.len() && crash > 1;
                    for change in CHANGES.iter().take(if is_done { 0 } else { stop }) {
                        change(&migration).expect("nothing fails");
                    }
                }
                println!(
                    "{crashes} crashes after {stop} of {} changes",
                    CHANGES.len()
                );
                let recovered = open(path);
                let is_migrated = stop == CHANGES.len();
                assert_eq!(recovered.migrated.is_none(), is_migrated);
                assert_eq!(recovered.records.len(), 4);
                let state = recovered.state.expect("a checkpoint");
                assert_eq!((state.log.len(), state.executed.len()), (5, 5));
                let kept = fs::read(path.join("replica.redb.format-4"));
                assert!(kept.expect("it is kept") == OLD);
                let entries = fs::read_dir(path).expect("it is ours");
                assert_eq!(entries.count(), 3, "the lock, the file and the kept one");
                assert_eq!(open(path).migrated, None);
            }
        }
    }

    /// The old file has its name until the last change.
    #[test]
    fn the_old_file_is_in_its_place_until_the_last_change() {
        let owner = Owner {
            server: 1,
            base: base(),
        };
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("replica.redb");
        fs::write(&file, OLD).expect("it is ours");
        let directory = Directory::open(folder.path()).expect("it is ours");
        let migration = Migration::new(&directory, &owner, 4).expect("a name is free");
        for (done, change) in CHANGES.iter().enumerate() {
            assert!(fs::read(&file).expect("a file") == OLD, "after {done}");
            change(&migration).expect("nothing fails");
        }
        assert!(fs::read(&file).expect("a file") != OLD);
    }
}
