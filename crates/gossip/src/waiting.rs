//! Records that wait for what they depend on.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use core::ops::RangeInclusive;

use crate::{ReplicaId, UpdateId, log::Place};

/// An index of the waiting records of the log.
///
/// Each waits at one entry of its `prev` that the value does not cover, and is
/// looked at again when the value has reached that entry. So an update costs what
/// it sets free, not what waits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Waiting {
    blocked: BTreeMap<Place, Vec<Place>>,
    ids: BTreeSet<(UpdateId, Place)>,
}

impl Waiting {
    /// Notes that the record at `place` waits, for the record at `cause`.
    pub(crate) fn insert(&mut self, id: UpdateId, place: Place, cause: Place) {
        self.blocked.entry(cause).or_default().push(place);
        self.ids.insert((id, place));
    }

    /// Takes out what waited for these records.
    pub(crate) fn wake(&mut self, causes: RangeInclusive<Place>, woken: &mut Vec<Place>) {
        while let Some((&cause, _)) = self.blocked.range(causes.clone()).next()
            && let Some(places) = self.blocked.remove(&cause)
        {
            woken.extend(places);
        }
    }

    /// Forgets the id of a record that waits no longer.
    pub(crate) fn release(&mut self, id: UpdateId, place: Place) {
        self.ids.remove(&(id, place));
    }

    /// The waiting records of updates with this id.
    pub(crate) fn of(&self, id: UpdateId) -> impl Iterator<Item = Place> + '_ {
        let all = (ReplicaId::new(0, 0), 0)..=(ReplicaId::new(u32::MAX, u64::MAX), u64::MAX);
        self.ids
            .range((id, *all.start())..=(id, *all.end()))
            .map(|&(_, place)| place)
    }

    /// The places of the waiting records.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.ids.iter().map(|&(_, place)| place)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}
