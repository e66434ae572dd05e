//! How long the base of a data set takes to make, to open, and to look things up in.

use std::{
    fmt,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use backfence_ratings::{Base, How, Making, MovieId, Ratings, Search, UserId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use crate::report::{Data, median};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Where to make the base, instead of a temporary folder; what is there of the same
    /// data is removed first.
    #[arg(long, value_name = "DIR")]
    pub(crate) base_dir: Option<PathBuf>,
    /// How often to open it.
    #[arg(long, default_value_t = 11)]
    pub(crate) runs: usize,
    /// How many ratings, averages and users to look up.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) lookups: u32,
    /// A Python with duckdb, for the comparison; without one there is none.
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    pub(crate) python: PathBuf,
    /// Of what is looked up.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ratings: usize,
    pub(crate) movies: usize,
    /// From the CSV to a file on the disk.
    pub(crate) make_seconds: f64,
    /// DuckDB, from the same CSV to a table in memory, with two threads.
    pub(crate) duckdb_seconds: Option<f64>,
    /// The median.
    pub(crate) open_ms: f64,
    bytes: u64,
    pub(crate) bytes_per_rating: f64,
    /// Medians, in nanoseconds.
    rating_ns: f64,
    average_ns: f64,
    /// All ratings of a user, per rating.
    listed_ns: f64,
    /// Titles with words that begin so, in milliseconds.
    prefix_ms: f64,
    /// Titles near to a wrong one, in milliseconds.
    near_ms: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ratings,
            movies,
            make_seconds,
            open_ms,
            bytes_per_rating,
            ..
        } = self;
        writeln!(f, "{ratings} ratings of {movies} movies")?;
        writeln!(f, "make      {make_seconds:>9.2} s")?;
        match self.duckdb_seconds {
            Some(seconds) => writeln!(
                f,
                "duckdb    {seconds:>9.2} s    make takes {:.2} of it",
                make_seconds / seconds
            )?,
            None => writeln!(f, "duckdb    not there: no comparison (see --python)")?,
        }
        writeln!(
            f,
            "open      {open_ms:>9.2} ms   1/{:.0} of make",
            1e3 * make_seconds / open_ms
        )?;
        writeln!(f, "file      {bytes_per_rating:>9.2} bytes a rating")?;
        writeln!(f, "rating    {:>9.0} ns", self.rating_ns)?;
        writeln!(f, "average   {:>9.0} ns", self.average_ns)?;
        writeln!(f, "of a user {:>9.1} ns each", self.listed_ns)?;
        writeln!(f, "prefix    {:>9.2} ms", self.prefix_ms)?;
        writeln!(f, "near      {:>9.2} ms", self.near_ms)
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let data = args.data.folder()?;
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let folder = args.base_dir.as_deref().unwrap_or(temporary.path());
    let (movies, ratings) = (data.join("movies.csv"), data.join("ratings.csv"));
    let making = Making {
        movies: &movies,
        ratings: &ratings,
        strict: false,
        verify: false,
    };
    let found = Base::keep(folder, &making, |_| {})?;
    std::fs::remove_file(&found.file).context("cannot remove the base that is there")?;
    drop(found);

    let begun = Instant::now();
    let made = Base::keep(folder, &making, |_| {})?;
    let make_seconds = begun.elapsed().as_secs_f64();
    ensure!(matches!(made.how, How::Made { .. }), "it was {}", made.how);
    let bytes = made.file.metadata()?.len();
    let duckdb_seconds = duckdb(&args.python, &ratings);
    let mut opens = Vec::new();
    for _ in 0..args.runs {
        let begun = Instant::now();
        let kept = Base::keep(folder, &making, |_| {})?;
        opens.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(matches!(kept.how, How::Found), "it was {}", kept.how);
    }
    let lookups = Lookups::new(made.loaded.base, args)?;
    Ok(Report {
        ratings: lookups.value.base().len(),
        movies: lookups.value.catalogue().len(),
        make_seconds,
        duckdb_seconds,
        open_ms: median(opens).context("--runs has to be at least 1")?,
        bytes,
        bytes_per_rating: bytes as f64 / lookups.value.base().len() as f64,
        rating_ns: lookups.ratings(),
        average_ns: lookups.averages(),
        listed_ns: lookups.lists(),
        prefix_ms: lookups.titles(|title| title.to_owned()),
        near_ms: lookups.titles(wrong),
    })
}

/// Random questions about a base.
struct Lookups {
    value: Ratings,
    users: Vec<UserId>,
    movies: Vec<MovieId>,
}

impl Lookups {
    fn new(base: Base, args: &Args) -> anyhow::Result<Self> {
        let mut random = StdRng::seed_from_u64(args.seed);
        let all: Vec<_> = base.catalogue().iter().map(|movie| movie.id).collect();
        ensure!(!all.is_empty(), "there are no movies");
        let most = base.iter().last().map_or(1, |(_, user, _)| user.0);
        let user = |random: &mut StdRng| UserId(random.random_range(1..=most));
        Ok(Self {
            users: (0..args.lookups).map(|_| user(&mut random)).collect(),
            movies: (0..args.lookups)
                .map(|_| all[random.random_range(0..all.len())])
                .collect(),
            value: Ratings::new(base.into()),
        })
    }

    fn ratings(&self) -> f64 {
        let begun = Instant::now();
        for (&user, &movie) in self.users.iter().zip(&self.movies) {
            black_box(self.value.view(user, movie));
        }
        begun.elapsed().as_secs_f64() * 1e9 / self.users.len().max(1) as f64
    }

    fn averages(&self) -> f64 {
        let begun = Instant::now();
        for &movie in &self.movies {
            black_box(self.value.average(movie));
        }
        begun.elapsed().as_secs_f64() * 1e9 / self.movies.len().max(1) as f64
    }

    fn lists(&self) -> f64 {
        let (begun, mut listed) = (Instant::now(), 0);
        for &user in self.users.iter().take(1_000) {
            listed += self.value.list(Some(user), None, usize::MAX).0.len();
        }
        begun.elapsed().as_secs_f64() * 1e9 / listed.max(1) as f64
    }

    /// The median of searches for the first words of titles, changed.
    fn titles(&self, change: impl Fn(&str) -> String) -> f64 {
        let mut times = Vec::new();
        for &movie in self.movies.iter().take(51) {
            let Some(movie) = self.value.catalogue().movie(movie) else {
                continue;
            };
            let first = movie.title.split(' ').next().unwrap_or_default();
            let text = change(first);
            let begun = Instant::now();
            let search = Search {
                text: &text,
                ..Search::default()
            };
            black_box(self.value.catalogue().search(&search, 100));
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        median(times).unwrap_or(0.0)
    }
}

/// Two letters change places, and one too many comes behind.
fn wrong(title: &str) -> String {
    let mut letters: Vec<char> = title.chars().collect();
    if letters.len() > 2 {
        letters.swap(1, 2);
    }
    letters.into_iter().chain(['q']).collect()
}

const DUCKDB: &str = "\
import sys, time, duckdb
connection = duckdb.connect()
connection.execute('set threads to 2')
connection.execute('set enable_progress_bar to false')
begun = time.perf_counter()
connection.execute('create table ratings as select * from read_csv(?)', [sys.argv[1]])
print(time.perf_counter() - begun)
";

/// The seconds that it takes, if it is there.
fn duckdb(python: &Path, ratings: &Path) -> Option<f64> {
    let output = Command::new(python)
        .args(["-c", DUCKDB])
        .arg(ratings)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
