//! What replicas send each other survives the wire, and its size is bounded.

use std::sync::Arc;

use backfence_gossip::{
    Limits, Message, Record, Replica, ReplicaId, Scope, SessionId, Time, Timestamp, Update,
    UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use backfence_wire::{offer, read_offer, read_state, state, v1};
use proptest::prelude::*;
use prost::Message as _;

fn timestamps() -> impl Strategy<Value = Timestamp> {
    let entry = (1..=u32::MAX, any::<u64>(), 1..u64::MAX);
    prop::collection::vec(entry, 0..6).prop_map(|entries| {
        entries
            .into_iter()
            .map(|(server, life, count)| (ReplicaId::new(server, life), count))
            .collect()
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    (any::<u32>(), any::<u32>(), 0..=60_000u32).prop_map(|(user, movie, rating)| {
        let (user, movie) = (UserId(user), MovieId(movie));
        match Rating::from_ten_thousandths(rating) {
            Some(rating) => Operation::Rate {
                user,
                movie,
                rating,
            },
            None => Operation::Delete { user, movie },
        }
    })
}

fn records() -> impl Strategy<Value = Record<Operation>> {
    let update = (
        any::<u128>(),
        1..=u64::MAX,
        timestamps(),
        any::<u64>(),
        operations(),
    );
    (update, any::<u64>()).prop_map(|((session, sequence, prev, time, operation), life)| {
        let update = Update {
            id: UpdateId::new(SessionId(session), sequence),
            prev,
            time: Time(time),
            operation,
        };
        Record::new(ReplicaId::new(1, life), u64::MAX, update).expect("the number is the greatest")
    })
}

proptest! {
    #[test]
    fn a_record_is_read_back(record in records()) {
        let bytes = v1::Record::from(&record).encode_to_vec();
        let read = v1::Record::decode(&*bytes).expect("it was just encoded");
        prop_assert_eq!(Record::try_from(read), Ok(record));
    }

    #[test]
    fn a_record_is_no_longer_than_the_core_reckons(record in records()) {
        let message = v1::Offer { records: vec![(&record).into()], ..v1::Offer::default() };
        prop_assert!(message.encoded_len() <= record.size::<Ratings>());
    }

    #[test]
    fn no_bytes_crash_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let from = ReplicaId::new(1, 1);
        if let Ok(read) = v1::Offer::decode(&*bytes) {
            let _ = read_offer(from, read);
        }
        if let Ok(read) = v1::State::decode(&*bytes) {
            let _ = read_state(from, Arc::new(Base::empty()), read);
        }
        if let Ok(read) = v1::Update::decode(&*bytes) {
            let _ = Update::<Operation>::try_from(read);
        }
    }
}

/// A replica with an applied, a deleted and a waiting update.
fn replica(base: &Arc<Base>) -> Replica<Ratings> {
    let id = ReplicaId::new(1, 1);
    let mut replica = Replica::new(id, Ratings::new(base.clone()), Limits::default());
    replica.found();
    let (user, movie) = (UserId(1), MovieId(1));
    let rating = Rating::MAX;
    let elsewhere: Timestamp = [(ReplicaId::new(2, 1), 1)].into_iter().collect();
    let peer = ReplicaId::new(2, 1);
    let Message::Offer(mut hello) = replica.message(peer, Scope::All) else {
        panic!("nothing is discarded yet");
    };
    hello.from = peer;
    replica.receive(Message::Offer(hello)).expect("a report");
    for (sequence, prev, operation) in [
        (
            1,
            Timestamp::new(),
            Operation::Rate {
                user,
                movie,
                rating,
            },
        ),
        (
            2,
            Timestamp::new(),
            Operation::Delete {
                user,
                movie: MovieId(2),
            },
        ),
        (3, elsewhere, Operation::Delete { user, movie }),
    ] {
        let update = Update {
            id: UpdateId::new(SessionId(7), sequence),
            prev,
            time: Time(sequence),
            operation,
        };
        replica.update(update, Time(9)).expect("it is accepted");
    }
    replica
}

#[test]
fn a_state_is_read_back() {
    let base = Arc::new(Base::empty());
    let original = replica(&base).state();
    assert_eq!((original.log.len(), original.executed.len()), (3, 1));
    let bytes = state(&original).encode_to_vec();
    let read = v1::State::decode(&*bytes).expect("it was just encoded");
    assert_eq!(read_state(original.from, base, read), Ok(original));
}

#[test]
fn an_offer_is_read_back() {
    let replica = replica(&Arc::new(Base::empty()));
    let Message::Offer(original) = replica.message(ReplicaId::new(2, 1), Scope::Own) else {
        panic!("nothing is discarded");
    };
    assert_eq!(original.records.len(), 3);
    let bytes = offer(&original, true).encode_to_vec();
    let read = v1::Offer::decode(&*bytes).expect("it was just encoded");
    assert!(read.pull);
    assert_eq!(read_offer(original.from, read), Ok(original));
}
