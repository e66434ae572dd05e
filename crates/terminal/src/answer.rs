//! Answers, in the words of the original.

use std::fmt::Write as _;

use backfence_client::{
    Average, Movie, Rating, Server, StatusChange, UpdateId, UserId, UserRating,
};
use backfence_process::Exit;

use crate::{output::safe, table};

/// A movie and what to call it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Titled {
    pub(crate) movie: Movie,
    pub(crate) label: String,
}

/// What came of a request.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Found(Titled),
    Viewed(Titled, UserId, Option<UserRating>),
    Average(Titled, Option<Average>),
    /// A rating, or `None` where it was taken back.
    Rated(Titled, UserId, Option<Rating>, UpdateId),
    Changed(u32, StatusChange),
    Status(Vec<Server>),
    /// Several movies bear the title that was asked for.
    Ambiguous(String, Vec<Movie>),
    /// None does; these are near.
    Unknown(String, Vec<Movie>),
}

impl Answer {
    /// The code that a command with this answer ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Ambiguous(..) => Exit::Refused,
            Self::Unknown(..) => Exit::NotFound,
            _ => Exit::Done,
        }
    }

    /// The lines to print. On a terminal a table has a frame.
    pub(crate) fn text(&self, on_terminal: bool) -> String {
        let text = match self {
            Self::Found(titled) => found(&titled.movie),
            Self::Viewed(titled, user, Some(seen)) => format!(
                "The rating that user {user} gave to movie {} was {}",
                titled.label, seen.rating
            ),
            Self::Viewed(_, _, None) => "User has not rated that movie".to_owned(),
            // The shortest decimal that reads back, with at least one place.
            Self::Average(titled, Some(average)) => format!(
                "{:?} is the average rating for {}",
                average.average, titled.label
            ),
            Self::Average(titled, None) => format!("{} has no ratings yet", titled.label),
            Self::Rated(..) => "Your update has been sent".to_owned(),
            Self::Changed(_, StatusChange { from, to }) => {
                format!("Server status changed from {from} to {to}")
            }
            Self::Status(servers) => return table::servers(servers, on_terminal),
            Self::Ambiguous(asked, choices) => ambiguous(asked, choices),
            Self::Unknown(asked, near) => unknown(asked, near),
        };
        text.lines().map(|line| safe(line) + "\n").collect()
    }
}

fn found(movie: &Movie) -> String {
    let genres = match movie.genres.as_slice() {
        [] => "(no genres listed)".to_owned(),
        listed => listed.join("|"),
    };
    let title = &movie.title;
    match movie.year {
        Some(year) => format!("{title} was made in ({year:04}) and has the genres {genres}"),
        None => format!("{title} has no year in our data and has the genres {genres}"),
    }
}

fn ambiguous(asked: &str, choices: &[Movie]) -> String {
    let mut text = format!("{} stands for several movies:", safe(asked));
    for movie in choices {
        // A title with a line break must not look like two choices.
        let movie_line = safe(&movie.to_string());
        let _ = write!(text, "\n  {movie_line}, #{}", movie.id);
    }
    text + "\nName one with its year, or by its number with the #"
}

fn unknown(asked: &str, near: &[Movie]) -> String {
    let mut text = format!("{} is not in our database yet", safe(asked));
    if !near.is_empty() {
        let near: Vec<_> = near.iter().map(|movie| safe(&movie.to_string())).collect();
        let _ = write!(text, "\nDid you mean: {}?", near.join("; "));
    }
    text
}
