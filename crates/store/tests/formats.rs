//! A store of each format is migrated when it is opened, and its file is kept.

mod support;

use std::io::Write as _;
use std::{
    fs,
    path::{Path, PathBuf},
};

use backfence_store::{OpenError, Recovered, Store};
use redb::Database;
use support::{SERVER, base, directory::FILE, revive, sample};
use tempfile::TempDir;

const CURRENT: u32 = 5;
const KEPT: &str = "replica.redb.format-4";

/// The committed file of a format.
fn committed(format: u32) -> PathBuf {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    formats.join(format.to_string()).join(FILE)
}

/// A directory with that file.
fn directory(format: u32) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::copy(committed(format), directory.path().join(FILE)).expect("it is committed");
    directory
}

fn open(directory: &Path) -> Result<(Store, Recovered), OpenError> {
    Store::open(directory, SERVER, base(sample::RATED))
}

/// Opens it, and compares it with what that format holds. Where the old file is kept.
fn check(directory: &Path, format: u32) -> Option<PathBuf> {
    let (_, recovered) = open(directory).expect("it opens without a tool");
    let expected = sample::recovered(format);
    assert_eq!(recovered.state, expected.state);
    assert_eq!(recovered.records, expected.records);
    assert_eq!(recovered.members, expected.members);
    assert_eq!(recovered.incarnation, expected.incarnation);
    assert_eq!(recovered.cluster, expected.cluster);
    let kept = recovered.migrated.as_ref().map(|migrated| {
        assert_eq!((migrated.from, migrated.to), (format, CURRENT));
        let said = migrated.to_string();
        println!("{said}");
        let versions = format!("from format {format} to {CURRENT}");
        let place = migrated.kept.display().to_string();
        assert!(said.contains(&versions) && said.contains(&place), "{said}");
        migrated.kept.clone()
    });
    revive(&base(sample::RATED), recovered);
    kept
}

/// The names in a directory, but for the lock.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let names = entries.map(|entry| entry.expect("it is there").file_name());
    let names = names.map(|name| name.into_string().expect("text"));
    let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
    names.sort();
    names
}

fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).expect("a file") == fs::read(other).expect("a file")
}

#[test]
fn a_store_of_each_format_opens_and_the_old_file_is_kept() {
    let formats = committed(CURRENT);
    let formats = formats.ancestors().nth(2).expect("the folder of all");
    let each: Vec<_> = (4..=CURRENT).map(|format| format.to_string()).collect();
    assert_eq!(names(formats), each, "none is missing");
    for format in 4..=CURRENT {
        let directory = directory(format);
        let kept = check(directory.path(), format);
        let mut expected = vec![FILE.to_owned()];
        if format != CURRENT {
            let name = format!("{FILE}.format-{format}");
            assert_eq!(kept, Some(directory.path().join(&name)));
            assert!(same(&directory.path().join(&name), &committed(format)));
            expected.push(name);
        }
        assert_eq!(names(directory.path()), expected);

        assert_eq!(check(directory.path(), format), None, "it is migrated once");
        assert_eq!(names(directory.path()), expected);
        let (mut store, recovered) = open(directory.path()).expect("it opens");
        let next = recovered.incarnation.expect("it was begun") + 1;
        store.begin(next).expect("it goes on");
    }
}

/// As a crash has left it.
#[test]
fn a_store_that_was_not_closed_is_migrated_too() {
    let (used, crashed) = (directory(4), tempfile::tempdir().expect("a directory"));
    let database = Database::open(used.path().join(FILE)).expect("it opens");
    let (left, file) = (used.path().join("left"), crashed.path().join(FILE));
    for copy in [&left, &file] {
        fs::copy(used.path().join(FILE), copy).expect("it is ours");
    }
    drop(database);
    assert!(!same(&left, &committed(4)) && !same(&left, &used.path().join(FILE)));
    let kept = check(crashed.path(), 4).expect("it is migrated");
    assert!(same(&kept, &left));
}

#[test]
fn what_is_left_unfinished_is_written_anew() {
    let whole = fs::read(committed(4)).expect("it is committed");
    for left in [&b""[..], &whole[..20_000], &whole, &[7; 90_000]] {
        let directory = directory(4);
        fs::write(directory.path().join("replica.redb.new"), left).expect("it is ours");
        check(directory.path(), 4).expect("it is migrated");
        assert_eq!(names(directory.path()), [FILE, KEPT]);
    }
}

/// Somebody went back to the old version by a copy of what was kept, and has now come again.
#[test]
fn what_was_kept_before_stays() {
    let directory = directory(4);
    let others = ["", ".2"].map(|end| directory.path().join(format!("{KEPT}{end}")));
    for other in &others {
        fs::write(other, "kept before").expect("it is ours");
    }
    let kept = check(directory.path(), 4).expect("it is migrated");
    assert_eq!(kept, directory.path().join(format!("{KEPT}.3")));
    assert!(same(&kept, &committed(4)));
    for other in others {
        assert_eq!(fs::read(other).expect("a file"), b"kept before");
    }
}

#[test]
fn what_belongs_elsewhere_is_not_migrated() {
    let directory = directory(4);
    let server = Store::open(directory.path(), SERVER + 1, base(sample::RATED));
    assert!(
        matches!(server, Err(OpenError::OtherServer { .. })),
        "{server:?}"
    );
    let data = Store::open(directory.path(), SERVER, base("3.0"));
    assert!(matches!(data, Err(OpenError::OtherData { .. })), "{data:?}");
    assert_eq!(names(directory.path()), [FILE]);
    assert!(same(&directory.path().join(FILE), &committed(4)));
}

/// Whether a program of the system does this. What it says is not shown.
fn runs(program: &str, args: &[&str]) -> bool {
    use std::process::{Command, Stdio};
    let mut command = Command::new(program);
    let ran = command.args(args).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

#[test]
fn without_room_for_the_copy_nothing_is_changed() {
    let folder = tempfile::tempdir().expect("a directory");
    let place = folder.path().display().to_string();
    // Room for the file, and not for another.
    let small = ["-t", "tmpfs", "-o", "size=96k", "backfence", &place];
    if !runs("mount", &small) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED without_room_for_the_copy_nothing_is_changed: mounting a small tmpfs needs \
             root"
        );
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        fs::copy(committed(4), folder.path().join(FILE)).expect("there is room for it");
        let opened = open(folder.path());
        assert!(
            matches!(opened, Err(OpenError::NoSpace { .. })),
            "{opened:?}"
        );
        assert_eq!(names(folder.path()), [FILE], "no half of a copy");
        assert!(same(&folder.path().join(FILE), &committed(4)));
        assert!(runs("mount", &["-o", "remount,size=8m", &place]));
        check(folder.path(), 4).expect("there is room now");
    });
    assert!(runs("umount", &["-l", &place]));
    outcome.expect("nothing failed");
}
