//! Whose a store is, and of which format.

use std::{path::Path, sync::Arc};

use backfence_ratings::Base;
use redb::{ReadTransaction, WriteTransaction};

use crate::{
    OpenError,
    error::Unreadable,
    migrate::OLDEST,
    recover::exactly,
    tables::{CELLS, EXECUTED, FORMAT, MEMBERS, META, RECORDS, WAITING, name},
};

/// What the stored data has to belong to.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) server: u32,
    pub(crate) base: Arc<Base>,
}

impl Owner {
    /// Writes whose it is, and all tables.
    pub(crate) fn found(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        transaction.open_table(MEMBERS)?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(WAITING)?;
        transaction.open_table(CELLS)?;
        transaction.open_table(EXECUTED)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(name::FORMAT, FORMAT.to_le_bytes().as_slice())?;
        meta.insert(name::SERVER, self.server.to_le_bytes().as_slice())?;
        meta.insert(name::FINGERPRINT, self.base.fingerprint().as_bytes())?;
        Ok(())
    }

    /// Refuses what belongs to something else, or has another format. These are named the
    /// same in all formats that can be migrated, which come last: what is another's is not
    /// migrated.
    pub(crate) fn check(
        &self,
        transaction: &ReadTransaction,
        file: &Path,
    ) -> Result<(), OpenError> {
        let unreadable = |error: Unreadable| error.at(file.into());
        let found = number(transaction, name::FORMAT).map_err(unreadable)?;
        let other_format = || OpenError::OtherFormat {
            file: file.into(),
            found,
            oldest: OLDEST,
            known: FORMAT,
        };
        if !(OLDEST..=FORMAT).contains(&found) {
            return Err(other_format());
        }
        let stored = stored_server(transaction).map_err(unreadable)?;
        if stored != self.server {
            return Err(OpenError::OtherServer {
                file: file.into(),
                stored,
                given: self.server,
            });
        }
        let given = self.base.fingerprint();
        let stored = fingerprint(transaction).map_err(unreadable)?;
        if stored != given {
            return Err(OpenError::OtherData {
                file: file.into(),
                stored,
                given,
            });
        }
        if found != FORMAT {
            return Err(other_format());
        }
        Ok(())
    }
}

/// The number of the server that a store belongs to.
pub(crate) fn stored_server(transaction: &ReadTransaction) -> Result<u32, Unreadable> {
    number(transaction, name::SERVER)
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

pub(crate) fn missing(name: &str) -> Unreadable {
    Unreadable::What(format!("it does not say its {name}"))
}
