//! The definition of CCv, taken literally: every order of the writes is tried.

use backfence_checker::{Guarantee, Kind, Operation, Value};

/// What the definition says of a history.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Consistent,
    ThinAir,
    /// Session order and reads-from have a cycle.
    Cyclic,
    /// Some read returns what its causal past overwrote. With the session guarantee that
    /// each such read breaks, by the operation's place.
    Stale(Vec<(usize, Option<Guarantee>)>),
    /// None of the above, and still no order of the writes explains all reads.
    Divergent,
}

/// Judges at most 16 operations, each session's in its order.
pub(crate) fn judge(operations: &[Operation]) -> Judgement {
    let sources: Option<Vec<_>> = operations
        .iter()
        .map(|operation| source(operations, operation))
        .collect();
    let Some(sources) = sources else {
        return Judgement::ThinAir;
    };
    let past = causal_past(operations, &sources);
    if (0..operations.len()).any(|at| past[at] >> at & 1 == 1) {
        return Judgement::Cyclic;
    }
    let small = Small {
        operations,
        sources,
        past,
    };
    let stale: Vec<_> = (0..operations.len())
        .filter(|&read| small.newer_seen(read) != 0)
        .map(|read| (read, small.guarantee(read)))
        .collect();
    let explained = small.some_order_explains(&mut Vec::new());
    match (explained, stale.is_empty()) {
        (true, true) => Judgement::Consistent,
        (true, false) => panic!("a stale read has no explanation: {operations:?}"),
        (false, true) => Judgement::Divergent,
        (false, false) => Judgement::Stale(stale),
    }
}

/// `Some(Some(write))` for a read, `Some(None)` for a write or a read of the initial
/// value, `None` if nobody wrote what was read.
fn source(operations: &[Operation], operation: &Operation) -> Option<Option<usize>> {
    if operation.kind == Kind::Write || operation.value == Value::INITIAL {
        return Some(None);
    }
    let wrote = |other: &Operation| {
        other.kind == Kind::Write && other.key == operation.key && other.value == operation.value
    };
    operations.iter().position(wrote).map(Some)
}

/// For each operation the set of those before it, as bits.
fn causal_past(operations: &[Operation], sources: &[Option<usize>]) -> Vec<u32> {
    let mut past: Vec<u32> = (0..operations.len())
        .map(|at| {
            let earlier =
                (0..at).filter(|&other| operations[other].session == operations[at].session);
            earlier
                .chain(sources[at])
                .fold(0, |set, other| set | 1 << other)
        })
        .collect();
    for middle in 0..past.len() {
        for at in 0..past.len() {
            if past[at] >> middle & 1 == 1 {
                past[at] |= past[middle];
            }
        }
    }
    past
}

struct Small<'a> {
    operations: &'a [Operation],
    sources: Vec<Option<usize>>,
    past: Vec<u32>,
}

impl Small<'_> {
    /// Tries all orders of the writes that begin with `order` and extend causality.
    fn some_order_explains(&self, order: &mut Vec<usize>) -> bool {
        let writes = self.all(Kind::Write);
        let placed = order.iter().fold(0, |set, write| set | 1 << write);
        if placed == writes {
            return self.explains(order);
        }
        (0..self.operations.len()).any(|write| {
            let next =
                writes & !placed & 1 << write != 0 && self.past[write] & writes & !placed == 0;
            if !next {
                return false;
            }
            order.push(write);
            let found = self.some_order_explains(order);
            order.pop();
            found
        })
    }

    fn explains(&self, order: &[usize]) -> bool {
        (0..self.operations.len())
            .filter(|&at| self.operations[at].kind == Kind::Read)
            .all(|read| {
                let visible = |write: &&usize| {
                    self.past[read] >> **write & 1 == 1 && self.same_key(**write, read)
                };
                order.iter().rev().find(visible).copied() == self.sources[read]
            })
    }

    /// Writes of the key in the causal past of the read, after the one it returned.
    fn newer_seen(&self, read: usize) -> u32 {
        if self.operations[read].kind == Kind::Write {
            return 0;
        }
        (0..self.operations.len())
            .filter(|&write| self.operations[write].kind == Kind::Write)
            .filter(|&write| self.same_key(write, read) && self.past[read] >> write & 1 == 1)
            .filter(|&write| match self.sources[read] {
                Some(source) => self.past[write] >> source & 1 == 1,
                None => true,
            })
            .fold(0, |set, write| set | 1 << write)
    }

    /// The guarantees in the words of their definitions, the most direct first.
    fn guarantee(&self, read: usize) -> Option<Guarantee> {
        let newer = self.newer_seen(read);
        let newer = |write: usize| newer >> write & 1 == 1;
        let before = |at: usize| (0..at).filter(move |&other| self.same_session(other, at));
        let sources_before = |at: usize| before(at).filter_map(|other| self.sources[other]);
        if before(read).any(newer) {
            return Some(Guarantee::ReadYourWrites);
        }
        if sources_before(read).any(newer) {
            return Some(Guarantee::MonotonicReads);
        }
        if sources_before(read).any(|seen| before(seen).any(newer)) {
            return Some(Guarantee::MonotonicWrites);
        }
        if sources_before(read).any(|seen| sources_before(seen).any(newer)) {
            return Some(Guarantee::WritesFollowReads);
        }
        None
    }

    fn all(&self, kind: Kind) -> u32 {
        (0..self.operations.len())
            .filter(|&at| self.operations[at].kind == kind)
            .fold(0, |set, at| set | 1 << at)
    }

    fn same_key(&self, a: usize, b: usize) -> bool {
        self.operations[a].key == self.operations[b].key
    }

    fn same_session(&self, a: usize, b: usize) -> bool {
        self.operations[a].session == self.operations[b].session
    }
}
