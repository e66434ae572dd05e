//! The program `backfence-replica`.

mod progress;

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use backfence_gossip::Limits;
use backfence_process::{
    Address, Environment, Exit, Failure, ListenArgs, LogArgs, NodeKeyArgs, shutdown_on_signals,
};
use backfence_ratings::{Base, How, LoadError, Loaded, Making};
use backfence_replica::{Config, run};
use backfence_wire::Versions;
use clap::Parser;

use crate::progress::Progress;

/// The directory of the base, in that of a replica.
const BASE: &str = "base";

/// A replica: holds a copy of all ratings, takes updates, and gossips.
///
/// It is found through the registry as SERVERn. With --data-dir what it has taken is on
/// disk before it says so, and outlives a crash.
#[derive(Parser, Debug)]
#[command(name = "backfence-replica", version)]
struct Args {
    /// The server number, from 1; without it that of --data-dir, or the lowest that is free
    #[arg(long, env = "BACKFENCE_SERVER", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    server: Option<u32>,
    /// The registry
    #[arg(
        long,
        env = "BACKFENCE_REGISTRY",
        value_name = "URL",
        default_value = "http://127.0.0.1:7400"
    )]
    registry: Address,
    #[command(flatten)]
    listen: ListenArgs,
    /// Where others reach this replica, if not where it listens
    #[arg(long, env = "BACKFENCE_ADVERTISE", value_name = "ADDR")]
    advertise: Option<Address>,
    /// The movies, in MovieLens format
    #[arg(
        long,
        env = "BACKFENCE_MOVIES",
        value_name = "FILE",
        default_value = "data/movies.csv"
    )]
    movies: PathBuf,
    /// The ratings that all replicas start from, in MovieLens format
    #[arg(
        long,
        env = "BACKFENCE_RATINGS",
        value_name = "FILE",
        default_value = "data/ratings.csv"
    )]
    ratings: PathBuf,
    /// Refuse data with a row that makes no sense, instead of skipping the row
    #[arg(long, env = "BACKFENCE_STRICT")]
    strict: bool,
    /// Decline requests as over-loaded with this probability, from 0 to 1
    #[arg(
        long,
        env = "BACKFENCE_OVERLOAD_PROBABILITY",
        value_name = "P",
        default_value = "0",
        value_parser = probability
    )]
    overload_probability: f64,
    /// Draw over-load and pauses from this seed, so that they can be repeated
    #[arg(long, env = "BACKFENCE_SEED", value_name = "S")]
    seed: Option<u64>,
    /// How often to ask each peer for what it has, besides the pushes
    #[arg(
        long,
        env = "BACKFENCE_GOSSIP_INTERVAL",
        value_name = "TIME",
        default_value = "1s",
        value_parser = interval
    )]
    gossip_interval: Duration,
    /// Bytes of records kept for peers that lack them; over it they get the whole
    /// state instead
    #[arg(
        long,
        env = "BACKFENCE_LOG_BUDGET",
        value_name = "BYTES",
        default_value_t = Limits::default().log_bytes
    )]
    log_budget: usize,
    /// Refuse updates older than this; use one value everywhere, longer than any client
    /// retries. An update's id is forgotten once every replica refuses it
    #[arg(
        long,
        env = "BACKFENCE_LATE",
        value_name = "TIME",
        default_value = "10m",
        value_parser = late
    )]
    late: Duration,
    /// Keep everything in this directory, made if need be; without it nothing outlives
    /// this process but what another replica has
    #[arg(long, env = "BACKFENCE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the data in this directory in a form that starts quickly, shared by all
    /// replicas that are given the same one; without it in base/ in --data-dir, or nowhere
    #[arg(long, env = "BACKFENCE_BASE_DIR", value_name = "DIR")]
    base_dir: Option<PathBuf>,
    /// Compare the kept data byte by byte with the files they come from, not only the
    /// files' lengths and times of change
    #[arg(long, env = "BACKFENCE_VERIFY")]
    verify: bool,
    /// The newest version of the wire to speak, as an older program would, to try an upgrade
    #[arg(
        long,
        env = "BACKFENCE_WIRE_NEWEST",
        value_name = "N",
        default_value_t = Versions::OWN.newest,
        value_parser = clap::value_parser!(u32)
            .range(i64::from(Versions::OWN.oldest)..=i64::from(Versions::OWN.newest)),
        hide = true
    )]
    wire_newest: u32,
    #[command(flatten)]
    key: NodeKeyArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn main() -> ExitCode {
    backfence_process::main(async |args: Args| {
        args.log.init();
        let cluster_key = args.key.read()?;
        let listener = args.listen.bind().await?;
        let _unused = Unused::new(&args);
        let base = Arc::new(load(&args)?);
        let environment = match args.seed {
            Some(seed) => Environment::real().with_seed(seed),
            None => Environment::real(),
        };
        let limits = Limits {
            late: args.late,
            log_bytes: args.log_budget,
            version: args.wire_newest,
            ..Limits::default()
        };
        let config = Config {
            server: args.server,
            registry: args.registry,
            advertise: args.advertise,
            overload_probability: args.overload_probability,
            gossip_interval: args.gossip_interval,
            limits,
            data_dir: args.data_dir,
            cluster_key,
            accept_keyless: args.key.accept_keyless,
        };
        run(listener, base, config, environment, shutdown_on_signals()?).await
    })
}

fn load(args: &Args) -> Result<Base, Failure> {
    let loaded = match base_dir(args) {
        Some(folder) => keep(args, &folder),
        None => Base::load(&args.movies, &args.ratings, args.strict),
    };
    let loaded = loaded.map_err(|error| {
        let code = match error {
            LoadError::Row(_) | LoadError::NoRow { .. } => Exit::Refused,
            _ => Exit::Usage,
        };
        Failure::new(code, error.to_string())
    })?;
    let (base, skipped) = (loaded.base, loaded.skipped);
    for row in &skipped.first {
        tracing::warn!("skipped {row}");
    }
    match skipped.count {
        0 => {}
        1 => tracing::warn!("skipped 1 row that makes no sense"),
        count => tracing::warn!("skipped {count} rows that make no sense"),
    }
    let movies = base.catalogue().len();
    tracing::info!(movies, ratings = base.len(), "loaded");
    Ok(base)
}

/// Where the base is kept. Without a directory there is nowhere to keep it.
fn base_dir(args: &Args) -> Option<PathBuf> {
    let default = || Some(args.data_dir.as_ref()?.join(BASE));
    args.base_dir.clone().or_else(default)
}

/// Removes the directory of a replica that was refused before it had a store, if it was not
/// there before.
struct Unused(PathBuf);

impl Unused {
    fn new(args: &Args) -> Option<Self> {
        let directory = args.data_dir.clone();
        directory.filter(|directory| !directory.exists()).map(Self)
    }
}

impl Drop for Unused {
    fn drop(&mut self) {
        if !backfence_store::is_there(&self.0) {
            // What cannot be removed is another's, or is of use the next time.
            let _ = fs::remove_dir_all(self.0.join(BASE));
            let _ = fs::remove_dir(&self.0);
        }
    }
}

fn keep(args: &Args, folder: &Path) -> Result<Loaded, LoadError> {
    let making = Making {
        movies: &args.movies,
        ratings: &args.ratings,
        strict: args.strict,
        verify: args.verify,
    };
    let progress = Progress::new();
    let kept = Base::keep(folder, &making, |step| progress.show(step))?;
    progress.end();
    let file = kept.file.display();
    match kept.how {
        How::Found => tracing::info!(%file, "found the base"),
        How::Made { why } => tracing::info!(%file, "made the base: {why}"),
        How::InMemory { why } => tracing::warn!("the base is not kept: {why}"),
    }
    Ok(kept.loaded)
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err("a probability is from 0 to 1".to_owned())
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(10)..=Duration::from_secs(3600);
    between(text, allowed, "give a time from 10ms to 1h")
}

fn late(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
    between(text, allowed, "give a time from 1s to 366days")
}

fn between(
    text: &str,
    allowed: RangeInclusive<Duration>,
    otherwise: &str,
) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 1s or 500ms"))?;
    if allowed.contains(&time) {
        Ok(time)
    } else {
        Err(otherwise.to_owned())
    }
}
