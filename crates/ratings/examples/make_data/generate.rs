//! The contents of the data files, the same on every machine for ever: integers
//! only, and a generator of random numbers written out here.

use std::{collections::BTreeSet, fmt::Write as _};

/// A line of `titles.txt`.
pub(crate) struct Movie {
    title: String,
    year: Option<u16>,
    /// As in the data: with bars between.
    genres: String,
    rated: bool,
}

/// Reads `titles.txt`: a movie per line as `Title|Year|Genre,Genre`, where year and
/// genres may be empty and `|unrated` may follow; `#` begins a comment line.
///
/// # Errors
///
/// The number of the first line that is none of these, and the line.
pub(crate) fn parse(titles: &str) -> Result<Vec<Movie>, String> {
    let lines = (1..).zip(titles.lines());
    lines
        .filter(|(_, line)| !line.starts_with('#'))
        .map(|(number, line)| movie(line).ok_or_else(|| format!("titles.txt:{number}: {line}")))
        .collect()
}

fn movie(line: &str) -> Option<Movie> {
    let fields: Vec<_> = line.split('|').collect();
    let (fields, rated) = match *fields {
        [title, year, genres] => ([title, year, genres], true),
        [title, year, genres, "unrated"] => ([title, year, genres], false),
        _ => return None,
    };
    let [title, year, genres] = fields;
    let year = match year {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    Some(Movie {
        title: title.to_owned(),
        year,
        genres: match genres {
            "" => "(no genres listed)".to_owned(),
            listed => listed.replace(',', "|"),
        },
        rated,
    })
}

/// `movies.csv`; a movie's id is its place in the list, from 1.
pub(crate) fn movies_csv(movies: &[Movie]) -> String {
    let mut csv = "movieId,title,genres\n".to_owned();
    for (id, movie) in (1..).zip(movies) {
        let title = match movie.year {
            Some(year) => format!("{} ({year})", movie.title),
            None => movie.title.clone(),
        };
        let title = quoted(&title);
        writeln!(csv, "{id},{title},{}", movie.genres).expect("a string takes all");
    }
    csv
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

const SEED: u64 = 1992;
const USERS: u32 = 295;
/// 29 March 1996, and the end of 2018.
const FROM: u64 = 828_057_600;
const TO: u64 = 1_546_300_799;
const DAY: u64 = 86_400;

/// `ratings.csv`: about 20,000 ratings, sorted by user and movie.
///
/// Few movies are rated often and many seldom; movies differ in quality and users
/// in how much they like anything; nobody rates a movie of a year to come. User 1
/// gives 4.0 to the first movie.
pub(crate) fn ratings_csv(movies: &[Movie]) -> String {
    let mut random = SplitMix(SEED);
    let shelf = Shelf::new(movies, &mut random);
    let mut csv = "userId,movieId,rating,timestamp\n".to_owned();
    for user in 1..=USERS {
        let mut ratings = ratings_of_a_user(&shelf, movies, &mut random);
        if user == 1 {
            let first = ratings.iter().map(|rating| rating.timestamp).min();
            ratings.retain(|rating| rating.movie != 0);
            ratings.push(Rating {
                movie: 0,
                half_stars: 8,
                timestamp: first.unwrap_or(FROM),
            });
        }
        ratings.sort_by_key(|rating| rating.movie);
        for rating in ratings {
            let (stars, half) = (rating.half_stars / 2, rating.half_stars % 2 * 5);
            let (movie, timestamp) = (rating.movie + 1, rating.timestamp);
            writeln!(csv, "{user},{movie},{stars}.{half},{timestamp}").expect("a string takes all");
        }
    }
    csv
}

struct Rating {
    /// Index of the movie.
    movie: usize,
    half_stars: u64,
    timestamp: u64,
}

fn ratings_of_a_user(shelf: &Shelf, movies: &[Movie], random: &mut SplitMix) -> Vec<Rating> {
    // Most users rate little and a few very much: the product of two draws.
    let wanted = 24 + random.below(17) * random.below(17);
    let leniency = random.bell(90);
    let mut timestamp = FROM + random.below(TO - FROM - 400 * DAY);
    let mut seen = BTreeSet::new();
    let mut ratings = Vec::new();
    for _ in 0..wanted {
        let year = 1970 + timestamp / (365 * DAY + DAY / 4);
        let movie = shelf.draw(random);
        let out = movies[movie].year.is_none_or(|y| u64::from(y) <= year);
        if out && seen.insert(movie) {
            let liking = shelf.quality[movie] + leniency + random.bell(170);
            ratings.push(Rating {
                movie,
                half_stars: ((liking + 50) / 100).clamp(1, 10) as u64,
                timestamp,
            });
        }
        // Mostly one rating after the other, now and then on another day.
        timestamp += match random.below(25) {
            0 => DAY + random.below(20 * DAY),
            _ => 3 + random.below(90),
        };
        timestamp = timestamp.min(TO);
    }
    ratings
}

/// What users choose from.
struct Shelf {
    /// Indices of the movies that are rated at all, the popular ones first, each
    /// with the sum of the weights up to it.
    popular: Vec<(usize, u64)>,
    /// By index, in hundredths of half a star.
    quality: Vec<i64>,
}

impl Shelf {
    fn new(movies: &[Movie], random: &mut SplitMix) -> Self {
        let quality: Vec<_> = movies.iter().map(|_| 680 + random.bell(110)).collect();
        let mut ranked: Vec<_> = (0..movies.len())
            .filter(|&movie| movies[movie].rated)
            .map(|movie| {
                let recent = movies[movie].year.is_some_and(|year| year >= 1972);
                let renown = random.below(1_000) + if recent { 450 } else { 0 };
                // The first movie is the one of the walk-through: all know it.
                (if movie == 0 { u64::MAX } else { renown }, movie)
            })
            .collect();
        ranked.sort_by_key(|&(renown, movie)| (std::cmp::Reverse(renown), movie));
        let mut sum = 0;
        let popular = (90..)
            .zip(ranked)
            .map(|(rank, (_, movie))| {
                sum += 10_000_000 / rank;
                (movie, sum)
            })
            .collect();
        Self { popular, quality }
    }

    fn draw(&self, random: &mut SplitMix) -> usize {
        let total = self.popular.last().map_or(0, |last| last.1);
        let ticket = random.below(total);
        let at = self.popular.partition_point(|&(_, sum)| sum <= ticket);
        self.popular[at].0
    }
}

/// SplitMix64, by Steele, Lea and Flood: small, and good enough for this.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `limit - 1`.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Around 0, about two thirds within `deviation`: the sum of twelve draws.
    fn bell(&mut self, deviation: i64) -> i64 {
        let sum: u64 = (0..12).map(|_| self.below(1_001)).sum();
        (sum as i64 - 6_000) * deviation / 1_000
    }
}
