//! A small store with something of everything: what the committed file of each format
//! holds.

use backfence_gossip::{
    Block, Digest, Executed, FirstReply, LogEntry, Older, Record, ReplicaId, SessionId, Standing,
    State, Time, Timestamp, Update, UpdateId,
};
use backfence_ratings::{Cell, MovieId, Operation, Rating, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, Recovered, Store, WriteError};

use backfence_wire::ClusterId;

use super::{SERVER, base};

/// A life of this server that is folded away, and how many updates it made.
const FOLDED: (ReplicaId, u64) = (ReplicaId::new(SERVER, 1), 7);
/// The life before, which is over.
const BEFORE: ReplicaId = ReplicaId::new(SERVER, 2);
const HERE: ReplicaId = ReplicaId::new(SERVER, 3);
const THERE: ReplicaId = ReplicaId::new(2, 1);
const RETIRED: ReplicaId = ReplicaId::new(3, 1);
const OTHER: ReplicaId = ReplicaId::new(4, 1);
/// It is met after the checkpoint.
const NEW: ReplicaId = ReplicaId::new(5, 1);

/// The loaded data.
pub(crate) const RATED: &str = "4.0";
const START: u64 = 1_767_225_600_000_000;
const SECOND: u64 = 1_000_000;

/// The session of an origin.
fn session(origin: ReplicaId) -> SessionId {
    SessionId((u128::from(origin.server) << 64) | u128::from(origin.incarnation))
}

fn ts(entries: &[(ReplicaId, u64)]) -> Timestamp {
    entries.iter().copied().collect()
}

/// The update that is number `number` of an origin, each by the one session there. Odd
/// ones rate, even ones delete.
fn record(origin: ReplicaId, number: u64) -> Record<Operation> {
    let mut prev = ts(&[(origin, number - 1)]);
    match (origin, number) {
        (HERE, _) => prev.raise(BEFORE, 12),
        // What it depends on has not come.
        (THERE, 3) => prev.raise(OTHER, 2),
        _ => {}
    }
    let user = UserId(100 * origin.server + number as u32);
    let movie = MovieId(1 + (number / 2 % 2) as u32);
    let operation = match number % 2 {
        0 => Operation::Delete { user, movie },
        _ => Operation::Rate {
            user,
            movie,
            rating: Rating::from_ten_thousandths(number as u32 * 2_500).expect("below 5"),
        },
    };
    let update = Update {
        id: UpdateId::new(session(origin), number),
        prev,
        time: Time(START + (20 * origin.incarnation + number) * SECOND),
        operation,
    };
    Record::new(origin, number, update).expect("it depends on earlier ones")
}

fn records(origin: ReplicaId, numbers: std::ops::RangeInclusive<u64>) -> Vec<Record<Operation>> {
    numbers.map(|number| record(origin, number)).collect()
}

/// The last reply that is merged into the older ones where so many were given.
fn last_older(count: u64) -> u64 {
    count.saturating_sub(8)
}

/// The digests of the updates up to one.
fn blocks(last: u64) -> Vec<Block> {
    let digests = (1..=last).map(|number| (number as u8, Digest([number as u8; 16])));
    let block = Block::new(0, Time(START), digests.collect());
    block.into_iter().collect()
}

/// What is executed of an origin's session after so many updates.
fn executed(origin: ReplicaId, count: u64) -> (SessionId, Executed) {
    let reply = |number| FirstReply {
        sequence: number,
        ts: record(origin, number).ts(),
        digest: Digest(u128::from(number << 32).to_be_bytes()),
    };
    let older = match last_older(count) {
        0 => Timestamp::new(),
        last => record(origin, last).ts(),
    };
    let executed = Executed {
        runs: vec![1..=count],
        replies: (last_older(count) + 1..=count).map(reply).collect(),
        older: Older {
            ts: older,
            blocks: blocks(last_older(count)),
            unknown: Time(0),
        }
        .boxed(),
        latest: record(origin, count).update().time,
    };
    (session(origin), executed)
}

/// The value after these records.
fn value<'a>(records: impl Iterator<Item = &'a Record<Operation>>) -> Ratings {
    let mut value = Ratings::new(base(RATED));
    for record in records {
        let Update {
            id,
            time,
            operation,
            ..
        } = record.update();
        let cell = Cell {
            time: *time,
            update: *id,
            rating: operation.rating(),
        };
        value.insert(operation.movie(), operation.user(), cell);
    }
    value
}

/// The checkpoint. Of `BEFORE` ten records are discarded and two are in the log; of `THERE`
/// one is discarded, one is applied, one waits.
fn checkpoint() -> State<Ratings> {
    let logged = [
        records(BEFORE, 11..=12),
        records(HERE, 1..=1),
        records(THERE, 2..=3),
    ];
    let waits = record(THERE, 3);
    let applied = [
        (BEFORE, 12),
        (HERE, 1),
        (THERE, 2),
        (RETIRED, 1),
        (OTHER, 1),
    ];
    let all: Vec<_> = applied
        .iter()
        .flat_map(|&(origin, last)| records(origin, 1..=last))
        .collect();
    let folded = (FOLDED.0, Timestamp::ALL);
    let mut of_sessions = applied.map(|(origin, last)| executed(origin, last));
    of_sessions.sort_by_key(|(session, _)| *session);
    let mut value_ts = ts(&applied);
    value_ts.raise(folded.0, folded.1);
    let mut replica_ts = value_ts.clone();
    replica_ts.raise(THERE, 3);
    State {
        from: HERE,
        replica_ts,
        value_ts,
        floor: ts(&[folded, (BEFORE, 10), (THERE, 1), (RETIRED, 1), (OTHER, 1)]),
        members: vec![BEFORE, HERE, THERE, RETIRED, ReplicaId::end(3), OTHER],
        ended: vec![BEFORE, RETIRED],
        finals: ts(&[FOLDED]),
        log: logged
            .concat()
            .into_iter()
            .map(|record| LogEntry {
                waiting: record == waits,
                record,
            })
            .collect(),
        executed: of_sessions.into(),
        value: value(all.iter()),
        clock: Time(START + 63 * SECOND),
        standing: Standing::Joined,
        horizon: Time(START + 10 * SECOND),
        settled: Time(START + 5 * SECOND),
        needs: 1,
    }
}

/// What came after it.
fn after() -> Vec<Record<Operation>> {
    [
        records(HERE, 2..=3),
        records(THERE, 4..=4),
        records(NEW, 1..=1),
    ]
    .concat()
}

const CLUSTER: ClusterId = ClusterId(*b"a sample cluster");

/// Writes it all to a store that is new.
///
/// # Errors
///
/// A [`WriteError`], also where the store is not new.
pub(crate) fn write(store: &mut Store) -> Result<(), WriteError> {
    store.begin(BEFORE.incarnation)?;
    store.write(&Batch {
        records: records(BEFORE, 1..=12),
        members: Some(vec![BEFORE, THERE]),
        cluster: Some(CLUSTER),
        checkpoint: None,
    })?;
    store.begin(HERE.incarnation)?;
    store.write(&Batch {
        checkpoint: Some(Checkpoint::whole(checkpoint())),
        ..Batch::default()
    })?;
    store.write(&Batch {
        records: after(),
        members: Some(vec![NEW]),
        ..Batch::default()
    })
}

/// What comes back of it, where a program of that format has written it.
pub(crate) fn recovered(format: u32) -> Recovered {
    let mut state = checkpoint();
    let mut cluster = Some(CLUSTER);
    if format < 5 {
        // First replies had another digest, and clusters no names.
        for (_, executed) in &mut state.executed {
            for reply in executed.replies.drain(..) {
                executed.older.get_or_insert_default().ts.merge(&reply.ts);
            }
        }
        cluster = None;
    }
    if format < 6 {
        // 0.2 kept the digests of first replies only.
        for (_, executed) in &mut state.executed {
            let older = executed.older.get_or_insert_default();
            older.blocks.clear();
            older.unknown = Time(executed.latest.0 + 1);
        }
    }
    Recovered {
        records: after(),
        members: [&state.members[..], &[NEW]].concat(),
        incarnation: Some(HERE.incarnation),
        state: Some(state),
        cluster,
        migrated: None,
    }
}
