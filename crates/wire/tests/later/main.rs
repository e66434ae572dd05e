//! What a later version has added to an update takes effect as far as it is known here,
//! and is passed on as it came.

mod any;
mod fields;

use std::sync::Arc;

use backfence_gossip::{
    Limits, Message, Offer, Record, Replica, ReplicaId, Scope, SessionId, Time, Timestamp, Update,
    UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use backfence_wire::{
    Bytes, Malformed, Versions, decode, encode, offer, read_offer, read_update, state, update, v1,
};

use crate::fields::Fields;

const ONE: ReplicaId = ReplicaId::new(1, 1);
const TWO: ReplicaId = ReplicaId::new(2, 1);
const THREE: ReplicaId = ReplicaId::new(3, 1);

const USER: UserId = UserId(17);
const MOVIE: MovieId = MovieId(260);
const STARS: u32 = 45_000;
const TIME: Time = Time(1_795_391_067_024_000);

/// A Rate of an Operation.
fn rate() -> Fields {
    let ids = Fields::default().number(1, USER.0.into());
    ids.number(2, MOVIE.0.into()).number(3, STARS.into())
}

/// An Operation of this version.
fn known() -> Fields {
    Fields::default().fields(1, rate())
}

/// The same of a later version: the Rate has a field 9, the Operation a field 15.
fn later() -> Fields {
    let operation = Fields::default().fields(1, rate().number(9, 300));
    operation.bytes(15, b"in the operation")
}

fn id() -> Fields {
    Fields::default().bytes(1, &[7; 16]).number(2, 1)
}

fn numbered(operation: Fields) -> Fields {
    let numbered = Fields::default().fields(1, id()).number(2, TIME.0);
    numbered.fields(3, operation)
}

/// An Update with the fields of a `numbered`.
fn whole(operation: Fields) -> Fields {
    let whole = Fields::default().fields(1, id()).bytes(2, &[]);
    whole.number(3, TIME.0).fields(4, operation)
}

/// Reads an offer of replica 2 with one update, its first.
fn offered(numbered: Fields) -> Result<Offer<Operation>, Malformed> {
    let ids = |list: &[ReplicaId]| list.iter().map(|&id| id.into()).collect();
    let run = v1::Run {
        origin: 0,
        first: 1,
        updates: vec![numbered.0.into()],
    };
    let message = v1::Offer {
        replica_ts: Some((&Timestamp::from_iter([(TWO, 1)])).into()),
        members: ids(&[ONE, TWO, THREE]),
        runs: vec![run],
        named: ids(&[TWO]),
        standing: v1::Standing::Joined.into(),
        ..v1::Offer::default()
    };
    let read = decode(&encode(&message)).expect("it was just encoded");
    read_offer(TWO, read)
}

fn read_one(numbered: Fields) -> Result<Update<Operation>, Malformed> {
    offered(numbered).map(|offer| offer.records[0].update().clone())
}

/// Replica 1 after the offer, which replica 3 has not got.
fn receiver(offered: Offer<Operation>) -> Replica<Ratings> {
    let value = Ratings::new(Arc::new(Base::empty()));
    let mut replica = Replica::new(ONE, value, Limits::default());
    replica.found();
    let mut nothing = replica.report();
    (nothing.from, nothing.members) = (THREE, vec![ONE, TWO, THREE]);
    for offer in [offered, nothing] {
        let received = replica
            .receive(Message::Offer(offer), TIME)
            .expect("it is taken");
        assert_eq!(received.ignored, 0);
    }
    replica
}

/// What replica 1 sends to replica 3, as the bytes of its one update in an offer.
fn relayed(replica: &Replica<Ratings>) -> Bytes {
    let Message::Offer(sent) = replica.message(THREE, Scope::All) else {
        panic!("nothing is discarded");
    };
    let [run] = &offer(&sent, false, TIME).runs[..] else {
        panic!("there is one record");
    };
    run.updates[0].clone()
}

#[test]
fn what_a_later_version_added_is_passed_on_as_it_came() {
    let future = b"from the future";
    let came = numbered(later()).bytes(16, future);
    let replica = receiver(offered(came.clone()).expect("it can be read"));

    assert_eq!(relayed(&replica), came.0);
    let sent = state(&replica.state(), Versions::OWN.newest, TIME);
    let [entry] = &sent.log[..] else {
        panic!("the log has one record");
    };
    let stored = entry.record.clone().expect("an entry has a record");
    assert_eq!(stored.update, whole(later()).bytes(16, future).0);
    let record = replica.record(TWO, 1).expect("it is in the log");
    assert_eq!(v1::Record::from(record), stored);
    assert_eq!(&Record::try_from(stored).expect("it can be read"), record);
}

#[test]
fn what_is_known_takes_effect() {
    let came = numbered(later()).bytes(16, b"from the future");
    let replica = receiver(offered(came).expect("it can be read"));
    assert_eq!(replica.waiting_len(), 0);
    let seen = replica.value().view(USER, MOVIE).expect("it is rated");
    assert_eq!(Some(seen.rating), Rating::from_ten_thousandths(STARS));
    assert_eq!(seen.update, Some(UpdateId::new(session(), 1)));
}

fn session() -> SessionId {
    SessionId(u128::from_be_bytes([7; 16]))
}

/// A retry is the same update only with the same operation.
#[test]
fn what_was_added_to_an_operation_is_in_its_digest() {
    let digest = |came: Fields| {
        let replica = receiver(offered(came).expect("it can be read"));
        let sent = state(&replica.state(), Versions::OWN.newest, TIME);
        sent.executed[0].replies[0].digest.clone()
    };
    let plain = digest(numbered(known()));
    assert_ne!(digest(numbered(later())), plain);
    let other = Fields::default().fields(1, rate().number(9, 301));
    assert_ne!(digest(numbered(other)), digest(numbered(later())));
    // What was added to the update is not what it does.
    assert_eq!(digest(numbered(known()).number(16, 1)), plain);
}

/// A number below 16 is another field in Update than in Numbered.
#[test]
fn a_field_of_one_message_only_is_not_passed_on() {
    for field in 5..16 {
        let came = numbered(later()).number(field, 1).number(17, 2);
        let replica = receiver(offered(came).expect("it can be read"));
        assert_eq!(relayed(&replica), numbered(later()).number(17, 2).0);

        let came = whole(known()).number(field, 1);
        let read = read_update(&came.0.into()).expect("it can be read");
        assert_eq!(update(&read), whole(known()).0);
        assert_eq!(read.operation.later(), None);
    }
}

#[test]
fn more_than_4_kib_is_malformed() {
    let too_much = Malformed("an update has more than 4096 bytes of later versions");
    // Before its content a field of so many bytes has its number and its length.
    let operation = |length: usize| {
        let length = length - known().0.len() - 3;
        known().bytes(15, &vec![1; length])
    };
    let extra = |length: usize| vec![1; length - 4];
    let check = |came: &Fields, expected: Option<Malformed>| {
        assert_eq!(read_one(came.clone()).err(), expected);
    };
    check(&numbered(operation(4096)), None);
    check(&numbered(operation(4097)), Some(too_much));
    let known_len = known().0.len();
    let both = |length| numbered(known()).bytes(16, &extra(length));
    check(&both(4096 - known_len), None);
    check(&both(4097 - known_len), Some(too_much));
    let both = |length| numbered(operation(2000)).bytes(16, &extra(length));
    check(&both(2096), None);
    check(&both(2097), Some(too_much));
    // What is not passed on takes no room.
    check(&numbered(known()).bytes(5, &[1; 5000]), None);
}

#[test]
fn an_operation_of_an_unknown_kind_asks_for_an_upgrade() {
    let kind = Fields::default().bytes(3, b"a kind from the future");
    for operation in [kind.clone(), kind.number(15, 1)] {
        for read in [
            read_one(numbered(operation.clone())),
            read_update(&whole(operation).0.into()),
        ] {
            let Malformed(sentence) = read.expect_err("nobody here knows it");
            assert!(sentence.contains("upgrade this server"), "{sentence}");
        }
    }
}
