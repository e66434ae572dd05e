//! The value that the model replicates: it counts.

use std::fmt;

use backfence_gossip::{Digest, Time, Update, UpdateId, Value};

/// Most updates of a run.
pub(crate) const UPDATES: usize = 4;

/// A set of updates, by their index in the run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Updates(u8);

impl Updates {
    pub(crate) fn insert(&mut self, index: u8) {
        self.0 |= 1 << index;
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn contains(self, index: u8) -> bool {
        self.0 & (1 << index) != 0
    }

    /// The first update that is here and not in `other`.
    pub(crate) fn first_beyond(self, other: Self) -> Option<u8> {
        self.iter().find(|&index| !other.contains(index))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |&index| self.contains(index))
    }
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// How often each update took effect, and which write won.
///
/// Not idempotent on purpose: an update that is applied twice shows. Two replicas
/// that join may both have applied it, so a join takes the greater count. All
/// updates write to one cell, so that every two of them conflict.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Tally {
    counts: [u8; UPDATES],
    winner: Option<(Time, UpdateId, u8)>,
}

impl Tally {
    /// The updates that took effect.
    pub(crate) fn applied(&self) -> Updates {
        let mut applied = Updates::default();
        (0u8..)
            .zip(self.counts)
            .filter(|&(_, count)| count > 0)
            .for_each(|(index, _)| applied.insert(index));
        applied
    }

    /// An update that took effect more than once, and how often.
    pub(crate) fn repeated(&self) -> Option<(u8, u8)> {
        (0u8..).zip(self.counts).find(|&(_, count)| count > 1)
    }

    /// The update whose write won.
    pub(crate) fn winner(&self) -> Option<u8> {
        self.winner.map(|(_, _, index)| index)
    }
}

impl Value for Tally {
    /// The index of the update in the run.
    type Operation = u8;

    fn apply(&mut self, update: &Update<u8>) {
        let count = &mut self.counts[usize::from(update.operation)];
        *count = count.saturating_add(1);
        let candidate = (update.time, update.id, update.operation);
        self.winner = self.winner.max(Some(candidate));
    }

    fn merge(&mut self, other: Self) {
        for (count, theirs) in self.counts.iter_mut().zip(other.counts) {
            *count = (*count).max(theirs);
        }
        self.winner = self.winner.max(other.winner);
    }

    fn size(_: &u8) -> usize {
        1
    }

    fn digest(update: &Update<u8>) -> Digest {
        Digest((u128::from(update.time.0) << 8 | u128::from(update.operation)).to_be_bytes())
    }
}
