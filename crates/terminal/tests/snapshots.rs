//! What every command prints: at a terminal, in a pipe, and with `--json`.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p backfence --test snapshots` writes them anew.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{fs, path::PathBuf, process::Command};

use house::{House, Terminal};

/// Those that print the same everywhere, and much, are elsewhere: completions and man
/// pages.
const COMMANDS: [&[&str]; 37] = [
    &["find", "toy", "story"],
    &["find", "hamlet"],
    &["find", "toi", "story"],
    &["view", "toy story"],
    &["view", "unrated"],
    &["average", "toy story"],
    &["average", "unrated"],
    &["rate", "toy story", "4.5"],
    &["rate", "alien", "3"],
    &["delete", "toy story"],
    &["search", "hamlet", "--year", "1996"],
    &["search", "--genre", "drama", "--limit", "2"],
    &["search", "matirx"],
    &["ratings"],
    &["top", "--min-ratings", "1"],
    &["top"],
    &["tags", "toy story"],
    &["user", "2"],
    &["whoami"],
    &["session"],
    &["change", "1"],
    &["change", "1", "online"],
    &["change", "1", "offline"],
    &["status"],
    &["members"],
    &["digest"],
    &["log", "1"],
    &["log", "4"],
    &["gossip", "1"],
    &["at-risk"],
    &["--copies", "2", "rate", "toy story", "4"],
    &["--timeout", "200ms", "--copies", "3", "delete", "toy story"],
    &["retire", "3"],
    &["retire", "3", "--force"],
    &["import", "mine.csv"],
    &["export"],
    &["script"],
];
/// What stands in mine.csv.
const MINE: &str = "userId,movieId,rating\n1,2,4.5\n1,99,1\n";
/// What the script reads.
const SCRIPT: &str = "rate toy story 1\nVIEW \"Toy Story\"\n# over\n";

/// What one command prints on each of them, and the code it ends with.
fn shown(words: &[&str]) -> String {
    let mut text = format!("$ backfence --user 1 {}\n", words.join(" "));
    for (place, json) in [("terminal", None), ("pipe", None), ("json", Some("--json"))] {
        // Each on a world of its own: some change it.
        let house = House::new();
        let address = house.fake.address.to_string();
        let mut command = house.command(&["--user", "1"]);
        command.args(json).args(words);
        fs::write(house.state.path().join("mine.csv"), MINE).unwrap();
        fs::write(house.state.path().join("script"), SCRIPT).unwrap();
        command.current_dir(house.state.path());
        let (code, output) = match place {
            "terminal" => at_terminal(&mut command),
            _ => {
                command.stdin(fs::File::open(house.state.path().join("script")).unwrap());
                let output = command.output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                (output.status.code(), text)
            }
        };
        text += &format!(
            "-- {place}, code {}\n{}",
            code.unwrap_or(-1),
            steady(&output, &address)
        );
    }
    text
}

fn at_terminal(command: &mut Command) -> (Option<i32>, String) {
    // A shell says how wide the terminal is, and how the command ended.
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut shell = Command::new("sh");
    // The progress of an import differs from run to run.
    let command_line = words.join(" ");
    let inner = format!("stty cols 60 rows 40; {command_line} <script 2>errors; echo code $?");
    shell
        .args(["-c", &inner])
        .current_dir(command.get_current_dir().unwrap())
        .env("NO_COLOR", "1")
        .env("TERM", "xterm");
    let text = Terminal::start(shell).sees_the_end().replace('\r', "");
    let (text, code) = text.rsplit_once("code ").unwrap();
    (code.trim().parse().ok(), text.to_owned())
}

/// Without what differs from run to run: ports, sessions, today.
fn steady(output: &str, address: &str) -> String {
    let mut steady = String::new();
    let mut hexadecimal = String::new();
    for c in output.replace(address, "ADDRESS").chars() {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            hexadecimal.push(c);
            continue;
        }
        steady += match hexadecimal.len() {
            32 => "SESSION",
            _ => &hexadecimal,
        };
        hexadecimal.clear();
        steady.push(c);
    }
    steady + &hexadecimal
}

#[test]
fn every_command_prints_what_it_printed() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots.txt");
    let found: Vec<_> = COMMANDS.iter().map(|words| shown(words)).collect();
    let found = found.join("\n");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (found, expected) in found.split("\n$ ").zip(expected.split("\n$ ")) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}
