//! Bytes that should be protobuf.

use std::sync::Arc;

use backfence_gossip::{Limits, Message, Record, Replica, ReplicaId, Time, Timestamp, UpdateId};
use backfence_ratings::{Base, Operation, Ratings};
use backfence_wire::{
    Versions, decode, offer, read_offer, read_state, read_update, session, state, token, unsealed,
    update,
    v1::{self, peer_message::Body, serve_request},
};

const PEER: ReplicaId = ReplicaId::new(2, 1);

/// A session token, as a client sends it back.
pub fn session_token(bytes: &[u8]) {
    let _ = unsealed(bytes);
    let Ok(read) = session(bytes) else {
        return;
    };
    let again = session(&token(&read));
    assert_eq!(
        again.as_ref(),
        Ok(&read),
        "a token that was read is not written the same"
    );
}

/// A front end's request to a replica, and what it holds of a client's.
pub fn client_request(bytes: &[u8]) {
    let Ok(request) = decode::<v1::ServeRequest>(bytes) else {
        return;
    };
    match request.body {
        Some(serve_request::Body::Update(bytes)) => {
            if let Ok(read) = read_update(&bytes) {
                let again = read_update(&update(&read));
                assert_eq!(
                    again.as_ref(),
                    Ok(&read),
                    "an update is not written the same"
                );
            }
        }
        Some(serve_request::Body::Query(query)) => {
            for ts in [query.prev, query.hoped].into_iter().flatten() {
                if let Ok(read) = Timestamp::try_from(ts) {
                    let again = Timestamp::try_from(v1::Timestamp::from(&read));
                    assert_eq!(again, Ok(read), "a timestamp is not written the same");
                }
            }
        }
        _ => {}
    }
}

/// A peer's message, and what a replica makes of it.
pub fn peer_message(bytes: &[u8]) {
    let Ok(message) = decode::<v1::PeerMessage>(bytes) else {
        return;
    };
    match message.body {
        Some(Body::Hello(hello)) => {
            let _ = hello.id.map(ReplicaId::try_from);
        }
        Some(Body::Offer(said)) => {
            let pull = said.pull;
            let Ok(read) = read_offer(PEER, said) else {
                return;
            };
            let again = read_offer(PEER, offer(&read, pull, Time(1)));
            assert_eq!(
                again.as_ref(),
                Ok(&read),
                "an offer is not written the same"
            );
            // Refused or taken in: either way it goes on.
            let _ = replica().receive(Message::Offer(read), Time(0));
        }
        Some(Body::State(chunk)) => stored_state(&chunk.bytes),
        Some(Body::Proof(_)) | None => {}
    }
}

/// A state, as a peer sends it in pieces and as a checkpoint on disk; and the parts of
/// which the disk has one a row.
pub fn stored_state(bytes: &[u8]) {
    if let Ok(record) = decode::<v1::Record>(bytes) {
        let _ = Record::<Operation>::try_from(record);
    }
    if let Ok(executed) = decode::<v1::state::Executed>(bytes) {
        let cut = v1::State {
            executed: vec![executed],
            ..v1::State::default()
        };
        let _ = read_state(PEER, base(), cut);
    }
    let _ = backfence_wire::stored::read_block(bytes);
    if let Ok(cell) = decode::<v1::state::Cell>(bytes) {
        let _ = cell.update_id.clone().map(UpdateId::try_from);
        let cut = v1::State {
            cells: vec![cell],
            ..v1::State::default()
        };
        let _ = read_state(PEER, base(), cut);
    }
    let Ok(said) = decode::<v1::State>(bytes) else {
        return;
    };
    let Ok(read) = read_state(PEER, base(), said) else {
        return;
    };
    let again = read_state(PEER, base(), state(&read, Versions::OWN.newest, Time(1)));
    let again = again.expect("what was read can be read again");
    assert_eq!(again.value, read.value, "a state is not written the same");
    assert_eq!(again.replica_ts, read.replica_ts);
    let _ = replica().receive(Message::State(Box::new(read)), Time(0));
}

fn replica() -> Replica<Ratings> {
    let mut replica = Replica::new(
        ReplicaId::new(1, 1),
        Ratings::new(base()),
        Limits::default(),
    );
    replica.found();
    replica
}

fn base() -> Arc<Base> {
    let movies = "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),\n";
    let ratings = "userId,movieId,rating,timestamp\n1,1,4.0,1\n";
    let read = Base::read(movies.as_bytes(), ratings.as_bytes(), true);
    Arc::new(read.expect("it is well-formed").base)
}
