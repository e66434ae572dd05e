//! Writes the seeds of the fuzz targets' corpus: `cargo run -p backfence-foreign --example
//! corpus`, in the root of the repository.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use backfence_gossip::{
    Limits, Message, Replica, ReplicaId, Scope, Session, SessionId, Time, Timestamp, Update,
    UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use backfence_wire::{
    Seal, Versions, encode, offer, sealed, state, token,
    v1::{self, peer_message::Body, query, serve_request},
};

const HISTORY: &[u8] =
    b"# two sessions\nw(5,1,1,1)\nr(5,1,2,2)\nw(5,2,2,3)\n\nr(5,2,1,4)\nr(6,0,1,5)\n";
const STALE: &[u8] = b"w(5,1,1,1)\nw(5,2,1,2)\nr(5,2,2,3)\nr(5,1,2,4)\n";
const CSV: &[u8] = b"movieId,title,genres\n1,Toy Story (1995),Comedy|Drama\n2,\"Matrix, The (1999)\",Action\n3,\xc3\x89t\xc3\xa9,(no genres listed)\n\x0cuserId,movieId,rating,timestamp\n1,1,4.0,964982703\n2,2,3.5,964982224\n";
const BAD_CSV: &[u8] =
    b"movieId,title,genres\nx,,\n1,\"a\n\x0cuserId,movieId,rating,timestamp\n1,9,6.0,-1\n";

fn main() -> io::Result<()> {
    let (offer, state) = exchanged();
    let own = token(&session());
    let seal = Seal {
        key: [1; 8],
        mac: [2; 32],
    };
    let files: &[(&str, &str, Vec<u8>)] = &[
        ("session_token", "plain", own.clone()),
        ("session_token", "sealed", sealed(own, &seal)),
        ("client_request", "update", request(update_body())),
        ("client_request", "query", request(query_body())),
        ("peer_message", "hello", peer(hello())),
        ("peer_message", "offer", peer(Body::Offer(offer))),
        ("peer_message", "state", peer(chunk(&state))),
        ("stored_state", "state", encode(&state)),
        ("stored_state", "cell", encode(&state.cells[0])),
        ("stored_state", "executed", encode(&state.executed[0])),
        ("history", "consistent", HISTORY.into()),
        ("history", "stale", STALE.into()),
        ("movies_and_ratings", "good", CSV.into()),
        ("movies_and_ratings", "bad", BAD_CSV.into()),
        ("rating", "half", b"4.5".into()),
        ("rating", "four", b"0.1234".into()),
        ("address", "plain", b"127.0.0.1:7400".into()),
        ("address", "url", b"http://[::1]:7400/".into()),
    ];
    for (target, name, bytes) in files {
        let folder = Path::new("fuzz/corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn prev() -> Timestamp {
    [(ReplicaId::new(1, 1), 2), (ReplicaId::new(2, 5), 1)]
        .into_iter()
        .collect()
}

fn session() -> Session {
    Session {
        prev: prev(),
        clock: Time(1_767_225_600_000_000),
        lost: [ReplicaId::new(3, 1)].into_iter().collect(),
        ..Session::new(SessionId(7))
    }
}

fn update(sequence: u64, prev: Timestamp, given: bool) -> Update<Operation> {
    let (user, movie) = (UserId(1), MovieId(1));
    Update {
        id: UpdateId::new(SessionId(7), sequence),
        prev,
        time: Time(sequence),
        operation: match given {
            true => Operation::Rate {
                user,
                movie,
                rating: Rating::from_ten_thousandths(45_000).expect("4.5 stars"),
            },
            false => Operation::Delete { user, movie },
        },
    }
}

/// What a replica with an applied, a deleting and a waiting record says.
fn exchanged() -> (v1::Offer, v1::State) {
    let movies = "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),\n";
    let ratings = "userId,movieId,rating,timestamp\n1,1,4.0,1\n";
    let base = Base::read(movies.as_bytes(), ratings.as_bytes(), true);
    let value = Ratings::new(Arc::new(base.expect("it is well-formed").base));
    let (id, other) = (ReplicaId::new(2, 1), ReplicaId::new(1, 1));
    let mut replica = Replica::new(id, value, Limits::default());
    replica.found();
    replica.meet([other]);
    let now = Time::default().after(Duration::from_secs(1));
    let waits = [(other, 3)].into_iter().collect();
    let updates = [
        update(1, Timestamp::new(), true),
        update(2, Timestamp::new(), false),
        update(3, waits, true),
    ];
    for update in updates {
        replica.update(update, now).expect("it is taken");
    }
    let said = match replica.message(other, Scope::All) {
        Message::Offer(said) => offer(&said, true, now),
        Message::State(_) => v1::Offer::default(),
    };
    (said, state(&replica.state(), Versions::OWN.newest, now))
}

fn request(body: serve_request::Body) -> Vec<u8> {
    let request = v1::ServeRequest {
        number: 9,
        patience_ms: 1500,
        body: Some(body),
        ..v1::ServeRequest::default()
    };
    encode(&request)
}

fn update_body() -> serve_request::Body {
    serve_request::Body::Update(backfence_wire::update(&update(4, prev(), true)))
}

fn query_body() -> serve_request::Body {
    serve_request::Body::Query(v1::Query {
        prev: Some((&prev()).into()),
        hoped: Some((&prev()).into()),
        kind: Some(query::Kind::View(query::View {
            user_id: 1,
            movie_id: 1,
        })),
    })
}

fn hello() -> Body {
    Body::Hello(v1::Hello {
        id: Some(ReplicaId::new(1, 1).into()),
        fingerprint: "9b9a90aa4e05977171323a12a380ae8b".to_owned(),
        address: "127.0.0.1:7411".to_owned(),
        ..v1::Hello::default()
    })
}

fn chunk(state: &v1::State) -> Body {
    Body::State(v1::StateChunk {
        bytes: encode(state),
        last: true,
    })
}

fn peer(body: Body) -> Vec<u8> {
    encode(&v1::PeerMessage {
        event: 1,
        body: Some(body),
    })
}
