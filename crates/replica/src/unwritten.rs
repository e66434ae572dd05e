//! What is still to be written, and what a checkpoint is to hold.

use std::{collections::BTreeSet, mem};

use backfence_gossip::{Record, Replica, UpdateId};
use backfence_ratings::{MovieId, Operation, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, Recovered};

/// Records after which a checkpoint takes their place. Enough to be cheap by the
/// record, few enough to be made while requests wait for the lock.
const CHECKPOINT: usize = 4096;

/// How much was noted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Position(u64);

/// What was noted since the disk took the last batch.
pub(crate) struct Unwritten {
    batch: Batch,
    position: Position,
    /// The last record of this replica's own.
    own: Position,
    /// What records since the last checkpoint are about.
    changed: Vec<Key>,
    /// The next checkpoint replaces everything.
    whole: bool,
}

type Key = (UserId, MovieId, UpdateId);

impl Unwritten {
    /// Nothing is to be written; of `recovered` all that its checkpoint lacks is to be
    /// in the next.
    pub(crate) fn after(recovered: &Recovered) -> Self {
        let state = recovered.state.as_ref();
        let waiting = state.into_iter().flat_map(|state| &state.log);
        let waiting = waiting
            .filter(|entry| entry.waiting)
            .map(|entry| &entry.record);
        Self {
            batch: Batch::default(),
            position: Position::default(),
            own: Position::default(),
            changed: waiting.chain(&recovered.records).map(key).collect(),
            whole: false,
        }
    }

    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    pub(crate) const fn own(&self) -> Position {
        self.own
    }

    /// Notes a record that this replica has made itself.
    pub(crate) fn made(&mut self, record: Record<Operation>) {
        self.received(record);
        self.own = self.position;
    }

    /// Notes a record of another replica.
    pub(crate) fn received(&mut self, record: Record<Operation>) {
        self.changed.push(key(&record));
        self.batch.records.push(record);
        self.position.0 += 1;
    }

    /// Notes who takes part.
    pub(crate) fn met(&mut self, replica: &Replica<Ratings>) {
        self.batch.members = Some(replica.members().collect());
        self.position.0 += 1;
    }

    /// Notes that a whole state was joined. It may have become an update of this
    /// replica's own.
    pub(crate) fn joined(&mut self) {
        self.whole = true;
        self.position.0 += 1;
        self.own = self.position;
    }

    /// What is to be written next, if anything, and how far it reaches.
    pub(crate) fn take(&mut self, replica: &Replica<Ratings>) -> Option<(Batch, Position)> {
        if self.whole || self.changed.len() >= CHECKPOINT {
            self.batch.checkpoint = Some(self.checkpoint(replica));
        }
        let batch = mem::take(&mut self.batch);
        (!batch.is_empty()).then_some((batch, self.position))
    }

    /// A cut of everything, or of what has changed.
    fn checkpoint(&mut self, replica: &Replica<Ratings>) -> Checkpoint {
        let waiting = || {
            replica
                .waiting()
                .filter_map(|(origin, number)| replica.record(origin, number))
        };
        let changed = mem::replace(&mut self.changed, waiting().map(key).collect());
        if mem::take(&mut self.whole) {
            return Checkpoint::whole(replica.state());
        }
        let value = replica.value();
        let cells = changed
            .iter()
            .map(|&(user, movie, _)| (movie, user, value.cell(user, movie)));
        let sessions: BTreeSet<_> = changed.iter().map(|(.., id)| id.session).collect();
        let executed = sessions
            .into_iter()
            .filter_map(|session| Some((session, replica.executed(session)?.clone())));
        Checkpoint {
            cut: replica.cut(Ratings::new(value.base().clone())),
            waiting: replica.waiting().collect(),
            cells: cells.collect(),
            executed: executed.collect(),
            whole: None,
        }
    }
}

fn key(record: &Record<Operation>) -> Key {
    let update = record.update();
    let operation = &update.operation;
    (operation.user(), operation.movie(), update.id)
}
