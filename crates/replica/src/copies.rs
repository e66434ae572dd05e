//! Who has an update.

use std::{collections::BTreeSet, time::Duration};

use backfence_gossip::{Replica, ReplicaId, Timestamp};
use backfence_ratings::Ratings;
use backfence_wire::v1;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{copy::Copy, inspect, serve::leave_it};

/// A server counts as one that has an update while it has answered so short a time ago:
/// one that was halted since may never come back.
const RECENT: Duration = Duration::from_secs(1);

/// More servers are to have an update than there are.
#[derive(Debug, thiserror::Error)]
#[error(
    "copies: {copies} servers are to have the update, and the cluster has {}; ask for no more, or \
     start others", .servers.len()
)]
pub(crate) struct TooMany {
    copies: usize,
    servers: BTreeSet<u32>,
}

/// An update that has been given a timestamp.
#[derive(Debug)]
pub(crate) struct Placed(Timestamp);

/// Who has an update at one moment.
#[derive(PartialEq, Eq, Debug)]
struct Copies {
    /// By number, this server, and those that have said so and have answered lately.
    servers: BTreeSet<u32>,
    /// Those that have said so, and have not answered lately.
    silent: Vec<ReplicaId>,
}

impl Placed {
    /// The place of the update with this `prev` that was given `ts`: whoever has received
    /// that much has it.
    pub(crate) fn new(prev: &Timestamp, ts: &Timestamp) -> Self {
        // Only the record's own entry exceeds prev. A retry may have seen it already.
        let own: Timestamp = ts.beyond(prev).map(|(origin, _, n)| (origin, n)).collect();
        Self(if own.is_empty() { ts.clone() } else { own })
    }

    /// Waits until so many servers have the update, this one included, which has it on
    /// its disk; for as long as until the deadline. They are those that have it then: each
    /// has said so, and has answered a call of the last second. One that has said so before
    /// is asked again.
    pub(crate) async fn copied(
        &self,
        copy: &Copy,
        copies: usize,
        deadline: Instant,
    ) -> BTreeSet<u32> {
        let mut grown = copy.grown();
        let begun = Instant::now();
        loop {
            grown.mark_unchanged();
            let now = Instant::now();
            let silence = |peer| Some(now.saturating_duration_since(copy.answered(peer)?));
            let Copies { servers, silent } =
                copy.look(|replica| self.copies(replica, silence)).what;
            if servers.len() >= copies || now >= deadline {
                return servers;
            }
            copy.ask(&silent);
            // Either way there is somebody to count again: reports mark it too.
            let _ = timeout_at(deadline, grown.changed()).await;
            let pause = leave_it(begun.elapsed());
            sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// `silence` is how long ago a peer was sent the last call that it has answered.
    fn copies(
        &self,
        replica: &Replica<Ratings>,
        silence: impl Fn(ReplicaId) -> Option<Duration>,
    ) -> Copies {
        let has_it = |other: &ReplicaId| {
            let reported = replica.reported(*other);
            reported.is_some_and(|reported| self.0 <= *reported)
        };
        let is_recent =
            |other: &ReplicaId| silence(*other).is_some_and(|silence| silence <= RECENT);
        let (recent, silent): (Vec<_>, _) = others(replica).filter(has_it).partition(is_recent);
        let servers = recent.iter().map(|other| other.server);
        Copies {
            servers: servers.chain([replica.id().server]).collect(),
            silent,
        }
    }
}

/// Whether so many servers can ever have an update.
///
/// # Errors
///
/// [`TooMany`], if there are not so many.
pub(crate) fn refuse_too_many(replica: &Replica<Ratings>, copies: u32) -> Result<(), TooMany> {
    let servers = others(replica).map(|other| other.server);
    let servers: BTreeSet<_> = servers.chain([replica.id().server]).collect();
    let copies = usize::try_from(copies).unwrap_or(usize::MAX);
    if copies > servers.len() {
        return Err(TooMany { copies, servers });
    }
    Ok(())
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
        let servers = |replica: &_, placed: &Placed| {
            let copies = placed.copies(replica, |_| Some(RECENT));
            assert_eq!(copies.silent, []);
            Vec::from_iter(copies.servers)
        };
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

    /// One that has had it and is halted may never come back.
    #[test]
    fn who_has_not_answered_lately_is_asked_and_does_not_count() {
        let mut replica = replica(OWN, [OTHER, THIRD]);
        let placed = update(&mut replica, 1, Timestamp::new());
        report(&mut replica, OTHER, &[(OWN, 1)]);
        let check = |silence: Option<Duration>, servers: &[u32], silent: &[ReplicaId]| {
            let copies = placed.copies(&replica, |peer| silence.filter(|_| peer == OTHER));
            assert_eq!(Vec::from_iter(copies.servers), servers, "{silence:?}");
            assert_eq!(copies.silent, silent, "{silence:?}");
        };
        let later = RECENT + Duration::from_millis(1);
        check(Some(Duration::ZERO), &[1, 2], &[]);
        check(Some(RECENT), &[1, 2], &[]);
        check(Some(later), &[1], &[OTHER]);
        check(None, &[1], &[OTHER]);
    }

    #[test]
    fn no_more_copies_are_asked_for_than_there_are_servers() {
        let mut replica = replica(OWN, [OTHER, THIRD]);
        let is_refused = |replica: &_, copies| refuse_too_many(replica, copies).is_err();
        assert!(!is_refused(&replica, 3));
        let refused = refuse_too_many(&replica, 4)
            .expect_err("there are 3")
            .to_string();
        assert!(refused.starts_with("copies: 4 servers"), "{refused}");
        assert!(is_refused(&replica, u32::MAX));
        // Another life is no other server, and one that is retired is none.
        replica.meet([ANEW]);
        assert!(!is_refused(&replica, 3) && is_refused(&replica, 4));
        replica.retire(3);
        assert!(!is_refused(&replica, 2) && is_refused(&replica, 3));
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
