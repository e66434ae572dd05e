//! What the original did not have, with real servers: search, ratings, top, tags, users,
//! sessions, bulk; and servers that are killed in the middle of it.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use backfence_cluster::{Cluster, Role, write_small_data};
use house::{TODO, Terminal, program, run, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// Servers, with tags beside their movies, and a folder to work in.
struct Town {
    cluster: Cluster,
    folder: TempDir,
}

impl Town {
    fn new(front_ends: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_small_data(folder.path(), "The Last One").unwrap();
        let tags = "userId,movieId,tag,timestamp\n1,1,pixar,1\n2,1,pixar,1\n2,1,fun,1\n";
        fs::write(folder.path().join("tags.csv"), tags).unwrap();
        let builder = Cluster::builder().front_ends(front_ends);
        let cluster = builder.data(folder.path()).start().unwrap();
        Self { cluster, folder }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command
            .args(["--registry", &self.cluster.registry(), "--user", "1"])
            .args(words)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.folder.path())
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        command
    }

    /// What it prints, one command after the other in one session.
    fn script(&self, lines: &str) -> String {
        let (code, stdout, stderr) = run(self.command(&["--session", "mine", "-"]), lines);
        assert_eq!((code, stderr.as_str()), (0, ""), "{lines}: {stdout}");
        stdout
    }

    fn json(&self, words: &[&str]) -> Value {
        let options = ["--session", "mine", "--json"];
        let (_, stdout, stderr) = run(self.command(&[&options, words].concat()), "");
        serde_json::from_str(&stdout).expect(&stderr)
    }

    /// Updates that each server has applied.
    fn applied(&self) -> Vec<u64> {
        let status = self.json(&["status"]);
        let servers = status["servers"].as_array().unwrap().iter();
        let counts = |server: &Value| -> u64 {
            let entries = server["value_ts"].as_array().unwrap().iter();
            entries.map(|entry| entry["count"].as_u64().unwrap()).sum()
        };
        servers.map(counts).collect()
    }
}

fn columns(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn everything_newer_is_answered_by_real_servers() {
    let town = Town::new(1);
    let rows = columns(&town.script("search matr\n"))[1].join(" ");
    assert_eq!(rows, "#3 Matrix, The 1999 Action|Sci-Fi|Thriller");
    let found = town.json(&["search", "--genre", "scifi", "--year", "1999"]);
    assert_eq!(
        (&found["total"], &found["movies"][0]["movie_id"]),
        (&1.into(), &3.into())
    );
    let near = town.json(&["search", "jumangi"]);
    assert_eq!(
        (&near["near"], &near["movies"][0]["title"]),
        (&true.into(), &"Jumanji".into())
    );

    let said = town.script("rate toy story 2.5\nrate #5 5\nratings\nuser 1\ntop --min-ratings 2\n");
    let rows = columns(&said);
    // Behind two lines about each update.
    let rows = &rows[4..];
    assert_eq!(rows[0][0], "rating");
    // The newest first; those of one second in the order of movies.
    let newest = BTreeSet::from([rows[1][1], rows[2][1]]);
    assert_eq!(newest, BTreeSet::from(["Babylon", "Toy"]));
    assert_eq!(rows[3][..4], ["5.0", "Matrix,", "The", "1999"]);
    assert!(
        said.contains("User 1 has given 3 ratings, 4.17 on average"),
        "{said}"
    );
    assert!(
        said.ends_with(" 3.00     2        Toy Story  1995  #1\n"),
        "{said}"
    );
}

#[test]
fn sessions_and_files_go_through_real_servers() {
    let town = Town::new(1);
    town.script("rate toy story 2.5\nrate #5 5\n");
    let tags = town.json(&["tags", "toy story"]);
    let first = serde_json::json!({"tag": "pixar", "users": 2});
    assert_eq!(
        (&tags["tags"][0], tags["tags"].as_array().unwrap().len()),
        (&first, 2)
    );
    let session = town.json(&["session"]);
    // Whichever servers have taken them.
    let seen = session["seen"].as_array().unwrap().iter();
    let seen: u64 = seen.map(|entry| entry["count"].as_u64().unwrap()).sum();
    assert_eq!((&session["updates"], seen), (&2.into(), 2));
    let whoami = town.json(&["whoami"]);
    assert_eq!(
        (&whoami["user_id"], &whoami["session"]),
        (&1.into(), &session["session"])
    );
    assert_eq!(
        format!("http://{}", whoami["front_end"].as_str().unwrap()),
        town.cluster.front_end(1)
    );

    fs::write(
        town.folder.path().join("more.csv"),
        "userId,movieId,rating\n7,2,4\n7,9,0.5\n",
    )
    .unwrap();
    let given = town.json(&["import", "more.csv"]);
    assert_eq!(
        given,
        serde_json::json!({"rated": 2, "before": 0, "skipped": 0})
    );
    wait_until(|| town.applied() == [4, 4, 4]);
    let (code, csv, _) = run(town.command(&["export"]), "");
    let ratings: Vec<_> = csv
        .lines()
        .map(|line| line.rsplit_once(',').unwrap().0)
        .collect();
    let expected = [
        "userId,movieId,rating",
        "1,1,2.5",
        "1,3,5.0",
        "1,5,5.0",
        "2,1,3.5",
        "2,2,3.0",
        "3,4,4.5",
        "3,6,2.0",
        "7,2,4.0",
        "7,9,0.5",
    ];
    assert_eq!((code, ratings), (0, expected.to_vec()));
}

/// Killed in the middle, it goes on: the servers have as many updates as there are rows.
#[test]
fn an_import_that_is_killed_goes_on_and_rates_once() {
    const ROWS: usize = 3_000;
    let town = Town::new(1);
    let row = |row: usize| format!("{},{},{}.5\n", 100 + row / 9, 1 + row % 9, row % 5);
    let rows: String = (0..ROWS).map(row).collect();
    fs::write(
        town.folder.path().join("big.csv"),
        format!("userId,movieId,rating\n{rows}"),
    )
    .unwrap();
    let journal = town.folder.path().join("big.csv.progress");
    for kill in 1..=3 {
        let mut command = town.command(&["import", "big.csv", "--sessions", "8"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| lines(&journal, "done ") > kill * ROWS / 6);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let before = lines(&journal, "done ");
    assert!(before < ROWS, "it was over before it was killed");
    let given = town.json(&["import", "big.csv"]);
    assert_eq!(given["before"], before);
    assert_eq!(given["rated"], ROWS - before);
    assert!(!journal.exists());
    wait_until(|| town.applied() == [ROWS as u64; 3]);
    let (_, csv, _) = run(town.command(&["export"]), "");
    // With the header and the six that were there.
    assert_eq!(csv.lines().count(), ROWS + 7);
}

fn lines(path: &Path, begun: &str) -> usize {
    // It is not there at first.
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.starts_with(begun)).count()
}

/// The front end that a session uses is halted, has a request, and is killed.
#[test]
fn a_front_end_that_is_killed_in_the_middle_is_passed_over() {
    let mut town = Town::new(2);
    let mut terminal = Terminal::start(town.command(&["--timeout", "60s"]));
    terminal.sees(TODO);
    terminal.says("whoami");
    terminal.sees("Front end ");
    let used = terminal.sees("\r\n");
    let used = [1, 2]
        .map(Role::FrontEnd)
        .into_iter()
        .find(|&role| format!("http://{}", town.cluster.address(role)) == used);
    let used = used.expect("it is one of ours");
    terminal.sees(TODO);
    town.cluster.stop(used).unwrap();
    terminal.says("rate Toy Story 1.5");
    terminal.sees("waiting for an answer");
    town.cluster.kill(used).unwrap();
    terminal.sees("\nYour update has been sent\r\n");
    terminal.sees(TODO);
    terminal.does(
        "view Toy Story",
        "The rating that user 1 gave to movie Toy Story was 1.5",
    );
    // Once, though two front ends have had it.
    wait_until(|| town.applied() == [1, 1, 1]);
}

/// The only one is killed: a sentence says what to do, and when that is done the session
/// goes on.
#[test]
fn without_a_front_end_it_is_said_what_to_start() {
    let mut town = Town::new(1);
    let mut terminal = Terminal::start(town.command(&[]));
    terminal.sees(TODO);
    terminal.does("rate Toy Story 1.5", "Your update has been sent");
    town.cluster.kill(Role::FrontEnd(1)).unwrap();
    terminal.says("view Toy Story");
    terminal.sees("no front end can be reached at http://");
    terminal.sees("; start one with backfence-frontend, or try again\r\n");
    terminal.sees(TODO);
    town.cluster.restart(Role::FrontEnd(1)).unwrap();
    terminal.does(
        "view Toy Story",
        "The rating that user 1 gave to movie Toy Story was 1.5",
    );
    terminal.says("quit");
    terminal.ends_with(0);
}
