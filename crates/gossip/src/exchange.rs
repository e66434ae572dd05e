//! Gossip: what replicas send each other, and when a record can go.

use alloc::{boxed::Box, vec::Vec};
use core::ops::RangeInclusive;

use crate::{
    MalformedState, Record, Replica, ReplicaId, Standing, State, Timestamp, Value, members::Report,
};

/// A gossip message: a report of what the sender has received, and what it knows
/// the receiver to lack.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message<V: Value> {
    /// Records.
    Offer(Offer<V::Operation>),
    /// The whole state, where the sender has discarded records that the receiver
    /// lacks.
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
    /// Per origin in ascending order of number.
    pub records: Vec<Record<O>>,
    /// There was more than one message may hold.
    pub more: bool,
    /// What the sender knows of who takes part.
    pub standing: Standing,
}

/// What came of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// The records that are new here, by origin. They are to be on stable storage
    /// before any report that counts them.
    pub accepted: Vec<(ReplicaId, RangeInclusive<u64>)>,
    /// A whole state was joined: all of this replica is to be stored anew.
    pub joined: bool,
    /// Members are new here: they are to be on stable storage before the next report.
    pub met: bool,
    /// The sender has reported members that it had not reported before: who may be sent
    /// what may have changed.
    pub heard: bool,
    /// The records that were there already, or came after a hole.
    pub ignored: usize,
    /// The sender is retired: nothing was taken from it.
    pub retired: bool,
}

impl<V: Value> Message<V> {
    /// The sender.
    pub const fn from(&self) -> ReplicaId {
        match self {
            Self::Offer(offer) => offer.from,
            Self::State(state) => state.from,
        }
    }
}

impl<V: Value> Replica<V> {
    /// What to send to `peer`: the records numbered above what it last reported,
    /// to the limit of a message, or the whole state where some of them are
    /// discarded. A report only is sent to a peer that has reported nothing yet, to one
    /// that is retired, and to a new server that no other member has reported to know.
    pub fn message(&self, peer: ReplicaId, scope: Scope) -> Message<V>
    where
        V: Clone,
    {
        let Some(has) = self.reported(peer).filter(|_| self.admits(peer)) else {
            return Message::Offer(self.report());
        };
        let discarded = |(origin, after)| after < self.log.floor(origin);
        if self.news(has, scope).any(discarded) {
            Message::State(Box::new(self.state()))
        } else {
            Message::Offer(self.offer(has, scope))
        }
    }

    /// A message without records.
    pub fn report(&self) -> Offer<V::Operation> {
        Offer {
            from: self.id,
            replica_ts: self.replica_ts.clone(),
            members: self.members().collect(),
            records: Vec::new(),
            more: false,
            standing: self.standing(),
        }
    }

    /// Whether [`message`](Self::message) would bring `peer` anything but a report.
    pub fn has_news_for(&self, peer: ReplicaId, scope: Scope) -> bool {
        let lacks = |has| self.news(has, scope).next().is_some();
        self.reported(peer).is_some_and(lacks) && self.admits(peer)
    }

    fn admits(&self, peer: ReplicaId) -> bool {
        self.members.admits(self.id, peer)
    }

    /// Takes a message of a peer: accepts the records that continue what is here,
    /// applies what is stable, notes what the peer has, and discards what everyone
    /// has.
    ///
    /// # Errors
    ///
    /// [`MalformedState`] for a state that no replica can be in; nothing is changed.
    pub fn receive(&mut self, message: Message<V>) -> Result<Received, MalformedState> {
        match message {
            // What it says may be news that no one else can ever have.
            _ if self.members.is_retired(message.from()) => Ok(Received {
                retired: true,
                ..Received::default()
            }),
            Message::Offer(offer) => Ok(self.accept(offer)),
            Message::State(state) => self.join(*state),
        }
    }

    /// The origins of which a peer lacks records, and up to where it has them.
    fn news<'a>(
        &'a self,
        has: &'a Timestamp,
        scope: Scope,
    ) -> impl Iterator<Item = (ReplicaId, u64)> + 'a {
        self.replica_ts
            .beyond(has)
            .filter(move |&(origin, ..)| scope == Scope::All || origin == self.id)
            .map(|(origin, after, _)| (origin, after))
    }

    fn offer(&self, has: &Timestamp, scope: Scope) -> Offer<V::Operation> {
        let mut offer = self.report();
        let mut bytes = 0;
        for (origin, after) in self.news(has, scope) {
            for entry in self.log.after(origin, after) {
                bytes += entry.record.size::<V>();
                if bytes > self.limits.message_bytes && !offer.records.is_empty() {
                    offer.more = true;
                    return offer;
                }
                offer.records.push(entry.record.clone());
            }
        }
        offer
    }

    /// Ladin et al. 1992, section 3.2, "Processing a gossip message".
    fn accept(&mut self, offer: Offer<V::Operation>) -> Received {
        let mut received = Received {
            met: self
                .members
                .extend(offer.members.iter().copied().chain([offer.from])),
            ..Received::default()
        };
        for record in offer.records {
            let (origin, number) = (record.origin(), record.number());
            if number != self.replica_ts.count(origin) + 1 {
                received.ignored += 1;
                continue;
            }
            match received.accepted.last_mut() {
                Some((last, numbers)) if *last == origin => *numbers = *numbers.start()..=number,
                _ => received.accepted.push((origin, number..=number)),
            }
            self.append(record);
        }
        received.heard = self.learn(Report {
            from: offer.from,
            replica_ts: offer.replica_ts,
            members: offer.members,
            standing: offer.standing,
        });
        received
    }

    /// Notes what a peer reported, lets retirements count, and discards what everyone
    /// has. Whether the reporter knows members that it had not reported to know.
    pub(crate) fn learn(&mut self, report: Report) -> bool {
        let heard = if report.from == self.id {
            self.members.recover(self.id, report.members);
            false
        } else {
            let joins = report.standing == Standing::Joined
                && report.members.contains(&self.id)
                && report.replica_ts <= self.replica_ts;
            let heard = self.members.report(report);
            self.members.join(self.id, joins);
            heard
        };
        self.end_retired();
        self.discard();
        heard
    }

    /// Discards what everyone has.
    pub(crate) fn discard(&mut self) {
        let origins: Vec<_> = self.log.origins().collect();
        for origin in origins {
            self.log.discard::<V>(origin, self.known_everywhere(origin));
        }
        self.trim();
    }

    /// The members whose knowledge counts: all but this one that are not retired.
    pub fn others(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.members.others(self.id)
    }

    /// The number up to which every other member has reported to have the records
    /// of `origin`. What was sent to a peer tells nothing.
    fn known_everywhere(&self, origin: ReplicaId) -> u64 {
        self.others()
            .map(|peer| self.reported(peer).map_or(0, |has| has.count(origin)))
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Discards more where the log is over its budget, or where there is no peer to
    /// keep it for.
    pub(crate) fn trim(&mut self) {
        if self.others().next().is_none() {
            self.log.discard::<V>(self.id, u64::MAX);
        }
        while self.log.bytes() > self.limits.log_bytes
            && let Some(origin) = self.log.longest()
        {
            let next = self.log.floor(origin) + 1;
            self.log.discard::<V>(origin, next);
        }
    }
}
