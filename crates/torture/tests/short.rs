//! Two minutes of torture. What is longer is in `.ci/full`.

// The harness sends signals.
#![cfg(unix)]

use std::io::Write as _;
use std::{fs::File, io::BufReader, time::Duration};

use assert_cmd::Command;
use backfence_checker::{History, check};
use backfence_torture::{Kind, Plan, Ran, Verdict, run};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

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
        command.args([
            "--minutes",
            "2",
            "--replicas",
            "2",
            "--rate",
            "150",
            "--mixed",
        ]);
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
    let cuts = report["faults"]["without_cuts"].is_null();
    if !cuts {
        let _ = writeln!(std::io::stderr(), "SKIPPED network cuts: {report}");
    }
    for kind in Kind::ALL.into_iter().filter(|kind| cuts || !kind.is_cut()) {
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

/// Here there is no `ip`; the rest of the run is as ever.
#[test]
fn where_networks_cannot_be_cut_the_run_says_so() {
    let tools = tempfile::tempdir().expect("a temporary folder");
    let folders = std::env::var_os("PATH").expect("a path");
    let mut kills = std::env::split_paths(&folders).map(|folder| folder.join("kill"));
    let kill = kills.find(|kill| kill.is_file()).expect("a kill command");
    std::os::unix::fs::symlink(kill, tools.path().join("kill")).expect("a link");
    let mut command = program();
    let command = command.args(["--minutes", "0.1", "--replicas", "2"]);
    let command = command.args(["--rate", "50", "--json"]);
    let output = command.env("PATH", tools.path()).output();
    let output = output.expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("SKIPPED network cuts: "), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let why = report["faults"]["without_cuts"].as_str();
    assert!(
        why.is_some_and(|why| why.contains("ip command")),
        "{report}"
    );
    assert_ne!(report["verdict"]["is"], "violated", "{report}");
    assert!(report["faults"]["injected"].as_u64() > Some(0), "{report}");
}

/// Where nothing is kept, the death of all loses what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_noticed() {
    let plan = Plan {
        length: Duration::from_secs(25),
        replicas: 2,
        front_ends: 1,
        rate: 150,
        late: 600,
        seed: 1,
        disks: false,
        mixed: false,
    };
    let ran = run(&plan, &CancellationToken::new()).await;
    let Ran { report, .. } = ran.expect("a cluster");
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

/// What is left is seen in `/proc` and `/sys`.
#[cfg(target_os = "linux")]
mod stopped {
    use std::{
        fs,
        io::{BufRead as _, BufReader},
        path::Path,
        process::{Command, Stdio},
    };

    /// All processes that this one has started and that are there.
    fn children(id: u32) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("it is there");
        let children = tasks.filter_map(|task| {
            let children = task.ok()?.path().join("children");
            fs::read_to_string(children).ok()
        });
        let children = children.collect::<String>();
        children.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn ctrl_c_leaves_nothing_behind() {
        let program = env!("CARGO_BIN_EXE_backfence-torture");
        let mut running = Command::new(program)
            .args(["--minutes", "60", "--replicas", "2"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = BufReader::new(running.stderr.take().expect("a pipe"));
        let mut said = stderr.lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains("faults begin")));
        let id = running.id();
        let started = children(id);
        assert!(started.len() >= 3, "{started:?}");
        let sent = Command::new("kill")
            .args(["-INT", &id.to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
        let ended = running.wait().expect("it ends");
        assert_eq!(ended.code(), Some(130));
        for child in started {
            assert!(
                !Path::new("/proc").join(&child).exists(),
                "{child} is there"
            );
        }
        for place in ["/run/netns", "/sys/class/net"] {
            let left = fs::read_dir(place).into_iter().flatten().flatten();
            let names = left.map(|entry| entry.file_name().display().to_string());
            let ours = [format!("backfence-{id}-"), format!("bf{id}x")];
            let left: Vec<_> = names
                .filter(|name| ours.iter().any(|ours| name.starts_with(ours)))
                .collect();
            assert_eq!(left, [""; 0], "in {place}");
        }
    }
}
