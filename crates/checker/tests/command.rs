//! The command: exit codes, and what goes where.

use std::fs;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::Value;

const GOOD: &str = "# two sessions\nw(5,1,1,1)\nr(5,1,2,2)\n";
const BAD: &str = "w(5,1,1,1)\nr(5,1,2,2)\n\nr(5,0,2,3)\n";
const UNREADABLE: &str = "w(5,1,1,1)\nw(5,1,1,2)\n";

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], stdin: &str) -> Run {
    let mut command: Command = cargo_bin_cmd!("backfence-check");
    let output = command
        .args(arguments)
        .write_stdin(stdin)
        .output()
        .expect("it runs");
    Run {
        code: output.status.code().expect("it exits"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

#[test]
fn consistent_is_0() {
    let run = run(&["-"], GOOD);
    assert_eq!(run.code, 0);
    assert_eq!(run.stdout, "2 operations, 2 sessions, 1 key: consistent\n");
    assert_eq!(run.stderr, "");
}

#[test]
fn not_consistent_is_1() {
    let run = run(&["-"], BAD);
    assert_eq!(run.code, 1);
    let mut lines = run.stdout.lines();
    let summary = "3 operations, 2 sessions, 1 key: NOT consistent";
    assert_eq!(lines.next(), Some(summary));
    let headline = lines.next().expect("a headline");
    assert!(
        headline.starts_with("monotonic reads broken: session 2 line 4 r(5,0)"),
        "{headline}"
    );
    assert!(
        run.stdout
            .contains("session 1 line 1 w(5,1)  --reads-from-->  session 2 line 2 r(5,1)")
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn unreadable_is_2() {
    let check = |arguments: &[&str], stdin: &str, message: &str| {
        let run = run(arguments, stdin);
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(
            run.stderr.contains(message),
            "{arguments:?}: {}",
            run.stderr
        );
        assert_eq!(run.stdout, "", "{arguments:?}");
    };
    check(
        &["-"],
        UNREADABLE,
        "<stdin>:2: found value 1 written to key 5 again",
    );
    check(
        &["/nonexistent/history"],
        "",
        "/nonexistent/history: cannot be read: ",
    );
    check(&["/"], "", "/: cannot be read: ");
    check(&[], "", "Usage: backfence-check");
    check(&["--frobnicate", "-"], "", "Usage: backfence-check");
}

#[test]
fn reads_files() {
    let directory = tempfile::tempdir().expect("a directory");
    for (text, code) in [(GOOD, 0), (BAD, 1), (UNREADABLE, 2), ("", 0)] {
        let file = directory.path().join("history.txt");
        fs::write(&file, text).expect("a file");
        let file = file.to_str().expect("text");
        let run = run(&[file], "");
        assert_eq!(run.code, code, "{text}");
        let named = run.stderr.starts_with(&format!("{file}:2: "));
        assert_eq!(named, code == 2, "{}", run.stderr);
    }
}

#[test]
fn json_for_scripts() {
    let check = |stdin: &str, code: i32, expected: &[(&str, Value)]| {
        let run = run(&["--json", "-"], stdin);
        assert_eq!(run.code, code);
        let object: Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!(run.stdout.lines().count(), 1);
        for (pointer, value) in expected {
            assert_eq!(object.pointer(pointer), Some(value), "{pointer}: {object}");
        }
    };
    let size = [
        ("/operations", 2.into()),
        ("/sessions", 2.into()),
        ("/keys", 1.into()),
    ];
    check(
        GOOD,
        0,
        &[
            &size[..],
            &[
                ("/verdict", "consistent".into()),
                ("/reads_of_others", 1.into()),
            ],
        ]
        .concat(),
    );
    let bad = [
        ("/verdict", "inconsistent".into()),
        ("/broken/0", "monotonic_reads".into()),
        ("/anomaly/kind", "stale_read".into()),
        ("/anomaly/read/line", 4.into()),
        ("/cycle/0/from/initial_value_of_key", 5.into()),
        ("/cycle/0/reason", "initial_first".into()),
        ("/cycle/1/reason", "overwritten".into()),
        ("/cycle/1/seen/0/reason", "reads_from".into()),
        ("/cycle/1/seen/1/to/txn", 3.into()),
    ];
    check(BAD, 1, &bad);
    check(
        UNREADABLE,
        2,
        &[("/verdict", "unreadable".into()), ("/line", 2.into())],
    );
}

#[test]
fn help_tells_the_format_and_the_exit_codes() {
    let run = run(&["--help"], "");
    assert_eq!(run.code, 0);
    for words in [
        "r(KEY,VALUE,SESSION,TXN)",
        "0 consistent, 1 not consistent, 2 cannot be read",
    ] {
        assert!(run.stdout.contains(words), "{}", run.stdout);
    }
}
