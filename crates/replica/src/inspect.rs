//! What an operator sees of a replica: the digest of its value, and its log.

use backfence_gossip::{LogEntry, Replica};
use backfence_ratings::{Operation, Ratings};
use backfence_wire::v1;

/// Most records of the log in one answer; its oldest.
const RECORDS: usize = 1000;

/// A pass over all writes, while which nothing else happens.
pub(crate) fn digest(replica: &Replica<Ratings>) -> v1::ValueDigest {
    let value = replica.value();
    v1::ValueDigest {
        digest: value.digest().to_be_bytes().into(),
        value_ts: Some(replica.value_ts().into()),
        writes: value.writes() as u64,
    }
}

/// The first records of the log, by origin and number.
pub(crate) fn log(replica: &Replica<Ratings>, limit: u32) -> v1::LoggedRecords {
    v1::LoggedRecords {
        records: records(replica.log(), limit),
        total: replica.log_len() as u64,
    }
}

/// The first of these, no more than fit into an answer.
pub(crate) fn records<'a>(
    entries: impl Iterator<Item = &'a LogEntry<Operation>>,
    limit: u32,
) -> Vec<v1::LoggedRecord> {
    let limit = usize::try_from(limit).unwrap_or(RECORDS).min(RECORDS);
    entries.take(limit).map(logged).collect()
}

fn logged(entry: &LogEntry<Operation>) -> v1::LoggedRecord {
    let (record, update) = (&entry.record, entry.record.update());
    v1::LoggedRecord {
        origin: Some(record.origin().into()),
        number: record.number(),
        update_id: Some(update.id.into()),
        prev: Some((&update.prev).into()),
        time_us: update.time.0,
        user_id: update.operation.user().0,
        movie_id: update.operation.movie().0,
        rating: update.operation.rating().map(Into::into),
        waiting: entry.waiting,
    }
}
