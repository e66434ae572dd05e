//! The command line.

use backfence_client::{Rating, UserId};
use backfence_process::{Address, Exit, Failure, LogArgs};
use clap::{Parser, Subcommand};

use crate::request::{About, Request};

/// Rates movies with Backfence. Without a command, asks what to do until `quit`.
#[derive(Debug, Parser)]
#[command(
    name = "backfence",
    version,
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
    /// Print the answer as a JSON object.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// A title may be several words, in any letter case, with or without its year, or
/// `#` and the movie's id.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    /// Turn a server's status round, online to offline and back. For testing.
    Change {
        /// The server's number, from 1.
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        server: u32,
    },
    /// Show every server: address, status, and how far its replica is.
    Status,
}

impl Command {
    /// What to ask for.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with [`Exit::Usage`] when the words make no sense together.
    pub(crate) fn request(&self, user: Option<UserId>) -> Result<Request, Failure> {
        let user = || user.ok_or_else(no_user);
        let movie = |words: &[String], about| Ok(Request::Movie(title(words)?, about));
        match self {
            Self::Find { title } => movie(title, About::Find),
            Self::View { title } => movie(title, About::View(user()?)),
            Self::Average { title } => movie(title, About::Average),
            Self::Delete { title } => movie(title, About::Delete(user()?)),
            Self::Rate { words } => {
                // `num_args` has seen to it that there are two.
                let (last, words) = words.split_last().ok_or_else(no_user)?;
                movie(words, About::Rate(user()?, parse_rating(last)?))
            }
            Self::Change { server } => Ok(Request::Change(*server)),
            Self::Status => Ok(Request::Status),
        }
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
