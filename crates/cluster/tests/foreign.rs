//! A client of another language, which knows only what reflection tells it, can do
//! all that ours does.
//!
//! Needs Python 3 and its package index; skipped by name where they are not there.

use std::io::Write as _;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use backfence_cluster::{Cluster, Role};

const TEST: &str = "a_foreign_client_can_do_all_that_ours_does";

#[test]
fn a_foreign_client_can_do_all_that_ours_does() {
    let python = match python_with_grpc() {
        Ok(python) => python,
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {TEST}: {reason}");
            return;
        }
    };
    let cluster = Cluster::builder().start().expect("a cluster");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_client.py");
    let finished = Command::new(python)
        .arg(script)
        .arg(cluster.address(Role::FrontEnd(1)))
        .arg(cluster.key())
        .output()
        .expect("it was run before");
    let said = text(&finished);
    assert!(finished.status.success(), "{said}");
    for call in [
        "OpenSession",
        "Find",
        "View",
        "Rate",
        "Average",
        "Delete",
        "ChangeStatus",
        "Status",
    ] {
        assert!(
            said.contains(&format!("{call} {{")),
            "{call} was not made: {said}"
        );
    }
}

/// A Python with gRPC, in a folder of its own outside of the project, which stays
/// there for the next time.
fn python_with_grpc() -> Result<PathBuf, String> {
    let folder = env::temp_dir().join("backfence-foreign-client");
    let python = folder.join("bin/python");
    if has_grpc(&python) {
        return Ok(python);
    }
    // What an interrupted attempt left would stand in the way.
    let _ = fs::remove_dir_all(&folder);
    done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    done(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--timeout=10",
        "--retries=1",
        "--only-binary=:all:",
        "grpcio",
        "grpcio-reflection",
    ]))?;
    if has_grpc(&python) {
        Ok(python)
    } else {
        Err("grpcio was installed but cannot be imported".to_owned())
    }
}

fn has_grpc(python: &Path) -> bool {
    done(Command::new(python).args(["-c", "import grpc, grpc_reflection"])).is_ok()
}

fn done(command: &mut Command) -> Result<(), String> {
    let finished = command.stdin(Stdio::null()).output();
    let finished = finished.map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if finished.status.success() {
        return Ok(());
    }
    let said = text(&finished);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!("{command:?} failed: {}", last.unwrap_or_default()))
}

fn text(finished: &Output) -> String {
    let all = [finished.stdout.as_slice(), &finished.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}
