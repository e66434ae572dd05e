//! Who takes part, and whose past is over.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{Replica, ReplicaId, Time, Timestamp, Value, fold::Ends};

/// Every replica heard of, and what each has reported.
///
/// A server that comes back with less than it knew takes a new incarnation, and
/// that **retires** the earlier ones, also those that nobody has heard of: nothing
/// more is heard from them. What they had accepted and nobody else has is lost. So
/// that whoever depends on it does not wait for ever, a retirement comes to **count**
/// at a replica: once every remaining member has reported to know of it, and all that
/// those reports name of the retired has been received here. From then on nothing
/// more of them can come. A server that never comes back is retired by hand: its end,
/// [`ReplicaId::end`], is the last of its incarnations.
///
/// A replica that starts with nothing, or with an old disk, may not know all who
/// remain. Until it has **joined** those who do, no retirement counts there, and
/// nobody can join by it. And a new server is sent nothing before two others know it
/// (where there are two): so one disk that is lost takes no member out of memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Members {
    all: BTreeSet<ReplicaId>,
    reports: BTreeMap<ReplicaId, Known>,
    /// The retirement of these lives counts.
    ended: Ends,
    /// That of these too, but nobody was there to ask: it is no news for others.
    ended_alone: Ends,
    /// These lives are folded away: they are members no more.
    folded: Ends,
    /// The newest version of records that each says to understand.
    pub(crate) versions: BTreeMap<ReplicaId, u32>,
    standing: Standing,
}

/// What a replica knows of who takes part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Standing {
    /// It started with nothing.
    #[default]
    New,
    /// It started from what a former life had stored: it knows whom to wait for, but
    /// for who has joined since.
    Recovered,
    /// It knows all who remain. Whoever has all that it has received has joined too.
    Joined,
}

/// What a replica says of itself in every message, at one cut.
pub(crate) struct Report {
    pub(crate) from: ReplicaId,
    pub(crate) replica_ts: Timestamp,
    pub(crate) members: Vec<ReplicaId>,
    pub(crate) ended: Ends,
    pub(crate) standing: Standing,
    pub(crate) horizon: Time,
    pub(crate) settled: Time,
}

/// The merge of all that a peer itself has reported.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Known {
    /// The paper's entry of ts_table.
    pub(crate) replica_ts: Timestamp,
    members: BTreeSet<ReplicaId>,
    pub(crate) ended: Ends,
    standing: Standing,
    /// Of the cut at which it had reported `replica_ts`, or an earlier one.
    pub(crate) horizon: Time,
    pub(crate) settled: Time,
}

impl Members {
    pub(crate) fn new(own: ReplicaId) -> Self {
        Self {
            all: [own].into(),
            reports: BTreeMap::new(),
            ended: Ends::default(),
            ended_alone: Ends::default(),
            folded: Ends::default(),
            versions: BTreeMap::new(),
            standing: Standing::New,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.all.iter().copied()
    }

    /// What `peer` last reported to have received.
    pub(crate) fn reported(&self, peer: ReplicaId) -> Option<&Timestamp> {
        Some(&self.reports.get(&peer)?.replica_ts)
    }

    pub(crate) fn report_of(&self, peer: ReplicaId) -> Option<&Known> {
        self.reports.get(&peer)
    }

    pub(crate) fn reports(&self) -> impl Iterator<Item = &Known> {
        self.reports.values()
    }

    pub(crate) const fn ended(&self) -> &Ends {
        &self.ended
    }

    /// Whether a life is folded away.
    pub(crate) fn has_folded(&self, life: ReplicaId) -> bool {
        self.folded.cover(life)
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.standing == Standing::Joined
    }

    pub(crate) fn knows(&self, member: ReplicaId) -> bool {
        self.all.contains(&member)
    }

    /// Whether `peer` has said that it knows all who remain.
    pub(crate) fn has_reported_to_join(&self, peer: ReplicaId) -> bool {
        let report = self.reports.get(&peer);
        report.is_some_and(|report| report.standing == Standing::Joined)
    }

    /// Adds members. Whether any was not known.
    pub(crate) fn extend(&mut self, members: impl IntoIterator<Item = ReplicaId>) -> bool {
        let before = self.all.len();
        let is_live = |member: &ReplicaId| !self.folded.cover(*member);
        self.all.extend(members.into_iter().filter(is_live));
        self.all.len() > before
    }

    /// Takes a life and all before out of memory.
    pub(crate) fn forget(&mut self, last: ReplicaId) {
        self.ended.add(last);
        self.folded.add(last);
        let is_live = |member: &ReplicaId| !self.folded.cover(*member);
        self.all.retain(is_live);
        self.reports.retain(|peer, _| is_live(peer));
        self.versions.retain(|peer, _| is_live(peer));
        for known in self.reports.values_mut() {
            known.members.retain(is_live);
        }
    }

    /// Notes what a peer reported of itself. Whether it knows members that it had not
    /// reported to know.
    pub(crate) fn report(&mut self, report: Report) -> bool {
        let known = self.reports.entry(report.from).or_default();
        let before = known.members.len();
        known.replica_ts.merge(&report.replica_ts);
        let is_live = |member: &ReplicaId| !self.folded.cover(*member);
        let members = report.members.into_iter().chain([report.from]);
        known.members.extend(members.filter(is_live));
        let ended = report.ended.iter().chain(report.replica_ts.folds());
        known.ended.extend(ended);
        known.standing = known.standing.max(report.standing);
        known.horizon = known.horizon.max(report.horizon);
        known.settled = known.settled.max(report.settled);
        self.all.extend(&known.members);
        known.members.len() > before
    }

    /// Whether `peer` has reported to know every member.
    fn knows_all(&self, peer: ReplicaId) -> bool {
        let report = self.reports.get(&peer);
        // Whatever it has reported is among them.
        report.is_some_and(|report| report.members.len() == self.all.len())
    }

    /// Whether a later incarnation of its server is known.
    pub(crate) fn is_retired(&self, replica: ReplicaId) -> bool {
        latest(&self.all, replica.server) > Some(replica.incarnation)
    }

    /// Whether nothing more of `replica` can come, nor is waited for.
    pub(crate) fn has_ended(&self, replica: ReplicaId) -> bool {
        self.ended.cover(replica) || self.ended_alone.cover(replica)
    }

    /// Whether all lives before the latest of each server are over.
    pub(crate) fn past_is_over(&self) -> bool {
        let mut retired = self.iter().filter(|&member| self.is_retired(member));
        retired.all(|member| self.has_ended(member))
    }

    /// The members whose knowledge counts: all but `own` that are not retired.
    pub(crate) fn others(&self, own: ReplicaId) -> impl Iterator<Item = ReplicaId> + '_ {
        let counts = move |member: &ReplicaId| !member.is_end() && !self.is_retired(*member);
        self.iter()
            .filter(move |member| *member != own && counts(member))
    }

    /// Adopts the members that a former life of `own` has stored.
    pub(crate) fn recover(&mut self, own: ReplicaId, members: Vec<ReplicaId>) {
        if members.iter().any(|member| member.server != own.server) {
            self.standing = self.standing.max(Standing::Recovered);
        }
        self.extend(members);
    }

    /// Adds lives that are over; gives those of which that is new.
    pub(crate) fn add_ended(
        &mut self,
        ended: impl IntoIterator<Item = ReplicaId>,
    ) -> Vec<ReplicaId> {
        self.ended.extend(ended)
    }

    /// `own` has joined when it has all that a joined member, which knows it, reported:
    /// whatever that member accepts or hears of later, it reports with the newcomer
    /// among the members. Where everyone
    /// has crashed, it has when all that it knows of have reported, and all but one of them
    /// came back with their disks. Every member is on two disks, so one of those who
    /// came back knows it.
    pub(crate) fn join(&mut self, own: ReplicaId, by_report: bool) {
        if by_report || (self.standing == Standing::Recovered && self.have_all_come_back(own)) {
            self.standing = Standing::Joined;
        }
    }

    fn have_all_come_back(&self, own: ReplicaId) -> bool {
        let mut others = 0;
        let mut with_nothing = 0;
        for peer in self.others(own) {
            let knows = |report: &&Known| report.members.contains(&own);
            let Some(report) = self.reports.get(&peer).filter(knows) else {
                return false;
            };
            others += 1;
            with_nothing += usize::from(report.standing == Standing::New);
        }
        others > 0 && with_nothing <= 1
    }

    /// Whether `peer` may be sent what `own` has: it is not retired, and its server is
    /// known to a second member that remains, where there is one.
    pub(crate) fn admits(&self, own: ReplicaId, peer: ReplicaId) -> bool {
        let mut witnesses = self
            .others(own)
            .filter(|other| other.server != peer.server)
            .map(|other| self.reports.get(&other))
            .peekable();
        let knows = |report: &Known| latest(&report.members, peer.server).is_some();
        !self.is_retired(peer)
            && (witnesses.peek().is_none() || witnesses.any(|report| report.is_some_and(knows)))
    }

    /// The retirements that come to count now that `own` has received `replica_ts`:
    /// the last incarnation of each server.
    fn end(&mut self, own: ReplicaId, replica_ts: &Timestamp) -> Vec<ReplicaId> {
        if self.standing != Standing::Joined || !self.all_know_all(own) {
            return Vec::new();
        }
        let servers: BTreeSet<u32> = self.all.iter().map(|member| member.server).collect();
        let ended: Vec<_> = servers
            .into_iter()
            .filter_map(|server| self.last_retired(server))
            .filter(|&last| !self.ended.cover(last) && self.has_all_of(last, own, replica_ts))
            .collect();
        if self.others(own).next().is_none() {
            return self.ended_alone.extend(ended);
        }
        self.add_ended(ended)
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
                has.beyond(replica_ts).all(|(origin, _, count)| {
                    let is_here = count == Timestamp::ALL && self.ended.cover(origin);
                    is_here || !origin.is_up_to(last)
                })
            })
    }
}

/// The latest incarnation of a server among `members`.
pub(crate) fn latest(members: &BTreeSet<ReplicaId>, server: u32) -> Option<u64> {
    let all = ReplicaId::new(server, 0)..=ReplicaId::new(server, u64::MAX);
    members.range(all).next_back().map(|last| last.incarnation)
}

impl<V: Value> Replica<V> {
    /// Learns of replicas from elsewhere than gossip: a replica that starts asks
    /// those that it can reach, so that it takes nothing from the retired.
    /// Whether any was not known: then the members are to be stored before the next
    /// report.
    pub fn meet(&mut self, members: impl IntoIterator<Item = ReplicaId>) -> bool {
        self.members.extend(members)
    }

    /// Retires a server for good, in all its lives: what it has accepted and nobody
    /// else has is lost, and its number is never used again. Whether it was not
    /// retired yet: then the members are to be stored before the next report.
    pub fn retire(&mut self, server: u32) -> bool {
        let new = self.members.extend([ReplicaId::end(server)]);
        self.review(Vec::new());
        new
    }

    /// Makes this replica one that others can join by, without joining itself: for
    /// the first of a cluster. Of several that start together all may be.
    pub fn found(&mut self) {
        self.members.standing = Standing::Joined;
        self.review(Vec::new());
    }

    /// Whether it knows all who remain: it has joined, or founded.
    pub fn has_joined(&self) -> bool {
        self.standing() == Standing::Joined
    }

    /// What it knows of who takes part.
    pub const fn standing(&self) -> Standing {
        self.members.standing
    }

    /// Every replica heard of, this one included, and the ends of servers.
    pub fn members(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.members.iter()
    }

    /// What `peer` last reported to have received: the paper's ts_table.
    pub fn reported(&self, peer: ReplicaId) -> Option<&Timestamp> {
        self.members.reported(peer)
    }

    /// Whether `peer` has reported to know every replica heard of here. One that has not
    /// is to be told at once: a new server is sent nothing before two know it.
    pub fn knows_all(&self, peer: ReplicaId) -> bool {
        self.members.knows_all(peer)
    }

    /// Whether `peer` has reported to know `member`, which may be the end of a server.
    pub fn has_heard_of(&self, peer: ReplicaId, member: ReplicaId) -> bool {
        let report = self.members.reports.get(&peer);
        report.is_some_and(|report| report.members.contains(&member))
    }

    /// How many records stay in the log only since `peer` has not reported to have
    /// them, or for others too. None where nobody waits for its reports: where it is
    /// this replica, retired, or the mark of an end.
    pub fn holds_back(&self, peer: ReplicaId) -> u64 {
        if !self.others().any(|other| other == peer) {
            return 0;
        }
        let reported = |origin| self.reported(peer).map_or(0, |has| has.count(origin));
        let received = self.replica_ts.iter();
        let received = received.filter(|&(_, count)| count != Timestamp::ALL);
        let lacks = |(origin, count): (ReplicaId, u64)| {
            count.saturating_sub(reported(origin).max(self.log.floor(origin)))
        };
        received.map(lacks).sum()
    }

    /// Whether a later incarnation of `replica`'s server is known, or its end.
    pub fn has_retired(&self, replica: ReplicaId) -> bool {
        self.members.is_retired(replica)
    }

    /// Whether this replica has heard of a later incarnation of its own server, or of
    /// its end: it is out, and must not serve any more.
    pub fn is_retired(&self) -> bool {
        self.members.is_retired(self.id)
    }

    /// The replicas of which `prev` names what is known to be lost for good.
    pub(crate) fn lost(&self, prev: &Timestamp) -> Vec<ReplicaId> {
        let is_lost = |&(life, count): &(ReplicaId, u64)| {
            let counts = count != Timestamp::ALL && self.members.has_ended(life);
            counts && count > self.received_of(life)
        };
        prev.iter().filter(is_lost).map(|(life, _)| life).collect()
    }

    /// Lets retirements count that can, applies what waited for what they lost, or for
    /// what `ended` lost, and discards and folds what can go.
    pub(crate) fn review(&mut self, mut ended: Vec<ReplicaId>) {
        ended.extend(self.members.end(self.id, &self.replica_ts));
        let mut woken = Vec::new();
        for last in &ended {
            let first = (ReplicaId::new(last.server, 0), 0);
            self.waiting.wake(first..=(*last, u64::MAX), &mut woken);
        }
        self.settle(woken);
        self.discard();
        self.fold();
    }
}
