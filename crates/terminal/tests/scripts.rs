//! Scripts, and sessions in files.

#[allow(dead_code)]
mod house;

use std::fs;

use house::House;

#[test]
fn a_script_stops_at_the_first_failure_or_keeps_going() {
    let server = House::new();
    let script = "# a comment\n\nfind Toy Story\nFIND \"Hamlet (1990)\"\nfind nowhere\nfnid x\nview matrix\n";
    let found = "Toy Story was made in (1995) and has the genres Adventure|Animation|Children|Comedy|Fantasy\n\
                 Hamlet was made in (1990) and has the genres Drama\n\
                 nowhere is not in our database yet\n";
    let (code, stdout, stderr) = server.run(&["--user", "1", "-"], script);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (3, found, ""));

    let (code, stdout, stderr) = server.run(&["--user", "1", "-", "--keep-going"], script);
    let all = format!("{found}User has not rated that movie\n");
    assert_eq!((code, stdout.as_str()), (3, all.as_str()));
    assert!(
        stderr.starts_with("error: line 6: there is no command fnid; did you mean find?\n"),
        "{stderr}"
    );

    let (code, stdout, _) = server.run(
        &["--json", "--user", "1", "script"],
        "view toy story\nwhoami\n",
    );
    assert_eq!(code, 0);
    for line in stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!(stdout.lines().count(), 2);
    let (code, _, stderr) = server.run(&["-"], "view toy story\n");
    assert_eq!(code, 2);
    assert!(stderr.contains("line 1: whose rating?"), "{stderr}");
    assert_eq!(server.run(&["-"], "").0, 0);
}

/// A mark that some editors put before the text, and a title like an option.
#[test]
fn a_script_may_begin_with_a_mark_and_titles_with_a_hyphen() {
    let server = House::new();
    let (code, stdout, stderr) = server.run(&["--user", "1", "-"], "\u{feff}find Toy Story\n");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("Toy Story was made in (1995)"),
        "{stdout}"
    );
    for line in ["find \"-30-\"\n", "rate \"-30-\" 4\n"] {
        let (code, stdout, _) = server.run(&["--user", "1", "-"], line);
        let unknown = "-30- is not in our database yet";
        assert!(code == 3 && stdout.starts_with(unknown), "{line}: {stdout}");
    }
    let (_, stdout, _) = server.run(&["--user", "1"], "\u{feff}find \"-30-\"\n");
    assert!(
        stdout.contains("\n-30- is not in our database yet\n"),
        "{stdout}"
    );
}

/// As in other programs: 1 and yes are yes, 0 and nothing are no.
#[test]
fn no_history_is_yes_or_no() {
    let server = House::new();
    for value in ["1", "yes", "true", "", "0", "no"] {
        let mut command = server.command(&["find", "Toy Story"]);
        command.env("BACKFENCE_NO_HISTORY", value);
        let (code, _, stderr) = house::run(command, "");
        assert_eq!((code, stderr.as_str()), (0, ""), "{value:?}");
    }
}

#[test]
fn a_genre_of_no_movie_is_named() {
    let server = House::new();
    let (_, stdout, _) = server.run(&["top", "--genre", "nope"], "");
    assert!(
        stdout.starts_with("No movie of genre \"nope\" has at least 10 ratings"),
        "{stdout}"
    );
}

/// Nothing is rated where two movies could be meant; quotes and ids say which.
#[test]
fn a_number_behind_a_title_is_asked_about_in_scripts_and_pipes() {
    let server = House::new();
    let refused = "alien 3 can mean two things:\n  \
         Alien (1979), rated 3.0: rate \"Alien (1979)\" 3\n  \
         Alien 3 (1992), with no rating yet: rate \"Alien 3 (1992)\" RATING\n\
         A title in quotes, with its year, or as #ID, is clear\n";
    let clear = "rate \"Alien (1979)\" 3\nrate \"Alien 3\" 4\nrate #12 2\ndelete alien 3\n";
    let done = "Your update has been sent\nAlien (1979): 3.0\n\
                Your update has been sent\nAlien 3 (1992): 4.0\n\
                Your update has been sent\nAlien (1979): 2.0\n\
                Your update has been sent\nAlien 3 (1992): no rating\n";
    let lines = format!("rate alien 3\n{clear}");
    let (code, stdout, _) = server.run(&["--user", "1", "-"], &lines);
    assert_eq!((code, stdout.as_str()), (4, refused));
    assert!(server.world.lock().unwrap().taken.is_empty());
    let (code, stdout, _) = server.run(&["--user", "1", "-", "--keep-going"], &lines);
    assert_eq!((code, stdout), (4, format!("{refused}{done}")));
    let (code, stdout, _) = server.run(&["--user", "1"], &lines);
    let answers = |line: &&str| !line.ends_with('?');
    let answers: Vec<_> = stdout.lines().filter(answers).collect();
    let expected = format!("{refused}{done}");
    let expected: Vec<_> = expected.lines().collect();
    assert_eq!(code, 0);
    assert!(
        answers.join("\n").contains(&expected.join("\n")),
        "{stdout}"
    );
}

#[test]
fn a_session_in_a_file_goes_on_in_the_next_program() {
    let server = House::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    let path = file.to_str().unwrap();
    let with =
        |words: &[&str]| server.run(&[&["--session", path, "--user", "1"], words].concat(), "");
    assert_eq!(with(&["rate", "Toy Story", "2"]).0, 0);
    // The fake refuses a token that is not the last one that it gave.
    let viewed = with(&["view", "Toy Story"]);
    let expected = "The rating that user 1 gave to movie Toy Story was 2.0\n";
    assert_eq!((viewed.0, viewed.1.as_str()), (0, expected), "{viewed:?}");
    assert_eq!(with(&["rate", "Toy Story", "3"]).0, 0);
    let updates: Vec<_> = server.world.lock().unwrap().taken.keys().copied().collect();
    assert_eq!(
        (updates[0].session, updates[0].sequence),
        (updates[1].session, 1)
    );
    assert_eq!(updates.len(), 2);
    let (_, old, _) = with(&["session"]);
    assert!(
        old.contains("It has seen:\n  updates 1 to 2 of server 1"),
        "{old}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let whole = fs::read(&file).unwrap();
    for torn in [
        b"nonsense".as_slice(),
        b"",
        b"\xff\xfe",
        &whole[..whole.len() - 9],
    ] {
        fs::write(&file, torn).unwrap();
        let (code, _, stderr) = with(&["view", "Toy Story"]);
        assert_eq!(code, 2);
        for text in ["it holds no session", "session reset"] {
            assert!(stderr.contains(text), "{stderr}");
        }
        assert_eq!(fs::read(&file).unwrap(), torn, "it is left as it is");
    }
    // Nobody is asked, and what was there is kept.
    let (code, begun, stderr) = with(&["--registry", "http://127.0.0.1:1", "session", "reset"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(begun.starts_with("New session; "), "{begun}");
    assert!(stderr.contains("session.old"), "{stderr}");
    assert_eq!(
        fs::read(folder.path().join("session.old")).unwrap(),
        whole[..whole.len() - 9]
    );
    assert_eq!(with(&["view", "Toy Story"]).0, 0);
    let (_, words, _) = with(&["session"]);
    assert!(
        old[..40] != words[..40] && words.contains("0 updates"),
        "{old} {words}"
    );
}

#[test]
fn a_session_begins_anew_without_leaving() {
    let server = House::new();
    let ids = "rate toy story 2\nsession\nsession reset\nsession\nrate toy story 3\nsession\n";
    let (code, stdout, _) = server.run(&["--user", "1", "-"], ids);
    assert_eq!(code, 0, "{stdout}");
    let ids: Vec<_> = stdout
        .lines()
        .filter(|line| line.contains(" 1 update"))
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{stdout}");
    for line in [
        "New session; ",
        "begins with its first request, has made 0 updates",
    ] {
        assert!(stdout.contains(line), "{stdout}");
    }
    let sessions: Vec<_> = server
        .world
        .lock()
        .unwrap()
        .taken
        .keys()
        .map(|id| id.sequence)
        .collect();
    assert_eq!(sessions, [1, 1], "each of a session of its own");
    let (code, _, stderr) = server.run(&["session", "reset"], "");
    assert!(code == 2 && stderr.contains("--session FILE"), "{stderr}");
}
