//! Measures what the disk costs: records a second, and the time of a recovery.
//!
//! `cargo run --release -p backfence-store --example speed [DIR [RECORDS]]`
//!
//! Each line is one new store in a directory of its own below DIR (the system's
//! temporary one by default, which may not be a disk).

use std::{env, error::Error, os::unix::fs::FileExt as _, path::Path, sync::Arc, time::Instant};

use backfence_gossip::{
    Digest, Executed, FirstReply, Limits, Message, Offer, Older, Record, Replica, ReplicaId,
    SessionId, Standing, Time, Timestamp, Update, UpdateId,
};
use backfence_ratings::{Base, Cell, MovieId, Operation, Rating, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, Recovered, Store};

const MOVIES: &str = "movieId,title,genres\n1,Toy Story (1995),Comedy\n";
const ORIGIN: ReplicaId = ReplicaId::new(1, 1);
const SESSIONS: u64 = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let below = arguments.next().map_or_else(env::temp_dir, Into::into);
    let records: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let ratings = "userId,movieId,rating,timestamp\n".as_bytes();
    let base = Arc::new(Base::read(MOVIES.as_bytes(), ratings, true)?.base);

    syncs(&below)?;
    for (batch, total) in [(1, 5_000), (32, 100_000), (100, 200_000), (256, 400_000)] {
        let directory = tempfile::tempdir_in(&below)?;
        let seconds = log(directory.path(), &base, total, batch)?;
        report("log only", batch, total, seconds);
    }
    for (batch, total) in [(32, 50_000), (256, 200_000)] {
        let directory = tempfile::tempdir_in(&below)?;
        let seconds = checkpoints(directory.path(), &base, total, batch)?;
        report(
            "log, and a checkpoint each 64 batches",
            batch,
            total,
            seconds,
        );
    }
    let directory = tempfile::tempdir_in(&below)?;
    log(directory.path(), &base, records, 256)?;
    recovery(directory.path(), base, records)
}

/// What the disk itself allows: no store commits faster than it syncs.
fn syncs(below: &Path) -> Result<(), Box<dyn Error>> {
    const SYNCS: u32 = 1_000;
    let file = tempfile::tempfile_in(below)?;
    let start = Instant::now();
    for turn in 0..SYNCS {
        file.write_all_at(&[turn as u8; 16 << 10], u64::from(turn % 64) << 14)?;
        file.sync_data()?;
    }
    let rate = f64::from(SYNCS) / start.elapsed().as_secs_f64();
    println!("the disk alone: {rate:.0} writes of 16 KiB, each synced, a second");
    Ok(())
}

fn report(what: &str, batch: u64, records: u64, seconds: f64) {
    let rate = records as f64 / seconds;
    println!("{what}: batches of {batch}: {rate:.0} records/s");
}

/// As a loaded replica makes them: sessions that have seen two other replicas.
fn record(number: u64) -> Record<Operation> {
    let prev = [
        (ORIGIN, number.saturating_sub(SESSIONS)),
        (ReplicaId::new(2, 1), number),
        (ReplicaId::new(3, 1), number),
    ];
    let update = Update {
        id: UpdateId::new(
            SessionId(u128::from(number % SESSIONS) << 64),
            number / SESSIONS + 1,
        ),
        prev: prev.into_iter().collect(),
        time: Time(1_700_000_000_000_000 + number),
        operation: Operation::Rate {
            user: UserId((number % 100_000) as u32),
            movie: MovieId(1),
            rating: Rating::MAX,
        },
    };
    Record::new(ORIGIN, number, update).expect("it does not depend on itself")
}

fn batches(total: u64, size: u64) -> impl Iterator<Item = Batch> {
    (1..=total).step_by(size as usize).map(move |first| Batch {
        records: (first..first + size).map(record).collect(),
        ..Batch::default()
    })
}

fn create(directory: &Path, base: &Arc<Base>) -> Result<Store, Box<dyn Error>> {
    let (mut store, _) = Store::open(directory, 1, base.clone())?;
    store.begin(1)?;
    Ok(store)
}

fn log(directory: &Path, base: &Arc<Base>, total: u64, size: u64) -> Result<f64, Box<dyn Error>> {
    let mut store = create(directory, base)?;
    let batches: Vec<_> = batches(total, size).collect();
    let start = Instant::now();
    for batch in &batches {
        store.write(batch)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn checkpoints(
    directory: &Path,
    base: &Arc<Base>,
    total: u64,
    size: u64,
) -> Result<f64, Box<dyn Error>> {
    let mut store = create(directory, base)?;
    let mut batches: Vec<_> = batches(total, size).collect();
    let empty = Replica::new(ORIGIN, Ratings::new(base.clone()), Limits::default());
    for last in (63..batches.len()).step_by(64) {
        let since = &batches[last - 63..=last];
        let records = since.iter().flat_map(|batch| &batch.records);
        let latest = &since[since.len() - (SESSIONS.div_ceil(size) as usize)..];
        let latest = latest.iter().flat_map(|batch| &batch.records);
        let latest = latest.skip((SESSIONS.div_ceil(size) * size - SESSIONS) as usize);
        let mut cut = empty.state();
        cut.replica_ts = [(ORIGIN, last as u64 * size + size)].into_iter().collect();
        cut.floor = cut.replica_ts.clone();
        cut.value_ts = cut.replica_ts.clone();
        batches[last].checkpoint = Some(Checkpoint {
            cells: records.clone().map(cell).collect(),
            executed: latest.map(executed).collect(),
            blocks: Vec::new(),
            cut,
            waiting: Vec::new(),
            whole: None,
        });
    }
    let start = Instant::now();
    for batch in &batches {
        store.write(batch)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn cell(record: &Record<Operation>) -> (MovieId, UserId, Option<Cell>) {
    let Update {
        id,
        time,
        operation,
        ..
    } = record.update();
    let cell = Cell {
        time: *time,
        update: *id,
        rating: Some(Rating::MAX),
    };
    (operation.movie(), operation.user(), Some(cell))
}

/// What a session has executed when this was its latest update.
fn executed(record: &Record<Operation>) -> (SessionId, Option<Executed>) {
    let UpdateId { session, sequence } = record.update().id;
    let reply = |sequence| FirstReply {
        sequence,
        ts: record.ts(),
        digest: Digest(u128::from(record.update().time.0).to_be_bytes()),
    };
    let executed = Executed {
        runs: vec![1..=sequence],
        replies: (sequence.saturating_sub(8) + 1..=sequence)
            .map(reply)
            .collect(),
        older: Older {
            ts: record.ts(),
            ..Older::default()
        }
        .boxed(),
        latest: record.update().time,
    };
    (session, Some(executed))
}

/// Of a directory that was closed, which makes no difference: all of it is checked and
/// read whatever came before.
fn recovery(directory: &Path, base: Arc<Base>, records: u64) -> Result<(), Box<dyn Error>> {
    let file = directory.join("replica.redb");
    let size = file.metadata()?.len() >> 20;
    let (start, busy) = (Instant::now(), processor());
    let (store, recovered) = Store::open(directory, 1, base.clone())?;
    let opened = start.elapsed().as_secs_f64();
    let Recovered {
        records: read,
        members,
        ..
    } = recovered;
    assert!(read.len() as u64 >= records, "records are missing");
    let own = ReplicaId::new(1, 2);
    let mut replica = Replica::new(own, Ratings::new(base), Limits::default());
    // What they depend on is not there, as after a crash of all: they wait.
    let received = replica.receive(
        Message::Offer(Offer {
            from: own,
            replica_ts: Timestamp::new(),
            members,
            ended: Vec::new(),
            records: read,
            more: false,
            standing: Standing::New,
            horizon: Time::default(),
            settled: Time::default(),
        }),
        Time(1_700_000_000_000_000),
    )?;
    assert_eq!(received.ignored, 0);
    let (all, busy) = (start.elapsed().as_secs_f64(), processor() - busy);
    println!(
        "recovery: {records} records in {size} MiB: opened in {opened:.2} s, in the core after \
         {all:.2} s, of which {busy:.2} s of one processor"
    );
    drop(store);
    Ok(())
}

/// Seconds that this thread has run, where the system tells: on a machine that has
/// other work too, the clock on the wall says little.
fn processor() -> f64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|text| text.parse().ok());
    nanoseconds.map_or(f64::NAN, |ns: f64| ns / 1e9)
}
