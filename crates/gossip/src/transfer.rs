//! State transfer: a join of two states.
//!
//! Two sides of a partition may each have discarded records that the other never saw; a
//! receiver that replaced its state by the other's would erase what it had acknowledged. Then
//! the values are merged. Where one side reflects all that the other has discarded, its value
//! is taken, and the rest of what the other has is applied from its log: so what was deleted,
//! and its deletion forgotten, does not come back from a value that is older.

use alloc::{collections::BTreeMap, vec::Vec};
use core::mem;

use crate::{
    LogEntry, Received, Replica, State, Time, Timestamp, Value,
    exchange::Apart,
    executed::ExecutedTable,
    fold::{had, had_less},
    log::{Log, Place},
    waiting::Waiting,
};

fn place<O>(entry: &LogEntry<O>) -> Place {
    (entry.record.origin(), entry.record.number())
}

/// What a value reflects: what was received, but for what waits.
struct Reflected<'a> {
    replica_ts: &'a Timestamp,
    /// Of lives that are folded away.
    finals: &'a Timestamp,
    waiting: Vec<Place>,
}

impl Reflected<'_> {
    /// Whether all of another is among it, as far as that can be told, but for what is above
    /// `floor`.
    fn covers(&self, other: &Self, floor: &Timestamp) -> bool {
        let least = |life, count: u64| count.min(floor.count(life));
        let has = |(life, count)| match count {
            Timestamp::ALL => self.replica_ts.has_folded(life),
            _ => had(self.replica_ts, self.finals, life) >= least(life, count),
        };
        let waits = |&(life, number): &Place| number <= least(life, other.replica_ts.count(life));
        let mut less = had_less(
            (self.replica_ts, self.finals),
            (other.replica_ts, other.finals),
        );
        other.replica_ts.iter().all(has) && less.next().is_none() && !self.waiting.iter().any(waits)
    }
}

/// Of which side a join takes the value, to apply the other's log to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Here,
    There,
    /// Each lacks what the other has discarded: the values are merged.
    Both,
}

impl<V: Value> State<V> {
    fn reflected(&self) -> Reflected<'_> {
        let waiting = self.log.iter().filter(|entry| entry.waiting);
        Reflected {
            replica_ts: &self.replica_ts,
            finals: &self.finals,
            waiting: waiting.map(place).collect(),
        }
    }
}

impl<V: Value> Replica<V> {
    fn reflected(&self) -> Reflected<'_> {
        Reflected {
            replica_ts: &self.replica_ts,
            finals: &self.finals,
            waiting: self.waiting.places().collect(),
        }
    }

    /// Joins a peer's state into this replica's; its own, where it comes back from a
    /// disk in a new incarnation.
    pub(crate) fn join(&mut self, state: State<V>, apart: &Apart, now: Time) -> Received {
        let stranded = self.stranded(&state);
        let report = state.as_report().into_report();
        let mut floor = self.floors();
        floor.merge(&state.floor);
        let side = self.side(&state, &floor);
        let log = self.joined_log(&state, &floor, side);
        let mut executed = ExecutedTable::from(state.executed);
        match side {
            Side::Here => {}
            Side::There => {
                self.value = state.value;
                mem::swap(&mut self.executed, &mut executed);
            }
            Side::Both => {
                self.value.merge(state.value);
                self.executed.join(mem::take(&mut executed));
                self.joined.merge(&self.replica_ts);
                self.joined.merge(&state.replica_ts);
            }
        }
        let met = self.members.extend(state.members.iter().copied());
        self.finals.merge(&state.finals);
        state.replica_ts.folds().for_each(|last| self.forget(last));
        self.value_ts.merge(&state.value_ts);
        self.replica_ts.merge(&state.replica_ts);
        self.greatest = self.greatest.max(state.clock);
        // Not a peer's horizon: its clock may be far ahead.
        let is_own = state.from == self.id;
        let horizon = if is_own { state.horizon } else { state.settled };
        self.horizon = self.horizon.max(horizon);
        self.settled = self.settled.max(state.settled);
        self.needs = self.needs.max(state.needs);
        self.log = log;
        self.waiting = Waiting::default();
        let waiting = self.log.iter().filter(|entry| entry.waiting);
        self.settle(waiting.map(place).collect());
        self.executed.join(executed);
        let mut received = Received {
            joined: true,
            met,
            ..Received::default()
        };
        self.learn(report, apart, now, &mut received);
        received.late.extend(self.make_again(stranded));
        received
    }

    fn side(&self, state: &State<V>, floor: &Timestamp) -> Side {
        let (here, there) = (self.reflected(), state.reflected());
        let from_there = above(floor, state.log.iter(), self.settled);
        let from_here = above(floor, self.log.iter(), state.settled);
        // One that has nothing takes what was given up as it is, and need not apply the rest.
        if here.covers(&there, &from_there) && !self.replica_ts.is_empty() {
            Side::Here
        } else if there.covers(&here, &from_here) {
            Side::There
        } else {
            Side::Both
        }
    }

    /// The records above both floors. A record is to be applied where the side of which the
    /// value is taken has not: it waits there, or that side lacks it.
    fn joined_log(&self, state: &State<V>, floor: &Timestamp, side: Side) -> Log<V::Operation> {
        let here: BTreeMap<Place, bool> = self.log.iter().map(|e| (place(e), e.waiting)).collect();
        let there: BTreeMap<Place, bool> =
            state.log.iter().map(|e| (place(e), e.waiting)).collect();
        let applied = |place| match side {
            Side::Here => is_applied(&self.replica_ts, &here, place),
            Side::There => is_applied(&state.replica_ts, &there, place),
            Side::Both => {
                is_applied(&self.replica_ts, &here, place)
                    || is_applied(&state.replica_ts, &there, place)
            }
        };
        let mut entries: BTreeMap<Place, &LogEntry<V::Operation>> = BTreeMap::new();
        for entry in self.log.iter().chain(&state.log) {
            if entry.record.number() > floor.count(entry.record.origin()) {
                entries.insert(place(entry), entry);
            }
        }
        let mut log = Log::new();
        for (origin, number) in floor.iter() {
            if number != Timestamp::ALL {
                log.start(origin, number);
            }
        }
        for (place, entry) in entries {
            log.push::<V>(LogEntry {
                record: entry.record.clone(),
                waiting: !applied(place),
            });
        }
        log
    }
}

/// Above what the records of a log can be applied to a value: above `floor`, and above what is
/// dated before what is settled for the value, since that may be executed there and forgotten.
fn above<'a, O: 'a>(
    floor: &Timestamp,
    log: impl Iterator<Item = &'a LogEntry<O>>,
    settled: Time,
) -> Timestamp {
    let mut above = floor.clone();
    for LogEntry { record, .. } in log.filter(|entry| entry.record.update().time < settled) {
        above.raise(record.origin(), record.number());
    }
    above
}

/// Whether a side that has received `replica_ts`, and in whose log these records wait or do
/// not, has applied one.
fn is_applied(replica_ts: &Timestamp, waiting: &BTreeMap<Place, bool>, place: Place) -> bool {
    replica_ts.count(place.0) >= place.1 && !waiting.get(&place).is_some_and(|waits| *waits)
}
