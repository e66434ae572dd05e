//! What can be said at the prompt, and help with it.

use std::collections::BTreeSet;

use clap::CommandFactory as _;

use crate::ask::Spoken;

/// The commands of the original, which ask for what they need.
pub(crate) const COMMANDS: [(&str, &str); 7] = [
    ("find", "a movie's year and genres"),
    ("view", "your rating of a movie"),
    ("average", "the average rating of a movie"),
    ("rate", "rate a movie, or change your rating"),
    ("delete", "remove your rating of a movie"),
    ("change", "take a server offline, or back (for testing)"),
    ("quit", "leave"),
];

/// The others, and how they are used.
const MORE: [(&str, &str, &str); 18] = [
    (
        "search",
        " WORDS [--genre G] [--year Y]",
        "movies by words of their title",
    ),
    ("ratings", "", "all your ratings, the newest first"),
    (
        "top",
        " [--genre G] [--min-ratings N]",
        "movies with the highest average",
    ),
    ("tags", " TITLE", "tags users gave a movie"),
    (
        "user",
        " ID",
        "how many ratings a user gave, and their average",
    ),
    ("whoami", "", "your user, session and front end"),
    (
        "session",
        " [reset]",
        "what your session has seen; or begin a new one",
    ),
    (
        "status",
        " [--watch]",
        "every server, and what it has received",
    ),
    ("members", "", "every replica ever known"),
    (
        "at-risk",
        " [--limit N]",
        "updates that are on one server only",
    ),
    ("health", "", "which servers do not serve or are behind"),
    ("digest", "", "whether all servers hold the same"),
    ("log", " SERVER [--limit N]", "what a server's log holds"),
    ("gossip", " SERVER", "make a server gossip now"),
    ("retire", " SERVER [--force]", "give up a server for good"),
    ("import", " FILE", "import the ratings in a CSV file"),
    ("export", " FILE", "write everybody's ratings to a CSV file"),
    ("help", " [COMMAND]", "this, or more about a command"),
];

const IMPORT: &str = "Imports the ratings in a CSV file.\nUsage: import FILE\n\
    Its first line begins with userId,movieId,rating. Ctrl-C\n\
    interrupts it; to continue, run the same command.\n";
const EXPORT: &str = "Writes everybody's ratings to a CSV file.\nUsage: export FILE\n";

/// Those of MovieLens: see the README of its data sets.
const GENRES: [&str; 19] = [
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "IMAX",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// Other words for some of them.
const OTHER: [(&str, &str); 3] = [("exit", "quit"), ("?", "help"), ("list", "search")];
/// No command has more letters.
const LONGEST_NAME: usize = 8;

/// What the commands of the original take when they are given at once.
fn arguments(command: &str) -> &'static str {
    match command {
        "rate" => " TITLE RATING",
        "change" => " SERVER [online|offline]",
        "quit" => "",
        _ => " TITLE",
    }
}

/// Every command.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let original = COMMANDS.iter().map(|&(name, _)| name);
    original.chain(MORE.iter().map(|&(name, ..)| name))
}

/// The command that a word stands for, in any letter case.
pub(crate) fn command(word: &str) -> Option<&'static str> {
    let other = OTHER
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(word));
    let word = other.map_or(word, |&(_, name)| name);
    names().find(|name| name.eq_ignore_ascii_case(word))
}

/// The command whose name is nearest to a word that is none, where one is near.
pub(crate) fn near(word: &str) -> Option<&'static str> {
    // No command has more letters, and not to compare a long word bounds the work.
    if word.len() > 2 * LONGEST_NAME {
        return None;
    }
    let word = word.to_lowercase();
    let names = names().chain(["exit", "list"]);
    let all = names.map(|name| (strsim::osa_distance(&word, name), name));
    let (wrong, name) = all.min_by_key(|&(wrong, _)| wrong)?;
    // A third of the letters may be wrong.
    (wrong * 3 <= name.len()).then_some(name)
}

/// Whether a title follows the command.
pub(crate) fn takes_title(word: &str) -> bool {
    let takers = ["find", "view", "average", "rate", "delete", "tags"];
    command(word).is_some_and(|name| takers.contains(&name))
}

/// Whether the name of a file is to follow what is typed.
pub(crate) fn takes_file(begun: &str) -> bool {
    let word = begun.trim_start().split_once(' ').map(|(word, _)| word);
    word.and_then(command)
        .is_some_and(|name| ["import", "export"].contains(&name))
}

/// What may stand in place of the last word of what is typed: a command, one of its
/// options, a value of one, a server.
pub(crate) fn offers(begun: &str, servers: impl Fn() -> BTreeSet<u32>) -> Vec<String> {
    let mut words: Vec<_> = begun.split(' ').collect();
    let last = words.pop().unwrap_or_default();
    words.retain(|word| !word.is_empty());
    let named = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    let Some((word, given)) = words.split_first() else {
        return named(names().collect());
    };
    let all = Spoken::command();
    let found = match command(word) {
        Some("help") => return named(names().collect()),
        Some(name) => all.find_subcommand(name),
        None => None,
    };
    let Some(found) = found else {
        return Vec::new();
    };
    let takes_value = |word: &str| {
        let long = word.strip_prefix("--");
        long.is_some() && found.get_opts().any(|option| option.get_long() == long)
    };
    match given.last() {
        Some(&"--genre") => return named(GENRES.to_vec()),
        Some(word) if takes_value(word) => return Vec::new(),
        _ => {}
    }
    if last.starts_with('-') {
        let options = found.get_arguments().filter_map(clap::Arg::get_long);
        return options.map(|option| format!("--{option}")).collect();
    }
    let mut values = 0;
    for (at, word) in given.iter().enumerate() {
        let of_option = at > 0 && takes_value(given[at - 1]);
        values += usize::from(!word.starts_with('-') && !of_option);
    }
    match found.get_positionals().nth(values) {
        Some(argument) if argument.get_id() == "server" => {
            servers().iter().map(u32::to_string).collect()
        }
        Some(argument) => {
            let values = argument.get_possible_values();
            values
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect()
        }
        None => Vec::new(),
    }
}

/// What may follow, once a command stands there in full.
pub(crate) fn usage(line: &str) -> Option<String> {
    let name = command(line)?;
    let more = MORE.iter().find(|&&(more, ..)| more == name);
    let usage = more.map_or_else(|| arguments(name), |&(_, usage, _)| usage);
    (!usage.is_empty()).then(|| usage.to_owned())
}

/// The menu for those who know it.
pub(crate) fn short_menu() -> String {
    let names: Vec<_> = COMMANDS.iter().map(|&(name, _)| name).collect();
    format!("{}; help shows more\n", names.join(", "))
}

/// All commands.
pub(crate) fn help() -> String {
    let mut text = String::from("Give a command with what it needs, or be asked for that:\n");
    let original = COMMANDS
        .iter()
        .map(|&(name, what)| (name, arguments(name), what));
    for (name, usage, what) in original.chain(MORE) {
        text += &format!("  {name}{usage}\n      {what}\n");
    }
    text + "A title may be in any letter case, with or without its\n\
            year, or #ID. Tab completes. Ctrl-C gives up a request, or\n\
            clears the line; exit, quit and Ctrl-D leave.\n"
}

/// More about a command; `None` when there is none of that name.
pub(crate) fn help_for(word: &str) -> Option<String> {
    let name = command(word)?;
    let mut all = Spoken::command();
    match all.find_subcommand_mut(name) {
        Some(found) => {
            let about = found
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            let mut text = format!(
                "{about}.\nUsage: {name}{}\n",
                usage(name).unwrap_or_default()
            );
            for option in found
                .get_arguments()
                .filter(|argument| argument.get_help().is_some())
            {
                let help = option
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                text += &match option.get_long() {
                    Some(long) => format!("  --{long}: {help}\n"),
                    None => format!("  {}: {help}\n", option.get_id().as_str().to_uppercase()),
                };
            }
            Some(text)
        }
        None if name == "help" => Some(help()),
        None if name == "import" => Some(IMPORT.to_owned()),
        None if name == "export" => Some(EXPORT.to_owned()),
        None => Some("Leaves. So does Ctrl-D.\n".to_owned()),
    }
}

/// The words of a line for clap. A title that begins with a hyphen is in quotes, and no
/// option.
pub(crate) fn plain_words(line: &str) -> Vec<String> {
    let mut words = words(line);
    let title = words.first().is_some_and(|word| takes_title(word));
    if title && line.contains("\"-") {
        words.insert(1, "--".to_owned());
    }
    words
}

/// The words of a line. Blanks part them, except within double quotes that begin a
/// word.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let quoted = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (word, after) = match quoted {
            Some((word, after)) if after.is_empty() || after.starts_with(char::is_whitespace) => {
                (word, after)
            }
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_by_blanks_and_kept_by_quotes() {
        let check = |line: &str, expected: &[&str]| assert_eq!(words(line), expected, "{line:?}");
        check("", &[]);
        check("  rate  Toy Story 4.5 ", &["rate", "Toy", "Story", "4.5"]);
        check("find \"Toy  Story\" x", &["find", "Toy  Story", "x"]);
        check("find Schindler's", &["find", "Schindler's"]);
        check("find \"open", &["find", "\"open"]);
        check("find \"Crocodile\"Dundee", &["find", "\"Crocodile\"Dundee"]);
        check("find 11'09\"01", &["find", "11'09\"01"]);
    }

    #[test]
    fn a_word_that_is_no_command_may_be_near_to_one() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(near(word), expected, "{word:?}");
        };
        check("fnid", Some("find"));
        check("RAET", Some("rate"));
        check("ratting", Some("ratings"));
        check("statsu", Some("status"));
        check("quite", Some("quit"));
        check("exti", Some("exit"));
        check("fnord", None);
        check("", None);
        check("x", None);
        check(&"x".repeat(4000), None);
        assert!(names().all(|name| name.len() <= LONGEST_NAME));
        assert_eq!(
            (command("EXIT"), command("?")),
            (Some("quit"), Some("help"))
        );
    }

    #[test]
    fn what_may_follow_is_offered() {
        let servers = || BTreeSet::from([1, 3]);
        let check = |begun: &str, expected: &[&str]| {
            assert_eq!(offers(begun, servers), expected, "{begun:?}");
        };
        let options = ["--genre", "--year", "--limit"];
        check("search --", &options);
        check("list story -", &options);
        check("search --genre ", &GENRES);
        check("top --limit ", &[]);
        check("search story", &[]);
        check("status -", &["--watch"]);
        check("change ", &["1", "3"]);
        check("CHANGE 1 o", &["online", "offline"]);
        check("log --limit 5 ", &["1", "3"]);
        check("retire 3 --", &["--force"]);
        check("session r", &["reset"]);
        check("fnord ", &[]);
        assert_eq!(offers("he", servers), offers("help ", servers));
        assert!(takes_file("import ~/mi") && takes_file("EXPORT ") && !takes_file("import"));
    }

    #[test]
    fn every_command_has_help_and_every_help_a_command() {
        for name in names() {
            let help = help_for(name).unwrap();
            assert!(help.ends_with('\n') && help.len() > 10, "{name}: {help}");
        }
        let spoken = Spoken::command();
        for command in spoken.get_subcommands() {
            assert!(
                names().any(|name| name == command.get_name()),
                "{}",
                command.get_name()
            );
        }
        assert_eq!(help_for("fnid"), None);
        assert!(help().lines().all(|line| line.len() <= 60));
    }
}
