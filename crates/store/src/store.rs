//! One directory of one server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use backfence_ratings::Base;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, StorageBackend, WriteTransaction,
    backends::FileBackend,
};

use crate::{
    Batch, OpenError, Recovered, WriteError,
    create::{Directory, Found},
    error::Unreadable,
    recover::{exactly, recover},
    tables::{CELLS, EXECUTED, FORMAT, MEMBERS, META, RECORDS, WAITING, name},
    watch::{Failure, Health, Watched},
};

/// Most bytes of pages that are kept in memory. A batch may be larger: what does not fit
/// is written early, and read again when it is needed.
const CACHE: usize = 16 << 20;

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

/// What the stored data has to belong to.
struct Owner {
    server: u32,
    base: Arc<Base>,
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
        let file = directory.file();
        let owner = Owner { server, base };
        let (found, is_new) = match directory.find()? {
            Found::Existing(found) => (found, false),
            Found::New(new) => (new, true),
        };
        let backend = FileBackend::new(found)
            .map_err(|error| OpenError::database(file.clone(), error.into()))?;
        let (mut store, recovered) = Self::start(backend, is_new, file, owner)?;
        if is_new {
            directory.finish()?;
        }
        store._directory = Some(directory);
        Ok((store, recovered))
    }

    /// The same on anything that can hold bytes, for tests: a new store where it is
    /// empty.
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
        Self::start(backend, is_new, file, Owner { server, base })
    }

    fn start(
        backend: impl StorageBackend,
        is_new: bool,
        file: PathBuf,
        owner: Owner,
    ) -> Result<(Self, Recovered), OpenError> {
        if !is_new && matches!(backend.len(), Ok(0)) {
            let what = "it is empty".to_owned();
            return Err(OpenError::Corrupt { file, what });
        }
        let (watched, health) = Watched::new(backend);
        let opened = Builder::new()
            .set_cache_size(CACHE)
            // All of it is read in any case, and without this a damaged page can go
            // unnoticed, or end in a panic.
            .set_check_integrity_on_open(true)
            .create_with_backend(watched);
        let database = match opened {
            Ok(database) => database,
            Err(error) => return Err(OpenError::database(file, error.into())),
        };
        let store = Self {
            database,
            health,
            file,
            begun: None,
            _directory: None,
        };
        if is_new {
            store.found(&owner)?;
        }
        store.read(owner)
    }

    /// Writes whose it is, and all tables.
    fn found(&self, owner: &Owner) -> Result<(), OpenError> {
        self.transact(|transaction| {
            transaction.open_table(MEMBERS)?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(WAITING)?;
            transaction.open_table(CELLS)?;
            transaction.open_table(EXECUTED)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(name::FORMAT, FORMAT.to_le_bytes().as_slice())?;
            meta.insert(name::SERVER, owner.server.to_le_bytes().as_slice())?;
            meta.insert(name::FINGERPRINT, owner.base.fingerprint().as_bytes())?;
            Ok(())
        })
        .map_err(|error| OpenError::database(self.file.clone(), error))
    }

    fn read(mut self, owner: Owner) -> Result<(Self, Recovered), OpenError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| Unreadable::from(error).at(self.file.clone()))?;
        self.check(&transaction, &owner)?;
        let recovered = recover(&transaction, owner.server, owner.base)
            .map_err(|error| error.at(self.file.clone()))?;
        drop(transaction);
        self.begun = recovered.incarnation;
        Ok((self, recovered))
    }

    /// Refuses what belongs to something else.
    fn check(&self, transaction: &ReadTransaction, owner: &Owner) -> Result<(), OpenError> {
        let file = self.file.clone();
        let found = number(transaction, name::FORMAT).map_err(|error| error.at(file.clone()))?;
        if found != FORMAT {
            let known = FORMAT;
            return Err(OpenError::OtherFormat { file, found, known });
        }
        let stored = number(transaction, name::SERVER).map_err(|error| error.at(file.clone()))?;
        if stored != owner.server {
            return Err(OpenError::OtherServer {
                file,
                stored,
                given: owner.server,
            });
        }
        let given = owner.base.fingerprint();
        let stored = fingerprint(transaction).map_err(|error| error.at(file.clone()))?;
        if stored != given {
            return Err(OpenError::OtherData {
                file,
                stored,
                given,
            });
        }
        Ok(())
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

fn number(transaction: &ReadTransaction, name: &str) -> Result<u32, Unreadable> {
    let meta = transaction.open_table(META)?;
    let bytes = meta.get(name)?.ok_or_else(|| missing(name))?;
    Ok(u32::from_le_bytes(exactly(bytes.value())?))
}

fn fingerprint(transaction: &ReadTransaction) -> Result<String, Unreadable> {
    let meta = transaction.open_table(META)?;
    let bytes = meta.get(name::FINGERPRINT)?;
    let bytes = bytes.ok_or_else(|| missing(name::FINGERPRINT))?;
    Ok(String::from_utf8_lossy(bytes.value()).into_owned())
}

fn missing(name: &str) -> Unreadable {
    Unreadable::What(format!("it does not say its {name}"))
}
