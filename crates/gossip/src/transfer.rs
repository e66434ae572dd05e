//! State transfer: a join of two states.
//!
//! Not a takeover. Two sides of a partition may each have discarded records that
//! the other never saw; a receiver that replaced its state by the other's would
//! erase what it had acknowledged.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use crate::{
    Executed, LogEntry, Offer, Received, Replica, ReplicaId, SessionId, Standing, Time, Timestamp,
    Value,
    exchange::Apart,
    log::{Log, Place},
    members::Report,
    waiting::Waiting,
};

/// A replica's whole state, as one consistent cut.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State<V: Value> {
    /// The sender.
    pub from: ReplicaId,
    /// How many records of each origin the sender has received.
    pub replica_ts: Timestamp,
    /// What `value` reflects.
    pub value_ts: Timestamp,
    /// Per origin, the highest number that the sender has discarded.
    pub floor: Timestamp,
    /// Every replica that the sender has heard of.
    pub members: Vec<ReplicaId>,
    /// The lives of which it has all that there will ever be, and every one before: the
    /// last of each server.
    pub ended: Vec<ReplicaId>,
    /// How many updates there were of the last lives that are folded away; older ones
    /// are folds here too.
    pub finals: Timestamp,
    /// The records above the floors, by origin and number.
    pub log: Vec<LogEntry<V::Operation>>,
    /// The updates that `value` reflects, by session.
    pub executed: Vec<(SessionId, Executed)>,
    /// The value.
    pub value: V,
    /// The greatest time of a record received.
    pub clock: Time,
    /// What the sender knows of who takes part.
    pub standing: Standing,
}

/// A state that no replica can be in. The receiver's state is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MalformedState {
    /// The log does not reach from the floor to the replica timestamp.
    Hole {
        /// Of this replica's records.
        origin: ReplicaId,
    },
    /// The value reflects records that were not received, of a replica that may still
    /// send them.
    ValueAhead,
    /// A life is said to be over of which no later one is known: so also of an offer.
    EndOfTheLiving {
        /// That life.
        replica: ReplicaId,
    },
}

impl fmt::Display for MalformedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfTheLiving { replica } => {
                write!(
                    f,
                    "{replica} is said to be over, and no later life of its server is known"
                )
            }
            Self::Hole { origin } => write!(f, "the log has a hole among the records of {origin}"),
            Self::ValueAhead => f.write_str("the value reflects records that were not received"),
        }
    }
}

impl core::error::Error for MalformedState {}

impl<V: Value> State<V> {
    /// What it says of its sender, without what the sender has.
    pub(crate) fn as_report(&self) -> Offer<V::Operation> {
        Offer {
            from: self.from,
            replica_ts: self.replica_ts.clone(),
            members: self.members.clone(),
            ended: self.ended.clone(),
            records: Vec::new(),
            more: false,
            standing: self.standing,
        }
    }

    /// Checks that a replica can be in this state.
    fn check(&self) -> Result<(), MalformedState> {
        let retired = |replica: ReplicaId| {
            let mut members = self.members.iter();
            members.any(|other| other.server == replica.server && *other > replica)
        };
        let mut ahead = self.value_ts.beyond(&self.replica_ts);
        if ahead.any(|(origin, ..)| !retired(origin)) {
            return Err(MalformedState::ValueAhead);
        }
        let mut reached = self.floor.clone();
        for LogEntry { record, .. } in &self.log {
            let origin = record.origin();
            if reached.count(origin).checked_add(1) != Some(record.number()) {
                return Err(MalformedState::Hole { origin });
            }
            reached.raise(origin, record.number());
        }
        let differ = |ts: &Timestamp, other: &Timestamp| ts.beyond(other).next().map(|b| b.0);
        match differ(&reached, &self.replica_ts).or(differ(&self.replica_ts, &reached)) {
            Some(origin) => Err(MalformedState::Hole { origin }),
            None => Ok(()),
        }
    }

    /// Whether this side has the record, and has applied it.
    fn applied(&self, waiting: &BTreeMap<Place, bool>, place: Place) -> bool {
        self.replica_ts.count(place.0) >= place.1 && !waiting.get(&place).is_some_and(|w| *w)
    }
}

impl<V: Value + Clone> Replica<V> {
    /// This replica's state, for a peer that lacks discarded records.
    pub fn state(&self) -> State<V> {
        let executed = self.executed.iter();
        State {
            log: self.log.iter().cloned().collect(),
            executed: executed
                .map(|(session, of)| (session, of.clone()))
                .collect(),
            ..self.cut(self.value.clone())
        }
    }
}

impl<V: Value> Replica<V> {
    /// This replica's state but for its log, its executed updates and its value, for
    /// which `value` stands: what a driver stores that keeps those apart.
    pub fn cut(&self, value: V) -> State<V> {
        let folds = self.replica_ts.folds();
        let mut floor = self.log.floors();
        folds.for_each(|last| floor.raise(last, Timestamp::ALL));
        State {
            from: self.id,
            replica_ts: self.replica_ts.clone(),
            value_ts: self.value_ts.clone(),
            floor,
            members: self.members().collect(),
            ended: self.ended().collect(),
            finals: self.finals.clone(),
            log: Vec::new(),
            executed: Vec::new(),
            value,
            clock: self.greatest,
            standing: self.standing(),
        }
    }

    /// Which updates of a session the value reflects; `None` where it reflects none.
    pub fn executed(&self, session: SessionId) -> Option<&Executed> {
        self.executed.of(session)
    }

    /// Joins a peer's state into this replica's; its own, where it comes back from a
    /// disk in a new incarnation.
    ///
    /// # Errors
    ///
    /// [`MalformedState`] for a state that no replica can be in; nothing is changed.
    pub(crate) fn join(
        &mut self,
        state: State<V>,
        apart: Apart,
    ) -> Result<Received, MalformedState> {
        state.check()?;
        let stranded = self.stranded(&state.replica_ts);
        let log = self.joined_log(&state);
        self.value.merge(state.value);
        for (session, executed) in state.executed {
            self.executed.join(session, executed);
        }
        let met = self.members.extend(state.members.iter().copied());
        self.finals.merge(&state.finals);
        state.replica_ts.folds().for_each(|last| self.forget(last));
        self.value_ts.merge(&state.value_ts);
        self.replica_ts.merge(&state.replica_ts);
        self.greatest = self.greatest.max(state.clock);
        self.log = log;
        self.waiting = Waiting::default();
        let waiting = self.log.iter().filter(|entry| entry.waiting);
        let places = waiting.map(|entry| (entry.record.origin(), entry.record.number()));
        self.settle(places.collect());
        let mut received = Received {
            joined: true,
            met,
            ..Received::default()
        };
        self.learn(
            Report {
                from: state.from,
                replica_ts: state.replica_ts,
                members: state.members,
                ended: state.ended.into_iter().collect(),
                standing: state.standing,
            },
            apart,
            &mut received,
        );
        stranded
            .into_iter()
            .for_each(|update| self.make_again(update));
        Ok(received)
    }

    /// The records above both floors. A record that waits at one side goes on
    /// waiting only if the other side lacks it, or it waits there too.
    fn joined_log(&self, state: &State<V>) -> Log<V::Operation> {
        let place = |entry: &LogEntry<V::Operation>| (entry.record.origin(), entry.record.number());
        let here: BTreeMap<Place, bool> = self.log.iter().map(|e| (place(e), e.waiting)).collect();
        let there: BTreeMap<Place, bool> =
            state.log.iter().map(|e| (place(e), e.waiting)).collect();
        let applied_here = |place: Place| {
            self.replica_ts.count(place.0) >= place.1 && here.get(&place) != Some(&true)
        };

        let mut floor = self.log.floors();
        floor.merge(&state.floor);
        let folds = self.replica_ts.folds().chain(state.replica_ts.folds());
        folds.for_each(|last| floor.raise(last, Timestamp::ALL));
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
                waiting: !applied_here(place) && !state.applied(&there, place),
            });
        }
        log
    }
}
