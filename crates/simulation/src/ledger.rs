//! The value that the simulation replicates: it counts.

use std::collections::BTreeMap;

use backfence_gossip::{Digest, Time, Update, UpdateId, Value};
use fixedbitset::FixedBitSet;

use crate::versions::{NEW, OLD};

/// An update of the simulation: the `index`-th of the run writes to `cell`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    /// Counts the updates of a run, over all sessions.
    pub index: usize,
    /// What it writes to.
    pub cell: u8,
    /// It takes back what was written there.
    pub delete: bool,
    /// Only the newer program understands it.
    pub newer: bool,
}

/// Who wrote a cell last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Winner {
    time: Time,
    id: UpdateId,
    index: usize,
    /// A tombstone.
    deleted: bool,
}

/// How often each update took effect, and who wrote each cell last.
///
/// Not idempotent on purpose: an update that is applied twice shows. Two replicas
/// that joined may both have applied it, so a join takes the greater count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// By index; see [`applied`](Self::applied).
    counts: Vec<u8>,
    applied: FixedBitSet,
    cells: BTreeMap<u8, Winner>,
}

impl Ledger {
    /// The indices of the updates that took effect.
    pub const fn applied(&self) -> &FixedBitSet {
        &self.applied
    }

    /// How often each update took effect.
    pub(crate) fn counts(&self) -> &[u8] {
        &self.counts
    }

    /// How often an update took effect.
    pub fn count(&self, index: usize) -> u8 {
        self.counts.get(index).copied().unwrap_or(0)
    }

    /// The last write to a cell.
    pub fn read(&self, cell: u8) -> Option<usize> {
        let winner = self.cells.get(&cell).filter(|winner| !winner.deleted);
        winner.map(|winner| winner.index)
    }

    /// Forgets the deletions before a time that is settled everywhere.
    pub(crate) fn release(&mut self, before: Time) {
        let is_kept = |winner: &Winner| !winner.deleted || winner.time >= before;
        self.cells.retain(|_, winner| is_kept(winner));
    }

    fn set(&mut self, index: usize, count: u8) {
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
            self.applied.grow(index + 1);
        }
        self.counts[index] = count;
        self.applied.insert(index);
    }

    fn win(&mut self, cell: u8, candidate: Winner) {
        let winner = self.cells.entry(cell).or_insert(candidate);
        *winner = (*winner).max(candidate);
    }
}

impl Value for Ledger {
    type Operation = Write;

    fn apply(&mut self, update: &Update<Write>) {
        let Write {
            index,
            cell,
            delete: deleted,
            ..
        } = update.operation;
        self.set(index, self.count(index).saturating_add(1));
        self.win(
            cell,
            Winner {
                time: update.time,
                id: update.id,
                index,
                deleted,
            },
        );
    }

    fn merge(&mut self, other: Self) {
        for index in other.applied.ones() {
            self.set(index, self.count(index).max(other.count(index)));
        }
        for (cell, winner) in other.cells {
            self.win(cell, winner);
        }
    }

    fn size(_: &Write) -> usize {
        16
    }

    fn version(write: &Write) -> u32 {
        if write.newer { NEW } else { OLD }
    }

    fn digest(update: &Update<Write>) -> Digest {
        let Write { index, .. } = update.operation;
        Digest((u128::from(update.time.0) << 64 | index as u128).to_be_bytes())
    }
}
