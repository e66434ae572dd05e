//! A disk in memory that journals what is done to it, and fails on demand.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use redb::StorageBackend;

use super::Random;

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

/// Handles of the same disk share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What a process sees: the page cache.
    bytes: Vec<u8>,
    journal: Vec<Change>,
    /// Changes attempted, failed ones included.
    attempts: usize,
    fault: Option<Fault>,
    /// The attempt that failed, and whether any sync was attempted after it.
    failed: Option<(&'static str, bool)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The number of the attempt, from 0.
    pub at: usize,
    pub error: i32,
    /// All later writes fail too.
    pub lasts: bool,
}

impl Disk {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.inner().bytes = bytes;
        disk
    }

    pub(crate) fn failing(fault: Fault) -> Self {
        let disk = Self::default();
        disk.inner().fault = Some(fault);
        disk
    }

    pub(crate) fn heal(&self) {
        self.inner().fault = None;
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.inner();
        inner.bytes.clear();
        inner.journal.clear();
    }

    pub(crate) fn attempts(&self) -> usize {
        self.inner().attempts
    }

    pub(crate) fn journal(&self) -> Vec<Change> {
        self.inner().journal.clone()
    }

    /// What has failed, and whether any sync was attempted after it.
    pub(crate) fn failed(&self) -> Option<(&'static str, bool)> {
        self.inner().failed
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic while it is held")
    }

    fn change(&self, what: &'static str, change: Change) -> io::Result<()> {
        let mut inner = self.inner();
        let attempt = inner.attempts;
        inner.attempts += 1;
        if let Some(failed) = &mut inner.failed {
            failed.1 |= what == "sync";
        }
        let is_hit = |fault: &Fault| {
            attempt == fault.at || (fault.lasts && attempt > fault.at && what != "sync")
        };
        if let Some(fault) = inner.fault.filter(is_hit) {
            // A write that fails may have written a part.
            if let Change::Write(offset, mut data) = change {
                data.truncate(data.len() / 2);
                inner.keep(Change::Write(offset, data));
            }
            inner.failed.get_or_insert((what, false));
            return Err(io::Error::from_raw_os_error(fault.error));
        }
        inner.keep(change);
        Ok(())
    }
}

impl Inner {
    fn keep(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.journal.push(change);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Sync => {}
        }
    }

    /// Some of it: what comes before a byte, or any of its sectors.
    fn tear(&self, random: &mut Random, bytes: &mut Vec<u8>) {
        const SECTOR: usize = 512;
        let Self::Write(offset, data) = self else {
            return;
        };
        if random.below(2) == 0 {
            let kept = data[..random.below(data.len() + 1)].to_vec();
            Self::Write(*offset, kept).apply(bytes);
            return;
        }
        for (index, sector) in data.chunks(SECTOR).enumerate() {
            if random.below(2) == 0 {
                Self::Write(offset + index * SECTOR, sector.to_vec()).apply(bytes);
            }
        }
    }
}

/// What becomes of the changes after the last sync when the power goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    None,
    All,
    /// The last one is torn, those before are kept.
    Torn,
    /// Each is kept, lost or torn.
    Any,
}

/// Calls `check` with the contents of the disk after a crash at each point of the
/// journal from `from` on, for each kind of loss.
pub(crate) fn crashes(
    journal: &[Change],
    from: usize,
    losses: &[Loss],
    random: &mut Random,
    mut check: impl FnMut(usize, Loss, Vec<u8>),
) {
    let mut synced = Vec::new();
    let mut since = 0;
    for point in 0..=journal.len() {
        if point >= from {
            for &loss in losses {
                let mut bytes = synced.clone();
                lose(&journal[since..point], loss, random, &mut bytes);
                check(point, loss, bytes);
            }
        }
        if let Some(Change::Sync) = journal.get(point) {
            let settled = &journal[since..point];
            settled.iter().for_each(|change| change.apply(&mut synced));
            since = point;
        }
    }
}

fn lose(changes: &[Change], loss: Loss, random: &mut Random, bytes: &mut Vec<u8>) {
    for (index, change) in changes.iter().enumerate() {
        let is_last = index + 1 == changes.len();
        match (loss, random.below(4)) {
            (Loss::All, _) | (Loss::Any, 0) => {}
            (Loss::Torn, _) if is_last => change.tear(random, bytes),
            (Loss::Any, 1) => change.tear(random, bytes),
            (Loss::None | Loss::Torn | Loss::Any, _) => change.apply(bytes),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (inner, offset) = (self.inner(), offset as usize);
        let found = inner.bytes.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change("set_len", Change::Length(length as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change("sync", Change::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change("write", Change::Write(offset as usize, data.to_vec()))
    }
}
