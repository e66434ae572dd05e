//! What a front end keeps: sessions, and how fresh an answer it may hope for.

use alloc::collections::BTreeSet;

use crate::{ReplicaId, SessionId, Time, Timestamp};

/// A session: what a client has seen. It belongs to the client, which carries it
/// from one front end to another.
///
/// Ladin et al. 1992, section 2: the front end merges every reply's timestamp into
/// the label that the next request carries.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Session {
    /// Its name, for ever.
    pub id: SessionId,
    /// Everything that it has seen.
    pub prev: Timestamp,
    /// No time that it has seen is greater.
    pub clock: Time,
    /// The replicas of which it has seen what is lost, as it was told.
    pub lost: BTreeSet<ReplicaId>,
}

impl Session {
    /// A session that has seen nothing.
    pub const fn new(id: SessionId) -> Self {
        Self {
            id,
            prev: Timestamp::new(),
            clock: Time(0),
            lost: BTreeSet::new(),
        }
    }

    /// Takes in a reply. To be done on **every** reply, to queries as well:
    /// otherwise a later query may show an earlier value.
    pub fn observe(&mut self, ts: &Timestamp, clock: Time) {
        self.prev.merge(ts);
        self.clock = self.clock.max(clock);
        self.lost.retain(|&lost| !self.prev.has_folded(lost));
    }

    /// Takes in what a reply says is lost for good. Says whether it is news, so that
    /// the client is told once.
    ///
    /// `prev` keeps its entries: an update that the session made before has them too,
    /// and whatever is made after it must not be stable where it is not.
    pub fn lose(&mut self, lost: &[ReplicaId]) -> bool {
        let known = self.lost.len();
        self.lost.extend(lost);
        self.lost.len() > known
    }
}

/// What the replies to one front end's clients have shown together, which a query
/// may hope to see again.
///
/// A hope and not a condition: a replica that lacks it waits a moment, then answers
/// without. What was hoped for in vain is dropped until a reply brings it again, so
/// that a lost replica costs clients that do not depend on it one such moment.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    seen: Timestamp,
}

impl Freshness {
    /// What to hope for.
    pub const fn hoped(&self) -> &Timestamp {
        &self.seen
    }

    /// Takes in the timestamp of a reply.
    pub fn observe(&mut self, ts: &Timestamp) {
        self.seen.merge(ts);
    }

    /// Takes in the answer to a query that hoped for `hoped`: entries that the
    /// replica did not reach are dropped.
    pub fn answered(&mut self, hoped: &Timestamp, value_ts: &Timestamp) {
        for (replica, _, in_vain) in hoped.beyond(value_ts) {
            if self.seen.count(replica) <= in_vain {
                self.seen.set(replica, value_ts.count(replica));
            }
        }
        self.observe(value_ts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(counts: [u64; 2]) -> Timestamp {
        [ReplicaId::new(1, 1), ReplicaId::new(2, 1)]
            .into_iter()
            .zip(counts)
            .collect()
    }

    #[test]
    fn a_session_never_forgets() {
        let mut session = Session::new(SessionId(1));
        session.observe(&ts([3, 0]), Time(20));
        session.observe(&ts([1, 2]), Time(10));
        assert_eq!((session.prev, session.clock), (ts([3, 2]), Time(20)));
    }

    #[test]
    fn what_is_lost_is_told_once_and_stays_in_prev() {
        let mut session = Session::new(SessionId(1));
        session.observe(&ts([3, 2]), Time(1));
        assert!(session.lose(&[ReplicaId::new(1, 1)]));
        assert!(!session.lose(&[ReplicaId::new(1, 1)]));
        assert!(!session.lose(&[]));
        assert!(session.lose(&[ReplicaId::new(1, 1), ReplicaId::new(2, 1)]));
        assert_eq!(session.prev, ts([3, 2]));
    }

    #[test]
    fn what_was_hoped_for_in_vain_is_dropped_until_it_comes_again() {
        let mut freshness = Freshness::default();
        freshness.observe(&ts([3, 2]));
        let hoped = freshness.hoped().clone();
        freshness.answered(&hoped, &ts([1, 4]));
        assert_eq!(*freshness.hoped(), ts([1, 4]));
        freshness.observe(&ts([3, 0]));
        assert_eq!(*freshness.hoped(), ts([3, 4]));
    }

    #[test]
    fn an_old_disappointment_does_not_drop_what_came_since() {
        let mut freshness = Freshness::default();
        freshness.observe(&ts([3, 0]));
        let hoped = freshness.hoped().clone();
        freshness.observe(&ts([5, 0]));
        freshness.answered(&hoped, &ts([1, 0]));
        assert_eq!(*freshness.hoped(), ts([5, 0]));
    }
}
