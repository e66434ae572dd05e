//! Half a minute of torture; about 40 s in all. What is longer is in `.ci/full`.

// The harness sends signals.
#![cfg(unix)]

use std::{fs::File, io::BufReader, time::Duration};

use assert_cmd::Command;
use backfence_checker::{History, check};
use backfence_torture::{Kind, Plan, Ran, Verdict, run};
use serde_json::Value;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_backfence-torture"))
}

/// A run on a slow machine may be too thin to tell anything, or spare a disk that alone
/// has something. It says so, and another is made, so many times.
const RUNS: usize = 3;

/// Two replicas are enough for each kind of fault, and quick to start.
#[test]
fn all_holds_and_each_kind_of_fault_bites() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("history");
    let mut runs = (0..RUNS).map(|_| {
        let mut command = program();
        command.args(["--minutes", "0.5", "--replicas", "2", "--rate", "150"]);
        let command = command.arg("--json").arg("--export").arg(&file);
        let output = command.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let report = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&report)
            .unwrap_or_else(|error| panic!("{error}: {report}{stderr}"));
        println!("{report}");
        (output.status.code(), report)
    });
    let tells = |(_, report): &(_, Value)| report["verdict"]["is"] != "invalid";
    let (code, report) = runs.find(tells).expect("one run tells something");
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["verdict"]["is"], "held", "{report}");
    for kind in Kind::ALL {
        let kind = serde_json::to_value(kind).expect("a name");
        let tally = &report["faults"]["kinds"][kind.as_str().expect("a name")];
        assert!(tally["bit"].as_u64() > Some(0), "{kind}: {report}");
    }
    let exported = BufReader::new(File::open(file).expect("it is written"));
    let history = History::parse(exported).expect("in the exchange format");
    assert!(check(&history).is_ok());
    let operations = report["found"]["history"]["operations"].as_u64();
    assert_eq!(operations, Some(history.size().operations as u64));
}

/// Where nothing is kept, the death of all loses what was acknowledged.
#[test]
fn what_is_lost_is_noticed() {
    let plan = Plan {
        length: Duration::from_secs(25),
        replicas: 2,
        front_ends: 1,
        rate: 150,
        seed: 1,
        disks: false,
    };
    let Ran { report, .. } = run(&plan).expect("a cluster");
    let Verdict::Violated(why) = report.verdict else {
        panic!("nothing was noticed: {report}");
    };
    let expected = ["is lost", "FORGED_TIMESTAMP", "without faults", "shows"];
    assert!(expected.iter().any(|text| why.contains(text)), "{why}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for wrong in [
        &["--minutes", "0"][..],
        &["--replicas", "1"],
        &["--rate", "x"],
        &["now"],
    ] {
        let output = program().args(wrong).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
