//! A long history of a store that keeps its promise, and the same with one thing wrong.

#[path = "support/counterexample.rs"]
mod counterexample;
#[path = "support/store.rs"]
mod store;

use backfence_checker::{Anomaly, Guarantee, Kind, Operation, Value, check};
use counterexample::{assert_holds, history};

const OPERATIONS: u64 = 100_000;

fn recorded() -> Vec<Operation> {
    let load = store::Load {
        operations: OPERATIONS,
        sessions: 24,
        replicas: 8,
        keys: 300,
        seed: 7,
    };
    let mut operations = Vec::new();
    store::run(&load, |operation| operations.push(operation));
    operations
}

#[test]
fn a_causal_store_passes() {
    let consistent = check(&history(&recorded())).expect("the store is causal and convergent");
    assert_eq!(consistent.size.operations, OPERATIONS as usize);
    assert_eq!(consistent.size.sessions, 24);
    // Else the history would prove nothing.
    assert!(consistent.reads_of_others > 10_000, "{consistent:?}");
    assert!(consistent.ordered_pairs > 10_000, "{consistent:?}");
}

/// Spoils a copy of the history, which must then be refused for the given reason.
fn check_spoilt(
    spoil: impl FnOnce(&mut Vec<Operation>),
    expected: impl FnOnce(&Anomaly, &[Guarantee]) -> bool,
) {
    let mut operations = recorded();
    spoil(&mut operations);
    let violation = check(&history(&operations)).expect_err("it was spoilt");
    assert_holds(&operations, &violation);
    assert!(
        expected(&violation.anomaly, &violation.broken),
        "{violation}"
    );
}

/// The first place after the middle for which `choose` finds something.
fn find<T>(operations: &[Operation], mut choose: impl FnMut(usize, Operation) -> Option<T>) -> T {
    (operations.len() / 2..operations.len())
        .find_map(|at| choose(at, operations[at]))
        .expect("a long history has such an operation")
}

/// The next operation of this kind on the same key by the same session.
fn next(operations: &[Operation], at: usize, kind: Kind) -> Option<usize> {
    let Operation { key, session, .. } = operations[at];
    let rest = operations[at + 1..].iter();
    rest.enumerate()
        .find(|(_, other)| (other.key, other.session, other.kind) == (key, session, kind))
        .map(|(distance, _)| at + 1 + distance)
}

#[test]
fn a_value_from_nowhere() {
    check_spoilt(
        |operations| {
            let read = find(operations, |at, operation| {
                (operation.kind == Kind::Read).then_some(at)
            });
            operations[read].value = Value(u64::MAX);
        },
        |anomaly, _| matches!(anomaly, Anomaly::ThinAirRead { .. }),
    );
}

#[test]
fn a_lost_write_of_the_session() {
    check_spoilt(
        |operations| {
            let read = find(operations, |at, operation| match operation.kind {
                Kind::Write => next(operations, at, Kind::Read),
                Kind::Read => None,
            });
            operations[read].value = Value::INITIAL;
        },
        |anomaly, broken| {
            matches!(anomaly, Anomaly::StaleRead { .. }) && broken == [Guarantee::ReadYourWrites]
        },
    );
}

#[test]
fn a_read_that_goes_back() {
    check_spoilt(
        |operations| {
            let (read, value) = find(operations, |at, write| {
                let later =
                    (write.kind == Kind::Write).then(|| next(operations, at, Kind::Write))??;
                let newer = operations[later];
                let seen = (later..operations.len()).find(|&seen| {
                    let read = operations[seen];
                    read.kind == Kind::Read
                        && read.session != write.session
                        && (read.key, read.value) == (newer.key, newer.value)
                })?;
                Some((next(operations, seen, Kind::Read)?, write.value))
            });
            operations[read].value = value;
        },
        |anomaly, broken| {
            let named = [Guarantee::MonotonicReads, Guarantee::ReadYourWrites];
            matches!(anomaly, Anomaly::StaleRead { .. }) && named.contains(&broken[0])
        },
    );
}

#[test]
fn a_read_of_the_sessions_future() {
    check_spoilt(
        |operations| {
            let (read, write) = find(operations, |at, operation| match operation.kind {
                Kind::Read => Some((at, next(operations, at, Kind::Write)?)),
                Kind::Write => None,
            });
            operations[read].value = operations[write].value;
        },
        |anomaly, _| matches!(anomaly, Anomaly::CausalCycle),
    );
}

/// Two more sessions write a key, and two more see these writes in different orders.
#[test]
fn replicas_that_never_agree() {
    check_spoilt(
        |operations| {
            let (key, first, second) = (5, OPERATIONS + 1, OPERATIONS + 2);
            let accesses = [
                Operation::write(key, first, 101, first),
                Operation::write(key, second, 102, second),
                Operation::read(key, first, 103, OPERATIONS + 3),
                Operation::read(key, second, 104, OPERATIONS + 4),
                Operation::read(key, second, 103, OPERATIONS + 5),
                Operation::read(key, first, 104, OPERATIONS + 6),
            ];
            operations.extend(accesses);
        },
        |anomaly, broken| matches!(anomaly, Anomaly::DivergentOrder { .. }) && broken.is_empty(),
    );
}

/// Who saw a write and then wrote tells others of it; here one of them has not got it.
#[test]
fn a_gap_in_what_was_delivered() {
    check_spoilt(
        |operations| {
            let n = OPERATIONS;
            let accesses = [
                Operation::write(7, n + 1, 101, n + 1),
                Operation::read(7, n + 1, 102, n + 2),
                Operation::write(8, n + 3, 102, n + 3),
                Operation::read(8, n + 3, 103, n + 4),
                Operation::read(7, 0, 103, n + 5),
            ];
            operations.extend(accesses);
        },
        |anomaly, broken| {
            matches!(anomaly, Anomaly::StaleRead { .. }) && broken == [Guarantee::WritesFollowReads]
        },
    );
}

/// Merging two sessions whose views differ into one takes back what it had seen.
#[test]
fn a_session_that_moved_without_its_timestamp() {
    check_spoilt(
        |operations| {
            let [from, to] = [
                operations[0].session,
                find(operations, |_, operation| {
                    // Sessions of different replicas: the load gives session n replica n % 8.
                    (operation.session.0 % 8 != operations[0].session.0 % 8)
                        .then_some(operation.session)
                }),
            ];
            for operation in operations {
                if operation.session == from {
                    operation.session = to;
                }
            }
        },
        |anomaly, _| matches!(anomaly, Anomaly::StaleRead { .. }),
    );
}
