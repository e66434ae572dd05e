//! Answers, read from the wire once.

use std::fmt;

use backfence_gossip::{ReplicaId, Timestamp, UpdateId};
use backfence_ratings::{Average, Movie, MovieId, Rating, UserRating};
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

pub(crate) fn rating(rating: v1::UserRating) -> Result<UserRating, Malformed> {
    Ok(UserRating {
        rating: Rating::try_from(rating.rating).map_err(|_| Malformed("a rating is none"))?,
        update: rating.update_id.map(UpdateId::try_from).transpose()?,
    })
}

pub(crate) fn average(reply: &v1::AverageResponse) -> Result<Option<Average>, Malformed> {
    match (reply.average, reply.ratings) {
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

fn movie(movie: v1::Movie) -> Result<Movie, Malformed> {
    let year = movie.year.map(u16::try_from).transpose();
    Ok(Movie {
        id: MovieId(movie.movie_id),
        title: movie.title,
        year: year.map_err(|_| Malformed("a year has more than five digits"))?,
        genres: movie.genres,
    })
}
