//! How long a cluster takes from launch until it is ready.

use std::{fmt, time::Instant};

use anyhow::Context as _;
use backfence_cluster::Cluster;
use serde::Serialize;

use crate::report::{Data, median};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) data: Data,
    /// How often to start.
    #[arg(long, default_value_t = 11)]
    pub(crate) runs: usize,
    /// The number of replicas.
    #[arg(long, default_value_t = 3)]
    pub(crate) replicas: u32,
}

/// From the launch of the registry until every server has printed `SERVER READY`
/// and the front end `CLIENT CAN NOW CONNECT`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    replicas: u32,
    pub(crate) median_ms: f64,
    fastest_ms: f64,
    slowest_ms: f64,
    runs: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            replicas,
            median_ms,
            fastest_ms,
            slowest_ms,
            runs,
        } = self;
        writeln!(
            f,
            "from launch until the front end and {replicas} replicas are ready, {runs} runs"
        )?;
        writeln!(f, "median    {median_ms:>7.0} ms")?;
        writeln!(f, "fastest   {fastest_ms:>7.0} ms")?;
        writeln!(f, "slowest   {slowest_ms:>7.0} ms")
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let folder = args.data.folder()?;
    let mut times = Vec::new();
    for _ in 0..args.runs {
        let builder = Cluster::builder().replicas(args.replicas).data(folder);
        let launched = Instant::now();
        let cluster = builder.start()?;
        times.push(launched.elapsed().as_secs_f64() * 1e3);
        drop(cluster);
    }
    Ok(Report {
        replicas: args.replicas,
        median_ms: median(times.clone()).context("--runs has to be at least 1")?,
        fastest_ms: times.iter().copied().fold(f64::INFINITY, f64::min),
        slowest_ms: times.iter().copied().fold(0.0, f64::max),
        runs: args.runs,
    })
}
