//! What fails between the database and the file, and that nothing follows it.

use std::{
    io,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use redb::{BackendError, StorageBackend};

use crate::error::is_full;

/// A backend that notes what fails.
///
/// The database's errors do not tell a write that failed from a sync that failed; but
/// a full disk is harmless in the one, and the end in the other. After the end nothing
/// reaches the file any more: the kernel may have dropped what it could not write, and
/// a later sync that succeeds would make it look stored.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    inner: B,
    health: Health,
}

/// The first failure, or the first that is worse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<Option<Failure>>>);

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// A write found no room: all that was synced before is safe.
    pub(crate) passes: bool,
    /// What was attempted, and what the system said.
    pub(crate) what: String,
}

impl Health {
    pub(crate) fn failure(&self) -> Option<Failure> {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone()
    }

    /// From now on nothing is written.
    pub(crate) fn end(&self, what: &str) {
        self.note(false, what.to_owned());
    }

    fn note(&self, passes: bool, what: String) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failure
            .as_ref()
            .is_none_or(|before| before.passes && !passes)
        {
            *failure = Some(Failure { passes, what });
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.failure() {
            Some(Failure {
                passes: false,
                what,
            }) => Err(io::Error::other(format!("after a failure: {what}"))),
            _ => Ok(()),
        }
    }
}

impl<B> Watched<B> {
    pub(crate) fn new(inner: B) -> (Self, Health) {
        let health = Health::default();
        let watched = Self {
            inner,
            health: health.clone(),
        };
        (watched, health)
    }

    fn note(&self, attempt: &str, outcome: io::Result<()>) -> io::Result<()> {
        outcome.inspect_err(|error| {
            let what = format!("{attempt}: {error}");
            self.health.note(is_full(error), what);
        })
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.check()?;
        self.note("set the length", self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.health.check()?;
        let synced = self.inner.sync_data();
        synced.inspect_err(|error| self.health.end(&format!("sync: {error}")))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.check()?;
        self.note("write", self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
