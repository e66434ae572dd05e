//! Gossip: what replicas send each other, and when a record can go.

use alloc::{boxed::Box, vec::Vec};
use core::ops::RangeInclusive;

use crate::{
    MalformedState, Record, Replica, ReplicaId, Standing, State, Timestamp, Value, fold::Past,
    members::Report,
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
    /// The lives of which it has all that there will ever be, and every one before: the
    /// last of each server.
    pub ended: Vec<ReplicaId>,
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
    /// A whole state was joined, or all that is here was made this replica's own: all of it
    /// is to be stored anew.
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
    /// The sender has something of lives that are over here: only its report was taken.
    /// It hears of that, and comes again with all that it has as its own.
    pub outdated: bool,
}

/// How a receiver's and a sender's pasts differ, in lives that are over at one of them.
#[derive(Clone, Copy)]
pub(crate) struct Apart {
    /// The receiver may have more of what is over at the sender.
    has_more: bool,
    /// The sender may have more of what is over here.
    has_less: bool,
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

    /// The lives of which the sender has all that there will ever be.
    pub fn ended(&self) -> &[ReplicaId] {
        match self {
            Self::Offer(offer) => &offer.ended,
            Self::State(state) => &state.ended,
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
        let discarded =
            |(origin, after, count)| count == Timestamp::ALL || after < self.log.floor(origin);
        if self.news(peer, has, scope).any(discarded) {
            Message::State(Box::new(self.state()))
        } else {
            Message::Offer(self.offer(peer, has, scope))
        }
    }

    /// A message without records.
    pub fn report(&self) -> Offer<V::Operation> {
        Offer {
            from: self.id,
            replica_ts: self.replica_ts.clone(),
            members: self.members().collect(),
            ended: self.ended().collect(),
            records: Vec::new(),
            more: false,
            standing: self.standing(),
        }
    }

    /// Whether [`message`](Self::message) would bring `peer` anything but a report.
    pub fn has_news_for(&self, peer: ReplicaId, scope: Scope) -> bool {
        let lacks = |has| self.news(peer, has, scope).next().is_some();
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
        // What it says may be news that no one else can ever have.
        if self.members.is_retired(message.from()) {
            return Ok(Received {
                retired: true,
                ..Received::default()
            });
        }
        if message.from() != self.id {
            self.refuse_ends_of_the_living(&message)?;
        }
        let apart = self.compare(&message);
        match message {
            Message::Offer(mut offer) => {
                if apart.has_less {
                    offer.records.clear();
                }
                Ok(self.accept(offer, apart))
            }
            // Where each may have more, one has to begin: it makes both its own.
            Message::State(state) if apart.has_more || !apart.has_less => self.join(*state, apart),
            Message::State(state) => Ok(self.accept(state.as_report(), apart)),
        }
    }

    /// Whoever says that a life is over, or has folded it, knows of a later one.
    fn refuse_ends_of_the_living(&self, message: &Message<V>) -> Result<(), MalformedState> {
        let mut ends = message
            .ended()
            .iter()
            .copied()
            .chain(message.replica_ts().folds());
        let living = ends.find(|last| {
            let mut known = message.members().iter().copied().chain(self.members());
            !known.any(|other| other.server == last.server && other > *last)
        });
        living.map_or(Ok(()), |replica| {
            Err(MalformedState::EndOfTheLiving { replica })
        })
    }

    /// Compares what is here with what the sender has of lives that are over.
    fn compare(&self, message: &Message<V>) -> Apart {
        let ended = message.ended().iter().copied().collect();
        let there = Past {
            replica_ts: message.replica_ts(),
            ended: &ended,
        };
        let here = self.past();
        let is_other = message.from() != self.id;
        Apart {
            has_more: is_other && here.has_more_than(&there),
            has_less: is_other && there.has_more_than(&here),
        }
    }

    /// The origins of which a peer lacks records, how many it has, and how many there
    /// are. Of what is folded away it lacks the whole state, where that is not over
    /// there.
    fn news<'a>(
        &'a self,
        peer: ReplicaId,
        has: &'a Timestamp,
        scope: Scope,
    ) -> impl Iterator<Item = (ReplicaId, u64, u64)> + 'a {
        let report = self.members.report_of(peer);
        let is_over = move |origin| report.is_some_and(|report| report.ended.cover(origin));
        self.replica_ts
            .beyond(has)
            .filter(move |&(origin, ..)| scope == Scope::All || origin == self.id)
            .filter(move |&(origin, _, count)| count != Timestamp::ALL || !is_over(origin))
    }

    fn offer(&self, peer: ReplicaId, has: &Timestamp, scope: Scope) -> Offer<V::Operation> {
        let mut offer = self.report();
        let mut bytes = 0;
        for (origin, after, _) in self.news(peer, has, scope) {
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
    fn accept(&mut self, offer: Offer<V::Operation>, apart: Apart) -> Received {
        let mut received = Received {
            outdated: apart.has_less,
            met: self
                .members
                .extend(offer.members.iter().copied().chain([offer.from])),
            ..Received::default()
        };
        for record in offer.records {
            let (origin, number) = (record.origin(), record.number());
            if self.replica_ts.count(origin).checked_add(1) != Some(number) {
                received.ignored += 1;
                continue;
            }
            match received.accepted.last_mut() {
                Some((last, numbers)) if *last == origin => *numbers = *numbers.start()..=number,
                _ => received.accepted.push((origin, number..=number)),
            }
            self.append(record);
        }
        self.learn(
            Report {
                from: offer.from,
                replica_ts: offer.replica_ts,
                members: offer.members,
                ended: offer.ended.into_iter().collect(),
                standing: offer.standing,
            },
            apart,
            &mut received,
        );
        received
    }

    /// Notes what a peer reported, lets retirements count, and discards and folds what
    /// can go.
    pub(crate) fn learn(&mut self, report: Report, apart: Apart, received: &mut Received) {
        let ended = if report.from == self.id {
            // Of lives that were over, others may have folded less away since.
            self.members.recover(self.id, report.members);
            Vec::new()
        } else {
            let over = self.over_here(&report.replica_ts, &report.ended);
            let ended = self.members.add_ended(over);
            self.owes |= apart.has_more && (received.joined || !ended.is_empty());
            let joins = report.standing == Standing::Joined
                && report.members.contains(&self.id)
                && !self.lacks(&report.replica_ts);
            received.heard = self.members.report(report);
            self.members.join(self.id, joins);
            ended
        };
        self.review(ended);
        if self.owes && self.own_all() {
            self.owes = false;
            received.joined = true;
        }
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
