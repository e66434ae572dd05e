//! The data set of this project: what it promises, and that it is what its
//! generator makes.

use std::{fs, path::PathBuf, sync::Arc};

use backfence_ratings::{Base, MovieId, Ratings, Resolution, Skipped, UserId};

#[path = "../examples/make_data/generate.rs"]
mod generate;

fn file(name: &str) -> PathBuf {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data");
    data.join(name)
}

fn load() -> Ratings {
    let loaded = Base::load(&file("movies.csv"), &file("ratings.csv"), true);
    let loaded = loaded.expect("the set has no bad row");
    assert_eq!(loaded.skipped, Skipped::default());
    Ratings::new(Arc::new(loaded.base))
}

#[test]
fn generating_it_again_gives_the_same_bytes() {
    let titles = fs::read_to_string(file("titles.txt")).unwrap();
    let movies = generate::parse(&titles).unwrap();
    let advice = "run `cargo run -p backfence-ratings --example make_data`";
    let same = |name, made: String| fs::read_to_string(file(name)).unwrap() == made;
    assert!(
        same("movies.csv", generate::movies_csv(&movies)),
        "{advice}"
    );
    assert!(
        same("ratings.csv", generate::ratings_csv(&movies)),
        "{advice}"
    );
}

#[test]
fn a_bad_title_line_is_named() {
    for line in ["Heat", "Heat|later|Crime", "Heat|1995|Crime|often", ""] {
        let error = generate::parse(&format!("# Comment\nToy Story|1995|\n{line}\n"));
        let expected = Some(format!("titles.txt:3: {line}"));
        assert_eq!(error.err(), expected);
    }
}

#[test]
fn the_walk_through_works_at_once() {
    let value = load();
    let Resolution::Found(movie) = value.catalogue().resolve("Toy Story") else {
        panic!("there is one Toy Story");
    };
    assert_eq!((movie.id, movie.year), (MovieId(1), Some(1995)));
    let genres = "Adventure|Animation|Children|Comedy|Fantasy";
    assert_eq!(movie.genres.join("|"), genres);
    let seen = value.view(UserId(1), movie.id).expect("user 1 rated it");
    assert_eq!(seen.rating.to_string(), "4.0");
}

#[test]
fn it_has_the_size_and_the_hard_cases() {
    let value = load();
    let catalogue = value.catalogue();
    assert!(catalogue.len() >= 1_000);
    assert!(
        (18_000..22_000).contains(&value.base().len()),
        "{}",
        value.base().len()
    );
    let unrated = catalogue
        .iter()
        .filter(|movie| value.average(movie.id).is_none());
    assert!((10..100).contains(&unrated.count()));
    assert!(catalogue.iter().any(|movie| movie.genres.is_empty()));

    for title in [
        "the matrix",
        "Matrix, The (1999)",
        "amelie",
        "Babylon 5",
        "\"crocodile\" dundee",
        "11'09\"01 - September 11",
        "se7en",
        "wall-e",
        "君の名は。",
        "8½",
        "¡three amigos!",
        "good, the bad and the ugly, the",
        "Dekalog: The Ten Films (1988–1989)",
        "king kong (2005)",
    ] {
        let outcome = catalogue.resolve(title);
        assert!(
            matches!(outcome, Resolution::Found(_)),
            "{title}: {outcome:?}"
        );
    }
    for (title, choices) in [
        ("king kong", 3),
        ("Emma (1996)", 2),
        ("War of the Worlds (2005)", 2),
    ] {
        let outcome = catalogue.resolve(title);
        let count = matches!(&outcome, Resolution::Ambiguous(movies) if movies.len() == choices);
        assert!(count, "{title}: {outcome:?}");
    }
}
