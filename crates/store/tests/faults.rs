//! A disk that fails at each single change, or is full.

mod support;

use std::sync::Arc;

use backfence_gossip::{Record, ReplicaId, SessionId, State, Time, Timestamp, Update, UpdateId};
use backfence_ratings::{Base, MovieId, Operation, Ratings, UserId};
use backfence_store::{Batch, OpenError, Store, WriteError};
use support::{
    Random, SERVER, base,
    disk::{Disk, EIO, ENOSPC, Fault, Loss, crashes},
    revive, same,
    script::steps,
    step::{Call, Failed, Step},
};

const SEED: u64 = 5;

/// Runs the script until something fails: how many steps were done, and what failed.
fn run(base: &Arc<Base>, steps: &[Step], disk: &Disk) -> (usize, Option<Failed>) {
    let mut store = None;
    for (done, step) in steps.iter().enumerate() {
        if let Err(failed) = step.run(disk, base, &mut store) {
            return (done, Some(failed));
        }
    }
    (steps.len(), None)
}

fn attempts(base: &Arc<Base>, steps: &[Step]) -> usize {
    let disk = Disk::default();
    let (_, failed) = run(base, steps, &disk);
    assert!(failed.is_none(), "{failed:?}");
    disk.attempts()
}

/// Opens the disk: it holds what was done, or that and the step that failed.
fn reopen(base: &Arc<Base>, steps: &[Step], done: usize, disk: &Disk) -> Store {
    let (store, recovered) =
        Store::open_on(disk.clone(), SERVER, base.clone()).expect("it opens without a tool");
    let found = revive(base, recovered);
    let last = done.min(steps.len() - 1);
    let may_be = [&steps[done.saturating_sub(1)].after, &steps[last].after];
    let differs = |expected: &&State<Ratings>| same(&found, expected).err();
    let differences: Vec<_> = may_be.iter().filter_map(differs).collect();
    assert!(
        differences.len() < 2,
        "after {done} steps: {}",
        differences[0]
    );
    store
}

#[test]
fn a_failed_write_or_sync_stops_the_store_for_good() {
    let base = base("4.0");
    let steps = steps(&base, SEED);
    let mut random = Random(SEED);
    let mut stopped = 0;
    for at in 0..attempts(&base, &steps) {
        println!("seed {SEED}, EIO at {at}");
        let disk = Disk::failing(Fault {
            at,
            error: EIO,
            lasts: false,
        });
        let (done, failed) = run(&base, &steps, &disk);
        let (what, synced_after) = disk.failed().expect("the fault is within the script");
        match failed {
            Some(Failed::Write(WriteError::Failed { .. }) | Failed::Open(OpenError::Io { .. })) => {
                assert!(!synced_after, "a sync follows the {what} that failed");
                stopped += 1;
            }
            // While it is closed, and nobody waits for an answer.
            None => assert_eq!(done, steps.len()),
            other => panic!("{what}: {other:?}"),
        }
        if done > 0 {
            let journal = disk.journal();
            let losses = [Loss::None, Loss::All, Loss::Any];
            crashes(
                &journal,
                journal.len(),
                &losses,
                &mut random,
                |_, _, bytes| {
                    reopen(&base, &steps, done, &Disk::of(bytes));
                },
            );
        }
    }
    assert!(stopped > 300, "only {stopped} faults were felt");
}

#[test]
fn a_full_disk_costs_the_batch_and_nothing_else() {
    let base = base("4.0");
    let steps = steps(&base, SEED);
    let mut refused = 0;
    for at in 0..attempts(&base, &steps) {
        println!("seed {SEED}, ENOSPC at {at}");
        let lasts = at % 3 == 0;
        let disk = Disk::failing(Fault {
            at,
            error: ENOSPC,
            lasts,
        });
        let (done, failed) = run(&base, &steps, &disk);
        let (what, _) = disk.failed().expect("the fault is within the script");
        match failed {
            Some(Failed::Write(WriteError::NoSpace { .. })) if what != "sync" => refused += 1,
            Some(Failed::Open(OpenError::NoSpace { .. })) => {}
            // There is room, as far as a sync is concerned: what it tells is a failure.
            Some(Failed::Write(WriteError::Failed { .. })) if what == "sync" => continue,
            None => continue,
            other => panic!("{what}: {other:?}"),
        }
        if done == 0 {
            continue;
        }
        if lasts {
            match Store::open_on(disk.clone(), SERVER, base.clone()) {
                Err(OpenError::NoSpace { .. }) => {}
                other => panic!("it is still full: {other:?}"),
            }
        }
        disk.heal();
        let mut store = Some(reopen(&base, &steps, done, &disk));
        for step in &steps[done..] {
            match step.run(&disk, &base, &mut store) {
                Ok(()) => {}
                // It is there already: the disk was full when that was to be told.
                Err(Failed::Write(WriteError::Failed { what, .. }))
                    if matches!(step.call, Call::Begin(_)) && what.contains("not later") =>
                {
                    store = None;
                    break;
                }
                Err(failed) => panic!("there is room again: {failed:?}"),
            }
        }
        if store.take().is_some() {
            reopen(&base, &steps, steps.len(), &disk);
        }
    }
    assert!(refused > 300, "only {refused} writes were refused");
}

/// Pages that do not fit into memory are written before the end of the batch.
#[test]
fn a_batch_that_is_larger_than_the_cache_is_all_there_or_not_at_all() {
    let base = base("4.0");
    let origin = ReplicaId::new(SERVER, 1);
    let record = |number| {
        let update = Update {
            id: UpdateId::new(SessionId(1), number),
            prev: Timestamp::new(),
            time: Time(number),
            operation: Operation::Delete {
                user: UserId(1),
                movie: MovieId(1),
            },
        };
        Record::new(origin, number, update).expect("it depends on nothing")
    };
    let batch = Batch {
        records: (1..=200_000).map(record).collect(),
        ..Batch::default()
    };
    for (error, at, lasts) in [
        (EIO, 500, false),
        (ENOSPC, 500, true),
        (ENOSPC, 3_000, true),
    ] {
        println!("error {error} at {at}");
        let disk = Disk::failing(Fault { at, error, lasts });
        let (mut store, _) =
            Store::open_on(disk.clone(), SERVER, base.clone()).expect("a new store");
        store.begin(1).expect("there is room for that");
        let written = store.write(&batch);
        assert_eq!(disk.failed().map(|failed| failed.0), Some("write"));
        drop(store);
        disk.heal();
        let opened = Store::open_on(disk, SERVER, base.clone());
        let (mut store, recovered) = opened.expect("it opens without a tool");
        assert_eq!(recovered.records, []);
        match (written, error) {
            (Err(WriteError::NoSpace { .. }), ENOSPC) => {
                store.write(&batch).expect("there is room again");
            }
            (Err(WriteError::Failed { .. }), EIO) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}
