//! Commands that can be given anywhere: on the command line, at the prompt, in a script.

use backfence_client::{Rating, Search, UserId, WantedStatus};
use backfence_process::{Exit, Failure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    plain::{parse_user, parse_year, within},
    readings::Given,
    request::{About, Request},
};

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
        #[arg(long, value_parser = parse_year)]
        year: Option<u16>,
        /// Show so many at most.
        #[arg(long, default_value_t = 20, value_parser = within(1..=100))]
        limit: u32,
    },
    /// Show all ratings of the user, the newest first.
    Ratings {
        /// Show so many at most.
        #[arg(long, value_parser = within(0..=u32::MAX))]
        limit: Option<u32>,
    },
    /// Show the movies with the highest average.
    Top {
        /// Only movies of this genre, such as comedy or scifi.
        #[arg(long)]
        genre: Option<String>,
        /// Only movies with so many ratings or more.
        #[arg(long, default_value_t = 10, value_parser = within(0..=u32::MAX))]
        min_ratings: u32,
        /// Show so many at most.
        #[arg(long, default_value_t = 20, value_parser = within(1..=100))]
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
    /// Show in words what the session has seen, or begin another.
    ///
    /// `session reset` drops what the session has seen and begins another, for the same
    /// user: for a session that is refused, or waits for a server that is not coming
    /// back. On the command line it goes with --session FILE.
    Session {
        /// Begin another session, which has seen nothing.
        #[arg(value_enum)]
        action: Option<SessionAction>,
    },
    /// Show every server: address, status, and how far its replica is.
    Status {
        /// Show it again every second, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Set a server's status, or turn it round, online to offline and back. For testing.
    Change {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
        /// What the status is to be. Without it, it is turned round.
        #[arg(value_enum)]
        status: Option<Settable>,
    },
    /// Show every replica that was ever heard of, and what it holds back.
    Members,
    /// Show a digest of every server's value: at rest all are equal.
    Digest,
    /// Show what a server's log holds: records that a peer may lack, or that wait.
    Log {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
        /// Show so many at most.
        #[arg(long, default_value_t = 20, value_parser = within(1..=1000))]
        limit: u32,
    },
    /// Show the updates that one server only has, as far as it has heard.
    ///
    /// They are lost if that server's disk is. Moments after an update that is as it
    /// should be; of a server that is away it is not known what only it has.
    AtRisk {
        /// Show so many of each server at most.
        #[arg(long, default_value_t = 20, value_parser = within(1..=1000))]
        limit: u32,
    },
    /// Have a server gossip with every peer now, once.
    Gossip {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
    },
    /// Retire a server for good, which is not coming back.
    ///
    /// What only it has is lost, and its number is never used again. Without --force
    /// it is only looked at: one that runs is to be stopped first, so that it hands over
    /// what only it has; of one that is away the last update that others have is named.
    Retire {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
        /// Do it, whatever is lost with it.
        #[arg(long)]
        force: bool,
    },
}

/// What can be done to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum SessionAction {
    /// Begin another, which has seen nothing.
    Reset,
}

/// What a server's status can be set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Settable {
    /// It is to serve front ends.
    Online,
    /// It is not to serve front ends. It goes on gossiping.
    Offline,
}

impl From<Settable> for WantedStatus {
    fn from(status: Settable) -> Self {
        match status {
            Settable::Online => Self::Online,
            Settable::Offline => Self::Offline,
        }
    }
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
                let (user, rating) = (asker()?, parse_rating(last)?);
                title(words)?;
                Ok(Request::Rate(Given::new(words, last, rating), user))
            }
            Self::Change { server, status } => {
                Ok(Request::Change(*server, status.map(WantedStatus::from)))
            }
            Self::Status { .. } => Ok(Request::Status),
            Self::Members => Ok(Request::Members),
            Self::Digest => Ok(Request::Digest),
            Self::Log { server, limit } => Ok(Request::Log(*server, *limit)),
            Self::AtRisk { limit } => Ok(Request::AtRisk(*limit)),
            Self::Gossip { server } => Ok(Request::Gossip(*server)),
            Self::Retire { server, force } => Ok(Request::Retire(*server, *force)),
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
            Self::Ratings { limit } => Ok(Request::Ratings(
                asker()?,
                limit.map_or(usize::MAX, |limit| limit as usize),
            )),
            Self::Top {
                genre,
                min_ratings,
                limit,
            } => Ok(Request::Top(given(genre), u64::from(*min_ratings), *limit)),
            Self::User { id } => Ok(Request::User(*id)),
            Self::Whoami => Ok(Request::Whoami(user)),
            Self::Session { action: None } => Ok(Request::Session),
            Self::Session {
                action: Some(SessionAction::Reset),
            } => Ok(Request::Reset),
        }
    }
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
