//! Verdicts as text for people and JSON for scripts.

use backfence_checker::{
    Anomaly, Consistent, Event, History, Key, Kind, Point, Problem, Reason, Step, Unreadable,
    Violation,
};
use serde_json::{Value, json};

type Verdict = Result<Consistent, Violation>;

pub(crate) fn text(history: &History, verdict: &Verdict) -> String {
    let size = history.size();
    let said = if verdict.is_ok() {
        "consistent"
    } else {
        "NOT consistent"
    };
    let summary = format!(
        "{}, {}, {}: {said}",
        counted(size.operations, "operation"),
        counted(size.sessions, "session"),
        counted(size.keys, "key")
    );
    match verdict {
        Ok(_) => summary,
        Err(violation) => format!("{summary}\n{violation}"),
    }
}

pub(crate) fn json(history: &History, verdict: &Verdict) -> String {
    let size = history.size();
    let mut object = json!({
        "verdict": if verdict.is_ok() { "consistent" } else { "inconsistent" },
        "operations": size.operations,
        "writes": size.writes,
        "sessions": size.sessions,
        "keys": size.keys,
    });
    match verdict {
        Ok(consistent) => {
            object["reads_of_others"] = consistent.reads_of_others.into();
            object["ordered_pairs"] = consistent.ordered_pairs.into();
        }
        Err(violation) => {
            let names = violation.broken.iter().map(|guarantee| guarantee.name());
            let broken = names.map(|name| name.replace(' ', "_"));
            object["anomaly"] = anomaly(&violation.anomaly);
            object["broken"] = broken.collect();
            object["message"] = violation.headline().into();
            object["cycle"] = violation.cycle.iter().map(step).collect();
        }
    }
    object.to_string()
}

/// An input that breaks off does so anywhere, so its line would tell nothing.
pub(crate) fn refusal(file: &str, unreadable: &Unreadable) -> String {
    let Unreadable { line, problem } = unreadable;
    match problem {
        Problem::Io(_) => format!("{file}: {problem}"),
        _ => format!("{file}:{line}: {problem}"),
    }
}

pub(crate) fn unreadable(file: &str, unreadable: &Unreadable) -> String {
    json!({
        "verdict": "unreadable",
        "file": file,
        "line": unreadable.line,
        "message": unreadable.problem.to_string(),
    })
    .to_string()
}

fn anomaly(anomaly: &Anomaly) -> Value {
    match anomaly {
        Anomaly::ThinAirRead { read } => json!({"kind": "thin_air_read", "read": event(read)}),
        Anomaly::CausalCycle => json!({"kind": "causal_cycle"}),
        Anomaly::StaleRead { read } => json!({"kind": "stale_read", "read": event(read)}),
        Anomaly::DivergentOrder { keys } => {
            let keys: Vec<u64> = keys.iter().map(|&Key(key)| key).collect();
            json!({"kind": "divergent_order", "keys": keys})
        }
    }
}

fn step(step: &Step) -> Value {
    let mut object = json!({"from": point(&step.from), "to": point(&step.to)});
    object["reason"] = match &step.reason {
        Reason::InitialFirst => "initial_first".into(),
        Reason::SessionOrder => "session_order".into(),
        Reason::ReadsFrom => "reads_from".into(),
        Reason::Overwritten { reader, seen } => {
            object["reader"] = event(reader);
            object["seen"] = seen.iter().map(self::step).collect();
            "overwritten".into()
        }
    };
    object
}

fn point(point: &Point) -> Value {
    match point {
        Point::Initial(key) => json!({"initial_value_of_key": key.0}),
        Point::Event(event) => self::event(event),
    }
}

fn event(event: &Event) -> Value {
    let operation = event.operation;
    json!({
        "line": event.line,
        "kind": match operation.kind {
            Kind::Write => "write",
            Kind::Read => "read",
        },
        "key": operation.key.0,
        "value": operation.value.0,
        "session": operation.session.0,
        "txn": operation.txn.0,
    })
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
