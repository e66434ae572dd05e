//! What comes too late, and what can be forgotten since nothing can come so late.
//!
//! An update is dated once, and keeps its date on every retry. Each replica has a
//! **horizon**, a while behind its clock, that only grows; an update that is dated before
//! it is too late there, for ever. It says so in every report. When every replica that
//! remains has reported a horizon, and all that it reported with it is applied here, then
//! nothing dated before the least of them can come to be applied here any more: the past
//! up to there is **settled**. An update that was executed in it needs not be known by
//! its id, since a retry is too late everywhere.
//!
//! Each reports also what is settled for it. What is so at everyone is reflected in every
//! value, and need not be told from what is older: so a deletion can be forgotten.
//!
//! The original ([L] 3.2) forgets a cid after a bound on the delay of messages, which does
//! not hold where a partition does not end.

use alloc::vec::Vec;

use crate::{
    Replica, SessionId, Time, Timestamp, Update, UpdateId, Value, clocks::MAX_AHEAD,
    executed::Forgotten,
};

/// The horizon moves in steps of such a part of [`Limits::late`](crate::Limits::late): so
/// replicas with like clocks come to the same, and what is settled is reckoned rarely.
const STEPS: u32 = 8;

/// What came of the passing of time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Advanced {
    /// More is settled. A checkpoint is to be on stable storage before the next report, so
    /// that a later life starts with a value that reflects what this one has settled. For
    /// the horizon alone that is not needed: who starts anew takes that of those it joins.
    pub settled: bool,
    /// The sessions of which nothing is [executed](Replica::executed) any more. They are to
    /// go from the store with the next checkpoint, not before.
    pub forgotten: Vec<SessionId>,
    /// The blocks of [digests](crate::Executed::blocks), by session and number, that are gone
    /// like that: of these sessions, and of others.
    pub blocks: Vec<(SessionId, u64)>,
}

impl<V: Value> Replica<V> {
    /// Physical time passes: moves the horizon, reckons what is settled, and forgets a
    /// part of what can be forgotten. To be called every second or so.
    ///
    /// The horizon stands while this replica's clock is suspect, while it hears of nobody's,
    /// and until it has joined. What it took from a clock that was wrong by more than a day is
    /// given up here: nobody else can have settled so much.
    pub fn advance(&mut self, now: Time) -> Advanced {
        if self.goes_on(now) {
            let late = self.limits.late;
            let step = Time::default().after(late / STEPS).0.max(1);
            let horizon = now.before(late);
            let most = now.after(MAX_AHEAD);
            self.settled = self.settled.min(most);
            let horizon = self.horizon.max(Time(horizon.0 - horizon.0 % step));
            self.horizon = horizon.min(most);
        }
        let before = self.settled;
        self.settled = before.max(self.settles().unwrap_or_default());
        let Forgotten { sessions, blocks } = self.executed.forget(self.settled);
        Advanced {
            settled: self.settled > before,
            forgotten: sessions,
            blocks,
        }
    }

    /// What is dated before is refused here, unless it is known already.
    pub const fn horizon(&self) -> Time {
        self.horizon
    }

    /// All that is dated before, and is or will be anywhere, is applied here.
    pub const fn settled(&self) -> Time {
        self.settled
    }

    /// All that is dated before, and is or will be anywhere, is applied at every replica
    /// that remains. Nothing is while another lacks something of a past that was joined
    /// here to another: that may be dated as long ago as you like.
    pub fn settled_everywhere(&self) -> Time {
        let reported = |other| {
            let report = self.members.report_of(other)?;
            (self.joined <= report.replica_ts).then_some(report.settled)
        };
        let mut others = self.others().map(reported);
        let least = others.try_fold(self.settled, |least, other| Some(least.min(other?)));
        least.unwrap_or_default()
    }

    /// Lets the application let go of what it keeps only to tell whether an update is older
    /// than another, such as the mark of a deletion: where both are dated before what is
    /// [settled everywhere](Self::settled_everywhere).
    ///
    /// What queries show must not change by it.
    pub fn release<T>(&mut self, release: impl FnOnce(&mut V, Time) -> T) -> T {
        let before = self.settled_everywhere();
        release(&mut self.value, before)
    }

    /// Whether an update is dated before what is settled here, and is not known: it may be
    /// executed and forgotten. A replica that remains has no such record for this one; who
    /// comes back with an old disk may.
    pub(crate) fn may_have_forgotten(&self, update: &Update<V::Operation>) -> bool {
        let digest = || V::digest(update);
        update.time < self.settled && !self.executed.contains(update.id, update.time, digest)
    }

    /// Gives up what waits here, a peer lacks, and is dated before what is settled there: it
    /// may have been executed there by another record, and be forgotten. Gives the updates;
    /// their records stay, without effect. That happens to who comes back with an old disk.
    pub(crate) fn give_up(
        &mut self,
        replica_ts: &Timestamp,
        horizon: Time,
        settled: Time,
    ) -> Vec<UpdateId> {
        if !self.has_joined() {
            // What those have settled by whom it joins is not taken here either.
            self.horizon = self.horizon.max(horizon).max(settled);
        }
        let late = self.waiting_among(|(origin, number), update| {
            update.time < settled && replica_ts.count(origin) < number
        });
        self.abandon(&late);
        late.into_iter().map(|(_, update)| update.id).collect()
    }

    /// What a peer's horizon counts for: no more than it can be by a clock that is right. The
    /// peer may have another [`Limits::late`](crate::Limits::late).
    pub(crate) fn believed(&self, horizon: Time, now: Time) -> Time {
        horizon.min(self.judging(now).after(self.limits.max_skew))
    }

    /// Up to where the past is settled, if that can be told: nothing waits, no life that
    /// is over may still bring something, and all that was reported is here.
    fn settles(&self) -> Option<Time> {
        let is_whole = self.has_joined()
            && self.horizon > self.settled
            && self.waiting.len() == 0
            && self.members.past_is_over();
        let mut horizons = self.others().map(|other| {
            let report = self.members.report_of(other)?;
            let is_here = self.stable(&report.replica_ts);
            is_here.then_some(report.horizon)
        });
        let least = || horizons.try_fold(self.horizon, |least, other| Some(least.min(other?)));
        is_whole.then(least).flatten()
    }
}
