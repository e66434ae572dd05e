//! The same of any fields that a later version may have added.

use backfence_gossip::{Offer, Record, Standing, Time, Timestamp};
use backfence_ratings::Ratings;
use backfence_wire::{Bytes, decode, encoded_len, offer, read_offer, read_update, update, v1};
use proptest::prelude::*;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::{TIME, TWO, fields::Fields, id};

/// A field of a number from `first` on.
fn field(first: u32) -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![
        any::<u64>().prop_map(|value| (WireType::Varint, varint(value))),
        any::<[u8; 8]>().prop_map(|value| (WireType::SixtyFourBit, value.to_vec())),
        any::<[u8; 4]>().prop_map(|value| (WireType::ThirtyTwoBit, value.to_vec())),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|value| {
            let length = varint(value.len() as u64);
            (WireType::LengthDelimited, [length, value].concat())
        }),
    ];
    let number = prop_oneof![first..first + 20, first..1 << 29];
    (number, content).prop_map(|(number, (kind, content))| {
        let mut field = Vec::new();
        encode_key(number, kind, &mut field);
        field.extend(content);
        field
    })
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint(value, &mut bytes);
    bytes
}

/// Fields among others, in any order.
fn among(known: Vec<Vec<u8>>, first: u32) -> impl Strategy<Value = Fields> {
    let unknown = prop::collection::vec(field(first), 0..4);
    let all = unknown.prop_map(move |unknown| [known.clone(), unknown].concat());
    all.prop_shuffle().prop_map(|all| Fields(all.concat()))
}

/// Operations with any fields of later versions. Fields may be there that have their
/// default, and so need not be.
fn operations() -> impl Strategy<Value = Fields> {
    let of = (any::<u32>(), any::<u32>(), 0..=50_000_u32, 1..=2_u32);
    of.prop_flat_map(|(user, movie, rating, kind)| {
        let mut known = vec![(1, user), (2, movie)];
        known.extend((kind == 1).then_some((3, rating)));
        let known = known.into_iter();
        let known = known.map(|(field, value)| Fields::default().number(field, value.into()).0);
        among(known.collect(), 4).prop_map(move |of| Fields::default().fields(kind, of).0)
    })
    .prop_flat_map(|kind| among(vec![kind], 3))
}

fn updates() -> impl Strategy<Value = Fields> {
    operations().prop_flat_map(|operation| {
        let known = [
            Fields::default().fields(1, id()),
            Fields::default().number(3, TIME.0),
            Fields::default().fields(4, operation),
        ];
        among(known.map(|field| field.0).into(), 5)
    })
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_alike(came in updates()) {
        let came = Bytes::from(came.0);
        let read = read_update(&came).expect("it is well-formed");
        let written = update(&read);
        prop_assert_eq!(read_update(&written), Ok(read.clone()));
        prop_assert_eq!(update(&read), &written);
        // Fields that are known may come in another order.
        let sorted = |update: Bytes| {
            let update: v1::Update = decode(&update).expect("it was read");
            let mut operation = update.operation.to_vec();
            operation.sort_unstable();
            operation
        };
        prop_assert_eq!(sorted(written), sorted(came));
    }

    #[test]
    fn it_survives_an_offer_and_is_no_longer_than_the_core_reckons(came in updates()) {
        let update = read_update(&came.0.into()).expect("it is well-formed");
        let record = Record::new(TWO, 1, update).expect("it depends on nothing");
        let sent = Offer {
            from: TWO,
            replica_ts: Timestamp::new(),
            members: vec![],
            ended: vec![],
            records: vec![record.clone()],
            more: false,
            standing: Standing::New,
            horizon: Time(0),
            settled: Time(0),
        };
        let message = offer(&sent, false, Time(0));
        let reckoned = record.size::<Ratings>();
        prop_assert!(encoded_len(&message) <= reckoned);
        prop_assert!(encoded_len(&v1::Record::from(&record)) <= reckoned);
        prop_assert_eq!(read_offer(TWO, message), Ok(sent));
    }
}
