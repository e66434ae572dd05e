//! What scripts rely on: the JSON of every command has the names that docs/CLIENT.md
//! gives, and `-w` does what it says.

#[allow(dead_code)]
mod house;

use std::{collections::BTreeSet, fs, path::Path};

use house::House;
use serde_json::Value;

const MOVIE: &str = r#""movie_id" "title" "year" "genres""#;
const TIMESTAMP: &str = r#""server" "incarnation" "count""#;

/// Each command as it is documented, and as it is given here. They share a session.
const COMMANDS: [(&str, &[&str]); 26] = [
    ("find", &["find", "toy", "story"]),
    ("rate", &["rate", "toy story", "4.5"]),
    ("view", &["view", "toy story"]),
    ("average", &["average", "toy story"]),
    ("search", &["search", "toy"]),
    ("ratings", &["ratings"]),
    ("top", &["top", "--min-ratings", "1"]),
    ("tags", &["tags", "toy story"]),
    ("user", &["user", "1"]),
    ("whoami", &["whoami"]),
    ("session", &["session"]),
    ("session reset", &["session", "reset"]),
    ("status", &["status"]),
    ("health", &["health"]),
    ("members", &["members"]),
    ("digest", &["digest"]),
    ("log", &["log", "1"]),
    ("at-risk", &["at-risk"]),
    ("gossip", &["gossip", "1"]),
    ("retire", &["retire", "3", "--force"]),
    ("change", &["change", "1"]),
    ("a title of several", &["find", "hamlet"]),
    ("a title or a rating", &["rate", "alien", "3"]),
    ("an unknown title", &["find", "toi story"]),
    ("delete", &["delete", "toy story"]),
    ("import", &["import", "mine.csv"]),
];

fn house() -> House {
    let house = House::new();
    let rows = "userId,movieId,rating\n1,2,4.5\n";
    fs::write(house.state.path().join("mine.csv"), rows).unwrap();
    house
}

fn given(house: &House, options: &[&str], words: &[&str]) -> (i32, String, String) {
    let fixed = ["--user", "1", "--session", "session"];
    let mut command = house.command(&[&fixed, options, words].concat());
    command.current_dir(house.state.path());
    house::run(command, "")
}

/// The names in double quotes.
fn quoted(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('"').skip(1).step_by(2).map(str::to_owned)
}

/// The names in the shape that the document gives to the command.
fn documented(document: &str, command: &str) -> BTreeSet<String> {
    let row = document.lines().find(|line| {
        let first = line.split('|').nth(1).unwrap_or_default();
        first.trim() == command || first.contains(&format!("`{command}`"))
    });
    let row = row.unwrap_or_else(|| panic!("{command} is not documented"));
    let column = row.split('|').nth(2).unwrap();
    let shape = column.split('`').nth(1).unwrap_or_default();
    let mut names: BTreeSet<_> = quoted(shape).collect();
    if column.trim() == "a movie" || shape.contains("movie]") || shape.contains("movie with") {
        names.extend(quoted(MOVIE));
    }
    if column.contains(":timestamp") || row.contains("a timestamp") {
        names.extend(quoted(TIMESTAMP));
    }
    names
}

fn add_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                add_names(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_names(item, names)),
        _ => {}
    }
}

#[test]
fn json_has_the_documented_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CLIENT.md");
    let document = fs::read_to_string(path).unwrap();
    // What the constants above stand for.
    for names in [MOVIE, TIMESTAMP] {
        for name in quoted(names) {
            assert!(document.contains(&format!("\"{name}\":")), "{name}");
        }
    }
    let house = house();
    for (command, words) in COMMANDS {
        let (code, json, stderr) = given(&house, &["--json"], words);
        assert!([0, 3, 4, 5].contains(&code), "{words:?}: {stderr}");
        let value: Value = serde_json::from_str(&json).expect(&stderr);
        let mut found = BTreeSet::new();
        add_names(&value, &mut found);
        let mut expected = documented(&document, command);
        if expected.contains("error") {
            // The first string is a value.
            expected.retain(|name| {
                !["ambiguous", "not found", "two readings"].contains(&name.as_str())
            });
        }
        assert_eq!(found, expected, "{command}: {json}");
        assert_eq!(json.lines().count(), 1, "{command}");
    }
}

#[test]
fn every_format_can_be_chosen() {
    for (command, words) in COMMANDS {
        let shown = |options: &[&str]| {
            let house = house();
            let (code, stdout, _) = given(&house, options, words);
            let address = house.fake.address.to_string();
            // Sessions are drawn at random.
            let steady = stdout.replace(&address, "ADDRESS");
            let words = steady.split_inclusive([' ', '\n', '"', ':']);
            let id =
                |word: &&str| !word.starts_with(|c: char| c.is_ascii_hexdigit()) || word.len() < 32;
            (code, words.filter(id).collect::<String>())
        };
        let (simple, table, json) = (
            shown(&["-w", "simple"]),
            shown(&["-w", "table"]),
            shown(&["-w", "json"]),
        );
        assert_eq!(shown(&[]), simple, "a pipe gets simple ones: {command}");
        assert_eq!(shown(&["--json"]), json, "{command}");
        let tables = [
            "search", "ratings", "top", "tags", "status", "members", "digest", "log", "at-risk",
        ];
        let framed = tables.contains(&command);
        assert_eq!(table.1.contains('│'), framed, "{command}: {table:?}");
        assert!(!simple.1.contains('│'), "{command}: {simple:?}");
        // Near matches are a list where there are frames, and averages are rounded.
        if !framed && command != "average" && command != "an unknown title" {
            assert_eq!(simple, table, "{command}");
        }
    }
    let house = house();
    let (code, _, stderr) = given(&house, &["-w", "yaml"], &["status"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("simple, table, json"), "{stderr}");
    let (code, _, stderr) = given(&house, &["-w", "table", "--json"], &["status"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("cannot be used with"), "{stderr}");
}

/// A line of JSON each time, until Ctrl-C.
#[cfg(unix)]
#[test]
fn a_watched_status_is_a_line_of_json_each_time() {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };
    let house = house();
    let mut command = house.command(&["--json", "status", "--watch"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["servers"][2]["status"], "online");
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    assert_eq!(house::ends(&mut child), Some(0));
}
