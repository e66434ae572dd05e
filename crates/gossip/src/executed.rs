//! Which updates are reflected in the value.

use alloc::{collections::BTreeMap, vec::Vec};
use core::ops::RangeInclusive;

use crate::{Digest, SessionId, Time, Timestamp, UpdateId};

/// First replies that are remembered of one session. A session makes one update at a
/// time, so one would do; the rest are for clients that do not keep to that.
const REPLIES: usize = 8;
/// In so many parts the table is looked through for what can be forgotten.
const PARTS: usize = 32;

/// The executed table: which updates are reflected in the value, and what retries of
/// them are told.
///
/// It grows with the sessions, not with their updates: of each it holds which of its
/// updates are executed, as runs without gaps, and the first replies to the latest. It
/// forgets a session when the last of its updates is settled: retries are too late then.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ExecutedTable {
    sessions: BTreeMap<SessionId, Executed>,
    /// Where to look next for sessions to forget.
    next: SessionId,
}

/// What is executed of one session.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Executed {
    /// The sequence numbers of all executed updates, in ascending order, with a gap
    /// between any two.
    pub runs: Vec<RangeInclusive<u64>>,
    /// The first replies to the latest of them, at most 8, by sequence number.
    pub replies: Vec<FirstReply>,
    /// The merge of the timestamps first given to the others.
    pub older: Timestamp,
    /// The greatest time of them all.
    pub latest: Time,
}

/// What an update was first answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FirstReply {
    /// The update's number in its session.
    pub sequence: u64,
    /// The timestamp given to it.
    pub ts: Timestamp,
    /// Of its time and operation.
    pub digest: Digest,
}

impl ExecutedTable {
    pub(crate) fn contains(&self, id: UpdateId) -> bool {
        let executed = self.sessions.get(&id.session);
        executed.is_some_and(|executed| executed.contains(id.sequence))
    }

    /// What a retry of an executed update is told, and the digest of what was executed
    /// where that is remembered.
    ///
    /// It is the first reply, or, where its session has made several since, the merge
    /// of all replies as old: that names it too, and nothing that the session has not
    /// done.
    pub(crate) fn reply(&self, id: UpdateId) -> Option<(Timestamp, Option<Digest>)> {
        let executed = self.sessions.get(&id.session)?;
        if !executed.contains(id.sequence) {
            return None;
        }
        Some(match executed.position(id.sequence) {
            Ok(at) => {
                let reply = &executed.replies[at];
                (reply.ts.clone(), Some(reply.digest))
            }
            Err(_) => (executed.older.clone(), None),
        })
    }

    /// Enters an update that was made at `time`, with its first reply, unless it is there
    /// already. Whether it was not.
    pub(crate) fn enter(
        &mut self,
        id: UpdateId,
        time: Time,
        reply: impl FnOnce() -> FirstReply,
    ) -> bool {
        let executed = self.sessions.entry(id.session).or_default();
        let is_new = !executed.contains(id.sequence);
        if is_new {
            executed.latest = executed.latest.max(time);
            executed.insert(reply());
        }
        is_new
    }

    /// Forgets sessions of which all is dated before `settled`, and gives them. It looks at
    /// a part of the table, the next each time, so that nobody waits for long.
    pub(crate) fn forget(&mut self, settled: Time) -> Vec<SessionId> {
        let part = self.sessions.len() / PARTS + 1;
        let mut from = self.sessions.range(self.next..);
        let over = from
            .by_ref()
            .take(part)
            .filter(|(_, of)| of.latest < settled)
            .map(|(&session, _)| session)
            .collect::<Vec<_>>();
        self.next = from.next().map_or_else(SessionId::default, |next| *next.0);
        for session in &over {
            self.sessions.remove(session);
        }
        over
    }

    /// Enters all that another replica has executed.
    pub(crate) fn join(&mut self, other: Self) {
        for (session, of) in other.sessions {
            self.sessions.entry(session).or_default().join(of);
        }
    }

    pub(crate) fn of(&self, session: SessionId) -> Option<&Executed> {
        self.sessions.get(&session)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Executed)> {
        self.sessions.iter().map(|(&session, of)| (session, of))
    }
}

impl From<Vec<(SessionId, Executed)>> for ExecutedTable {
    fn from(sessions: Vec<(SessionId, Executed)>) -> Self {
        let mut table = Self::default();
        for (session, of) in sessions {
            // Whoever sent it may name one twice.
            table.sessions.entry(session).or_default().join(of);
        }
        table
    }
}

impl Executed {
    fn contains(&self, sequence: u64) -> bool {
        let at = self.runs.partition_point(|run| *run.end() < sequence);
        self.runs
            .get(at)
            .is_some_and(|run| *run.start() <= sequence)
    }

    /// Adds a run, and closes the gaps that it fills.
    fn include(&mut self, run: RangeInclusive<u64>) {
        let (mut first, mut last) = run.into_inner();
        let touched = |other: &RangeInclusive<u64>| other.end().saturating_add(1) < first;
        let from = self.runs.partition_point(touched);
        let reached = |other: &RangeInclusive<u64>| *other.start() <= last.saturating_add(1);
        let to = self.runs.partition_point(reached);
        if from < to {
            first = first.min(*self.runs[from].start());
            last = last.max(*self.runs[to - 1].end());
        }
        self.runs.splice(from..to.max(from), [first..=last]);
    }

    fn join(&mut self, other: Self) {
        self.older.merge(&other.older);
        self.latest = self.latest.max(other.latest);
        other.runs.into_iter().for_each(|run| self.include(run));
        other
            .replies
            .into_iter()
            .for_each(|reply| self.insert(reply));
    }

    fn insert(&mut self, reply: FirstReply) {
        self.include(reply.sequence..=reply.sequence);
        let Err(at) = self.position(reply.sequence) else {
            return;
        };
        self.replies.insert(at, reply);
        if self.replies.len() > REPLIES {
            let oldest = self.replies.remove(0);
            self.older.merge(&oldest.ts);
        }
    }

    /// The same, with nothing but the merge of all replies: for one that cannot compare
    /// retries by these digests.
    #[must_use]
    pub fn without_replies(mut self) -> Self {
        for reply in self.replies.drain(..) {
            self.older.merge(&reply.ts);
        }
        self
    }

    fn position(&self, sequence: u64) -> Result<usize, usize> {
        self.replies
            .binary_search_by_key(&sequence, |reply| reply.sequence)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::ReplicaId;

    const SESSION: SessionId = SessionId(7);

    fn ts(count: u64) -> Timestamp {
        [(ReplicaId::new(1, 1), count)].into_iter().collect()
    }

    fn digest(given: u64) -> Digest {
        Digest(u128::from(given).to_be_bytes())
    }

    fn insert(table: &mut ExecutedTable, sequence: u64, given: u64) {
        let reply = FirstReply {
            sequence,
            ts: ts(given),
            digest: digest(given),
        };
        table.enter(UpdateId::new(SESSION, sequence), Time(given), || reply);
    }

    fn reply(table: &ExecutedTable, sequence: u64) -> Option<(u64, Option<u64>)> {
        let id = UpdateId::new(SESSION, sequence);
        let reply = table
            .reply(id)
            .map(|(ts, digest)| (ts.height().1 as u64, digest));
        let number = |Digest(bytes)| u128::from_be_bytes(bytes) as u64;
        let reply = reply.map(|(given, digest)| (given, digest.map(number)));
        assert_eq!(reply.is_some(), table.contains(id));
        reply
    }

    #[test]
    fn what_was_given_first_stays_in_any_order_of_insertion() {
        let mut table = ExecutedTable::default();
        for (sequence, given) in [(3, 30), (1, 10), (2, 20), (3, 99), (1, 99)] {
            insert(&mut table, sequence, given);
        }
        for sequence in 1..=3 {
            let first = sequence * 10;
            assert_eq!(reply(&table, sequence), Some((first, Some(first))));
        }
        assert_eq!(reply(&table, 4), None);
        assert_eq!(table.reply(UpdateId::new(SessionId(8), 1)), None);
    }

    /// [L] 3.2: a cid is forgotten when no message with it can come any more. Here it
    /// never is, only its reply.
    #[test]
    fn of_each_session_the_latest_replies_are_remembered_and_all_that_is_executed() {
        let mut table = ExecutedTable::default();
        for sequence in (1..=1_000).filter(|sequence| *sequence != 500) {
            insert(&mut table, sequence, sequence);
        }
        assert_eq!(reply(&table, 1_000), Some((1_000, Some(1_000))));
        assert_eq!(reply(&table, 993), Some((993, Some(993))));
        assert_eq!(reply(&table, 992), Some((992, None)));
        assert_eq!(reply(&table, 1), Some((992, None)));
        assert_eq!(reply(&table, 500), None);
        let of = table.of(SESSION).expect("it is there");
        assert_eq!((of.runs.len(), of.replies.len()), (2, REPLIES));
        // What comes late is executed, and forgotten at once.
        insert(&mut table, 500, 2_000);
        assert_eq!(reply(&table, 500), Some((2_000, None)));
        assert_eq!(table.of(SESSION).map(|of| of.runs.len()), Some(1));
    }

    /// Against a set of numbers: the runs hold the same, whatever is joined.
    #[test]
    fn runs_are_the_union_of_what_is_joined() {
        let mut state: u64 = 1;
        let mut below = |end: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % end
        };
        for _ in 0..2_000 {
            let mut table = ExecutedTable::default();
            let mut all = BTreeSet::new();
            for _ in 0..below(6) {
                let first = below(20);
                let run = first..=first + below(5);
                all.extend(run.clone());
                let executed = Executed {
                    runs: [run].into(),
                    ..Executed::default()
                };
                table.join([(SESSION, executed)].to_vec().into());
            }
            for sequence in 0..30 {
                let id = UpdateId::new(SESSION, sequence);
                assert_eq!(table.contains(id), all.contains(&sequence));
            }
            let runs = table.of(SESSION).map_or(&[][..], |of| &of.runs);
            let apart = |pair: &[RangeInclusive<u64>]| pair[0].end() + 1 < *pair[1].start();
            assert!(runs.windows(2).all(apart), "{runs:?}");
        }
        let mut table = ExecutedTable::default();
        for run in [0..=0, u64::MAX..=u64::MAX, 1..=u64::MAX - 1] {
            let executed = Executed {
                runs: [run].into(),
                ..Executed::default()
            };
            table.join([(SESSION, executed)].to_vec().into());
        }
        assert_eq!(table.of(SESSION).map(|of| of.runs.len()), Some(1));
    }

    #[test]
    fn sessions_are_forgotten_when_the_last_update_is_settled_in_parts() {
        let mut table = ExecutedTable::default();
        for session in 1..=100 {
            for sequence in 1..=2 {
                let reply = FirstReply {
                    sequence,
                    ts: ts(sequence),
                    digest: Digest::default(),
                };
                let made = if session % 2 == 0 { 10 * sequence } else { 5 };
                let id = UpdateId::new(SessionId(session), sequence);
                table.enter(id, Time(made), || reply);
            }
        }
        // The last of an even session is of 20, also where another joins an older part.
        let older = table.of(SessionId(1)).cloned().expect("it is there");
        table.join([(SessionId(2), older)].to_vec().into());
        assert_eq!(table.forget(Time(5)), []);
        let mut forgotten = BTreeSet::new();
        for _ in 0..2 * PARTS {
            let part = table.forget(Time(20));
            assert!(part.len() <= 100 / PARTS + 1, "{part:?}");
            forgotten.extend(part);
        }
        assert_eq!(forgotten.len(), 50);
        assert!(forgotten.iter().all(|session| session.0 % 2 == 1));
        assert!(table.of(SessionId(3)).is_none() && table.of(SessionId(2)).is_some());
        let rest: Vec<_> = (0..2 * PARTS)
            .flat_map(|_| table.forget(Time(21)))
            .collect();
        assert_eq!((rest.len(), table.iter().count()), (50, 0));
    }

    #[test]
    fn a_join_keeps_what_either_side_was_told() {
        let (mut one, mut two) = (ExecutedTable::default(), ExecutedTable::default());
        (1..=10).for_each(|sequence| insert(&mut one, sequence, sequence));
        (5..=20).for_each(|sequence| insert(&mut two, sequence, 100 + sequence));
        one.join(two);
        assert_eq!(reply(&one, 20), Some((120, Some(120))));
        assert_eq!(reply(&one, 13), Some((113, Some(113))));
        assert_eq!(reply(&one, 3), Some((112, None)));
        assert_eq!(reply(&one, 21), None);
    }
}
