//! The judge: it knows the one true history, and checks every step against it.

use std::fmt;

use backfence_gossip::{Replica, ReplicaId, Timestamp};
use fixedbitset::FixedBitSet;

use crate::ledger::Ledger;

/// A promise that was broken, in the words of `ARCHITECTURE.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// I1 to I6.
    pub invariant: &'static str,
    /// At which step of the plan; past the last in the phase without faults.
    pub step: usize,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at step {}: {}", self.invariant, self.step, self.what)
    }
}

/// What is known of every update, from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    updates: Vec<Truth>,
}

#[derive(Clone, Debug)]
struct Truth {
    /// Everything that its session had seen: its true causes.
    causes: FixedBitSet,
    acknowledged: bool,
}

/// What the oracle last saw of one replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    applied: FixedBitSet,
    replica_ts: Timestamp,
    value_ts: Timestamp,
    reports: Vec<(ReplicaId, Timestamp)>,
}

type Verdict = Result<(), (&'static str, String)>;

impl Oracle {
    /// A session that has seen `causes` makes an update. Gives its index.
    pub(crate) fn update(&mut self, causes: &FixedBitSet) -> usize {
        self.updates.push(Truth {
            causes: causes.clone(),
            acknowledged: false,
        });
        self.updates.len() - 1
    }

    /// A session was told that its update is accepted.
    pub(crate) fn acknowledged(&mut self, index: usize) {
        self.updates[index].acknowledged = true;
    }

    /// How many updates were acknowledged.
    pub(crate) fn acknowledgements(&self) -> usize {
        self.updates
            .iter()
            .filter(|truth| truth.acknowledged)
            .count()
    }

    /// After a step that touched `replica`: I2, I3 and I6.
    pub(crate) fn check(&self, replica: &Replica<Ledger>, seen: &mut Seen) -> Verdict {
        let (id, ledger) = (replica.id(), replica.value());
        let applied = ledger.applied();
        for index in applied.difference(&seen.applied) {
            let causes = &self.updates[index].causes;
            if let Some(missing) = causes.difference(applied).next() {
                let what = format!("update {index} is visible at {id}, its cause {missing} is not");
                return Err(("I2", what));
            }
            if ledger.count(index) != 1 {
                let times = ledger.count(index);
                return Err((
                    "I3",
                    format!("update {index} took effect {times} times at {id}"),
                ));
            }
        }
        if let Some(twice) = seen.applied.ones().find(|&index| ledger.count(index) != 1) {
            return Err(("I3", format!("update {twice} took effect again at {id}")));
        }
        check_growth(id, "replica_ts", &seen.replica_ts, replica.replica_ts())?;
        check_growth(id, "value_ts", &seen.value_ts, replica.value_ts())?;
        for (peer, before) in &seen.reports {
            let after = replica.reported(*peer).cloned().unwrap_or_default();
            check_growth(id, "the report of a peer", before, &after)?;
        }
        seen.applied.clone_from(applied);
        seen.replica_ts.clone_from(replica.replica_ts());
        seen.value_ts.clone_from(replica.value_ts());
        let report = |peer| Some((peer, replica.reported(peer)?.clone()));
        seen.reports = replica.members().filter_map(report).collect();
        Ok(())
    }

    /// A session that has seen `observed` is given an answer that reflects
    /// `applied`: I1.
    pub(crate) fn check_answer(
        &self,
        session: usize,
        observed: &FixedBitSet,
        applied: &FixedBitSet,
    ) -> Verdict {
        match observed.difference(applied).next() {
            Some(missing) => {
                let what = format!("session {session} no longer sees update {missing}");
                Err(("I1", what))
            }
            None => Ok(()),
        }
    }

    /// At rest, after all faults: I4 and I5.
    pub(crate) fn check_rest(&self, replicas: &[&Replica<Ledger>]) -> Verdict {
        let first = replicas[0];
        for replica in replicas {
            let id = replica.id();
            if replica.value() != first.value() {
                return Err((
                    "I4",
                    format!("{id} and {} hold different values", first.id()),
                ));
            }
            if replica.value_ts() != first.value_ts() {
                let (one, other) = (replica.value_ts(), first.value_ts());
                return Err((
                    "I4",
                    format!("value_ts {one} at {id}, {other} at {}", first.id()),
                ));
            }
            if replica.waiting_len() > 0 {
                return Err((
                    "I4",
                    format!("{} records wait at {id}", replica.waiting_len()),
                ));
            }
            if replica.log_len() > 0 {
                return Err((
                    "I4",
                    format!("{} records stay in the log of {id}", replica.log_len()),
                ));
            }
        }
        let applied = first.value().applied();
        let lost = |&index: &usize| self.updates[index].acknowledged && !applied.contains(index);
        match (0..self.updates.len()).find(lost) {
            Some(index) => Err(("I5", format!("acknowledged update {index} is lost"))),
            None => Ok(()),
        }
    }
}

fn check_growth(id: ReplicaId, what: &str, before: &Timestamp, after: &Timestamp) -> Verdict {
    match before.beyond(after).next() {
        Some((origin, now, was)) => {
            let what = format!("{what} at {id} fell from {was} to {now} for {origin}");
            Err(("I6", what))
        }
        None => Ok(()),
    }
}
