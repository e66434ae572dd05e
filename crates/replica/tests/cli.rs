//! The program's command line.

use assert_cmd::Command;

fn check(args: &[&str], code: i32, says: &[&str]) {
    let output = Command::cargo_bin("backfence-replica")
        .expect("the program is built")
        .env_remove("BACKFENCE_REGISTRY")
        .args(args)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    for part in says {
        assert!(
            text.contains(part),
            "{args:?} does not say {part:?}: {text}"
        );
    }
}

#[test]
fn help_names_every_flag() {
    let flags = [
        "--server",
        "--registry",
        "--listen",
        "--insecure",
        "--advertise",
        "--movies",
        "--ratings",
        "--strict",
        "--overload-probability",
        "--seed",
        "--gossip-interval",
        "--log-budget",
        "--late",
        "--log",
    ];
    check(&["--help"], 0, &flags);
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    check(&["--wrong"], 2, &["--wrong", "--help"]);
    check(&["--server", "0"], 2, &["--server"]);
    check(
        &["--registry", "nonsense"],
        2,
        &["nonsense", "127.0.0.1:7400"],
    );
    check(&["--overload-probability", "1.5"], 2, &["from 0 to 1"]);
    check(&["--overload-probability", "NaN"], 2, &["from 0 to 1"]);
    check(&["--gossip-interval", "1"], 2, &["1s"]);
    check(&["--gossip-interval", "1ms"], 2, &["10ms"]);
    check(&["--late", "10ms"], 2, &["from 1s"]);
    check(&["--listen", "192.0.2.1:0"], 2, &["192.0.2.1:0"]);
    let open = ["--listen", "0.0.0.0:0"];
    check(&open, 2, &["0.0.0.0:0", "or --insecure where you trust"]);
}

#[test]
fn data_that_cannot_be_loaded_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let movies = dir.path().join("movies.csv");
    let ratings = dir.path().join("ratings.csv");
    let files = [
        "--movies",
        movies.to_str().expect("a path"),
        "--ratings",
        ratings.to_str().expect("a path"),
    ];
    check(&files, 2, &["movies.csv", "check the path"]);
    std::fs::write(&movies, "movieId,title,genres\n1,Toy Story (1995),Comedy\n").expect("written");
    std::fs::write(&ratings, "not,the,header\n").expect("written");
    check(&files, 2, &["ratings.csv", "not,the,header"]);
    std::fs::write(&ratings, "userId,movieId,rating,timestamp\n1,99,4.0,1\n").expect("written");
    let nothing = [
        "no row of",
        "ratings.csv:2: there is no movie 99",
        "right file",
    ];
    check(&files, 4, &nothing);
    let strict: Vec<_> = files.into_iter().chain(["--strict"]).collect();
    check(&strict, 4, &["ratings.csv:2", "99"]);
    let unclosed = "userId,movieId,rating,timestamp\n1,1,4.0,\"1\n2,1,3.5,1\n";
    std::fs::write(&ratings, unclosed).expect("written");
    check(&strict, 4, &["ratings.csv:2", "a quote is not closed"]);
}
