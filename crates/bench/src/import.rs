//! An import by the terminal client, beside the same number of ratings by `load`.

use std::{
    fmt::{self, Write as _},
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use backfence_cluster::{Cluster, program};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use crate::{
    drive::{Load, Measured, USERS, What, drive},
    report::Data,
};

/// Longer than any load of so many ratings takes.
const LONGEST: Duration = Duration::from_secs(86_400);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: Data,
    /// How many ratings to give.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    ratings: u64,
    /// How many are in flight at the same time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    sessions: u32,
    /// The number of replicas.
    #[arg(long, default_value_t = 3)]
    replicas: u32,
    /// Of the random users, movies and ratings.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Ratings given by `load`, then as many by `backfence import`, each on a cluster of
/// its own.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    ratings: u64,
    sessions: u32,
    replicas: u32,
    seed: u64,
    load: Measured,
    /// From the launch of the client until it has ended.
    import_seconds: f64,
    import_per_second: f64,
    /// The import's ratings a second over those of the load.
    share_of_load: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ratings,
            sessions,
            replicas,
            seed,
            load,
            ..
        } = self;
        writeln!(
            f,
            "{ratings} ratings by {sessions} sessions, {replicas} replicas, seed {seed}"
        )?;
        writeln!(f, "          ratings/s   seconds")?;
        for (name, per_second, seconds) in [
            ("load", load.requests_per_second, load.seconds),
            ("import", self.import_per_second, self.import_seconds),
        ] {
            writeln!(f, "{name:<8}  {per_second:>9.0}  {seconds:>8.2}")?;
        }
        let share = 100.0 * self.share_of_load;
        writeln!(f, "import does {share:.0} % of the load's ratings a second")
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let load = Load {
        what: What::Rates,
        sessions: args.sessions,
        connections: 0,
        rate: None,
        length: LONGEST,
        requests: args.ratings,
        movies: args.data.movies()?,
        seed: args.seed,
    };
    let cluster = || {
        let builder = Cluster::builder().replicas(args.replicas);
        builder.data(args.data.folder()?).start()
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime's threads")?;
    let loaded = {
        let cluster = cluster()?;
        runtime.block_on(drive(&[cluster.front_end(1)], &load))?
    };
    ensure!(
        loaded.errors.is_empty(),
        "the load had errors, so nothing is compared: {:?}",
        loaded.errors
    );
    let import_seconds = import(&cluster()?, args, &rows(args, &load.movies))?;
    let import_per_second = args.ratings as f64 / import_seconds;
    Ok(Report {
        ratings: args.ratings,
        sessions: args.sessions,
        replicas: args.replicas,
        seed: args.seed,
        share_of_load: import_per_second / loaded.requests_per_second,
        load: loaded,
        import_seconds,
        import_per_second,
    })
}

/// A file of random ratings, as `load` gives them.
fn rows(args: &Args, movies: &[u32]) -> String {
    let mut random = StdRng::seed_from_u64(args.seed);
    let mut text = String::from("userId,movieId,rating,timestamp\n");
    for _ in 0..args.ratings {
        let user = random.random_range(1..=USERS);
        let movie = movies[random.random_range(0..movies.len())];
        let rating = f64::from(random.random_range(0..=10)) / 2.0;
        // To write to a string cannot fail.
        let _ = writeln!(text, "{user},{movie},{rating:.1},0");
    }
    text
}

/// How many seconds the client takes.
fn import(cluster: &Cluster, args: &Args, rows: &str) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("ratings.csv");
    fs::write(&file, rows).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program("backfence")?);
    command
        .args(["--frontend", &cluster.front_end(1), "--json", "import"])
        .arg(&file)
        .args(["--sessions", &args.sessions.to_string()])
        .stderr(Stdio::inherit());
    let begun = Instant::now();
    let output = command.output().context("cannot start backfence")?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "the import ended with {}",
        output.status
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(
        said["rated"] == args.ratings,
        "the import gave other ratings: {said}"
    );
    Ok(seconds)
}
