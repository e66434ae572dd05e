//! Updates, the records that replicas make of them, and what an application is.

use core::fmt;

use crate::{ReplicaId, Time, Timestamp, UpdateId};

/// The application: the value that is replicated.
///
/// Operations reach every replica in an order that respects causality, and each
/// takes effect once. Concurrent ones reach different replicas in different
/// orders, so `apply` must give the same value for every causal order. The usual
/// way is to let the greatest `(time, id)` win: that order extends causality.
pub trait Value {
    /// What an update does.
    type Operation: Clone + Eq + fmt::Debug;

    /// Makes the update's effect visible.
    fn apply(&mut self, update: &Update<Self::Operation>);

    /// Joins the value of another replica into this one: afterwards it reflects
    /// every update that either reflected.
    fn merge(&mut self, other: Self);

    /// An upper bound of the bytes that an operation takes on the wire.
    fn size(operation: &Self::Operation) -> usize;

    /// Tells a retry from another update that bears the same id: of time and operation, the
    /// same at every replica of every version. Where clients are not trusted it has to resist
    /// those who search for two updates with one digest.
    fn digest(update: &Update<Self::Operation>) -> Digest;

    /// The latest date of an update that it reflects, as far as it can tell: that of a peer is
    /// judged by it.
    fn latest(&self) -> Time {
        Time::default()
    }

    /// The least version of records that a replica has to understand to take this
    /// operation. See [`Limits::version`](crate::Limits::version).
    fn version(_: &Self::Operation) -> u32 {
        1
    }
}

/// Stands for the time and the operation of an update: [`Value::digest`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 16]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// An update as its session made it: the same on every retry, at every replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Update<O> {
    /// The paper's cid.
    pub id: UpdateId,
    /// What its session had seen: everything that the update depends on.
    pub prev: Timestamp,
    /// Hybrid logical time, fixed together with the id.
    pub time: Time,
    /// What it does.
    pub operation: O,
}

/// An update together with the timestamp that the replica which accepted it gave
/// to it: `update.prev`, with the entry of `origin` set to `number`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record<O> {
    origin: ReplicaId,
    number: u64,
    update: Update<O>,
}

impl<O> Record<O> {
    /// The `number`-th record of `origin`, or `None` where there can be no such
    /// record: numbers start at 1, and an update depends only on what its origin
    /// had received before.
    pub fn new(origin: ReplicaId, number: u64, update: Update<O>) -> Option<Self> {
        (update.prev.count(origin) < number).then_some(Self {
            origin,
            number,
            update,
        })
    }

    /// The replica that accepted the update.
    pub const fn origin(&self) -> ReplicaId {
        self.origin
    }

    /// Its number among the records of the origin, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The update itself.
    pub const fn update(&self) -> &Update<O> {
        &self.update
    }

    /// The record's timestamp.
    pub fn ts(&self) -> Timestamp {
        let mut ts = self.update.prev.clone();
        ts.set(self.origin, self.number);
        ts
    }

    /// Where the record stands among others so that causes come before effects.
    pub(crate) fn rank(&self) -> ((u128, u128), UpdateId) {
        let (folded, sum) = self.update.prev.height();
        let own = u128::from(self.number - self.update.prev.count(self.origin));
        ((folded, sum + own), self.update.id)
    }

    /// An upper bound of the bytes that the record takes on the wire.
    pub fn size<V: Value<Operation = O>>(&self) -> usize {
        const RECORD: usize = 96;
        const ENTRY: usize = 32;
        RECORD + self.update.prev.len() * ENTRY + V::size(&self.update.operation)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::SessionId;

    /// Operations of as many bytes as they say.
    pub(crate) struct Bytes;

    impl Value for Bytes {
        type Operation = usize;

        fn apply(&mut self, _: &Update<usize>) {}

        fn merge(&mut self, _: Self) {}

        fn size(bytes: &usize) -> usize {
            *bytes
        }

        fn digest(update: &Update<usize>) -> Digest {
            Digest((update.time.0 as u128).to_be_bytes())
        }
    }

    #[test]
    fn a_record_is_as_large_as_what_it_carries_and_ranks_by_its_timestamp() {
        let [one, two, three] = [1, 2, 3].map(|server| ReplicaId::new(server, 1));
        for (prev, bytes, size, sum) in [
            ([(two, 0), (three, 0)], 0, 96, 9),
            ([(two, 0), (three, 0)], 8, 104, 9),
            ([(two, 4), (three, 0)], 8, 136, 13),
            ([(two, 4), (three, 2)], 100, 260, 15),
            ([(one, 3), (two, 5)], 0, 160, 14),
        ] {
            let update = Update {
                id: UpdateId::new(SessionId(1), 1),
                prev: prev.into_iter().collect(),
                time: Time(1),
                operation: bytes,
            };
            let record = Record::new(one, 9, update).expect("a record that can be");
            assert_eq!(record.size::<Bytes>(), size);
            assert_eq!(record.rank(), ((0, sum), record.update().id));
            assert_eq!(record.ts().height(), (0, sum));
        }
    }
}
