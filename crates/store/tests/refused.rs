//! Directories that are refused, and what is said then.

mod support;

use std::io::Write as _;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use backfence_gossip::ReplicaId;
use backfence_store::{Batch, OpenError, Store, WriteError};
use redb::{Database, TableDefinition};
use support::{
    SERVER, base,
    directory::{FILE, check, filled, is_corrupt, open},
};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

fn put(directory: &Path, name: &str, value: &[u8]) {
    let database = Database::open(directory.join(FILE)).expect("it opens");
    let transaction = database.begin_write().expect("nobody else");
    let mut meta = transaction.open_table(META).expect("it is there");
    meta.insert(name, value).expect("it takes it");
    drop(meta);
    transaction.commit().expect("it is written");
}

#[test]
fn what_belongs_elsewhere_is_refused() {
    let directory = filled();
    let path = directory.path();
    let other = |error: &OpenError| matches!(error, OpenError::OtherFormat { .. });
    for (format, remedy) in [(3_u32, "an older version"), (6, "a newer version")] {
        put(path, "format", &format.to_le_bytes());
        let found = format!("format {format}");
        check(path, other, &[&found, "reads formats 4 to 5", remedy]);
    }
    put(path, "format", &5_u32.to_le_bytes());

    put(path, "server", &9_u32.to_le_bytes());
    let other = |error: &OpenError| matches!(error, OpenError::OtherServer { .. });
    check(path, other, &["server 9", "server 1"]);
    put(path, "server", &SERVER.to_le_bytes());

    let fingerprint = base("3.0").fingerprint();
    put(path, "fingerprint", fingerprint.as_bytes());
    let other = |error: &OpenError| matches!(error, OpenError::OtherData { .. });
    check(path, other, &[&fingerprint, &base("4.0").fingerprint()]);
    put(path, "fingerprint", base("4.0").fingerprint().as_bytes());
    open(path).expect("all is as it was");
}

#[test]
fn a_second_store_is_refused_while_the_first_is_open() {
    let directory = filled();
    let in_use = |error: &OpenError| matches!(error, OpenError::InUse { .. });
    let store = open(directory.path()).expect("the first");
    check(directory.path(), in_use, &["in use"]);
    drop(store);
    open(directory.path()).expect("the first is gone");
}

/// The test runs itself as the other process.
#[test]
fn another_process_is_refused_and_its_death_frees_the_directory() {
    const HOLD: &str = "BACKFENCE_TEST_HOLD";
    if let Some(directory) = std::env::var_os(HOLD) {
        let _store = open(Path::new(&directory)).expect("the first");
        println!("\nHELD");
        // Its input never ends: it is killed.
        std::io::stdin()
            .read_line(&mut String::new())
            .expect("input");
        return;
    }
    let directory = filled();
    let name = "another_process_is_refused_and_its_death_frees_the_directory";
    let mut holder = Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture"])
        .env(HOLD, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let said = BufReader::new(holder.stdout.take().expect("a pipe"));
    let holds = said.lines().any(|line| line.expect("text") == "HELD");
    assert!(holds, "it has ended");
    let in_use = |error: &OpenError| matches!(error, OpenError::InUse { .. });
    check(directory.path(), in_use, &["in use"]);
    holder.kill().expect("it lives");
    holder.wait().expect("it is ours");
    open(directory.path()).expect("the holder is gone");
}

#[test]
fn what_is_not_a_store_is_refused() {
    let garbage = |length| vec![b'x'; length];
    for contents in [
        vec![],
        garbage(5),
        garbage(100),
        garbage(100_000),
        b"redb".to_vec(),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(FILE), contents).expect("a file");
        check(directory.path(), is_corrupt, &["damaged"]);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    let database = Database::create(directory.path().join(FILE)).expect("a database");
    let transaction = database.begin_write().expect("nobody else");
    transaction.open_table(other).expect("a table");
    transaction.commit().expect("it is written");
    drop(database);
    check(directory.path(), is_corrupt, &["meta"]);
}

#[test]
fn where_nothing_can_be_written_is_refused() {
    let io = |error: &OpenError| matches!(error, OpenError::Io { .. });
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a file");
    File::create(&file).expect("a file");
    check(&file, io, &["check"]);
    check(&file.join("below"), io, &["check"]);

    // Not even the administrator may write here.
    let closed = Path::new("/sys/kernel");
    if closed.is_dir() {
        check(closed, io, &["check"]);
    } else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED where_nothing_can_be_written_is_refused: there is no /sys/kernel"
        );
    }
}

#[test]
fn a_directory_is_made_and_a_half_made_file_is_no_obstacle() {
    let above = tempfile::tempdir().expect("a directory");
    let directory = above.path().join("some").join("where");
    let (store, recovered) = Store::open(&directory, SERVER, base("4.0")).expect("it is made");
    assert!(recovered.incarnation.is_none());
    drop(store);
    fs::rename(directory.join(FILE), directory.join("replica.redb.new")).expect("it is closed");
    for left in [b"redb\x1a\n\xa9\r\n".to_vec(), vec![0; 80_000]] {
        fs::write(directory.join("replica.redb.new"), left).expect("it is ours");
        let (mut store, recovered) =
            Store::open(&directory, SERVER, base("4.0")).expect("it is made");
        assert!(recovered.incarnation.is_none());
        store.begin(1).expect("it begins");
        drop(store);
        let (_, recovered) = Store::open(&directory, SERVER, base("4.0")).expect("it is there");
        assert_eq!(recovered.incarnation, Some(1));
        fs::remove_file(directory.join(FILE)).expect("it is closed");
    }
}

#[test]
fn no_incarnation_begins_twice_and_nothing_is_written_before_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = open(directory.path()).expect("a new store");
    let members = Some(vec![ReplicaId::new(2, 1)]);
    let batch = Batch {
        members,
        ..Batch::default()
    };
    let failed = |outcome| matches!(outcome, Err(WriteError::Failed { .. }));
    assert!(failed(store.write(&batch)));
    assert!(failed(store.begin(1)), "after a failure nothing is written");
    drop(store);
    let mut store = open(directory.path()).expect("it is there");
    store.begin(5).expect("it is the first");
    for again in [5, 4] {
        drop(store);
        store = open(directory.path()).expect("it is there");
        assert!(failed(store.begin(again)));
    }
    drop(store);
    store = open(directory.path()).expect("it is there");
    store.begin(6).expect("it is later");
}
