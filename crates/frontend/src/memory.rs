//! What a front end has learnt from replies.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use backfence_gossip::{Freshness, HybridClock, SessionId, Time, Timestamp, UpdateId};
use tokio::time::Instant;

use crate::lock;

/// Freshness to hope for, the replicas' clock, and ids for clients that make none.
///
/// Fed by replies only: what a client claims to have seen stays in its session.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Each lock is held for one change, never across an await.
    freshness: Mutex<Freshness>,
    clock: Mutex<Option<HybridClock>>,
    stopwatch: Instant,
    /// A session of the front end's own, so that its ids never meet those that a
    /// client makes in the client's session.
    session: SessionId,
    last_sequence: AtomicU64,
}

impl Memory {
    /// `session` must be random: it names updates for ever.
    pub(crate) fn new(session: SessionId) -> Self {
        Self {
            freshness: Mutex::default(),
            clock: Mutex::default(),
            stopwatch: Instant::now(),
            session,
            last_sequence: AtomicU64::new(0),
        }
    }

    /// What a query may hope for.
    pub(crate) fn hoped(&self) -> Timestamp {
        lock(&self.freshness).hoped().clone()
    }

    /// Takes in the answer to a query that hoped for `hoped`.
    pub(crate) fn answered(&self, hoped: &Timestamp, value_ts: &Timestamp) {
        lock(&self.freshness).answered(hoped, value_ts);
    }

    /// Takes in the timestamp that an update with this `prev` was given: only what
    /// the replica added, for `prev` is the client's word.
    pub(crate) fn updated(&self, prev: &Timestamp, ts: &Timestamp) {
        let added = ts.beyond(prev).map(|(replica, _, count)| (replica, count));
        lock(&self.freshness).observe(&added.collect());
    }

    /// Takes in the clock of any reply, and what its server's clock shows; 0 in one that does
    /// not tell them.
    pub(crate) fn heard(&self, clock: Time, now: Time) {
        // One of before 0.2 does not tell them apart.
        let now = if now == Time(0) { clock } else { now };
        if now == Time(0) {
            return;
        }
        let elapsed = self.stopwatch.elapsed();
        lock(&self.clock)
            .get_or_insert_default()
            .observe(clock, now, elapsed);
    }

    /// What the servers' clocks show; 0 as long as none has told it.
    pub(crate) fn now(&self) -> Time {
        let clock = *lock(&self.clock);
        clock.map_or(Time(0), |clock| clock.now(self.stopwatch.elapsed()))
    }

    /// An id and a time for an update of a session that has seen nothing later than `seen`.
    /// `None` as long as no replica has told the time. The same time may be given twice: then
    /// the ids decide, in the order in which they are made.
    pub(crate) fn sign(&self, seen: Time) -> Option<(UpdateId, Time)> {
        let mut clock = (*lock(&self.clock))?;
        let sequence = 1 + self.last_sequence.fetch_add(1, Ordering::Relaxed);
        let time = clock.tick(self.stopwatch.elapsed());
        let time = time.max(Time(seen.0.saturating_add(1)));
        Some((UpdateId::new(self.session, sequence), time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ids_are_new_and_times_exceed_all_that_was_seen() {
        let memory = Memory::new(SessionId(7));
        memory.heard(Time(0), Time(0));
        assert_eq!(memory.sign(Time(5)), None);
        memory.heard(Time(7), Time(1_000_000));
        let (first, at) = memory.sign(Time(5)).unwrap();
        assert_eq!(first, UpdateId::new(SessionId(7), 1));
        assert!(at >= Time(1_000_000));
        let far = Time(u64::MAX / 2);
        let (second, at) = memory.sign(far).unwrap();
        assert_eq!(second.sequence, 2);
        assert!(at > far);
        // One session's clock moves nobody else's.
        let (_, at) = memory.sign(Time(5)).unwrap();
        assert!(at < far);
    }
}
