//! The session that README.md shows, typed again.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::io::Write as _;
use std::{env, fs, path::PathBuf};

use backfence_cluster::Cluster;
use house::{Terminal, program};

const PROMPTS: [&str; 4] = [
    "Enter your user ID: ",
    "What would you like to do? ",
    "Which movie? ",
    "Which one (1-3, Enter for none)? ",
];

#[test]
fn the_session_is_as_it_is_shown() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data =
        env::var_os("BACKFENCE_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let folder = data.join("ml-latest-small");
    if !folder.join("movies.csv").is_file() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED the_session_is_as_it_is_shown: no ml-latest-small under {}",
            data.display()
        );
        return;
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, shown) = readme.split_once("CLIENT CAN NOW CONNECT\n").unwrap();
    let (shown, _) = shown.split_once("\n```").unwrap();

    let cluster = Cluster::builder().data(folder).start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut command = program();
    command
        .args(["--registry", &cluster.registry()])
        .arg("--cluster-key")
        .arg(cluster.key())
        .env("XDG_STATE_HOME", state.path())
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    let mut terminal = Terminal::start(command);
    terminal.resize(80);
    for line in shown.lines() {
        let typed = PROMPTS
            .iter()
            .find_map(|prompt| Some((prompt, line.strip_prefix(prompt)?)));
        match typed {
            Some((prompt, typed)) => {
                terminal.sees(prompt);
                terminal.says(typed);
            }
            // The rest is another each time.
            None if line.starts_with("Session ") => drop(terminal.sees("\nSession ")),
            None if line.contains("'s present run (since ") => {
                terminal.sees("  update 1 of server 1's present run (since ");
            }
            None => drop(terminal.sees(&format!("{line}\r\n"))),
        }
    }
    terminal.ends_with(0);
}
