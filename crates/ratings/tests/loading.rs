//! Files in MovieLens format, good and bad.

use std::{fs, path::Path};

use backfence_ratings::{Base, LoadError, Loaded, MovieId, Skipped, UserId};
use proptest::prelude::*;

const MOVIES: &str =
    "movieId,title,genres\n1,Toy Story (1995),Comedy\n7,\"Matrix, The (1999)\",Action|Sci-Fi\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,100\n1,7,0.5,100\n2,1,3.5,100\n";

fn load(movies: &[u8], ratings: &[u8]) -> Loaded {
    Base::read(movies, ratings, false).expect("headers are right")
}

fn rating(base: &Base, user: u32, movie: u32) -> Option<String> {
    let rating = base.rating(UserId(user), MovieId(movie))?;
    Some(rating.to_string())
}

#[test]
fn good_files_load_whole() {
    let Loaded { base, skipped } = load(MOVIES.as_bytes(), RATINGS.as_bytes());
    assert_eq!(skipped, Skipped::default());
    assert_eq!((base.catalogue().len(), base.len()), (2, 3));
    let found: Vec<_> = base
        .iter()
        .map(|(movie, user, _)| (movie.0, user.0))
        .collect();
    assert_eq!(found, [(1, 1), (7, 1), (1, 2)]);
    assert_eq!(rating(&base, 2, 1).as_deref(), Some("3.5"));
    assert_eq!(rating(&base, 2, 7), None);
    assert_eq!(rating(&base, 1, 2), None);
    let total = base.total(MovieId(1));
    assert_eq!((total.sum, total.count), (75_000, 2));
    assert_eq!(base.total(MovieId(2)).count, 0);
}

#[test]
fn dialects_of_csv_are_read() {
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let padded = RATINGS.replace("2,1,3.5,100\n", "\n 2 , 1 , 3.5 , 100");
    let expected = load(MOVIES.as_bytes(), RATINGS.as_bytes())
        .base
        .fingerprint();
    for (movies, ratings) in [
        (windows(MOVIES), windows(RATINGS)),
        (MOVIES.to_owned(), padded),
    ] {
        let loaded = load(movies.as_bytes(), ratings.as_bytes());
        assert_eq!(loaded.skipped, Skipped::default());
        assert_eq!(loaded.base.fingerprint(), expected);
    }
}

/// Each row is skipped and named with its line; the row after it still loads; and
/// strictly it is an error that says the same.
fn check_bad_row(file: &str, row: &[u8], reason: &str) {
    let (mut movies, mut ratings) = (MOVIES.as_bytes().to_vec(), RATINGS.as_bytes().to_vec());
    let (bad, line, last) = match file {
        "movies.csv" => (&mut movies, 4, "\n9,Heat (1995),Crime\n"),
        _ => (&mut ratings, 5, "\n9,7,5,100\n"),
    };
    bad.extend_from_slice(row);
    bad.extend_from_slice(last.as_bytes());

    let Loaded { base, skipped } = load(&movies, &ratings);
    let expected = format!("{file}:{line}: {reason}");
    assert_eq!(skipped.count, 1, "{expected}");
    assert_eq!(skipped.first[0].to_string(), expected);
    let last_row = (base.catalogue().len(), base.len());
    assert!(
        matches!(last_row, (3, 3) | (2, 4)),
        "{expected}: {last_row:?}"
    );

    let error = Base::read(&*movies, &*ratings, true).expect_err(&expected);
    assert!(matches!(error, LoadError::Row(_)));
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn b30_bad_ratings_are_skipped_and_named_with_their_line() {
    for (row, reason) in [
        (
            &b"1,999,4.0,100"[..],
            "there is no movie 999 in the movies file",
        ),
        (b"3,1,5.5,100", "rating `5.5`: ratings go from 0 to 5"),
        (b"3,1,-1,100", "rating `-1`: ratings go from 0 to 5"),
        (
            b"3,1,x,100",
            "rating `x`: a rating is a plain number from 0 to 5, such as 4 or 4.5",
        ),
        (
            b"3,1,1.23456,100",
            "rating `1.23456`: a rating has at most four decimals",
        ),
        (
            b"three,1,4,100",
            "userId `three` is not a whole number in range",
        ),
        (
            b"3,99999999999,4,100",
            "movieId `99999999999` is not a whole number in range",
        ),
        (
            b"3,1,4,\x1b[2J",
            "timestamp `\u{fffd}[2J` is not a whole number of seconds from 1970 to 2106",
        ),
        (
            b"3,1,4,964982703000",
            "timestamp `964982703000` is not a whole number of seconds from 1970 to 2106",
        ),
        (
            b"3,1,4,4294967296",
            "timestamp `4294967296` is not a whole number of seconds from 1970 to 2106",
        ),
        (
            b"3,1,4,-86400",
            "timestamp `-86400` is not a whole number of seconds from 1970 to 2106",
        ),
        (b"3,1,4", "3 columns instead of 4"),
        (b",,,", "userId `` is not a whole number in range"),
        (b"3,1,4,100,", "5 columns instead of 4"),
        (b"3,1,4,\"100", "a quote is not closed in this line"),
        (b"\"3,1,4,100", "a quote is not closed in this line"),
        (b"3,1,\xff,100", "not UTF-8"),
    ] {
        check_bad_row("ratings.csv", row, reason);
    }
}

#[test]
fn bad_movies_are_skipped_and_named_with_their_line() {
    let long = format!("3,{},Drama", "x".repeat(513));
    for (row, reason) in [
        (
            &b"1,Twelve Monkeys (1995),Drama"[..],
            "movie 1 stands in the file already",
        ),
        (
            b"x,Title,Drama",
            "movieId `x` is not a whole number in range",
        ),
        (
            b"-3,Title,Drama",
            "movieId `-3` is not a whole number in range",
        ),
        (b"3,Title", "2 columns instead of 3"),
        (b"3,Comma, here,Drama", "4 columns instead of 3"),
        (b"3,\"Title,Drama", "a quote is not closed in this line"),
        (b"3,\xc3\x28,Drama", "not UTF-8"),
        (b"3, ,Drama", "the movie has no title"),
        (b"3,Be\x07ll,Drama", "the title has control characters"),
        (long.as_bytes(), "the title is longer than 512 bytes"),
    ] {
        check_bad_row("movies.csv", row, reason);
    }
}

#[test]
fn of_ratings_given_twice_the_latest_counts() {
    for (again, counts, skipped) in [
        (
            "1,1,2.0,101",
            "2.0",
            "ratings.csv:2: user 1 rates movie 1 again in line 5, which counts",
        ),
        (
            "1,1,2.0,100",
            "2.0",
            "ratings.csv:2: user 1 rates movie 1 again in line 5, which counts",
        ),
        (
            "1,1,2.0,99",
            "4.0",
            "ratings.csv:5: user 1 rates movie 1 again in line 2, which counts",
        ),
    ] {
        let ratings = format!("{RATINGS}{again}\n");
        let loaded = load(MOVIES.as_bytes(), ratings.as_bytes());
        assert_eq!(rating(&loaded.base, 1, 1).as_deref(), Some(counts));
        assert_eq!((loaded.base.len(), loaded.skipped.count), (3, 1));
        assert_eq!(loaded.skipped.first[0].to_string(), skipped);
    }
}

#[test]
fn all_bad_rows_are_counted_and_some_kept() {
    let ratings = format!("{RATINGS}{}", "1,2,3\n".repeat(500));
    let Skipped { count, first } = load(MOVIES.as_bytes(), ratings.as_bytes()).skipped;
    assert_eq!((count, first.len()), (500, Skipped::SHOWN));
    assert_eq!(first[9].line, 14);
}

#[test]
fn lines_are_counted_as_an_editor_does() {
    let ratings = format!("{RATINGS}\n\r\n\n1,999,4,1\n\"x\n\",1,4,1\n3,1,9,1\n3,1,\"4\n");
    let skipped = load(MOVIES.as_bytes(), ratings.as_bytes()).skipped;
    let lines: Vec<_> = skipped.first.iter().map(|row| row.line).collect();
    assert_eq!(lines, [8, 9, 10, 11, 12], "{skipped:?}");
}

/// A file of which nothing is left is the wrong one; one without rows is just empty.
#[test]
fn files_without_a_good_row_are_refused() {
    let check = |movies: &str, ratings: &str, tags: &str, says: Option<&str>| {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, header: &str, rows: &str| {
            let path = dir.path().join(name);
            fs::write(&path, format!("{header}\n{rows}")).unwrap();
            path
        };
        let movies = write("movies.csv", "movieId,title,genres", movies);
        let ratings = write("ratings.csv", "userId,movieId,rating,timestamp", ratings);
        write("tags.csv", "userId,movieId,tag,timestamp", tags);
        let said = Base::load(&movies, &ratings, false).err();
        let said = said.map(|error| error.to_string().replace(dir.path().to_str().unwrap(), "."));
        assert_eq!(said.as_deref(), says);
    };
    check("", "", "", None);
    check(
        "1,One,\n",
        "1,1,4,1\n1,2,4,1\n",
        "1,1,good,1\n1,1, ,1\n",
        None,
    );
    check(
        "\n1;One;\n2;Two;\n",
        "1,1,4,1\n",
        "",
        Some(
            "no row of ./movies.csv makes sense: 2 skipped, the first is ./movies.csv:3: \
             1 columns instead of 3; is it the right file?",
        ),
    );
    check(
        "1,One,\n",
        "1,1,4,1,\n",
        "",
        Some(
            "no row of ./ratings.csv makes sense: 1 skipped, the first is ./ratings.csv:2: \
             5 columns instead of 4; is it the right file?",
        ),
    );
    check(
        "1,One,\n",
        "1,1,4,1\n",
        "1,9,good,1\n1,1,,1\n",
        Some(
            "no row of ./tags.csv makes sense: 2 skipped, the first is ./tags.csv:2: \
             there is no movie 9 in the movies file; is it the right file?",
        ),
    );
}

#[test]
fn wrong_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let movies = write("movies.csv", MOVIES);
    let ratings = write("ratings.csv", RATINGS);
    let empty = write("empty.csv", "");
    let absent = dir.path().join("absent.csv");
    assert!(Base::load(&movies, &ratings, true).is_ok());

    let message = |movies: &Path, ratings: &Path| {
        let error = Base::load(movies, ratings, false).expect_err("a wrong file");
        error.to_string()
    };
    for (message, file, says) in [
        (message(&absent, &ratings), "absent.csv", "cannot open"),
        (message(&movies, &absent), "absent.csv", "cannot open"),
        (message(dir.path(), &ratings), "", "cannot"),
        (
            message(&ratings, &movies),
            "ratings.csv",
            "instead of `movieId,title,genres`",
        ),
        (
            message(&movies, &empty),
            "empty.csv",
            "begins with `` instead of `userId,",
        ),
    ] {
        assert!(
            message.contains(file) && message.contains(says),
            "{message}"
        );
    }
}

#[test]
fn the_fingerprint_tells_what_was_loaded() {
    let fingerprint = |movies: &str, ratings: &str| {
        let loaded = load(movies.as_bytes(), ratings.as_bytes());
        loaded.base.fingerprint()
    };
    let original = fingerprint(MOVIES, RATINGS);
    // Fixed for ever: replicas of different versions and machines compare it.
    assert_eq!(original, "c134ed3eb12c7772cda93e62839d1045");
    let shuffled = "userId,movieId,rating,timestamp\n2,1,3.5,7\n1,7,0.50,8\n1,1,4,9\n";
    assert_eq!(fingerprint(MOVIES, shuffled), original);
    for (movies, ratings) in [
        (MOVIES.replace("Toy Story", "Toy Storx"), RATINGS.to_owned()),
        (MOVIES.replace("1995", "1996"), RATINGS.to_owned()),
        (
            MOVIES.replace("Action|Sci-Fi", "ActionSci-Fi"),
            RATINGS.to_owned(),
        ),
        (format!("{MOVIES}8,Heat (1995),Crime\n"), RATINGS.to_owned()),
        (MOVIES.to_owned(), RATINGS.replace("3.5", "3.6")),
        (MOVIES.to_owned(), RATINGS.replace("2,1,3.5", "3,1,3.5")),
        (MOVIES.to_owned(), format!("{RATINGS}2,7,3.5,100\n")),
    ] {
        assert_ne!(
            fingerprint(&movies, &ratings),
            original,
            "{movies}{ratings}"
        );
    }
    assert_ne!(Base::empty().fingerprint(), original);
}

/// Bytes that are mostly made of what a CSV reader may stumble over.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        &b"1"[..],
        b"7",
        b",",
        b",",
        b"\n",
        b"\n",
        b"\r",
        b"\"",
        b"4.0",
        b"(1995)",
        b"\xff",
        b"\xc3",
        b"\0",
        b" ",
        b"-",
        b"(",
        b")",
        b", The",
        b"|",
        b"99999999999999999999",
    ]);
    let tokens = prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat());
    prop_oneof![tokens, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn no_bytes_panic(movies in bytes(), ratings in bytes()) {
        let _ = Base::read(&*movies, &*ratings, false);
        let after = |text: &str, bytes: &[u8]| [text.as_bytes(), bytes].concat();
        let movies = after(MOVIES, &movies);
        let ratings = after(RATINGS, &ratings);
        let loaded = load(&movies, &ratings);
        prop_assert!(loaded.base.catalogue().len() >= 2 && loaded.base.len() >= 3);
        for movie in loaded.base.catalogue().iter() {
            let found = format!("{:?}", loaded.base.catalogue().resolve(&movie.to_string()));
            let id = format!("{:?}", movie.id);
            prop_assert!(found.contains(&id) && !found.starts_with("Unknown"), "{}", found);
        }
        let strict = Base::read(&*movies, &*ratings, true);
        prop_assert_eq!(strict.is_ok(), loaded.skipped.count == 0);
    }
}
