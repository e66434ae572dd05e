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
        "--advertise",
        "--name",
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
    check(&["--listen", "0.0.0.0:0"], "--advertise");
    check(&["--name", "a b"], "a b");
}
