//! The real MovieLens set, where it is at hand: counts that the files themselves
//! give, and an average known from elsewhere.

use std::io::Write as _;
use std::{collections::BTreeMap, env, path::PathBuf, sync::Arc};

use backfence_ratings::{Base, Catalogue, MovieId, Ratings, Resolution, Skipped, UserId};

/// The folder of ml-latest-small, or `None` with a notice.
fn folder(test: &str) -> Option<PathBuf> {
    let data = env::var_os("BACKFENCE_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = data.join("ml-latest-small");
    if folder.join("movies.csv").is_file() {
        return Some(folder);
    }
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: no ml-latest-small under {}",
        data.display()
    );
    None
}

fn load(test: &str) -> Option<Ratings> {
    let folder = folder(test)?;
    let loaded = Base::load(
        &folder.join("movies.csv"),
        &folder.join("ratings.csv"),
        true,
    );
    let loaded = loaded.expect("the real set has no bad row");
    assert_eq!(loaded.skipped, Skipped::default());
    Some(Ratings::new(Arc::new(loaded.base)))
}

fn found(catalogue: &Catalogue, title: &str) -> u32 {
    match catalogue.resolve(title) {
        Resolution::Found(movie) => movie.id.0,
        other => panic!("{title:?} is {other:?}"),
    }
}

#[test]
fn the_set_loads_whole_and_averages_exactly() {
    let Some(value) = load("the_set_loads_whole_and_averages_exactly") else {
        return;
    };
    assert_eq!(
        (value.catalogue().len(), value.base().len()),
        (9_742, 100_836)
    );
    let toy_story = MovieId(found(value.catalogue(), "toy story"));
    let average = value.average(toy_story).expect("it has ratings");
    assert_eq!(format!("{:?}", average.average), "3.9209302325581397");
    assert_eq!(average.ratings, 215);
    let seen = value.view(UserId(1), toy_story).expect("user 1 rated it");
    assert_eq!(seen.rating.to_string(), "4.0");
}

#[test]
fn b26_the_24_odd_titles_keep_their_characters() {
    let test = "b26_the_24_odd_titles_keep_their_characters";
    let Some(folder) = folder(test) else { return };
    let movies = std::fs::read(folder.join("movies.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(&*movies);
    let base = load(test).unwrap();
    let mut odd = 0;
    for row in reader.records().map(Result::unwrap) {
        let id = MovieId(row[0].parse().unwrap());
        let movie = base.catalogue().movie(id).expect("every row is loaded");
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&movie.to_string()), squeezed(&row[1]));
        // Where the original cut off seven characters, whatever they were.
        let ends_with_year = row[1].ends_with(')') && movie.year.is_some();
        odd += usize::from(!ends_with_year);
    }
    assert_eq!(odd, 24);
    for title in [
        "Babylon 5",
        "Moonlight",
        "Death Note: Desu nôto (2006–2007)",
    ] {
        let movie = base
            .catalogue()
            .movie(MovieId(found(base.catalogue(), title)));
        let movie = movie.expect("just found");
        assert_eq!((movie.title.as_str(), movie.year), (title, None));
    }
}

#[test]
fn b27_every_movie_is_reached_whatever_its_title() {
    let Some(value) = load("b27_every_movie_is_reached_whatever_its_title") else {
        return;
    };
    let catalogue = value.catalogue();
    let mut titles: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut twins = 0;
    for movie in catalogue.iter() {
        titles.entry(movie.title.as_str()).or_default().push(movie);
        match catalogue.resolve(&movie.to_string()) {
            Resolution::Found(it) => assert_eq!(it, movie),
            Resolution::Ambiguous(choices) => {
                assert!(choices.contains(&movie), "{movie}: {choices:?}");
                twins += usize::from(choices.iter().all(|it| it.to_string() == movie.to_string()));
            }
            Resolution::Unknown { .. } => panic!("{movie} is unknown"),
        }
        assert_eq!(found(catalogue, &format!("#{}", movie.id)), movie.id.0);
    }
    assert_eq!(collisions_of_the_original(catalogue), (256, 538));
    // Five pairs agree in title and year.
    assert_eq!(twins, 10);
    titles.retain(|_, movies| movies.len() > 1);
    let bearers: usize = titles.values().map(Vec::len).sum();
    assert_eq!((titles.len(), bearers), (255, 536));
    for (title, movies) in titles {
        let Resolution::Ambiguous(choices) = catalogue.resolve(title) else {
            panic!("{title} is ambiguous");
        };
        assert!(
            movies.iter().all(|movie| choices.contains(movie)),
            "{title}"
        );
        assert!(choices.is_sorted_by_key(|movie| (movie.year.is_none(), movie.year, movie.id)));
    }
}

/// The original cut seven characters off the title column, here made again from
/// what was parsed, and took the rest as the key: `The OA` and `Cosmos` became one.
fn collisions_of_the_original(catalogue: &Catalogue) -> (usize, usize) {
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    for movie in catalogue.iter() {
        let column: Vec<char> = movie.to_string().chars().collect();
        let key = &column[..column.len().saturating_sub(7)];
        *keys.entry(key.iter().collect()).or_default() += 1;
    }
    let colliding: Vec<_> = keys.into_values().filter(|&movies| movies > 1).collect();
    (colliding.len(), colliding.iter().sum())
}

#[test]
fn b28_movies_without_ratings_are_found() {
    let Some(value) = load("b28_movies_without_ratings_are_found") else {
        return;
    };
    let unrated: Vec<_> = value
        .catalogue()
        .iter()
        .filter(|movie| value.average(movie.id).is_none())
        .collect();
    assert_eq!(unrated.len(), 18);
    // The original went by title: three of them share theirs with a rated movie.
    let rated = |title: &str| {
        let mut movies = value
            .catalogue()
            .iter()
            .filter(|movie| movie.title == title);
        movies.any(|movie| value.average(movie.id).is_some())
    };
    let lost = unrated.iter().filter(|movie| !rated(&movie.title));
    assert_eq!(lost.count(), 15);
    for movie in unrated {
        assert_eq!(found(value.catalogue(), &movie.to_string()), movie.id.0);
    }
}

#[test]
fn b31_titles_are_found_as_people_write_them() {
    let Some(value) = load("b31_titles_are_found_as_people_write_them") else {
        return;
    };
    for (title, id) in [
        ("Toy Story", 1),
        ("the matrix", 2571),
        ("Matrix, The (1999)", 2571),
        ("the lord of the rings: the fellowship of the ring", 4993),
        ("se7en", 47),
        ("la cité des enfants perdus", 29),
        ("amelie", 4973),
        ("wall-e", 60069),
        ("leon: the professional", 293),
        ("11'09\"01 - september 11", 7789),
    ] {
        assert_eq!(found(value.catalogue(), title), id, "{title}");
    }
}

#[test]
fn near_matches_are_the_expected_ones() {
    let Some(value) = load("near_matches_are_the_expected_ones") else {
        return;
    };
    for (title, expected) in [
        ("temrinator", "Terminator, The (1984)"),
        ("shawshank redemtion", "Shawshank Redemption, The (1994)"),
        (
            "lord of the rngs the two towers",
            "Lord of the Rings: The Two Towers, The (2002)",
        ),
        ("foresst gump", "Forrest Gump (1994)"),
        ("pulp ficton", "Pulp Fiction (1994)"),
        (
            "crouching tiger",
            "Crouching Tiger, Hidden Dragon (Wo hu cang long) (2000)",
        ),
    ] {
        let Resolution::Unknown { near } = value.catalogue().resolve(title) else {
            panic!("{title} is known");
        };
        let near: Vec<_> = near.iter().map(ToString::to_string).collect();
        assert!(near.iter().any(|it| it == expected), "{title}: {near:?}");
    }
}
