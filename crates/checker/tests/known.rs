//! Histories whose verdict is known, and the name that each violation gets.

#[path = "support/counterexample.rs"]
mod counterexample;

use backfence_checker::Guarantee::{
    MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads,
};
use backfence_checker::{Anomaly, Guarantee, History, Key, Operation, Violation, check};
use counterexample::{assert_holds, history};

/// Each session is a line of accesses: `x=1` writes, `x:1` reads, `.` lets a step pass.
/// The input has the first access of each session, then the second of each, and so on.
fn violation(sessions: &[&str]) -> Option<Violation> {
    let rows: Vec<Vec<&str>> = sessions
        .iter()
        .map(|row| row.split_whitespace().collect())
        .collect();
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut operations: Vec<Operation> = Vec::new();
    for column in 0..longest {
        for (session, row) in (1..).zip(&rows) {
            let txn = operations.len() as u64 + 1;
            match row.get(column).map(|access| access.as_bytes()) {
                Some(&[key, b'=', value]) => {
                    operations.push(Operation::write(key.into(), digit(value), session, txn));
                }
                Some(&[key, b':', value]) => {
                    operations.push(Operation::read(key.into(), digit(value), session, txn));
                }
                _ => {}
            }
        }
    }
    let violation = check(&history(&operations)).err()?;
    assert_holds(&operations, &violation);
    Some(violation)
}

fn digit(byte: u8) -> u64 {
    u64::from(byte - b'0')
}

#[test]
fn consistent_histories() {
    let check = |name: &str, sessions: &[&str]| {
        assert_eq!(violation(sessions), None, "{name}");
    };
    check("nothing", &[]);
    check("initial values", &["x:0 y:0 x:0"]);
    check("own writes", &["x=1 x:1 x=2 x:2 x:2"]);
    check("a write that is never read", &["x=1", "x:0 x:0"]);
    check(
        "store buffering: nobody has seen the other",
        &["x=1 y:0", "y=1 x:0"],
    );
    check(
        "long fork: two keys seen in two orders",
        &["x=1", "y=1", "x:1 y:0", "y:1 x:0"],
    );
    check(
        "concurrent writes, one order",
        &["x=1", "x=2", "x:1 x:2 x:2", "x:1 x:2"],
    );
    check(
        "the overwritten value is seen late elsewhere",
        &["x=1 x=2", ". . . x:1 x:2"],
    );
    check("a skipped value", &["x=1 x=2 x=3", "x:1 x:3"]);
    check("a read that stands before its write", &["x:1", ". . . x=1"]);
    check(
        "a chain through three sessions",
        &["x=1", "x:1 y=1", ". y:1 z=1", ". . z:1 x:1 y:1"],
    );
    check("each reads the other's, one order", &["x=1 x:2", "x=2 x:2"]);
}

#[test]
fn session_guarantees() {
    let check = |sessions: &[&str], expected: &[Guarantee]| {
        let violation = violation(sessions).expect("not consistent");
        assert!(
            matches!(violation.anomaly, Anomaly::StaleRead { .. }),
            "{violation}"
        );
        assert_eq!(violation.broken, expected, "{violation}");
        for guarantee in expected {
            assert!(
                violation.headline().contains(guarantee.name()),
                "{violation}"
            );
        }
    };
    check(&["x=1 x:0"], &[ReadYourWrites]);
    check(&["x=1 x=2 x:1"], &[ReadYourWrites]);
    check(&["x=1", ". x:1 x=2 x:1"], &[ReadYourWrites]);
    check(&["x=1", ". x:1 x:0"], &[MonotonicReads]);
    check(&["x=1 x=2", ". . x:2 x:1"], &[MonotonicReads]);
    check(&["x=1", ". x:1 x=2", ". . . x:2 x:1"], &[MonotonicReads]);
    check(&["x=1 y=1", ". . y:1 x:0"], &[MonotonicWrites]);
    check(&["x=1 x=2 y=1", ". . . y:1 x:1"], &[MonotonicWrites]);
    check(&["x=1", ". x:1 y=1", ". . . y:1 x:0"], &[WritesFollowReads]);
    check(
        &["x=1 x=2", ". . x:2 y=1", ". . . . y:1 x:1"],
        &[WritesFollowReads],
    );
    // The write goes on to a second session before it is lost: two guarantees in turn.
    check(&["x=1 y=1", ". . y:1 z=1", ". . . . z:1 x:0"], &[]);
    check(
        &["x=1", ". x:1 y=1", ". . . y:1 z=1", ". . . . . z:1 x:0"],
        &[],
    );
    // Both apply: what the session did itself is the more telling.
    check(&["x=1 y=1 y:1 x:0"], &[ReadYourWrites]);
    check(&["x=1 y=1", ". . x:1 y:1 x:0"], &[MonotonicReads]);
}

#[test]
fn divergent_orders() {
    let check = |sessions: &[&str], keys: &str, broken: &[Guarantee]| {
        let violation = violation(sessions).expect("not consistent");
        let keys = keys.bytes().map(|key| Key(key.into())).collect();
        assert_eq!(
            violation.anomaly,
            Anomaly::DivergentOrder { keys },
            "{violation}"
        );
        assert_eq!(violation.broken, broken, "{violation}");
        assert!(
            violation
                .headline()
                .contains("no single order of the writes of key")
        );
    };
    check(&["x=1", "x=2", ". x:1 x:2", ". x:2 x:1"], "x", &[]);
    check(&["x=1 x:2", "x=2 x:1"], "x", &[]);
    check(
        &["x=1 y=1", "y=2 x=2", ". . x:2 x:1", ". . y:1 y:2"],
        "yx",
        &[],
    );
    check(
        &["x=1", "x=2", "x=3", ". x:1 x:2", ". x:2 x:3", ". x:3 x:1"],
        "x",
        &[],
    );
}

/// The cycle of three is read first, the one of two is easier to follow.
#[test]
fn the_shorter_cycle_is_shown() {
    let three = [
        "x=1",
        "x=2",
        "x=3",
        "x=4",
        ". x:1 x:2",
        ". x:2 x:3",
        ". x:3 x:1",
    ];
    let two = [". . . x:3 x:4", ". . . x:4 x:3"];
    assert_eq!(violation(&three).expect("not consistent").cycle.len(), 3);
    let both = [&three[..], &two[..]].concat();
    assert_eq!(violation(&both).expect("not consistent").cycle.len(), 2);
}

/// Only orders that causality does not imply count as revealed by reads.
#[test]
fn what_a_verdict_rests_on() {
    let check = |text: &str, reads_of_others: usize, ordered_pairs: usize| {
        let history = History::parse(text.as_bytes()).expect("well formed");
        let consistent = check(&history).expect("consistent");
        let found = (consistent.reads_of_others, consistent.ordered_pairs);
        assert_eq!(found, (reads_of_others, ordered_pairs), "{text}");
    };
    check("w(1,1,1,1)\nr(1,1,1,2)", 0, 0);
    check("w(1,1,1,1)\nw(1,2,1,2)\nr(1,2,2,3)", 1, 0);
    check("w(1,1,1,1)\nr(1,1,2,2)\nw(1,2,2,3)\nr(1,2,3,4)", 2, 0);
    check("w(1,1,1,1)\nw(1,2,2,2)\nr(1,2,1,3)", 1, 1);
}

/// Whichever order the writes had, these sessions went back behind what they had seen.
#[test]
fn one_session_against_every_order() {
    let check = |sessions: &[&str], broken: &[Guarantee]| {
        let violation = violation(sessions).expect("not consistent");
        assert!(
            matches!(violation.anomaly, Anomaly::DivergentOrder { .. }),
            "{violation}"
        );
        assert_eq!(violation.broken, broken, "{violation}");
    };
    check(&["x=1", "x=2", ". x:1 x:2 x:1"], &[MonotonicReads]);
    check(&["x=1 x:2 x:1", "x=2"], &[MonotonicReads, ReadYourWrites]);
    // Another session read one of the orders first; the incoherent one is still named.
    check(
        &["x=1", "x=2", "x:1 x:2", ". . . x:1 x:2 x:1"],
        &[MonotonicReads],
    );
}

#[test]
fn causal_cycles() {
    let check = |sessions: &[&str], steps: usize| {
        let violation = violation(sessions).expect("not consistent");
        assert_eq!(violation.anomaly, Anomaly::CausalCycle, "{violation}");
        assert_eq!(violation.cycle.len(), steps, "{violation}");
    };
    check(&["x:1 x=1"], 2);
    check(&["x:1 y=1", "y:1 x=1"], 4);
    check(&["x:1 y=1", "y:1 z=1", "z:1 x=1"], 6);
    // Of two cycles the shorter; sessions that only wait for one are not part of it.
    check(&["x:1 y=1", "y:1 x=1", "z:1 z=1", "z:1", "x:1 a=1"], 2);
}

#[test]
fn thin_air() {
    let violation = violation(&["x=1 x:1", "x:2"]).expect("not consistent");
    assert!(matches!(violation.anomaly, Anomaly::ThinAirRead { read } if read.line == 2));
    assert!(
        violation
            .to_string()
            .starts_with("thin-air read: session 2 line 2 r(120,2)")
    );
}

#[test]
fn the_text_of_a_counterexample() {
    let violation = violation(&["x=1 x=2", ". . x:2 x:1"]).expect("not consistent");
    let expected = "\
monotonic reads broken: session 2 line 4 r(120,1) returned a value although its session had already read a newer one
Each of these must come before the next, in a circle:
  session 1 line 1 w(120,1)  --session order-->  session 1 line 2 w(120,2)
  session 1 line 2 w(120,2)  --overwritten before read: the reader, session 2 line 4 r(120,1), had already seen it-->  session 1 line 1 w(120,1)
      seen by: session 1 line 2 w(120,2)  --reads-from-->  session 2 line 3 r(120,2)
      seen by: session 2 line 3 r(120,2)  --session order-->  session 2 line 4 r(120,1)";
    assert_eq!(violation.to_string(), expected);
}
