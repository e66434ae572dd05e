//! The tables, and the keys of things in them.

use backfence_gossip::{Record, ReplicaId};
use backfence_ratings::Operation;
use redb::TableDefinition;

/// The version of all this.
///
/// | format | is like the one before, but for |
/// |---|---|
/// | 5 | the cluster; the digests of first replies, which have 16 bytes |
pub(crate) const FORMAT: u32 = 5;

/// Server, incarnation, number.
pub(crate) type Place = (u32, u64, u64);

pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(crate) const MEMBERS: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("members");
pub(crate) const RECORDS: TableDefinition<'_, Place, &[u8]> = TableDefinition::new("records");
pub(crate) const WAITING: TableDefinition<'_, Place, ()> = TableDefinition::new("waiting");
pub(crate) const CELLS: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("cells");
pub(crate) const EXECUTED: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("executed");
/// By session and block number. Stores of 0.2 have no such table.
pub(crate) const DIGESTS: TableDefinition<'_, (u128, u64), &[u8]> = TableDefinition::new("digests");

/// Names in `meta`.
pub(crate) mod name {
    pub(crate) const FORMAT: &str = "format";
    pub(crate) const SERVER: &str = "server";
    pub(crate) const FINGERPRINT: &str = "fingerprint";
    pub(crate) const INCARNATION: &str = "incarnation";
    /// Absent as long as the replica belongs to none.
    pub(crate) const CLUSTER: &str = "cluster";
    pub(crate) const CUT: &str = "cut";
}

pub(crate) fn place(origin: ReplicaId, number: u64) -> Place {
    (origin.server, origin.incarnation, number)
}

pub(crate) fn place_of(record: &Record<Operation>) -> Place {
    place(record.origin(), record.number())
}
