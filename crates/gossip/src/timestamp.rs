//! Vector timestamps.

use alloc::vec::Vec;
use core::{cmp::Ordering, fmt};

use crate::ReplicaId;

/// A vector timestamp: how many updates of each replica. A replica that is absent
/// counts 0, so any number of replicas can come and go.
///
/// `a <= b` where every entry is; neither `<=` nor `>=` holds for concurrent ones.
/// Kept as a sorted list without zeros: there are few replicas, and comparing and
/// merging walk two lists once.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Timestamp {
    entries: Vec<(ReplicaId, u64)>,
}

impl Timestamp {
    /// The timestamp that is `<=` every other.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// How many updates of `replica`.
    pub fn count(&self, replica: ReplicaId) -> u64 {
        match self.position(replica) {
            Ok(at) => self.entries[at].1,
            Err(_) => 0,
        }
    }

    /// Sets the entry of `replica`; 0 removes it.
    pub fn set(&mut self, replica: ReplicaId, count: u64) {
        match (self.position(replica), count) {
            (Ok(at), 0) => drop(self.entries.remove(at)),
            (Ok(at), _) => self.entries[at].1 = count,
            (Err(_), 0) => {}
            (Err(at), _) => self.entries.insert(at, (replica, count)),
        }
    }

    /// Raises the entry of `replica` to `count`, if it is lower.
    pub fn raise(&mut self, replica: ReplicaId, count: u64) {
        match self.position(replica) {
            Ok(at) => self.entries[at].1 = self.entries[at].1.max(count),
            Err(at) if count > 0 => self.entries.insert(at, (replica, count)),
            Err(_) => {}
        }
    }

    /// Merges `other` into this: the entry-wise maximum.
    pub fn merge(&mut self, other: &Self) {
        for (replica, count) in other.iter() {
            self.raise(replica, count);
        }
    }

    /// The entries that are not 0, in ascending order of replica.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// The number of entries that are not 0.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every entry is 0.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of the entries. It grows with causality: `a < b` implies
    /// `a.sum() < b.sum()`, so it orders causes before effects.
    pub fn sum(&self) -> u128 {
        self.entries
            .iter()
            .map(|&(_, count)| u128::from(count))
            .sum()
    }

    /// The entries of `self` that `other` does not cover, as (replica, how many
    /// `other` has, how many `self` has).
    pub fn beyond<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (ReplicaId, u64, u64)> + 'a {
        self.iter()
            .map(|(replica, count)| (replica, other.count(replica), count))
            .filter(|&(_, has, wants)| wants > has)
    }

    fn position(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&replica, |entry| entry.0)
    }
}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (covers(other, self), covers(self, other)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (false, false) => None,
        }
    }

    // The commonest question by far; half the work of `partial_cmp`.
    fn le(&self, other: &Self) -> bool {
        covers(other, self)
    }

    fn ge(&self, other: &Self) -> bool {
        covers(self, other)
    }
}

impl FromIterator<(ReplicaId, u64)> for Timestamp {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut timestamp = Self::new();
        for (replica, count) in entries {
            timestamp.raise(replica, count);
        }
        timestamp
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (replica, count)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{replica}: {count}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn covers(greater: &Timestamp, lesser: &Timestamp) -> bool {
    let mut rest = greater.entries.iter();
    lesser.entries.iter().all(|&(replica, count)| {
        rest.by_ref()
            .find(|entry| entry.0 >= replica)
            .is_some_and(|&(found, has)| found == replica && has >= count)
    })
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use proptest::prelude::*;

    use super::*;

    fn timestamps() -> impl Strategy<Value = Timestamp> {
        prop::collection::vec((1..5u32, 0..3u64, 0..4u64), 0..6).prop_map(|entries| {
            entries
                .into_iter()
                .map(|(server, life, count)| (ReplicaId::new(server, life), count))
                .collect()
        })
    }

    fn merged(a: &Timestamp, b: &Timestamp) -> Timestamp {
        let mut both = a.clone();
        both.merge(b);
        both
    }

    proptest! {
        #[test]
        fn merge_is_the_least_upper_bound(a in timestamps(), b in timestamps(), c in timestamps()) {
            let both = merged(&a, &b);
            prop_assert!(a <= both && b <= both);
            prop_assert_eq!(&both, &merged(&b, &a));
            prop_assert_eq!(merged(&both, &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(a <= c && b <= c, both <= c);
        }

        #[test]
        fn order_is_entry_wise(a in timestamps(), b in timestamps()) {
            let below = a.iter().all(|(replica, count)| count <= b.count(replica));
            prop_assert_eq!(a <= b, below);
            prop_assert_eq!(b >= a, below);
            prop_assert_eq!(a.beyond(&b).next().is_none(), below);
            prop_assert_eq!(a.partial_cmp(&b) == Some(Ordering::Equal), a == b);
            prop_assert!(a.partial_cmp(&b) != Some(Ordering::Less) || a.sum() < b.sum());
        }

        #[test]
        fn setting_is_read_back(mut a in timestamps(), server in 1..5u32, count in 0..4u64) {
            let replica = ReplicaId::new(server, 1);
            a.set(replica, count);
            prop_assert_eq!(a.count(replica), count);
            prop_assert!(a.iter().all(|(_, count)| count > 0));
        }
    }

    #[test]
    fn prints_its_entries_in_order() {
        let ts: Timestamp = [(ReplicaId::new(2, 7), 1), (ReplicaId::new(1, 9), 3)]
            .into_iter()
            .collect();
        assert_eq!(ts.to_string(), "{1@9: 3, 2@7: 1}");
        assert_eq!(format!("{ts:?}"), ts.to_string());
        assert_eq!((ts.len(), ts.is_empty()), (2, false));
    }
}
