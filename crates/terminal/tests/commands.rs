//! The program with a command: what it prints, and how it ends.

#[allow(dead_code)]
mod house;

use house::{
    House,
    fake::{self, Fault, fail, said},
    program, run,
};
use tonic::Code;

#[test]
fn answers_and_their_codes() {
    let server = House::new();
    let check = |words: &[&str], code: i32, expected: &str| {
        let found = server.run(words, "");
        assert_eq!(
            found,
            (code, expected.to_owned(), String::new()),
            "{words:?}"
        );
    };
    let user = ["--user", "1"];
    let with_user = |words: &[&'static str]| [&user, words].concat();
    check(
        &["find", "toy", "story"],
        0,
        "Toy Story was made in (1995) and has the genres Adventure|Animation|Children|Comedy|Fantasy\n",
    );
    check(
        &with_user(&["view", "Toy", "Story"]),
        0,
        "The rating that user 1 gave to movie Toy Story was 4.0\n",
    );
    check(
        &["view", "Hamlet (1990)", "--user", "1"],
        0,
        "User has not rated that movie\n",
    );
    check(
        &["average", "toy story"],
        0,
        "3.75 is the average rating for Toy Story\n",
    );
    check(&["average", "unrated"], 0, "Unrated has no ratings yet\n");
    check(
        &with_user(&["rate", "toy", "story", "2"]),
        0,
        "Your update has been sent\nToy Story (1995): 2.0\n",
    );
    check(
        &with_user(&["delete", "toy", "story"]),
        0,
        "Your update has been sent\nToy Story (1995): no rating\n",
    );
    // The last word may be a rating, or the end of a title: quotes or the id say which.
    check(
        &with_user(&["rate", "alien", "3"]),
        4,
        "alien 3 can mean two things:\n  \
         Alien (1979), rated 3.0: rate \"Alien (1979)\" 3\n  \
         Alien 3 (1992), with no rating yet: rate \"Alien 3 (1992)\" RATING\n\
         A title in quotes, with its year, or as #ID, is clear\n",
    );
    check(
        &with_user(&["rate", "Alien (1979)", "3"]),
        0,
        "Your update has been sent\nAlien (1979): 3.0\n",
    );
    check(
        &with_user(&["rate", "#13", "3"]),
        0,
        "Your update has been sent\nAlien 3 (1992): 3.0\n",
    );
    check(
        &with_user(&["rate", "alien", "3", "4"]),
        0,
        "Your update has been sent\nAlien 3 (1992): 4.0\n",
    );
    check(
        &["change", "2"],
        0,
        "Server status changed from online to offline\n",
    );
    check(&["change", "2", "offline"], 0, "Server status is offline\n");
    check(
        &["change", "3", "offline"],
        0,
        "Server status changed from online to offline\n",
    );
    check(
        &["change", "3", "online"],
        0,
        "Server status changed from offline to online\n",
    );
    check(
        &["find", "toi", "story"],
        3,
        "toi story is not in our database yet\nDid you mean: Toy Story (1995)?\n",
    );
    // A mark that makes another letter is never left out.
    check(
        &with_user(&["rate", "カメラ", "4"]),
        3,
        "カメラ is not in our database yet\nDid you mean: ガメラ (1965)?\n",
    );
    check(
        &["average", "hamlet"],
        4,
        "Several movies match \"hamlet\":\n  Hamlet (1990), #3\n  Hamlet (1996), #4\n\
         Name one with its year, or by its number with the #\n",
    );
    let (code, table, _) = server.run(&["status"], "");
    let rows: Vec<Vec<_>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(code, 0);
    assert_eq!(
        rows[2],
        ["2", "127.0.0.1:2", "offline", "1:5", "1:5", "5", "0", "0"]
    );
}

#[test]
fn json_has_the_agreed_names() {
    let server = House::new();
    let check = |words: &[&str], code: i32, expected: serde_json::Value| {
        let (found, json, _) = server.run(&[&["--json", "--user", "1"], words].concat(), "");
        let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
        // The session is another each time.
        let id = json.get("update_id").and_then(|id| id.as_str());
        if let Some((session, sequence)) = id.and_then(|id| id.split_once(':')) {
            assert_eq!((session.len(), sequence), (32, "1"));
            json["update_id"] = "some".into();
        }
        assert_eq!((found, &json), (code, &expected), "{words:?}");
    };
    use serde_json::json;
    let unlisted = json!({"movie_id": 6, "title": "Unlisted", "year": 2001, "genres": []});
    let babylon = json!({"movie_id": 5, "title": "Babylon 5", "year": null, "genres": ["Sci-Fi"]});
    check(&["find", "unlisted"], 0, unlisted.clone());
    check(&["find", "babylon 5"], 0, babylon);
    let rating = |rating: Option<f64>, update_id: Option<&str>| {
        json!({
            "movie_id": 1, "title": "Toy Story", "user_id": 1,
            "rating": rating, "update_id": update_id,
        })
    };
    // An update also says who has it.
    let updated = |to: Option<f64>| {
        let mut updated = rating(to, Some("some"));
        updated["servers"] = json!([1]);
        updated["year"] = json!(1995);
        updated
    };
    let toy_story = "toy story";
    check(&["view", toy_story], 0, rating(Some(4.0), None));
    check(&["rate", toy_story, "2.5"], 0, updated(Some(2.5)));
    check(&["view", toy_story], 0, rating(Some(2.5), Some("some")));
    check(
        &["average", toy_story],
        0,
        json!({"movie_id": 1, "title": "Toy Story", "average": 3.0, "ratings": 2}),
    );
    check(&["delete", toy_story], 0, updated(None));
    check(&["view", toy_story], 0, rating(None, None));
    check(
        &["average", "unrated"],
        0,
        json!({"movie_id": 7, "title": "Unrated", "average": null, "ratings": 0}),
    );
    check(
        &["change", "1"],
        0,
        json!({"server": 1, "from": "online", "status": "offline"}),
    );
    check(
        &["change", "1", "offline"],
        0,
        json!({"server": 1, "from": "offline", "status": "offline"}),
    );
    check(
        &["retire", "3", "--force"],
        0,
        json!({"server": 3, "already": false}),
    );
    check(
        &["find", "unlistet"],
        3,
        json!({"error": "not found", "title": "unlistet", "near": [unlisted]}),
    );
    let hamlet = |id: u32, year: u32| json!({"movie_id": id, "title": "Hamlet", "year": year, "genres": ["Drama"]});
    check(
        &["find", "hamlet"],
        4,
        json!({"error": "ambiguous", "title": "hamlet", "choices": [hamlet(3, 1990), hamlet(4, 1996)]}),
    );
    let alien = |id: u32, title: &str, year: u16| json!({"movie_id": id, "title": title, "year": year, "genres": ["Horror"]});
    check(
        &["rate", "alien", "3"],
        4,
        json!({
            "error": "two readings", "title": "alien 3", "rating": 3.0,
            "rated": [alien(12, "Alien", 1979)], "titled": [alien(13, "Alien 3", 1992)],
        }),
    );
    let (_, status, _) = server.run(&["--json", "status"], "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let ts = json!([{"server": 1, "incarnation": 1, "count": 2}]);
    let first = json!({
        "server": 1, "address": "127.0.0.1:1", "status": "offline",
        "value_ts": ts, "replica_ts": ts, "log_len": 2, "waiting": 0, "lag": 0,
        "gone_since_us": null, "clock_off_us": null, "cluster": "c1".repeat(16), "build": "0.2.0", "wire": 2, "speaks": 1,
    });
    assert_eq!(status["servers"][0], first);
}

#[test]
fn failures_and_their_codes() {
    let behind = [("server", "2"), ("incarnation", "77"), ("number", "5")];
    let said_behind = || Fault::Say(said(Code::DeadlineExceeded, "BEHIND", &behind));
    let said_unknown = || Fault::Say(said(Code::DeadlineExceeded, "OUTCOME_UNKNOWN", &[]));
    let said_busy = || Fault::Say(said(Code::Unavailable, "ALL_BUSY", &[]));
    let refused = || Fault::Say(said(Code::ResourceExhausted, "LOG_FULL", &[]));
    // As often as it may be asked until its time is over.
    let for_ever = |fault: &dyn Fn() -> Fault| -> Vec<Fault> {
        // Before it come the start of the session and the look for the movie.
        let answered = [Fault::None, Fault::None];
        answered
            .into_iter()
            .chain((0..100).map(|_| fault()))
            .collect()
    };
    let check = |faults: Vec<Fault>, words: &[&str], code: i32, stderr: &str| {
        let server = House::new();
        fail(&server.world, faults);
        let found = server.run(&[&["--user", "1"], words].concat(), "");
        assert_eq!((found.0, found.1.as_str()), (code, ""), "{found:?}");
        assert!(found.2.starts_with(stderr), "{found:?}");
    };
    let view = ["view", "toy story"];
    let rate = ["rate", "toy story", "3"];
    let busy = "error: All servers are currently busy, please try again later\n";
    check(for_ever(&said_busy), &view, 5, busy);
    let missing = "error: no server that answers has update 5 of server 2 (incarnation 77)";
    check(for_ever(&said_behind), &view, 6, missing);
    check(
        for_ever(&|| Fault::Hang),
        &view,
        6,
        "error: no answer has come in 2s from http://127.0.0.1:",
    );
    let unknown = "error: it is not known whether the update took effect";
    check(for_ever(&said_unknown), &rate, 7, unknown);
    check(for_ever(&|| Fault::Hang), &rate, 7, unknown);
    check(
        for_ever(&refused),
        &rate,
        4,
        "error: refused (LOG_FULL): the fake says LOG_FULL\n",
    );
    check(
        vec![],
        &["change", "4"],
        3,
        "error: there is no server 4; there are 1, 2, 3\n",
    );
}

#[test]
fn usage_is_checked_before_anything_else() {
    let check = |words: &[&str], sentence: &str| {
        // Nobody listens there, and nobody must be asked.
        let mut command = program();
        command.args(["--frontend", "127.0.0.1:1"]).args(words);
        let found = run(command, "");
        assert_eq!((found.0, found.1.as_str()), (2, ""), "{words:?}: {found:?}");
        assert!(found.2.contains(sentence), "{words:?}: {found:?}");
    };
    check(&["view", "toy story"], "--user ID");
    check(&["rate", "toy story", "3"], "BACKFENCE_USER");
    check(
        &["--user", "²", "view", "toy story"],
        "a user id is a number",
    );
    check(
        &["--user", "+1", "view", "toy story"],
        "a user id is a number",
    );
    check(
        &["--user", "1", "rate", "toy story", "6"],
        "ratings go from 0 to 5",
    );
    check(
        &["--user", "1", "rate", "toy story", "-1"],
        "ratings go from 0 to 5",
    );
    check(
        &["--user", "1", "rate", "toy", "story"],
        "\"story\" is not a rating; put 0 to 5 after the title",
    );
    check(&["--user", "1", "rate", "3"], "2 values required");
    check(&["find"], "required");
    check(&["find", " "], "the title is blank");
    check(&["change", "0"], "give a number, 1 or more");
    check(&["change", "one"], "give a number, 1 or more");
    check(
        &["change", "1", "away"],
        "[possible values: online, offline]",
    );
    check(&["fnid", "toy story"], "unrecognized subcommand");
    check(&["--frobnicate"], "unexpected argument");
    check(&["--json"], "--json goes with a command");
    check(&["--registry", "nowhere", "status"], "is no address");
}

#[test]
fn without_a_front_end_it_says_what_to_start() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut command = program();
    command.args(["--frontend", &address, "status"]);
    let (code, stdout, stderr) = run(command, "");
    assert_eq!((code, stdout.as_str()), (5, ""));
    let expected = format!("error: no front end can be reached at http://{address}: ");
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert!(
        stderr.contains("start one with backfence-frontend"),
        "{stderr}"
    );
}

#[test]
fn a_pipe_gets_the_same_words() {
    let server = House::new();
    let input = "view\nToy Story\n\u{0}\n";
    let (code, stdout, stderr) = server.run(&["--user", "1"], input);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let expected = "  quit     leave
What would you like to do?
Which movie?
The rating that user 1 gave to movie Toy Story was 4.0
What would you like to do?
INVALID: type find, view, average, rate, delete, change or quit
What would you like to do?
Okay thanks for coming!
";
    assert!(stdout.ends_with(expected), "{stdout}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_gives_up_what_is_being_asked() {
    use std::process::Stdio;
    let server = House::new();
    fail(&server.world, [Fault::None, Fault::None, Fault::Hang]);
    let child = server
        .command(&["--user", "1", "rate", "toy story", "3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    house::wait_until(|| fake::all_met(&server.world));
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let expected = "error: Interrupted; the change may still take effect\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

/// What `--timeout` bounds is everything, from the look for a front end on.
#[test]
fn the_time_limit_is_for_the_registry_too() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut command = house::program();
    command.args(["--registry", &format!("http://{address}")]);
    command.args(["--timeout", "300ms", "find", "Toy Story"]);
    let (code, stdout, stderr) = house::run(command, "");
    assert_eq!((code, stdout.as_str()), (5, ""), "{stderr}");
    assert!(stderr.contains("trying for 300.0ms"), "{stderr}");
    assert!(
        stderr.contains(&format!("no registry at http://{address}")),
        "{stderr}"
    );
}

/// Whoever could read what a session leaves could go on with it, or lock it.
#[cfg(unix)]
#[test]
fn what_a_session_leaves_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session");
    let file = session.display().to_string();
    std::fs::write(folder.path().join("session.lock"), "").unwrap();
    for _ in 0..2 {
        let words = ["--session", &file, "--user", "1", "rate", "toy story", "3"];
        let (code, _, stderr) = house.run(&words, "");
        assert_eq!(code, 0, "{stderr}");
        let modes = std::fs::read_dir(folder.path()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        });
        let modes: std::collections::BTreeMap<_, _> = modes.collect();
        let expected = ["session", "session.lock"].map(|name| (name.to_owned(), 0o600));
        assert_eq!(modes, expected.into());
    }
}
