//! Replica ids, timestamps and update ids.

use backfence_gossip::{ReplicaId, SessionId, Timestamp, UpdateId};

use crate::{Malformed, v1};

/// Most entries of a timestamp that a message may hold. There are
/// at most two for each server at rest, more while a life is not over everywhere; a message
/// with more is refused.
pub(crate) const MAX_ENTRIES: usize = 4096;

impl From<ReplicaId> for v1::ReplicaId {
    fn from(id: ReplicaId) -> Self {
        Self {
            server: id.server,
            incarnation: id.incarnation,
        }
    }
}

impl TryFrom<v1::ReplicaId> for ReplicaId {
    type Error = Malformed;

    fn try_from(id: v1::ReplicaId) -> Result<Self, Malformed> {
        if id.server == 0 {
            return Err(Malformed("a server number is 0"));
        }
        Ok(Self::new(id.server, id.incarnation))
    }
}

impl From<&Timestamp> for v1::Timestamp {
    fn from(ts: &Timestamp) -> Self {
        let entry = |(replica, count): (ReplicaId, u64)| v1::timestamp::Entry {
            server: replica.server,
            incarnation: replica.incarnation,
            count,
        };
        Self {
            entries: ts.iter().map(entry).collect(),
        }
    }
}

impl TryFrom<v1::Timestamp> for Timestamp {
    type Error = Malformed;

    fn try_from(ts: v1::Timestamp) -> Result<Self, Malformed> {
        if ts.entries.len() > MAX_ENTRIES {
            return Err(Malformed("a timestamp has more than 4096 entries"));
        }
        let key = |entry: &v1::timestamp::Entry| (entry.server, entry.incarnation);
        if ts
            .entries
            .windows(2)
            .any(|two| key(&two[0]) >= key(&two[1]))
        {
            return Err(Malformed("the entries of a timestamp are not in order"));
        }
        if ts.entries.iter().any(|e| e.server == 0 || e.count == 0) {
            return Err(Malformed("a timestamp has an entry of 0"));
        }
        let entry = |e: v1::timestamp::Entry| (ReplicaId::new(e.server, e.incarnation), e.count);
        Ok(ts.entries.into_iter().map(entry).collect())
    }
}

/// Reads a timestamp, which may be left out where it is empty.
///
/// # Errors
///
/// [`Malformed`] for entries out of order, or too many.
pub fn timestamp(ts: Option<v1::Timestamp>) -> Result<Timestamp, Malformed> {
    ts.map_or(Ok(Timestamp::new()), Timestamp::try_from)
}

/// Reads every item of a list.
///
/// # Errors
///
/// [`Malformed`] where any of them is.
pub fn all<T, U: TryFrom<T, Error = Malformed>>(items: Vec<T>) -> Result<Vec<U>, Malformed> {
    items.into_iter().map(U::try_from).collect()
}

/// Reads a session id: 16 bytes.
///
/// # Errors
///
/// [`Malformed`] for any other length.
pub fn session_id(bytes: &[u8]) -> Result<SessionId, Malformed> {
    let bytes = bytes
        .try_into()
        .map_err(|_| Malformed("a session id is not 16 bytes"))?;
    Ok(SessionId(u128::from_be_bytes(bytes)))
}

impl From<UpdateId> for v1::UpdateId {
    fn from(id: UpdateId) -> Self {
        Self {
            session: id.session.0.to_be_bytes().into(),
            sequence: id.sequence,
        }
    }
}

impl TryFrom<v1::UpdateId> for UpdateId {
    type Error = Malformed;

    fn try_from(id: v1::UpdateId) -> Result<Self, Malformed> {
        if id.sequence == 0 {
            return Err(Malformed("the sequence of an update id is 0"));
        }
        Ok(Self::new(session_id(&id.session)?, id.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disorder_in_a_timestamp_is_refused() {
        let entry = |server, count| v1::timestamp::Entry {
            server,
            incarnation: 1,
            count,
        };
        for entries in [
            vec![entry(2, 1), entry(1, 1)],
            vec![entry(1, 1), entry(1, 2)],
            vec![entry(0, 1)],
            vec![entry(1, 0)],
        ] {
            assert!(Timestamp::try_from(v1::Timestamp { entries }).is_err());
        }
    }
}
