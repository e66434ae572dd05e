//! Answers, read from the wire once.

use std::fmt;

use backfence_gossip::{ReplicaId, Time, Timestamp, UpdateId};
use backfence_ratings::{Average, Movie, MovieId, Rating, UserId, UserRating};
use backfence_wire::{Malformed, v1};

/// What a title stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// This movie.
    Found(Movie),
    /// Any of these. Ask again with the year, or as `#ID`.
    Ambiguous(Vec<Movie>),
    /// No movie.
    Unknown {
        /// Movies with a title like it, the nearest first.
        near: Vec<Movie>,
    },
}

/// What a search found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The movies.
    pub movies: Vec<Movie>,
    /// How many there are, those beyond the limit included.
    pub total: u64,
    /// No title has all the words: these are near, the nearest first.
    pub near: bool,
}

/// Part of a list, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// There are others after these.
    pub more: bool,
}

/// A movie without its genres. Prints as `Toy Story (1995)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Title {
    /// The movie.
    pub movie: MovieId,
    /// Without the year.
    pub title: String,
    /// Absent where the data gives none.
    pub year: Option<u16>,
}

/// A rating among others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rated {
    /// Whose.
    pub user: UserId,
    /// Of which movie.
    pub movie: MovieId,
    /// What they gave.
    pub rating: Rating,
    /// When, in seconds since 1970.
    pub seconds: u64,
    /// Present where the ratings of one user were asked for.
    pub title: Option<Title>,
}

/// A movie with its average.
#[derive(Clone, PartialEq, Debug)]
pub struct Ranked {
    /// The movie.
    pub movie: Movie,
    /// Its average.
    pub average: Average,
}

/// What users have called a movie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Text from outside.
    pub tag: String,
    /// How many users gave it.
    pub users: u64,
}

/// An update with all that it takes to send it, once or again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// Its id, for ever.
    pub id: UpdateId,
    /// Its time on the session's clock. The same with every sending.
    pub time: Time,
    /// Whose rating.
    pub user: UserId,
    /// Of which movie.
    pub movie: MovieId,
    /// The rating; `None` takes it back.
    pub rating: Option<Rating>,
}

/// An update that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Updated {
    /// Its id, for ever.
    pub id: UpdateId,
    /// The server that took it.
    pub server: u32,
}

/// How a server stands towards front ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServerStatus {
    /// It serves.
    Online,
    /// It was told not to serve. It goes on gossiping.
    Offline,
    /// It did not answer the front end.
    Unreachable,
}

/// A server's status before and after it was turned round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusChange {
    /// Before.
    pub from: ServerStatus,
    /// Now.
    pub to: ServerStatus,
}

/// A server, as a front end sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Its number, from 1.
    pub server: u32,
    /// Where it serves. As the front end says it: text from outside.
    pub address: String,
    /// How it stands towards front ends.
    pub status: ServerStatus,
    /// Absent for a server that is unreachable.
    pub state: Option<ReplicaState>,
}

/// How far a replica is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaState {
    /// The server in its present life.
    pub id: ReplicaId,
    /// What is reflected in its value.
    pub value_ts: Timestamp,
    /// What it has received.
    pub replica_ts: Timestamp,
    /// Records kept because a peer may lack them, or because they wait.
    pub log_len: u64,
    /// Of these, those that wait for an update they depend on.
    pub waiting: u64,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            Some(year) => write!(f, "{} ({year:04})", self.title),
            None => f.write_str(&self.title),
        }
    }
}

impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
        })
    }
}

pub(crate) fn resolution(resolution: Option<v1::Resolution>) -> Result<Resolution, Malformed> {
    use v1::resolution::Outcome;
    let outcome = resolution.and_then(|resolution| resolution.outcome);
    Ok(match outcome.ok_or(Malformed("a title without outcome"))? {
        Outcome::Found(found) => Resolution::Found(movie(found)?),
        Outcome::Ambiguous(choices) => Resolution::Ambiguous(movies(choices)?),
        Outcome::Unknown(near) => Resolution::Unknown {
            near: movies(near)?,
        },
    })
}

pub(crate) fn found(found: Option<v1::Found>) -> Result<Found, Malformed> {
    let found = found.ok_or(Malformed("a search without an answer"))?;
    Ok(Found {
        movies: found
            .movies
            .into_iter()
            .map(movie)
            .collect::<Result<_, _>>()?,
        total: found.total,
        near: found.near,
    })
}

pub(crate) fn titles(titles: Option<v1::Titles>) -> Result<Page<Title>, Malformed> {
    let titles = titles.ok_or(Malformed("a list without titles"))?;
    Ok(Page {
        items: titles
            .titles
            .into_iter()
            .map(title)
            .collect::<Result<_, _>>()?,
        more: titles.more,
    })
}

pub(crate) fn ratings(listed: Option<v1::ListedRatings>) -> Result<Page<Rated>, Malformed> {
    let listed = listed.ok_or(Malformed("a list without ratings"))?;
    Ok(Page {
        items: listed
            .ratings
            .into_iter()
            .map(rated)
            .collect::<Result<_, _>>()?,
        more: listed.more,
    })
}

pub(crate) fn ranking(ranking: Option<v1::Ranking>) -> Result<Vec<Ranked>, Malformed> {
    let ranking = ranking.ok_or(Malformed("a ranking without movies"))?;
    ranking.movies.into_iter().map(ranked).collect()
}

pub(crate) fn tags(tags: Option<v1::Tags>) -> Vec<Tag> {
    let tags = tags.unwrap_or_default().tags.into_iter();
    tags.map(|v1::Tag { tag, users }| Tag { tag, users })
        .collect()
}

fn rated(listed: v1::ListedRating) -> Result<Rated, Malformed> {
    Ok(Rated {
        user: UserId(listed.user_id),
        movie: MovieId(listed.movie_id),
        rating: given(listed.rating)?,
        seconds: listed.seconds,
        title: listed.title.map(title).transpose()?,
    })
}

fn ranked(ranked: v1::Ranked) -> Result<Ranked, Malformed> {
    let found = ranked.movie.ok_or(Malformed("a ranking without a movie"))?;
    let average = checked_average(Some(ranked.average), ranked.ratings)?;
    Ok(Ranked {
        movie: movie(found)?,
        average: average.ok_or(Malformed("a movie without ratings in a ranking"))?,
    })
}

pub(crate) fn rating(rating: v1::UserRating) -> Result<UserRating, Malformed> {
    Ok(UserRating {
        rating: given(rating.rating)?,
        update: rating.update_id.map(UpdateId::try_from).transpose()?,
    })
}

fn given(rating: f64) -> Result<Rating, Malformed> {
    Rating::try_from(rating).map_err(|_| Malformed("a rating is none"))
}

pub(crate) fn average(reply: &v1::AverageResponse) -> Result<Option<Average>, Malformed> {
    checked_average(reply.average, reply.ratings)
}

fn checked_average(average: Option<f64>, ratings: u64) -> Result<Option<Average>, Malformed> {
    match (average, ratings) {
        (None, 0) => Ok(None),
        (Some(average), ratings @ 1..) if (0.0..=5.0).contains(&average) => {
            Ok(Some(Average { average, ratings }))
        }
        _ => Err(Malformed(
            "an average does not go with the number of ratings",
        )),
    }
}

pub(crate) fn updated(reply: &v1::UpdateResponse, sent: UpdateId) -> Result<Updated, Malformed> {
    if reply.update_id != Some(sent.into()) {
        return Err(Malformed("the reply is about another update"));
    }
    Ok(Updated {
        id: sent,
        server: reply.server,
    })
}

pub(crate) fn status_change(reply: v1::ChangeStatusResponse) -> Result<StatusChange, Malformed> {
    Ok(StatusChange {
        from: status(reply.from())?,
        to: status(reply.to())?,
    })
}

pub(crate) fn server(server: v1::Server) -> Result<Server, Malformed> {
    Ok(Server {
        server: server.server,
        status: status(server.status())?,
        state: server.state.map(replica_state).transpose()?,
        address: server.address,
    })
}

fn replica_state(state: v1::ReplicaState) -> Result<ReplicaState, Malformed> {
    let id = state.id.ok_or(Malformed("a replica without an id"))?;
    Ok(ReplicaState {
        id: id.try_into()?,
        value_ts: state.value_ts.unwrap_or_default().try_into()?,
        replica_ts: state.replica_ts.unwrap_or_default().try_into()?,
        log_len: state.log_len,
        waiting: state.waiting,
    })
}

fn status(status: v1::ServerStatus) -> Result<ServerStatus, Malformed> {
    match status {
        v1::ServerStatus::Online => Ok(ServerStatus::Online),
        v1::ServerStatus::Offline => Ok(ServerStatus::Offline),
        v1::ServerStatus::Unreachable => Ok(ServerStatus::Unreachable),
        v1::ServerStatus::Unspecified => Err(Malformed("a server without a status")),
    }
}

fn movies(movies: v1::Movies) -> Result<Vec<Movie>, Malformed> {
    movies.movies.into_iter().map(movie).collect()
}

fn title(title: v1::Title) -> Result<Title, Malformed> {
    Ok(Title {
        movie: MovieId(title.movie_id),
        title: title.title,
        year: year(title.year)?,
    })
}

fn year(year: Option<u32>) -> Result<Option<u16>, Malformed> {
    let year = year.map(u16::try_from).transpose();
    year.map_err(|_| Malformed("a year has more than five digits"))
}

fn movie(movie: v1::Movie) -> Result<Movie, Malformed> {
    Ok(Movie {
        id: MovieId(movie.movie_id),
        title: movie.title,
        year: year(movie.year)?,
        genres: movie.genres,
    })
}
