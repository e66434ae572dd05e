//! A replica's state, as it travels and as it is stored.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use crate::{
    Executed, LogEntry, Offer, Replica, ReplicaId, SessionId, Standing, Time, Timestamp,
    Unbelievable, Value,
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
    /// What is dated before is too late at the sender: [`Replica::horizon`].
    pub horizon: Time,
    /// What is dated before is all applied there: [`Replica::settled`].
    pub settled: Time,
    /// The greatest version that a record received needs: [`Replica::needs`].
    pub needs: u32,
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
    /// It is the replica's own, of a life that was before a later one of its server, or before
    /// its end: nothing may be taken up from there.
    Retired {
        /// The replica that was to go on.
        replica: ReplicaId,
    },
    /// What a peer says, in an offer or a state, breaks a bound.
    Unbelievable(Unbelievable),
}

impl From<Unbelievable> for MalformedState {
    fn from(why: Unbelievable) -> Self {
        Self::Unbelievable(why)
    }
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
            Self::Unbelievable(why) => why.fmt(f),
            Self::Hole { origin } => write!(f, "the log has a hole among the records of {origin}"),
            Self::Retired { replica } => write!(
                f,
                "what is stored says that {replica} is out: its server was retired, or has started \
                 anew"
            ),
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
            horizon: self.horizon,
            settled: self.settled,
        }
    }

    /// Checks that a replica can be in this state.
    pub(crate) fn check(&self) -> Result<(), MalformedState> {
        let latest: BTreeMap<u32, u64> =
            self.members.iter().fold(BTreeMap::new(), |mut all, id| {
                let latest: &mut u64 = all.entry(id.server).or_default();
                *latest = id.incarnation.max(*latest);
                all
            });
        let retired = |replica: ReplicaId| latest.get(&replica.server) > Some(&replica.incarnation);
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
    /// Up to where records went from the log.
    pub(crate) fn floors(&self) -> Timestamp {
        let mut floors = self.log.floors();
        let folds = self.replica_ts.folds();
        folds.for_each(|last| floors.raise(last, Timestamp::ALL));
        floors
    }

    /// This replica's state but for its log, its executed updates and its value, for
    /// which `value` stands: what a driver stores that keeps those apart.
    pub fn cut(&self, value: V) -> State<V> {
        State {
            from: self.id,
            replica_ts: self.replica_ts.clone(),
            value_ts: self.value_ts.clone(),
            floor: self.floors(),
            members: self.members().collect(),
            ended: self.ended().collect(),
            finals: self.finals.clone(),
            log: Vec::new(),
            executed: Vec::new(),
            value,
            clock: self.greatest,
            standing: self.standing(),
            horizon: self.horizon,
            settled: self.settled,
            needs: self.needs,
        }
    }

    /// Which updates of a session the value reflects; `None` where it reflects none.
    pub fn executed(&self, session: SessionId) -> Option<&Executed> {
        self.executed.of(session)
    }

    /// How often a block of digests has changed: for
    /// [`Executed::changed_since`](crate::Executed::changed_since).
    pub const fn executed_changes(&self) -> u64 {
        self.executed.changes()
    }
}
