//! Letting go of lives that are over.
//!
//! A server that starts anew leaves the entries of its earlier lives in every timestamp.
//! They are folded in two phases, so that nobody folds away what another may still bring:
//!
//! 1. At each replica the retirement of the lives comes to count ([`Ends`]): it has all
//!    of them that anyone who remains has. It reports that, and takes no more of them
//!    from anyone for whom they are not over.
//! 2. Once it counts at every member, and all report to have the same, a
//!    [fold](Timestamp::ALL) takes the place of the entries.
//!
//! Who comes back with a disk that the others have not waited for may have more of those
//! lives than they do, and nobody can tell any more. It joins their state into its own,
//! and makes all that it had an update of its own, of which the record is discarded at
//! once: so each of the others lacks that, and joins its state in return.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    Record, Replica, ReplicaId, State, Timestamp, Update, UpdateId, Value, log::Place,
    members::Members,
};

/// How many lives of a server are remembered apart when they are folded away, so that a
/// session can be told that it has seen what is lost.
const FINALS: usize = 4;

/// By server, a last life: it and all before are meant.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Ends(BTreeMap<u32, u64>);

impl Ends {
    /// Whether `replica` is meant.
    pub(crate) fn cover(&self, replica: ReplicaId) -> bool {
        let last = self.0.get(&replica.server);
        last.is_some_and(|&last| replica.incarnation <= last)
    }

    /// Adds a life and all before. Whether they were not meant before.
    pub(crate) fn add(&mut self, last: ReplicaId) -> bool {
        let new = !self.cover(last);
        if new {
            self.0.insert(last.server, last.incarnation);
        }
        new
    }

    /// Adds several; gives those that were not meant before.
    pub(crate) fn extend(&mut self, ends: impl IntoIterator<Item = ReplicaId>) -> Vec<ReplicaId> {
        ends.into_iter().filter(|&last| self.add(last)).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.0
            .iter()
            .map(|(&server, &last)| ReplicaId::new(server, last))
    }

    pub(crate) fn of(&self, server: u32) -> Option<ReplicaId> {
        let last = self.0.get(&server)?;
        Some(ReplicaId::new(server, *last))
    }
}

impl FromIterator<ReplicaId> for Ends {
    fn from_iter<I: IntoIterator<Item = ReplicaId>>(lives: I) -> Self {
        let mut ends = Self::default();
        ends.extend(lives);
        ends
    }
}

/// What a replica has, and of which lives that is all there is.
pub(crate) struct Past<'a> {
    pub(crate) replica_ts: &'a Timestamp,
    pub(crate) ended: &'a Ends,
    /// What is known of how much there was of lives that are folded away.
    pub(crate) finals: &'a Timestamp,
}

impl Past<'_> {
    /// The lives that are over at `other`, and are not here, of which it has something that
    /// `other` does not have or cannot tell to have.
    pub(crate) fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = ReplicaId> + 'a {
        let lives = self.replica_ts.iter().filter(|&(life, count)| {
            let has = had(other.replica_ts, other.finals, life);
            other.ended.cover(life) && !self.ended.cover(life) && has < count
        });
        let folded = had_less(
            (other.replica_ts, other.finals),
            (self.replica_ts, self.finals),
        );
        lives.map(|(life, _)| life).chain(folded)
    }
}

impl Members {
    /// The lives that every replica of which it is asked reports to be over, if they are
    /// here: the last of each server.
    fn foldable(&self, own: ReplicaId) -> Vec<ReplicaId> {
        let folds = |last: ReplicaId| {
            // Who has folded them has heard it from all.
            let folded = self.reports().filter_map(|report| {
                let mut folds = report.replica_ts.folds();
                folds.find(|fold| fold.server == last.server)
            });
            let everywhere = self.others(own).try_fold(last, |last, other| {
                Some(last.min(self.report_of(other)?.ended.of(last.server)?))
            });
            let is_known = |last: &ReplicaId| self.iter().any(|life| life.is_up_to(*last));
            let everywhere = everywhere.filter(|last| self.has_joined() && is_known(last));
            folded.chain(everywhere).max().map(|fold| fold.min(last))
        };
        let unfolded = self.ended().iter().filter(|last| !self.has_folded(*last));
        unfolded.filter_map(folds).collect()
    }
}

impl<V: Value> Replica<V> {
    /// Whether `ts` names what this replica has not received.
    pub(crate) fn lacks(&self, ts: &Timestamp) -> bool {
        let ended = |life| self.members.has_ended(life);
        ts.beyond(&self.replica_ts)
            .any(|(life, _, count)| count != Timestamp::ALL || !ended(life))
    }

    /// The lives of which this replica has all that there will ever be, and every one
    /// before: the last of each server. Not kept over a restart: whoever comes back from a
    /// disk hears of it anew, since the disk may be an old one.
    pub fn ended(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.members.ended().iter()
    }

    /// Of the lives that are over at a peer which reports to have `ts`, those of which
    /// all that it has is here: the last of each server.
    pub(crate) fn over_here(&self, ts: &Timestamp, ended: &Ends) -> Vec<ReplicaId> {
        let is_here = |last: &ReplicaId| {
            let mut more = ts.beyond(&self.replica_ts);
            !more.any(|(life, ..)| life.is_up_to(*last))
        };
        ended.iter().filter(is_here).collect()
    }

    /// Makes all that is here an update of this replica's own, of which the record is
    /// discarded: whoever has not heard of it is sent the whole state. Not while one of
    /// its own records waits, nor where it is retired: then nobody takes it.
    pub(crate) fn own_all(&mut self) -> bool {
        let own_waits = self.waiting.places().any(|(origin, _)| origin == self.id);
        if own_waits || self.is_retired() {
            return false;
        }
        let number = self.replica_ts.count(self.id) + 1;
        self.log.forget::<V>(|origin| origin == self.id);
        self.log.start(self.id, number);
        self.replica_ts.raise(self.id, number);
        self.value_ts.raise(self.id, number);
        self.joined.raise(self.id, number);
        true
    }

    pub(crate) fn past(&self) -> Past<'_> {
        Past {
            replica_ts: &self.replica_ts,
            ended: self.members.ended(),
            finals: &self.finals,
        }
    }

    /// Folds the lives away that are over everywhere, but for those of which a record
    /// still waits here.
    pub(crate) fn fold(&mut self) {
        for last in self.members.foldable(self.id) {
            if self.is_alike(last) {
                self.forget(last);
                self.replica_ts.raise(last, Timestamp::ALL);
                self.value_ts.raise(last, Timestamp::ALL);
            }
        }
    }

    /// Whether of a life, and of all before, nothing waits here, and everyone who remains
    /// has reported to have the same, or has folded them.
    fn is_alike(&self, last: ReplicaId) -> bool {
        let is_meant = |life: ReplicaId| life.is_up_to(last);
        let has_the_same = |other| {
            self.reported(other).is_some_and(|ts| {
                let mut more = ts.beyond(&self.replica_ts);
                let mut less = self.replica_ts.beyond(ts);
                !more.any(|(life, _, count)| is_meant(life) && count != Timestamp::ALL)
                    && !less.any(|(life, ..)| is_meant(life))
            })
        };
        let mut waiting = self.waiting.places();
        !waiting.any(|(origin, _)| is_meant(origin)) && self.others().all(has_the_same)
    }

    /// Forgets a life and all before, of which no record waits.
    pub(crate) fn forget(&mut self, last: ReplicaId) {
        let is_meant = |life: ReplicaId| life.is_up_to(last);
        for (life, count) in self.replica_ts.iter() {
            if is_meant(life) && count != Timestamp::ALL {
                self.finals.raise(life, count);
            }
        }
        trim(&mut self.finals, last.server);
        self.log.forget::<V>(is_meant);
        self.members.forget(last);
    }

    /// The updates of records that wait here, of lives that a peer has folded away, and that
    /// it may not have had: their places are gone.
    pub(crate) fn stranded(&self, there: &State<V>) -> Vec<(Place, Update<V::Operation>)> {
        let ts = &there.replica_ts;
        self.waiting_among(|(origin, number), _| {
            ts.has_folded(origin) && had(ts, &there.finals, origin) < number
        })
    }

    /// Makes what waits among these lives its own, where only this replica has it: of what the
    /// peer has received, which is `there`, the records stay.
    pub(crate) fn strand(&mut self, lives: &[ReplicaId], there: &Timestamp) -> Vec<UpdateId> {
        let stranded = self.waiting_among(|(origin, number), _| {
            lives.contains(&origin) && there.count(origin) < number
        });
        self.abandon(&stranded);
        self.make_again(stranded)
    }

    /// The updates of waiting records that are meant, causes before effects.
    pub(crate) fn waiting_among(
        &self,
        is_meant: impl Fn(Place, &Update<V::Operation>) -> bool,
    ) -> Vec<(Place, Update<V::Operation>)> {
        let entries = self.waiting.places().filter_map(|place| {
            let record = &self.log.entry(place)?.record;
            is_meant(place, record.update()).then_some((place, record))
        });
        let mut records: Vec<_> = entries.collect();
        records.sort_by_key(|(_, record)| record.rank());
        let updates = records.into_iter();
        updates
            .map(|(place, record)| (place, record.update().clone()))
            .collect()
    }

    /// Has these records wait no more: they stay, without effect.
    pub(crate) fn abandon(&mut self, records: &[(Place, Update<V::Operation>)]) {
        let mut woken = Vec::new();
        for &(place, Update { id, .. }) in records {
            self.log.applied(place);
            self.waiting.release(id, place);
            self.value_ts.raise(place.0, place.1);
            self.waiting.wake((place.0, 0)..=place, &mut woken);
        }
        self.settle(woken);
    }

    /// Makes updates again, with the same ids and times, as records of this replica's own;
    /// those that it knows, executed or in other records, it leaves. Gives those that are too
    /// late for it: others may have executed them, and have forgotten that.
    pub(crate) fn make_again(
        &mut self,
        updates: Vec<(Place, Update<V::Operation>)>,
    ) -> Vec<UpdateId> {
        let mut late = Vec::new();
        for (_, update) in updates {
            let number = self.replica_ts.count(self.id) + 1;
            if self.knows(&update) {
                continue;
            }
            if update.time < self.horizon {
                late.push(update.id);
            } else if let Some(record) = Record::new(self.id, number, update)
                && !self.is_retired()
            {
                self.append(record);
            }
        }
        late
    }

    /// How many records of a life that is over were received, as far as is known.
    pub(crate) fn received_of(&self, life: ReplicaId) -> u64 {
        match self.replica_ts.count(life) {
            Timestamp::ALL => self.finals.count(life),
            received => received,
        }
    }
}

/// How much of a life a replica has received; of one that it has folded away, how much it
/// had then, or 0 where that is not remembered.
pub(crate) fn had(replica_ts: &Timestamp, finals: &Timestamp, life: ReplicaId) -> u64 {
    let count = match replica_ts.count(life) {
        Timestamp::ALL => finals.count(life),
        has => return has,
    };
    if count == Timestamp::ALL { 0 } else { count }
}

/// Of the lives that both of two sides have folded away, those of which the first has had less,
/// as far as that is remembered: only where it has folded later lives of the server too. So
/// an old disk may have what was lost before all others began anew.
pub(crate) fn had_less<'a>(
    (ts, finals): (&'a Timestamp, &'a Timestamp),
    (other, other_finals): (&'a Timestamp, &'a Timestamp),
) -> impl Iterator<Item = ReplicaId> + 'a {
    let lives = other_finals.iter().filter(move |&(life, count)| {
        let fold = |ts: &Timestamp| ts.folds().find(|fold| fold.server == life.server);
        let is_folded = other.has_folded(life) && fold(other) < fold(ts);
        is_folded && count != Timestamp::ALL && finals.count(life) < count
    });
    lives.map(|(life, _)| life)
}

/// Remembers the last lives of a server apart, and no more.
fn trim(finals: &mut Timestamp, server: u32) {
    let lives = finals.iter().filter(|(life, _)| life.server == server);
    let lives: Vec<_> = lives.map(|(life, _)| life).collect();
    if let Some(more) = lives.len().checked_sub(FINALS + 1) {
        finals.raise(lives[more], Timestamp::ALL);
    }
}
