//! The reader that works on many blocks at once reads what the one from front to back
//! reads.

use std::{fmt::Write as _, fs};

use backfence_ratings::{Base, Loaded};

const MOVIES: &str = "movieId,title,genres\n1,One,A\n2,Two,A\n700000,Far away,A\n";

/// Of more than one block (4 MiB), with odd rows in between.
fn rows(odd: impl Fn(u32) -> Option<String>) -> String {
    let mut text = String::from("userId,movieId,rating,timestamp\n");
    for user in 1..=200_000 {
        for movie in [1, 2, 700_000] {
            // To write to a string cannot fail.
            let _ = match odd(user).filter(|_| movie == 2) {
                Some(row) => text.write_str(&row),
                None => writeln!(
                    text,
                    "{user},{movie},{}.5,{}",
                    user % 5,
                    1_000_000_000 + user
                ),
            };
        }
    }
    text
}

fn check(text: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (movies, ratings) = (
        folder.path().join("movies.csv"),
        folder.path().join("ratings.csv"),
    );
    fs::write(&movies, MOVIES).expect("it is written");
    fs::write(&ratings, text).expect("it is written");
    let parallel = Base::load(&movies, &ratings, false).expect("good data");
    let serial = Base::read(MOVIES.as_bytes(), text.as_bytes(), false).expect("good data");
    assert!(
        text.len() > 9 << 20,
        "three blocks at least: {}",
        text.len()
    );
    assert_eq!(parallel.base.fingerprint(), serial.base.fingerprint());
    assert!(parallel.base.iter().eq(serial.base.iter()));
    let told = |loaded: &Loaded| -> Vec<String> {
        let first = loaded.skipped.first.iter();
        first
            .map(|row| format!("{}: {}", row.line, row.reason))
            .collect()
    };
    assert_eq!(parallel.skipped.count, serial.skipped.count);
    assert_eq!(told(&parallel), told(&serial));
}

#[test]
fn rows_as_they_should_be() {
    let text = rows(|_| None);
    check(&text);
    check(&text.replace('\n', "\r\n"));
    check(text.trim_end());
    check(&format!("\u{feff}{text}"));
}

#[test]
fn bad_rows_with_their_lines() {
    for every in [3, 9_973] {
        check(&rows(|user| {
            let row = match user / every % 8 {
                0 => format!("{user},2,9.5,1\n"),
                1 => format!("{user},3,4.5,1\n"),
                2 => format!("{user},2,4.5\n\n"),
                3 => format!(" {user} , 2 ,4,\t1\n"),
                4 => format!("{user},2,2.125,-7\n"),
                5 => format!("{user},1,2.5,1\n"),
                6 => format!("99999999999999999999{user},1,2.5,1\n"),
                _ => format!("{user},1,3.0,9000000000\n\r\n"),
            };
            user.is_multiple_of(every).then_some(row)
        }));
    }
}

#[test]
fn rows_in_any_order_with_the_latest_of_several() {
    let text = rows(|user| Some(format!("{},2,1.5,{user}\n", user * 7919 % 150_000)));
    check(&text);
}

#[test]
fn quotes_and_endless_lines() {
    check(&rows(|user| {
        (user == 150_000).then(|| format!("\"{user}\",\"2\",3.0,1\n"))
    }));
    check(&rows(|user| {
        (user == 150_000).then(|| format!("{user},\"2,3.0,1\n"))
    }));
    let long = " ".repeat(100_000);
    check(&rows(|user| {
        (user == 150_000).then(|| format!("{user},2,3.0,{long}1\n"))
    }));
}
