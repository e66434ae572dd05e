//! Programs of two versions in one run: which life has which, and who may take what.

use backfence_gossip::ReplicaId;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Violation,
    node::Comeback,
    plan::{Plan, Step},
    trace::Lane,
    world::World,
};

/// What the older program understands.
pub(crate) const OLD: u32 = 1;
/// What the newer program understands, and updates of the newer kind need.
pub(crate) const NEW: u32 = 2;

impl Plan {
    /// The plan of a seed with programs of two versions: as [`Plan::from_seed`] has it, and
    /// servers are stopped, and started with whichever program is there.
    pub fn mixed(seed: u64) -> Self {
        let mut plan = Self::from_seed(seed);
        // Long enough for an upgrade, some updates that need it, and a way back.
        plan.steps.append(&mut Self::from_seed(!seed).steps);
        let mut rng = StdRng::seed_from_u64(seed.swap_bytes() ^ u64::from(NEW));
        let replacements = [5, 10, 30][rng.random_range(0..3)];
        for _ in 0..replacements {
            let at = rng.random_range(0..=plan.steps.len());
            let replica = rng.random();
            plan.steps.insert(at, Step::Replace { replica });
        }
        plan.versions = Some(rng.next_u64());
        plan
    }

    /// The version of the program with which a server begins a life: more often the newer
    /// as the run goes on, and any life may go back.
    pub(crate) fn program(&self, step: usize, (server, life): (u32, u64)) -> u32 {
        let Some(seed) = self.versions else {
            return OLD;
        };
        let at_first = [40, 70, 90][StdRng::seed_from_u64(seed).random_range(0..3)];
        let length = self.steps.len().max(1);
        let percent = at_first + (95 - at_first) * step.min(length) / length;
        let lives = u64::from(server) << 32 | life;
        let mut rng = StdRng::seed_from_u64(seed ^ lives);
        let is_new = rng.random_range(0..100) < percent;
        if is_new { NEW } else { OLD }
    }

    /// Whether an update is of the newer kind.
    pub(crate) fn is_newer(&self, index: usize) -> bool {
        let rng = |seed: u64| StdRng::seed_from_u64(!seed ^ index as u64);
        self.versions
            .is_some_and(|seed| rng(seed).random_range(0..4) == 0)
    }
}

impl World<'_> {
    /// The version of the program that the next life of a server has.
    pub(crate) fn next_program(&self, node: usize) -> u32 {
        self.plan.program(self.steps, self.nodes[node].next_life())
    }

    /// Notes with which program a life has begun: `drawn`, unless the disk needs more.
    pub(crate) fn note_program(&mut self, node: usize, before: u32, drawn: u32) {
        let version = self.nodes[node].version();
        self.report.downgraded += usize::from(version < before);
        self.report.disks_too_new += usize::from(version > drawn);
        if self.plan.versions.is_some() {
            self.trace.note(self.steps, Lane::Replica(node), None, || {
                format!("runs a program of version {version}")
            });
        }
    }

    /// A server is stopped in order, and started with whichever program is there.
    pub(crate) fn replace(&mut self, node: usize) -> Result<(), Violation> {
        self.report.replaced += 1;
        self.sync(node);
        self.start(node, Comeback::Disk, self.next_program(node))
    }

    /// Without faults: once a record is there that needs the newer program, every server
    /// that remains is given it.
    pub(crate) fn upgrade_where_needed(&mut self) -> Result<(), Violation> {
        if self.replicas().iter().any(|replica| replica.needs() >= NEW) {
            for node in 0..self.nodes.len() {
                let server = &self.nodes[node];
                if server.replica.is_some() && server.version() < NEW {
                    self.report.replaced += 1;
                    self.start(node, Comeback::Disk, NEW)?;
                }
            }
        }
        Ok(())
    }

    /// A replica has made a record of an update of the newer kind: all who remain, as far as
    /// it knows of them, have to have said that they understand it.
    pub(crate) fn judge_newer(&mut self, at: usize) -> Result<(), Violation> {
        self.report.newer += 1;
        if let Some(who) = self.too_old_for_newer(at) {
            let id = self.nodes[at].id();
            let what = format!("{id} takes an update that {who} may not understand");
            return self.judge(Err(("I7", what)));
        }
        let is_old = |other: usize| {
            let node = &self.nodes[other];
            node.replica.is_some() && !node.retired && node.version() < NEW
        };
        let has_unheard = (0..self.nodes.len()).any(is_old);
        self.report.unheard += usize::from(has_unheard);
        Ok(())
    }

    /// Who keeps a replica from taking updates of the newer kind.
    pub(crate) fn too_old_for_newer(&self, at: usize) -> Option<ReplicaId> {
        let node = &self.nodes[at];
        let replica = node.replica.as_ref()?;
        if node.version() < NEW {
            return Some(replica.id());
        }
        let is_old = |peer: &ReplicaId| node.heard.newest(*peer) < Some(NEW);
        replica.others().find(is_old)
    }
}
