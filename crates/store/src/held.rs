//! Changes of a file that are not done yet, and how it looks with them.

use std::{borrow::Cow, io};

use redb::StorageBackend;

/// What the database does to the file.
#[derive(Clone, Debug)]
pub(crate) enum Change<'a> {
    Length(u64),
    Write(u64, Cow<'a, [u8]>),
    Sync,
}

impl Change<'_> {
    fn into_owned(self) -> Change<'static> {
        match self {
            Self::Length(length) => Change::Length(length),
            Self::Write(offset, data) => Change::Write(offset, data.into_owned().into()),
            Self::Sync => Change::Sync,
        }
    }

    /// How long a file of `length` is after it.
    fn length(&self, length: u64) -> u64 {
        match self {
            Self::Length(length) => *length,
            Self::Write(offset, data) => length.max(offset + data.len() as u64),
            Self::Sync => length,
        }
    }

    /// Does it to `part` of the file, from `from` on.
    fn apply(&self, from: u64, part: &mut [u8]) {
        let place = |at: u64| (at.saturating_sub(from) as usize).min(part.len());
        match self {
            Self::Length(length) => {
                let kept = place(*length);
                part[kept..].fill(0);
            }
            Self::Write(offset, data) => {
                let (first, last) = (place(*offset), place(offset + data.len() as u64));
                if first < last {
                    let skip = from.saturating_sub(*offset) as usize;
                    part[first..last].copy_from_slice(&data[skip..][..last - first]);
                }
            }
            Self::Sync => {}
        }
    }
}

/// Changes, in order.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<Change<'static>>);

impl Held {
    pub(crate) fn push(&mut self, change: Change<'_>) {
        self.0.push(change.into_owned());
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = &Change<'static>> {
        self.0.iter()
    }

    /// How long a file of `length` is with them.
    pub(crate) fn length(&self, length: u64) -> u64 {
        let changes = self.changes();
        changes.fold(length, |length, change| change.length(length))
    }

    /// Reads what would be in `file` with them.
    pub(crate) fn read(
        &self,
        file: &impl StorageBackend,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let (stored, end) = (file.len()?, offset + out.len() as u64);
        if end > self.length(stored) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (there, beyond) = out.split_at_mut((stored.clamp(offset, end) - offset) as usize);
        if !there.is_empty() {
            file.read(offset, there)?;
        }
        beyond.fill(0);
        self.changes().for_each(|change| change.apply(offset, out));
        Ok(())
    }
}
