//! What goes wrong while sessions talk.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use backfence_client::Client;
use backfence_cluster::{Backup, Cluster, Role};
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::{
    plan::Plan,
    probe,
    shared::{Counts, Shared},
};

/// How long servers may take to have what one of them is about to lose.
const HANDED_OVER: Duration = Duration::from_secs(8);
/// How long a server may take to have everything again.
const FILLED: Duration = Duration::from_secs(30);
/// Copies of directories that are kept, at most.
const COPIES: usize = 8;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `kill -9` of some replicas, but not all; sometimes with the registry or a front end.
    Kill,
    /// Some replicas are halted, but not all, and go on later (SIGSTOP, SIGCONT).
    Halt,
    /// `kill -9` of all replicas at once.
    KillAll,
    /// A replica is stopped, and starts again with an empty data directory.
    Wipe,
    /// A replica is stopped, and starts again with an old copy of its data directory.
    Restore,
    /// `kill -9` of the registry.
    Registry,
    /// `kill -9` of a front end.
    FrontEnd,
    /// A front end is halted, and goes on later.
    HaltFrontEnd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Kill,
        Self::Halt,
        Self::KillAll,
        Self::Wipe,
        Self::Restore,
        Self::Registry,
        Self::FrontEnd,
        Self::HaltFrontEnd,
    ];
}

/// What faults of one kind amounted to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// How often it was done.
    pub injected: u64,
    /// How often it was seen from outside that something was away, or came back otherwise.
    pub bit: u64,
    /// How often it was given up, since it would have lost what the guarantees allow to
    /// be lost.
    pub spared: u64,
    /// Requests that failed, stayed in doubt or took over 100 ms from its beginning until
    /// the next one's.
    pub held_up: u64,
}

/// What faults there were.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Faults {
    /// By kind.
    pub kinds: BTreeMap<Kind, Tally>,
    /// How many in all.
    pub injected: u64,
    /// The longest time from the beginning of one to that of the next, in seconds.
    pub longest_pause: f64,
}

/// Who makes things go wrong.
pub(crate) struct Nemesis {
    pub(crate) cluster: Cluster,
    pub(crate) faults: Faults,
    plan: Plan,
    shared: Arc<Shared>,
    runtime: Handle,
    client: Client,
    random: StdRng,
    copies: Vec<(u32, Backup)>,
    last: Instant,
}

/// What is done to a program.
#[derive(Clone, Copy)]
enum Harm {
    Kill,
    Halt,
}

impl Nemesis {
    pub(crate) fn new(cluster: Cluster, plan: Plan, client: Client, shared: Arc<Shared>) -> Self {
        Self {
            cluster,
            plan,
            shared,
            runtime: Handle::current(),
            client,
            random: StdRng::seed_from_u64(plan.seed),
            copies: Vec::new(),
            faults: Faults::default(),
            last: Instant::now(),
        }
    }

    /// Injects one fault after the other until the time is over, each kind once before
    /// any is drawn. Blocks.
    ///
    /// # Errors
    ///
    /// If a program does not come back.
    pub(crate) fn inject(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        self.last = begin;
        let mut first = Kind::ALL.to_vec();
        first.shuffle(&mut self.random);
        // There is no old copy yet.
        first.sort_by_key(|kind| (*kind == Kind::Restore, *kind != Kind::Kill));
        first.reverse();
        while begin.elapsed() < self.plan.length && !self.shared.is_over() {
            let pause = self.random.random_range(200..2500);
            thread::sleep(Duration::from_millis(pause));
            let drawn = Kind::ALL.choose(&mut self.random).copied();
            let kind = first.pop().or(drawn).unwrap_or(Kind::Kill);
            let held_up = Counts::get(&self.shared.counts.held_up);
            let done = self.one(kind).with_context(|| format!("fault {kind:?}"))?;
            // What it held up may be answered only a little later.
            thread::sleep(Duration::from_millis(300));
            let held_up = Counts::get(&self.shared.counts.held_up) - held_up;
            self.note(kind, done, held_up);
        }
        Ok(())
    }

    /// Whether it was done, and was seen; `None` if it was spared.
    fn one(&mut self, kind: Kind) -> anyhow::Result<Option<bool>> {
        let pause = self.last.elapsed().as_secs_f64();
        self.faults.longest_pause = self.faults.longest_pause.max(pause);
        self.last = Instant::now();
        let front_end = Role::FrontEnd(self.random.random_range(1..=self.plan.front_ends));
        let harmed = match kind {
            Kind::Kill => {
                let mut harmed = self.some(Harm::Kill);
                match self.random.random_range(0..6) {
                    0 => harmed.push((Role::Registry, Harm::Kill)),
                    1 => harmed.push((front_end, Harm::Kill)),
                    _ => {}
                }
                harmed
            }
            Kind::Halt => self.some(Harm::Halt),
            Kind::KillAll => self.replicas().map(|role| (role, Harm::Kill)).collect(),
            Kind::Registry => vec![(Role::Registry, Harm::Kill)],
            Kind::FrontEnd => vec![(front_end, Harm::Kill)],
            Kind::HaltFrontEnd => vec![(front_end, Harm::Halt)],
            Kind::Wipe if self.plan.disks => return self.replace_disk(None),
            Kind::Wipe => return Ok(None),
            Kind::Restore => {
                let copy = self.copies.choose(&mut self.random).cloned();
                return match copy {
                    Some((_, copy)) => self.replace_disk(Some(copy)),
                    None => Ok(None),
                };
            }
        };
        self.harm(&harmed).map(Some)
    }

    fn replicas(&self) -> impl Iterator<Item = Role> + use<> {
        (1..=self.plan.replicas).map(Role::Replica)
    }

    /// Some replicas, but not all.
    fn some(&mut self, harm: Harm) -> Vec<(Role, Harm)> {
        let mut all: Vec<_> = self.replicas().map(|role| (role, harm)).collect();
        all.shuffle(&mut self.random);
        all.truncate(self.random.random_range(1..all.len()));
        all
    }

    /// Does it, waits a while, and undoes it. Whether it was seen.
    fn harm(&mut self, harmed: &[(Role, Harm)]) -> anyhow::Result<bool> {
        for &(role, harm) in harmed {
            match harm {
                Harm::Kill => self.cluster.kill(role)?,
                Harm::Halt => self.cluster.stop(role)?,
            }
        }
        let roles: Vec<_> = harmed.iter().map(|&(role, _)| role).collect();
        let probed = probe::away(&self.cluster, &self.client, &roles);
        let seen = self.runtime.block_on(probed);
        self.copy_some(harmed)?;
        let hold = self.random.random_range(0..3000);
        thread::sleep(Duration::from_millis(hold));
        let mut killed = Vec::new();
        for &(role, harm) in harmed {
            match (harm, role) {
                (Harm::Halt, _) => self.cluster.cont(role)?,
                // The others need it to come back.
                (Harm::Kill, Role::Registry) => self.cluster.restart(role)?,
                (Harm::Kill, _) => killed.push(role),
            }
        }
        self.cluster.restart_all(&killed)?;
        Ok(seen)
    }

    /// Sometimes copies the directory of one that was killed.
    fn copy_some(&mut self, harmed: &[(Role, Harm)]) -> anyhow::Result<()> {
        if !self.plan.disks {
            return Ok(());
        }
        for &(role, harm) in harmed {
            let (Role::Replica(replica), Harm::Kill) = (role, harm) else {
                continue;
            };
            let has = self.copies.iter().any(|(other, _)| *other == replica);
            let drawn = self.random.random_range(0..8) == 0;
            if self.copies.len() < COPIES && (!has || drawn) {
                let copy = self.cluster.back_up(replica)?;
                self.copies.push((replica, copy));
            }
        }
        Ok(())
    }

    /// Stops a replica, and starts it with an old disk or an empty one, if all others have
    /// all that any session has seen on theirs: else that would be lost, as it may.
    fn replace_disk(&mut self, old: Option<Backup>) -> anyhow::Result<Option<bool>> {
        let drawn = self.random.random_range(1..=self.plan.replicas);
        let replica = old.as_ref().map_or(drawn, Backup::replica);
        let role = Role::Replica(replica);
        let code = self.cluster.terminate(role)?;
        ensure!(
            code == Some(0),
            "{role} was asked to end, and ended with {code:?}"
        );
        let others: Vec<_> = (1..=self.plan.replicas)
            .filter(|&other| other != replica)
            .collect();
        let shared = Arc::clone(&self.shared);
        let seen = self.runtime.block_on(async {
            // Nobody has a request in work, so all that was told is noted.
            let _nobody = shared.at_work.write().await;
            shared.seen()
        });
        let have = probe::have(&self.client, &others, &seen, HANDED_OVER);
        let handed_over = self.runtime.block_on(have);
        if handed_over {
            match &old {
                Some(old) => self.cluster.restore(old)?,
                None => self.cluster.wipe(replica)?,
            }
        }
        self.cluster.restart(role)?;
        if !handed_over {
            return Ok(None);
        }
        let itself = [replica];
        let filled = probe::have(&self.client, &itself, &seen, FILLED);
        ensure!(
            self.runtime.block_on(filled),
            "{role} did not get what its disk had lost within {FILLED:?}"
        );
        Ok(Some(true))
    }

    fn note(&mut self, kind: Kind, done: Option<bool>, held_up: u64) {
        let tally = self.faults.kinds.entry(kind).or_default();
        match done {
            Some(seen) => {
                self.faults.injected += 1;
                tally.injected += 1;
                tally.bit += u64::from(seen);
                tally.held_up += held_up;
            }
            None => tally.spared += 1,
        }
    }
}
