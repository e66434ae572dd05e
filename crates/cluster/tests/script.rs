//! What `scripts/start_all.sh` says before it builds anything, and that it starts and
//! ends everything.

#![cfg(unix)]

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
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

/// A `cargo` that builds nothing, and says that the programs are those of this test.
fn cargo_that_has_built(folder: &Path) {
    let replica = backfence_cluster::program("backfence-replica").expect("it is built");
    let programs = replica.parent().expect("it is in a folder");
    symlink(programs, folder.join("release")).expect("a new link");
    let target = folder.display();
    let script =
        format!("#!/bin/sh\n[ $1 = build ] || echo '{{\"target_directory\":\"{target}\"}}'\n");
    let cargo = folder.join("cargo");
    fs::write(&cargo, script).expect("it is written");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A port that is free, as is the next one.
fn two_free_ports() -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    let found = (0..1000).find_map(|_| {
        let port = free(0)?.local_addr().ok()?.port();
        let next = port.checked_add(1)?;
        (next < u16::MAX && free(next).is_some()).then_some(port)
    });
    found.expect("two ports are free")
}

#[test]
fn a_second_start_with_the_same_state_has_the_ratings_of_the_first() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, state) = (folder.path().join("data"), folder.path().join("state"));
    fs::create_dir(&data).expect("a new folder");
    backfence_cluster::write_small_data(&data, "The Last One").expect("it is written");
    cargo_that_has_built(folder.path());
    let ours = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let path = env::join_paths([folder.path().to_owned()].into_iter().chain(ours));
    let path = path.expect("folders without a colon");
    let session = |input: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/start_all.sh");
        let mut started = Command::new("bash")
            .arg(script)
            .args(["--overload-probability", "0", "--replicas", "2"])
            .args(["--port", &two_free_ports().to_string()])
            .arg("--data")
            .arg(&data)
            .arg("--state")
            .arg(&state)
            .env("PATH", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a bash");
        let mut stdin = started.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it is read later");
        drop(stdin);
        let finished = started.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&finished.stderr);
        assert_eq!(finished.status.code(), Some(0), "{said}");
        String::from_utf8_lossy(&finished.stdout).into_owned()
    };
    let said = session("1\nrate toy story 2.5\nquit\n");
    assert!(said.contains("Your update has been sent"), "{said}");
    let key = state.join("cluster.key");
    let made = fs::read(&key).expect("the script makes a key");
    let mode = fs::metadata(&key)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!((made.len(), mode & 0o777), (32, 0o600));
    let said = session("1\nview toy story\nquit\n");
    assert!(said.contains("Toy Story was 2.5"), "{said}");
    for server in ["server1", "server2"] {
        assert!(
            state.join(server).join("replica.redb").is_file(),
            "{server}"
        );
    }
    assert!(!state.join("running").exists(), "it has ended");
    assert_eq!(fs::read(&key).expect("it stays"), made);
    let log = fs::read_to_string(state.join("frontend.log")).expect("a log");
    assert!(log.contains("session tokens are protected"), "{log}");
}
