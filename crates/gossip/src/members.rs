//! Who takes part.

use crate::{Replica, ReplicaId, Value};

impl<V: Value> Replica<V> {
    /// The members whose knowledge counts: all others, but of each server only the
    /// latest incarnation. An earlier one is dead.
    pub(crate) fn others(&self) -> impl Iterator<Item = &ReplicaId> {
        self.members.iter().filter(|member| {
            let later = ReplicaId::new(member.server, member.incarnation.saturating_add(1));
            let last = ReplicaId::new(member.server, u64::MAX);
            **member != self.id && self.members.range(later..=last).next().is_none()
        })
    }
}
