//! What is written, and how.

use backfence_gossip::{Block, Executed, LogEntry, Record, ReplicaId, SessionId, State, Timestamp};
use backfence_ratings::{Cell, MovieId, Operation, Ratings, UserId};
use backfence_wire::{ClusterId, stored};
use redb::{Table, WriteTransaction};

use crate::tables::{
    CELLS, DIGESTS, EXECUTED, MEMBERS, META, Place, RECORDS, WAITING, name, place, place_of,
};

/// What becomes durable at once.
///
/// Writing a batch twice is the same as writing it once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The records that were accepted or received, per origin in order. They may have
    /// come before or after the checkpoint.
    pub records: Vec<Record<Operation>>,
    /// Everyone known, where there is somebody new.
    pub members: Option<Vec<ReplicaId>>,
    /// Takes the place of the one before.
    pub checkpoint: Option<Checkpoint>,
    /// The cluster that the replica belongs to, where that has changed.
    pub cluster: Option<ClusterId>,
}

/// The state as one consistent cut: what has changed in it since the last checkpoint, or
/// [all of it](Self::whole).
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The cut. Of its log, its executed updates and its value nothing is read.
    pub cut: State<Ratings>,
    /// The places, as (origin, number), of all records in the log that wait.
    pub waiting: Vec<(ReplicaId, u64)>,
    /// The cells that have changed; `None` where there is none any more.
    pub cells: Vec<(MovieId, UserId, Option<Cell>)>,
    /// What is executed of the sessions of which more is, without blocks of digests; `None`
    /// where all of it is forgotten.
    pub executed: Vec<(SessionId, Option<Executed>)>,
    /// The blocks of digests that have changed, by session and number; `None` where one is
    /// forgotten.
    pub blocks: Vec<((SessionId, u64), Option<Block>)>,
    /// The log of the cut, where this replaces all that was stored before: after a
    /// state was joined. Then `cells`, `executed` and `blocks` hold all that there are.
    pub whole: Option<Vec<LogEntry<Operation>>>,
}

impl Checkpoint {
    /// Everything in `state`.
    pub fn whole(state: State<Ratings>) -> Self {
        let cells = state.value.cells();
        let waiting = state.log.iter().filter(|entry| entry.waiting);
        let (mut executed, mut blocks) = (Vec::new(), Vec::new());
        for (session, of) in state.executed {
            executed.push((session, Some(of.without_blocks())));
            for block in of.older.into_iter().flat_map(|older| older.blocks) {
                blocks.push(((session, block.number), Some(block)));
            }
        }
        Self {
            waiting: waiting
                .map(|entry| (entry.record.origin(), entry.record.number()))
                .collect(),
            cells: cells
                .map(|(movie, user, cell)| (movie, user, Some(cell)))
                .collect(),
            executed,
            blocks,
            whole: Some(state.log),
            cut: State {
                log: Vec::new(),
                executed: Vec::new(),
                value: Ratings::new(state.value.base().clone()),
                ..state
            },
        }
    }
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.members.is_none()
            && self.checkpoint.is_none()
            && self.cluster.is_none()
    }

    pub(crate) fn put(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.put(transaction)?;
        }
        if let Some(members) = &self.members {
            put_members(transaction, members)?;
        }
        if let Some(ClusterId(cluster)) = self.cluster {
            let mut meta = transaction.open_table(META)?;
            meta.insert(name::CLUSTER, cluster.as_slice())?;
        }
        if !self.records.is_empty() {
            let cut = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.cut);
            let gone = |record: &&Record<Operation>| {
                cut.is_some_and(|cut| record.number() <= cut.floor.count(record.origin()))
            };
            let mut table = transaction.open_table(RECORDS)?;
            put_records(
                &mut table,
                self.records.iter().filter(|record| !gone(record)),
            )?;
        }
        Ok(())
    }
}

impl Checkpoint {
    fn put(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        if let Some(log) = &self.whole {
            transaction.delete_table(RECORDS)?;
            transaction.delete_table(CELLS)?;
            transaction.delete_table(EXECUTED)?;
            transaction.delete_table(DIGESTS)?;
            let mut table = transaction.open_table(RECORDS)?;
            put_records(&mut table, log.iter().map(|entry| &entry.record))?;
        }
        self.put_cut(transaction)?;
        self.discard(transaction)?;
        self.put_waiting(transaction)?;
        self.put_cells(transaction)?;
        self.put_executed(transaction)?;
        self.put_blocks(transaction)
    }

    fn put_cut(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut meta = transaction.open_table(META)?;
        meta.insert(name::CUT, stored::cut(&self.cut).as_slice())?;
        transaction.delete_table(MEMBERS)?;
        put_members(transaction, &self.cut.members)
    }

    /// Removes the records that are part of the cut and no longer of its log.
    fn discard(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(RECORDS)?;
        for (origin, floor) in self.cut.floor.iter() {
            let first = match floor {
                Timestamp::ALL => ReplicaId::new(origin.server, 0),
                _ => origin,
            };
            table.retain_in(place(first, 0)..=place(origin, floor), |_, _| false)?;
        }
        Ok(())
    }

    fn put_waiting(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(WAITING)?;
        table.retain(|_, ()| false)?;
        for &(origin, number) in &self.waiting {
            table.insert(place(origin, number), ())?;
        }
        Ok(())
    }

    fn put_cells(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(CELLS)?;
        for &(movie, user, changed) in &self.cells {
            let key = (user.0, movie.0);
            match changed {
                Some(to) => {
                    table.insert(key, stored::cell(movie, user, to).as_slice())?;
                }
                None => {
                    table.remove(key)?;
                }
            }
        }
        Ok(())
    }

    fn put_executed(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(EXECUTED)?;
        for (session, of) in &self.executed {
            match of {
                Some(of) => {
                    table.insert(session.0, stored::executed(*session, of).as_slice())?;
                }
                None => {
                    table.remove(session.0)?;
                }
            }
        }
        Ok(())
    }

    fn put_blocks(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let mut table = transaction.open_table(DIGESTS)?;
        for ((session, number), block) in &self.blocks {
            let key = (session.0, *number);
            match block {
                Some(block) => {
                    table.insert(key, stored::block(block).as_slice())?;
                }
                None => {
                    table.remove(key)?;
                }
            }
        }
        Ok(())
    }
}

fn put_members(transaction: &WriteTransaction, members: &[ReplicaId]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(MEMBERS)?;
    for member in members {
        table.insert((member.server, member.incarnation), ())?;
    }
    Ok(())
}

fn put_records<'a>(
    table: &mut Table<'_, Place, &'static [u8]>,
    records: impl Iterator<Item = &'a Record<Operation>>,
) -> Result<(), redb::Error> {
    for record in records {
        table.insert(place_of(record), stored::record(record).as_slice())?;
    }
    Ok(())
}
