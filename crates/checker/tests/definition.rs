//! The checker against an enumeration of the definition.

#[path = "support/counterexample.rs"]
mod counterexample;
#[path = "support/definition.rs"]
mod definition;

use backfence_checker::{Anomaly, Operation, check};
use counterexample::{assert_holds, history};
use definition::{Judgement, judge};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// How many histories there were of each judgement.
#[derive(Debug, Default)]
struct Tally {
    consistent: usize,
    thin_air: usize,
    cyclic: usize,
    stale: usize,
    divergent: usize,
}

impl Tally {
    /// Compares verdict, kind, session guarantee and counterexample.
    fn check(&mut self, operations: &[Operation]) {
        let verdict = check(&history(operations));
        if let Err(violation) = &verdict {
            assert_holds(operations, violation);
        }
        let judgement = judge(operations);
        let anomaly = verdict.as_ref().map_err(|violation| &violation.anomaly);
        let agreed = match (&judgement, anomaly) {
            (Judgement::Consistent, Ok(_)) => count(&mut self.consistent),
            (Judgement::ThinAir, Err(Anomaly::ThinAirRead { .. })) => count(&mut self.thin_air),
            (Judgement::Cyclic, Err(Anomaly::CausalCycle)) => count(&mut self.cyclic),
            (Judgement::Stale(reads), Err(Anomaly::StaleRead { read })) => {
                let place = read.line as usize - 1;
                let expected = reads.iter().find(|(at, _)| *at == place);
                let broken = &verdict.as_ref().expect_err("it is stale").broken;
                let named = expected.is_some_and(|(_, name)| name.as_slice() == broken.as_slice());
                named && count(&mut self.stale)
            }
            (Judgement::Divergent, Err(Anomaly::DivergentOrder { .. })) => {
                count(&mut self.divergent)
            }
            _ => false,
        };
        assert!(agreed, "{judgement:?}, but {verdict:?}\n{operations:?}");
    }

    fn invalid(&self) -> usize {
        self.thin_air + self.cyclic + self.stale + self.divergent
    }
}

fn count(counter: &mut usize) -> bool {
    *counter += 1;
    true
}

/// Every history of up to 7 operations of 2 keys in up to 3 sessions, but for renaming
/// of sessions and values; up to 4 operations also with values that nobody wrote.
#[test]
fn agrees_on_all_small_histories() {
    let mut tally = Tally::default();
    for operations in 0..=7 {
        for sizes in partitions(operations, operations, 3) {
            for letters in 0..4_usize.pow(operations as u32) {
                let mut small = Small::new(&sizes, letters, usize::from(operations <= 4));
                while small.next_values() {
                    tally.check(&small.operations());
                }
            }
        }
    }
    println!("{tally:?}");
    let kinds = [
        tally.consistent,
        tally.thin_air,
        tally.cyclic,
        tally.stale,
        tally.divergent,
    ];
    assert!(kinds.iter().all(|&kind| kind > 100), "{tally:?}");
}

/// The ways to write `sum` as at most `parts` numbers of at most `largest`, descending.
fn partitions(sum: usize, largest: usize, parts: usize) -> Vec<Vec<usize>> {
    if sum == 0 {
        return vec![Vec::new()];
    }
    let largest = if parts == 0 { 0 } else { largest.min(sum) };
    let with_first = |first: usize| {
        let rests = partitions(sum - first, first, parts - 1);
        rests
            .into_iter()
            .map(move |rest| [vec![first], rest].concat())
    };
    (1..=largest).rev().flat_map(with_first).collect()
}

/// All histories with given sessions, kinds and keys: only what is read varies.
struct Small {
    /// Session, whether it reads, and key of each operation.
    shape: Vec<(u64, bool, usize)>,
    /// For each read, what it returned and the most that it may.
    values: Vec<(u64, u64)>,
    fresh: bool,
}

impl Small {
    /// `letters` in base 4 tells kind and key of each operation. Reads return the initial
    /// value, a value of the key, or one of `unwritten` values that nobody wrote.
    fn new(sizes: &[usize], letters: usize, unwritten: usize) -> Self {
        let sessions = (1..)
            .zip(sizes)
            .flat_map(|(session, &size)| vec![session; size]);
        let shape: Vec<_> = sessions
            .enumerate()
            .map(|(at, session)| {
                (
                    session,
                    letters >> (2 * at) & 1 == 1,
                    letters >> (2 * at + 1) & 1,
                )
            })
            .collect();
        let writes = |key| {
            shape
                .iter()
                .filter(|&&(_, reads, of)| !reads && of == key)
                .count()
        };
        let most = |key| (writes(key) + unwritten) as u64;
        let reads = shape.iter().filter(|(_, reads, _)| *reads);
        let values = reads.map(|&(_, _, key)| (0, most(key))).collect();
        Self {
            shape,
            values,
            fresh: true,
        }
    }

    /// Counts up; false when all combinations were there.
    fn next_values(&mut self) -> bool {
        if std::mem::take(&mut self.fresh) {
            return true;
        }
        for (value, most) in &mut self.values {
            if value < most {
                *value += 1;
                return true;
            }
            *value = 0;
        }
        false
    }

    /// The last session first if its first operation is a read, so that reads stand before
    /// writes in the input too.
    fn operations(&self) -> Vec<Operation> {
        let mut written = [0; 2];
        let mut values = self.values.iter();
        let number = |(txn, &(session, reads, key)): (u64, &(u64, bool, usize))| {
            if reads {
                let (value, _) = values.next().expect("one for each read");
                return Operation::read(key as u64, *value, session, txn);
            }
            written[key] += 1;
            Operation::write(key as u64, written[key], session, txn)
        };
        let mut operations: Vec<Operation> = (0..).zip(&self.shape).map(number).collect();
        if self.shape.last().is_some_and(|(_, reads, _)| *reads) {
            operations.sort_by_key(|operation| std::cmp::Reverse(operation.session));
        }
        operations
    }
}

#[test]
fn agrees_on_random_histories() {
    let seed = match std::env::var("BACKFENCE_SEED") {
        Ok(seed) => seed.parse().expect("BACKFENCE_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("BACKFENCE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    const HISTORIES: usize = 200_000;
    for _ in 0..HISTORIES {
        tally.check(&random_history(&mut random));
    }
    println!("{tally:?}");
    assert!(tally.invalid() * 3 >= HISTORIES, "seed {seed}: {tally:?}");
    assert!(tally.consistent * 10 >= HISTORIES, "seed {seed}: {tally:?}");
    assert!(tally.divergent * 50 >= HISTORIES, "seed {seed}: {tally:?}");
}

/// Five to nine operations; reads mostly return what may well be read.
fn random_history(random: &mut StdRng) -> Vec<Operation> {
    let size = random.random_range(6..=9);
    let sessions = random.random_range(2..=4);
    let keys = if random.random_bool(0.6) { 1 } else { 2 };
    let reading = random.random_range(0.5..0.75);
    let mut operations: Vec<Operation> = Vec::new();
    for txn in 1..=size {
        let session = random.random_range(1..=sessions);
        let key = random.random_range(1..=keys);
        operations.push(if random.random_bool(reading) {
            Operation::read(key, 0, session, txn)
        } else {
            Operation::write(key, txn, session, txn)
        });
    }
    let written = operations.clone();
    for (at, read) in operations.iter_mut().enumerate() {
        // Seldom a write that stands later, which often makes a causal cycle.
        let known = if random.random_bool(0.1) {
            written.len()
        } else {
            at
        };
        let same_key = |other: &&Operation| other.key == read.key && other.value.0 != 0;
        let choices: Vec<_> = written[..known].iter().filter(same_key).collect();
        let reads_value = read.value.0 == 0 && random.random_bool(0.9);
        if reads_value && let Some(choice) = choices.choose(random) {
            read.value = choice.value;
        }
    }
    operations
}
