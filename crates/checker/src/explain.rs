//! The verdict, and the counterexample where there is one.

use crate::causality::{Causality, judge_reads, topological_order};
use crate::graph::{Conflict, Graph, Hop, Why};
use crate::history::{History, Size};
use crate::operation::Key;
use crate::trace::{Id, Role, Trace};
use crate::violation::{Anomaly, Event, Guarantee, Point, Reason, Step, Violation};

/// A history that was found causally consistent with convergence, and how much that
/// says: one in which nobody reads what others wrote cannot be inconsistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consistent {
    /// How much there was.
    pub size: Size,
    /// Reads that returned what another session wrote.
    pub reads_of_others: usize,
    /// Pairs of concurrent writes whose order the reads revealed.
    pub ordered_pairs: usize,
}

/// Judges whether a history is causally consistent with convergence.
///
/// # Errors
/// It is not: of a read of a value that nobody wrote, a cycle in causality, a stale read
/// and a divergent order of writes, the first that there is.
pub fn check(history: &History) -> Result<Consistent, Violation> {
    let trace = Trace::new(history).map_err(|place| Violation {
        anomaly: Anomaly::ThinAirRead {
            read: Event::at(history, place),
        },
        broken: Vec::new(),
        cycle: Vec::new(),
    })?;
    let order = topological_order(&trace).map_err(|cycle| causal_cycle(&trace, &cycle))?;
    let causality = Causality::new(&trace, &order);
    let verdicts = judge_reads(&trace, &causality, &order)
        .map_err(|reader| stale_read(&trace, &causality, reader))?;
    // The search for cycles needs memory too, and not these.
    drop((causality, order));
    let consistent = Consistent {
        size: history.size(),
        reads_of_others: verdicts.reads_of_others,
        ordered_pairs: verdicts.conflicts.len(),
    };
    match divergent_order(&trace, verdicts.conflicts) {
        None => Ok(consistent),
        Some(violation) => Err(violation),
    }
}

fn causal_cycle(trace: &Trace<'_>, waits: &[(Id, Id)]) -> Violation {
    let mut cycle = Vec::new();
    for (at, &(writer, reader)) in waits.iter().enumerate() {
        let (next, _) = waits[(at + 1) % waits.len()];
        for (from, to, why) in [
            (writer, reader, Why::ReadsFrom),
            (reader, next, Why::SessionOrder),
        ] {
            cycle.push(step(trace, Hop { from, to, why }));
        }
    }
    Violation {
        anomaly: Anomaly::CausalCycle,
        broken: Vec::new(),
        cycle,
    }
}

/// Explains a read by the newer write that took the shortest way to it.
fn stale_read(trace: &Trace<'_>, causality: &Causality, reader: Id) -> Violation {
    let key = trace.key(reader);
    let source = match trace.role(reader) {
        Role::ReadFrom(writer) => Some(writer),
        Role::Write | Role::ReadInitial => None,
    };
    let is_newer = |id: Id| {
        let older = |source| source != id && causality.precedes(trace, source, id);
        trace.role(id) == Role::Write && trace.key(id) == key && source.is_none_or(older)
    };
    let seen = causal_path(trace, reader, is_newer);
    let newer = seen[0].from;
    let read = trace.event(reader);
    let initial = Point::Initial(read.operation.key);
    let mut cycle = match source {
        Some(source) => steps(trace, &causal_path(trace, newer, |id| id == source)),
        None => vec![Step {
            from: initial,
            to: trace.point(newer),
            reason: Reason::InitialFirst,
        }],
    };
    cycle.push(Step {
        from: trace.point(newer),
        to: source.map_or(initial, |source| trace.point(source)),
        reason: Reason::Overwritten {
            reader: read,
            seen: steps(trace, &seen),
        },
    });
    Violation {
        anomaly: Anomaly::StaleRead { read },
        broken: guarantee(&seen).into_iter().collect(),
        cycle,
    }
}

/// Which session guarantee covers the shortest way from a write to a read that should
/// have seen it.
///
/// Its hops take turns, since a reads-from leads from a write to a read; and the last is
/// in the reader's session, since the reader read another write. So their number tells
/// which they are: one is "own write", two "read by the session", three "before a write
/// of its session that was read", four "read before that". More are several guarantees
/// in turn.
fn guarantee(seen: &[Hop]) -> Option<Guarantee> {
    match seen.len() {
        1 => Some(Guarantee::ReadYourWrites),
        2 => Some(Guarantee::MonotonicReads),
        3 => Some(Guarantee::MonotonicWrites),
        4 => Some(Guarantee::WritesFollowReads),
        _ => None,
    }
}

/// The shortest way of causality from any such operation to another one.
fn causal_path(trace: &Trace<'_>, to: Id, is_start: impl Fn(Id) -> bool) -> Vec<Hop> {
    Graph::causal(trace)
        .shortest_path(to, is_start, |_| true, &mut usize::MAX.clone())
        .expect("the vectors say that there is one in the causal past")
}

/// How many operations the search for a shorter cycle may look at after the first.
const SEARCH: usize = 2_000_000;

fn divergent_order(trace: &Trace<'_>, conflicts: Vec<Conflict>) -> Option<Violation> {
    if conflicts.is_empty() {
        return None;
    }
    let graph = Graph::with_conflicts(trace, conflicts);
    let component = graph.components();
    let component = |id: Id| component[id.index()];
    let cyclic = |conflict: &&Conflict| component(conflict.before) == component(conflict.after);
    let mut candidates: Vec<&Conflict> = graph.conflicts.iter().filter(cyclic).collect();
    candidates.sort_by_key(|conflict| trace.place(conflict.reader));
    let mut budget = usize::MAX;
    let mut shortest: Option<Vec<Hop>> = None;
    for conflict in candidates {
        let Conflict { before, after, .. } = *conflict;
        let inside = |id| component(id) == component(after);
        let path = graph.shortest_path(before, |id| id == after, inside, &mut budget);
        let Some(mut cycle) = path else {
            break;
        };
        budget = budget.min(SEARCH);
        let reader = conflict.reader;
        cycle.push(Hop {
            from: before,
            to: after,
            why: Why::Overwritten { reader },
        });
        if shortest
            .as_ref()
            .is_none_or(|best| cycle.len() < best.len())
        {
            // There is none of one step: no write is ordered before itself.
            let is_least = cycle.len() == 2;
            shortest = Some(cycle);
            if is_least {
                break;
            }
        }
    }
    shortest.map(|cycle| divergence(trace, cycle))
}

fn divergence(trace: &Trace<'_>, mut cycle: Vec<Hop>) -> Violation {
    let mut keys: Vec<Key> = Vec::new();
    for hop in &cycle {
        let key = trace.event(hop.to).operation.key;
        if matches!(hop.why, Why::Overwritten { .. }) && !keys.contains(&key) {
            keys.push(key);
        }
    }
    Violation {
        anomaly: Anomaly::DivergentOrder { keys },
        broken: broken_by_one_session(trace, &mut cycle),
        cycle: steps(trace, &cycle),
    }
}

/// If what one session itself wrote and read suffices for the cycle, then in each order
/// of the writes it read something older than it had already written or read. Makes that
/// session the reader everywhere, so that the cycle shows it.
fn broken_by_one_session(trace: &Trace<'_>, cycle: &mut [Hop]) -> Vec<Guarantee> {
    let mut broken = Vec::new();
    let Some(readers) =
        (0..trace.sessions()).find_map(|session| own_readers(trace, session, cycle))
    else {
        return broken;
    };
    let is_conflict = |hop: &&mut Hop| matches!(hop.why, Why::Overwritten { .. });
    for (hop, reader) in cycle.iter_mut().filter(is_conflict).zip(readers) {
        hop.why = Why::Overwritten { reader };
        let seen = causal_path(trace, reader, |id| id == hop.from);
        broken.extend(guarantee(&seen).filter(|guarantee| !broken.contains(guarantee)));
    }
    broken
}

/// For each conflict of the cycle, the session's first read of the later write after it
/// wrote or read the earlier one; none if one is missing.
fn own_readers(trace: &Trace<'_>, session: usize, cycle: &[Hop]) -> Option<Vec<Id>> {
    let conflicts = cycle
        .iter()
        .filter(|hop| matches!(hop.why, Why::Overwritten { .. }));
    conflicts
        .map(|hop| {
            let mut own = trace.ids_of(session).map(Id);
            own.find(|&id| id == hop.from || trace.role(id) == Role::ReadFrom(hop.from))?;
            own.find(|&id| trace.role(id) == Role::ReadFrom(hop.to))
        })
        .collect()
}

fn steps(trace: &Trace<'_>, hops: &[Hop]) -> Vec<Step> {
    hops.iter().map(|&hop| step(trace, hop)).collect()
}

fn step(trace: &Trace<'_>, hop: Hop) -> Step {
    let reason = match hop.why {
        Why::SessionOrder => Reason::SessionOrder,
        Why::ReadsFrom => Reason::ReadsFrom,
        Why::Overwritten { reader } => Reason::Overwritten {
            reader: trace.event(reader),
            seen: steps(trace, &causal_path(trace, reader, |id| id == hop.from)),
        },
    };
    Step {
        from: trace.point(hop.from),
        to: trace.point(hop.to),
        reason,
    }
}
