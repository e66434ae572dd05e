//! The judge: it knows the one true history, and checks every step against it.

use std::{cmp::max_by_key, collections::BTreeMap, fmt};

use backfence_gossip::{Message, Record, Replica, ReplicaId, Time, Timestamp, UpdateId};
use fixedbitset::FixedBitSet;

use crate::{
    ledger::{Ledger, Write},
    session::{Body, Request},
};

/// A promise that was broken, in the words of `ARCHITECTURE.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// I1 to I7.
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
    records: BTreeMap<(ReplicaId, u64), usize>,
    /// Those that only the newer program understands.
    newer: Vec<(ReplicaId, u64)>,
}

#[derive(Clone, Debug)]
struct Truth {
    /// Everything that its session had seen: its true causes.
    causes: FixedBitSet,
    acknowledged: bool,
    /// The last disk that held it was lost: it may be nowhere any more.
    lost: bool,
    /// The last disk that held one of its records was lost. The update itself may
    /// live on with another record, but who depends on it by that one cannot know.
    forgotten: bool,
    /// It was given up, and said so.
    late: bool,
    /// An old disk was put back that had it: where its deletion was settled, and forgotten, it
    /// may be seen again.
    revived: bool,
    /// What it does, and where it stands in the order that decides who wins.
    write: Option<(Time, UpdateId, Write)>,
}

/// What the oracle last saw of one replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    applied: FixedBitSet,
    replica_ts: Timestamp,
    value_ts: Timestamp,
    reports: Vec<(ReplicaId, Timestamp)>,
}

pub(crate) type Verdict = Result<(), (&'static str, String)>;

impl Oracle {
    /// A session that has seen `causes` makes an update. Gives its index.
    pub(crate) fn update(&mut self, causes: &FixedBitSet) -> usize {
        self.updates.push(Truth {
            causes: causes.clone(),
            acknowledged: false,
            lost: false,
            forgotten: false,
            late: false,
            revived: false,
            write: None,
        });
        self.updates.len() - 1
    }

    /// What the update that was just made does.
    pub(crate) fn made(&mut self, request: &Request) {
        if let Body::Update(update, _) = &request.body {
            let write = update.operation;
            self.updates[write.index].write = Some((update.time, update.id, write));
        }
    }

    /// Whether two updates have this id.
    pub(crate) fn is_reused(&self, id: UpdateId) -> bool {
        let is_it = |truth: &&Truth| truth.write.is_some_and(|write| write.1 == id);
        self.updates.iter().filter(is_it).count() > 1
    }

    /// A session was told that its update is accepted.
    pub(crate) fn acknowledged(&mut self, index: usize) {
        self.updates[index].acknowledged = true;
    }

    /// A replica that an operator has given up has made a record of an update: it may
    /// never be heard of.
    pub(crate) fn given_up(&mut self, index: usize) {
        self.updates[index].lost = true;
        self.updates[index].forgotten = true;
    }

    /// A replica has made a record of an update.
    pub(crate) fn recorded(&mut self, origin: ReplicaId, number: u64, index: usize) {
        self.records.insert((origin, number), index);
        if self.is_newer(index) {
            self.newer.push((origin, number));
        }
    }

    fn is_newer(&self, index: usize) -> bool {
        let write = self.updates[index].write;
        write.is_some_and(|(.., write)| write.newer)
    }

    /// A disk was lost or given up: these updates are on no other, and of the records
    /// that it had only those are that are `left`.
    pub(crate) fn lost(
        &mut self,
        updates: impl Iterator<Item = usize>,
        had: &Timestamp,
        left: &Timestamp,
    ) {
        for index in updates {
            self.updates[index].lost = true;
        }
        for (&(origin, number), &index) in &self.records {
            if left.count(origin) < number && number <= had.count(origin) {
                self.updates[index].forgotten = true;
            }
        }
    }

    /// An old disk is back that has these updates: they are to be seen again.
    pub(crate) fn found(&mut self, updates: impl Iterator<Item = usize>) {
        for index in updates {
            self.updates[index].lost = self.updates[index].late;
            self.updates[index].revived = true;
        }
    }

    /// An old disk had an update that nobody else has, and came back too late with it: that
    /// is said, and not made good.
    pub(crate) fn came_late(&mut self, id: UpdateId) {
        let is_it = |write: &(Time, UpdateId, Write)| write.1 == id;
        for truth in &mut self.updates {
            if truth.write.as_ref().is_some_and(is_it) {
                truth.late = true;
                truth.lost = true;
                truth.forgotten = true;
            }
        }
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
            let mut missing = self.updates[index].causes.difference(applied);
            if let Some(missing) = missing.find(|&cause| !self.updates[cause].forgotten) {
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
        if let Some(index) = seen.applied.ones().find(|&index| ledger.count(index) != 1) {
            let times = ledger.count(index);
            let what =
                format!("update {index} had taken effect at {id}, and now has {times} times");
            return Err(("I3", what));
        }
        check_growth(id, "replica_ts", &seen.replica_ts, replica.replica_ts())?;
        check_growth(id, "value_ts", &seen.value_ts, replica.value_ts())?;
        for (peer, before) in &seen.reports {
            // A life that is folded away is no peer any more.
            if !replica.replica_ts().has_folded(*peer) {
                let after = replica.reported(*peer).cloned().unwrap_or_default();
                check_growth(id, "the report of a peer", before, &after)?;
            }
        }
        seen.applied.clone_from(applied);
        seen.replica_ts.clone_from(replica.replica_ts());
        seen.value_ts.clone_from(replica.value_ts());
        let report = |peer| Some((peer, replica.reported(peer)?.clone()));
        seen.reports = replica.members().filter_map(report).collect();
        Ok(())
    }

    /// A message arrives at the life `to`, of an older program: I7. Nobody speaks to it that
    /// has received a record which that program does not understand, and it is sent none.
    pub(crate) fn check_message(&self, to: ReplicaId, message: &Message<Ledger>) -> Verdict {
        let newer = |index: &usize| self.is_newer(*index);
        let index = |record: &Record<Write>| record.update().operation.index;
        let sent = match message {
            Message::Offer(offer) => offer.records.iter().map(index).find(newer),
            Message::State(state) => state.value.applied().ones().find(newer).or_else(|| {
                let mut log = state.log.iter().map(|entry| index(&entry.record));
                log.find(newer)
            }),
        };
        let from = message.from();
        if let Some(index) = sent {
            let what = format!("{from} sends update {index} to {to}, which is too old for it");
            return Err(("I7", what));
        }
        // Of what is folded away nobody can tell whether it was received.
        let received = message.replica_ts();
        let has = |&&(origin, number): &&(ReplicaId, u64)| {
            let count = received.count(origin);
            count != Timestamp::ALL && number <= count
        };
        match self.newer.iter().find(has) {
            Some((origin, number)) => {
                let what = format!(
                    "{from} has record {number} of {origin}, and gossips with {to}, which is too \
                     old for it"
                );
                Err(("I7", what))
            }
            None => Ok(()),
        }
    }

    /// What a replica of an older program has, it understands: I7.
    pub(crate) fn check_understood(&self, replica: &Replica<Ledger>) -> Verdict {
        let logged = replica
            .log()
            .map(|entry| entry.record.update().operation.index);
        let mut held = replica.value().applied().ones().chain(logged);
        match held.find(|index| self.is_newer(*index)) {
            Some(index) => {
                let id = replica.id();
                let what = format!("{id} has update {index}, and is too old for it");
                Err(("I7", what))
            }
            None => Ok(()),
        }
    }

    /// A session that has seen `observed` is given an answer that reflects
    /// `applied`: I1.
    pub(crate) fn check_answer(
        &self,
        session: usize,
        observed: &FixedBitSet,
        applied: &FixedBitSet,
    ) -> Verdict {
        let missing = |&index: &usize| !self.updates[index].forgotten;
        match observed.difference(applied).find(missing) {
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
            check_equal(first, replica)?;
            self.check_winners(replica.value())?;
            let id = replica.id();
            for (count, what) in [
                (replica.waiting_len(), "wait at"),
                (replica.log_len(), "stay in the log of"),
            ] {
                if count > 0 {
                    return Err(("I4", format!("{count} records {what} {id}")));
                }
            }
        }
        let applied = first.value().applied();
        let lost = |&index: &usize| {
            let truth = &self.updates[index];
            truth.acknowledged && !truth.lost && !applied.contains(index)
        };
        match (0..self.updates.len()).find(lost) {
            Some(index) => Err(("I5", format!("acknowledged update {index} is lost"))),
            None => Ok(()),
        }
    }

    /// At rest, when time has passed: every update is settled, everywhere, but for what is
    /// dated ahead of `now`.
    pub(crate) fn check_settled(&self, replicas: &[&Replica<Ledger>], now: Time) -> Verdict {
        let made = self.updates.iter().filter_map(|truth| truth.write);
        let made = made.map(|(time, ..)| time).filter(|&time| time <= now);
        let last = made.max().unwrap_or_default();
        match replicas
            .iter()
            .find(|replica| replica.settled_everywhere() <= last)
        {
            Some(replica) => {
                let (id, settled) = (replica.id(), replica.settled_everywhere());
                let what = format!("{id} takes only {settled:?} for settled, not {last:?}");
                Err(("I4", what))
            }
            None => Ok(()),
        }
    }

    /// Of the updates that are reflected, the last in order has won each cell.
    fn check_winners(&self, ledger: &Ledger) -> Verdict {
        let mut winners = BTreeMap::new();
        for index in ledger.applied().ones() {
            if let Some((time, id, write)) = self.updates[index].write {
                let winner = winners.entry(write.cell).or_insert((time, id, write));
                *winner = max_by_key(*winner, (time, id, write), |(time, id, _)| (*time, *id));
            }
        }
        for (cell, (.., write)) in winners {
            let (wins, shown) = ((!write.delete).then_some(write.index), ledger.read(cell));
            let is_revived = shown.is_some_and(|shown| self.updates[shown].revived);
            if shown != wins && !(write.delete && is_revived) {
                let what = format!("cell {cell} shows {shown:?}, not {wins:?}");
                return Err(("I4", what));
            }
        }
        Ok(())
    }
}

fn check_equal(first: &Replica<Ledger>, replica: &Replica<Ledger>) -> Verdict {
    let (id, other) = (replica.id(), first.id());
    for (what, here, there) in [
        ("replica_ts", replica.replica_ts(), first.replica_ts()),
        ("value_ts", replica.value_ts(), first.value_ts()),
    ] {
        if here != there {
            return Err((
                "I4",
                format!("{what} is {here} at {id}, {there} at {other}"),
            ));
        }
    }
    if replica.value().counts() != first.value().counts() {
        return Err(("I4", format!("{id} and {other} hold different values")));
    }
    Ok(())
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
