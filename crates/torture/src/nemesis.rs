//! Who makes things go wrong while sessions talk.

mod disks;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use backfence_client::{Client, Timestamp};
use backfence_cluster::{Backup, Cluster, Cut, Network, Role};
use backfence_wire::Versions;
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use tokio::runtime::Handle;

use crate::{
    faults::{Faults, Kind},
    plan::Plan,
    probe,
    shared::{Counts, Shared},
};

/// After this long since the last one began, the next fault does not wait for more.
const NEXT: Duration = Duration::from_secs(5);
/// How long it may take to see what is where, while servers cannot reach each other.
const SHOWN: Duration = Duration::from_secs(1);
/// What was held up by a fault may be answered only a little later.
const ECHO: Duration = Duration::from_millis(300);

/// Who makes things go wrong.
pub(crate) struct Nemesis {
    pub(crate) cluster: Cluster,
    pub(crate) faults: Faults,
    network: Option<Arc<Network>>,
    kinds: Vec<Kind>,
    plan: Plan,
    shared: Arc<Shared>,
    runtime: Handle,
    client: Client,
    random: StdRng,
    copies: Vec<(u32, Backup)>,
    /// When the last fault began.
    last: Instant,
}

/// What is done to a program.
#[derive(Clone, Copy)]
enum Harm {
    Kill,
    Halt,
}

impl Nemesis {
    /// Without a network none is cut.
    pub(crate) fn new(
        cluster: Cluster,
        network: Option<Arc<Network>>,
        plan: Plan,
        client: Client,
        shared: Arc<Shared>,
    ) -> Self {
        let possible = |kind: &Kind| network.is_some() || !kind.is_cut();
        Self {
            cluster,
            kinds: Kind::ALL.into_iter().filter(possible).collect(),
            network,
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
        let mut first = self.kinds.clone();
        first.shuffle(&mut self.random);
        // There is no old copy yet.
        first.sort_by_key(|kind| (*kind == Kind::Restore, *kind != Kind::Kill));
        first.reverse();
        while begin.elapsed() < self.plan.length && !self.shared.is_over() {
            let pause = Duration::from_millis(self.random.random_range(200..2500));
            self.rest(pause.min(NEXT.saturating_sub(self.last.elapsed())));
            let drawn = self.kinds.choose(&mut self.random).copied();
            self.fault(first.pop().or(drawn).unwrap_or(Kind::Kill))?;
        }
        self.faults.paused(self.last, Instant::now());
        Ok(())
    }

    fn fault(&mut self, kind: Kind) -> anyhow::Result<()> {
        let held_up = Counts::get(&self.shared.counts.held_up);
        let done = self.one(kind).with_context(|| format!("fault {kind:?}"))?;
        self.rest(ECHO);
        let held_up = Counts::get(&self.shared.counts.held_up) - held_up;
        self.faults.note(kind, done, held_up);
        Ok(())
    }

    /// Halts a front end where the last fault takes long: one is to begin every few seconds.
    fn keep_on(&mut self) -> anyhow::Result<()> {
        if self.last.elapsed() > NEXT && !self.shared.is_over() {
            self.fault(Kind::HaltFrontEnd)?;
        }
        Ok(())
    }

    /// A fault begins now.
    fn begins(&mut self) {
        let now = Instant::now();
        self.faults.paused(self.last, now);
        self.last = now;
    }

    /// Waits, unless the run is over.
    fn rest(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.shared.is_over() {
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return,
                left => thread::sleep(left.min(Duration::from_millis(50))),
            }
        }
    }

    /// Whether it was done, and was seen; `None` if it was spared.
    fn one(&mut self, kind: Kind) -> anyhow::Result<Option<bool>> {
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
            Kind::Cut => return self.cut(Cut::Both),
            Kind::CutOneWay if self.random.random() => return self.cut(Cut::In),
            Kind::CutOneWay => return self.cut(Cut::Out),
            Kind::Part => return self.cut(Cut::Peers),
        };
        self.harm(&harmed).map(Some)
    }

    /// What a replica speaks from its next start on, where versions are mixed.
    fn draw_version(&mut self, role: Role) {
        if let (Role::Replica(replica), true) = (role, self.plan.mixed) {
            let is_old: bool = self.random.random();
            let oldest = Versions::OWN.oldest;
            self.cluster.speak(replica, is_old.then_some(oldest));
        }
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
        self.begins();
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
        self.rest(Duration::from_millis(hold));
        let mut killed = Vec::new();
        for &(role, harm) in harmed {
            match (harm, role) {
                (Harm::Halt, _) => self.cluster.cont(role)?,
                // The others need it to come back.
                (Harm::Kill, Role::Registry) => self.cluster.restart(role)?,
                (Harm::Kill, _) => killed.push(role),
            }
        }
        for &role in &killed {
            self.draw_version(role);
        }
        self.cluster.restart_all(&killed)?;
        Ok(seen)
    }

    /// Loses packets of a replica for some seconds. Whether that was seen.
    fn cut(&mut self, cut: Cut) -> anyhow::Result<Option<bool>> {
        let Some(network) = self.network.clone() else {
            return Ok(None);
        };
        let replica = self.random.random_range(1..=self.plan.replicas);
        let hold = Duration::from_millis(self.random.random_range(2000..5500));
        self.begins();
        let healing = Instant::now() + hold;
        network.cut(replica, cut)?;
        let left = || healing.saturating_duration_since(Instant::now());
        let seen = if cut == Cut::Peers {
            // What was on its way has arrived then.
            self.rest(ECHO);
            let before = self.shown(replica);
            self.rest(left());
            let learnt = |(its, others)| {
                let now = self.shown(replica)?;
                Some(its <= now.1 && others <= now.0)
            };
            before.and_then(learnt) == Some(false)
        } else {
            let roles = [Role::Replica(replica)];
            let probed = probe::away(&self.cluster, &self.client, &roles);
            let seen = self.runtime.block_on(probed);
            self.rest(left());
            seen
        };
        network.heal(replica, cut)?;
        Ok(Some(seen))
    }

    /// What a replica shows, and what the others do.
    fn shown(&self, replica: u32) -> Option<(Timestamp, Timestamp)> {
        let shown = probe::shown(&self.client, replica, SHOWN);
        self.runtime.block_on(shown)
    }
}
