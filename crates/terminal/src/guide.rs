//! What can be said at the prompt, and help with it.

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
const MORE: [(&str, &str, &str); 15] = [
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
    ("digest", "", "whether all servers hold the same"),
    ("log", " SERVER [--limit N]", "what a server's log holds"),
    ("gossip", " SERVER", "make a server gossip now"),
    ("retire", " SERVER [--force]", "give up a server for good"),
    ("help", " [COMMAND]", "this, or more about a command"),
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
            year, or #ID. Tab completes commands and titles; Ctrl-C\n\
            gives up a request; exit, quit and Ctrl-D leave.\n"
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
        None => Some("Leaves. So does Ctrl-D.\n".to_owned()),
    }
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
