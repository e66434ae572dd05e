//! A replica for the tests of what is said of one.

use std::sync::Arc;

use backfence_gossip::{Limits, Message, Offer, Replica, ReplicaId, Standing, Time};
use backfence_ratings::{Base, Ratings};

/// A founder over a small base, which has heard of these others.
pub(crate) fn replica(
    own: ReplicaId,
    others: impl IntoIterator<Item = ReplicaId>,
) -> Replica<Ratings> {
    let movies = b"movieId,title,genres\n1,Toy Story (1995),Comedy\n";
    let ratings = b"userId,movieId,rating,timestamp\n";
    let base = Base::read(movies.as_slice(), ratings.as_slice(), false);
    let value = Ratings::new(Arc::new(base.expect("it is well-formed").base));
    let mut replica = Replica::new(own, value, Limits::default());
    replica.found();
    replica.meet(others);
    replica
}

/// Has another report what it has received.
pub(crate) fn report(replica: &mut Replica<Ratings>, from: ReplicaId, has: &[(ReplicaId, u64)]) {
    report_all(replica, from, has, &[]);
}

/// The same, and of whom it has heard.
pub(crate) fn report_all(
    replica: &mut Replica<Ratings>,
    from: ReplicaId,
    has: &[(ReplicaId, u64)],
    members: &[ReplicaId],
) {
    let report = Offer {
        from,
        replica_ts: has.iter().copied().collect(),
        members: members.to_vec(),
        ended: Vec::new(),
        records: Vec::new(),
        more: false,
        standing: Standing::Joined,
        horizon: Time::default(),
        settled: Time::default(),
    };
    let _ = replica
        .receive(Message::Offer(report), Time::default())
        .expect("a report");
}
