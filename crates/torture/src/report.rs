//! What a run amounted to, for people and for programs.

use std::{fmt, ops::AddAssign};

use backfence_wire::Versions;
use serde::Serialize;

use crate::{
    faults::{Faults, Kind},
    plan::Plan,
    shared::Counts,
};

/// What a run amounted to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Whether all held.
    pub verdict: Verdict,
    /// What it was to be.
    pub replicas: u32,
    /// Front ends.
    pub front_ends: u32,
    /// Requests a second that were asked for.
    pub rate: u32,
    /// Of all that was drawn.
    pub seed: u64,
    /// From the first request to the last, in seconds.
    pub seconds: f64,
    /// Requests by outcome.
    pub operations: Operations,
    /// Whether replicas spoke the oldest version of the wire or the newest.
    pub mixed: bool,
    /// What went wrong.
    pub faults: Faults,
    /// Of what was checked at the end; absent where it did not come to that.
    pub found: Found,
}

/// Whether all held.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "why")]
pub enum Verdict {
    /// It did.
    Held,
    /// It did not, and this is what was found first.
    Violated(String),
    /// Too little happened for the run to tell anything.
    Invalid(String),
}

/// Requests by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Operations {
    /// Reads that were answered.
    pub reads: u64,
    /// Reads that were not.
    pub reads_failed: u64,
    /// Updates that were acknowledged.
    pub updates: u64,
    /// Sendings of updates that nobody took.
    pub sendings_failed: u64,
    /// Sendings of which nobody said whether the update was taken.
    pub sendings_unknown: u64,
    /// Changes of the front end that answers a session.
    pub moves: u64,
    /// The longest that an answer took, in milliseconds.
    pub longest_ms: u64,
}

/// What was found at the end.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Found {
    /// Operations in the history, if it is causally consistent.
    pub history: Option<History>,
    /// Updates that were acknowledged, each of them visible or superseded.
    pub acknowledged: Option<u64>,
    /// Updates that were sent and never acknowledged.
    pub unknown: Option<u64>,
    /// The one digest of all replicas, and with empty logs.
    pub digest: Option<String>,
    /// How long it took to come to rest, in milliseconds.
    pub rest_ms: Option<u64>,
}

/// A history that is causally consistent with convergence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct History {
    /// Reads and writes.
    pub operations: usize,
    /// Sessions; one for each read update of unknown outcome among them.
    pub sessions: usize,
    /// Keys.
    pub keys: usize,
    /// Reads of what another session wrote.
    pub reads_of_others: usize,
}

impl Operations {
    pub(crate) fn of(counts: &Counts) -> Self {
        Self {
            reads: Counts::get(&counts.reads),
            reads_failed: Counts::get(&counts.failed_reads),
            updates: Counts::get(&counts.writes),
            sendings_failed: Counts::get(&counts.failed_sends),
            sendings_unknown: Counts::get(&counts.unknown_sends),
            moves: Counts::get(&counts.moves),
            longest_ms: Counts::get(&counts.longest_us) / 1000,
        }
    }

    /// Those that were answered.
    pub const fn answered(&self) -> u64 {
        self.reads + self.updates
    }
}

impl AddAssign for Operations {
    /// The sum, but for the longest answer, of which it is the longer.
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.reads_failed += other.reads_failed;
        self.updates += other.updates;
        self.sendings_failed += other.sendings_failed;
        self.sendings_unknown += other.sendings_unknown;
        self.moves += other.moves;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
    }
}

impl Report {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            verdict: Verdict::Held,
            replicas: plan.replicas,
            front_ends: plan.front_ends,
            rate: plan.rate,
            seed: plan.seed,
            mixed: plan.mixed,
            seconds: 0.0,
            operations: Operations::default(),
            faults: Faults::default(),
            found: Found::default(),
        }
    }

    /// Why the run tells nothing, if so: too little traffic, or faults that did not bite.
    pub(crate) fn shortcoming(&self) -> Option<String> {
        let Operations { reads, updates, .. } = self.operations;
        let wanted = self.seconds * f64::from(self.rate) / 2.0;
        if ((reads + updates) as f64) < wanted {
            return Some(format!("only {} requests were answered", reads + updates));
        }
        if self.operations.moves == 0 && self.front_ends > 1 {
            return Some("no session changed its front end".to_owned());
        }
        let others = self
            .found
            .history
            .map_or(0, |history| history.reads_of_others);
        if others < 100 {
            return Some(format!(
                "only {others} reads were of what another session wrote"
            ));
        }
        let bit = |kind: &Kind| {
            self.faults
                .kinds
                .get(kind)
                .is_some_and(|tally| tally.bit > 0)
        };
        let cuts = self.faults.without_cuts.is_none();
        let possible = |kind: &&Kind| cuts || !kind.is_cut();
        let missing = Kind::ALL.iter().filter(possible).find(|kind| !bit(kind))?;
        Some(format!("no fault of the kind {missing:?} was noticed"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Held => writeln!(f, "HELD")?,
            Verdict::Violated(why) => writeln!(f, "VIOLATED: {why}")?,
            Verdict::Invalid(why) => writeln!(f, "INVALID: {why}")?,
        }
        writeln!(
            f,
            "{} replicas, {} front ends, {} requests a second wanted, seed {}; {:.0} s",
            self.replicas, self.front_ends, self.rate, self.seed, self.seconds
        )?;
        if self.mixed {
            let versions = Versions::OWN;
            writeln!(
                f,
                "versions {versions} of the wire, drawn for each replica at each start"
            )?;
        }
        self.operations.fmt(f)?;
        self.faults.fmt(f)?;
        self.found.fmt(f)
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reads,
            reads_failed,
            updates,
            sendings_failed,
            sendings_unknown,
            moves,
            longest_ms,
        } = self;
        writeln!(f, "requests")?;
        writeln!(f, "  {reads:>9} reads answered, {reads_failed} failed")?;
        writeln!(
            f,
            "  {updates:>9} updates acknowledged; of their sendings {sendings_failed} failed, \
             {sendings_unknown} stayed in doubt"
        )?;
        writeln!(
            f,
            "  {moves:>9} changes of front end; the longest answer took {longest_ms} ms"
        )
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "faults: {}, the longest time between two {:.1} s",
            self.injected, self.longest_pause
        )?;
        for (kind, tally) in &self.kinds {
            write!(
                f,
                "  {:>9} {}: {} noticed, {} requests held up",
                tally.injected, kind, tally.bit, tally.held_up
            )?;
            if tally.spared > 0 {
                write!(f, "; {} spared", tally.spared)?;
            }
            writeln!(f)?;
        }
        if let Some(why) = &self.without_cuts {
            writeln!(f, "  SKIPPED network cuts: {why}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill -9 of some replicas",
            Self::Halt => "halt of some replicas",
            Self::KillAll => "kill -9 of all replicas",
            Self::Wipe => "wiped data directory",
            Self::Restore => "old data directory",
            Self::Registry => "kill -9 of the registry",
            Self::FrontEnd => "kill -9 of a front end",
            Self::HaltFrontEnd => "halt of a front end",
            Self::Cut => "network cut of a replica",
            Self::CutOneWay => "one-way network cut of a replica",
            Self::Part => "network cut between replicas",
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "found")?;
        let nothing = || "not checked".to_owned();
        let digest = self.digest.clone().unwrap_or_else(nothing);
        let rest = self.rest_ms.map_or_else(nothing, |ms| format!("{ms} ms"));
        writeln!(
            f,
            "  equal digests: {digest}; at rest with empty logs after: {rest}"
        )?;
        let acknowledged = match (self.acknowledged, self.unknown) {
            (Some(all), Some(unknown)) => {
                format!("all of {all}, and {unknown} were never acknowledged")
            }
            _ => nothing(),
        };
        writeln!(
            f,
            "  acknowledged updates visible or superseded: {acknowledged}"
        )?;
        let history = self.history.map_or_else(nothing, |history| {
            format!(
                "{} operations of {} sessions on {} keys, {} reads of others' writes",
                history.operations, history.sessions, history.keys, history.reads_of_others
            )
        });
        writeln!(f, "  causally consistent with convergence: {history}")
    }
}
