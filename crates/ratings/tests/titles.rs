//! What a title stands for.

use backfence_ratings::{Base, Catalogue, MovieId, Resolution, Search};

const MOVIES: &str = r#"movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy
2,"Matrix, The (1999)",Action|Sci-Fi
3,"Misérables, Les (1995)",Drama
4,"Misérables, Les (1998)",Drama
5,"Misérables, Les (2012)",Drama
6,Emma (1996),Romance
7,Emma (1996),Romance|Drama
8,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",Fantasy
9,Seven (a.k.a. Se7en) (1995),Crime
10,Babylon 5,Sci-Fi
11,"Terminator, The (1984)",Action
12,Terminator 2: Judgment Day (1991),Action
13,"11'09""01 - September 11 (2002)",Drama
14,WALL·E (2008),Animation
15,Moonlight,Drama
16,Moonlight (2016),Drama
17,"Avventura, L' (Adventure, The) (1960)",Drama
18,Blade Runner 2049 (2017),Sci-Fi
19,Amelie (2001),Comedy
20,Amélie (2001),Comedy
21,???,Drama
22,"Ring, The (2002)",Horror
23,Ring (Ringu) (1998),Horror
24,Schindler's List (1993),Drama
25,"American President, The (1995)",Comedy
26,Death Note: Desu nôto (2006–2007),(no genres listed)
27,Answer (42) (1999),Drama
28,ガメラ (1965),Action
29,दिल (1990),Drama
30,ปี่ (2001),Drama
31,Ёлки (2010),Comedy
32,שלום (2001),Drama
33,Łódź Noir (1970),Drama
34,Ödipussi (1988),Comedy
"#;

#[derive(Debug, PartialEq)]
enum Outcome {
    Found(u32),
    Ambiguous(Vec<u32>),
    Unknown,
}
use Outcome::{Ambiguous, Found, Unknown};

fn base() -> Base {
    let ratings = "userId,movieId,rating,timestamp\n";
    let loaded = Base::read(MOVIES.as_bytes(), ratings.as_bytes(), true);
    loaded.expect("every row is good").base
}

fn check(cases: &[(&str, Outcome)]) {
    let base = base();
    for (title, expected) in cases {
        let outcome = match base.catalogue().resolve(title) {
            Resolution::Found(movie) => Found(movie.id.0),
            Resolution::Ambiguous(movies) => Ambiguous(movies.iter().map(|m| m.id.0).collect()),
            Resolution::Unknown { .. } => Unknown,
        };
        assert_eq!(outcome, *expected, "{title:?}");
    }
}

fn near(catalogue: &Catalogue, title: &str) -> Vec<MovieId> {
    match catalogue.resolve(title) {
        Resolution::Unknown { near } => near.iter().map(|movie| movie.id).collect(),
        found => panic!("{title:?} is {found:?}"),
    }
}

#[test]
fn b26_titles_without_a_year_are_found_whole() {
    check(&[
        ("Babylon 5", Found(10)),
        ("babylon 5", Found(10)),
        ("Ba", Unknown),
        ("Death Note: Desu nôto (2006–2007)", Found(26)),
        ("death note: desu noto", Found(26)),
    ]);
}

#[test]
fn b27_an_ambiguous_title_is_answered_with_the_choices() {
    check(&[
        ("Les Misérables", Ambiguous(vec![3, 4, 5])),
        ("Les Misérables (1998)", Found(4)),
        ("Emma", Ambiguous(vec![6, 7])),
        ("Emma (1996)", Ambiguous(vec![6, 7])),
        ("#7", Found(7)),
        // The one with a year first: it can be asked for by year.
        ("Moonlight", Ambiguous(vec![16, 15])),
        ("Moonlight (2016)", Found(16)),
    ]);
}

#[test]
fn b31_letter_case_and_article_do_not_matter() {
    check(&[
        ("Toy Story", Found(1)),
        ("tOY sTORY", Found(1)),
        ("  toy   story (1995) ", Found(1)),
        ("toy story(1995)", Found(1)),
        ("toy story 1995", Found(1)),
        ("Matrix, The", Found(2)),
        ("the matrix", Found(2)),
        ("MATRIX, THE (1999)", Found(2)),
        ("The Matrix (1999)", Found(2)),
        ("matrix", Found(2)),
        ("A Matrix", Unknown),
        ("misérables, les (2012)", Found(5)),
        ("LES MISÉRABLES 2012", Found(5)),
        ("L'avventura", Found(17)),
        ("avventura, l'", Found(17)),
    ]);
}

#[test]
fn accents_punctuation_and_blanks_matter_only_to_tell_apart() {
    check(&[
        ("les miserables (1998)", Found(4)),
        ("Les Mise\u{301}rables (1998)", Found(4)),
        ("Amelie", Found(19)),
        ("Amélie", Found(20)),
        ("AMÉLIE (2001)", Found(20)),
        ("Amèlie", Ambiguous(vec![19, 20])),
        ("Wall-E", Found(14)),
        ("walle", Found(14)),
        ("schindlers list", Found(24)),
        ("11'09\"01 - september 11", Found(13)),
        ("110901 september 11 (2002)", Found(13)),
        ("the ring", Found(22)),
        ("ring", Found(23)),
    ]);
}

#[test]
fn marks_that_make_another_letter_always_matter() {
    check(&[
        ("ガメラ", Found(28)),
        ("カ\u{3099}メラ", Found(28)),
        ("ｶﾞﾒﾗ", Found(28)),
        ("カメラ", Unknown),
        ("दिल", Found(29)),
        ("दल", Unknown),
        ("ปี่", Found(30)),
        ("ปู", Unknown),
        ("елки", Found(31)),
        ("שָׁלוֹם", Found(32)),
        ("lodz noir", Found(33)),
        ("odipussi", Found(34)),
    ]);
}

#[test]
fn what_differs_by_such_marks_is_near() {
    let base = base();
    for (title, id) in [("カメラ", 28), ("दल", 29), ("ปู", 30), ("カメ", 28)] {
        let Resolution::Unknown { near } = base.catalogue().resolve(title) else {
            panic!("{title} is another title");
        };
        assert_eq!(near.first().map(|movie| movie.id), Some(MovieId(id)));
        let search = Search {
            text: title,
            ..Search::default()
        };
        let found = base.catalogue().search(&search, 5);
        assert!(found.near && found.movies[0].id == MovieId(id), "{found:?}");
    }
}

#[test]
fn other_names_are_as_good() {
    check(&[
        ("The City of Lost Children", Found(8)),
        ("La Cité des enfants perdus", Found(8)),
        ("cite des enfants perdus, la (1995)", Found(8)),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            Found(8),
        ),
        ("Se7en", Found(9)),
        ("seven (1995)", Found(9)),
        ("Seven (a.k.a. Se7en)", Found(9)),
        ("The Adventure", Found(17)),
    ]);
}

#[test]
fn what_looks_like_a_year_may_be_part_of_the_title() {
    check(&[
        ("Blade Runner 2049", Found(18)),
        ("Blade Runner 2049 (2017)", Found(18)),
        ("blade runner 2049 2017", Found(18)),
        ("Toy Story (1996)", Unknown),
        ("(1995)", Unknown),
        ("1995", Unknown),
        ("answer (42)", Found(27)),
    ]);
}

#[test]
fn ids_are_written_with_a_hash() {
    check(&[
        ("#1", Found(1)),
        (" #16 ", Found(16)),
        ("#999", Unknown),
        ("#", Unknown),
        ("#99999999999", Unknown),
        ("#-1", Unknown),
        ("# 1", Unknown),
        ("1", Unknown),
    ]);
}

#[test]
fn near_matches_are_offered() {
    let base = base();
    let catalogue = base.catalogue();
    for (title, nearest) in [
        ("temrinator", 11),
        ("the termnator", 11),
        ("judgement day", 12),
        ("toy stroy", 1),
        ("Toy Story (1996)", 1),
        ("Emma (2020)", 6),
        ("shindlers lst", 24),
        ("amrican presidnet", 25),
        ("enfants perdues", 8),
    ] {
        let near = near(catalogue, title);
        assert_eq!(near.first(), Some(&MovieId(nearest)), "{title:?}: {near:?}");
        assert!(near.len() <= Catalogue::NEAR);
    }
}

#[test]
fn hopeless_titles_have_no_near_matches() {
    let base = base();
    let long = "toy story ".repeat(60);
    for title in [
        "",
        "   ",
        "xyzzy",
        "toy\u{0}story",
        "toy\nstory",
        "\u{1b}[2J",
        &long,
        "!!",
    ] {
        assert_eq!(near(base.catalogue(), title), [], "{title:?}");
    }
}

#[test]
fn punctuation_alone_is_a_title_only_as_written() {
    check(&[("???", Found(21)), ("!!!", Unknown)]);
}
