//! Replicas of several versions in one cluster.
//!
//! While a cluster is upgraded, server by server, some understand records that others do not.
//! Each says itself what it understands, whenever it meets another. The cluster speaks the
//! least of what those who remain have said; one that has not said anything counts as the
//! oldest. A server that is down holds the others back until it returns or is retired, for it
//! comes back and asks for all that it missed.
//!
//! What has been taken stays: a replica that does not understand it can take part no more, so
//! the way back to an older version ends where the first record is taken that needs the newer.

use alloc::vec::Vec;

use crate::{Refusal, Replica, ReplicaId, Value};

/// What one understands that has said nothing.
const OLDEST: u32 = 1;

impl<V: Value> Replica<V> {
    /// Notes the newest version of records that `peer` itself says to understand.
    pub fn understands(&mut self, peer: ReplicaId, version: u32) {
        if self.members().any(|member| member == peer) {
            self.members.versions.insert(peer, version);
        }
    }

    /// The version that the cluster speaks: the newest that every replica which remains
    /// understands, as far as is known here.
    pub fn speaks(&self) -> u32 {
        let others = self.others().map(|other| self.version_of(other));
        others.fold(self.limits.version, u32::min)
    }

    /// The version of records that one has to understand to take part: the greatest that a
    /// record received here needs.
    pub const fn needs(&self) -> u32 {
        self.needs
    }

    pub(crate) fn refuse_too_new(&self, operation: &V::Operation) -> Result<(), Refusal> {
        let needs = V::version(operation);
        if needs <= self.speaks() {
            return Ok(());
        }
        let others = self.others().map(|other| (other, self.version_of(other)));
        let all = others.chain([(self.id, self.limits.version)]);
        let too_old = all.filter(|&(_, version)| version < needs);
        let mut servers: Vec<_> = too_old.map(|(replica, _)| replica.server).collect();
        servers.sort_unstable();
        Err(Refusal::TooNew { needs, servers })
    }

    fn version_of(&self, peer: ReplicaId) -> u32 {
        let said = self.members.versions.get(&peer);
        said.copied().unwrap_or(OLDEST)
    }
}
