//! What replicas send each other.

use std::{ops::RangeInclusive, sync::Arc};

use backfence_gossip::{
    Block, Digest, Executed, FirstReply, LogEntry, Older, Record, ReplicaId, SessionId, Standing,
    State, Time, UpdateId,
};
use backfence_ratings::{Base, Cell, MovieId, Operation, Rating, Ratings, UserId};

use crate::{
    Malformed,
    causality::{all, session_id, timestamp},
    update::{read_update, update},
    v1,
    version::DIGESTS,
};

impl From<&Record<Operation>> for v1::Record {
    fn from(record: &Record<Operation>) -> Self {
        Self {
            server: record.origin().server,
            incarnation: record.origin().incarnation,
            number: record.number(),
            update: update(record.update()),
        }
    }
}

impl TryFrom<v1::Record> for Record<Operation> {
    type Error = Malformed;

    fn try_from(record: v1::Record) -> Result<Self, Malformed> {
        let id = v1::ReplicaId {
            server: record.server,
            incarnation: record.incarnation,
        };
        if record.update.is_empty() {
            return Err(Malformed("a record without an update"));
        }
        Self::new(id.try_into()?, record.number, read_update(&record.update)?)
            .ok_or(Malformed("a record depends on itself"))
    }
}

/// Encodes a replica's whole state, for one that speaks this `version` of the wire; the
/// replica's clock shows `now`.
pub fn state(state: &State<Ratings>, version: u32, now: Time) -> v1::State {
    let entry = |entry: &LogEntry<Operation>| v1::state::LogEntry {
        record: Some((&entry.record).into()),
        waiting: entry.waiting,
    };
    let cells = state.value.cells();
    let executed = state.executed.iter();
    v1::State {
        replica_ts: Some((&state.replica_ts).into()),
        value_ts: Some((&state.value_ts).into()),
        floor: Some((&state.floor).into()),
        members: state.members.iter().map(|&id| id.into()).collect(),
        ended: state.ended.iter().map(|&id| id.into()).collect(),
        finals: Some((&state.finals).into()),
        log: state.log.iter().map(entry).collect(),
        executed: executed
            .map(|(session, of)| self::executed(*session, of, version))
            .collect(),
        cells: cells
            .map(|(movie, user, at)| cell(movie, user, at))
            .collect(),
        clock_us: state.clock.0,
        standing: v1::Standing::from(state.standing).into(),
        horizon_us: state.horizon.0,
        settled_us: state.settled.0,
        now_us: now.0,
        needs_wire: state.needs,
    }
}

/// Encodes the last write of a user to a movie.
pub(crate) fn cell(movie: MovieId, user: UserId, cell: Cell) -> v1::state::Cell {
    v1::state::Cell {
        user_id: user.0,
        movie_id: movie.0,
        rating: cell.rating.map(Rating::ten_thousandths),
        time_us: cell.time.0,
        update_id: Some(cell.update.into()),
    }
}

/// Reads the state of the replica `from`, which has the same base.
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_state(
    from: ReplicaId,
    base: Arc<Base>,
    state: v1::State,
) -> Result<State<Ratings>, Malformed> {
    let standing = state.standing().into();
    let mut value = Ratings::new(base);
    for cell in state.cells {
        let (movie, user, cell) = read_cell(cell)?;
        value.insert(movie, user, cell);
    }
    let executed = state.executed.into_iter().map(read_executed);
    Ok(State {
        from,
        replica_ts: timestamp(state.replica_ts)?,
        value_ts: timestamp(state.value_ts)?,
        floor: timestamp(state.floor)?,
        members: all(state.members)?,
        ended: all(state.ended)?,
        finals: timestamp(state.finals)?,
        log: all(state.log)?,
        executed: executed.collect::<Result<_, _>>()?,
        value,
        clock: Time(state.clock_us),
        standing,
        horizon: Time(state.horizon_us),
        settled: Time(state.settled_us),
        needs: state.needs_wire.max(1),
    })
}

impl From<Standing> for v1::Standing {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::New => Self::New,
            Standing::Recovered => Self::Recovered,
            Standing::Joined => Self::Joined,
        }
    }
}

impl From<v1::Standing> for Standing {
    fn from(standing: v1::Standing) -> Self {
        match standing {
            v1::Standing::New => Self::New,
            v1::Standing::Recovered => Self::Recovered,
            v1::Standing::Joined => Self::Joined,
        }
    }
}

impl TryFrom<v1::state::LogEntry> for LogEntry<Operation> {
    type Error = Malformed;

    fn try_from(entry: v1::state::LogEntry) -> Result<Self, Malformed> {
        let record = entry.record.ok_or(Malformed("an entry without a record"))?;
        Ok(Self {
            record: record.try_into()?,
            waiting: entry.waiting,
        })
    }
}

/// Encodes what is executed of one session, for one that speaks this `version` of the wire.
pub(crate) fn executed(
    session: SessionId,
    executed: &Executed,
    version: u32,
) -> v1::state::Executed {
    let merged;
    let executed = if version < DIGESTS {
        merged = executed.clone().without_replies();
        &merged
    } else {
        executed
    };
    let run = |run: &RangeInclusive<u64>| v1::state::executed::Run {
        first: *run.start(),
        last: *run.end(),
    };
    let reply = |reply: &FirstReply| v1::state::executed::Reply {
        sequence: reply.sequence,
        ts: Some((&reply.ts).into()),
        digest: reply.digest.0.into(),
    };
    let none = Older::default();
    let older = executed.older.as_deref().unwrap_or(&none);
    v1::state::Executed {
        session: session.0.to_be_bytes().into(),
        blocks: older.blocks.iter().map(block).collect(),
        unknown_us: Some(older.unknown.0),
        runs: executed.runs.iter().map(run).collect(),
        replies: executed.replies.iter().map(reply).collect(),
        older: Some((&older.ts).into()),
        latest_us: executed.latest.0,
    }
}

/// A digest, after what is to be added to the first number of its block.
const ENTRY: usize = 17;

/// Encodes the digests of some executed updates of a session.
pub(crate) fn block(block: &Block) -> v1::state::executed::Block {
    let entry = |&(offset, Digest(digest)): &(u8, Digest)| [offset].into_iter().chain(digest);
    v1::state::executed::Block {
        number: block.number,
        latest_us: block.latest.0,
        digests: block.digests.iter().flat_map(entry).collect(),
    }
}

pub(crate) fn read_block(block: v1::state::executed::Block) -> Result<Block, Malformed> {
    let wrong = Malformed("digests are not in their place");
    let (entries, rest) = block.digests.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(wrong);
    }
    let entry = |&[offset, ref digest @ ..]: &[u8; ENTRY]| (offset, Digest(*digest));
    let digests = entries.iter().map(entry).collect();
    Block::new(block.number, Time(block.latest_us), digests).ok_or(wrong)
}

pub(crate) fn read_executed(
    executed: v1::state::Executed,
) -> Result<(SessionId, Executed), Malformed> {
    let run = |run: v1::state::executed::Run| match run.first..=run.last {
        run if run.is_empty() => Err(Malformed("a run ends before it begins")),
        run => Ok(run),
    };
    let session = session_id(&executed.session)?;
    let mut older = timestamp(executed.older)?;
    let mut replies = Vec::new();
    for reply in executed.replies {
        let ts = timestamp(reply.ts)?;
        match reply.digest[..].try_into() {
            Ok(digest) => replies.push(FirstReply {
                sequence: reply.sequence,
                ts,
                digest: Digest(digest),
            }),
            // Of version 1, where it was another: a retry is told something that covers it.
            Err(_) if reply.digest.is_empty() => older.merge(&ts),
            Err(_) => return Err(Malformed("a digest is not 16 bytes")),
        }
    }
    let blocks = executed.blocks.into_iter().map(read_block);
    let older = Older {
        ts: older,
        blocks: blocks.collect::<Result<_, _>>()?,
        // 0.2 kept the digests of replies only.
        unknown: Time(
            executed
                .unknown_us
                .unwrap_or(executed.latest_us.saturating_add(1)),
        ),
    };
    let executed = Executed {
        runs: executed
            .runs
            .into_iter()
            .map(run)
            .collect::<Result<_, _>>()?,
        replies,
        older: older.boxed(),
        latest: Time(executed.latest_us),
    };
    Ok((session, executed))
}

pub(crate) fn read_cell(cell: v1::state::Cell) -> Result<(MovieId, UserId, Cell), Malformed> {
    let rating =
        |value| Rating::from_ten_thousandths(value).ok_or(Malformed("a rating is above 5"));
    let (movie, user) = (MovieId(cell.movie_id), UserId(cell.user_id));
    let cell = Cell {
        time: Time(cell.time_us),
        update: update_id(cell.update_id)?,
        rating: cell.rating.map(rating).transpose()?,
    };
    Ok((movie, user, cell))
}

fn update_id(id: Option<v1::UpdateId>) -> Result<UpdateId, Malformed> {
    id.ok_or(Malformed("an update id is missing"))?.try_into()
}
