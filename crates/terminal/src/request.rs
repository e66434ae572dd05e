//! What is asked, and the requests that it takes.

use std::time::Duration;

use backfence_client::{
    Error, Movie, Rated, Rating, Resolution, Search, Session, UserId, WantedStatus,
};

use crate::{
    answer::{Agreement, Answer, Summary, Titled, agreement},
    readings::{Given, resolve_given},
};

/// Before servers that seem to differ are read again.
const AGAIN: Duration = Duration::from_millis(500);

/// What is asked of one movie.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum About {
    Find,
    View(UserId),
    Average,
    Tags,
    Rate(UserId, Rating),
    Delete(UserId),
}

/// Ratings of one user that are read, at most. The rest is not shown; the answer
/// says so.
pub(crate) const RATINGS: usize = 100_000;

/// A command with all that it needs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Request {
    Movie(String, About),
    Rate(Given, UserId),
    /// To what; `None` turns the status round.
    Change(u32, Option<WantedStatus>),
    Status,
    Health,
    Members,
    Digest,
    /// With how many to show.
    Log(u32, u32),
    Gossip(u32),
    /// With how many of each server to show.
    AtRisk(u32),
    /// And whether by force.
    Retire(u32, bool),
    /// With how many to show.
    Search(Search, u32),
    /// With how many to show.
    Ratings(UserId, usize),
    /// Of a genre, with so many ratings, and how many to show.
    Top(String, u64, u32),
    User(UserId),
    Whoami(Option<UserId>),
    Session,
    Reset,
}

impl Request {
    /// Whether it may change something, so that giving it up leaves a doubt.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Movie(_, about) => about.changes(),
            other => matches!(other, Self::Rate(..) | Self::Change(..) | Self::Retire(..)),
        }
    }

    pub(crate) async fn send(self, session: &mut Session) -> Result<Answer, Error> {
        match self {
            Self::Movie(title, about) => match resolve(session, &title).await? {
                Ok(titled) => ask(session, titled, about).await,
                Err(answer) => Ok(answer),
            },
            Self::Rate(given, user) => match resolve_given(session, &given).await? {
                Ok(titled) => ask(session, titled, About::Rate(user, given.rating)).await,
                Err(answer) => Ok(answer),
            },
            Self::Change(server, wanted) => {
                let change = match wanted {
                    Some(wanted) => session.set_status(server, wanted).await?,
                    None => session.change_status(server).await?,
                };
                Ok(Answer::Changed(server, change))
            }
            Self::Status => Ok(Answer::Status(session.status().await?)),
            Self::Health => Ok(Answer::Health(session.status().await?)),
            Self::Members => Ok(Answer::Members(session.members().await?)),
            Self::Digest => {
                let mut servers = session.digest().await?;
                if agreement(&servers) == Agreement::Differ {
                    // They are read one after the other: an update may have come between.
                    tokio::time::sleep(AGAIN).await;
                    servers = session.digest().await?;
                }
                Ok(Answer::Digest(servers))
            }
            Self::Log(server, limit) => Ok(Answer::Log(server, session.log(server, limit).await?)),
            Self::Gossip(server) => Ok(Answer::Gossip(server, session.gossip(server).await?)),
            Self::Retire(server, force) => {
                let new = session.retire(server, force).await?;
                Ok(Answer::Retired(server, new))
            }
            Self::Search(search, limit) => {
                let found = session.search(&search, limit).await?;
                Ok(Answer::Searched(search, found))
            }
            Self::Ratings(user, limit) => {
                let (mut ratings, all) = ratings(session, user).await?;
                // Stable, so equal times stay in the order of movies.
                ratings.sort_by_key(|rated| std::cmp::Reverse(rated.seconds));
                let shown = limit.min(ratings.len());
                let more = !all || shown < ratings.len();
                ratings.truncate(shown);
                Ok(Answer::Ratings(user, ratings, more))
            }
            Self::Top(genre, least, limit) => {
                let ranked = session.top(&genre, least, limit).await?;
                Ok(Answer::Top(genre, least, ranked))
            }
            Self::User(user) => {
                let (ratings, _) = ratings(session, user).await?;
                Ok(Answer::User(user, Summary::new(&ratings)))
            }
            Self::Whoami(user) => {
                session.open().await?;
                Ok(Answer::Whoami(
                    user,
                    session.id(),
                    session.front_end().cloned(),
                ))
            }
            Self::Session => Ok(Answer::Session(session.save(), session.seen())),
            Self::AtRisk(limit) => Ok(Answer::AtRisk(session.at_risk(limit).await?)),
            Self::Reset => {
                session.reset();
                Ok(Answer::Reset)
            }
        }
    }
}

impl About {
    pub(crate) fn changes(&self) -> bool {
        matches!(self, Self::Rate(..) | Self::Delete(..))
    }
}

/// All ratings of the user by movie, or as many as are read, and whether that is all.
async fn ratings(session: &mut Session, user: UserId) -> Result<(Vec<Rated>, bool), Error> {
    let mut ratings: Vec<Rated> = Vec::new();
    loop {
        let after = ratings.last().map(|last| (last.user, last.movie));
        let page = session.ratings(Some(user), after).await?;
        let more = page.more && !page.items.is_empty();
        ratings.extend(page.items);
        if !more || ratings.len() >= RATINGS {
            return Ok((ratings, !more));
        }
    }
}

/// The movie that a title stands for, or the answer that it stands for none, or
/// for several.
pub(crate) async fn resolve(
    session: &mut Session,
    title: &str,
) -> Result<Result<Titled, Answer>, Error> {
    let asked = title.trim().to_owned();
    Ok(match session.find(&asked).await? {
        Resolution::Found(movie) => {
            let fingerprint = session.fingerprint().to_owned();
            let label = label(session, &asked, &movie).await?;
            Ok(Titled {
                movie,
                label,
                fingerprint,
            })
        }
        Resolution::Ambiguous(choices) => Err(Answer::Ambiguous(asked, choices)),
        Resolution::Unknown { near } => Err(Answer::Unknown(asked, near)),
    })
}

/// Asks about the movie, or does to it, what is wanted.
pub(crate) async fn ask(
    session: &mut Session,
    titled: Titled,
    about: About,
) -> Result<Answer, Error> {
    let movie = titled.movie.id;
    // Others may have been found since, by a server with other data.
    session.set_fingerprint(titled.fingerprint.clone());
    Ok(match about {
        About::Find => Answer::Found(titled),
        About::View(user) => Answer::Viewed(titled, user, session.view(user, movie).await?),
        About::Average => Answer::Average(titled, session.average(movie).await?),
        About::Tags => {
            let tags = session.tags(movie).await?;
            Answer::Tags(titled, tags)
        }
        About::Rate(user, rating) => {
            let updated = session.rate(user, movie, rating).await?;
            Answer::Rated(titled, user, Some(rating), updated)
        }
        About::Delete(user) => {
            let updated = session.delete(user, movie).await?;
            Answer::Rated(titled, user, None, updated)
        }
    })
}

/// What to call the movie: its title, with the year where others bear it too, with
/// the id where even that is not enough. A title that was asked for without a year
/// or an id, and found, is nobody else's.
async fn label(session: &mut Session, asked: &str, movie: &Movie) -> Result<String, Error> {
    let told_apart = asked.starts_with('#') || asked.contains(|c: char| c.is_ascii_digit());
    if !told_apart {
        return Ok(movie.title.clone());
    }
    let Resolution::Ambiguous(others) = session.find(&movie.title).await? else {
        return Ok(movie.title.clone());
    };
    let twins = others.iter().filter(|other| other.year == movie.year);
    Ok(match twins.count() {
        0 | 1 => movie.to_string(),
        _ => format!("{movie} (#{})", movie.id),
    })
}
