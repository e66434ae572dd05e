//! Whose clock is wrong, as far as clocks can tell.
//!
//! Every message of a peer says what its clock shows. A replica that is apart from the median
//! of the living by more than [`Limits::max_skew`](crate::Limits::max_skew), itself included,
//! is **suspect**: it declines queries and updates, joins nobody, and its horizon stands. Of two, the one
//! that has joined is right; of two that have, or have not, the one that is behind: what an
//! honest session dates by it is taken by both.
//!
//! But one that joins does not believe a single other that is ahead by more than a day.
//!
//! A clock that jumps ahead by more than [`MAX_AHEAD`] while nobody else is heard is not
//! believed until somebody is. What is dated less far ahead does no harm that lasts: sessions
//! date by physical time, and no more than is needed above what they have seen.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{fmt, time::Duration};

use crate::{MAX_SERVERS, Replica, ReplicaId, Time, Value};

/// How far ahead of this replica's clock a record may be dated, or anything else that a peer
/// says. Longer than a machine's clock is wrong
/// by mistakes with time zones; shorter than one would keep what cannot be settled meanwhile.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Where something is dated ahead of all clocks, a session that has seen it dates its next
/// update later by this at most. At 20,000 updates a second that is slower than time.
pub(crate) const TICKS: Duration = Duration::from_micros(16);
/// For so long it counts what a peer has said of its clock.
const LIVING: Duration = Duration::from_secs(30);

/// How far a clock is from that of the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Skew {
    /// Whether it is ahead of theirs.
    pub ahead: bool,
    /// By how much.
    pub by: Duration,
}

impl Skew {
    /// In microseconds; less than 0 where the clock is behind.
    pub fn micros(self) -> i64 {
        let by = i64::try_from(self.by.as_micros()).unwrap_or(i64::MAX);
        if self.ahead { by } else { -by }
    }

    fn of(clock: Time, right: Time) -> Self {
        let ahead = clock > right;
        let by = if ahead {
            clock.since(right)
        } else {
            right.since(clock)
        };
        Self { ahead, by }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, tenths) = (self.by.as_secs(), self.by.subsec_millis() / 100);
        let side = if self.ahead { "ahead" } else { "behind" };
        write!(f, "{seconds}.{tenths} s {side}")
    }
}

/// What peers have said of their clocks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Clocks {
    told: BTreeMap<ReplicaId, Told>,
    /// The last time that nothing spoke against.
    agreed: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Told {
    theirs: Time,
    /// By this replica's clock.
    at: Time,
}

impl Told {
    /// What the peer's clock shows now, if it was told lately.
    fn shows(self, now: Time) -> Option<Time> {
        let passed = now.since(self.at);
        let is_fresh = now >= self.at && passed <= LIVING;
        is_fresh.then(|| self.theirs.after(passed))
    }
}

impl<V: Value> Replica<V> {
    /// Notes what a peer says that its clock shows, when this replica's shows `now`. To be
    /// called before its message is [received](Self::receive), for peers that this replica has
    /// sought out itself: who is merely called must not believe everybody.
    pub fn hear_clock(&mut self, peer: ReplicaId, theirs: Time, now: Time) {
        // It may become a member by the message itself.
        let is_new = !self.clocks.told.contains_key(&peer);
        let is_full = is_new && self.clocks.told.len() >= MAX_SERVERS;
        if theirs == Time(0) || peer == self.id || self.members.is_retired(peer) || is_full {
            return;
        }
        self.clocks.told.insert(peer, Told { theirs, at: now });
        let members = &self.members;
        self.clocks
            .told
            .retain(|peer, _| !members.is_retired(*peer));
        let is_like = Skew::of(now, theirs).by <= self.limits.max_skew;
        let right = self.median(now).or(is_like.then_some(now));
        self.clocks.agreed = right.or(self.clocks.agreed);
    }

    /// How far this replica's clock is from the others', where it is too far to be believed:
    /// then it is suspect.
    pub fn suspect(&self, now: Time) -> Option<Skew> {
        let (right, limit) = match (self.median(now), self.clocks.agreed) {
            (Some(median), _) => (median, self.limits.max_skew),
            (None, Some(agreed)) if now > agreed && !self.is_alone() => (agreed, MAX_AHEAD),
            _ => return None,
        };
        let skew = Skew::of(now, right);
        (skew.by > limit).then_some(skew)
    }

    /// What a session is to be told that this replica's clock shows: 0, which is nothing, where
    /// it is suspect, or where nobody was met who could tell.
    pub fn tells(&self, now: Time) -> Time {
        match self.has_joined() && self.suspect(now).is_none() {
            true => now,
            false => Time(0),
        }
    }

    /// The peers whose clocks are too far from the median, and how far.
    pub fn suspects(&self, now: Time) -> Vec<(ReplicaId, Skew)> {
        let Some(right) = self.median(now) else {
            return Vec::new();
        };
        let skews = self
            .shown(now)
            .map(|(peer, shows)| (peer, Skew::of(shows, right)));
        skews
            .filter(|(_, skew)| skew.by > self.limits.max_skew)
            .collect()
    }

    /// The time by which a peer's message is judged: by a clock that is behind, others would
    /// all be ahead.
    pub(crate) fn judging(&self, now: Time) -> Time {
        now.max(self.median(now).unwrap_or_default())
    }

    /// Whether time goes on as far as can be told; then the horizon may follow.
    pub(crate) fn goes_on(&mut self, now: Time) -> bool {
        let is_heard = self.shown(now).next().is_some();
        let has_heard = self.clocks.agreed.is_some();
        let is_suspect = self.suspect(now).is_some();
        let goes_on =
            self.has_joined() && !is_suspect && (is_heard || !has_heard || self.is_alone());
        if !is_suspect && has_heard {
            self.clocks.agreed = Some(now);
        }
        goes_on
    }

    /// Whether no other replica remains.
    pub(crate) fn is_alone(&self) -> bool {
        self.others().next().is_none()
    }

    /// The latest date of an update that is taken now, of a session that has seen `seen`.
    pub(crate) fn latest(&self, seen: Time, now: Time) -> Time {
        let most = now.after(MAX_AHEAD);
        let known = match self.is_alone() {
            // Nobody else has to take it.
            true => self.clock().max(seen.min(most)),
            false => self.clock().max(seen).min(most),
        };
        now.after(self.limits.max_skew).max(known.after(TICKS))
    }

    /// What the clocks of others show, who remain and were heard lately.
    fn shown(&self, now: Time) -> impl Iterator<Item = (ReplicaId, Time)> + '_ {
        let told = self.clocks.told.iter();
        let shown = told.filter_map(move |(&peer, told)| Some((peer, told.shows(now)?)));
        shown.filter(|(peer, _)| self.members.knows(*peer) && !self.members.is_retired(*peer))
    }

    /// What the middle one of the living shows, the lesser of two; `None` where no other is
    /// heard.
    fn median(&self, now: Time) -> Option<Time> {
        let mut clocks: Vec<_> = self.shown(now).collect();
        if let [(peer, theirs)] = clocks[..]
            && self.members.has_reported_to_join(peer) != self.has_joined()
        {
            // One that joins says nothing against one that has, but is not led astray by it.
            let right = if theirs > now.after(MAX_AHEAD) {
                now
            } else {
                theirs
            };
            return (!self.has_joined()).then_some(right);
        }
        if clocks.is_empty() {
            return None;
        }
        clocks.push((self.id, now));
        clocks.sort_unstable_by_key(|clock| clock.1);
        Some(clocks[(clocks.len() - 1) / 2].1)
    }
}
