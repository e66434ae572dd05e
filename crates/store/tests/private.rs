//! Nobody but its owner can look into a store, or lock it.

#![cfg(unix)]

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::Arc,
};

use backfence_ratings::Base;
use backfence_store::{OpenError, Store};

const OLD: &[u8] = include_bytes!("formats/4/replica.redb");

/// What `OLD` was written over.
fn base() -> Arc<Base> {
    let movies = "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),Crime\n";
    let ratings = "userId,movieId,rating,timestamp\n1,1,4.0,1\n";
    let loaded = Base::read(movies.as_bytes(), ratings.as_bytes(), true);
    Arc::new(loaded.expect("every row is good").base)
}

fn open(directory: &Path) -> Result<(), OpenError> {
    Store::open(directory, 1, base()).map(drop)
}

fn mode(path: &Path) -> u32 {
    let there = fs::metadata(path).expect("it is there");
    there.permissions().mode() & 0o777
}

/// The files of a directory and their modes.
fn modes(directory: &Path) -> BTreeMap<String, u32> {
    let entries = fs::read_dir(directory).expect("it is ours");
    let entry = entries.map(|entry| entry.expect("an entry"));
    let named = entry.map(|entry| (entry.file_name(), mode(&entry.path())));
    let text = named.map(|(name, mode)| (name.into_string().expect("ASCII"), mode));
    text.collect()
}

fn all_private<const N: usize>(names: [&str; N]) -> BTreeMap<String, u32> {
    names.map(|name| (name.to_owned(), 0o600)).into()
}

#[test]
fn a_new_store_is_private_and_a_wider_one_becomes_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("a/b");
    open(&directory).expect("it is made");
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    let expected = all_private(["lock", "replica.redb"]);
    assert_eq!(modes(&directory), expected);
    for name in expected.keys() {
        let wider = Permissions::from_mode(0o644);
        fs::set_permissions(directory.join(name), wider).expect("it is ours");
    }
    open(&directory).expect("it is there");
    assert_eq!(modes(&directory), expected);
}

#[test]
fn what_a_migration_leaves_is_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("replica.redb");
    fs::write(&file, OLD).expect("it is ours");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("it is ours");
    open(folder.path()).expect("it is migrated");
    let expected = all_private(["lock", "replica.redb", "replica.redb.format-4"]);
    assert_eq!(modes(folder.path()), expected);
}

/// A name that everybody knows may be taken by a link to another file.
#[test]
fn no_link_is_followed() {
    for contents in [None, Some(OLD)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (victim, directory) = (folder.path().join("victim"), folder.path().join("d"));
        fs::write(&victim, "precious").expect("it is ours");
        fs::create_dir(&directory).expect("it is ours");
        if let Some(contents) = contents {
            fs::write(directory.join("replica.redb"), contents).expect("it is ours");
        }
        symlink(&victim, directory.join("replica.redb.new")).expect("it is ours");
        open(&directory).expect("the link is replaced");
        fs::remove_file(directory.join("lock")).expect("it is ours");
        symlink(&victim, directory.join("lock")).expect("it is ours");
        let refused = open(&directory).expect_err("the lock is a link");
        assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
        assert_eq!(
            fs::read_to_string(&victim).expect("it is there"),
            "precious"
        );
    }
}
