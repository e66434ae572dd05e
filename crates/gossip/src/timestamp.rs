//! Vector timestamps.

use alloc::vec::Vec;
use core::{cmp::Ordering, fmt};

use crate::ReplicaId;

/// A vector timestamp: how many updates of each replica. A replica that is absent
/// counts 0, so any number of replicas can come and go.
///
/// An entry may also say [`ALL`](Self::ALL): whatever there ever was of a life of a
/// server, and of every life before. Such an entry, a **fold**, takes the place of all
/// that it covers, so that a timestamp does not grow with the lives that are over. It is
/// no more than a number greater than every other, so merging and comparing need no
/// rule of their own.
///
/// `a <= b` where every entry is; neither `<=` nor `>=` holds for concurrent ones.
/// Kept as a sorted list without zeros, and without what a fold covers: there are few
/// replicas, and comparing walks two lists once.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Timestamp {
    entries: Vec<(ReplicaId, u64)>,
}

impl Timestamp {
    /// The count of a fold. No replica makes that many updates.
    pub const ALL: u64 = u64::MAX;

    /// The timestamp that is `<=` every other.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// How many updates of `replica`; [`ALL`](Self::ALL) where it is folded.
    pub fn count(&self, replica: ReplicaId) -> u64 {
        match self.position(replica) {
            Ok(at) => self.entries[at].1,
            // A fold is the first entry of its server.
            Err(at) => match self.entries.get(at) {
                Some(&(fold, Self::ALL)) if fold.server == replica.server => Self::ALL,
                _ => 0,
            },
        }
    }

    /// Sets the entry of `replica`; 0 removes it. What a fold covers stays covered.
    pub fn set(&mut self, replica: ReplicaId, count: u64) {
        match (self.position(replica), count) {
            (Ok(at), 0) => drop(self.entries.remove(at)),
            (Err(_), 0) => {}
            (Ok(at), _) if count != Self::ALL => self.entries[at].1 = count,
            _ => self.raise(replica, count),
        }
    }

    /// Raises the entry of `replica` to `count`, if it is lower.
    pub fn raise(&mut self, replica: ReplicaId, count: u64) {
        if self.count(replica) >= count {
            return;
        }
        if count == Self::ALL {
            self.entries.retain(|&(id, _)| !id.is_up_to(replica));
        }
        match self.position(replica) {
            Ok(at) => self.entries[at].1 = count,
            Err(at) => self.entries.insert(at, (replica, count)),
        }
    }

    /// Merges `other` into this: the entry-wise maximum.
    pub fn merge(&mut self, other: &Self) {
        for (replica, count) in other.iter() {
            self.raise(replica, count);
        }
    }

    /// The entries that are not 0, in ascending order of replica. A fold is the entry of
    /// the last life that it covers.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// The folds, each by the last life that it covers.
    pub fn folds(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.iter()
            .filter_map(|(replica, count)| (count == Self::ALL).then_some(replica))
    }

    /// Whether `replica` is folded away.
    pub fn has_folded(&self, replica: ReplicaId) -> bool {
        self.count(replica) == Self::ALL
    }

    /// The number of entries that are not 0.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every entry is 0.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A height that grows with causality: `a < b` implies `a.height() < b.height()`, so
    /// it orders causes before effects. How far the folds reach, then the sum of the
    /// other entries.
    pub fn height(&self) -> (u128, u128) {
        let mut height = (0, 0);
        for (replica, count) in self.iter() {
            if count == Self::ALL {
                height.0 += u128::from(replica.incarnation) + 1;
            } else {
                height.1 += u128::from(count);
            }
        }
        height
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
            if count == Self::ALL {
                write!(f, "{comma}to {replica}: all")?;
            } else {
                write!(f, "{comma}{replica}: {count}")?;
            }
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
    let mut rest = greater.entries.as_slice();
    lesser.entries.iter().all(|&(replica, count)| {
        let passed = rest.iter().take_while(|entry| entry.0 < replica).count();
        rest = &rest[passed..];
        rest.first().is_some_and(|&(found, has)| {
            has >= count
                && (found == replica || (has == Timestamp::ALL && found.server == replica.server))
        })
    })
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use proptest::prelude::*;

    use super::*;

    fn timestamps() -> impl Strategy<Value = Timestamp> {
        prop::collection::vec((1..4u32, 0..4u64, 0..5u64), 0..7).prop_map(|entries| {
            let count = |count| if count == 4 { Timestamp::ALL } else { count };
            entries
                .into_iter()
                .map(|(server, life, n)| (ReplicaId::new(server, life), count(n)))
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
            // Entry by entry, of all lives that there are.
            let lives = || (1..4).flat_map(|server| (0..4).map(move |life| ReplicaId::new(server, life)));
            let below = lives().all(|life| a.count(life) <= b.count(life));
            prop_assert_eq!(a <= b, below);
            prop_assert_eq!(b >= a, below);
            prop_assert_eq!(a.beyond(&b).next().is_none(), below);
            prop_assert_eq!(a.partial_cmp(&b) == Some(Ordering::Equal), a == b);
            prop_assert!(a.partial_cmp(&b) != Some(Ordering::Less) || a.height() < b.height());
        }

        #[test]
        fn setting_is_read_back(mut a in timestamps(), server in 1..5u32, count in 0..4u64) {
            let replica = ReplicaId::new(server, 1);
            let folded = a.entries.iter().any(|&(fold, all)| {
                fold.server == server && fold > replica && all == Timestamp::ALL
            });
            a.set(replica, count);
            prop_assert_eq!(a.count(replica), if folded { Timestamp::ALL } else { count });
            prop_assert!(a.iter().all(|(_, count)| count > 0));
        }
    }

    #[test]
    fn a_fold_takes_the_place_of_what_it_covers() {
        let life = |life| ReplicaId::new(2, life);
        let mut ts: Timestamp = [
            (life(1), 4),
            (life(3), 5),
            (life(7), 6),
            (ReplicaId::new(1, 2), 9),
        ]
        .into_iter()
        .collect();
        ts.raise(life(5), Timestamp::ALL);
        assert_eq!(ts.to_string(), "{1@2: 9, to 2@5: all, 2@7: 6}");
        assert!(ts.has_folded(life(4)) && !ts.has_folded(life(6)));
        ts.raise(life(3), 100);
        ts.raise(life(4), Timestamp::ALL);
        assert_eq!(ts.folds().collect::<Vec<_>>(), [life(5)]);
        assert_eq!((ts.len(), ts.count(life(6)), ts.count(life(7))), (3, 0, 6));
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
