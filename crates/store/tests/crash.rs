//! A crash at each single change of the disk, with what was not synced lost or torn.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use backfence_gossip::State;
use backfence_ratings::{Base, Ratings};
use backfence_store::{Batch, Store};
use support::{
    Random, SERVER, base,
    disk::{Change, Disk, Loss, crashes},
    revive, same,
    script::steps,
    step::{Call, Step},
};

const SEEDS: [u64; 2] = [1, 2];

/// The script as it went: its journal, and how long that was after each step.
struct Run {
    journal: Vec<Change>,
    ends: Vec<usize>,
}

fn run(base: &Arc<Base>, steps: &[Step]) -> Run {
    let disk = Disk::default();
    let mut store = None;
    let mut ends = Vec::new();
    for step in steps {
        step.run(&disk, base, &mut store).expect("nothing fails");
        ends.push(disk.attempts());
    }
    drop(store);
    Run {
        journal: disk.journal(),
        ends,
    }
}

/// Opens what a crash has left, and compares it with what was acknowledged, or with
/// that and the batch that was being written.
fn check(base: &Arc<Base>, steps: &[Step], ends: &[usize], point: usize, disk: &Disk) -> usize {
    let (_, recovered) =
        Store::open_on(disk.clone(), SERVER, base.clone()).expect("it opens without a tool");
    let begun = recovered.incarnation;
    let found = revive(base, recovered);
    let done = ends.partition_point(|&end| end <= point) - 1;
    let last = if point > ends[done] { done + 1 } else { done };
    let may_be = &steps[done..=last.min(steps.len() - 1)];
    let differences: Vec<_> = may_be
        .iter()
        .filter_map(|step| same(&found, &step.after).err())
        .collect();
    assert!(
        differences.len() < may_be.len(),
        "after {done} steps: {}",
        differences[0]
    );
    let begins = |step: &Step| match step.call {
        Call::Begin(incarnation) => Some(incarnation),
        _ => None,
    };
    let acknowledged = steps[..=done].iter().filter_map(begins).next_back();
    assert!(
        begun >= acknowledged,
        "{begun:?} has begun, not {acknowledged:?}"
    );
    may_be.len() - differences.len()
}

#[test]
fn a_crash_at_any_change_loses_nothing_acknowledged() {
    let base = base("4.0");
    for seed in SEEDS {
        let steps = steps(&base, seed);
        let Run { journal, ends } = run(&base, &steps);
        let mut random = Random(seed);
        let mut points = BTreeMap::<_, usize>::new();
        let losses = [
            Loss::None,
            Loss::All,
            Loss::Torn,
            Loss::Any,
            Loss::Any,
            Loss::Any,
        ];
        crashes(
            &journal,
            ends[0],
            &losses,
            &mut random,
            |point, loss, bytes| {
                println!("seed {seed}, point {point} of {}, {loss:?}", journal.len());
                check(&base, &steps, &ends, point, &Disk::of(bytes));
                *points.entry(format!("{loss:?}")).or_default() += 1;
            },
        );
        println!("seed {seed}: {} steps, {points:?}", steps.len());
        assert!(
            points.values().all(|&count| count > 300),
            "too few: {points:?}"
        );
    }
}

/// Recovery writes too, and may itself be cut short.
#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let base = base("4.0");
    let seed = 3;
    let steps = steps(&base, seed);
    let Run { journal, ends } = run(&base, &steps);
    let mut random = Random(seed);
    let mut again = Random(seed + 1);
    let mut checked = 0;
    crashes(
        &journal,
        ends[0],
        &[Loss::Any],
        &mut random,
        |point, _, bytes| {
            if point % 5 != 0 {
                return;
            }
            let first = Disk::of(bytes.clone());
            check(&base, &steps, &ends, point, &first);
            let mut recovery = vec![Change::Write(0, bytes), Change::Sync];
            recovery.extend(first.journal());
            crashes(&recovery, 2, &[Loss::Any], &mut again, |at, _, bytes| {
                println!(
                    "seed {seed}, point {point}, then {at} of {}",
                    recovery.len()
                );
                check(&base, &steps, &ends, point, &Disk::of(bytes));
                checked += 1;
            });
        },
    );
    assert!(checked > 500, "only {checked} were checked");
}

/// The script is worth the name: everything that a store can hold is in it.
#[test]
fn the_script_has_something_of_everything() {
    let base = base("4.0");
    for seed in SEEDS {
        let steps = steps(&base, seed);
        let batches: Vec<&Batch> = steps
            .iter()
            .filter_map(|step| match &step.call {
                Call::Write(batch) => Some(&**batch),
                _ => None,
            })
            .collect();
        let count = |has: &dyn Fn(&Batch) -> bool| batches.iter().filter(|b| has(b)).count();
        let has = |has: &dyn Fn(&backfence_store::Checkpoint) -> bool| {
            count(&|batch| batch.checkpoint.as_ref().is_some_and(has))
        };
        let counts = [
            ("records", count(&|batch| !batch.records.is_empty())),
            ("members", count(&|batch| batch.members.is_some())),
            ("whole", has(&|checkpoint| checkpoint.whole.is_some())),
            ("partial", has(&|checkpoint| checkpoint.whole.is_none())),
            ("waiting", has(&|checkpoint| !checkpoint.waiting.is_empty())),
            (
                "forgotten",
                has(&|checkpoint| checkpoint.executed.iter().any(|(_, of)| of.is_none())),
            ),
            (
                "let go",
                has(&|checkpoint| checkpoint.cells.iter().any(|(.., cell)| cell.is_none())),
            ),
            (
                "discarded",
                has(&|checkpoint| !checkpoint.cut.floor.is_empty()),
            ),
        ];
        println!("seed {seed}: {} batches, {counts:?}", batches.len());
        assert!(counts.iter().all(|(_, count)| *count > 2), "{counts:?}");
        let last: &State<Ratings> = &steps.last().expect("there are steps").after;
        assert!(
            last.replica_ts.len() >= 4,
            "four lives: {:?}",
            last.replica_ts
        );
    }
}
