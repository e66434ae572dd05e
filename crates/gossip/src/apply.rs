//! How records become visible: received, then stable, then applied.

use alloc::{collections::BinaryHeap, vec::Vec};
use core::cmp::Reverse;

use crate::{
    LogEntry, Record, Replica, Timestamp, Value,
    executed::{First, digest},
    log::Place,
};

impl<V: Value> Replica<V> {
    /// The stability test: everything that `prev` names is reflected in the value.
    ///
    /// Two things make that so: per origin there are no holes, and everything that
    /// is stable is applied before anyone can ask.
    pub(crate) fn stable(&self, prev: &Timestamp) -> bool {
        *prev <= self.value_ts
    }

    /// Receives the next record of its origin, and applies it and all that it sets
    /// free.
    pub(crate) fn append(&mut self, record: Record<V::Operation>) {
        let place = (record.origin(), record.number());
        self.replica_ts.raise(place.0, place.1);
        self.members.insert(place.0);
        self.greatest = self.greatest.max(record.update().time);
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
                if let Some(entry) = self.log.entry(place) {
                    ready.push(Reverse((entry.record.rank(), place)));
                }
            }
            let Some(Reverse((_, place))) = ready.pop() else {
                break;
            };
            self.try_apply(place, &mut candidates);
        }
        debug_assert!(self.value_ts <= self.replica_ts, "value ahead of receipts");
    }

    fn try_apply(&mut self, place: Place, woken: &mut Vec<Place>) {
        let Some(entry) = self.log.entry(place) else {
            return;
        };
        let update = entry.record.update();
        let id = update.id;
        if !self.stable(&update.prev) {
            self.waiting.insert(id, place, &update.prev, &self.value_ts);
            return;
        }
        // An update that was sent to two replicas has two records. It is executed
        // once, but both timestamps count: a session may hold either.
        if self.executed.find(id).is_none() {
            self.value.apply(update);
            let ts = entry.record.ts();
            let digest = digest(update);
            self.executed.insert(id, First { ts, digest });
        }
        self.log.applied(place);
        self.waiting.release(id, place);
        self.value_ts.raise(place.0, place.1);
        self.waiting.wake(place.0, place.1, woken);
    }
}
