//! What a newcomer reads: the help, whose examples work, and what is generated from it.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{fs, path::Path, process::Command};

use house::House;

/// Each is run as it stands there, by a shell.
#[test]
fn the_examples_of_the_help_work() {
    let house = House::new();
    let (code, help, _) = house.run(&["--help"], "");
    assert_eq!(code, 0);
    let folder = house.state.path();
    fs::write(folder.join("mine.csv"), "userId,movieId,rating\n1,2,4.5\n").unwrap();
    fs::write(
        folder.join("commands"),
        "rate Toy Story 3\nview Toy Story\n",
    )
    .unwrap();
    let examples = help.lines().filter(|line| line.starts_with("  backfence"));
    let mut tried = 0;
    for example in examples {
        // Which has no end.
        if example.contains("--watch") {
            continue;
        }
        let program = Path::new(env!("CARGO_BIN_EXE_backfence"));
        let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
        let mut shell = Command::new("sh");
        shell.args(["-c", example.trim()]).current_dir(folder);
        shell.env_clear().env("PATH", path);
        shell.env("BACKFENCE_FRONTEND", house.fake.address.to_string());
        let (code, _, stderr) = house::run(shell, "");
        // One of the servers does not answer for its digest.
        let expected = if example.ends_with("digest") { 5 } else { 0 };
        assert_eq!((code, stderr.as_str()), (expected, ""), "{example}");
        tried += 1;
    }
    assert_eq!(tried, 18);
    let exported = fs::read_to_string(folder.join("ratings.csv")).unwrap();
    assert!(exported.contains("\n1,2,4.5,"), "{exported}");
}

#[test]
fn completions_and_man_pages_name_every_command() {
    let house = House::new();
    let commands = [
        "find", "view", "average", "rate", "delete", "search", "ratings", "top", "tags", "user",
        "whoami", "session", "status", "change", "members", "digest", "log", "gossip", "at-risk",
        "retire", "script", "import", "export", "up",
    ];
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, text, _) = house.run(&["completions", shell], "");
        assert_eq!(code, 0);
        for command in commands {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
    let (code, help, _) = house.run(&["--help"], "");
    let (_, man, _) = house.run(&["man"], "");
    assert!(code == 0 && man.starts_with(".ie"), "{man}");
    // roff has another sign for a hyphen.
    let man = man.replace("\\-", "-");
    for command in commands {
        assert!(help.contains(command) && man.contains(command), "{command}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, ..) = house.run(&["man", "-o", folder.path().to_str().unwrap()], "");
    assert_eq!(code, 0);
    for command in commands {
        assert!(
            folder
                .path()
                .join(format!("backfence-{command}.1"))
                .is_file(),
            "{command}"
        );
    }
}
