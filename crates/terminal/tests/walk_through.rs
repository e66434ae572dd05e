//! The walk-through of the original with real servers, word for word: in terminals,
//! with two clients at once, and through a pipe.
#![cfg(unix)]

use std::io::Write as _;
use std::{env, path::PathBuf, process::Command};

use backfence_cluster::{Cluster, Role};
use rexpect::session::PtySession;

const PROGRAM: &str = env!("CARGO_BIN_EXE_backfence");
const BUSY: &str = "All servers are currently busy, please try again later";
/// How long a line may take on the slowest machine.
const LIMIT_MS: u64 = 30_000;

fn program(cluster: &Cluster) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["--registry", &cluster.registry()])
        .arg("--cluster-key")
        .arg(cluster.key())
        .env_remove("BACKFENCE_FRONTEND")
        .env_remove("BACKFENCE_USER")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    command
}

/// A client in a terminal of its own.
struct Client(PtySession);

impl Client {
    fn open(cluster: &Cluster, user: &str) -> Self {
        let session = rexpect::session::spawn_command(program(cluster), Some(LIMIT_MS));
        let mut client = Self(session.unwrap());
        client.answer("Enter your user ID: ", user);
        for command in [
            "find", "view", "average", "rate", "delete", "change", "quit",
        ] {
            client.0.exp_string(&format!("\n  {command} ")).unwrap();
        }
        client
    }

    fn answer(&mut self, prompt: &str, line: &str) {
        self.0.exp_string(prompt).unwrap();
        self.0.send_line(line).unwrap();
    }

    /// Gives a command and what it asks for, and expects exactly this line.
    fn does(&mut self, command: &str, answers: &[&str], line: &str) {
        self.answer("What would you like to do? ", command);
        for (answer, at) in answers.iter().zip(0..) {
            let prompt = match (command.to_lowercase().as_str(), at) {
                ("change", _) => "Which server (1-3)? ",
                (_, 0) => "Which movie? ",
                _ => "What rating (0-5)? ",
            };
            self.answer(prompt, answer);
        }
        self.line(line);
    }

    fn line(&mut self, line: &str) {
        // Bare of the editor's own sequences, which end with the line typed.
        let found = self.0.exp_string(&format!("\n{line}\r\n"));
        found.unwrap_or_else(|error| panic!("expected {line:?}: {error}"));
    }

    fn ends_with(mut self, code: i32) {
        self.line("Okay thanks for coming!");
        self.0.exp_eof().unwrap();
        // Its type cannot be named from here.
        let status = format!("{:?}", self.0.process().wait().unwrap());
        assert!(
            status.starts_with("Exited") && status.ends_with(&format!(", {code})")),
            "{status}"
        );
    }
}

#[test]
fn in_two_terminals_at_once() {
    let cluster = Cluster::builder().start().unwrap();
    let mut first = Client::open(&cluster, "1");
    let mut second = Client::open(&cluster, "2");

    let toy_story = &["Toy Story"][..];
    first.does(
        "find",
        toy_story,
        "Toy Story was made in (1995) and has the genres Adventure|Animation|Children|Comedy|Fantasy",
    );
    first.does(
        "view",
        toy_story,
        "The rating that user 1 gave to movie Toy Story was 4.0",
    );
    second.does(
        "VIEW",
        &["toy story"],
        "The rating that user 2 gave to movie Toy Story was 3.5",
    );
    first.does("rate", &["Toy Story", "2.5"], "Your update has been sent");
    first.does(
        "view",
        toy_story,
        "The rating that user 1 gave to movie Toy Story was 2.5",
    );
    second.does(
        "average",
        toy_story,
        "3.0 is the average rating for Toy Story",
    );

    let offline = "Server status changed from online to offline";
    let online = "Server status changed from offline to online";
    first.does("change", &["1"], offline);
    first.does(
        "view",
        toy_story,
        "The rating that user 1 gave to movie Toy Story was 2.5",
    );
    second.does("rate", &["Toy Story", "5"], "Your update has been sent");
    first.does("change", &["2"], offline);
    second.does(
        "view",
        toy_story,
        "The rating that user 2 gave to movie Toy Story was 5.0",
    );
    first.does("change", &["3"], offline);
    first.does("view", toy_story, BUSY);
    second.does("view", toy_story, BUSY);
    for server in ["1", "2", "3"] {
        second.does("change", &[server], online);
    }
    first.does(
        "view",
        toy_story,
        "The rating that user 1 gave to movie Toy Story was 2.5",
    );
    first.does("delete", toy_story, "Your update has been sent");
    first.does("view", toy_story, "User has not rated that movie");
    first.does(
        "average",
        &["Nobody Rated This"],
        "Nobody Rated This has no ratings yet",
    );
    first.does(
        "view",
        &["Toy Stories 9"],
        "Toy Stories 9 is not in our database yet",
    );

    first.answer("What would you like to do? ", "Quit");
    first.ends_with(0);
    second.answer("What would you like to do? ", "view");
    second.0.exp_string("Which movie? ").unwrap();
    second.0.send_control('d').unwrap();
    second.ends_with(0);
}

#[test]
fn ctrl_c_at_a_prompt_ends_nothing() {
    let cluster = Cluster::builder().replicas(1).start().unwrap();
    let mut client = Client::open(&cluster, "1");
    client.0.exp_string("What would you like to do? ").unwrap();
    client.0.send_control('c').unwrap();
    client.0.exp_string("What would you like to do? ").unwrap();
    client.0.send_control('c').unwrap();
    let how = "To leave, type quit or press Ctrl-D";
    client.0.exp_string(how).unwrap();
    client.answer("What would you like to do? ", "quit");
    client.ends_with(0);
}

#[test]
fn a_front_end_that_is_gone_is_one_line() {
    let mut cluster = Cluster::builder().replicas(1).start().unwrap();
    let mut client = Client::open(&cluster, "1");
    client.0.exp_string("What would you like to do? ").unwrap();
    for role in [Role::FrontEnd(1), Role::Registry] {
        cluster.kill(role).unwrap();
    }
    client.0.send_line("view toy story").unwrap();
    let before = client.0.exp_string("no front end can be reached").unwrap();
    assert!(!before.contains("WARN"), "{before}");
    client.answer("What would you like to do? ", "quit");
    client.ends_with(0);
}

#[test]
fn through_a_pipe_and_as_commands() {
    let cluster = Cluster::builder().start().unwrap();
    let input = "1\nview\nToy Story\nrate\nToy Story\n2.5\nview\nToy Story\nchange\n1\nview\nToy Story\n\
                 change\n2\nchange\n3\nview\nToy Story\nchange\n1\nchange\n2\nchange\n3\nview\nToy Story\nquit\n";
    let output = assert_cmd::Command::from(program(&cluster))
        .write_stdin(input)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let prompts_and_menu = |line: &&str| !line.ends_with('?') && !line.starts_with("  ");
    let found: Vec<_> = stdout.lines().skip(1).filter(prompts_and_menu).collect();
    let offline = "Server status changed from online to offline";
    let online = "Server status changed from offline to online";
    let changed = "The rating that user 1 gave to movie Toy Story was 2.5";
    let expected = [
        "The rating that user 1 gave to movie Toy Story was 4.0",
        "Your update has been sent",
        changed,
        offline,
        changed,
        offline,
        offline,
        BUSY,
        online,
        online,
        online,
        changed,
        "Okay thanks for coming!",
    ];
    assert_eq!(found, expected, "{stdout}");

    let run = |words: &[&str]| {
        let output = program(&cluster).args(words).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), stdout)
    };
    let status = run(&["status"]);
    let online = status.1.lines().filter(|line| line.contains("online"));
    assert_eq!((status.0, online.count()), (0, 3), "{}", status.1);
    assert_eq!(run(&["change", "9"]).0, 3);
    assert_eq!(run(&["find", "emma"]).0, 4);
}

/// The sentences of the original as its own data gives them.
#[test]
fn with_the_original_data() {
    let data = env::var_os("BACKFENCE_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = data.join("ml-latest-small");
    if !folder.join("movies.csv").is_file() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED with_the_original_data: no ml-latest-small under {}",
            data.display()
        );
        return;
    }
    let cluster = Cluster::builder().data(folder).start().unwrap();
    let check = |words: &[&str], code: i32, expected: &str| {
        let output = program(&cluster)
            .args(["--user", "1"])
            .args(words)
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), stdout.as_str()),
            (Some(code), expected),
            "{words:?}"
        );
    };
    check(
        &["find", "Toy", "Story"],
        0,
        "Toy Story was made in (1995) and has the genres Adventure|Animation|Children|Comedy|Fantasy\n",
    );
    check(
        &["view", "Toy", "Story"],
        0,
        "The rating that user 1 gave to movie Toy Story was 4.0\n",
    );
    check(
        &["average", "Toy", "Story"],
        0,
        "3.9209302325581397 is the average rating for Toy Story\n",
    );
    check(
        &["find", "Babylon", "5"],
        0,
        "Babylon 5 has no year in our data and has the genres Sci-Fi\n",
    );
    check(
        &["find", "emma", "(1996)"],
        4,
        "Several movies match \"emma (1996)\":\n  Emma (1996), #838\n  Emma (1996), #26958\n\
         Name one with its year, or by its number with the #\n",
    );
}
