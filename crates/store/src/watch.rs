//! What passes between the database and the file: nothing before it is known that the file
//! is the right one, and nothing after a failure.

use std::{
    io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend};

use crate::{
    error::is_full,
    held::{Change, Held},
};

/// A backend that notes what fails, and that changes nothing at first.
///
/// The database writes to a file as soon as it opens it. One that is refused, or that is to
/// be migrated, stays as it is: until the [`release`](Self::release) all changes are held
/// back, which are those of the file's header.
///
/// The database's errors do not tell a write that failed from a sync that failed; but
/// a full disk is harmless in the one, and the end in the other. After the end nothing
/// reaches the file any more: the kernel may have dropped what it could not write, and
/// a later sync that succeeds would make it look stored.
#[derive(Debug)]
pub(crate) struct Watched<B>(Arc<Inner<B>>);

#[derive(Debug)]
struct Inner<B> {
    backend: B,
    health: Health,
    /// What is held back, as long as anything is.
    held: Mutex<Option<Held>>,
}

impl<B> Clone for Watched<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
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
        let watched = Self(Arc::new(Inner {
            backend: inner,
            health: health.clone(),
            held: Mutex::new(Some(Held::default())),
        }));
        (watched, health)
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: StorageBackend> Watched<B> {
    /// Passes on what was held back, and from now on every change at once.
    pub(crate) fn release(&self) -> io::Result<()> {
        let mut held = self.held();
        for change in held.iter().flat_map(Held::changes) {
            self.pass(change)?;
        }
        // Not before: after a failure the database must not build on what is missing.
        *held = None;
        Ok(())
    }

    fn change(&self, change: Change<'_>) -> io::Result<()> {
        match &mut *self.held() {
            Some(held) => held.push(change),
            None => return self.pass(&change),
        }
        Ok(())
    }

    fn pass(&self, change: &Change<'_>) -> io::Result<()> {
        let Inner {
            backend, health, ..
        } = &*self.0;
        health.check()?;
        let (attempt, outcome) = match change {
            Change::Length(length) => ("set the length", backend.set_len(*length)),
            Change::Write(offset, data) => ("write", backend.write(*offset, data)),
            Change::Sync => {
                let synced = backend.sync_data();
                return synced.inspect_err(|error| health.end(&format!("sync: {error}")));
            }
        };
        outcome.inspect_err(|error| health.note(is_full(error), format!("{attempt}: {error}")))
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        let length = self.0.backend.len()?;
        Ok(match &*self.held() {
            Some(held) => held.length(length),
            None => length,
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.held();
        let backend = &self.0.backend;
        match &*held {
            Some(held) => held.read(backend, offset, out),
            None => {
                drop(held);
                backend.read(offset, out)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Change::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.into()))
    }

    fn close(&self) -> io::Result<()> {
        self.0.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A generator of which a seed gives the same numbers for ever.
    fn below(state: &mut u64, end: usize) -> usize {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 33) as usize % end
    }

    fn contents(backend: &impl StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; backend.len().expect("in memory") as usize];
        backend.read(0, &mut bytes).expect("in memory");
        bytes
    }

    /// Whoever reads sees what was held back; the backend does once it is released.
    #[test]
    fn what_is_held_back_is_seen_and_not_done() {
        for seed in 0..200 {
            let mut random = seed;
            let backend = InMemoryBackend::new();
            let before = vec![9; below(&mut random, 60)];
            backend.set_len(before.len() as u64).expect("in memory");
            backend.write(0, &before).expect("in memory");
            let (watched, _) = Watched::new(backend);
            let mut expected = before.clone();
            for change in 1..20 {
                match below(&mut random, 5) {
                    0 => {
                        let length = below(&mut random, 80);
                        watched.set_len(length as u64).expect("held");
                        expected.resize(length, 0);
                    }
                    1 => watched.sync_data().expect("held"),
                    _ if expected.is_empty() => {}
                    _ => {
                        let first = below(&mut random, expected.len());
                        let last = first + below(&mut random, expected.len() - first + 1);
                        watched
                            .write(first as u64, &vec![change; last - first])
                            .expect("held");
                        expected[first..last].fill(change);
                    }
                }
                assert_eq!(watched.len().expect("in memory"), expected.len() as u64);
                let first = below(&mut random, expected.len() + 1);
                let last = first + below(&mut random, expected.len() - first + 1);
                let mut part = vec![1; last - first];
                watched.read(first as u64, &mut part).expect("it is there");
                assert_eq!(part, expected[first..last], "seed {seed}, change {change}");
                let beyond = watched.read(expected.len() as u64, &mut [0]);
                assert!(beyond.is_err(), "seed {seed}, change {change}");
            }
            assert_eq!(contents(&watched.0.backend), before, "seed {seed}");
            watched.release().expect("in memory");
            assert_eq!(contents(&watched.0.backend), expected, "seed {seed}");
            watched.set_len(1).expect("in memory");
            assert_eq!(watched.0.backend.len().expect("in memory"), 1);
        }
    }
}
