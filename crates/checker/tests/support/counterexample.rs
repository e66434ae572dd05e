//! Whether a counterexample is one: every step is checked against the history alone.

use backfence_checker::{
    Anomaly, Event, History, HistoryBuilder, Kind, Operation, Point, Reason, Step, Value, Violation,
};

/// The history of these operations.
pub(crate) fn history(operations: &[Operation]) -> History {
    let mut builder = HistoryBuilder::default();
    for &operation in operations {
        builder
            .push(operation)
            .expect("the test's history is well formed");
    }
    builder.finish()
}

/// Panics unless the violation follows from the operations, the first on line 1.
pub(crate) fn assert_holds(operations: &[Operation], violation: &Violation) {
    let stands = |event: Event| operations[event.line as usize - 1] == event.operation;
    let holds = match &violation.anomaly {
        Anomaly::ThinAirRead { read } => {
            let Operation { key, value, .. } = read.operation;
            let written = operations
                .iter()
                .any(|other| other.kind == Kind::Write && (other.key, other.value) == (key, value));
            stands(*read) && value != Value::INITIAL && !written && violation.cycle.is_empty()
        }
        Anomaly::CausalCycle => is_circle(&violation.cycle) && overwritten(violation) == 0,
        Anomaly::StaleRead { .. } => is_circle(&violation.cycle) && overwritten(violation) == 1,
        Anomaly::DivergentOrder { .. } => is_circle(&violation.cycle) && overwritten(violation) > 1,
    };
    let steps = violation.cycle.iter().all(|step| step_holds(step, &stands));
    assert!(
        holds && steps,
        "wrong counterexample: {violation}\n{operations:?}"
    );
}

fn overwritten(violation: &Violation) -> usize {
    let is_overwritten = |step: &&Step| matches!(step.reason, Reason::Overwritten { .. });
    violation.cycle.iter().filter(is_overwritten).count()
}

fn is_circle(cycle: &[Step]) -> bool {
    let next = cycle.iter().cycle().skip(1);
    !cycle.is_empty()
        && cycle
            .iter()
            .zip(next)
            .all(|(step, next)| step.to == next.from)
}

fn step_holds(step: &Step, stands: &impl Fn(Event) -> bool) -> bool {
    if let (Point::Initial(from), Point::Event(to)) = (step.from, step.to) {
        return step.reason == Reason::InitialFirst && to.operation.key == from && stands(to);
    }
    let Point::Event(from) = step.from else {
        return false;
    };
    if !stands(from) {
        return false;
    }
    if let Reason::Overwritten { reader, seen } = &step.reason {
        return stands(*reader)
            && overwrites(from, step.to, *reader)
            && leads(from, *reader, seen)
            && seen.iter().all(|step| step_holds(step, stands));
    }
    let Point::Event(to) = step.to else {
        return false;
    };
    let same = |what: fn(&Operation) -> u64| what(&from.operation) == what(&to.operation);
    stands(to)
        && match step.reason {
            Reason::SessionOrder => same(|operation| operation.session.0) && from.line < to.line,
            Reason::ReadsFrom => {
                from.operation.kind == Kind::Write
                    && to.operation.kind == Kind::Read
                    && same(|operation| operation.key.0)
                    && same(|operation| operation.value.0)
            }
            Reason::InitialFirst | Reason::Overwritten { .. } => false,
        }
}

/// `from` and `to` are different writes of one key, and the reader returned `to`.
fn overwrites(from: Event, to: Point, reader: Event) -> bool {
    let Operation { key, value, .. } = reader.operation;
    let returned = match to {
        Point::Initial(of) => of == key && value == Value::INITIAL,
        Point::Event(to) => {
            to.operation.kind == Kind::Write
                && (to.operation.key, to.operation.value) == (key, value)
        }
    };
    from.operation.kind == Kind::Write
        && from.operation.key == key
        && from.operation.value != value
        && reader.operation.kind == Kind::Read
        && returned
}

/// The steps are an unbroken chain of causality from the one to the other.
fn leads(from: Event, to: Event, steps: &[Step]) -> bool {
    let causal = |step: &Step| matches!(step.reason, Reason::SessionOrder | Reason::ReadsFrom);
    steps.iter().all(causal)
        && steps.windows(2).all(|pair| pair[0].to == pair[1].from)
        && steps
            .first()
            .is_some_and(|first| first.from == Point::Event(from))
        && steps.last().is_some_and(|last| last.to == Point::Event(to))
}
