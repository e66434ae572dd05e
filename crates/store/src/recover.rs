//! What is read back.

use std::sync::Arc;

use backfence_gossip::{LogEntry, Record, ReplicaId, State, Timestamp};
use backfence_ratings::{Base, Operation, Ratings};
use backfence_wire::{ClusterId, stored};
use redb::{ReadTransaction, ReadableTable as _, TableError};

use crate::{
    Migrated,
    error::Unreadable,
    tables::{CELLS, DIGESTS, EXECUTED, MEMBERS, META, RECORDS, WAITING, name, place_of},
};

/// What a directory holds.
///
/// A replica takes it as messages from itself: first the state, then an offer with the
/// records and the members.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last checkpoint, with the log's records up to it; `None` where there was none
    /// yet. It is from the latest incarnation.
    pub state: Option<State<Ratings>>,
    /// The records that came after it, by origin and number, without holes.
    pub records: Vec<Record<Operation>>,
    /// All members known; there may be others than in the checkpoint.
    pub members: Vec<ReplicaId>,
    /// The greatest incarnation that has begun; `None` in a new directory. The next one
    /// must be greater.
    pub incarnation: Option<u64>,
    /// The cluster that the replica belongs to; `None` before it has joined or founded one.
    pub cluster: Option<ClusterId>,
    /// That it had a former format.
    pub migrated: Option<Migrated>,
}

pub(crate) fn recover(
    transaction: &ReadTransaction,
    server: u32,
    base: Arc<Base>,
) -> Result<Recovered, Unreadable> {
    let meta = transaction.open_table(META)?;
    let incarnation = match meta.get(name::INCARNATION)? {
        Some(bytes) => Some(u64::from_le_bytes(exactly(bytes.value())?)),
        None => None,
    };
    let state = match meta.get(name::CUT)? {
        Some(cut) => {
            let from = ReplicaId::new(server, incarnation.unwrap_or_default());
            let cut = stored::read_cut(from, base, cut.value())?;
            Some(with_tables(transaction, cut)?)
        }
        None => None,
    };
    let mut recovered = Recovered {
        state,
        records: Vec::new(),
        members: members(transaction)?,
        incarnation,
        cluster: match meta.get(name::CLUSTER)? {
            Some(bytes) => Some(bytes.value().try_into()?),
            None => None,
        },
        migrated: None,
    };
    recovered.read_records(transaction)?;
    Ok(recovered)
}

/// A number of fixed width.
pub(crate) fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    let wrong = |_| Unreadable::What(format!("a number has {} bytes, not {N}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

fn with_tables(
    transaction: &ReadTransaction,
    mut state: State<Ratings>,
) -> Result<State<Ratings>, Unreadable> {
    for entry in transaction.open_table(EXECUTED)?.iter()? {
        let executed = stored::read_executed(entry?.1.value())?;
        state.executed.push(executed);
    }
    read_blocks(transaction, &mut state)?;
    for entry in transaction.open_table(CELLS)?.iter()? {
        let (movie, user, cell) = stored::read_cell(entry?.1.value())?;
        state.value.insert(movie, user, cell);
    }
    Ok(state)
}

/// Adds the digests to what is executed, which is there by session. Where 0.2 has written to
/// the store since, there may be some of sessions that it has forgotten.
fn read_blocks(
    transaction: &ReadTransaction,
    state: &mut State<Ratings>,
) -> Result<(), Unreadable> {
    let table = match transaction.open_table(DIGESTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    let mut sessions = state.executed.iter_mut().peekable();
    for entry in table.iter()? {
        let (key, bytes) = entry?;
        let (session, _) = key.value();
        while sessions.next_if(|(other, _)| other.0 < session).is_some() {}
        if let Some((other, executed)) = sessions.peek_mut()
            && other.0 == session
        {
            let older = executed.older.get_or_insert_default();
            older.blocks.push(stored::read_block(bytes.value())?);
        }
    }
    Ok(())
}

fn members(transaction: &ReadTransaction) -> Result<Vec<ReplicaId>, Unreadable> {
    let table = transaction.open_table(MEMBERS)?;
    let mut members = Vec::new();
    for entry in table.iter()? {
        let (server, incarnation) = entry?.0.value();
        members.push(ReplicaId::new(server, incarnation));
    }
    Ok(members)
}

impl Recovered {
    /// The greatest incarnation of a server that is known, be it a life of this one that began
    /// in a copy of the directory, or its end.
    pub fn latest_of(&self, server: u32) -> Option<u64> {
        let of_state = self.state.iter().flat_map(|state| &state.members);
        let lives = self.members.iter().chain(of_state);
        let lives = lives.filter(|life| life.server == server);
        lives
            .map(|life| life.incarnation)
            .chain(self.incarnation)
            .max()
    }

    /// Shares the stored records out between the log of the state and what came later.
    fn read_records(&mut self, transaction: &ReadTransaction) -> Result<(), Unreadable> {
        let waiting = transaction.open_table(WAITING)?;
        let mut runs = Runs::after(self.state.as_ref());
        for entry in transaction.open_table(RECORDS)?.iter()? {
            let (key, bytes) = entry?;
            let record = stored::read_record(bytes.value())?;
            if place_of(&record) != key.value() {
                let what = format!("a record stands at {:?}, not at its place", key.value());
                return Err(Unreadable::What(what));
            }
            runs.follow(&record)?;
            match &mut self.state {
                Some(state) if record.number() <= state.replica_ts.count(record.origin()) => {
                    let waiting = waiting.get(key.value())?.is_some();
                    state.log.push(LogEntry { record, waiting });
                }
                _ => self.records.push(record),
            }
        }
        match &self.state {
            Some(state) => runs.reach(&state.replica_ts),
            None => Ok(()),
        }
    }
}

/// How far the records of each origin go. A hole is a record that was acknowledged and
/// is lost: it must not go unseen.
struct Runs(Timestamp);

impl Runs {
    fn after(state: Option<&State<Ratings>>) -> Self {
        Self(state.map_or_else(Timestamp::new, |state| state.floor.clone()))
    }

    fn follow(&mut self, record: &Record<Operation>) -> Result<(), Unreadable> {
        let (origin, number) = (record.origin(), record.number());
        let expected = self.0.count(origin).saturating_add(1);
        if number != expected {
            return Err(hole(origin, expected));
        }
        self.0.raise(origin, number);
        Ok(())
    }

    fn reach(&self, replica_ts: &Timestamp) -> Result<(), Unreadable> {
        match replica_ts.beyond(&self.0).next() {
            Some((origin, has, _)) => Err(hole(origin, has + 1)),
            None => Ok(()),
        }
    }
}

fn hole(origin: ReplicaId, number: u64) -> Unreadable {
    Unreadable::What(format!("record {number} of replica {origin} is missing"))
}
