//! Ratings under updates: the same everywhere, and exact.

use std::sync::Arc;

use backfence_gossip::{SessionId, Time, Timestamp, Update, UpdateId, Value as _};
use backfence_ratings::{Average, Base, MovieId, Operation, Rating, Ratings, UnknownMovie, UserId};
use proptest::prelude::*;

const MOVIES: &str =
    "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),Crime\n3,Chosen,\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,1\n2,1,3.0,1\n1,2,0.5,1\n";

fn value() -> Ratings {
    let loaded = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true);
    Ratings::new(Arc::new(loaded.expect("every row is good").base))
}

fn rate(user: u32, movie: u32, rating: &str) -> Operation {
    Operation::Rate {
        user: UserId(user),
        movie: MovieId(movie),
        rating: rating.parse().expect("a rating"),
    }
}

fn delete(user: u32, movie: u32) -> Operation {
    Operation::Delete {
        user: UserId(user),
        movie: MovieId(movie),
    }
}

fn update(time: u64, session: u128, operation: Operation) -> Update<Operation> {
    Update {
        id: UpdateId::new(SessionId(session), time),
        prev: Timestamp::new(),
        time: Time(time),
        operation,
    }
}

fn viewed(value: &Ratings, user: u32, movie: u32) -> Option<String> {
    let rating = value.view(UserId(user), MovieId(movie))?.rating;
    Some(rating.to_string())
}

fn average(value: &Ratings, movie: u32) -> Option<(f64, u64)> {
    let Average { average, ratings } = value.average(MovieId(movie))?;
    Some((average, ratings))
}

#[test]
fn a_view_says_where_the_rating_comes_from() {
    let mut value = value();
    let (user, movie) = (UserId(1), MovieId(1));
    assert_eq!(value.view(user, movie).unwrap().update, None);
    let update = update(10, 7, rate(1, 1, "2.25"));
    value.apply(&update);
    let seen = value.view(user, movie).unwrap();
    assert_eq!(
        (seen.rating.to_string().as_str(), seen.update),
        ("2.25", Some(update.id))
    );
    assert_eq!(value.view(UserId(9), movie), None);
}

#[test]
fn averages_follow_every_write_exactly() {
    let mut value = value();
    let steps = [
        (rate(3, 1, "5"), Some((4.0, 3))),
        (rate(3, 1, "3.5"), Some((3.5, 3))),
        (delete(1, 1), Some((3.25, 2))),
        (delete(1, 1), Some((3.25, 2))),
        (delete(9, 1), Some((3.25, 2))),
        (rate(1, 1, "0.1"), Some((2.2, 3))),
    ];
    for (time, (operation, expected)) in (1..).zip(steps) {
        value.apply(&update(time, 1, operation.clone()));
        assert_eq!(average(&value, 1), expected, "{operation:?}");
    }
    assert_eq!(average(&value, 2), Some((0.5, 1)));
}

#[test]
fn b6_concurrent_updates_have_the_same_winner_everywhere() {
    let updates = [
        update(5, 1, rate(1, 1, "1")),
        update(5, 2, rate(1, 1, "2")),
        update(4, 3, delete(1, 1)),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut value = value();
        order.iter().for_each(|&at| value.apply(&updates[at]));
        assert_eq!(viewed(&value, 1, 1).as_deref(), Some("2.0"), "{order:?}");
        assert_eq!(average(&value, 1), Some((2.5, 2)), "{order:?}");
    }
}

#[test]
fn b6_a_late_older_rating_stays_deleted() {
    let mut value = value();
    value.apply(&update(9, 1, delete(1, 1)));
    value.apply(&update(8, 2, rate(1, 1, "5")));
    assert_eq!(viewed(&value, 1, 1), None);
    assert_eq!(average(&value, 1), Some((3.0, 1)));
}

#[test]
fn b14_a_movie_without_any_rating_left_has_no_average() {
    let mut value = value();
    value.apply(&update(1, 1, delete(1, 2)));
    assert_eq!(average(&value, 2), None);
    value.apply(&update(2, 1, rate(2, 2, "0")));
    assert_eq!(average(&value, 2), Some((0.0, 1)));
}

#[test]
fn b28_a_movie_without_ratings_is_found_and_rated() {
    let mut value = value();
    assert_eq!((average(&value, 3), viewed(&value, 1, 3)), (None, None));
    let operation = rate(1, 3, "4.5");
    assert_eq!(value.check(&operation), Ok(()));
    value.apply(&update(1, 1, operation));
    assert_eq!(viewed(&value, 1, 3).as_deref(), Some("4.5"));
    assert_eq!(average(&value, 3), Some((4.5, 1)));
}

#[test]
fn b29_an_operation_on_an_unknown_movie_is_refused() {
    for operation in [rate(1, 4, "3"), delete(1, 4)] {
        let refused = value().check(&operation);
        assert_eq!(refused, Err(UnknownMovie(MovieId(4))));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("no movie with the id 4"), "{message}");
    }
}

#[test]
fn values_over_other_data_differ() {
    let other = Ratings::new(Arc::new(Base::empty()));
    assert_ne!(value(), other);
    assert_eq!(value(), value());
}

fn operations() -> impl Strategy<Value = Operation> {
    // Movie 4 is unknown: even that must converge, should it ever get in.
    (1..4u32, 1..5u32, prop::option::of(0..=50_000u32)).prop_map(|(user, movie, rating)| {
        let (user, movie) = (UserId(user), MovieId(movie));
        match rating.and_then(Rating::from_ten_thousandths) {
            Some(rating) => Operation::Rate {
                user,
                movie,
                rating,
            },
            None => Operation::Delete { user, movie },
        }
    })
}

/// Updates whose times often agree, so that ids decide.
fn updates() -> impl Strategy<Value = Vec<Update<Operation>>> {
    prop::collection::vec((0..6u64, operations()), 0..24).prop_map(|list| {
        let numbered = (1..).zip(list);
        numbered
            .map(|(session, (time, operation))| update(time, session, operation))
            .collect()
    })
}

fn applied<'a>(updates: impl IntoIterator<Item = &'a Update<Operation>>) -> Ratings {
    let mut value = value();
    updates.into_iter().for_each(|update| value.apply(update));
    value
}

#[test]
fn digests_differ_where_values_do() {
    let digest = |updates: &[Update<Operation>]| applied(updates).digest();
    let (first, second) = (update(1, 7, rate(1, 1, "2")), update(2, 7, delete(1, 1)));
    let both = [first.clone(), second.clone()];
    let nothing = digest(&[]);
    // On any machine.
    assert_eq!(nothing, value().digest());
    let all = [
        nothing,
        digest(&both),
        digest(&both[..1]),
        digest(&[update(2, 7, delete(1, 2))]),
        digest(&[update(2, 7, delete(2, 1))]),
        digest(&[update(2, 8, delete(1, 1))]),
        digest(&[update(2, 7, rate(1, 1, "2"))]),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(digest(&both), digest(&[second, first]));
}

proptest! {
    #[test]
    fn b6_any_order_of_the_same_updates_gives_the_same_value(
        (updates, shuffled) in updates().prop_flat_map(|updates| {
            (Just(updates.clone()), Just(updates).prop_shuffle())
        })
    ) {
        prop_assert_eq!(applied(&updates), applied(&shuffled));
    }

    #[test]
    fn b6_merging_is_applying_what_either_has(
        all in updates(), cut in 0..24usize, overlap in 0..24usize
    ) {
        let cut = cut.min(all.len());
        let (left, right) = (&all[..cut], &all[cut.saturating_sub(overlap)..]);
        let mut merged = applied(left);
        merged.merge(applied(right));
        prop_assert_eq!(&merged, &applied(&all));
        let mut other_way = applied(right);
        other_way.merge(applied(left));
        prop_assert_eq!(&merged, &other_way);
        merged.merge(other_way.clone());
        prop_assert_eq!(&merged, &other_way);
    }

    #[test]
    fn cells_carry_the_whole_value(all in updates()) {
        let value = applied(&all);
        let mut copy = self::value();
        for (movie, user, cell) in value.cells() {
            prop_assert!(copy.insert(movie, user, cell));
            prop_assert!(!copy.insert(movie, user, cell));
        }
        prop_assert_eq!(copy, value);
    }

    #[test]
    fn averages_are_those_of_the_ratings_that_one_sees(all in updates()) {
        let value = applied(&all);
        for movie in (1..=4).map(MovieId) {
            let seen: Vec<_> = (1..=3)
                .filter_map(|user| value.view(UserId(user), movie))
                .map(|seen| u64::from(seen.rating.ten_thousandths()))
                .collect();
            let count = seen.len() as u64;
            let expected = (count > 0).then(|| Average {
                average: seen.iter().sum::<u64>() as f64 / (count * 10_000) as f64,
                ratings: count,
            });
            prop_assert_eq!(value.average(movie), expected);
        }
    }
}
