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
        /// The movie's title, then a rating from 0 to 5.
        #[arg(required = true, num_args = 2.., allow_negative_numbers = true, value_name = "TITLE RATING")]
        words: Vec<String>,
    },
    /// Remove the user's rating of a movie.
    Delete {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Search movies by words of the title, genre or year.
    #[command(visible_alias = "list")]
    Search {
        /// Words; each must begin a word of the title.
        #[arg(required_unless_present_any = ["genre", "year"], allow_negative_numbers = true)]
        text: Vec<String>,
        /// Only movies of this genre, such as comedy or scifi.
        #[arg(long)]
        genre: Option<String>,
        /// Only movies of this year.
        #[arg(long, value_parser = parse_year)]
        year: Option<u16>,
        /// Show at most N.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = within(1..=100))]
        limit: u32,
    },
    /// Show all ratings of the user, the newest first.
    Ratings {
        /// Show at most N.
        #[arg(long, value_name = "N", value_parser = within(0..=u32::MAX))]
        limit: Option<u32>,
    },
    /// Show the movies with the highest average.
    Top {
        /// Only movies of this genre, such as comedy or scifi.
        #[arg(long)]
        genre: Option<String>,
        /// Only movies with at least N ratings.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = within(0..=u32::MAX))]
        min_ratings: u32,
        /// Show at most N.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = within(1..=100))]
        limit: u32,
    },
    /// Show the tags users gave a movie.
    Tags {
        /// The movie's title, in any letter case, with or without its year, or #ID.
        #[arg(required = true, allow_negative_numbers = true)]
        title: Vec<String>,
    },
    /// Show how many ratings a user has given, and their average.
    User {
        /// The user.
        #[arg(value_parser = parse_user)]
        id: UserId,
    },
    /// Show your user, session and front end.
    Whoami,
    /// Show what the session has seen, or begin a new one.
    ///
    /// `session reset` forgets what the session has seen and begins another, for the same
    /// user. Use it when a session is refused, or waits for a server that will not come
    /// back. On the command line it needs --session FILE.
    Session {
        /// Begin a new session, which has seen nothing.
        #[arg(value_enum)]
        action: Option<SessionAction>,
    },
    /// Show every server: address, status, and what it has received.
    ///
    /// value_ts: updates of each server that it shows. replica_ts: those that it has
    /// received. log_len: updates kept because another server may lack them. waiting: of
    /// these, updates that wait for one they depend on. lag: updates that some server has
    /// received and this one does not show yet.
    Status {
        /// Repeat every second, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Say which servers do not serve or are behind.
    ///
    /// Ends with 0 where all servers are online, and with 5 where one is not.
    Health,
    /// Set a server's status, or toggle it between online and offline. For testing.
    Change {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
        /// The new status. Without it the status is toggled.
        #[arg(value_enum)]
        status: Option<Settable>,
    },
    /// Show every replica ever known, and how many log records wait for it.
    Members,
    /// Compare the servers' data; without writes all become equal.
    ///
    /// Ends with 4 where servers differ that have the same updates, and with 5 where one did
    /// not answer.
    Digest,
    /// Show a server's log: records that a peer may lack, or that wait.
    Log {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
        /// Show at most N.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = within(1..=1000))]
        limit: u32,
    },
    /// Show updates that are on one server only, as far as it knows.
    ///
    /// They are lost if that server's disk is lost. Just after an update this is normal.
    /// For a server that does not answer, they are not known.
    AtRisk {
        /// Show at most N of each server.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = within(1..=1000))]
        limit: u32,
    },
    /// Make a server gossip with every peer now.
    Gossip {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
    },
    /// Retire a server for good: one that will not come back.
    ///
    /// Updates on it only are lost, and its number is never used again. Without --force
    /// nothing is changed: a running server has to be stopped first, so that it hands over
    /// its updates; for one that is down the last update that others have is named.
    Retire {
        /// The server's number, from 1.
        #[arg(value_parser = within(1..=u32::MAX))]
        server: u32,
        /// Retire it even if updates are lost.
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
    /// It serves front ends.
    Online,
    /// It does not serve front ends, but goes on gossiping.
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
    /// Whether it may change something.
    pub(crate) fn changes(&self) -> bool {
        matches!(
            self,
            Self::Rate { .. } | Self::Delete { .. } | Self::Change { .. } | Self::Retire { .. }
        )
    }

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
            Self::Health => Ok(Request::Health),
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
        let message = match text.parse::<f64>() {
            Ok(_) => format!("{text:?}: {why}; put the rating after the title"),
            Err(_) => format!("{text:?} is not a rating; put 0 to 5 after the title"),
        };
        Failure::new(Exit::Usage, message)
    })
}

fn no_user() -> Failure {
    let message = "whose rating? Pass --user ID, or set BACKFENCE_USER";
    Failure::new(Exit::Usage, message)
}
