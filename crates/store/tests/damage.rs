//! Files that are damaged.

mod support;

use std::fs;

use backfence_store::{OpenError, Store};
use redb::{Database, TableDefinition};
use support::{
    Random, SERVER, base,
    directory::{FILE, check, filled, is_corrupt},
};

const RECORDS: TableDefinition<'_, (u32, u64, u64), &[u8]> = TableDefinition::new("records");

#[test]
fn a_record_that_is_missing_or_damaged_does_not_go_unseen() {
    for (place, says) in [
        ((SERVER, 1, 1), "record 1 of replica 1@1"),
        ((SERVER, 1, 500), "record 500"),
        ((SERVER, 1, 501), "record 501"),
        ((SERVER, 1, 700), "record 700"),
    ] {
        for value in [None, Some(&b"\xff\xff"[..])] {
            let directory = filled();
            let database = Database::open(directory.path().join(FILE)).expect("it opens");
            let transaction = database.begin_write().expect("nobody else");
            let mut table = transaction.open_table(RECORDS).expect("it is there");
            match value {
                Some(bytes) => table.insert(place, bytes).expect("it takes it"),
                None => table.remove(place).expect("it is there"),
            };
            drop(table);
            transaction.commit().expect("it is written");
            drop(database);
            let says = if value.is_none() { says } else { "damaged" };
            check(directory.path(), is_corrupt, &[says]);
        }
    }
}

/// Whatever is cut off or overwritten: it is refused, or nothing is missing.
#[test]
fn damage_is_refused_or_harmless() {
    let directory = filled();
    let file = directory.path().join(FILE);
    let good = fs::read(&file).expect("it is closed");
    let mut random = Random(11);
    let mut refused = 0;
    let mut damage = |what: String, bytes: Vec<u8>| {
        println!("seed 11: {what}");
        fs::write(&file, bytes).expect("it is ours");
        match Store::open(directory.path(), SERVER, base("4.0")) {
            Err(OpenError::Corrupt { .. }) => refused += 1,
            Err(error) => panic!("{what}: {error:?}"),
            Ok((_, recovered)) => {
                let state = recovered.state.expect("the checkpoint is there");
                let found = (state.log.len(), recovered.records.len());
                assert_eq!(found, (500, 500), "{what}");
            }
        }
    };
    let lengths = (0..200).map(|_| random.below(good.len()));
    let pages = (0..good.len()).step_by(4096);
    for length in pages
        .chain(lengths.collect::<Vec<_>>())
        .chain([1, 8, 9, 64, 319, 320, 321])
    {
        damage(
            format!("cut to {length} of {}", good.len()),
            good[..length].to_vec(),
        );
    }
    for _ in 0..300 {
        let mut bytes = good.clone();
        let at = random.below(bytes.len());
        let length = (1 + random.below(600)).min(bytes.len() - at);
        let with = random.below(256) as u8;
        bytes[at..at + length].fill(with);
        damage(format!("{length} bytes of {with} at {at}"), bytes);
    }
    assert!(refused > 100, "only {refused} were refused");
}
