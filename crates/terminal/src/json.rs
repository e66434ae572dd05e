//! Answers for programs: one JSON object each.

use backfence_client::{
    Average, Log, Logged, Member, Movie, Ranked, Rated, Server, Skew, Timestamp, UpdateId, UserId,
    UserRating, ValueDigest,
};
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Summary, Titled, all_equal},
    output::safe,
    table,
};

/// The answer as one line. JSON escapes most characters that act on a terminal;
/// the rest is replaced.
pub(crate) fn line(answer: &Answer) -> String {
    safe(&value(answer).to_string())
}

fn value(answer: &Answer) -> Value {
    match answer {
        Answer::Found(titled) => movie(&titled.movie),
        Answer::Viewed(titled, user, seen) => viewed(titled, *user, *seen),
        Answer::Average(titled, average) => average_of(titled, *average),
        Answer::Rated(titled, user, rating, updated) => {
            let fields = json!({
                "user_id": user.0,
                "rating": rating.map(f64::from),
                "update_id": update_id(updated.id),
                "servers": updated.servers,
                "year": titled.movie.year,
            });
            about(titled, fields)
        }
        Answer::Changed(server, change) => {
            let (from, to) = (change.from.to_string(), change.to.to_string());
            json!({"server": server, "from": from, "status": to})
        }
        Answer::Status(servers) | Answer::Health(servers) => {
            let one = |server| self::server(server, table::lag(server, servers));
            json!({"servers": servers.iter().map(one).collect::<Value>()})
        }
        Answer::Members(members) => {
            json!({"members": members.iter().map(member).collect::<Value>()})
        }
        Answer::Digest(servers) => {
            let all = servers
                .iter()
                .map(|(&server, value)| digest(server, value.as_ref()));
            json!({"servers": all.collect::<Value>(), "equal": all_equal(servers)})
        }
        Answer::Log(server, log) => {
            let records: Value = log.records.iter().map(logged).collect();
            json!({"server": server, "records": records, "total": log.total})
        }
        Answer::AtRisk(servers) => {
            let one = |(server, updates): (&u32, &Option<Log>)| {
                let updates = updates.as_ref();
                let records = |log: &Log| log.records.iter().map(logged).collect::<Value>();
                json!({
                    "server": server,
                    "total": updates.map(|log| log.total),
                    "records": updates.map(records),
                })
            };
            json!({"servers": servers.iter().map(one).collect::<Value>()})
        }
        Answer::Gossip(server, peers) => {
            let peers: Value = peers.iter().map(|peer| peer.server).collect();
            json!({"server": server, "peers": peers})
        }
        Answer::Retired(server, new) => json!({"server": server, "already": !new}),
        Answer::Searched(_, found) => {
            let movies = movies(&found.movies);
            json!({"movies": movies, "total": found.total, "near": found.near})
        }
        Answer::Ratings(user, ratings, more) => {
            let ratings: Value = ratings.iter().map(rated).collect();
            json!({"user_id": user.0, "ratings": ratings, "more": more})
        }
        Answer::Top(.., ranked) => {
            json!({"movies": ranked.iter().map(self::ranked).collect::<Value>()})
        }
        Answer::Tags(titled, tags) => {
            let tags = tags
                .iter()
                .map(|tag| json!({"tag": tag.tag, "users": tag.users}));
            about(titled, json!({"tags": tags.collect::<Value>()}))
        }
        Answer::User(user, summary) => summed_up(*user, summary),
        Answer::Whoami(user, session, front_end) => json!({
            "user_id": user.map(|user| user.0),
            "session": session.map(|session| session.to_string()),
            "front_end": front_end.as_ref().map(ToString::to_string),
        }),
        Answer::Session(saved, seen) => json!({
            "session": saved.digest.map(|session| session.to_string()),
            "updates": saved.next - 1,
            "seen": timestamp(seen),
        }),
        // It begins with its first request.
        Answer::Reset => json!({"session": null}),
        Answer::Ambiguous(asked, choices) => {
            json!({"error": "ambiguous", "title": asked, "choices": movies(choices)})
        }
        Answer::TwoReadings(readings) => json!({
            "error": "two readings",
            "title": readings.asked,
            "rating": f64::from(readings.rating),
            "rated": movies(&readings.rated),
            "titled": movies(&readings.titled),
        }),
        Answer::Unknown(asked, near) => {
            json!({"error": "not found", "title": asked, "near": movies(near)})
        }
    }
}

fn viewed(titled: &Titled, user: UserId, seen: Option<UserRating>) -> Value {
    let fields = json!({
        "user_id": user.0,
        "rating": seen.map(|seen| f64::from(seen.rating)),
        "update_id": seen.and_then(|seen| seen.update).map(update_id),
    });
    about(titled, fields)
}

fn average_of(titled: &Titled, average: Option<Average>) -> Value {
    let fields = json!({
        "average": average.map(|average| average.average),
        "ratings": average.map_or(0, |average| average.ratings),
    });
    about(titled, fields)
}

fn summed_up(user: UserId, summary: &Summary) -> Value {
    json!({
        "user_id": user.0,
        "ratings": summary.ratings,
        "average": summary.average,
        "last": summary.last,
    })
}

/// The fields with the movie's before them.
fn about(titled: &Titled, fields: Value) -> Value {
    let mut all = Map::new();
    all.insert("movie_id".to_owned(), titled.movie.id.0.into());
    all.insert("title".to_owned(), titled.movie.title.as_str().into());
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    all.into()
}

fn movie(movie: &Movie) -> Value {
    json!({
        "movie_id": movie.id.0,
        "title": movie.title,
        "year": movie.year,
        "genres": movie.genres.iter().map(|genre| &**genre).collect::<Vec<&str>>(),
    })
}

fn movies(movies: &[Movie]) -> Value {
    movies.iter().map(movie).collect()
}

fn ranked(ranked: &Ranked) -> Value {
    let mut fields = movie(&ranked.movie);
    fields["average"] = ranked.average.average.into();
    fields["ratings"] = ranked.average.ratings.into();
    fields
}

fn rated(rated: &Rated) -> Value {
    let title = rated.title.as_ref();
    json!({
        "movie_id": rated.movie.0,
        "title": title.map(|title| title.title.as_str()),
        "year": title.and_then(|title| title.year),
        "rating": f64::from(rated.rating),
        "time": rated.seconds,
    })
}

fn server(server: &Server, lag: Option<u64>) -> Value {
    let (state, program) = (server.state.as_ref(), server.program.as_ref());
    json!({
        "server": server.server,
        "address": server.address,
        "status": server.status.to_string(),
        "value_ts": state.map(|state| timestamp(&state.value_ts)),
        "replica_ts": state.map(|state| timestamp(&state.replica_ts)),
        "log_len": state.map(|state| state.log_len),
        "waiting": state.map(|state| state.waiting),
        "lag": lag,
        "gone_since_us": server.gone_since.map(|since| since.0),
        "cluster": program.map(|program| program.cluster.to_string()),
        "build": program.map(|program| program.build.as_str()),
        "wire": program.map(|program| program.newest),
        "speaks": program.map(|program| program.speaks),
        "clock_off_us": server.clock_off.map(Skew::micros),
    })
}

fn member(member: &Member) -> Value {
    json!({
        "server": member.id.server,
        "incarnation": (!member.id.is_end()).then_some(member.id.incarnation),
        "state": member.membership.to_string(),
        "reported": member.reported.as_ref().map(timestamp),
        "holds_back": member.holds_back,
    })
}

fn digest(server: u32, value: Option<&ValueDigest>) -> Value {
    json!({
        "server": server,
        "digest": value.map(|value| format!("{:032x}", value.digest)),
        "writes": value.map(|value| value.writes),
        "value_ts": value.map(|value| timestamp(&value.value_ts)),
    })
}

fn logged(record: &Logged) -> Value {
    let Logged { origin, update, .. } = record;
    json!({
        "server": origin.server,
        "incarnation": origin.incarnation,
        "number": record.number,
        "update_id": update_id(update.id),
        "prev": timestamp(&record.prev),
        "time_us": update.time.0,
        "user_id": update.user.0,
        "movie_id": update.movie.0,
        "rating": update.rating.map(f64::from),
        "waiting": record.waiting,
    })
}

fn timestamp(ts: &Timestamp) -> Value {
    ts.iter()
        .map(|(replica, count)| {
            let count = match count {
                Timestamp::ALL => json!("all"),
                _ => json!(count),
            };
            json!({
                "server": replica.server,
                "incarnation": replica.incarnation,
                "count": count,
            })
        })
        .collect()
}

/// 32 hexadecimal digits of what stands for the session, a colon, the number within it.
fn update_id(id: UpdateId) -> String {
    id.to_string()
}
