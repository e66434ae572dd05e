//! The program's command line.

use assert_cmd::Command;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backfence-frontend"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BACKFENCE_") {
            command.env_remove(name);
        }
    }
    command
}

#[test]
fn help_names_every_option() {
    let output = program()
        .arg("--help")
        .assert()
        .success()
        .get_output()
        .clone();
    let help = String::from_utf8(output.stdout).unwrap();
    for option in [
        "--registry",
        "--listen",
        "--insecure",
        "--advertise",
        "--name",
        "--cluster-key",
        "--log",
        "--log-format",
    ] {
        assert!(help.contains(option), "{option} in {help}");
    }
    assert!(help.contains("http://127.0.0.1:7400"));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let check = |arguments: &[&str], expected: &str| {
        let output = program()
            .args(arguments)
            .assert()
            .code(2)
            .get_output()
            .clone();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    };
    check(&["--nonsense"], "--nonsense");
    check(&["--registry", "nowhere"], "nowhere");
    check(&["--listen", "192.0.2.1:0"], "192.0.2.1:0");
    check(&["--listen", "0.0.0.0:0"], "or --insecure where you trust");
    check(&["--insecure", "--listen", "0.0.0.0:0"], "--advertise");
    check(&["--name", "a b"], "a b");
    check(&["--name", "SERVER5"], "for servers");
}

#[test]
fn a_file_that_is_no_key_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, contents: Option<&[u8]>, expected: &str| {
        let path = folder.path().join(name);
        if let Some(contents) = contents {
            std::fs::write(&path, contents).unwrap();
        }
        let asserted = program().arg("--cluster-key").arg(&path).assert().code(2);
        let error = String::from_utf8(asserted.get_output().stderr.clone()).unwrap();
        for text in [name, expected, "head -c 32 /dev/urandom"] {
            assert!(error.contains(text), "{text} in {error}");
        }
    };
    check("missing", None, "cannot read the cluster key");
    check("empty", Some(b""), "has 0 bytes, and one has 32 to 1024");
    check("short", Some(&[7; 31]), "has 31 bytes");
    check("long", Some(&[7; 1025]), "has 1025 bytes");
}

/// It says so, and goes on: the registry is what it misses next.
#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, [7; 32]).unwrap();
    for (mode, warned) in [(0o600, false), (0o640, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut command = program();
        command.arg("--cluster-key").arg(&path);
        // What follows the key is wrong, so that it ends there.
        let output = command.args(["--listen", "192.0.2.1:0"]).assert().code(2);
        let error = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert_eq!(error.contains("chmod 600"), warned, "{mode:o}: {error}");
    }
}
