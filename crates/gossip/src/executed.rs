//! Which updates are reflected in the value.

use alloc::{collections::BTreeMap, vec::Vec};
use core::hash::{Hash, Hasher};

use crate::{Executed, SessionId, Timestamp, Update, UpdateId};

/// The executed table: the cids that are reflected in the value, each with the
/// timestamp first given to it, so that a retry gets the first reply again.
///
/// Kept by session, in order of sequence. A session makes one update at a time, so
/// nearly every insertion is a push and nearly every look-up hits the last entry:
/// the cost does not grow with the number of updates.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ExecutedTable {
    sessions: BTreeMap<SessionId, Vec<(u64, First)>>,
}

/// The first reply to an update.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct First {
    pub(crate) ts: Timestamp,
    /// Of the contents; see [`digest`].
    pub(crate) digest: u64,
}

impl First {
    pub(crate) fn of(&self, id: UpdateId) -> Executed {
        Executed {
            id,
            ts: self.ts.clone(),
            digest: self.digest,
        }
    }
}

impl ExecutedTable {
    pub(crate) fn find(&self, id: UpdateId) -> Option<&First> {
        let entries = self.sessions.get(&id.session)?;
        let at = position(entries, id.sequence).ok()?;
        Some(&entries[at].1)
    }

    /// Enters an update, unless it is there: what was given first stays.
    pub(crate) fn insert(&mut self, id: UpdateId, first: First) {
        let entries = self.sessions.entry(id.session).or_default();
        if let Err(at) = position(entries, id.sequence) {
            entries.insert(at, (id.sequence, first));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (UpdateId, &First)> {
        self.sessions.iter().flat_map(|(&session, entries)| {
            entries
                .iter()
                .map(move |(sequence, first)| (UpdateId::new(session, *sequence), first))
        })
    }
}

fn position(entries: &[(u64, First)], sequence: u64) -> Result<usize, usize> {
    match entries.last() {
        Some((last, _)) if *last < sequence => Err(entries.len()),
        Some((last, _)) if *last == sequence => Ok(entries.len() - 1),
        _ => entries.binary_search_by_key(&sequence, |entry| entry.0),
    }
}

/// A digest of what a retry must repeat: the time and the operation. FNV-1a over
/// little-endian bytes, so that replicas on different machines agree on it. It
/// catches a client that reuses an id by mistake, not one that searches for a
/// collision.
pub(crate) fn digest<O: Hash>(update: &Update<O>) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    update.time.hash(&mut hasher);
    update.operation.hash(&mut hasher);
    hasher.finish()
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.write(&value.to_le_bytes());
    }

    fn write_u32(&mut self, value: u32) {
        self.write(&value.to_le_bytes());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn write_u128(&mut self, value: u128) {
        self.write(&value.to_le_bytes());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReplicaId, Time};

    fn first(count: u64) -> First {
        let ts = [(ReplicaId::new(1, 1), count)].into_iter().collect();
        First { ts, digest: count }
    }

    #[test]
    fn what_was_given_first_stays_in_any_order_of_insertion() {
        let session = SessionId(7);
        let mut table = ExecutedTable::default();
        for sequence in [3, 1, 2, 3, 1] {
            let given = if table.find(UpdateId::new(session, sequence)).is_some() {
                99
            } else {
                sequence
            };
            table.insert(UpdateId::new(session, sequence), first(given));
        }
        let all: Vec<_> = table
            .iter()
            .map(|(id, f)| (id.sequence, f.digest))
            .collect();
        assert_eq!(all, [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(table.find(UpdateId::new(session, 4)), None);
        assert_eq!(table.find(UpdateId::new(SessionId(8), 1)), None);
    }

    /// The expected value was computed apart, byte by byte.
    #[test]
    fn the_digest_is_of_time_and_operation_and_the_same_everywhere() {
        let update = |time, operation: (u8, i8, u16, u32, usize, Option<u128>)| Update {
            id: UpdateId::new(SessionId(1), 1),
            prev: Timestamp::new(),
            time: Time(time),
            operation,
        };
        let one = digest(&update(1, (1, -1, 2, 3, 4, Some(5))));
        assert_eq!(one, 0x2281_9b12_63dd_df21);
        assert_ne!(one, digest(&update(2, (1, -1, 2, 3, 4, Some(5)))));
        assert_ne!(one, digest(&update(1, (1, -1, 2, 3, 4, None))));
    }
}
