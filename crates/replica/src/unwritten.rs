//! What is still to be written, and what a checkpoint is to hold.

use std::{collections::BTreeSet, mem};

use backfence_gossip::{Advanced, Executed, Record, Replica, SessionId};
use backfence_ratings::{MovieId, Operation, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, Recovered};
use backfence_wire::ClusterId;

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
    /// The name of the cluster.
    named: Position,
    changed: Changed,
    /// The next batch has a checkpoint.
    due: bool,
    /// The next checkpoint replaces everything.
    whole: bool,
    /// How often the blocks of digests had changed at the last checkpoint.
    changes: u64,
}

/// What may be other than in the last checkpoint. It may name something twice.
#[derive(Default)]
struct Changed {
    cells: Vec<(UserId, MovieId)>,
    sessions: Vec<SessionId>,
    /// The blocks of digests that are gone.
    blocks: Vec<(SessionId, u64)>,
}

impl Changed {
    /// What these records are about.
    fn of<'a>(records: impl Iterator<Item = &'a Record<Operation>>) -> Self {
        let mut changed = Self::default();
        records.for_each(|record| changed.by(record));
        changed
    }

    fn by(&mut self, record: &Record<Operation>) {
        let update = record.update();
        let operation = &update.operation;
        self.cells.push((operation.user(), operation.movie()));
        self.sessions.push(update.id.session);
    }
}

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
            named: Position::default(),
            changed: Changed::of(waiting.chain(&recovered.records)),
            due: false,
            whole: false,
            changes: 0,
        }
    }

    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    pub(crate) const fn own(&self) -> Position {
        self.own
    }

    pub(crate) const fn named(&self) -> Position {
        self.named
    }

    /// Notes a record that this replica has made itself.
    pub(crate) fn made(&mut self, record: Record<Operation>) {
        self.received(record);
        self.own = self.position;
    }

    /// Notes a record of another replica.
    pub(crate) fn received(&mut self, record: Record<Operation>) {
        self.changed.by(&record);
        self.batch.records.push(record);
        self.position.0 += 1;
    }

    /// Notes who takes part.
    pub(crate) fn met(&mut self, replica: &Replica<Ratings>) {
        self.batch.members = Some(replica.members().collect());
        self.position.0 += 1;
    }

    /// Notes which cluster the replica belongs to.
    pub(crate) fn belongs(&mut self, to: ClusterId) {
        self.batch.cluster = Some(to);
        self.position.0 += 1;
        self.named = self.position;
    }

    /// Notes that a whole state was joined. It may have become an update of this
    /// replica's own.
    pub(crate) fn joined(&mut self) {
        self.whole = true;
        self.position.0 += 1;
        self.own = self.position;
    }

    /// Notes that time has passed: what was forgotten of the executed table, and what was
    /// let go of in the value, goes with the next checkpoint. That is the next batch, and
    /// to be waited for, where more `is_past`: dated too long ago, or settled.
    pub(crate) fn aged(
        &mut self,
        is_past: bool,
        advanced: Advanced,
        released: Vec<(UserId, MovieId)>,
    ) {
        self.changed.sessions.extend(advanced.forgotten);
        self.changed.blocks.extend(advanced.blocks);
        self.changed.cells.extend(released);
        if is_past {
            self.due = true;
            self.position.0 += 1;
        }
    }

    /// What is to be written next, if anything, and how far it reaches.
    pub(crate) fn take(&mut self, replica: &Replica<Ratings>) -> Option<(Batch, Position)> {
        let many = self.changed.cells.len().max(self.changed.sessions.len());
        if self.due || self.whole || many >= CHECKPOINT {
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
        let changed = mem::replace(&mut self.changed, Changed::of(waiting()));
        self.due = false;
        let before = mem::replace(&mut self.changes, replica.executed_changes());
        if mem::take(&mut self.whole) {
            return Checkpoint::whole(replica.state());
        }
        let value = replica.value();
        let cells = changed.cells.into_iter();
        let cells = cells.map(|(user, movie)| (movie, user, value.cell(user, movie)));
        let sessions: BTreeSet<_> = changed.sessions.into_iter().collect();
        // Those that are gone come first: a block may be there again.
        let gone = changed.blocks.into_iter().map(|place| (place, None));
        let mut blocks: Vec<_> = gone.collect();
        let mut executed = Vec::with_capacity(sessions.len());
        for session in sessions {
            let of = replica.executed(session);
            let changed = of.into_iter().flat_map(|of| of.changed_since(before));
            blocks.extend(changed.map(|block| ((session, block.number), Some(block.clone()))));
            executed.push((session, of.map(Executed::without_blocks)));
        }
        Checkpoint {
            cut: replica.cut(Ratings::new(value.base().clone())),
            waiting: replica.waiting().collect(),
            cells: cells.collect(),
            executed,
            blocks,
            whole: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use backfence_gossip::{Limits, ReplicaId, Time, Timestamp, Update, UpdateId};

    use super::*;
    use crate::fixture;

    #[test]
    fn what_is_past_goes_with_a_checkpoint_that_is_waited_for() {
        let own = ReplicaId::new(1, 10);
        let mut replica = fixture::replica(own, []);
        let mut unwritten = Unwritten::after(&Recovered::default());
        let (made, session) = (Time(1_000_000_000), SessionId(7));
        let (user, movie) = (UserId(9), MovieId(1));
        let update = Update {
            id: UpdateId::new(session, 1),
            prev: Timestamp::new(),
            time: made,
            operation: Operation::Delete { user, movie },
        };
        replica.update(update.clone(), made).expect("it is taken");
        unwritten.made(Record::new(own, 1, update).expect("it can be"));
        let (batch, first) = unwritten.take(&replica).expect("a record");
        assert!(batch.records.len() == 1 && batch.checkpoint.is_none());
        unwritten.aged(false, Advanced::default(), Vec::new());
        assert!(unwritten.take(&replica).is_none() && unwritten.position() == first);

        let now = made.after(2 * Limits::default().late);
        let advanced = replica.advance(now);
        let released = replica.release(Ratings::release);
        assert_eq!(
            (advanced.settled, &advanced.forgotten[..], &released[..]),
            (true, &[session][..], &[(user, movie)][..])
        );
        unwritten.aged(true, advanced, released);
        assert!(unwritten.position() > first, "reports wait for it");
        let (batch, reaches) = unwritten.take(&replica).expect("a checkpoint");
        let checkpoint = batch.checkpoint.expect("it is due");
        assert!(checkpoint.whole.is_none() && reaches == unwritten.position());
        assert_eq!(checkpoint.executed, [(session, None)]);
        assert!(checkpoint.cells.contains(&(movie, user, None)));
        assert_eq!(checkpoint.cut.settled, replica.settled());
        assert!(unwritten.take(&replica).is_none(), "once is enough");
    }
}
