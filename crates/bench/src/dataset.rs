//! A data set in MovieLens format, of any size.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Serialize;

use crate::{
    invent::{title, write_genres},
    skew::{Activity, Popularity},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write movies.csv and ratings.csv to, made if need be.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// How many users rate.
    #[arg(long, default_value_t = 610, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(crate) users: u32,
    /// How many movies there are.
    #[arg(long, default_value_t = 9_742, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) movies: u32,
    /// How many ratings they give.
    #[arg(long, default_value_t = 100_836)]
    pub(crate) ratings: u64,
    /// The same seed gives the same files.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    folder: PathBuf,
    users: u32,
    movies: u32,
    ratings: u64,
    seed: u64,
    bytes: u64,
    seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            users,
            movies,
            ratings,
            seed,
            seconds,
            ..
        } = self;
        let mib = self.bytes as f64 / f64::from(1 << 20);
        let folder = self.folder.display();
        writeln!(
            f,
            "{ratings} ratings of {movies} movies by {users} users, seed {seed}, in {folder}: \
             {mib:.1} MiB in {seconds:.1} s"
        )
    }
}

/// Memory is bounded by the movies; the ratings are written as they are drawn.
pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let most = u64::from(args.users) * u64::from(args.movies);
    ensure!(
        args.ratings <= most,
        "{} users can rate {} movies {most} times at most; ask for fewer --ratings",
        args.users,
        args.movies
    );
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in [
        "movies.csv",
        "ratings.csv",
        "movies.csv.part",
        "ratings.csv.part",
    ] {
        let there = folder.join(name);
        ensure!(
            !there.exists(),
            "{} is there already and is not overwritten; name another folder",
            there.display()
        );
    }
    let movies = write(folder, "movies.csv", |out| write_movies(out, args))?;
    let ratings = write(folder, "ratings.csv", |out| write_ratings(out, args))?;
    Ok(Report {
        folder: folder.clone(),
        users: args.users,
        movies: args.movies,
        ratings: args.ratings,
        seed: args.seed,
        bytes: movies + ratings,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Writes a file that appears whole or not at all, and gives its length.
fn write(
    folder: &Path,
    name: &str,
    rows: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> anyhow::Result<u64> {
    let written = || -> io::Result<u64> {
        let part = folder.join(format!("{name}.part"));
        let mut out = BufWriter::with_capacity(1 << 20, File::create_new(&part)?);
        rows(&mut out)?;
        let length = out.into_inner()?.metadata()?.len();
        fs::rename(part, folder.join(name))?;
        Ok(length)
    };
    written().with_context(|| format!("cannot write {}", folder.join(name).display()))
}

fn write_movies(out: &mut BufWriter<File>, args: &Args) -> io::Result<()> {
    let mut random = StdRng::seed_from_u64(args.seed);
    writeln!(out, "movieId,title,genres")?;
    for id in 1..=args.movies {
        write!(out, "{id},{},", title(&mut random))?;
        write_genres(out, &mut random)?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_ratings(out: &mut BufWriter<File>, args: &Args) -> io::Result<()> {
    let mut random = StdRng::seed_from_u64(args.seed ^ 0x5eed);
    let mut ids: Vec<u32> = (1..=args.movies).collect();
    ids.shuffle(&mut random);
    let mut popularity = Popularity::new(args.movies as usize);
    let mut activity = Activity::new(args.users, args.movies, args.ratings, args.seed);
    let mut row = Vec::new();
    writeln!(out, "userId,movieId,rating,timestamp")?;
    for user in 1..=args.users {
        let count = activity.next();
        let ranks = popularity.draw(count, &mut random);
        let mut movies: Vec<u32> = ranks.iter().map(|&rank| ids[rank as usize]).collect();
        movies.sort_unstable();
        // From 1996 on; most rate all they rate within some evenings.
        let first: u32 = random.random_range(825_000_000..1_690_000_000);
        for movie in movies {
            let rating = rating(&mut random);
            let seconds = first + random.random_range(0..200_000);
            row.clear();
            writeln!(row, "{user},{movie},{rating},{seconds}")?;
            out.write_all(&row)?;
        }
    }
    Ok(())
}

/// As often as the ratings of the small MovieLens set of 2018, in thousandths.
const RATINGS: [(&str, u32); 10] = [
    ("0.5", 14),
    ("1.0", 28),
    ("1.5", 18),
    ("2.0", 75),
    ("2.5", 55),
    ("3.0", 199),
    ("3.5", 130),
    ("4.0", 266),
    ("4.5", 85),
    ("5.0", 130),
];

fn rating(random: &mut StdRng) -> &'static str {
    let mut at = random.random_range(0..1_000_u32);
    for (rating, often) in RATINGS {
        match at.checked_sub(often) {
            Some(rest) => at = rest,
            None => return rating,
        }
    }
    "5.0"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, users: u32, movies: u32, ratings: u64) -> Args {
        Args {
            folder: folder.to_owned(),
            users,
            movies,
            ratings,
            seed: 7,
        }
    }

    fn read(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).expect("it was written")
    }

    #[test]
    fn every_row_is_good_and_there_are_as_many_as_asked_for() {
        for (users, movies, ratings) in [(1, 1, 0), (1, 1, 1), (20, 30, 600), (50, 400, 5_000)] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            run(&args(folder.path(), users, movies, ratings)).expect("it is written");
            let file = |name| folder.path().join(name);
            let loaded =
                backfence_ratings::Base::load(&file("movies.csv"), &file("ratings.csv"), true)
                    .expect("no row is bad");
            assert_eq!(loaded.base.catalogue().len(), movies as usize);
            assert_eq!(loaded.base.len() as u64, ratings);
        }
    }

    #[test]
    fn a_seed_gives_the_same_files_and_another_others() {
        let folders = [7, 7, 8].map(|seed| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let args = Args {
                seed,
                ..args(folder.path(), 30, 100, 900)
            };
            run(&args).expect("it is written");
            ["movies.csv", "ratings.csv"].map(|name| read(folder.path(), name))
        });
        assert_eq!(folders[0], folders[1]);
        assert_ne!(folders[0], folders[2]);
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let args = args(folder.path(), 3, 10, 9);
        run(&args).expect("it is written");
        let before = read(folder.path(), "ratings.csv");
        let error = run(&args).expect_err("it is there").to_string();
        assert!(error.contains("movies.csv is there already"), "{error}");
        assert_eq!(read(folder.path(), "ratings.csv"), before);
        let files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 2, "nothing else is left");
    }

    #[test]
    fn too_many_ratings_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = run(&args(folder.path(), 3, 10, 31)).expect_err("30 at most");
        assert!(error.to_string().contains("30 times at most"), "{error}");
    }

    #[test]
    fn the_skew_is_about_that_of_the_real_set() {
        // The small MovieLens set of 2018: a tenth of the users give 48 % of its
        // ratings, a tenth of the movies get 60 %, half of them 94 %.
        let folder = tempfile::tempdir().expect("a temporary folder");
        run(&args(folder.path(), 610, 9_742, 100_836)).expect("it is written");
        let (mut users, mut movies) = (vec![0_u64; 611], vec![0_u64; 9_743]);
        for row in read(folder.path(), "ratings.csv").lines().skip(1) {
            let mut columns = row.split(',').map(|column| column.parse().unwrap_or(0));
            let (user, movie): (usize, usize) = (columns.next().unwrap(), columns.next().unwrap());
            users[user] += 1;
            movies[movie] += 1;
        }
        let share = |mut counts: Vec<u64>, part: f64| {
            counts.sort_unstable_by(|a, b| b.cmp(a));
            let top = (counts.len() as f64 * part) as usize;
            counts[..top].iter().sum::<u64>() as f64 / counts.iter().sum::<u64>() as f64
        };
        let found = [
            share(users, 0.1),
            share(movies.clone(), 0.1),
            share(movies, 0.5),
        ];
        for (found, real) in found.into_iter().zip([0.48, 0.60, 0.94]) {
            assert!((found - real).abs() < 0.15, "{found} instead of {real}");
        }
    }
}
