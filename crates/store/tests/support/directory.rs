//! A real directory with a store in it.

use std::{fs, path::Path};

use backfence_gossip::{
    Limits, LogEntry, Record, Replica, ReplicaId, SessionId, Time, Timestamp, Update, UpdateId,
};
use backfence_ratings::{MovieId, Operation, Ratings, UserId};
use backfence_store::{Batch, Checkpoint, OpenError, Store};

use super::{SERVER, base};

pub(crate) const FILE: &str = "replica.redb";

pub(crate) fn open(directory: &Path) -> Result<Store, OpenError> {
    Ok(Store::open(directory, SERVER, base("4.0"))?.0)
}

/// A directory with some records and a checkpoint in it.
pub(crate) fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = open(directory.path()).expect("a new store");
    store.begin(1).expect("it begins");
    let origin = ReplicaId::new(SERVER, 1);
    let replica = Replica::new(origin, Ratings::new(base("4.0")), Limits::default());
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
    let mut cut = replica.state();
    cut.replica_ts.raise(origin, 500);
    cut.log = (1..=500)
        .map(|number| LogEntry {
            record: record(number),
            waiting: true,
        })
        .collect();
    let batch = Batch {
        records: (501..=1_000).map(record).collect(),
        checkpoint: Some(Checkpoint::whole(cut)),
        ..Batch::default()
    };
    store.write(&batch).expect("it is written");
    directory
}

/// Checks what is said of a directory, that it says where and what to do, and that nothing
/// is changed.
pub(crate) fn check(directory: &Path, is_right: impl Fn(&OpenError) -> bool, says: &[&str]) {
    let before = fs::read(directory.join(FILE)).ok();
    let error = open(directory).expect_err("it is refused");
    let after = fs::read(directory.join(FILE)).ok();
    assert!(before == after, "what is refused stays as it is");
    let said = error.to_string();
    println!("{said}");
    assert!(is_right(&error), "{error:?}");
    let place = directory.display().to_string();
    for part in says.iter().chain(&[place.as_str()]) {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

pub(crate) fn is_corrupt(error: &OpenError) -> bool {
    matches!(error, OpenError::Corrupt { .. })
}
