//! Answers, read from the wire once: whatever a front end says, what comes out of here
//! makes sense.

use std::time::Duration;

use backfence_gossip::{Skew, Time, Timestamp, UpdateId};
use backfence_ratings::{Average, Movie, MovieId, Rating, UserId, UserRating};
use backfence_wire::{Malformed, Versions, timestamp, v1};

use crate::{
    Found, Log, Logged, Member, Membership, Page, Prepared, Ranked, Rated, ReplicaState,
    Resolution, Server, ServerProgram, ServerStatus, StatusChange, Tag, Title, Updated,
    ValueDigest,
};

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

pub(crate) fn updated(reply: v1::UpdateResponse, sent: UpdateId) -> Result<Updated, Malformed> {
    if reply.update_id != Some(sent.into()) {
        return Err(Malformed("the reply is about another update"));
    }
    Ok(Updated {
        id: sent,
        server: reply.server,
        servers: match reply.servers.as_slice() {
            // A front end of an older version does not say.
            [] => vec![reply.server],
            _ => reply.servers,
        },
    })
}

pub(crate) fn status_change(reply: v1::ChangeStatusResponse) -> Result<StatusChange, Malformed> {
    Ok(StatusChange {
        from: status(reply.from)?,
        to: status(reply.to)?,
    })
}

pub(crate) fn server(server: v1::Server) -> Result<Server, Malformed> {
    Ok(Server {
        server: server.server,
        status: match status(server.status)? {
            // It is not asked, for it has others, or belongs to another.
            ServerStatus::Unreachable if !server.fingerprint.is_empty() => ServerStatus::OtherData,
            ServerStatus::Unreachable if !server.cluster.is_empty() => ServerStatus::OtherCluster,
            other => other,
        },
        program: program(&server)?,
        clock_off: (server.clock_off_us != 0).then(|| Skew {
            ahead: server.clock_off_us > 0,
            by: Duration::from_micros(server.clock_off_us.unsigned_abs()),
        }),
        state: server.state.map(replica_state).transpose()?,
        reported: server.reported.map(Timestamp::try_from).transpose()?,
        gone_since: Some(Time(server.gone_since_us)).filter(|since| *since != Time(0)),
        address: server.address,
    })
}

fn program(server: &v1::Server) -> Result<Option<ServerProgram>, Malformed> {
    if server.build.is_empty() || server.cluster.is_empty() {
        return Ok(None);
    }
    Ok(Some(ServerProgram {
        build: server.build.clone(),
        cluster: server.cluster[..].try_into()?,
        newest: Versions::from(server.wire).newest,
        speaks: server.speaks,
    }))
}

pub(crate) fn member(member: v1::Member) -> Result<Member, Malformed> {
    let membership = match member.membership() {
        v1::Membership::Remains => Membership::Remains(status(member.status)?),
        v1::Membership::Superseded => Membership::Superseded,
        v1::Membership::Retired => Membership::Retired,
        v1::Membership::Unspecified => return Err(Malformed("a member without a membership")),
    };
    let id = member.id.ok_or(Malformed("a member without an id"))?;
    Ok(Member {
        id: id.try_into()?,
        membership,
        reported: member.reported.map(Timestamp::try_from).transpose()?,
        holds_back: member.holds_back,
    })
}

/// A server, and what it says of its value if it answered.
pub(crate) fn server_digest(
    server: v1::ServerDigest,
) -> Result<(u32, Option<ValueDigest>), Malformed> {
    let value = server.value.map(|value| {
        let digest = value.digest.try_into().map(u128::from_be_bytes);
        Ok::<_, Malformed>(ValueDigest {
            digest: digest.map_err(|_| Malformed("a digest has not 16 bytes"))?,
            value_ts: timestamp(value.value_ts)?,
            writes: value.writes,
        })
    });
    Ok((server.server, value.transpose()?))
}

/// A server, and what only it has if it answered.
pub(crate) fn server_at_risk(server: v1::ServerAtRisk) -> Result<(u32, Option<Log>), Malformed> {
    let updates = server.updates.map(|updates| log(Some(updates)));
    Ok((server.server, updates.transpose()?))
}

pub(crate) fn log(log: Option<v1::LoggedRecords>) -> Result<Log, Malformed> {
    let log = log.ok_or(Malformed("an answer without a log"))?;
    Ok(Log {
        records: log
            .records
            .into_iter()
            .map(logged)
            .collect::<Result<_, _>>()?,
        total: log.total,
    })
}

fn logged(record: v1::LoggedRecord) -> Result<Logged, Malformed> {
    let origin = record.origin.ok_or(Malformed("a record without origin"))?;
    let id = record
        .update_id
        .ok_or(Malformed("a record without update"))?;
    Ok(Logged {
        origin: origin.try_into()?,
        number: record.number,
        update: Prepared {
            id: id.try_into()?,
            time: Time(record.time_us),
            user: UserId(record.user_id),
            movie: MovieId(record.movie_id),
            rating: record.rating.map(given).transpose()?,
        },
        prev: timestamp(record.prev)?,
        waiting: record.waiting,
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

fn status(status: i32) -> Result<ServerStatus, Malformed> {
    match v1::ServerStatus::try_from(status) {
        Ok(v1::ServerStatus::Online) => Ok(ServerStatus::Online),
        Ok(v1::ServerStatus::Offline) => Ok(ServerStatus::Offline),
        Ok(v1::ServerStatus::Unreachable) => Ok(ServerStatus::Unreachable),
        Ok(v1::ServerStatus::Unspecified) => Err(Malformed("a server without a status")),
        Err(_) => Ok(ServerStatus::Unknown),
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
        genres: movie.genres.into_iter().map(Into::into).collect(),
    })
}
