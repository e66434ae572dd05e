//! What is written is read back.

mod support;

use backfence_gossip::{
    Block, Digest, Executed, FirstReply, LogEntry, Older, Record, ReplicaId, SessionId, Standing,
    State, Time, Timestamp, Update, UpdateId,
};
use backfence_ratings::{Cell, MovieId, Operation, Rating, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, Recovered, Store};
use backfence_wire::ClusterId;
use support::{
    SERVER, base,
    disk::{Change, Disk},
};

const HERE: ReplicaId = ReplicaId::new(SERVER, 7);
const THERE: ReplicaId = ReplicaId::new(2, u64::MAX - 1);
const NEW: ReplicaId = ReplicaId::new(3, 9);

fn ts(entries: &[(ReplicaId, u64)]) -> Timestamp {
    entries.iter().copied().collect()
}

fn record(origin: ReplicaId, number: u64) -> Record<Operation> {
    let operation = match number % 2 {
        0 => Operation::Delete {
            user: UserId(u32::MAX),
            movie: MovieId(1),
        },
        _ => Operation::Rate {
            user: UserId(1),
            movie: MovieId(u32::MAX),
            rating: Rating::MAX,
        },
    };
    let update = Update {
        id: UpdateId::new(SessionId(u128::MAX - u128::from(number)), number),
        prev: ts(&[(HERE, number - 1), (THERE, u64::MAX)]
            .map(|(id, count)| (id, if id == origin { number - 1 } else { count }))),
        time: Time(u64::MAX),
        operation,
    };
    Record::new(origin, number, update).expect("it depends on earlier ones")
}

fn records(origin: ReplicaId, numbers: std::ops::RangeInclusive<u64>) -> Vec<Record<Operation>> {
    numbers.map(|number| record(origin, number)).collect()
}

fn block(number: u64, digests: &[(u8, u8)]) -> Block {
    let digests = digests
        .iter()
        .map(|&(at, digest)| (at, Digest([digest; 16])));
    Block::new(number, Time(9), digests.collect()).expect("they are in their place")
}

/// So many updates of a session, of which one reply is remembered.
fn executed(session: u128, last: u64) -> (SessionId, Executed) {
    let reply = FirstReply {
        sequence: last,
        ts: ts(&[(HERE, last)]),
        digest: Digest(u128::from(last).to_be_bytes()),
    };
    let older = Older {
        ts: ts(&[(HERE, 5), (THERE, u64::MAX)]),
        blocks: vec![block(0, &[(1, 7), (2, 8), (5, 9)]), block(3, &[(63, 7)])],
        unknown: Time(last),
    };
    let executed = Executed {
        runs: vec![1..=3, 5..=last],
        replies: vec![reply],
        older: older.boxed(),
        latest: Time(u64::MAX - last),
    };
    (SessionId(u128::MAX - session), executed)
}

fn more(session: u128, last: u64) -> (SessionId, Option<Executed>) {
    let (session, of) = executed(session, last);
    (session, Some(of.without_blocks()))
}

fn cell(time: u64, rating: Option<Rating>) -> Cell {
    Cell {
        time: Time(time),
        update: UpdateId::new(SessionId(5), time),
        rating,
    }
}

fn entry(record: Record<Operation>, waiting: bool) -> LogEntry<Operation> {
    LogEntry { record, waiting }
}

struct Fixture {
    disk: Disk,
    store: Option<Store>,
}

impl Fixture {
    fn new() -> Self {
        let disk = Disk::default();
        let (mut store, recovered) =
            Store::open_on(disk.clone(), SERVER, base("4.0")).expect("a new store");
        assert!(recovered.state.is_none() && recovered.records.is_empty());
        assert_eq!((recovered.members, recovered.incarnation), (vec![], None));
        assert_eq!((recovered.cluster, recovered.migrated), (None, None));
        store.begin(HERE.incarnation).expect("it begins");
        let store = Some(store);
        Self { disk, store }
    }

    /// Writes it, twice, since that must make no difference; and opens the store again.
    fn write(&mut self, batch: &Batch) -> Recovered {
        let mut store = self.store.take().expect("it is open");
        store.write(batch).expect("it is written");
        store.write(batch).expect("it is written again");
        drop(store);
        let opened = Store::open_on(self.disk.clone(), SERVER, base("4.0"));
        let (store, recovered) = opened.expect("it opens");
        self.store = Some(store);
        assert_eq!(recovered.incarnation, Some(HERE.incarnation));
        recovered
    }
}

/// The first checkpoint: three of five records of `HERE` are part of it, of which the
/// first is discarded and the third waits.
fn first() -> State<Ratings> {
    let mut value = Ratings::new(base("4.0"));
    value.insert(MovieId(1), UserId(1), cell(1, Some(Rating::MAX)));
    value.insert(MovieId(2), UserId(u32::MAX), cell(2, None));
    State {
        from: HERE,
        replica_ts: ts(&[(HERE, 3), (THERE, 2)]),
        value_ts: ts(&[(HERE, 2), (THERE, 2)]),
        floor: ts(&[(HERE, 1), (THERE, 2)]),
        members: vec![HERE, THERE],
        ended: vec![ReplicaId::new(4, 9)],
        finals: ts(&[(ReplicaId::new(4, 9), 3)]),
        log: vec![entry(record(HERE, 2), false), entry(record(HERE, 3), true)],
        executed: vec![executed(2, 7), executed(1, 9)],
        value,
        clock: Time(u64::MAX),
        standing: Standing::Joined,
        horizon: Time(u64::MAX - 1),
        settled: Time(4),
        needs: 2,
    }
}

/// The second: all of `HERE` is discarded, a cell is gone and one has changed, more is
/// executed of one session, and of a new one, another is forgotten, and more is settled.
fn second() -> (State<Ratings>, Checkpoint) {
    let mut value = Ratings::new(base("4.0"));
    value.insert(MovieId(1), UserId(1), cell(9, None));
    let state = State {
        replica_ts: ts(&[(HERE, 5), (THERE, 2)]),
        value_ts: ts(&[(HERE, 5), (THERE, 2)]),
        floor: ts(&[(HERE, 5), (THERE, 2)]),
        log: vec![],
        executed: vec![executed(3, 5), executed(2, 8)],
        value,
        horizon: Time(u64::MAX),
        settled: Time(9),
        ..first()
    };
    let whole = Checkpoint::whole(state.clone());
    let gone = [0, 3].map(|number| ((executed(1, 9).0, number), None));
    let changes = Checkpoint {
        blocks: gone.into_iter().chain(whole.blocks.clone()).collect(),
        cells: vec![
            (MovieId(2), UserId(u32::MAX), None),
            (MovieId(1), UserId(1), Some(cell(9, None))),
        ],
        executed: vec![more(2, 8), more(3, 5), (executed(1, 9).0, None)],
        whole: None,
        ..whole
    };
    (state, changes)
}

#[test]
fn records_and_members_come_back_before_there_is_a_checkpoint() {
    let mut fixture = Fixture::new();
    let recovered = fixture.write(&Batch {
        records: [records(THERE, 1..=2), records(HERE, 1..=3)].concat(),
        members: Some(vec![THERE, HERE]),
        ..Batch::default()
    });
    assert!(recovered.state.is_none());
    let expected = [records(HERE, 1..=3), records(THERE, 1..=2)].concat();
    assert_eq!(recovered.records, expected, "by origin and number");
    assert_eq!(recovered.members, [HERE, THERE]);
}

#[test]
fn checkpoints_replace_what_was_before_and_leave_what_came_after() {
    let mut fixture = Fixture::new();
    fixture.write(&Batch {
        records: [records(HERE, 1..=2), records(THERE, 1..=2)].concat(),
        ..Batch::default()
    });
    let recovered = fixture.write(&Batch {
        // The third is part of the checkpoint, the others came after it; and of one
        // replica the checkpoint knows nothing.
        records: [records(HERE, 3..=5), records(NEW, 1..=1)].concat(),
        members: Some(vec![NEW]),
        checkpoint: Some(Checkpoint {
            whole: None,
            ..Checkpoint::whole(first())
        }),
        cluster: None,
    });
    assert_eq!(recovered.state, Some(first()));
    let after = [records(HERE, 4..=5), records(NEW, 1..=1)].concat();
    assert_eq!(recovered.records, after);
    assert_eq!(recovered.members, [HERE, THERE, NEW]);

    let (state, changes) = second();
    let recovered = fixture.write(&Batch {
        checkpoint: Some(changes),
        ..Batch::default()
    });
    assert_eq!(recovered.state, Some(state));
    assert_eq!(recovered.records, records(NEW, 1..=1));
}

#[test]
fn a_whole_checkpoint_leaves_nothing_of_what_was() {
    let mut fixture = Fixture::new();
    let mut before = second().0;
    before.members.push(NEW);
    before.value.insert(MovieId(2), UserId(77), cell(3, None));
    fixture.write(&Batch {
        records: [records(HERE, 1..=3), records(NEW, 1..=2)].concat(),
        checkpoint: Some(Checkpoint::whole(before)),
        ..Batch::default()
    });
    let recovered = fixture.write(&Batch {
        checkpoint: Some(Checkpoint::whole(first())),
        ..Batch::default()
    });
    assert_eq!(recovered.state, Some(first()));
    assert_eq!(recovered.records, []);
    assert_eq!(recovered.members, [HERE, THERE]);
}

#[test]
fn a_record_that_was_applied_waits_no_longer() {
    let mut fixture = Fixture::new();
    fixture.write(&Batch {
        checkpoint: Some(Checkpoint::whole(first())),
        ..Batch::default()
    });
    let mut state = first();
    state.log[1].waiting = false;
    state.value_ts.set(HERE, 3);
    let recovered = fixture.write(&Batch {
        checkpoint: Some(Checkpoint {
            cells: vec![],
            executed: vec![],
            whole: None,
            ..Checkpoint::whole(state.clone())
        }),
        ..Batch::default()
    });
    assert_eq!(recovered.state, Some(state));
}

#[test]
fn the_cluster_comes_back_as_it_was_said_last() {
    let mut fixture = Fixture::new();
    for bytes in [[1; 16], [0; 16]] {
        let cluster = Some(ClusterId(bytes));
        let recovered = fixture.write(&Batch {
            cluster,
            ..Batch::default()
        });
        assert_eq!(recovered.cluster, cluster);
        let recovered = fixture.write(&Batch {
            checkpoint: Some(Checkpoint::whole(first())),
            ..Batch::default()
        });
        assert_eq!((recovered.cluster, recovered.migrated), (cluster, None));
    }
}

#[test]
fn nothing_is_written_for_an_empty_batch() {
    let mut fixture = Fixture::new();
    let store = fixture.store.as_mut().expect("it is open");
    let before = fixture.disk.attempts();
    store.write(&Batch::default()).expect("nothing to do");
    assert_eq!(fixture.disk.attempts(), before);
}

/// A batch costs one sync: they are what an update waits for.
#[test]
fn a_batch_costs_one_sync() {
    let mut fixture = Fixture::new();
    let store = fixture.store.as_mut().expect("it is open");
    let before = fixture.disk.journal().len();
    let batch = Batch {
        records: records(HERE, 1..=100),
        members: Some(vec![NEW]),
        checkpoint: Some(Checkpoint::whole(first())),
        cluster: Some(ClusterId([7; 16])),
    };
    store.write(&batch).expect("it is written");
    let journal = &fixture.disk.journal()[before..];
    // A file that grows is synced for that too: rarely, since it doubles.
    let mut before = None;
    let syncs = journal.iter().filter(|change| {
        let grew = matches!(before.replace(*change), Some(Change::Length(_)));
        matches!(change, Change::Sync) && !grew
    });
    assert_eq!(syncs.count(), 1);
}
