//! What replicas send each other survives the wire, and its size is bounded.

use std::sync::Arc;

use backfence_gossip::{
    Limits, Message, Offer, Record, Replica, ReplicaId, Scope, SessionId, Standing, Time,
    Timestamp, Update, UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use backfence_wire::{
    StateReader, Versions, decode, offer, read_offer, read_state, read_update, state, update, v1,
};
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

/// Runs of records of few replicas, with prevs that are alike or not at all.
fn offers() -> impl Strategy<Value = Offer<Operation>> {
    let few = prop::collection::vec((1..6u32, 0..3u64, 1..300u64), 0..5);
    let prev = prop_oneof![
        few.prop_map(|entries| {
            let entry = |(server, life, count)| (ReplicaId::new(server, life), count);
            entries.into_iter().map(entry).collect()
        }),
        timestamps(),
    ];
    let record = (prev, operations(), any::<u64>(), 1..9u64, any::<bool>());
    let records = prop::collection::vec(record, 0..30);
    (records, any::<u64>(), any::<u64>()).prop_map(|(drawn, horizon, settled)| {
        let mut number = 0;
        let records = drawn
            .into_iter()
            .map(|(mut prev, operation, time, gap, follows)| {
                let origin = ReplicaId::new(1, 1);
                number += if follows { 1 } else { gap };
                prev.set(origin, prev.count(origin).min(number - 1));
                let update = Update {
                    id: UpdateId::new(SessionId(u128::from(time)), number),
                    prev,
                    time: Time(time),
                    operation,
                };
                Record::new(origin, number, update).expect("it depends on earlier ones")
            });
        Offer {
            from: ReplicaId::new(2, 1),
            replica_ts: Timestamp::new(),
            members: vec![],
            ended: vec![],
            records: records.collect(),
            more: false,
            standing: Standing::New,
            horizon: Time(horizon),
            settled: Time(settled),
        }
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
        let one = v1::Offer::default().encoded_len() + v1::Record::from(&record).encoded_len();
        prop_assert!(one <= record.size::<Ratings>());
    }

    #[test]
    fn records_are_read_back_and_no_longer_than_the_core_reckons(offered in offers()) {
        let reckoned: usize = offered.records.iter().map(Record::size::<Ratings>).sum();
        let message = offer(&offered, false, Time(5));
        let records = v1::Offer { runs: message.runs.clone(), named: message.named.clone(), ..v1::Offer::default() };
        prop_assert!(records.encoded_len() <= reckoned);
        let bytes = message.encode_to_vec();
        let read = v1::Offer::decode(&*bytes).expect("it was just encoded");
        prop_assert_eq!(read_offer(offered.from, read), Ok(offered));
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
        let mut reader = StateReader::new(from, Arc::new(Base::empty()));
        if reader.push(&bytes).is_ok() {
            let _ = reader.finish();
        }
        let _ = read_update(&bytes.into());
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
    let _ = replica
        .receive(Message::Offer(hello), Time(9))
        .expect("a report");
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
    let mut original = replica(&base).state();
    assert_eq!((original.log.len(), original.executed.len()), (3, 1));
    assert_eq!(original.executed[0].1.latest, Time(2));
    (original.horizon, original.settled) = (Time(2), Time(u64::MAX));
    let bytes = state(&original, Versions::OWN.newest, Time(5)).encode_to_vec();
    let read = v1::State::decode(&*bytes).expect("it was just encoded");
    let from = original.from;
    assert_eq!(read_state(from, base.clone(), read), Ok(original.clone()));
    for piece in [1, 7, bytes.len()] {
        let mut reader = StateReader::new(from, base.clone());
        for piece in bytes.chunks(piece) {
            reader.push(piece).expect("it is well-formed");
        }
        assert_eq!(
            reader.finish(),
            Ok(original.clone()),
            "in pieces of {piece}"
        );
    }
    let mut torn = StateReader::new(from, base);
    torn.push(&bytes[..bytes.len() - 1])
        .expect("the rest may come");
    assert!(torn.finish().is_err());
}

/// Fields of a state that are as short as they can be, and what becomes of them.
#[test]
fn what_little_makes_much_of_is_refused_or_counted() {
    let base = Arc::new(Base::empty());
    let read = |field: &[u8]| {
        let mut reader = StateReader::new(ReplicaId::new(1, 1), base.clone());
        let bytes = field.repeat((1 << 20) / field.len());
        let read = reader.push(&bytes);
        (read.is_ok(), reader.memory())
    };
    // Entries of the log, what is executed, cells, groups: nothing in them, so none is read.
    for field in [[0x2a, 0], [0x32, 0], [0x3a, 0], [0x3b, 0x3c]] {
        assert!(!read(&field).0, "{field:?}");
    }
    // Members, and entries of timestamps, are counted as what they become.
    for field in [&[0x22, 0][..], &[0x0a, 2, 0x0a, 0]] {
        let (is_read, memory) = read(field);
        assert!(is_read && memory >= 16 << 20, "{field:?} {memory}");
    }
    // A part of which the end never comes.
    let mut reader = StateReader::new(ReplicaId::new(1, 1), base.clone());
    reader
        .push(&[0x2a, 0xff, 0xff, 0xff, 0x7f])
        .expect("the rest may come");
    let piece = vec![0; 1 << 20];
    let refused = (0..40).find(|_| reader.push(&piece).is_err());
    assert_eq!(refused, Some(31), "at 32 MiB");
}

#[test]
fn an_offer_is_read_back() {
    let replica = replica(&Arc::new(Base::empty()));
    let Message::Offer(mut original) = replica.message(ReplicaId::new(2, 1), Scope::Own) else {
        panic!("nothing is discarded");
    };
    assert_eq!(original.records.len(), 3);
    (original.horizon, original.settled) = (Time(u64::MAX), Time(1));
    let bytes = offer(&original, true, Time(5)).encode_to_vec();
    let read = v1::Offer::decode(&*bytes).expect("it was just encoded");
    assert!(read.pull);
    assert_eq!(read_offer(original.from, read), Ok(original));
}

/// The content of an update is its id, time and operation. This is what is sent besides, in a burst of a busy cluster: three replicas, 32 sessions.
#[test]
fn a_gossiped_update_costs_at_most_24_bytes_beside_its_content() {
    let replicas = [1, 2, 3].map(|server| ReplicaId::new(server, 1_795_391_067_024 + 7));
    let mut sessions = vec![Timestamp::new(); 32];
    let mut records = Vec::new();
    for number in 1..=1_000_u64 {
        let session = (number * 7 % 32) as usize;
        // The others take updates too, and every session sees some of theirs.
        let prev = &mut sessions[session];
        let seen = 70_000 + number - number % 5;
        prev.raise(replicas[1], seen);
        prev.raise(replicas[2], 2 * seen);
        let update = Update {
            id: UpdateId::new(SessionId(u128::MAX - session as u128), 100 + number / 32),
            prev: prev.clone(),
            time: Time(1_795_391_067_024_000 + number),
            operation: Operation::Rate {
                user: UserId(600 + session as u32),
                movie: MovieId(1_000 + number as u32),
                rating: Rating::MAX,
            },
        };
        prev.raise(replicas[0], 90_000 + number);
        records.push(Record::new(replicas[0], 90_000 + number, update).expect("it can be"));
    }
    let content = |record: &Record<Operation>| {
        let whole: v1::Update = decode(&update(record.update())).expect("it was just encoded");
        v1::Update {
            prev: None,
            ..whole
        }
        .encoded_len()
    };
    let content: usize = records.iter().map(content).sum();
    let sent = offer(
        &Offer {
            from: replicas[0],
            replica_ts: replicas.map(|id| (id, 99_999)).into_iter().collect(),
            members: replicas.into(),
            ended: vec![],
            records,
            more: false,
            standing: Standing::Joined,
            horizon: Time(1_795_391_067_000_000),
            settled: Time(1_795_391_067_000_000),
        },
        false,
        Time(1_795_391_067_000_000),
    );
    let beside = (sent.encoded_len() - content) as f64 / 1_000.0;
    println!("{beside:.1} bytes beside the content of an update");
    assert!(beside <= 24.0, "{beside}");
}
