//! What of a peer's message is not believed.
//!
//! A peer may be broken, or nobody's replica. What it says of itself is bounded, and a message
//! that breaks a bound is refused whole. Of the records that it passes on, one that breaks a
//! bound is held: it is not taken, nor is what follows it of the same origin, until it may be.
//! What a replica itself has stored is believed whatever it says.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use crate::{
    Message, Record, Replica, ReplicaId, State, Time, Timestamp, Value,
    clocks::{MAX_AHEAD, Skew},
};

/// Most servers that remain at once.
pub const MAX_SERVERS: usize = 256;
/// Most members: lives of servers that are not folded away, and ends.
pub const MAX_MEMBERS: usize = 4096;
/// Most updates of a life: more than it can make. What counts more is no count.
const MOST: u64 = 1 << 48;
/// The last time at which a life can begin, in milliseconds: after it there is still room.
const LAST: u64 = 1 << 62;

/// Why a peer is not believed. Nothing was taken of its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unbelievable {
    /// What it says of itself is dated too far ahead of this replica's clock: it may be
    /// taken when the clocks agree.
    Ahead {
        /// What is.
        what: &'static str,
        /// How far it is from this replica's clock.
        skew: Skew,
    },
    /// It bears the number of this replica's server.
    OwnServer {
        /// That one.
        from: ReplicaId,
    },
    /// It names more updates of this replica than that has made.
    NeverMade {
        /// How many it names.
        claimed: u64,
        /// How many there are.
        made: u64,
    },
    /// It counts what nobody can count to, or names a life that nobody can have.
    Overflow,
    /// With those whom it names there would be more servers, or more lives of them, than
    /// there may be.
    TooMany,
    /// It has received what this replica does not understand.
    TooNew {
        /// The version of records that it takes.
        needs: u32,
    },
}

impl fmt::Display for Unbelievable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead { what, skew } => write!(
                f,
                "{what} of the peer is {skew} of this replica's clock; set the clock that is wrong"
            ),
            Self::OwnServer { from } => write!(
                f,
                "{from} bears the number of this replica's own server; start it with another \
                 --server"
            ),
            Self::NeverMade { claimed, made } => write!(
                f,
                "the peer claims {claimed} updates of this replica, which has made {made}"
            ),
            Self::Overflow => f.write_str("the peer counts beyond all that there can be"),
            Self::TooMany => write!(
                f,
                "the peer brings the servers to more than {MAX_SERVERS}, or their lives to more \
                 than {MAX_MEMBERS}; retire those that are gone"
            ),
            Self::TooNew { needs } => write!(
                f,
                "the peer has records of version {needs}; upgrade this replica"
            ),
        }
    }
}

impl<V: Value> Replica<V> {
    /// Whether a peer that says who it is can be one. To be asked before it is
    /// [met](Self::meet).
    ///
    /// # Errors
    ///
    /// [`Unbelievable`]: it is not to be met.
    pub fn may_be(&self, peer: ReplicaId) -> Result<(), Unbelievable> {
        if peer.server == self.id.server {
            return Err(Unbelievable::OwnServer { from: peer });
        }
        // An end is no life.
        if peer.incarnation > LAST {
            return Err(Unbelievable::Overflow);
        }
        self.refuse_crowd(&[peer])
    }

    /// Whether what a peer says of itself and of others can be.
    pub(crate) fn refuse_unbelievable(
        &self,
        message: &Message<V>,
        now: Time,
    ) -> Result<(), Unbelievable> {
        self.may_be(message.from())?;
        self.refuse_crowd(message.members())?;
        let says = match message {
            Message::Offer(offer) => [Some(&offer.replica_ts), None, None, None],
            Message::State(state) => [
                Some(&state.replica_ts),
                Some(&state.value_ts),
                Some(&state.floor),
                Some(&state.finals),
            ],
        };
        says.into_iter().flatten().try_for_each(refuse_overflow)?;
        let (made, claimed) = (
            self.replica_ts.count(self.id),
            message.replica_ts().count(self.id),
        );
        if claimed != Timestamp::ALL && claimed > made {
            return Err(Unbelievable::NeverMade { claimed, made });
        }
        refuse_ahead(
            "what is settled",
            message.settled(),
            self.last_record(now),
            now,
        )?;
        match message {
            Message::Offer(offer) => self.refuse_own_records(&offer.records, offer.from, now),
            Message::State(state) => self.refuse_state(state, now),
        }
    }

    /// The latest date of a record that is taken from a peer: of one that took it by a clock
    /// that is a little ahead.
    pub(crate) fn last_record(&self, now: Time) -> Time {
        self.judging(now)
            .after(MAX_AHEAD)
            .after(self.limits.max_skew)
    }

    /// Whether a record of whatever origin is to be held.
    pub(crate) fn is_held(&self, record: &Record<V::Operation>, now: Time) -> bool {
        record.number() > MOST
            || record.update().time > self.last_record(now)
            || refuse_overflow(&record.update().prev).is_err()
            || (record.origin() == self.id && record.number() > self.replica_ts.count(self.id))
    }

    fn refuse_own_records(
        &self,
        records: &[Record<V::Operation>],
        from: ReplicaId,
        now: Time,
    ) -> Result<(), Unbelievable> {
        let last = self.last_record(now);
        let own = records.iter().filter(|record| record.origin() == from);
        for record in own {
            refuse_ahead("an update", record.update().time, last, now)?;
            if record.number() > MOST {
                return Err(Unbelievable::Overflow);
            }
            refuse_overflow(&record.update().prev)?;
        }
        Ok(())
    }

    fn refuse_state(&self, state: &State<V>, now: Time) -> Result<(), Unbelievable> {
        let last = self.last_record(now);
        refuse_ahead("an update", state.clock, last, now)?;
        refuse_ahead("a rating", state.value.latest(), last, now)?;
        for entry in &state.log {
            let update = entry.record.update();
            refuse_ahead("an update", update.time, last, now)?;
            refuse_overflow(&update.prev)?;
        }
        for (_, executed) in &state.executed {
            refuse_ahead("a session", executed.latest, last, now)?;
            let replies = executed.replies.iter().map(|reply| &reply.ts);
            let older = executed.older.as_deref();
            let mut all = replies.chain(older.map(|older| &older.ts));
            all.try_for_each(refuse_overflow)?;
            if let Some(older) = older {
                refuse_ahead("a session", older.unknown, last, now)?;
                if older
                    .blocks
                    .iter()
                    .any(|block| block.number > u64::MAX / 64)
                {
                    return Err(Unbelievable::Overflow);
                }
            }
        }
        if state.needs > self.limits.version {
            let needs = state.needs;
            return Err(Unbelievable::TooNew { needs });
        }
        Ok(())
    }

    /// Refuses members that would be too many, with those who are known.
    fn refuse_crowd(&self, told: &[ReplicaId]) -> Result<(), Unbelievable> {
        let is_life = |member: &ReplicaId| member.incarnation <= LAST || member.is_end();
        if !told.iter().all(is_life) {
            return Err(Unbelievable::Overflow);
        }
        if told.len() > MAX_MEMBERS {
            return Err(Unbelievable::TooMany);
        }
        let new: Vec<_> = told
            .iter()
            .filter(|member| !self.members.knows(**member))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        for member in self.members.iter().chain(new.iter().map(|member| **member)) {
            let of = last.entry(member.server).or_default();
            *of = member.incarnation.max(*of);
        }
        let remain = last.values().filter(|&&last| last != u64::MAX).count();
        if remain > MAX_SERVERS || self.members.iter().count() + new.len() > MAX_MEMBERS {
            return Err(Unbelievable::TooMany);
        }
        Ok(())
    }
}

fn refuse_ahead(what: &'static str, time: Time, last: Time, now: Time) -> Result<(), Unbelievable> {
    if time <= last {
        return Ok(());
    }
    let skew = Skew {
        ahead: true,
        by: time.since(now),
    };
    Err(Unbelievable::Ahead { what, skew })
}

/// Refuses a timestamp with a count that nobody reaches.
pub(crate) fn refuse_overflow(ts: &Timestamp) -> Result<(), Unbelievable> {
    // Of a server that has ended all lives are folded away: up to the one before its end.
    let can_be = |(life, count): (ReplicaId, u64)| match count {
        Timestamp::ALL => life.incarnation <= LAST || life.incarnation == u64::MAX - 1,
        count => life.incarnation <= LAST && count <= MOST,
    };
    match ts.iter().all(can_be) {
        true => Ok(()),
        false => Err(Unbelievable::Overflow),
    }
}
