//! The exchange format: what is read is what was written, and nothing panics.

use backfence_checker::{History, HistoryBuilder, Kind, MAX_LINE, Operation, Problem, check};
use proptest::collection::vec;
use proptest::prelude::*;

fn problem(text: impl AsRef<[u8]>) -> (u64, String) {
    let unreadable = History::parse(text.as_ref()).expect_err("unreadable");
    (unreadable.line, unreadable.problem.to_string())
}

#[test]
fn says_what_is_wrong_and_where() {
    let check = |text: &str, line: u64, words: &[&str]| {
        let (found, message) = problem(text);
        assert_eq!(found, line, "{text:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{text:?}: {message}");
        }
    };
    check(
        "hello",
        1,
        &["found `hello`", "expected w(KEY,VALUE,SESSION,TXN) or r("],
    );
    check("# so\n\nw(1,2,3,4", 3, &["found `w(1,2,3,4`"]);
    check("w(1,2,3,4) r(1,2,3,5)", 1, &["found"]);
    check("w(1,2,3)", 1, &["four numbers"]);
    check("w(1,2,3,4,5)", 1, &["four numbers"]);
    check("w()", 1, &["four numbers"]);
    check("w(,2,3,4)", 1, &["found ``", "expected KEY"]);
    check("w(1,-2,3,4)", 1, &["found `-2`", "expected VALUE"]);
    check("w(1,2,+3,4)", 1, &["found `+3`", "expected SESSION"]);
    check("w(1,2,3, 4)", 1, &["found ` 4`", "expected TXN"]);
    check(
        "r(1,2,3,18446744073709551616)",
        1,
        &["18446744073709551616", "64 bits"],
    );
    check("W(1,2,3,4)", 1, &["found"]);
    check("w(1,0,3,4)", 1, &["write of value 0 to key 1"]);
    check(
        "w(1,2,3,4)\n#\nr(1,2,3,4)",
        3,
        &["transaction 4 again", "line 1"],
    );
    check(
        "w(1,2,3,4)\n#\nw(9,9,9,9)\nw(1,2,5,6)",
        4,
        &["value 2 written to key 1 again", "line 1"],
    );
    check(
        &format!("w(1,{},3,4)", "9".repeat(200)),
        1,
        &["`9999", "9`...", "VALUE"],
    );
}

#[test]
fn bytes_that_are_no_text() {
    let (line, message) = problem(b"w(1,2,3,4)\n\xff\xfe\x00(");
    assert_eq!(line, 2);
    assert!(message.contains(r"found `\xff\xfe\x00(`"), "{message}");
    assert!(problem(b"w(\xc3\x28,2,3,4)").1.contains(r"found `\xc3(`"));
}

#[test]
fn the_longest_line() {
    let comment = |bytes: usize| format!("#{}\nr(1,0,1,1)\n", "x".repeat(bytes - 1));
    assert_eq!(parsed(comment(MAX_LINE)).len(), 1);
    for text in [comment(MAX_LINE + 1), "x".repeat(10 * MAX_LINE)] {
        let unreadable = History::parse(text.as_bytes()).expect_err("too long");
        assert!(
            matches!(unreadable.problem, Problem::LongLine),
            "{unreadable}"
        );
        assert_eq!(unreadable.line, 1);
    }
}

#[test]
fn what_is_skipped() {
    let text = "\n# w(1,1,1,1)\n  \t\nw(1,1,1,1)\r\n\r\n  r(1,1,1,2)  \n#";
    let expected = [Operation::write(1, 1, 1, 1), Operation::read(1, 1, 1, 2)];
    assert_eq!(parsed(text), expected);
}

#[test]
fn the_largest_numbers() {
    let largest = u64::MAX;
    let operation = Operation::write(largest, largest, largest, largest);
    assert_eq!(operation.to_string().len(), 86);
    assert_eq!(parsed(operation.to_string()), [operation]);
}

/// A history that would need too much memory is refused, before it does.
#[test]
fn too_many_sessions() {
    let mut builder = HistoryBuilder::default();
    let refused = (1..).find_map(|n| builder.push(Operation::read(1, 0, n, n)).err());
    let unreadable = refused.expect("the range does not end");
    assert_eq!(unreadable.line, (1 << 15) + 1);
    assert!(
        matches!(unreadable.problem, Problem::TooLarge { .. }),
        "{unreadable}"
    );
    let history = builder.finish();
    assert_eq!(
        history.size().operations,
        1 << 15,
        "the refused one was not added"
    );
}

fn parsed(text: impl AsRef<[u8]>) -> Vec<Operation> {
    let history = History::parse(text.as_ref()).expect("readable");
    history.operations().collect()
}

/// Numbers that often coincide, and some of any size.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..6_u64, 1 => any::<u64>()]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = (any::<bool>(), number(), number(), number());
    vec(operation, 0..60).prop_map(|rows| {
        (1..)
            .zip(rows)
            .map(|(txn, (write, key, value, session))| match write {
                true => Operation::write(key, value, session, txn),
                false => Operation::read(key, value, session, txn),
            })
            .collect()
    })
}

/// Lines that nearly are operations.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => (any::<bool>(), number(), number(), number(), any::<u16>()).prop_map(
            |(write, key, value, session, txn)| {
                let letter = if write { 'w' } else { 'r' };
                format!("{letter}({key},{value},{session},{txn})\n").into_bytes()
            }
        ),
        1 => vec(prop::sample::select(b"wr(),#0189 \n\r\xff".as_slice()), 0..12),
        1 => vec(any::<u8>(), 0..20),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in vec(any::<u8>(), 0..6000)) {
        let _ = History::parse(text.as_slice()).map(|history| check(&history).is_ok());
    }

    #[test]
    fn whatever_is_read_can_be_checked(text in nearly()) {
        match History::parse(text.as_slice()) {
            Ok(history) => {
                let _ = check(&history).map_err(|violation| violation.to_string());
            }
            Err(unreadable) => {
                let lines = text.split(|&byte| byte == b'\n').count() as u64;
                prop_assert!((1..=lines).contains(&unreadable.line), "{unreadable}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read(operations in operations()) {
        let mut builder = HistoryBuilder::default();
        let admitted: Vec<Operation> = operations
            .into_iter()
            .filter(|&operation| builder.push(operation).is_ok())
            .collect();
        let history = builder.finish();
        let mut text = Vec::new();
        history.write_to(&mut text)?;
        prop_assert_eq!(parsed(&text), admitted.clone());
        prop_assert_eq!(history.operations().collect::<Vec<_>>(), admitted.clone());
        let writes = admitted.iter().filter(|operation| operation.kind == Kind::Write);
        prop_assert_eq!(history.size().writes, writes.count());
    }
}
