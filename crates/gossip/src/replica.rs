//! A replica: updates and queries.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    LogEntry, Record, Refusal, ReplicaId, Time, Timestamp, Update, Value,
    believe::refuse_overflow,
    clocks::Clocks,
    executed::{ExecutedTable, Found},
    log::Log,
    members::Members,
    waiting::Waiting,
};

/// What a replica allows itself. Deployments with the same limits work best
/// together, but nothing breaks where they differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// How far ahead of this replica's clock an update may be dated of a session that has not
    /// seen a later one, and how far apart clocks may be. Wider than
    /// the clocks of the replicas differ, and than a retry may fail over; narrower
    /// than a user would put up with having a later write lose.
    pub max_skew: Duration,
    /// How long ago an update may be dated. Longer than anybody goes on retrying one, the
    /// longest partition included that a retry outlives; shorter than one would remember
    /// every update's id for.
    pub late: Duration,
    /// Most bytes of records in one message. At least one record is sent, so this
    /// must leave room for the largest.
    pub message_bytes: usize,
    /// Most bytes of records in the log. Over it, records that are applied here go
    /// although a peer may lack them (it then gets a state transfer), and updates
    /// that would have to wait are refused.
    pub log_bytes: usize,
    /// The newest version of records that this replica understands, from 1 on. No update is
    /// taken that needs a newer one at any replica that remains.
    pub version: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_skew: Duration::from_secs(5),
            late: Duration::from_secs(600),
            message_bytes: 1 << 20,
            log_bytes: 256 << 20,
            version: 1,
        }
    }
}

/// A replica manager of the paper, as a state machine: it is called with what
/// happened, and what it returns is all that follows from it.
///
/// It has no clock, no randomness and does no I/O. Calls are cheap and never wait;
/// a query that must wait is told so by [`query`](Self::query) and asked again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Replica<V: Value> {
    pub(crate) id: ReplicaId,
    pub(crate) limits: Limits,
    /// The application's state.
    pub(crate) value: V,
    /// The merge of the timestamps of all updates that the value reflects.
    pub(crate) value_ts: Timestamp,
    /// Per origin `o`: every record numbered `1..=replica_ts[o]` has been received.
    pub(crate) replica_ts: Timestamp,
    pub(crate) log: Log<V::Operation>,
    pub(crate) waiting: Waiting,
    pub(crate) executed: ExecutedTable,
    pub(crate) members: Members,
    /// Of the last lives that are folded away: how many records there were.
    pub(crate) finals: Timestamp,
    /// The others have let go of what is here: it is to be made this replica's own.
    pub(crate) owes: bool,
    /// The greatest time of a record received.
    pub(crate) greatest: Time,
    /// What is dated before is too late.
    pub(crate) horizon: Time,
    /// All that is dated before, and will ever be anywhere, is applied here.
    pub(crate) settled: Time,
    /// The greatest version that a record received needs.
    pub(crate) needs: u32,
    /// What was received when the last join of two pasts was, each with more than the other.
    pub(crate) joined: Timestamp,
    pub(crate) clocks: Clocks,
}

/// The reply to an update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// For the session to merge into its `prev`.
    pub ts: Timestamp,
    /// For the session's clock.
    pub clock: Time,
    /// The number of the new record of this replica, or `None` for a retry. The
    /// reply may leave once [`record`](Replica::record) of it is on stable storage.
    pub number: Option<u64>,
    /// For [`Session::lose`](crate::Session::lose): the replicas of which the
    /// update depends on what is lost for good. Nearly always empty.
    pub lost: Vec<ReplicaId>,
}

/// A value that covers what a session has seen.
#[derive(Debug)]
pub struct View<'a, V> {
    /// To be asked at once: it is current only while the replica is borrowed.
    pub value: &'a V,
    /// For the session to merge into its `prev`.
    pub ts: &'a Timestamp,
    /// For the session's clock.
    pub clock: Time,
    /// For [`Session::lose`](crate::Session::lose): the replicas of which the
    /// session has seen what is lost for good. Nearly always empty.
    pub lost: Vec<ReplicaId>,
}

impl<V: Value> Replica<V> {
    /// A replica that has received nothing, alone until it hears of others.
    ///
    /// `value` is what every replica starts from. The caller sees to it that they
    /// agree, and that `id` was never used before.
    pub fn new(id: ReplicaId, value: V, limits: Limits) -> Self {
        Self {
            id,
            limits,
            value,
            value_ts: Timestamp::new(),
            replica_ts: Timestamp::new(),
            log: Log::new(),
            waiting: Waiting::default(),
            executed: ExecutedTable::default(),
            members: Members::new(id),
            finals: Timestamp::new(),
            owes: false,
            greatest: Time::default(),
            horizon: Time::default(),
            settled: Time::default(),
            needs: 1,
            joined: Timestamp::new(),
            clocks: Clocks::default(),
        }
    }

    /// Takes an update, whatever this replica lacks of what the update depends on:
    /// then it waits in the log, but the reply does not.
    ///
    /// `now` is physical time. A retry is answered with the timestamp of the first
    /// time. One that comes after eight later updates of its session is answered with
    /// a timestamp that covers it. What cannot be compared is refused, never acknowledged.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; the state is unchanged.
    ///
    /// Ladin et al. 1992, section 3.2, "Processing an update message".
    pub fn update(&mut self, update: Update<V::Operation>, now: Time) -> Result<Accepted, Refusal> {
        self.update_after(update, Time::default(), now)
    }

    /// The same of a session that is known to have seen updates that are dated up to `seen`:
    /// its next has to be dated later, also where this replica has not received those yet.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; the state is unchanged.
    pub fn update_after(
        &mut self,
        update: Update<V::Operation>,
        seen: Time,
        now: Time,
    ) -> Result<Accepted, Refusal> {
        if let Some(accepted) = self.retry_after(&update, seen, now)? {
            return Ok(accepted);
        }
        let lost = self.lost(&update.prev);
        let number = self.replica_ts.count(self.id) + 1;
        let record = Record::new(self.id, number, update).expect("prev names what was issued");
        let ts = record.ts();
        self.append(record);
        self.trim();
        Ok(Accepted {
            ts,
            clock: self.clock(),
            number: Some(number),
            lost,
        })
    }

    /// The answer to an update that is known here; `None` for one that would be taken. One
    /// that is dated no later than what its session has seen is a retry, or is not to be
    /// taken: its session would never see it.
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub fn retry(
        &self,
        update: &Update<V::Operation>,
        now: Time,
    ) -> Result<Option<Accepted>, Refusal> {
        // What it has seen is dated as late, at least.
        self.retry_after(update, update.time, now)
    }

    fn retry_after(
        &self,
        update: &Update<V::Operation>,
        seen: Time,
        now: Time,
    ) -> Result<Option<Accepted>, Refusal> {
        self.refuse_suspect(now)?;
        let Some(ts) = self.first_reply(update)? else {
            self.refuse(update, seen, now)?;
            return Ok(None);
        };
        Ok(Some(Accepted {
            ts,
            clock: self.clock(),
            number: None,
            lost: self.lost(&update.prev),
        }))
    }

    /// The value, if it covers `prev`. `None` when this replica lacks something:
    /// then pull it from [`sources`](Self::sources), and **ask again** whenever the
    /// value timestamp has grown.
    ///
    /// # Errors
    ///
    /// [`Refusal::ForgedTimestamp`], [`Refusal::Retired`] and [`Refusal::Suspect`]: no waiting
    /// for gossip will help.
    ///
    /// Ladin et al. 1992, section 3.2, "Processing a query message".
    pub fn query(&self, prev: &Timestamp, now: Time) -> Result<Option<View<'_, V>>, Refusal> {
        self.refuse_retired()?;
        self.refuse_suspect(now)?;
        self.refuse_forged(prev)?;
        Ok(self.stable(prev).then(|| View {
            value: &self.value,
            ts: &self.value_ts,
            clock: self.clock(),
            lost: self.lost(prev),
        }))
    }

    /// The first record of each origin that `prev` asks for and the value lacks.
    pub fn missing(&self, prev: &Timestamp) -> Timestamp {
        self.unmet(prev)
            .map(|(origin, has, _)| (origin, has + 1))
            .collect()
    }

    /// The peers that reported to have all that `prev` asks for; where none did,
    /// every peer, since reports may be old.
    pub fn sources(&self, prev: &Timestamp) -> Vec<ReplicaId> {
        let covers = |&peer: &ReplicaId| self.reported(peer).is_some_and(|has| prev <= has);
        let sources: Vec<_> = self.others().filter(covers).collect();
        if sources.is_empty() {
            self.others().collect()
        } else {
            sources
        }
    }

    /// This replica's id.
    pub const fn id(&self) -> ReplicaId {
        self.id
    }

    /// The value, whatever it covers: for inspection, not for sessions.
    pub const fn value(&self) -> &V {
        &self.value
    }

    /// The merge of the timestamps of all updates that the value reflects.
    pub const fn value_ts(&self) -> &Timestamp {
        &self.value_ts
    }

    /// How many records of each origin have been received.
    pub const fn replica_ts(&self) -> &Timestamp {
        &self.replica_ts
    }

    /// A record that is still in the log.
    pub fn record(&self, origin: ReplicaId, number: u64) -> Option<&Record<V::Operation>> {
        Some(&self.log.entry((origin, number))?.record)
    }

    /// The log, by origin and number.
    pub fn log(&self) -> impl Iterator<Item = &LogEntry<V::Operation>> {
        self.log.iter()
    }

    /// How many records are in the log.
    pub const fn log_len(&self) -> usize {
        self.log.len()
    }

    /// The records that wait for what they depend on, as (origin, number).
    pub fn waiting(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        self.waiting.places()
    }

    /// How many of them wait for what they depend on.
    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// A reply's clock: every time received here, and what an update must not be dated
    /// before. Not physical time, which may be wrong: that would never be forgotten.
    pub(crate) fn clock(&self) -> Time {
        self.greatest.max(self.horizon)
    }

    /// The reply first given to an update that is executed or waits; `None` for a new one.
    ///
    /// What is settled here is dated before the horizon, so of all that could still be taken
    /// the digest is known.
    fn first_reply(&self, update: &Update<V::Operation>) -> Result<Option<Timestamp>, Refusal> {
        let Update { id, time, .. } = *update;
        let found = self.executed.find(id, time, || V::digest(update));
        if let Some(Found::Executed(ts)) = found {
            return Ok(Some(ts.clone()));
        }
        let is_waiting = self.waiting.of(id).next().is_some();
        if is_waiting && let Some(entry) = self.waiting_as(update) {
            return Ok(Some(entry.record.ts()));
        }
        // Dated before this it may have been executed itself.
        let since = match found {
            Some(Found::Other) => self.settled,
            Some(Found::Uncompared) => Time(u64::MAX),
            Some(Found::Forgotten) => self.horizon,
            _ if is_waiting => self.horizon,
            Some(Found::Scattered) => return Err(Refusal::TooManyGaps { id }),
            _ => return Ok(None),
        };
        if time < since {
            let by = self.horizon.since(time);
            return Err(Refusal::TooLate { by });
        }
        Err(Refusal::UpdateIdReused { id })
    }

    /// Whether an update is executed, as far as can be told, or waits in another record.
    pub(crate) fn knows(&self, update: &Update<V::Operation>) -> bool {
        let digest = || V::digest(update);
        let is_executed = self.executed.contains(update.id, update.time, digest);
        is_executed || self.waiting_as(update).is_some()
    }

    /// A record of the same update that waits.
    fn waiting_as(&self, update: &Update<V::Operation>) -> Option<&LogEntry<V::Operation>> {
        let mut waiting = self.waiting.of(update.id).peekable();
        let digest = waiting.peek().map(|_| V::digest(update))?;
        let mut entries = waiting.filter_map(|place| self.log.entry(place));
        entries.find(|entry| V::digest(entry.record.update()) == digest)
    }

    fn refuse(&self, update: &Update<V::Operation>, seen: Time, now: Time) -> Result<(), Refusal> {
        self.refuse_retired()?;
        if !self.has_joined() {
            return Err(Refusal::NotJoined { replica: self.id });
        }
        self.refuse_too_new(&update.operation)?;
        let latest = self.latest(seen, now);
        if update.time > latest {
            let retry_after = update.time.since(now.after(self.limits.max_skew));
            return Err(Refusal::ClockAhead { retry_after });
        }
        if update.time < self.horizon {
            let by = self.horizon.since(update.time);
            return Err(Refusal::TooLate { by });
        }
        self.refuse_forged(&update.prev)?;
        if self.log.bytes() > self.limits.log_bytes && !self.stable(&update.prev) {
            let waiting = self.waiting.len();
            return Err(Refusal::LogFull { waiting });
        }
        Ok(())
    }

    fn refuse_retired(&self) -> Result<(), Refusal> {
        if self.is_retired() {
            return Err(Refusal::Retired { replica: self.id });
        }
        Ok(())
    }

    fn refuse_suspect(&self, now: Time) -> Result<(), Refusal> {
        match self.suspect(now) {
            Some(skew) => Err(Refusal::Suspect { skew }),
            None => Ok(()),
        }
    }

    fn refuse_forged(&self, prev: &Timestamp) -> Result<(), Refusal> {
        let (replica, claimed) = (self.id, prev.count(self.id));
        let issued = self.replica_ts.count(self.id);
        if claimed == Timestamp::ALL {
            // Others have seen its end, and let go of it.
            return Err(Refusal::Retired { replica: self.id });
        }
        if claimed > issued || refuse_overflow(prev).is_err() {
            return Err(Refusal::ForgedTimestamp {
                replica,
                claimed,
                issued,
            });
        }
        Ok(())
    }
}
