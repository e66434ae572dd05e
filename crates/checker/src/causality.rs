//! Causal order, and what the reads say about the order of writes: steps 2 and 3.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::graph::Conflict;
use crate::trace::{Id, Role, Trace};

/// The causal order: session order and reads-from, transitively.
pub(crate) struct Causality {
    /// A row for each operation: for each session, one past the id of its last
    /// operation that is in the causal past (an operation is in its own); anything up
    /// to the session's first id means none.
    rows: Vec<u32>,
    sessions: usize,
}

impl Causality {
    /// `order` is from [`topological_order`].
    pub(crate) fn new(trace: &Trace<'_>, order: &[Id]) -> Self {
        let sessions = trace.sessions();
        let rows = vec![0; trace.len() * sessions];
        let mut causality = Self { rows, sessions };
        for &id in order {
            let row = causality.range(id);
            if let Some(previous) = trace.previous(id) {
                let previous = causality.range(previous);
                causality.rows.copy_within(previous, row.start);
            }
            if let Role::ReadFrom(writer) = trace.role(id) {
                causality.merge(id, writer);
            }
            causality.rows[row.start + trace.session(id)] = id.0 + 1;
        }
        causality
    }

    /// Whether `a` is in the causal past of `b`, or is `b`.
    pub(crate) fn precedes(&self, trace: &Trace<'_>, a: Id, b: Id) -> bool {
        a.0 < self.row(b)[trace.session(a)]
    }

    pub(crate) fn row(&self, id: Id) -> &[u32] {
        &self.rows[self.range(id)]
    }

    fn range(&self, id: Id) -> std::ops::Range<usize> {
        let start = id.index() * self.sessions;
        start..start + self.sessions
    }

    fn merge(&mut self, into: Id, from: Id) {
        let ranges = [self.range(into), self.range(from)];
        let [into, from] = self
            .rows
            .get_disjoint_mut(ranges)
            .expect("a read and a write are different operations");
        for (into, from) in into.iter_mut().zip(from) {
            *into = (*into).max(*from);
        }
    }
}

/// All operations, each after its causal past and otherwise as early as it stands in
/// the input, so that what is found first is also early there.
///
/// # Errors
/// Causality has a cycle: pairs of an operation and the read that awaits it, each read
/// at or before the operation of the next pair in the same session.
pub(crate) fn topological_order(trace: &Trace<'_>) -> Result<Vec<Id>, Vec<(Id, Id)>> {
    let mut order = Vec::with_capacity(trace.len());
    let mut done = vec![false; trace.len()];
    let mut blocked: HashMap<Id, Vec<Id>> = HashMap::new();
    let mut ready: BinaryHeap<Reverse<(usize, Id)>> = (0..trace.sessions())
        .map(|session| Id(trace.ids_of(session).start))
        .map(|first| Reverse((trace.place(first), first)))
        .collect();
    while let Some(Reverse((_, id))) = ready.pop() {
        if let Role::ReadFrom(writer) = trace.role(id)
            && !done[writer.index()]
        {
            blocked.entry(writer).or_default().push(id);
            continue;
        }
        done[id.index()] = true;
        order.push(id);
        let next = Some(Id(id.0 + 1)).filter(|next| next.0 < trace.ids_of(trace.session(id)).end);
        let woken = blocked.remove(&id).unwrap_or_default();
        for id in next.into_iter().chain(woken) {
            ready.push(Reverse((trace.place(id), id)));
        }
    }
    if order.len() == trace.len() {
        Ok(order)
    } else {
        Err(causal_cycle(trace, blocked))
    }
}

/// Each unfinished session waits at one read for a write of another unfinished session
/// (or of its own, further on). Following these from any of them ends in a cycle.
/// Takes the shortest of these cycles, and the earliest in the input among equals.
fn causal_cycle(trace: &Trace<'_>, blocked: HashMap<Id, Vec<Id>>) -> Vec<(Id, Id)> {
    let mut waits: Vec<Option<(Id, Id)>> = vec![None; trace.sessions()];
    for (writer, readers) in blocked {
        for reader in readers {
            waits[trace.session(reader)] = Some((writer, reader));
        }
    }
    let mut visited_from = vec![usize::MAX; trace.sessions()];
    let mut cycles: Vec<Vec<(Id, Id)>> = Vec::new();
    for start in 0..trace.sessions() {
        let mut walk = Vec::new();
        let mut session = start;
        while let Some(wait @ (writer, _)) = waits[session]
            && visited_from[session] == usize::MAX
        {
            visited_from[session] = start;
            walk.push(wait);
            session = trace.session(writer);
        }
        let entry = walk
            .iter()
            .position(|&(_, reader)| trace.session(reader) == session);
        if let Some(entry) = entry {
            // From the awaited to the awaiting: causal order, not waiting order.
            cycles.push(walk[entry..].iter().rev().copied().collect());
        }
    }
    cycles
        .into_iter()
        .min_by_key(|cycle| {
            let earliest = cycle.iter().map(|&(_, reader)| trace.place(reader)).min();
            (cycle.len(), earliest)
        })
        .expect("a session can only wait for an unfinished one")
}

/// What the reads say about the order of writes.
pub(crate) struct Verdicts {
    /// Orders that causality does not imply, each said once.
    pub(crate) conflicts: Vec<Conflict>,
    /// How many reads return what another session wrote.
    pub(crate) reads_of_others: usize,
}

/// Judges every read.
///
/// # Errors
/// The first read in `order` that returns what its causal past overwrote: that alone is
/// a violation, as the two orders contradict each other.
pub(crate) fn judge_reads(
    trace: &Trace<'_>,
    causality: &Causality,
    order: &[Id],
) -> Result<Verdicts, Id> {
    let mut conflicts = Conflicts::default();
    let mut reads_of_others = 0;
    for &reader in order {
        let source = match trace.role(reader) {
            Role::Write => continue,
            Role::ReadInitial => None,
            Role::ReadFrom(writer) => Some(writer),
        };
        let from_other = |writer| trace.session(writer) != trace.session(reader);
        reads_of_others += usize::from(source.is_some_and(from_other));
        let seen = causality.row(reader);
        for versions in trace.versions_of(trace.key(reader)) {
            let Some(before) = trace.last_below(versions, seen[versions.session]) else {
                continue;
            };
            let Some(after) = source else {
                return Err(reader);
            };
            if before == after || causality.precedes(trace, before, after) {
                continue;
            }
            if causality.precedes(trace, after, before) {
                return Err(reader);
            }
            conflicts.add(
                trace,
                Conflict {
                    after,
                    before,
                    reader,
                },
            );
        }
    }
    Ok(Verdicts {
        conflicts: conflicts.finish(trace),
        reads_of_others,
    })
}

/// Collects conflicts in memory linear in writes times sessions, though there may be
/// that many for every single read.
#[derive(Default)]
struct Conflicts {
    all: Vec<Conflict>,
    /// How many were left by the last compaction.
    distinct: usize,
}

impl Conflicts {
    fn add(&mut self, trace: &Trace<'_>, conflict: Conflict) {
        const SMALL: usize = 1 << 20;
        if self.all.len() >= SMALL.max(2 * self.distinct) {
            self.compact(trace);
        }
        self.all.push(conflict);
    }

    /// Of the writes of one session that must precede one write, keeps the last:
    /// session order implies the others.
    fn compact(&mut self, trace: &Trace<'_>) {
        let session = |conflict: &Conflict| trace.session(conflict.before);
        self.all.sort_unstable_by_key(|conflict| {
            let reader = trace.place(conflict.reader);
            (conflict.after, Reverse(conflict.before), reader)
        });
        self.all
            .dedup_by(|next, kept| next.after == kept.after && session(next) == session(kept));
        self.distinct = self.all.len();
    }

    fn finish(mut self, trace: &Trace<'_>) -> Vec<Conflict> {
        self.compact(trace);
        self.all
    }
}
