//! One directory of one server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use backfence_ratings::Base;
use redb::{
    Builder, Database, ReadableDatabase as _, StorageBackend, WriteTransaction,
    backends::FileBackend,
};

use crate::{
    Batch, OpenError, Recovered, WriteError,
    create::{Directory, Found, is_there},
    error::Unreadable,
    migrate::{Migration, is_former},
    owner::{Owner, stored_server},
    recover::recover,
    tables::{META, name},
    watch::{Failure, Health, Watched},
};

/// Most bytes of pages that are kept in memory. A batch may be larger: what does not fit
/// is written early, and read again when it is needed.
const CACHE: usize = 16 << 20;

/// How every database is opened.
pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE)
        // All of it is read in any case, and without this a damaged page can go unnoticed,
        // or end in a panic.
        .set_check_integrity_on_open(true);
    builder
}

/// What a replica keeps on disk.
#[derive(Debug)]
pub struct Store {
    database: Database,
    health: Health,
    file: PathBuf,
    /// The greatest incarnation that has begun.
    begun: Option<u64>,
    _directory: Option<Directory>,
}

impl Store {
    /// Opens the directory of a server, or makes it, and reads what is there. `base` is
    /// what the replica has loaded.
    ///
    /// # Errors
    ///
    /// An [`OpenError`]. Only [`OpenError::NoSpace`] passes by itself.
    pub fn open(
        directory: &Path,
        server: u32,
        base: Arc<Base>,
    ) -> Result<(Self, Recovered), OpenError> {
        let directory = Directory::open(directory)?;
        let owner = Owner { server, base };
        let (mut store, recovered) = match Self::start_in(&directory, &owner) {
            Err(OpenError::OtherFormat { found, .. }) if is_former(found) => {
                let migrated = Migration::new(&directory, &owner, found)?.run()?;
                let (store, mut recovered) = Self::start_in(&directory, &owner)?;
                recovered.migrated = Some(migrated);
                (store, recovered)
            }
            opened => opened?,
        };
        store._directory = Some(directory);
        Ok((store, recovered))
    }

    fn start_in(directory: &Directory, owner: &Owner) -> Result<(Self, Recovered), OpenError> {
        let file = directory.file();
        let (found, is_new) = match directory.find()? {
            Found::Existing(found) => (found, false),
            Found::New(new) => (new, true),
        };
        let backend = FileBackend::new(found)
            .map_err(|error| OpenError::database(file.clone(), error.into()))?;
        let started = Self::start(backend, is_new, file, owner)?;
        if is_new {
            directory.finish()?;
        }
        Ok(started)
    }

    /// Whose directory this is; `None` where there is no store in it. Nothing is written.
    ///
    /// # Errors
    ///
    /// An [`OpenError`].
    pub fn server_of(directory: &Path) -> Result<Option<u32>, OpenError> {
        if !is_there(directory) {
            return Ok(None);
        }
        let directory = Directory::open(directory)?;
        let (Found::Existing(found) | Found::New(found)) = directory.find()?;
        let unreadable = |error: Unreadable| error.at(directory.file());
        // What is written to it, as for a repair, is dropped with it.
        let backend = FileBackend::new(found).map_err(|error| unreadable(error.into()))?;
        let (watched, _) = Watched::new(backend);
        // Not all of it is read: whoever goes on with it does that.
        let database = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(watched);
        let database = database.map_err(|error| unreadable(error.into()))?;
        let begun = database.begin_read();
        let transaction = begun.map_err(|error| unreadable(error.into()))?;
        stored_server(&transaction).map(Some).map_err(unreadable)
    }

    /// The same on anything that can hold bytes, for tests: a new store where it is
    /// empty. There is no room to migrate one of a former format, which is refused.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_on(
        backend: impl StorageBackend,
        server: u32,
        base: Arc<Base>,
    ) -> Result<(Self, Recovered), OpenError> {
        let file = PathBuf::from("the backend");
        let length = backend.len();
        let is_new = length.map_err(|source| OpenError::io(&file, source))? == 0;
        Self::start(backend, is_new, file, &Owner { server, base })
    }

    /// Opens a file, and changes nothing in one that is refused.
    pub(crate) fn start(
        backend: impl StorageBackend,
        is_new: bool,
        file: PathBuf,
        owner: &Owner,
    ) -> Result<(Self, Recovered), OpenError> {
        if !is_new && matches!(backend.len(), Ok(0)) {
            let what = "it is empty".to_owned();
            return Err(OpenError::Corrupt { file, what });
        }
        let (watched, health) = Watched::new(backend);
        let database = match builder().create_with_backend(watched.clone()) {
            Ok(database) => database,
            Err(error) => return Err(OpenError::database(file, error.into())),
        };
        let mut store = Self {
            database,
            health,
            file,
            begun: None,
            _directory: None,
        };
        if is_new {
            let founded = store.transact(|transaction| owner.found(transaction));
            founded.map_err(|error| OpenError::database(store.file.clone(), error))?;
        }
        let recovered = store.read(owner)?;
        store.begun = recovered.incarnation;
        let released = watched.release();
        released.map_err(|source| OpenError::io(&store.file, source))?;
        Ok((store, recovered))
    }

    fn read(&self, owner: &Owner) -> Result<Recovered, OpenError> {
        let unreadable = |error: Unreadable| error.at(self.file.clone());
        let begun = self.database.begin_read();
        let transaction = begun.map_err(|error| unreadable(error.into()))?;
        owner.check(&transaction, &self.file)?;
        recover(&transaction, owner.server, owner.base.clone()).map_err(unreadable)
    }

    /// Notes for good that a new life has begun: the first thing in it.
    ///
    /// # Errors
    ///
    /// As of [`write`](Self::write); and [`WriteError::Failed`] for an incarnation that
    /// is not greater than all before.
    pub fn begin(&mut self, incarnation: u64) -> Result<(), WriteError> {
        if let Some(begun) = self.begun.filter(|&begun| incarnation <= begun) {
            let what = format!("incarnation {incarnation} is not later than {begun}");
            return Err(self.failed(what));
        }
        self.commit(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert(name::INCARNATION, incarnation.to_le_bytes().as_slice())?;
            Ok(())
        })?;
        self.begun = Some(incarnation);
        Ok(())
    }

    /// Writes all of a batch, as one transaction that is on stable storage when this
    /// returns. One that is empty costs nothing.
    ///
    /// # Errors
    ///
    /// A [`WriteError`]. The store takes nothing after it; the batch may or may not be
    /// found when it is opened again, but never a part of it.
    pub fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        if self.begun.is_none() {
            return Err(self.failed("no life has begun".to_owned()));
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.commit(|transaction| batch.put(transaction))
    }

    fn commit(
        &self,
        put: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), WriteError> {
        self.transact(put)
            .map_err(|error| match self.health.failure() {
                Some(Failure { passes: true, what }) => WriteError::NoSpace {
                    file: self.file.clone(),
                    what,
                },
                Some(Failure { what, .. }) => self.failed(what),
                None => self.failed(error.to_string()),
            })
    }

    fn transact(
        &self,
        put: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        put(&transaction)?;
        Ok(transaction.commit()?)
    }

    fn failed(&self, what: String) -> WriteError {
        self.health.end(&what);
        WriteError::Failed {
            file: self.file.clone(),
            what,
        }
    }
}
