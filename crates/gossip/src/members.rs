//! Who takes part, and whose past is over.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{Replica, ReplicaId, Timestamp, Value};

/// Every replica heard of, and what each has reported.
///
/// A server that comes back with less than it knew takes a new incarnation, and
/// that **retires** the earlier ones, also those that nobody has heard of: nothing
/// more is heard from them. What they had accepted and nobody else has is lost. So
/// that whoever depends on it does not wait for ever, a retirement comes to **count**
/// at a replica: once every remaining member has reported to know of it, and all that
/// those reports name of the retired has been received here. From then on nothing
/// more of them can come.
///
/// A replica that starts with nothing, or with an old disk, may not know all who
/// remain. Until it has **joined** those who do, no retirement counts there, and
/// nobody can join by it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Members {
    all: BTreeSet<ReplicaId>,
    reports: BTreeMap<ReplicaId, Report>,
    /// By server: the retirement of all incarnations up to this one counts.
    ended: BTreeMap<u32, u64>,
    joined: bool,
    /// It started from what a former life had stored: it knows whom to wait for.
    recovered: bool,
}

/// The merge of all that a peer itself has reported.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Report {
    /// The paper's entry of ts_table.
    replica_ts: Timestamp,
    members: BTreeSet<ReplicaId>,
}

impl Members {
    pub(crate) fn new(own: ReplicaId) -> Self {
        Self {
            all: [own].into(),
            reports: BTreeMap::new(),
            ended: BTreeMap::new(),
            joined: false,
            recovered: false,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.all.iter().copied()
    }

    /// What `peer` last reported to have received.
    pub(crate) fn reported(&self, peer: ReplicaId) -> Option<&Timestamp> {
        Some(&self.reports.get(&peer)?.replica_ts)
    }

    pub(crate) fn extend(&mut self, members: impl IntoIterator<Item = ReplicaId>) {
        self.all.extend(members);
    }

    /// Notes what `peer` reported of itself.
    pub(crate) fn report(
        &mut self,
        peer: ReplicaId,
        replica_ts: &Timestamp,
        members: impl IntoIterator<Item = ReplicaId>,
    ) {
        self.all.insert(peer);
        let report = self.reports.entry(peer).or_default();
        report.replica_ts.merge(replica_ts);
        report.members.insert(peer);
        report.members.extend(members);
        self.all.extend(&report.members);
    }

    /// Whether a later incarnation of its server is known.
    pub(crate) fn is_retired(&self, replica: ReplicaId) -> bool {
        latest(&self.all, replica.server) > Some(replica.incarnation)
    }

    /// Whether nothing more of `replica` can come, nor is waited for.
    pub(crate) fn has_ended(&self, replica: ReplicaId) -> bool {
        self.ended
            .get(&replica.server)
            .is_some_and(|&last| replica.incarnation <= last)
    }

    /// The members whose knowledge counts: all but `own` that are not retired.
    pub(crate) fn others(&self, own: ReplicaId) -> impl Iterator<Item = ReplicaId> + '_ {
        self.iter()
            .filter(move |&member| member != own && !self.is_retired(member))
    }

    /// Adopts the members that a former life of `own` has stored.
    pub(crate) fn recover(&mut self, own: ReplicaId, members: Vec<ReplicaId>) {
        self.recovered |= members.iter().any(|member| member.server != own.server);
        self.all.extend(members);
    }

    /// `own` has joined when it has all that a joined member reported; where everyone
    /// has crashed, when all that it knows of have reported.
    pub(crate) fn join(&mut self, own: ReplicaId, by_report: bool) {
        let silent = |peer| !self.reports.contains_key(&peer);
        let heard_all = self.others(own).next().is_some() && !self.others(own).any(silent);
        self.joined |= by_report || (self.recovered && heard_all);
    }

    /// The retirements that come to count now that `own` has received `replica_ts`:
    /// the last incarnation of each server.
    fn end(&mut self, own: ReplicaId, replica_ts: &Timestamp) -> Vec<ReplicaId> {
        if !self.joined || !self.all_know_all(own) {
            return Vec::new();
        }
        let servers: BTreeSet<u32> = self.all.iter().map(|member| member.server).collect();
        let ended: Vec<_> = servers
            .into_iter()
            .filter_map(|server| self.last_retired(server))
            .filter(|&last| !self.has_ended(last) && self.has_all_of(last, own, replica_ts))
            .collect();
        let entries = ended.iter().map(|last| (last.server, last.incarnation));
        self.ended.extend(entries);
        ended
    }

    /// Whether every other member has reported to know all who remain. Then each of
    /// them takes nothing from any that is retired: not from the one in question, and
    /// not from another that still passes on what it had of it.
    fn all_know_all(&self, own: ReplicaId) -> bool {
        self.others(own).all(|peer| {
            self.reports.get(&peer).is_some_and(|report| {
                let mut remaining = self.iter().filter(|&member| !self.is_retired(member));
                remaining.all(|member| report.members.contains(&member))
            })
        })
    }

    /// The incarnation of `server` before its latest.
    fn last_retired(&self, server: u32) -> Option<ReplicaId> {
        let before = latest(&self.all, server)?.checked_sub(1)?;
        Some(ReplicaId::new(server, before))
    }

    /// Whether all that others report of `last` and of earlier lives of its server has
    /// been received.
    fn has_all_of(&self, last: ReplicaId, own: ReplicaId, replica_ts: &Timestamp) -> bool {
        self.others(own)
            .filter_map(|peer| self.reported(peer))
            .all(|has| {
                has.beyond(replica_ts)
                    .all(|(origin, ..)| origin.server != last.server || origin > last)
            })
    }
}

/// The latest incarnation of a server among `members`.
fn latest(members: &BTreeSet<ReplicaId>, server: u32) -> Option<u64> {
    let all = ReplicaId::new(server, 0)..=ReplicaId::new(server, u64::MAX);
    members.range(all).next_back().map(|last| last.incarnation)
}

impl<V: Value> Replica<V> {
    /// Learns of replicas from elsewhere than gossip: a replica that starts asks
    /// those that it can reach, so that it takes nothing from the retired.
    pub fn meet(&mut self, members: impl IntoIterator<Item = ReplicaId>) {
        self.members.extend(members);
    }

    /// Makes this replica one that others can join by, without joining itself: for
    /// the first of a cluster. Of several that start together all may be.
    pub fn found(&mut self) {
        self.members.joined = true;
        self.end_retired();
    }

    /// Whether it knows all who remain: it has joined, or founded.
    pub const fn has_joined(&self) -> bool {
        self.members.joined
    }

    /// Every replica heard of, this one included.
    pub fn members(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.members.iter()
    }

    /// What `peer` last reported to have received: the paper's ts_table.
    pub fn reported(&self, peer: ReplicaId) -> Option<&Timestamp> {
        self.members.reported(peer)
    }

    /// Whether this replica has heard of a later incarnation of its own server: it
    /// is out, and must not serve any more.
    pub fn is_retired(&self) -> bool {
        self.members.is_retired(self.id)
    }

    /// The replicas of which `prev` names what is known to be lost for good.
    pub(crate) fn lost(&self, prev: &Timestamp) -> Vec<ReplicaId> {
        let ended = |&replica: &ReplicaId| self.members.has_ended(replica);
        let beyond = prev.beyond(&self.replica_ts);
        beyond.map(|(replica, ..)| replica).filter(ended).collect()
    }

    /// Lets retirements count that can, and applies what waited for what they lost.
    pub(crate) fn end_retired(&mut self) {
        let mut woken = Vec::new();
        for last in self.members.end(self.id, &self.replica_ts) {
            let first = (ReplicaId::new(last.server, 0), 0);
            self.waiting.wake(first..=(last, u64::MAX), &mut woken);
        }
        self.settle(woken);
    }
}
