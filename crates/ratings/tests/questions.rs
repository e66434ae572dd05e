//! Lists, rankings, searches and tags, over loaded data and updates.

use std::{fs, sync::Arc};

use backfence_gossip::{SessionId, Time, Timestamp, Update, UpdateId, Value as _};
use backfence_ratings::{Base, Movie, MovieId, Operation, Ratings, Search, UserId};
use proptest::prelude::*;

const MOVIES: &str = "movieId,title,genres
1,Toy Story (1995),Animation|Children
2,\"Matrix, The (1999)\",Action|Sci-Fi
3,Matrix Reloaded (2003),Action|Sci-Fi
4,Seven (a.k.a. Se7en) (1995),Thriller
5,Babylon 5,Sci-Fi
7,Terminator (1984),Action|Sci-Fi
";
const RATINGS: &str = "userId,movieId,rating,timestamp
1,1,4.0,100
1,2,3.0,90
3,1,5.0,80
3,7,5.0,70
4,1,4.5,0
";

fn value() -> Ratings {
    let loaded = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true).unwrap();
    Ratings::new(Arc::new(loaded.base))
}

fn write(value: &mut Ratings, seconds: u64, user: u32, movie: u32, rating: Option<&str>) {
    let (user, movie) = (UserId(user), MovieId(movie));
    let operation = match rating {
        Some(rating) => Operation::Rate {
            user,
            movie,
            rating: rating.parse().unwrap(),
        },
        None => Operation::Delete { user, movie },
    };
    value.apply(&Update {
        id: UpdateId::new(SessionId(7), seconds),
        prev: Timestamp::new(),
        time: Time(seconds * 1_000_000),
        operation,
    });
}

/// The whole list, page by page.
fn listed(value: &Ratings, user: Option<u32>, limit: usize) -> Vec<(u32, u32, String, u64)> {
    let mut all: Vec<(u32, u32, String, u64)> = Vec::new();
    loop {
        let after = all.last().map(|last| (UserId(last.0), MovieId(last.1)));
        let (page, more) = value.list(user.map(UserId), after, limit);
        assert!(page.len() <= limit && (!more || page.len() == limit));
        let plain = page
            .iter()
            .map(|r| (r.user.0, r.movie.0, r.rating.to_string(), r.seconds));
        all.extend(plain);
        if !more {
            return all;
        }
    }
}

#[test]
fn a_list_shows_what_a_view_shows() {
    let mut value = value();
    write(&mut value, 200, 1, 1, Some("2"));
    write(&mut value, 201, 3, 7, None);
    write(&mut value, 202, 0, 5, Some("0.5"));
    write(&mut value, 203, 1, 3, Some("1"));
    write(&mut value, 204, 9, 1, Some("3"));
    let row = |user, movie, rating: &str, seconds| (user, movie, rating.to_owned(), seconds);
    let all = [
        row(0, 5, "0.5", 202),
        row(1, 1, "2.0", 200),
        row(1, 2, "3.0", 90),
        row(1, 3, "1.0", 203),
        row(3, 1, "5.0", 80),
        row(4, 1, "4.5", 0),
        row(9, 1, "3.0", 204),
    ];
    for limit in 1..9 {
        assert_eq!(listed(&value, None, limit), all);
        for user in 0..10 {
            let expected: Vec<_> = all.iter().filter(|row| row.0 == user).cloned().collect();
            assert_eq!(
                listed(&value, Some(user), limit),
                expected,
                "{user} {limit}"
            );
        }
    }
}

#[test]
fn the_top_is_by_average_then_by_number() {
    let mut value = value();
    let check = |value: &Ratings, genre: &str, least: u64, expected: &[(u32, f64, u64)]| {
        let found: Vec<_> = value
            .top(genre, least, 100)
            .iter()
            .map(|ranked| {
                (
                    ranked.movie.id.0,
                    ranked.average.average,
                    ranked.average.ratings,
                )
            })
            .collect();
        assert_eq!(found, expected, "{genre} {least}");
        let two: Vec<_> = value
            .top(genre, least, 2)
            .iter()
            .map(|r| r.movie.id.0)
            .collect();
        let first: Vec<_> = expected.iter().take(2).map(|row| row.0).collect();
        assert_eq!(two, first);
    };
    check(&value, "", 0, &[(7, 5.0, 1), (1, 4.5, 3), (2, 3.0, 1)]);
    check(&value, "", 2, &[(1, 4.5, 3)]);
    check(&value, "scifi", 1, &[(7, 5.0, 1), (2, 3.0, 1)]);
    check(&value, "SCI FI", 1, &[(7, 5.0, 1), (2, 3.0, 1)]);
    check(&value, "nothing", 1, &[]);
    write(&mut value, 200, 3, 7, None);
    write(&mut value, 201, 5, 2, Some("3"));
    write(&mut value, 202, 5, 3, Some("3"));
    check(&value, "sci-fi", 0, &[(2, 3.0, 2), (3, 3.0, 1)]);
}

#[test]
fn searches() {
    let value = value();
    let check = |text: &str, genre: &str, year: Option<u16>, near: bool, expected: &[u32]| {
        let search = Search { text, genre, year };
        let found = value.catalogue().search(&search, 100);
        let ids: Vec<_> = found.movies.iter().map(|movie| movie.id.0).collect();
        assert_eq!((found.near, ids.as_slice()), (near, expected), "{search:?}");
        assert_eq!(found.total, expected.len());
        let one = value.catalogue().search(&search, 1);
        assert_eq!(
            (one.movies.len(), one.total),
            (expected.len().min(1), expected.len())
        );
    };
    check("matrix", "", None, false, &[2, 3]);
    check("MATR", "", None, false, &[2, 3]);
    check("rel mat", "", None, false, &[3]);
    check("the matrix", "", Some(2003), false, &[3]);
    check("", "sci-fi", None, false, &[2, 3, 5, 7]);
    check("", "", Some(1995), false, &[1, 4]);
    check("se7en", "", None, false, &[4]);
    check("temrinator", "", None, true, &[7]);
    check("temrinator", "children", None, true, &[]);
    check("zzzz", "", None, true, &[]);
    check("???", "", None, true, &[]);
    check(&"x".repeat(513), "", None, false, &[]);
}

#[test]
fn titles_go_on_where_they_stopped() {
    let value = value();
    let after = |id: Option<u32>| -> Vec<u32> {
        let rest = value.catalogue().after(id.map(MovieId));
        rest.map(|movie: &Movie| movie.id.0).collect()
    };
    assert_eq!(after(None), [1, 2, 3, 4, 5, 7]);
    assert_eq!(after(Some(5)), [7]);
    assert_eq!(after(Some(6)), [7]);
    assert_eq!(after(Some(7)), [0; 0]);
}

#[test]
fn tags_are_loaded_from_beside_the_movies() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (movies, ratings) = (file("movies.csv", MOVIES), file("ratings.csv", RATINGS));
    let load = |strict| Base::load(&movies, &ratings, strict);
    let without = load(true).unwrap().base;
    assert_eq!(without.tags(MovieId(1)).count(), 0);
    assert_eq!(without.fingerprint(), value().base().fingerprint());

    let long = "x".repeat(Base::LONGEST_TAG + 1);
    let rows = format!(
        "userId,movieId,tag,timestamp\n1,1,Pixar,1\n2,1,fun,1\n2,1,pixar,1\n1,1,PIXAR,2\n\
         1,7,\"robots, time\",1\n1,6,unknown,1\n1,1, ,1\n1,1,{long},1\n1,1,a\u{1b}b,1\n"
    );
    file("tags.csv", &rows);
    let loaded = load(false).unwrap();
    let tags = |movie| loaded.base.tags(MovieId(movie)).collect::<Vec<_>>();
    assert_eq!(tags(1), [("Pixar", 2), ("fun", 1)]);
    assert_eq!(tags(7), [("robots, time", 1)]);
    assert_eq!((tags(2), tags(6)), (vec![], vec![]));
    assert_ne!(loaded.base.fingerprint(), without.fingerprint());
    let reasons: Vec<_> = loaded
        .skipped
        .first
        .iter()
        .map(|row| row.reason.as_str())
        .collect();
    let expected = [
        "there is no movie 6 in the movies file",
        "the tag is blank",
        "the tag is longer than 200 bytes",
        "the tag has control characters",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(loaded.skipped.first[0].line, 7);
    let error = load(true).unwrap_err().to_string();
    assert!(error.contains("tags.csv:7: "), "{error}");
}

proptest! {
    #[test]
    fn pages_join_to_the_whole(
        writes in prop::collection::vec((0..5_u32, prop::sample::select(vec![1, 2, 3, 7_u32]), any::<bool>()), 0..30),
        limit in 1..5_usize,
    ) {
        let mut value = value();
        for (seconds, (user, movie, given)) in (1..).zip(writes) {
            write(&mut value, seconds, user, movie, given.then_some("2.5"));
        }
        let mut expected = Vec::new();
        for user in 0..6 {
            for movie in value.catalogue().iter() {
                if let Some(seen) = value.view(UserId(user), movie.id) {
                    expected.push((user, movie.id.0, seen.rating.to_string()));
                }
            }
        }
        let found = listed(&value, None, limit).into_iter();
        let found: Vec<_> = found.map(|(user, movie, rating, _)| (user, movie, rating)).collect();
        prop_assert_eq!(found, expected);
    }
}
