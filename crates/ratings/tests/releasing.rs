//! Tombstones that are let go: nobody sees it.

use std::{collections::BTreeMap, sync::Arc};

use backfence_gossip::{SessionId, Time, UpdateId};
use backfence_ratings::{Base, Cell, MovieId, Rating, Ratings, UserId};
use proptest::prelude::*;

const MOVIES: &str = "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Heat (1995),Crime\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,1\n2,1,3.0,1\n1,2,0.5,1\n";

fn value() -> Ratings {
    let loaded = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true);
    Ratings::new(Arc::new(loaded.expect("every row is good").base))
}

fn write(value: &mut Ratings, user: u32, movie: u32, time: u64, rating: Option<u32>) -> bool {
    let cell = Cell {
        time: Time(time),
        update: UpdateId::new(SessionId(7), time),
        rating: rating.and_then(Rating::from_ten_thousandths),
    };
    value.insert(MovieId(movie), UserId(user), cell)
}

/// All that can be asked, but for the tombstones themselves.
fn shown(value: &Ratings) -> String {
    let movies = [1, 2].map(MovieId);
    let users = (1..=4).map(UserId);
    let viewed = users.flat_map(|user| movies.map(|movie| value.view(user, movie)));
    let viewed: Vec<_> = viewed.collect();
    let averages = movies.map(|movie| value.average(movie));
    let listed = value.list(None, None, usize::MAX);
    let (digest, writes) = (value.digest(), value.writes());
    format!("{viewed:?}\n{averages:?}\n{listed:?}\n{digest:x}\n{writes}")
}

#[test]
fn a_tombstone_stays_where_a_loaded_rating_is_beneath() {
    let mut value = value();
    let before = shown(&value);
    for (user, movie) in [(1, 1), (3, 1), (4, 2), (3, 2)] {
        write(&mut value, user, movie, 5, None);
    }
    // Somebody has rated again, and somebody has taken back later.
    write(&mut value, 4, 2, 6, Some(50_000));
    write(&mut value, 3, 2, 9, None);
    let written = shown(&value);
    assert_ne!(before, written);
    assert_eq!(value.release(Time(5)), []);
    assert_eq!(value.release(Time(6)), [(UserId(3), MovieId(1))]);
    assert_eq!(value.release(Time(9)), []);
    assert_eq!(value.release(Time(10)), [(UserId(3), MovieId(2))]);
    assert_eq!(shown(&value), written);
    assert_eq!(value.cells().count(), 2);
    let cell = value.cell(UserId(1), MovieId(1));
    assert_eq!(cell.map(|cell| cell.rating), Some(None));
    assert_eq!(value.release(Time(u64::MAX)), []);
}

#[test]
fn many_are_let_go_in_parts() {
    let mut value = value();
    for user in 0..5_000 {
        assert!(write(
            &mut value,
            10 + user,
            1,
            1_000 + u64::from(user),
            None
        ));
    }
    let mut released = Vec::new();
    for _ in 0..5 {
        let part = value.release(Time(u64::MAX));
        assert!(part.len() <= 1024);
        released.extend(part);
    }
    // The oldest first.
    let all = (0..5_000).map(|user| (UserId(10 + user), MovieId(1)));
    assert!(released.into_iter().eq(all));
    assert_eq!((value.cells().count(), value.writes()), (0, 0));
    assert_eq!(value, self::value());
}

#[derive(Clone, Debug)]
enum Step {
    Write(u32, u32, u64, Option<u32>),
    Release(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rating = prop_oneof![Just(None), (0..=50_000u32).prop_map(Some)];
    let write = (1..=4u32, 1..=2u32, 0..40u64, rating)
        .prop_map(|(user, movie, time, rating)| Step::Write(user, movie, time, rating));
    let release = (0..40u64).prop_map(Step::Release);
    prop::collection::vec(prop_oneof![4 => write, 1 => release], 0..60)
}

proptest! {
    /// Against one that keeps everything, and a map of what should have gone. As in a
    /// replica, nothing arrives that is dated before what was let go.
    #[test]
    fn what_is_let_go_changes_nothing_that_is_shown(steps in steps()) {
        let (mut here, mut all) = (value(), value());
        let mut model: BTreeMap<(u32, u32), (u64, bool)> = BTreeMap::new();
        let mut settled = 0;
        for step in steps {
            match step {
                Step::Write(user, movie, time, rating) if time >= settled => {
                    // The session's number is the time: one write of each time.
                    let took = write(&mut all, user, movie, time, rating);
                    prop_assert_eq!(write(&mut here, user, movie, time, rating), took);
                    if took {
                        model.insert((user, movie), (time, rating.is_none()));
                    }
                }
                Step::Write(..) => {}
                Step::Release(before) => {
                    settled = settled.max(before);
                    let mut released = here.release(Time(before));
                    released.sort_unstable();
                    let loaded = [(1, 1), (2, 1), (1, 2)];
                    let goes = |at: &(u32, u32), (time, gone): (u64, bool)| {
                        gone && time < before && !loaded.contains(at)
                    };
                    let expected = model.iter().filter(|&(at, &write)| goes(at, write));
                    let expected: Vec<_> = expected
                        .map(|(&(user, movie), _)| (UserId(user), MovieId(movie)))
                        .collect();
                    prop_assert_eq!(released, expected);
                    model.retain(|at, write| !goes(at, *write));
                }
            }
            prop_assert_eq!(shown(&here), shown(&all));
            prop_assert_eq!(&here, &all);
            let cells: Vec<_> = here.cells().map(|(movie, user, _)| (user.0, movie.0)).collect();
            let kept: Vec<_> = model.keys().copied().collect();
            prop_assert_eq!(cells, kept);
        }
        // A copy by its cells, as another replica gets it, lets go of the same.
        let mut copy = value();
        for (movie, user, cell) in here.cells() {
            copy.insert(movie, user, cell);
        }
        prop_assert_eq!(copy.release(Time(u64::MAX)), here.release(Time(u64::MAX)));
        prop_assert_eq!(shown(&copy), shown(&all));
    }
}
