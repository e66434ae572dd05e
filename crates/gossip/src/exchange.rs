//! Gossip: who is sent what, what is taken from whom, and when a record can go.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
use core::mem;

use crate::{
    MalformedState, Message, Offer, Received, Replica, ReplicaId, Scope, Skew, Standing, Time,
    Timestamp, Value,
    clocks::TICKS,
    fold::Past,
    members::{Report, latest},
};

/// How a receiver's and a sender's pasts differ, in lives that are over at one of them.
#[derive(Default)]
pub(crate) struct Apart {
    /// The lives that are over at the sender, of which the receiver may have more.
    more_here: Vec<ReplicaId>,
    /// The sender may have more of what is over here.
    more_there: bool,
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
            return Message::State(Box::new(self.state()));
        }
        let offer = self.offer(peer, has, scope).map(Message::Offer);
        offer.unwrap_or_else(|| Message::State(Box::new(self.state())))
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
            horizon: self.horizon,
            settled: self.settled,
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
    /// has. `now` is physical time.
    ///
    /// # Errors
    ///
    /// [`MalformedState`] for a state that no replica can be in, for what a peer says of itself
    /// and is not believed, and where what this one itself has stored names a later life of its
    /// server; nothing is changed.
    pub fn receive(
        &mut self,
        mut message: Message<V>,
        now: Time,
    ) -> Result<Received, MalformedState> {
        // What it says may be news that no one else can ever have.
        let from = message.from();
        let mut told = message.members().iter();
        if self.members.is_retired(from) || told.any(|other| other.is_after(from)) {
            // Of its own disk it cannot leave anything.
            if from == self.id {
                return Err(MalformedState::Retired { replica: from });
            }
            return Ok(Received {
                retired: true,
                ..Received::default()
            });
        }
        if from != self.id {
            self.refuse_unbelievable(&message, now)?;
            message.bound_horizon(|horizon| self.believed(horizon, now));
        }
        self.refuse_malformed(&message)?;
        let (apart, mut late) = if from == self.id {
            Default::default()
        } else {
            let apart = self.compare(&message);
            let (horizon, settled) = (message.horizon(), message.settled());
            (apart, self.give_up(message.replica_ts(), horizon, settled))
        };
        let received = match message {
            Message::Offer(mut offer) => {
                if apart.more_there {
                    offer.records.clear();
                }
                self.accept(offer, &apart, now)
            }
            // Where each may have more, one has to begin: it makes both its own.
            Message::State(state) if !apart.more_here.is_empty() || !apart.more_there => {
                self.join(*state, &apart, now)
            }
            Message::State(state) => self.accept(state.as_report(), &apart, now),
        };
        late.extend(received.late);
        // What was given up waits no more, and is to be so on the disk too.
        let joined = received.joined || !late.is_empty();
        Ok(Received {
            late,
            joined,
            ..received
        })
    }

    /// Whoever says that a life is over, or has folded it, knows of a later one.
    fn refuse_malformed(&self, message: &Message<V>) -> Result<(), MalformedState> {
        if let Message::State(state) = message {
            state.check()?;
        }
        let ended = message.ended().iter().copied();
        let told: BTreeSet<_> = message.members().iter().copied().collect();
        let mut ends = ended.chain(message.replica_ts().folds());
        let living = ends.find(|&last| {
            let is_told = latest(&told, last.server) > Some(last.incarnation);
            !is_told && !self.members.is_retired(last)
        });
        match living.filter(|_| message.from() != self.id) {
            Some(replica) => Err(MalformedState::EndOfTheLiving { replica }),
            None => Ok(()),
        }
    }

    /// Compares what is here with what the sender has of lives that are over.
    fn compare(&self, message: &Message<V>) -> Apart {
        let ended = message.ended().iter().copied().collect();
        let there = Past {
            replica_ts: message.replica_ts(),
            ended: &ended,
            // Where it does not tell, it is taken to have had what is known here.
            finals: message.finals().unwrap_or(&self.finals),
        };
        let here = self.past();
        Apart {
            more_here: here.beyond(&there).collect(),
            more_there: there.beyond(&here).next().is_some(),
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

    /// The records that a peer lacks; `None` where one of them is dated before what is
    /// settled there. It may have executed that, and have forgotten it: only the value can
    /// tell.
    fn offer(&self, peer: ReplicaId, has: &Timestamp, scope: Scope) -> Option<Offer<V::Operation>> {
        let settled = self.members.report_of(peer)?.settled;
        let mut offer = self.report();
        let mut bytes = 0;
        for (origin, after, _) in self.news(peer, has, scope) {
            for entry in self.log.after(origin, after) {
                bytes += entry.record.size::<V>();
                if bytes > self.limits.message_bytes && !offer.records.is_empty() {
                    offer.more = true;
                    return Some(offer);
                }
                if entry.record.update().time < settled {
                    return None;
                }
                offer.records.push(entry.record.clone());
            }
        }
        Some(offer)
    }

    /// Ladin et al. 1992, section 3.2, "Processing a gossip message".
    fn accept(&mut self, mut offer: Offer<V::Operation>, apart: &Apart, now: Time) -> Received {
        let mut received = Received {
            outdated: apart.more_there,
            met: self
                .members
                .extend(offer.members.iter().copied().chain([offer.from])),
            ..Received::default()
        };
        for record in mem::take(&mut offer.records) {
            let (origin, number) = (record.origin(), record.number());
            let follows = self.replica_ts.count(origin).checked_add(1) == Some(number);
            if !follows || (offer.from != self.id && self.may_have_forgotten(record.update())) {
                received.ignored += 1;
                continue;
            }
            if offer.from != self.id && self.is_held(&record, now) {
                if !received.held.contains(&origin) {
                    received.held.push(origin);
                }
                continue;
            }
            let time = record.update().time;
            if offer.from != self.id
                && time
                    > now
                        .after(self.limits.max_skew)
                        .max(self.clock().after(TICKS))
            {
                let (ahead, by) = (true, time.since(now));
                received.ahead = Some((origin, Skew { ahead, by }));
            }
            match received.accepted.last_mut() {
                Some((last, numbers)) if *last == origin => *numbers = *numbers.start()..=number,
                _ => received.accepted.push((origin, number..=number)),
            }
            self.append(record);
        }
        self.learn(offer.into_report(), apart, now, &mut received);
        received
    }

    /// Notes what a peer reported, lets retirements count, and discards and folds what
    /// can go.
    pub(crate) fn learn(
        &mut self,
        report: Report,
        apart: &Apart,
        now: Time,
        received: &mut Received,
    ) {
        let ended = if report.from == self.id {
            // Of lives that were over, others may have folded less away since.
            self.members.recover(self.id, report.members);
            Vec::new()
        } else {
            let over = self.over_here(&report.replica_ts, &report.ended);
            let ended = self.members.add_ended(over);
            let is_over = |life: &&ReplicaId| ended.iter().any(|last| life.is_up_to(*last));
            let lives = apart.more_here.iter();
            let own = lives.filter(|life| received.joined || is_over(life));
            let own: Vec<_> = own.copied().collect();
            if !own.is_empty() && !self.is_retired() {
                self.owes = true;
                received.joined = true;
                received.late.extend(self.strand(&own, &report.replica_ts));
            }
            let joins = report.standing == Standing::Joined
                && report.members.contains(&self.id)
                && !self.lacks(&report.replica_ts);
            received.heard = self.members.report(report);
            // Nobody else is to go by a clock that is wrong.
            if self.suspect(now).is_none() {
                self.members.join(self.id, joins);
            }
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
