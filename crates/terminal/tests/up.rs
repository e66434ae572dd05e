//! `backfence up`: a whole cluster of real programs, its folder, and its end.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use backfence_cluster::{two_free_ports, write_small_data};
use house::{Terminal, program, run};
use tempfile::TempDir;

/// A user with data, who has no cluster yet.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        let user = Self {
            home: tempfile::tempdir().unwrap(),
        };
        user.data("data", "The Last One");
        user
    }

    fn data(&self, name: &str, last: &str) -> PathBuf {
        let data = self.home.path().join(name);
        fs::create_dir(&data).unwrap();
        write_small_data(&data, last).unwrap();
        data
    }

    fn kept(&self) -> PathBuf {
        self.home.path().join("state/backfence")
    }

    fn up(&self, words: &[&str]) -> Command {
        // The build of all programs, where this test is run alone.
        backfence_cluster::program("backfence-replica").unwrap();
        let mut command = program();
        command.arg("up").args(words);
        for (option, value) in [
            ("--overload-probability", "0"),
            ("--port", &*two_free_ports().to_string()),
        ] {
            if !words.contains(&option) {
                command.args([option, value]);
            }
        }
        command
            .current_dir(self.home.path())
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        command
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn ratings_are_kept_and_a_new_folder_is_asked_for() {
    let user = User::new();
    let (code, said, told) = run(
        user.up(&["--replicas", "2"]),
        "1\nrate toy story 2.5\nquit\n",
    );
    assert_eq!(code, 0, "{told}");
    assert!(said.contains("Your update has been sent"), "{said}");
    let kept = user.kept();
    let place = format!("Ratings and logs are in {}", kept.display());
    assert!(told.contains(&place), "{told}");
    let key = kept.join("cluster.key");
    let made = fs::read(&key).unwrap();
    assert_eq!((made.len(), mode(&key), mode(&kept)), (32, 0o600, 0o700));
    for server in ["server1", "server2"] {
        assert!(kept.join(server).join("replica.redb").is_file(), "{server}");
    }
    let view = "1\nview toy story\nquit\n";
    let (_, said, told) = run(user.up(&["--replicas", "2"]), view);
    assert!(said.contains("Toy Story was 2.5"), "{said}{told}");
    assert_eq!(fs::read(&key).unwrap(), made, "it stays");
    let log = fs::read_to_string(kept.join("frontend.log")).unwrap();
    assert!(log.contains("session tokens are protected"), "{log}");

    let (_, said, told) = run(user.up(&["--replicas", "1", "--fresh"]), view);
    assert!(said.contains("Toy Story was 4.0"), "{said}{told}");
    assert!(told.contains("/fresh-1\n"), "{told}");
    assert!(
        kept.join("server1/replica.redb").is_file(),
        "nothing is deleted"
    );
}

#[test]
fn a_folder_of_something_else_is_refused_and_stays_as_it_is() {
    let user = User::new();
    let (code, _, told) = run(user.up(&["--replicas", "2"]), "1\nquit\n");
    assert_eq!(code, 0, "{told}");
    let kept = user.kept();
    let note = fs::read(kept.join("cluster.json")).unwrap();
    let refused = |words: &[&str], named: &[&str]| {
        let (code, said, told) = run(user.up(words), "1\nquit\n");
        assert_eq!((code, said.as_str()), (4, ""), "{told}");
        for name in named {
            assert!(told.contains(name), "{name}: {told}");
        }
    };
    let other = user.data("other", "Another One");
    let other = other.to_str().unwrap();
    let data = user.home.path().join("data");
    let both = [other, data.to_str().unwrap(), "--fresh"];
    refused(&["--replicas", "2", "--data", other], &both);
    let both = ["2 servers", "--replicas 1", "--fresh"];
    refused(&["--replicas", "1"], &both);
    // The same files in another place are the same data; more servers are welcome.
    let same = user.data("same", "The Last One");
    let words = ["--replicas", "3", "--data", same.to_str().unwrap()];
    let (code, _, told) = run(user.up(&words), "1\nquit\n");
    assert_eq!(code, 0, "{told}");
    assert_ne!(fs::read(kept.join("cluster.json")).unwrap(), note);
    fs::write(same.join("tags.csv"), "userId,movieId,tag,timestamp\n").unwrap();
    refused(
        &["--data", same.to_str().unwrap()],
        &["have changed", "--fresh"],
    );

    let words = ["--data", same.to_str().unwrap(), "--fresh", "--no-client"];
    let port = two_free_ports().to_string();
    let mut running = Terminal::start(user.up(&[&words[..], &["--port", &port]].concat()));
    running.sees("CLIENT CAN NOW CONNECT");
    another_client_is_an_operator(&user, &port);
    let taken = kept.join("fresh-1");
    let words = [
        "--state",
        taken.to_str().unwrap(),
        "--data",
        same.to_str().unwrap(),
    ];
    refused(&words, &["in use by another cluster", "--state"]);
    running.types("\x03");
    running.ends_with(0);
    let mut keys = fs::read_dir(kept.join("keys")).unwrap();
    assert!(keys.next().is_none(), "it has taken its key away");
}

/// The same user's, in another terminal: it finds the key by the address that it asks.
/// Where it looks elsewhere, it finds none.
fn another_client_is_an_operator(user: &User, port: &str) {
    let registry = format!("http://127.0.0.1:{port}");
    for (home, expected, named) in [("state", 0, ""), ("elsewhere", 4, "NO_OPERATOR_TOKEN")] {
        let mut client = program();
        client
            .args(["--registry", &registry, "digest"])
            .env("XDG_STATE_HOME", user.home.path().join(home));
        let (code, _, told) = run(client, "");
        assert_eq!(code, expected, "{told}");
        assert!(told.contains(named), "{told}");
    }
}

#[test]
fn what_cannot_be_started_is_said() {
    let user = User::new();
    let says = |words: &[&str], expected: i32, named: &str| {
        let (code, said, told) = run(user.up(words), "");
        assert_eq!((code, said.as_str()), (expected, ""), "{words:?}: {told}");
        assert!(told.contains(named), "{words:?}: {told}");
    };
    says(&["--replicas", "0"], 2, "--replicas");
    says(
        &["--overload-probability", "1.5"],
        2,
        "--overload-probability",
    );
    says(&["--port", "65535"], 2, "--port");
    says(&["--bogus"], 2, "--bogus");
    says(&["--data", "/nonexistent"], 2, "/nonexistent/movies.csv");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    says(
        &["--port", &port.to_string()],
        5,
        &format!("port {port} is in use"),
    );
    // No row of these makes sense: the server says so, and all that was started ends.
    let data = user.data("torn", "The Last One");
    fs::write(
        data.join("ratings.csv"),
        "userId,movieId,rating,timestamp\nx,y,z,t\n",
    )
    .unwrap();
    says(&["--data", data.to_str().unwrap()], 5, "server1 has ended");
}

#[test]
fn what_was_started_ends_with_the_client() {
    let user = User::new();
    let mut terminal = Terminal::start(user.up(&["--replicas", "1"]));
    terminal.sees("Enter your user ID: ");
    terminal.says("1");
    terminal.sees("What would you like to do? ");
    terminal.says("quit");
    terminal.ends_with(0);
    for program in ["registry", "server1", "frontend"] {
        let log = fs::read_to_string(user.kept().join(format!("{program}.log"))).unwrap();
        assert!(log.contains("stopping"), "{program}: {log}");
    }
}

/// The process whose command line has this text.
#[cfg(target_os = "linux")]
fn process(text: &str) -> Option<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    ids.find(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains("backfence-replica ") && line.contains(text)
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_ends_by_itself_is_started_again_where_that_is_asked_for() {
    let user = User::new();
    let mut terminal = Terminal::start(user.up(&["--replicas", "1", "--restart", "--no-client"]));
    terminal.sees("Ctrl-C stops everything.");
    let server = process(&user.kept().join("server1").display().to_string()).unwrap();
    let killed = Command::new("kill")
        .args(["-KILL", &server])
        .status()
        .unwrap();
    assert!(killed.success());
    house::wait_until(|| {
        let log = fs::read_to_string(user.kept().join("server1.log")).unwrap();
        log.matches("SERVER READY").count() == 2
    });
    terminal.types("\x03");
    terminal.ends_with(0);
}
