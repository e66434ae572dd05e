//! The command line.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use backfence_client::{Rating, Search, UserId};
use backfence_process::{Address, Exit, Failure, LogArgs};
use clap::{Parser, Subcommand, ValueEnum};

use crate::request::{About, Request};

/// Rates movies with Backfence. Without a command, asks what to do until `quit`.
///
/// The same commands work at its prompt, where `help` lists them, and in a script of
/// one command a line: `backfence - < FILE`.
#[derive(Debug, Parser)]
#[command(
    name = "backfence",
    version,
    after_help = EXIT_CODES,
    // Lines about the registry and the like would stand between the answers.
    mut_arg("level", |level| level.default_value("warn"))
)]
pub struct Args {
    /// The registry that knows the front ends.
    #[arg(
        long,
        env = "BACKFENCE_REGISTRY",
        default_value = "http://127.0.0.1:7400",
        value_name = "URL",
        global = true
    )]
    pub(crate) registry: Address,
    /// A front end to use instead of those that the registry knows. May be given
    /// several times, or several with commas between.
    #[arg(
        long = "frontend",
        env = "BACKFENCE_FRONTEND",
        value_delimiter = ',',
        value_name = "URL",
        global = true
    )]
    pub(crate) front_ends: Vec<Address>,
    /// Who views and rates: a number.
    #[arg(long, env = "BACKFENCE_USER", value_name = "ID", value_parser = parse_user, global = true)]
    pub(crate) user: Option<UserId>,
    /// Go on with the session in this file, and keep it there: what one command has
    /// written the next one reads.
    #[arg(long, env = "BACKFENCE_SESSION", value_name = "FILE", global = true)]
    pub(crate) session: Option<PathBuf>,
    /// How long a request may take, all its tries together.
    #[arg(long, env = "BACKFENCE_TIMEOUT", value_name = "TIME", default_value = "2s", value_parser = parse_timeout, global = true)]
    pub(crate) timeout: Duration,
    /// Print answers as JSON objects, one a line. The same as `-w json`.
    #[arg(long, global = true, conflicts_with = "answers")]
    pub(crate) json: bool,
    /// How to print answers: by default tables have frames on a terminal only.
    #[arg(short = 'w', long = "write-out", value_name = "FORMAT", global = true)]
    pub(crate) answers: Option<Format>,
    /// No colours. NO_COLOR in the environment does the same.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Do not keep what is typed at the prompt for the next time.
    #[arg(long, env = "BACKFENCE_NO_HISTORY")]
    pub(crate) no_history: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 internal, 2 usage, 3 not found, 4 ambiguous or refused, 5 unavailable,
6 out of time, 7 outcome unknown, 130 interrupted.";

/// How answers are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Sentences, and tables as plain columns.
    Simple,
    /// Sentences, and tables with frames.
    Table,
    /// JSON objects, one a line.
    Json,
}

/// What the program can do in one go.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Ask(Ask),
    /// Do the commands on standard input, one a line.
    ///
    /// Lines that are blank or begin with # are passed over. A word with blanks may
    /// stand in double quotes. It stops at the first command that fails, and ends
    /// with the code of that.
    #[command(name = "script", alias = "-")]
    Script {
        /// Go on after a command that fails. The code is still that of the first.
        #[arg(long)]
        keep_going: bool,
    },
    /// Give the ratings in a file of `userId,movieId,rating` rows.
    ///
    /// What is sent is noted beside the file, in FILE.progress: after an
    /// interruption the same command goes on, and no rating is given twice. A row
    /// that makes no sense is named and passed over.
    Import {
        /// A CSV file with a header that begins with userId,movieId,rating.
        file: PathBuf,
        /// How many sessions send at the same time.
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
        sessions: u16,
    },
    /// Write all current ratings as MovieLens CSV, by user and movie.
    Export {
        /// A file to write instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write those of all commands.
    Man {
        /// A folder for the pages of all commands.
        #[arg(long, short, value_name = "FOLDER")]
        output: Option<PathBuf>,
    },
}

/// What can be asked on the command line, at the prompt and in a script.
///
/// A title may be several words, in any letter case, with or without its year, or
/// `#` and the movie's id.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Show a movie's year and genres.
    Find {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Show the user's rating of a movie.
    View {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Show the average rating of a movie.
    Average {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Rate a movie, or change the rating.
    #[command(override_usage = "backfence rate [OPTIONS] --user <ID> <TITLE>... <RATING>")]
    Rate {
        /// The movie's title, and behind it the rating from 0 to 5.
        #[arg(required = true, num_args = 2.., allow_negative_numbers = true, value_name = "TITLE RATING")]
        words: Vec<String>,
    },
    /// Take the user's rating of a movie back.
    Delete {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Look for movies by words of their title, by genre, by year.
    #[command(visible_alias = "list")]
    Search {
        /// Words, each of which has to begin a word of the title.
        #[arg(required_unless_present_any = ["genre", "year"], allow_negative_numbers = true)]
        text: Vec<String>,
        /// Only movies of this genre, such as comedy or scifi.
        #[arg(long)]
        genre: Option<String>,
        /// Only movies of this year.
        #[arg(long)]
        year: Option<u16>,
        /// Show so many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Show all ratings of the user, the newest first.
    Ratings {
        /// Show so many at most.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show the movies with the highest average.
    Top {
        /// Only movies of this genre, such as comedy or scifi.
        #[arg(long)]
        genre: Option<String>,
        /// Only movies with so many ratings or more.
        #[arg(long, default_value_t = 10)]
        min_ratings: u64,
        /// Show so many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Show what users have called a movie.
    Tags {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Show a user: how many ratings, and how high.
    User {
        /// The user.
        #[arg(value_parser = parse_user)]
        id: UserId,
    },
    /// Show who asks, in which session, and through which front end.
    Whoami,
    /// Show in words what the session has seen.
    Session,
    /// Show every server: address, status, and how far its replica is.
    Status {
        /// Show it again every second, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Turn a server's status round, online to offline and back. For testing.
    Change {
        /// The server's number, from 1.
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        server: u32,
    },
}

/// A command as it is typed at the prompt.
#[derive(Debug, Parser)]
#[command(
    name = "",
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
pub(crate) struct Spoken {
    #[command(subcommand)]
    pub(crate) ask: Ask,
}

impl Args {
    /// How answers are printed on stdout.
    pub(crate) fn format(&self) -> Format {
        match self.answers {
            _ if self.json => Format::Json,
            Some(format) => format,
            None if std::io::stdout().is_terminal() => Format::Table,
            None => Format::Simple,
        }
    }
}

impl Ask {
    /// What to ask for.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with [`Exit::Usage`] when the words make no sense together.
    pub(crate) fn request(&self, user: Option<UserId>) -> Result<Request, Failure> {
        let asker = || user.ok_or_else(no_user);
        let movie = |words: &[String], about| Ok(Request::Movie(title(words)?, about));
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        match self {
            Self::Find { title } => movie(title, About::Find),
            Self::View { title } => movie(title, About::View(asker()?)),
            Self::Average { title } => movie(title, About::Average),
            Self::Delete { title } => movie(title, About::Delete(asker()?)),
            Self::Tags { title } => movie(title, About::Tags),
            Self::Rate { words } => {
                // `num_args` has seen to it that there are two.
                let (last, words) = words.split_last().ok_or_else(no_user)?;
                movie(words, About::Rate(asker()?, parse_rating(last)?))
            }
            Self::Change { server } => Ok(Request::Change(*server)),
            Self::Status { .. } => Ok(Request::Status),
            Self::Search {
                text,
                genre,
                year,
                limit,
            } => Ok(Request::Search(
                Search {
                    text: text.join(" "),
                    genre: given(genre),
                    year: *year,
                },
                *limit,
            )),
            Self::Ratings { limit } => Ok(Request::Ratings(asker()?, limit.unwrap_or(usize::MAX))),
            Self::Top {
                genre,
                min_ratings,
                limit,
            } => Ok(Request::Top(given(genre), *min_ratings, *limit)),
            Self::User { id } => Ok(Request::User(*id)),
            Self::Whoami => Ok(Request::Whoami(user)),
            Self::Session => Ok(Request::Session),
        }
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 2s or 500ms"))?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(600);
    if allowed.contains(&time) {
        Ok(time)
    } else {
        Err("a request may take from 100ms to 10min".to_owned())
    }
}

/// Reads a user id: digits, nothing else. `u32::from_str` would take `+1`.
pub(crate) fn parse_user(text: &str) -> Result<UserId, String> {
    parse_number(text)
        .map(UserId)
        .ok_or_else(|| format!("a user id is a number from 0 to {}", u32::MAX))
}

/// Reads a number of ASCII digits: `²` is a digit for Unicode, and no number.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn title(words: &[String]) -> Result<String, Failure> {
    let title = words.join(" ");
    if title.trim().is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "the title is blank; name a movie",
        ));
    }
    Ok(title)
}

fn parse_rating(text: &str) -> Result<Rating, Failure> {
    text.parse().map_err(|why| {
        let message = format!("{text:?} is no rating: {why}; it stands behind the title");
        Failure::new(Exit::Usage, message)
    })
}

fn no_user() -> Failure {
    let message = "whose rating? Pass --user ID, or set BACKFENCE_USER";
    Failure::new(Exit::Usage, message)
}
