//! How records become visible: received, then stable, then applied.

use alloc::{collections::BinaryHeap, vec::Vec};
use core::cmp::Reverse;

use crate::{FirstReply, LogEntry, Record, Replica, ReplicaId, Timestamp, Value, log::Place};

impl<V: Value> Replica<V> {
    /// The stability test: everything that `prev` names is reflected in the value, or
    /// lost for good.
    ///
    /// Two things make that so: per origin there are no holes, and everything that
    /// is stable is applied before anyone can ask.
    pub(crate) fn stable(&self, prev: &Timestamp) -> bool {
        *prev <= self.value_ts || self.unmet(prev).next().is_none()
    }

    /// What `prev` names and the value lacks, as (origin, what it has, what is to
    /// come). Of a replica that has ended no more can come than has been received.
    pub(crate) fn unmet<'a>(
        &'a self,
        prev: &'a Timestamp,
    ) -> impl Iterator<Item = (ReplicaId, u64, u64)> + 'a {
        prev.beyond(&self.value_ts)
            .flat_map(|(origin, has, wants)| {
                let ended = self.members.has_ended(origin);
                let last = self.replica_ts.count(origin);
                let lives = (ended && wants == Timestamp::ALL).then(|| self.received_to(origin));
                let entry = (origin, has, if ended { wants.min(last) } else { wants });
                let entry = lives.is_none().then_some(entry);
                entry.into_iter().chain(lives.into_iter().flatten())
            })
            .filter(|&(_, has, wants)| wants > has)
    }

    /// Of a life and all before: (origin, what the value has, what was received).
    fn received_to(&self, last: ReplicaId) -> impl Iterator<Item = (ReplicaId, u64, u64)> + '_ {
        self.replica_ts
            .iter()
            .filter(move |(life, _)| life.is_up_to(last))
            .map(|(life, received)| (life, self.value_ts.count(life), received))
    }

    /// Receives the next record of its origin, and applies it and all that it sets
    /// free.
    pub(crate) fn append(&mut self, record: Record<V::Operation>) {
        let place = (record.origin(), record.number());
        self.replica_ts.raise(place.0, place.1);
        self.members.extend([place.0]);
        self.greatest = self.greatest.max(record.update().time);
        self.needs = self.needs.max(V::version(&record.update().operation));
        self.log.push::<V>(LogEntry {
            record,
            waiting: true,
        });
        self.settle([place].into());
    }

    /// Applies every stable record among `candidates`, and all that they set free,
    /// causes before effects. The others wait.
    pub(crate) fn settle(&mut self, mut candidates: Vec<Place>) {
        let mut ready = BinaryHeap::new();
        loop {
            for place in candidates.drain(..) {
                if let Some(entry) = self.log.entry(place).filter(|entry| entry.waiting) {
                    ready.push(Reverse((entry.record.rank(), place)));
                }
            }
            let Some(Reverse((_, place))) = ready.pop() else {
                break;
            };
            self.try_apply(place, &mut candidates);
        }
        debug_assert!(
            self.value_ts
                .beyond(&self.replica_ts)
                .all(|(origin, ..)| self.members.is_retired(origin)),
            "the value reflects what was not received"
        );
    }

    fn try_apply(&mut self, place: Place, woken: &mut Vec<Place>) {
        let Some(entry) = self.log.entry(place) else {
            return;
        };
        let update = entry.record.update();
        let id = update.id;
        let unmet = self.unmet(&update.prev).next();
        if let Some((origin, _, number)) = unmet {
            self.waiting.insert(id, place, (origin, number));
            return;
        }
        // An update that was sent to two replicas has two records. It is executed
        // once, but both timestamps count: a session may hold either.
        let reply = FirstReply {
            sequence: id.sequence,
            ts: entry.record.ts(),
            digest: V::digest(update),
        };
        if self.executed.enter(id.session, update.time, reply) {
            self.value.apply(update);
        }
        // Of `prev` only entries that are lost for good can be beyond the value. They
        // are merged too: whoever sees this effect must not have it count as stable
        // where it is not yet known that its cause is lost.
        self.value_ts.merge(&update.prev);
        self.value_ts.raise(place.0, place.1);
        self.log.applied(place);
        self.waiting.release(id, place);
        self.waiting.wake((place.0, 0)..=place, woken);
    }
}
