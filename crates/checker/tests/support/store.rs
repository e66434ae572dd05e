//! A small causally consistent store, to make histories of any size from.

use backfence_checker::Operation;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What the store and its clients look like.
pub(crate) struct Load {
    pub(crate) operations: u64,
    pub(crate) sessions: usize,
    pub(crate) replicas: usize,
    pub(crate) keys: usize,
    pub(crate) seed: u64,
}

/// Runs the load and hands over each operation as it completes.
///
/// Each session stays at one replica. A write becomes visible there at once and elsewhere
/// after everything that it depends on; of concurrent writes the one with the higher
/// Lamport stamp wins everywhere.
pub(crate) fn run(load: &Load, mut record: impl FnMut(Operation)) {
    let mut random = StdRng::seed_from_u64(load.seed);
    let mut store = Store::new(load);
    for txn in 1..=load.operations {
        let session = random.random_range(0..load.sessions);
        let replica = session % load.replicas;
        // The smaller of two, so that some keys are much more popular than others.
        let key = random
            .random_range(0..load.keys)
            .min(random.random_range(0..load.keys));
        record(if random.random_bool(0.5) {
            store.write(replica, key, txn);
            Operation::write(key as u64, txn, session as u64, txn)
        } else {
            let value = store.replicas[replica].cells[key].value;
            Operation::read(key as u64, value, session as u64, txn)
        });
        for _ in 0..2 {
            let to = random.random_range(0..load.replicas);
            let from = random.random_range(0..load.replicas);
            store.deliver(to, from, random.random_range(0..32));
        }
    }
}

struct Store {
    replicas: Vec<Replica>,
    /// What each replica wrote.
    logs: Vec<Vec<Update>>,
}

struct Update {
    key: usize,
    cell: Cell,
    /// How many updates of each replica it depends on.
    needs: Box<[u32]>,
}

/// Ordered by stamp: the clock, then the replica.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    clock: u64,
    replica: usize,
    value: u64,
}

struct Replica {
    clock: u64,
    applied: Box<[u32]>,
    cells: Vec<Cell>,
}

impl Store {
    fn new(load: &Load) -> Self {
        let replica = || Replica {
            clock: 0,
            applied: vec![0; load.replicas].into(),
            cells: vec![Cell::default(); load.keys],
        };
        Self {
            replicas: (0..load.replicas).map(|_| replica()).collect(),
            logs: (0..load.replicas).map(|_| Vec::new()).collect(),
        }
    }

    fn write(&mut self, at: usize, key: usize, value: u64) {
        let cell = Cell {
            clock: self.replicas[at].clock + 1,
            replica: at,
            value,
        };
        let needs = self.replicas[at].applied.clone();
        let update = Update { key, cell, needs };
        self.replicas[at].apply(&update);
        self.logs[at].push(update);
    }

    fn deliver(&mut self, to: usize, from: usize, at_most: usize) {
        let replica = &mut self.replicas[to];
        let next = replica.applied[from] as usize;
        for update in self.logs[from][next..].iter().take(at_most) {
            let lacks = |(has, needs): (&u32, &u32)| has < needs;
            if replica.applied.iter().zip(&update.needs).any(lacks) {
                break;
            }
            replica.apply(update);
        }
    }
}

impl Replica {
    fn apply(&mut self, update: &Update) {
        let cell = &mut self.cells[update.key];
        *cell = update.cell.max(*cell);
        self.clock = self.clock.max(update.cell.clock);
        self.applied[update.cell.replica] += 1;
    }
}
