//! What `scripts/start_all.sh` says before it builds anything.

#![cfg(unix)]

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

fn start_all(args: &[&str]) -> Output {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let script = Command::new("bash")
        .arg(scripts.join("start_all.sh"))
        .args(args)
        .stdin(Stdio::null())
        .output();
    script.expect("there is a bash")
}

#[test]
fn a_wrong_option_ends_with_2_and_the_usage() {
    for (args, named) in [
        (["--bogus", "1"].as_slice(), "--bogus"),
        (&["--bogus=1"], "--bogus"),
        (&["extra"], "extra"),
        (&["--port"], "--port"),
        (&["--port="], "--port"),
        (&["--port", "65535"], "--port"),
        (&["--port", "http"], "--port"),
        (&["--replicas", "0"], "--replicas"),
        (&["--replicas", "-1"], "--replicas"),
        (&["--overload-probability", "1.5"], "--overload-probability"),
        (
            &["--overload-probability", "often"],
            "--overload-probability",
        ),
    ] {
        let finished = start_all(args);
        let said = String::from_utf8_lossy(&finished.stderr);
        assert_eq!(finished.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.lines().next().is_some_and(|line| line.contains(named)),
            "{said}"
        );
        assert!(
            said.contains("Usage:") && finished.stdout.is_empty(),
            "{said}"
        );
    }
}

#[test]
fn help_goes_to_stdout() {
    let finished = start_all(&["--help"]);
    assert_eq!(finished.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&finished.stdout).starts_with("Usage:"));
}

#[test]
fn missing_data_is_named() {
    let finished = start_all(&["--data", "/nonexistent"]);
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(1), "{said}");
    assert!(said.contains("/nonexistent/movies.csv"), "{said}");
}

#[test]
fn a_port_in_use_is_named_the_next_one_too() {
    let data = tempfile::tempdir().expect("a temporary folder");
    backfence_cluster::write_small_data(data.path(), "The Last One").expect("it is written");
    let data = data.path().to_str().expect("a path of text");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    for asked in [port, port - 1] {
        let named = format!("port {port} is in use");
        // Something else may have the port below; then that one is named.
        let below = format!("port {asked} is in use");
        let finished = start_all(&["--data", data, "--port", &asked.to_string()]);
        let said = String::from_utf8_lossy(&finished.stderr);
        assert_eq!(finished.status.code(), Some(1), "{said}");
        assert!(said.contains(&named) || said.contains(&below), "{said}");
    }
}
