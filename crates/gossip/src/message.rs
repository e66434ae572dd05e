//! What replicas send each other, and what comes of it.

use alloc::{boxed::Box, vec::Vec};
use core::ops::RangeInclusive;

use crate::{
    Record, ReplicaId, Skew, Standing, State, Time, Timestamp, UpdateId, Value, members::Report,
};

/// A gossip message: a report of what the sender has received, and what it knows
/// the receiver to lack.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message<V: Value> {
    /// Records.
    Offer(Offer<V::Operation>),
    /// The whole state, where the sender has discarded records that the receiver
    /// lacks, or where they are dated before what is settled there.
    State(Box<State<V>>),
}

/// Which records a message may carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Those of the sender itself: for a push right after an update. Each replica
    /// pushes its own, so those of others would mostly come twice.
    Own,
    /// Those of every origin: when the receiver has just reported, or asks.
    All,
}

/// Records, in runs without holes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Offer<O> {
    /// The sender.
    pub from: ReplicaId,
    /// Everything that the sender has received: its replica timestamp.
    pub replica_ts: Timestamp,
    /// Every replica that the sender has heard of.
    pub members: Vec<ReplicaId>,
    /// The lives of which it has all that there will ever be, and every one before: the
    /// last of each server.
    pub ended: Vec<ReplicaId>,
    /// Per origin in ascending order of number.
    pub records: Vec<Record<O>>,
    /// There was more than one message may hold.
    pub more: bool,
    /// What the sender knows of who takes part.
    pub standing: Standing,
    /// What is dated before is too late at the sender: [`Replica::horizon`](crate::Replica::horizon).
    pub horizon: Time,
    /// What is dated before is all applied there: [`Replica::settled`](crate::Replica::settled).
    pub settled: Time,
}

/// What came of a message.
#[must_use = "it says what was not taken"]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// The records that are new here, by origin. They are to be on stable storage
    /// before any report that counts them.
    pub accepted: Vec<(ReplicaId, RangeInclusive<u64>)>,
    /// A whole state was joined, or all that is here was made this replica's own, or something
    /// was given up: all of it is to be stored anew.
    pub joined: bool,
    /// Members are new here: they are to be on stable storage before the next report.
    pub met: bool,
    /// The sender has reported members that it had not reported before: who may be sent
    /// what may have changed.
    pub heard: bool,
    /// The records that were there already, or came after a hole, or are dated before what is
    /// settled here.
    pub ignored: usize,
    /// The origins of records that are held: dated too far ahead, or such as cannot be. They
    /// and what follows them are taken when their time has come.
    pub held: Vec<ReplicaId>,
    /// An origin whose update is dated ahead of this replica's clock and of all that it had
    /// received, and how far.
    pub ahead: Option<(ReplicaId, Skew)>,
    /// The sender is retired: nothing was taken from it.
    pub retired: bool,
    /// The sender has something of lives that are over here: only its report was taken.
    /// It hears of that, and comes again with all that it has as its own.
    pub outdated: bool,
    /// Updates that waited here, that the sender lacks, and that are too late for it: they are
    /// given up, without effect.
    pub late: Vec<UpdateId>,
}

impl<O> Offer<O> {
    /// What it says of its sender.
    pub(crate) fn into_report(self) -> Report {
        Report {
            from: self.from,
            replica_ts: self.replica_ts,
            members: self.members,
            ended: self.ended.into_iter().collect(),
            standing: self.standing,
            horizon: self.horizon,
            settled: self.settled,
        }
    }
}

impl<V: Value> Message<V> {
    /// The sender.
    pub const fn from(&self) -> ReplicaId {
        match self {
            Self::Offer(offer) => offer.from,
            Self::State(state) => state.from,
        }
    }

    /// Everything that the sender has received.
    pub const fn replica_ts(&self) -> &Timestamp {
        match self {
            Self::Offer(offer) => &offer.replica_ts,
            Self::State(state) => &state.replica_ts,
        }
    }

    /// Every replica that the sender has heard of.
    pub fn members(&self) -> &[ReplicaId] {
        match self {
            Self::Offer(offer) => &offer.members,
            Self::State(state) => &state.members,
        }
    }

    /// How many updates there were of lives that the sender has folded away, if it says so.
    pub(crate) const fn finals(&self) -> Option<&Timestamp> {
        match self {
            Self::Offer(_) => None,
            Self::State(state) => Some(&state.finals),
        }
    }

    /// Has the sender's horizon be no later.
    pub(crate) fn bound_horizon(&mut self, most: impl FnOnce(Time) -> Time) {
        let horizon = match self {
            Self::Offer(offer) => &mut offer.horizon,
            Self::State(state) => &mut state.horizon,
        };
        *horizon = most(*horizon);
    }

    /// What is dated before is too late at the sender.
    pub const fn horizon(&self) -> Time {
        match self {
            Self::Offer(offer) => offer.horizon,
            Self::State(state) => state.horizon,
        }
    }

    /// What is dated before is all applied at the sender.
    pub const fn settled(&self) -> Time {
        match self {
            Self::Offer(offer) => offer.settled,
            Self::State(state) => state.settled,
        }
    }

    /// The lives of which the sender has all that there will ever be.
    pub fn ended(&self) -> &[ReplicaId] {
        match self {
            Self::Offer(offer) => &offer.ended,
            Self::State(state) => &state.ended,
        }
    }
}
