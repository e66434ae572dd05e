//! Which updates are reflected in the value.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::{
    hash::{Hash, Hasher},
    ops::RangeInclusive,
};

use crate::{Digest, SessionId, Time, Timestamp, UpdateId};

/// First replies that are remembered of one session, and as many more until those become
/// older ones together. A session makes one update at a time, so one would do; the rest are for
/// clients that do not keep to that.
const REPLIES: usize = 8;
/// Sequence numbers that a block of digests is for.
const BLOCK: u64 = 64;
/// Most runs of sequence numbers that updates of one session may leave: there is a gap
/// between any two.
pub(crate) const RUNS: usize = 1024;
/// In so many parts the table is looked through for what can be forgotten.
const PARTS: usize = 32;

/// The executed table: which updates are reflected in the value, and what retries of
/// them are told.
///
/// An update is known by its identity: its session, its sequence number and its digest. So
/// where an id is used for two updates, at two replicas, each is executed once, everywhere.
///
/// Of each session the table holds which numbers are executed, as runs without gaps; the first
/// replies to the latest, with their digests; and the digests of the others, about 18 bytes
/// each, until their dates are settled. It forgets a session when the last of its updates is
/// settled: retries are too late then.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ExecutedTable {
    sessions: BTreeMap<SessionId, Executed>,
    /// Where to look next for sessions to forget.
    next: SessionId,
    /// How often a block has changed.
    changes: u64,
}

/// What is executed of one session.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Executed {
    /// The sequence numbers of all executed updates, in ascending order, with a gap
    /// between any two.
    pub runs: Vec<RangeInclusive<u64>>,
    /// The first replies to the latest 8 to 15 of them, by sequence number and digest.
    pub replies: Vec<FirstReply>,
    /// The others; `None` for the default. Most sessions end before they have any.
    pub older: Option<Box<Older>>,
    /// The greatest time of them all.
    pub latest: Time,
}

/// The executed updates of a session that are not among the latest.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Older {
    /// The merge of the timestamps first given to them.
    pub ts: Timestamp,
    /// Their digests, but for blocks of which all is settled; by number.
    pub blocks: Vec<Block>,
    /// Of updates dated before, the digest may be missing: a replica of 0.2 had executed
    /// them, which forgot it. Such a number counts as executed whatever has it.
    pub unknown: Time,
}

/// The digests of executed updates with neighbouring sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// It is for the 64 sequence numbers from 64 times this on.
    pub number: u64,
    /// No update in it has a greater time.
    pub latest: Time,
    /// What is to be added to that, and the digest; in ascending order.
    pub digests: Vec<(u8, Digest)>,
    /// Which change of the table was its last: of no account to what it is.
    changed: u64,
}

impl Block {
    const fn parts(&self) -> (u64, Time, &Vec<(u8, Digest)>) {
        (self.number, self.latest, &self.digests)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Block {}

impl Hash for Block {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
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

/// What is known of an update of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found<'a> {
    /// It is executed itself. The first reply to it, or the merge of the replies to all that
    /// are as old: that names it too, and nothing that the session has not done.
    Executed(&'a Timestamp),
    /// Another has the number, and this one is not executed unless it is settled.
    Other,
    /// The digest of what has the number is settled, and forgotten.
    Forgotten,
    /// It may be executed: a replica of 0.2 did not keep the digest.
    Uncompared,
    /// Nothing has its number, and it would leave one run more than a session may.
    Scattered,
}

/// What was forgotten since nobody can ask for it any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Forgotten {
    pub(crate) sessions: Vec<SessionId>,
    /// The blocks, also those of the sessions.
    pub(crate) blocks: Vec<(SessionId, u64)>,
}

impl ExecutedTable {
    /// What is known of an update; `None` for one that is new, and can be taken.
    pub(crate) fn find(
        &self,
        id: UpdateId,
        time: Time,
        digest: impl FnOnce() -> Digest,
    ) -> Option<Found<'_>> {
        let executed = self.sessions.get(&id.session)?;
        match executed.contains(id.sequence) {
            true => Some(executed.find(id.sequence, time, digest())),
            false => executed
                .is_scattered(id.sequence)
                .then_some(Found::Scattered),
        }
    }

    /// Whether the value reflects an update, as far as can be told.
    pub(crate) fn contains(
        &self,
        id: UpdateId,
        time: Time,
        digest: impl FnOnce() -> Digest,
    ) -> bool {
        self.find(id, time, digest).is_some_and(Found::is_executed)
    }

    /// Enters an update that was made at `time`, with its first reply, unless it is there
    /// already. Whether it was not.
    pub(crate) fn enter(&mut self, session: SessionId, time: Time, reply: FirstReply) -> bool {
        let executed = self.sessions.entry(session).or_default();
        let (sequence, digest) = (reply.sequence, reply.digest);
        if executed.contains(sequence) && executed.find(sequence, time, digest).is_executed() {
            return false;
        }
        executed.latest = executed.latest.max(time);
        executed.insert(reply, &mut self.changes);
        true
    }

    /// Forgets sessions of which all is dated before `settled`, and blocks. It looks at
    /// a part of the table, the next each time, so that nobody waits for long.
    pub(crate) fn forget(&mut self, settled: Time) -> Forgotten {
        let part = self.sessions.len() / PARTS + 1;
        let mut from = self.sessions.range_mut(self.next..);
        let mut forgotten = Forgotten::default();
        for (&session, of) in from.by_ref().take(part) {
            let is_over = of.latest < settled;
            if is_over {
                forgotten.sessions.push(session);
            }
            let Some(older) = &mut of.older else {
                continue;
            };
            older.blocks.retain(|block| {
                let is_kept = !is_over && block.latest >= settled;
                if !is_kept {
                    forgotten.blocks.push((session, block.number));
                }
                is_kept
            });
        }
        self.next = from.next().map_or_else(SessionId::default, |next| *next.0);
        for session in &forgotten.sessions {
            self.sessions.remove(session);
        }
        forgotten
    }

    /// Enters all that another replica has executed.
    pub(crate) fn join(&mut self, other: Self) {
        for (session, of) in other.sessions {
            let executed = self.sessions.entry(session).or_default();
            executed.join(of, &mut self.changes);
        }
    }

    pub(crate) fn of(&self, session: SessionId) -> Option<&Executed> {
        self.sessions.get(&session)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Executed)> {
        self.sessions.iter().map(|(&session, of)| (session, of))
    }

    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }
}

impl From<Vec<(SessionId, Executed)>> for ExecutedTable {
    fn from(sessions: Vec<(SessionId, Executed)>) -> Self {
        let mut table = Self::default();
        for (session, of) in sessions {
            // Whoever sent it may name one twice.
            let executed = table.sessions.entry(session).or_default();
            executed.join(of, &mut table.changes);
        }
        table
    }
}

impl Found<'_> {
    /// Whether the value reflects the update, as far as can be told.
    fn is_executed(self) -> bool {
        matches!(self, Self::Executed(_) | Self::Uncompared)
    }
}

impl Executed {
    fn contains(&self, sequence: u64) -> bool {
        // The next one is asked for nearly always.
        if self.runs.last().is_none_or(|last| *last.end() < sequence) {
            return false;
        }
        let at = self.runs.partition_point(|run| *run.end() < sequence);
        self.runs
            .get(at)
            .is_some_and(|run| *run.start() <= sequence)
    }

    /// Whether a number that is not executed would leave one run more than there may be.
    fn is_scattered(&self, sequence: u64) -> bool {
        let touches = |other: Option<u64>| other.is_some_and(|other| self.contains(other));
        self.runs.len() >= RUNS
            && !touches(sequence.checked_sub(1))
            && !touches(sequence.checked_add(1))
    }

    /// What is known of an update whose number is executed.
    fn find(&self, sequence: u64, time: Time, digest: Digest) -> Found<'_> {
        if let Ok(at) = self.position(sequence, digest) {
            return Found::Executed(&self.replies[at].ts);
        }
        let is_other = self.replies.iter().any(|reply| reply.sequence == sequence);
        match &self.older {
            Some(older) => older.find(sequence, time, digest, is_other),
            None if is_other => Found::Other,
            None => Found::Forgotten,
        }
    }

    /// Adds a run, and closes the gaps that it fills.
    fn include(&mut self, run: RangeInclusive<u64>) {
        let (mut first, mut last) = run.into_inner();
        if let Some(run) = self.runs.last_mut()
            && run.end().checked_add(1) == Some(first)
        {
            *run = *run.start()..=last;
            return;
        }
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

    fn join(&mut self, other: Self, changes: &mut u64) {
        self.latest = self.latest.max(other.latest);
        other.runs.into_iter().for_each(|run| self.include(run));
        if let Some(older) = other.older {
            self.older.get_or_insert_default().join(*older, changes);
        }
        for reply in other.replies {
            self.insert(reply, changes);
        }
    }

    fn insert(&mut self, reply: FirstReply, changes: &mut u64) {
        self.include(reply.sequence..=reply.sequence);
        let Err(at) = self.position(reply.sequence, reply.digest) else {
            return;
        };
        self.replies.insert(at, reply);
        if self.replies.len() >= 2 * REPLIES {
            let older = self.older.get_or_insert_default();
            for oldest in self.replies.drain(..REPLIES) {
                older.ts.merge(&oldest.ts);
                let place = block_of(oldest.sequence);
                older.keep(place, oldest.digest, self.latest, changes);
            }
        }
    }

    /// The blocks of digests.
    pub fn blocks(&self) -> &[Block] {
        self.older.as_ref().map_or(&[], |older| &older.blocks)
    }

    /// The same without its blocks, which can be large: what is stored apart from them.
    #[must_use]
    pub fn without_blocks(&self) -> Self {
        let without = |older: &Older| Older {
            ts: older.ts.clone(),
            blocks: Vec::new(),
            unknown: older.unknown,
        };
        Self {
            runs: self.runs.clone(),
            replies: self.replies.clone(),
            older: self
                .older
                .as_deref()
                .and_then(|older| without(older).boxed()),
            latest: self.latest,
        }
    }

    /// The blocks that have changed since the table had [so many
    /// changes](crate::Replica::executed_changes).
    pub fn changed_since(&self, changes: u64) -> impl Iterator<Item = &Block> {
        let is_new = move |block: &&Block| block.changed > changes;
        self.blocks().iter().filter(is_new)
    }

    /// The same, with nothing but the merge of all replies: for one that cannot compare
    /// retries by these digests.
    #[must_use]
    pub fn without_replies(mut self) -> Self {
        for reply in self.replies.drain(..) {
            self.older.get_or_insert_default().ts.merge(&reply.ts);
        }
        self
    }

    fn position(&self, sequence: u64, digest: Digest) -> Result<usize, usize> {
        let key = |reply: &FirstReply| (reply.sequence, reply.digest);
        if self
            .replies
            .last()
            .is_none_or(|last| last.sequence < sequence)
        {
            return Err(self.replies.len());
        }
        self.replies.binary_search_by_key(&(sequence, digest), key)
    }
}

impl Older {
    /// As it is held where it may be the default.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// What is known of an update with a number that is executed: by another among the latest,
    /// if it `is_other`.
    fn find(&self, sequence: u64, time: Time, digest: Digest, is_other: bool) -> Found<'_> {
        let (number, offset) = block_of(sequence);
        let block = self.block(number).ok().map(|at| &self.blocks[at]);
        let digests = block.map_or(&[][..], |block| &block.digests);
        if digests.binary_search(&(offset, digest)).is_ok() {
            return Found::Executed(&self.ts);
        }
        match is_other || digests.iter().any(|(other, _)| *other == offset) {
            true => Found::Other,
            false if time < self.unknown => Found::Uncompared,
            false => Found::Forgotten,
        }
    }

    fn join(&mut self, other: Self, changes: &mut u64) {
        self.ts.merge(&other.ts);
        self.unknown = self.unknown.max(other.unknown);
        for Block {
            number,
            latest,
            digests,
            ..
        } in other.blocks
        {
            for (offset, digest) in digests {
                self.keep((number, offset), digest, latest, changes);
            }
        }
    }

    /// Keeps a digest, of an update dated not after `latest`.
    fn keep(&mut self, (number, offset): (u64, u8), digest: Digest, latest: Time, to: &mut u64) {
        let at = self.block(number).unwrap_or_else(|at| {
            // A session that has made so many will make more.
            let digests = Vec::with_capacity(if at == 0 { 8 } else { BLOCK as usize });
            let block = Block {
                number,
                digests,
                ..Block::default()
            };
            self.blocks.insert(at, block);
            at
        });
        let block = &mut self.blocks[at];
        block.latest = block.latest.max(latest);
        let entry = (offset, digest);
        if block.digests.last().is_none_or(|last| *last < entry) {
            block.digests.push(entry);
        } else if let Err(at) = block.digests.binary_search(&entry) {
            block.digests.insert(at, entry);
        }
        *to += 1;
        block.changed = *to;
    }

    fn block(&self, number: u64) -> Result<usize, usize> {
        // The last one is asked for nearly always.
        match self.blocks.last() {
            Some(last) if last.number == number => Ok(self.blocks.len() - 1),
            Some(last) if last.number < number => Err(self.blocks.len()),
            _ => self
                .blocks
                .binary_search_by_key(&number, |block| block.number),
        }
    }
}

impl Block {
    /// Digests of the 64 sequence numbers from `64 * number` on: what is to be added to that,
    /// and the digest. `None` where one is out of place; no update in it is dated after
    /// `latest`.
    pub fn new(number: u64, latest: Time, digests: Vec<(u8, Digest)>) -> Option<Self> {
        let is_sound = number <= u64::MAX / BLOCK
            && digests.is_sorted_by(|one, next| one < next)
            && digests.last().is_some_and(|last| u64::from(last.0) < BLOCK);
        is_sound.then_some(Self {
            number,
            latest,
            digests,
            changed: 0,
        })
    }
}

/// In which block a sequence number is, and where there.
fn block_of(sequence: u64) -> (u64, u8) {
    (sequence / BLOCK, (sequence % BLOCK) as u8)
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
        table.enter(SESSION, Time(given), reply);
    }

    /// What a retry is told of the update that was entered with `given`: its reply, or one that
    /// covers it.
    fn reply(table: &ExecutedTable, sequence: u64, given: u64) -> Option<u64> {
        let (id, digest) = (UpdateId::new(SESSION, sequence), || digest(given));
        let found = table.find(id, Time(given), digest);
        let is_known = table.contains(id, Time(given), digest);
        match found {
            Some(Found::Executed(ts)) if is_known => Some(ts.height().1 as u64),
            _ => {
                assert!(!is_known);
                None
            }
        }
    }

    #[test]
    fn what_was_given_first_stays_in_any_order_of_insertion() {
        let mut table = ExecutedTable::default();
        for (sequence, given) in [(3, 30), (1, 10), (2, 20)] {
            insert(&mut table, sequence, given);
        }
        // The same update once more, with another timestamp.
        let again = FirstReply {
            sequence: 3,
            ts: ts(99),
            digest: digest(30),
        };
        assert!(!table.enter(SESSION, Time(30), again));
        for (sequence, given) in [(1, 10), (2, 20), (3, 30)] {
            assert_eq!(reply(&table, sequence, given), Some(given));
        }
        assert_eq!(find(&table, SESSION, 3), Some(Found::Other));
        assert_eq!(find(&table, SESSION, 4), None);
        assert_eq!(find(&table, SessionId(8), 1), None);
    }

    /// [L] 3.2: a cid is forgotten when no message with it can come any more.
    #[test]
    fn every_update_is_known_until_it_is_settled() {
        let mut table = ExecutedTable::default();
        let all = || (1..=1_000).filter(|sequence| *sequence != 500);
        all().for_each(|sequence| insert(&mut table, sequence, sequence));
        assert_eq!(reply(&table, 1_000, 1_000), Some(1_000));
        assert_eq!(reply(&table, 993, 993), Some(993));
        all()
            .take_while(|sequence| *sequence <= 985)
            .for_each(|sequence| assert_eq!(reply(&table, sequence, sequence), Some(985)));
        let of = table.of(SESSION).expect("it is there");
        assert_eq!((of.runs.len(), of.replies.len()), (2, 2 * REPLIES - 1));
        // What comes late is executed, and another with the same number is too.
        insert(&mut table, 500, 2_000);
        insert(&mut table, 7, 2_001);
        assert_eq!(reply(&table, 500, 2_000), Some(2_000));
        assert_eq!(reply(&table, 7, 7), Some(2_000));
        assert_eq!(reply(&table, 7, 2_001), Some(2_001));
        assert_eq!(table.of(SESSION).map(|of| of.runs.len()), Some(1));

        // Block 1 ends with 127, of which the reply was forgotten when 136 came; blocks 7 and
        // 15 have been added to when 500 did, at 2,000.
        let mut forgotten = Vec::new();
        for (settled, blocks) in [(72, 0), (73, 1), (136, 1), (137, 2), (2_000, 14)] {
            (0..PARTS).for_each(|_| forgotten.extend(table.forget(Time(settled)).blocks));
            assert_eq!(forgotten.len(), blocks, "{settled}: {forgotten:?}");
        }
        assert_eq!(forgotten[..2], [(SESSION, 0), (SESSION, 1)]);
        assert_eq!(find(&table, SESSION, 64), Some(Found::Forgotten));
        let latest = find(&table, SESSION, 1_000);
        assert_eq!(latest.map(Found::is_executed), Some(true));
        assert_eq!(reply(&table, 7, 2_001), Some(2_001));
        assert_eq!(reply(&table, 500, 2_000), Some(2_000));
    }

    fn find(table: &ExecutedTable, session: SessionId, sequence: u64) -> Option<Found<'_>> {
        let id = UpdateId::new(session, sequence);
        table.find(id, Time(sequence), || digest(sequence))
    }

    /// The runs of a session are bounded; an update that makes one longer is taken.
    #[test]
    fn a_session_leaves_so_many_gaps() {
        let mut table = ExecutedTable::default();
        for number in 1..=RUNS as u64 {
            assert_eq!(find(&table, SESSION, 10 * number), None);
            insert(&mut table, 10 * number, number);
        }
        for (sequence, scatters) in [
            (5, true),
            (9, false),
            (11, false),
            (u64::MAX, true),
            (0, true),
        ] {
            let found = scatters.then_some(Found::Scattered);
            assert_eq!(find(&table, SESSION, sequence), found, "{sequence}");
        }
        assert_eq!(find(&table, SessionId(8), 5), None);
    }

    /// What comes from a replica of 0.2: the numbers of all, and the digests of a few.
    #[test]
    fn what_cannot_be_compared_counts_as_executed() {
        let executed = Executed {
            runs: [1..=20].into(),
            replies: [(19, 5), (20, 6)]
                .map(|(sequence, given)| FirstReply {
                    sequence,
                    ts: ts(given),
                    digest: digest(given),
                })
                .into(),
            latest: Time(6),
            older: Older {
                unknown: Time(7),
                ..Older::default()
            }
            .boxed(),
        };
        let mut table = ExecutedTable::from([(SESSION, executed)].to_vec());
        for (sequence, given, found) in [
            (19, 5, Found::Executed(&ts(5))),
            (19, 6, Found::Other),
            (18, 6, Found::Uncompared),
            (18, 7, Found::Forgotten),
        ] {
            let (id, digest) = (UpdateId::new(SESSION, sequence), || digest(given));
            assert_eq!(table.find(id, Time(given), digest), Some(found));
        }
        insert(&mut table, 18, 6);
        assert_eq!(table.of(SESSION).map(|of| of.replies.len()), Some(2));
        insert(&mut table, 18, 7);
        assert_eq!(reply(&table, 18, 7), Some(7));
    }

    #[test]
    fn blocks_that_have_changed_are_told() {
        let mut table = ExecutedTable::default();
        (1..=200).for_each(|sequence| insert(&mut table, sequence, sequence));
        let before = table.changes();
        let changed = |table: &ExecutedTable, since| -> Vec<u64> {
            let of = table.of(SESSION).expect("it is there");
            of.changed_since(since).map(|block| block.number).collect()
        };
        assert_eq!(changed(&table, 0), [0, 1, 2, 3]);
        assert_eq!(changed(&table, before), []);
        insert(&mut table, 70, 300);
        (201..208).for_each(|sequence| insert(&mut table, sequence, sequence));
        assert_eq!(changed(&table, before), [1, 3]);
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
                let found = table.find(id, Time(0), Digest::default);
                assert_eq!(found.is_some(), all.contains(&sequence));
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
                table.enter(SessionId(session), Time(made), reply);
            }
        }
        // The last of an even session is of 20, also where another joins an older part.
        let older = table.of(SessionId(1)).cloned().expect("it is there");
        table.join([(SessionId(2), older)].to_vec().into());
        assert_eq!(table.forget(Time(5)).sessions, []);
        let mut forgotten = BTreeSet::new();
        for _ in 0..2 * PARTS {
            let part = table.forget(Time(20)).sessions;
            assert!(part.len() <= 100 / PARTS + 1, "{part:?}");
            forgotten.extend(part);
        }
        assert_eq!(forgotten.len(), 50);
        assert!(forgotten.iter().all(|session| session.0 % 2 == 1));
        assert!(table.of(SessionId(3)).is_none() && table.of(SessionId(2)).is_some());
        let rest: Vec<_> = (0..2 * PARTS)
            .flat_map(|_| table.forget(Time(21)).sessions)
            .collect();
        assert_eq!((rest.len(), table.iter().count()), (50, 0));
    }

    #[test]
    fn a_join_keeps_what_either_side_was_told() {
        let (mut one, mut two) = (ExecutedTable::default(), ExecutedTable::default());
        (1..=10).for_each(|sequence| insert(&mut one, sequence, sequence));
        (5..=20).for_each(|sequence| insert(&mut two, sequence, 100 + sequence));
        one.join(two);
        assert_eq!(reply(&one, 20, 120), Some(120));
        assert_eq!(reply(&one, 13, 113), Some(113));
        assert_eq!(reply(&one, 3, 3), Some(112));
        // Both that had the number 5.
        assert_eq!(
            (reply(&one, 5, 5), reply(&one, 5, 105)),
            (Some(112), Some(112))
        );
        assert_eq!(reply(&one, 21, 121), None);
    }
}
