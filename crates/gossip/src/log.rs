//! The log: records that may still have to be sent or applied.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use crate::{Record, ReplicaId, Timestamp, Value};

/// Where a record stands: its origin and its number there.
pub(crate) type Place = (ReplicaId, u64);

/// The records of each origin, without holes, from the one after its floor on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Log<O> {
    origins: BTreeMap<ReplicaId, Run<O>>,
    len: usize,
    bytes: usize,
}

/// A record in the log, and whether it still waits for what it depends on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogEntry<O> {
    /// The record.
    pub record: Record<O>,
    /// It is not yet reflected in the value: something that it depends on has not
    /// come.
    pub waiting: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Run<O> {
    floor: u64,
    entries: VecDeque<LogEntry<O>>,
}

impl<O> Log<O> {
    pub(crate) const fn new() -> Self {
        Self {
            origins: BTreeMap::new(),
            len: 0,
            bytes: 0,
        }
    }

    /// Appends the next record of its origin.
    pub(crate) fn push<V: Value<Operation = O>>(&mut self, entry: LogEntry<O>) {
        let record = &entry.record;
        self.len += 1;
        self.bytes += record.size::<V>();
        let run = self.origins.entry(record.origin()).or_insert_with(|| Run {
            floor: record.number() - 1,
            entries: VecDeque::new(),
        });
        assert_eq!(run.last() + 1, record.number(), "a hole in the log");
        run.entries.push_back(entry);
    }

    pub(crate) fn entry(&self, (origin, number): Place) -> Option<&LogEntry<O>> {
        let run = self.origins.get(&origin)?;
        let index = number.checked_sub(run.floor + 1)?;
        run.entries.get(usize::try_from(index).ok()?)
    }

    /// Notes that a waiting record has become part of the value.
    pub(crate) fn applied(&mut self, (origin, number): Place) {
        if let Some(run) = self.origins.get_mut(&origin)
            && let Some(index) = number.checked_sub(run.floor + 1)
            && let Ok(index) = usize::try_from(index)
            && let Some(entry) = run.entries.get_mut(index)
        {
            entry.waiting = false;
        }
    }

    /// The entries of `origin` numbered above `after`, in order.
    pub(crate) fn after(
        &self,
        origin: ReplicaId,
        after: u64,
    ) -> impl Iterator<Item = &LogEntry<O>> {
        self.origins.get(&origin).into_iter().flat_map(move |run| {
            let skip = usize::try_from(after.saturating_sub(run.floor)).unwrap_or(usize::MAX);
            run.entries.range(skip.min(run.entries.len())..)
        })
    }

    /// Every entry, by origin and number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LogEntry<O>> {
        self.origins.values().flat_map(|run| &run.entries)
    }

    pub(crate) fn origins(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.origins.keys().copied()
    }

    /// The highest number of `origin` that has been discarded.
    pub(crate) fn floor(&self, origin: ReplicaId) -> u64 {
        self.origins.get(&origin).map_or(0, |run| run.floor)
    }

    /// All floors.
    pub(crate) fn floors(&self) -> Timestamp {
        self.origins
            .iter()
            .map(|(&origin, run)| (origin, run.floor))
            .collect()
    }

    /// Sets the floor of an origin of which nothing is held.
    pub(crate) fn start(&mut self, origin: ReplicaId, floor: u64) {
        let entries = VecDeque::new();
        let before = self.origins.insert(origin, Run { floor, entries });
        debug_assert!(before.is_none_or(|run| run.entries.is_empty()));
    }

    /// Discards the records of `origin` up to number `upto`, but stops at one that
    /// waits: it is nowhere but here.
    pub(crate) fn discard<V: Value<Operation = O>>(&mut self, origin: ReplicaId, upto: u64) {
        let Some(run) = self.origins.get_mut(&origin) else {
            return;
        };
        while run.floor < upto
            && run.entries.front().is_some_and(|entry| !entry.waiting)
            && let Some(entry) = run.entries.pop_front()
        {
            run.floor += 1;
            self.len -= 1;
            self.bytes -= entry.record.size::<V>();
        }
    }

    /// Forgets the origins that are meant, of which no record waits.
    pub(crate) fn forget<V: Value<Operation = O>>(&mut self, is_meant: impl Fn(ReplicaId) -> bool) {
        let origins: Vec<_> = self.origins().filter(|&origin| is_meant(origin)).collect();
        for origin in origins {
            self.discard::<V>(origin, u64::MAX);
            self.origins.remove(&origin);
        }
    }

    /// The origin with the most records of which the first can be discarded.
    pub(crate) fn longest(&self) -> Option<ReplicaId> {
        self.origins
            .iter()
            .filter(|(_, run)| run.entries.front().is_some_and(|entry| !entry.waiting))
            .max_by_key(|(_, run)| run.entries.len())
            .map(|(&origin, _)| origin)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// An upper bound of what the records would take on the wire.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<O> Run<O> {
    fn last(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SessionId, Time, Update, UpdateId, update::tests::Bytes};

    const ONE: ReplicaId = ReplicaId::new(1, 1);
    const TWO: ReplicaId = ReplicaId::new(2, 1);

    fn entry((origin, number): Place, bytes: usize, waiting: bool) -> LogEntry<usize> {
        let update = Update {
            id: UpdateId::new(SessionId(1), number),
            prev: Timestamp::new(),
            time: Time(1),
            operation: bytes,
        };
        let record = Record::new(origin, number, update).expect("a record that can be");
        LogEntry { record, waiting }
    }

    #[test]
    fn it_counts_what_it_holds() {
        let mut log = Log::new();
        log.start(TWO, 6);
        for (place, bytes, waiting) in [
            ((ONE, 1), 4, false),
            ((ONE, 2), 10, false),
            ((TWO, 7), 50, false),
            ((ONE, 3), 100, true),
            ((ONE, 4), 1000, false),
        ] {
            log.push::<Bytes>(entry(place, bytes, waiting));
        }
        assert_eq!((log.len(), log.bytes()), (5, 5 * 96 + 1164));
        for (origin, upto, len, bytes, floor) in [
            (ONE, 0, 5, 1164, 0),
            (ONE, 1, 4, 1160, 1),
            (TWO, 7, 3, 1110, 7),
            // What waits stays, and what follows it.
            (ONE, 9, 2, 1100, 2),
        ] {
            log.discard::<Bytes>(origin, upto);
            assert_eq!((log.len(), log.bytes()), (len, len * 96 + bytes));
            assert_eq!(log.floor(origin), floor);
        }
        log.applied((ONE, 3));
        log.discard::<Bytes>(ONE, 9);
        assert_eq!((log.len(), log.bytes(), log.longest()), (0, 0, None));
    }

    #[test]
    fn each_entry_is_found_at_its_place() {
        let mut log = Log::new();
        log.start(TWO, 6);
        assert_eq!((log.floor(TWO), log.floor(ONE)), (6, 0));
        for number in 7..=9 {
            log.push::<Bytes>(entry((TWO, number), 0, true));
        }
        let found = |number| log.entry((TWO, number)).map(|entry| entry.record.number());
        assert_eq!([6, 7, 9, 10].map(found), [None, Some(7), Some(9), None]);
        assert_eq!(log.entry((ONE, 1)), None);
        for (after, expected) in [(0, 3), (6, 3), (7, 2), (9, 0), (20, 0)] {
            assert_eq!(log.after(TWO, after).count(), expected);
        }
        assert_eq!(log.after(ONE, 0).count(), 0);
        for (number, waiting) in [(6, 3), (10, 3), (8, 2)] {
            log.applied((TWO, number));
            assert_eq!(log.iter().filter(|entry| entry.waiting).count(), waiting);
        }
        assert!(log.entry((TWO, 8)).is_some_and(|entry| !entry.waiting));
    }
}
