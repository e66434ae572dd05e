//! `scripts/start_all.sh`, but for its build. What it starts is `backfence up`.

#![cfg(unix)]

use std::{
    env, fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

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

#[test]
fn the_script_opens_a_client_of_a_whole_cluster() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    cargo_that_has_built(folder.path());
    let ours = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let path = env::join_paths([folder.path().to_owned()].into_iter().chain(ours));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/start_all.sh");
    let mut started = Command::new("bash")
        .arg(script)
        .args(["--overload-probability", "0", "--replicas", "2"])
        .args(["--port", &backfence_cluster::two_free_ports().to_string()])
        .env("PATH", path.expect("folders without a colon"))
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a bash");
    let mut stdin = started.stdin.take().expect("it is piped");
    let typed = b"1\nview toy story\nquit\n";
    stdin.write_all(typed).expect("it is read later");
    drop(stdin);
    let finished = started.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(0), "{said}");
    let printed = String::from_utf8_lossy(&finished.stdout);
    assert!(printed.contains("CLIENT CAN NOW CONNECT\n"), "{printed}");
    // The project's own data.
    assert!(printed.contains("Toy Story was 4.0"), "{printed}");
}
