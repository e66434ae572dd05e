//! Answers for programs: one JSON object each.

use backfence_client::{Movie, Rated, Server, Timestamp, UpdateId};
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Titled},
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
        Answer::Viewed(titled, user, seen) => about(
            titled,
            json!({
                "user_id": user.0,
                "rating": seen.map(|seen| f64::from(seen.rating)),
                "update_id": seen.and_then(|seen| seen.update).map(update_id),
            }),
        ),
        Answer::Average(titled, average) => about(
            titled,
            json!({
                "average": average.map(|average| average.average),
                "ratings": average.map_or(0, |average| average.ratings),
            }),
        ),
        Answer::Rated(titled, user, rating, id) => about(
            titled,
            json!({
                "user_id": user.0,
                "rating": rating.map(f64::from),
                "update_id": update_id(*id),
            }),
        ),
        Answer::Changed(number, change) => json!({
            "server": number,
            "from": change.from.to_string(),
            "status": change.to.to_string(),
        }),
        Answer::Status(servers) => json!({
            "servers": servers
                .iter()
                .map(|one| server(one, table::lag(one, servers)))
                .collect::<Vec<_>>(),
        }),
        Answer::Searched(_, found) => json!({
            "movies": found.movies.iter().map(movie).collect::<Vec<_>>(),
            "total": found.total,
            "near": found.near,
        }),
        Answer::Ratings(user, ratings, more) => json!({
            "user_id": user.0,
            "ratings": ratings.iter().map(rated).collect::<Vec<_>>(),
            "more": more,
        }),
        Answer::Top(_, ranked) => json!({
            "movies": ranked
                .iter()
                .map(|ranked| {
                    let mut fields = movie(&ranked.movie);
                    fields["average"] = ranked.average.average.into();
                    fields["ratings"] = ranked.average.ratings.into();
                    fields
                })
                .collect::<Vec<_>>(),
        }),
        Answer::Tags(titled, tags) => about(
            titled,
            json!({
                "tags": tags
                    .iter()
                    .map(|tag| json!({"tag": tag.tag, "users": tag.users}))
                    .collect::<Vec<_>>(),
            }),
        ),
        Answer::User(user, summary) => json!({
            "user_id": user.0,
            "ratings": summary.ratings,
            "average": summary.average,
            "last": summary.last,
        }),
        Answer::Whoami(user, session, front_end) => json!({
            "user_id": user.map(|user| user.0),
            "session": session.to_string(),
            "front_end": front_end.as_ref().map(ToString::to_string),
        }),
        Answer::Session(saved, seen) => json!({
            "session": saved.id.to_string(),
            "updates": saved.next - 1,
            "seen": timestamp(seen),
        }),
        Answer::Ambiguous(asked, choices) => json!({
            "error": "ambiguous",
            "title": asked,
            "choices": choices.iter().map(movie).collect::<Vec<_>>(),
        }),
        Answer::Unknown(asked, near) => json!({
            "error": "not found",
            "title": asked,
            "near": near.iter().map(movie).collect::<Vec<_>>(),
        }),
    }
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
        "genres": movie.genres,
    })
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
    let state = server.state.as_ref();
    json!({
        "server": server.server,
        "address": server.address,
        "status": server.status.to_string(),
        "value_ts": state.map(|state| timestamp(&state.value_ts)),
        "replica_ts": state.map(|state| timestamp(&state.replica_ts)),
        "log_len": state.map(|state| state.log_len),
        "waiting": state.map(|state| state.waiting),
        "lag": lag,
    })
}

fn timestamp(ts: &Timestamp) -> Value {
    ts.iter()
        .map(|(replica, count)| {
            json!({
                "server": replica.server,
                "incarnation": replica.incarnation,
                "count": count,
            })
        })
        .collect()
}

/// 32 hexadecimal digits of the session, a colon, the number within it.
fn update_id(id: UpdateId) -> String {
    id.to_string()
}
