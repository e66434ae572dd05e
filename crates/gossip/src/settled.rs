//! What is late, what is settled, and what that lets go.
//!
//! Ladin et al. 1992, section 3.3, forget an executed cid after a bound on the delay of
//! messages. Under partitions there is no such bound. Here a replica forgets what no
//! replica can accept any more, and knows that from what the others report.

use alloc::collections::BTreeSet;

use crate::{Replica, ReplicaId, Time, Timestamp, Value, members::Members};

/// Steps in which the horizon goes through [`Limits::late`](crate::Limits::late): it is
/// to be stored at each, so there are few.
const STEPS: u32 = 16;

/// What a member last said of its horizon.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Horizon {
    /// All that it had accepted when it said this has been received here.
    confirmed: Time,
    /// That is still to be seen of this.
    claimed: Option<(Timestamp, Time)>,
    pub(crate) latest: Time,
}

impl Horizon {
    /// Takes in a report. While an earlier one is not confirmed, a later one is left
    /// out: its turn comes with a report after that.
    pub(crate) fn report(&mut self, replica_ts: &Timestamp, horizon: Time) {
        self.latest = self.latest.max(horizon);
        if horizon > self.confirmed && self.claimed.is_none() {
            self.claimed = Some((replica_ts.clone(), horizon));
        }
    }

    fn confirm(&mut self, received: &Timestamp) -> Time {
        if let Some((_, horizon)) = self.claimed.take_if(|(ts, _)| *ts <= *received) {
            self.confirmed = horizon;
        }
        self.confirmed
    }
}

impl Members {
    /// No other replica accepts an update dated before this, and all such that it has
    /// accepted have been received. A retired one holds it back until that counts.
    fn settled(&mut self, own: ReplicaId, received: &Timestamp) -> Time {
        let others: BTreeSet<_> = self
            .iter()
            .filter(|&member| member != own && !member.is_end() && !self.has_ended(member))
            .collect();
        let confirm = |member| match self.horizon_of(member) {
            Some(horizon) => horizon.confirm(received),
            None => Time(0),
        };
        others
            .into_iter()
            .map(confirm)
            .min()
            .unwrap_or(Time(u64::MAX))
    }
}

impl<V: Value> Replica<V> {
    /// Moves the horizon to [`Limits::late`](crate::Limits::late) before `now`, physical
    /// time. To be called before reports. Whether it moved: then it is to be stored
    /// before the next report, like new members.
    pub fn advance(&mut self, now: Time) -> bool {
        let late = self.limits.late;
        let passed = now.before(late);
        let moves = passed > self.horizon.after(late / STEPS);
        if moves {
            self.horizon = passed;
            self.let_go();
        }
        moves
    }

    /// Updates dated before this are refused, for ever: they are too late.
    pub const fn horizon(&self) -> Time {
        self.horizon
    }

    /// No update dated before this can come any more, and all that came are applied.
    pub const fn settled(&self) -> Time {
        self.settled
    }

    /// How many updates are remembered, in case they are sent again.
    pub fn executed_len(&self) -> usize {
        self.executed.len()
    }

    /// Forgets what only served to recognise, or to put in order, updates that can no
    /// longer come.
    pub(crate) fn let_go(&mut self) {
        if !self.has_joined() {
            return;
        }
        let reported = self.members.settled(self.id, &self.replica_ts);
        let settled = reported.min(self.horizon).min(self.first_waiting());
        if settled <= self.settled {
            return;
        }
        self.settled = settled;
        let updates = self.log.iter().map(|entry| entry.record.update());
        let old = updates.filter(|update| update.time < settled);
        let in_log: BTreeSet<_> = old.map(|update| update.id).collect();
        self.executed
            .retain(|id, time| time >= settled || in_log.contains(&id));
        self.value.settle(settled);
    }

    /// The earliest time of a record that waits.
    fn first_waiting(&self) -> Time {
        let waiting = self
            .waiting
            .places()
            .filter_map(|place| self.log.entry(place));
        let times = waiting.map(|entry| entry.record.update().time);
        times.min().unwrap_or(Time(u64::MAX))
    }
}
