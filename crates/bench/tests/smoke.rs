//! Each measurement runs, on a small data set, and says something. What it says is
//! not judged: that depends on the machine.

use std::{path::Path, process::Command};

use serde_json::Value;

fn bench(args: &[&str], data: Option<&Path>) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backfence-bench"));
    command.args(args);
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    let finished = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(finished.stdout), text(finished.stderr));
    (finished.status.code(), stdout, stderr)
}

#[test]
fn every_measurement_gives_figures() {
    let data = tempfile::tempdir().expect("a temporary folder");
    backfence_cluster::write_small_data(data.path(), "The Last One").expect("it is written");
    let load = |what| ["load", what, "--requests=200", "--sessions=4", "--json"];
    let open = [
        "load",
        "mix",
        "--requests=100",
        "--rate=500",
        "--front-ends=2",
        "--json",
    ];
    for (args, figures) in [
        (load("views").as_slice(), "/backfence/requests_per_second"),
        (&load("rates"), "/bare_stream/p999_us"),
        (&open, "/backfence/max_us"),
        (&load("mix"), "/bare_unary/requests_per_second"),
        (
            &["import", "--ratings=200", "--sessions=4", "--json"],
            "/share_of_load",
        ),
        #[cfg(unix)]
        (&["prompt", "--runs=1", "--json"], "/median_ms"),
        (&["start", "--runs=1", "--json"], "/median_ms"),
        (
            &["burst", "--updates=1000", "--views=20", "--json"],
            "/burst/p50_us",
        ),
        (&["base", "--runs=1", "--lookups=10", "--json"], "/open_ms"),
        (
            &["memory", "--replicas=1", "--json"],
            "/replicas/0/peak_kib",
        ),
    ] {
        let (code, stdout, stderr) = bench(args, Some(data.path()));
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        let report: Value = serde_json::from_str(&stdout).expect("JSON");
        let figure = report.pointer(figures).and_then(Value::as_f64);
        assert!(
            figure.is_some_and(|figure| figure > 0.0),
            "{args:?}: {stdout}"
        );
        let errors = report.pointer("/backfence/errors");
        assert!(
            errors.is_none_or(|errors| errors == &serde_json::json!({})),
            "{stdout}"
        );
    }
}

#[test]
fn the_bare_shapes_are_measured_without_data() {
    let (code, stdout, stderr) = bench(&["limit", "--sessions=2", "--requests=50"], None);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("one and a stream"), "{stdout}");
}

#[test]
fn everything_in_short() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    backfence_cluster::write_small_data(folder.path(), "The Last One").expect("it is written");
    let out = folder.path().join("all.json");
    let out = out.to_str().expect("text");
    let (code, stdout, stderr) = bench(&["all", "--short", "--out", out], Some(folder.path()));
    assert_eq!(code, Some(0), "{stderr}");
    for number in 1..=10 {
        let number = format!("\nP{number} ");
        assert!(stdout.contains(&number), "no {number} in {stdout}");
    }
    let json = std::fs::read(out).expect("it is written");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert!(
        json["details"]["base"]["make_seconds"].is_number(),
        "{json}"
    );
}

#[test]
fn people_get_a_table() {
    let args = [
        "update-cost",
        "--few=10",
        "--many=100",
        "--timed=10",
        "--runs=1",
    ];
    let (code, stdout, stderr) = bench(&args, None);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("median ratio"), "{stdout}");
}

#[test]
fn what_cannot_be_measured_fails() {
    let (code, _, stderr) = bench(&["memory"], Some(Path::new("/nonexistent")));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("/nonexistent/movies.csv"), "{stderr}");
    let (code, _, stderr) = bench(&["load", "everything"], None);
    assert_eq!(code, Some(2), "{stderr}");
}
