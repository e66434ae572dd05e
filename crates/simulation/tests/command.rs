//! The program `backfence-simulate`.

use assert_cmd::Command;

fn simulate(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::cargo_bin("backfence-simulate")
        .expect("the program is built")
        .args(args)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

#[test]
fn it_says_what_was_run_and_the_same_again() {
    let without_time = |said: &str| said.split(" seeds run here").map(str::to_owned).next();
    let (code, said) = simulate(&["--seeds", "0..20", "--jobs", "2"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("seeds 0..20: no promise broken"), "{said}");
    let (_, again) = simulate(&["--seeds", "0..20", "--jobs", "1"]);
    assert_eq!(without_time(&said), without_time(&again));
}

#[test]
fn it_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("done");
    let path = file.to_str().expect("a path");
    simulate(&["--seeds", "0..250", "--resume", path]);
    let mut written = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(written.lines().count(), 1);
    written.push_str("{\"from\":250,\"to");
    std::fs::write(&file, &written).expect("it can be written");
    let (code, said) = simulate(&["--seeds", "0..260", "--resume", path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("(10 seeds run here"), "{said}");
    std::fs::write(&file, "something else\n").expect("it can be written");
    let (code, said) = simulate(&["--seeds", "0..10", "--resume", path]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(":1 is no batch"), "{said}");
}

#[test]
fn runs_with_two_versions_are_counted_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("done");
    let path = file.to_str().expect("a path");
    let seeds = ["--seeds", "0..10", "--resume", path];
    let mixed = ["--versions", "--seeds", "0..10", "--resume", path];
    for (args, here, is_mixed) in [
        (&seeds[..], "(10 seeds run here", false),
        (&mixed, "(10 seeds run here", true),
        (&seeds, "(0 seeds run here", false),
        (&mixed, "(0 seeds run here", true),
    ] {
        let (code, said) = simulate(args);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(here), "{said}");
        assert_eq!(said.contains(" too new"), is_mixed, "{said}");
    }
}

#[test]
fn a_run_can_be_drawn() {
    let (code, said) = simulate(&["--seeds", "3..4", "--draw"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("step s0") && said.contains("accepted with"),
        "{said}"
    );
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [["--seeds", "9..3"], ["--seeds", "x"], ["--jobs", "-1"]] {
        assert_eq!(simulate(&args).0, Some(2), "{args:?}");
    }
}
