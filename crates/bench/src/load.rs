//! Requests a second and their latency, beside what the bare wire allows.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::Context as _;
use backfence_cluster::Cluster;
use serde::Serialize;

use crate::{
    bare::{Bare, Hop},
    drive::{Load, Measured, What, drive},
    report::Data,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the sessions ask for.
    #[arg(value_enum, default_value_t = What::Mix)]
    what: What,
    #[command(flatten)]
    data: Data,
    /// How many sessions send requests, each one at a time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,
    /// How many connections they share; without it each has its own.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    connections: u32,
    /// How many requests fall due a second, whether or not those before are answered;
    /// without it each session sends when it has its answer.
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    rate: Option<f64>,
    /// How many front ends there are; the sessions use them in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    front_ends: u32,
    /// Put all latencies into the JSON, bucket by bucket.
    #[arg(long)]
    histogram: bool,
    /// How long each of the three loads lasts, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// End a load after so many requests, if that is sooner.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    requests: u64,
    /// The number of replicas.
    #[arg(long, default_value_t = 3)]
    replicas: u32,
    /// Have each replica keep what it has in a directory of its own in this one, which
    /// is left behind; without it they keep nothing.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Of the random users, movies and ratings.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The same load on Backfence and on two bare services, one after the other. The
/// bare ones answer views, whatever Backfence is asked.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    what: What,
    sessions: u32,
    front_ends: u32,
    rate: Option<f64>,
    replicas: u32,
    data_dir: Option<PathBuf>,
    seed: u64,
    backfence: Measured,
    /// Client, a bare front, and one long-lived stream to a bare back.
    bare_stream: Measured,
    /// The same with a unary call as the second hop.
    bare_unary: Measured,
    /// Backfence's requests a second over those of the bare stream.
    share_of_bare_stream: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            sessions,
            replicas,
            seed,
            ..
        } = self;
        writeln!(
            f,
            "{what:?} by {sessions} sessions, {replicas} replicas, {}, seed {seed}",
            match &self.data_dir {
                Some(folder) => format!("disks in {}", folder.display()),
                None => "nothing kept".to_owned(),
            }
        )?;
        writeln!(
            f,
            "                        requests/s   p50 us   p90 us   p99 us   p99.9 us   max us   errors"
        )?;
        for (name, found) in [
            ("backfence", &self.backfence),
            ("bare, stream as hop 2", &self.bare_stream),
            ("bare, unary as hop 2", &self.bare_unary),
        ] {
            let Measured {
                requests_per_second,
                p50_us,
                p90_us,
                p99_us,
                p999_us,
                max_us,
                ..
            } = found;
            let errors: u64 = found.errors.values().sum();
            write!(
                f,
                "{name:<22}  {requests_per_second:>10.0}  {p50_us:>7}  {p90_us:>7}  {p99_us:>7}"
            )?;
            writeln!(f, "  {p999_us:>9}  {max_us:>7}  {errors:>7}")?;
        }
        let share = 100.0 * self.share_of_bare_stream;
        writeln!(
            f,
            "backfence does {share:.0} % of the bare stream's requests"
        )
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let load = Load {
        what: args.what,
        sessions: args.sessions,
        connections: args.connections,
        rate: args.rate,
        length: Duration::from_secs(args.seconds),
        requests: args.requests,
        movies: args.data.movies()?,
        seed: args.seed,
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime's threads")?;
    let bare = |hop| {
        let services = Bare::start(hop)?;
        let views = Load {
            what: What::Views,
            ..load.clone()
        };
        let measured = runtime.block_on(drive(&[services.url().to_owned()], &views))?;
        anyhow::Ok(shown(measured, args.histogram))
    };
    let bare_stream = bare(Hop::Stream)?;
    let backfence = {
        let mut builder = Cluster::builder()
            .replicas(args.replicas)
            .front_ends(args.front_ends)
            .data(args.data.folder()?);
        if let Some(folder) = &args.data_dir {
            builder = builder.data_dirs_in(folder);
        }
        let cluster = builder.start()?;
        let urls: Vec<_> = (1..=args.front_ends)
            .map(|n| cluster.front_end(n))
            .collect();
        shown(runtime.block_on(drive(&urls, &load))?, args.histogram)
    };
    let bare_unary = bare(Hop::Unary)?;
    Ok(Report {
        what: args.what,
        sessions: args.sessions,
        front_ends: args.front_ends,
        rate: args.rate,
        replicas: args.replicas,
        data_dir: args.data_dir.clone(),
        seed: args.seed,
        share_of_bare_stream: backfence.requests_per_second / bare_stream.requests_per_second,
        backfence,
        bare_stream,
        bare_unary,
    })
}

fn shown(measured: Measured, histogram: bool) -> Measured {
    Measured {
        histogram: if histogram {
            measured.histogram
        } else {
            Vec::new()
        },
        ..measured
    }
}

/// A number of requests a second.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate is a number above 0 and at most a billion".to_owned()),
    }
}
