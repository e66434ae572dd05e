//! Who has an update.

use std::collections::BTreeSet;

use backfence_gossip::{Replica, ReplicaId, Timestamp};
use backfence_ratings::Ratings;
use backfence_wire::v1;
use tokio::time::{Instant, timeout_at};

use crate::{copy::Copy, inspect};

/// An update that has been given a timestamp.
#[derive(Debug)]
pub(crate) struct Placed(Timestamp);

impl Placed {
    /// The place of the update with this `prev` that was given `ts`: whoever has received
    /// that much has it.
    pub(crate) fn new(prev: &Timestamp, ts: &Timestamp) -> Self {
        // Only the record's own entry exceeds prev. A retry may have seen it already.
        let own: Timestamp = ts.beyond(prev).map(|(origin, _, n)| (origin, n)).collect();
        Self(if own.is_empty() { ts.clone() } else { own })
    }

    /// Waits until so many servers have the update, this one included, which has it on
    /// its disk; for as long as until the deadline. They are those that have it then.
    pub(crate) async fn copied(
        &self,
        copy: &Copy,
        copies: usize,
        deadline: Instant,
    ) -> BTreeSet<u32> {
        let mut grown = copy.grown();
        loop {
            grown.mark_unchanged();
            let servers = copy.look(|replica| self.servers(replica)).what;
            if servers.len() >= copies || Instant::now() >= deadline {
                return servers;
            }
            // Either way there is somebody to count again: reports mark it too.
            let _ = timeout_at(deadline, grown.changed()).await;
        }
    }

    fn servers(&self, replica: &Replica<Ratings>) -> BTreeSet<u32> {
        let reported = others(replica).filter(|&other| {
            let reported = replica.reported(other);
            reported.is_some_and(|reported| self.0 <= *reported)
        });
        let servers = reported.map(|other| other.server);
        servers.chain([replica.id().server]).collect()
    }
}

/// The records that no other server has reported to have, the oldest in the log of each
/// origin first. The total counts those too that are in no log any more: those of a
/// server that knows of no other, and those that were over a budget.
pub(crate) fn at_risk(replica: &Replica<Ratings>, limit: u32) -> v1::LoggedRecords {
    let mut elsewhere = Timestamp::new();
    for reported in others(replica).filter_map(|other| replica.reported(other)) {
        elsewhere.merge(reported);
    }
    let records = replica.log().filter(|entry| {
        let record = &entry.record;
        record.number() > elsewhere.count(record.origin())
    });
    // What is folded away everybody has.
    let alone = replica.replica_ts().beyond(&elsewhere);
    let alone = alone.filter(|&(.., counts)| counts != Timestamp::ALL);
    v1::LoggedRecords {
        records: inspect::records(records, limit),
        total: alone.map(|(_, has, counts)| counts - has).sum(),
    }
}

/// Everybody else whose reports count; a later life of this server is no other disk.
fn others(replica: &Replica<Ratings>) -> impl Iterator<Item = ReplicaId> + '_ {
    let own = replica.id().server;
    replica.others().filter(move |other| other.server != own)
}

#[cfg(test)]
mod tests {
    use backfence_gossip::{SessionId, Time, Update, UpdateId};
    use backfence_ratings::{MovieId, Operation, UserId};

    use super::*;
    use crate::fixture::{replica, report};

    const OWN: ReplicaId = ReplicaId::new(1, 10);
    const OTHER: ReplicaId = ReplicaId::new(2, 10);
    const THIRD: ReplicaId = ReplicaId::new(3, 10);
    const ANEW: ReplicaId = ReplicaId::new(3, 20);

    fn update(replica: &mut Replica<Ratings>, sequence: u64, prev: Timestamp) -> Placed {
        let update = Update {
            id: UpdateId::new(SessionId(7), sequence),
            prev: prev.clone(),
            time: Time(sequence),
            operation: Operation::Delete {
                user: UserId(1),
                movie: MovieId(1),
            },
        };
        let accepted = replica.update(update, Time(1_000)).expect("it is taken");
        Placed::new(&prev, &accepted.ts)
    }

    #[test]
    fn who_has_reported_an_update_has_it() {
        let mut replica = replica(OWN, [OTHER, THIRD]);
        update(&mut replica, 1, Timestamp::new());
        // It depends on what nobody else has: that is no matter of where it is.
        let prev: Timestamp = [(OWN, 1), (ReplicaId::new(9, 9), 4)].into_iter().collect();
        let placed = update(&mut replica, 2, prev.clone());
        let servers = |replica: &_, placed: &Placed| Vec::from_iter(placed.servers(replica));
        assert_eq!(servers(&replica, &placed), [1]);
        report(&mut replica, OTHER, &[(OWN, 1)]);
        assert_eq!(servers(&replica, &placed), [1]);
        report(&mut replica, OTHER, &[(OWN, 2)]);
        report(&mut replica, THIRD, &[(OWN, 2)]);
        assert_eq!(servers(&replica, &placed), [1, 2, 3]);
        let retried = update(&mut replica, 2, prev);
        assert_eq!(servers(&replica, &retried), [1, 2, 3]);
        // What a life has reported that is over is not what its server has now.
        replica.meet([ANEW]);
        assert_eq!(servers(&replica, &placed), [1, 2]);
    }

    #[test]
    fn what_nobody_has_reported_is_at_risk() {
        let mut replica = replica(OWN, [OTHER, THIRD]);
        let found = |replica: &_, limit| {
            let v1::LoggedRecords { records, total } = at_risk(replica, limit);
            (Vec::from_iter(records.iter().map(|r| r.number)), total)
        };
        assert_eq!(found(&replica, 9), (vec![], 0));
        for sequence in 1..=3 {
            update(&mut replica, sequence, Timestamp::new());
        }
        assert_eq!(found(&replica, 9), (vec![1, 2, 3], 3));
        assert_eq!(found(&replica, 1), (vec![1], 3));
        report(&mut replica, THIRD, &[(OWN, 2)]);
        report(&mut replica, OTHER, &[(OWN, 1)]);
        assert_eq!(found(&replica, 9), (vec![3], 1));
        replica.meet([ANEW]);
        assert_eq!(found(&replica, 9), (vec![2, 3], 2));
    }
}
