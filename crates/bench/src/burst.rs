//! What a view waits for while many updates arrive by gossip at the replica that is asked.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use backfence_cluster::{Cluster, Role};
use backfence_wire::v1::{self, serve_reply::Outcome};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    link::{LIMIT, Link, WINDOW, update, view},
    report::Data,
};

/// How long the burst may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);
/// Users that rate, and sessions that send, in turn.
const USERS: u64 = 600;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) data: Data,
    /// The updates of the burst.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) updates: u64,
    /// The views before it, while nothing else happens.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) views: u64,
}

/// One replica stands still while the other takes the updates; then it goes on, and all
/// arrive at once. One session views there, one view after the other, from before the
/// first shows until the last does. No front end is in between.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    updates: u64,
    /// From the first view that shows one of them to the first that shows all.
    arrived_in_ms: f64,
    pub(crate) idle: Views,
    pub(crate) burst: Views,
}

/// Latencies of views, in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Views {
    views: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl From<Histogram<u64>> for Views {
    fn from(times: Histogram<u64>) -> Self {
        Self {
            views: times.len(),
            p50_us: times.value_at_quantile(0.5),
            p99_us: times.value_at_quantile(0.99),
            max_us: times.max(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (updates, ms) = (self.updates, self.arrived_in_ms);
        writeln!(f, "{updates} updates arrived by gossip in {ms:.0} ms")?;
        writeln!(f, "views        number   p50 us   p99 us   max us")?;
        for (name, found) in [("idle", &self.idle), ("meanwhile", &self.burst)] {
            let Views {
                views,
                p50_us,
                p99_us,
                max_us,
            } = found;
            writeln!(
                f,
                "{name:<10}  {views:>7}  {p50_us:>7}  {p99_us:>7}  {max_us:>7}"
            )?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let movies = args.data.movies()?;
    let builder = Cluster::builder().replicas(2);
    let cluster = builder.data(args.data.folder()?).start()?;
    let (first, second) = (Role::Replica(1), Role::Replica(2));
    let url = |role| format!("http://{}", cluster.address(role));
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime's threads")?;
    runtime.block_on(async {
        let mut viewer = Viewer {
            link: Link::open(&url(second)).await?,
            movies: &movies,
            made: 0,
        };
        let mut idle = histogram()?;
        for _ in 0..args.views {
            let (took, _) = viewer.view().await?;
            idle.saturating_record(took.as_micros() as u64);
        }
        let mut writer = Link::open(&url(first)).await?;
        cluster.stop(second)?;
        let written = write(args.updates, &movies, &mut writer).await;
        cluster.cont(second)?;
        written?;
        let (burst, arrived) = viewer.until(args.updates).await?;
        Ok(Report {
            updates: args.updates,
            arrived_in_ms: arrived.as_secs_f64() * 1e3,
            idle: idle.into(),
            burst: burst.into(),
        })
    })
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LIMIT.as_micros() as u64, 3)?)
}

/// Sends updates that depend on nothing.
async fn write(updates: u64, movies: &[u32], link: &mut Link) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut in_flight = 0;
    for number in 0..updates {
        let session = now.as_nanos() + u128::from(number % USERS);
        let id = v1::UpdateId {
            session: session.to_be_bytes().to_vec(),
            sequence: 1 + number / USERS,
        };
        let movie = movies[(number / USERS) as usize % movies.len()];
        let user = 1 + (number % USERS) as u32;
        let time_us = now.as_micros() as u64 + number;
        let nothing = v1::Timestamp::default();
        link.send(update(&id, user, movie, &nothing, time_us))
            .await?;
        in_flight += 1;
        if in_flight == WINDOW {
            accepted(link).await?;
            in_flight -= 1;
        }
    }
    for _ in 0..in_flight {
        accepted(link).await?;
    }
    Ok(())
}

async fn accepted(link: &mut Link) -> anyhow::Result<()> {
    let reply = link.receive().await?;
    ensure!(
        matches!(reply.outcome, Some(Outcome::Accepted(_))),
        "the first replica did not take an update: {reply:?}"
    );
    Ok(())
}

/// One session that views, and has seen nothing.
struct Viewer<'a> {
    link: Link,
    movies: &'a [u32],
    made: u64,
}

impl Viewer<'_> {
    /// How long a view took, and how many updates the replica has shown by then.
    async fn view(&mut self) -> anyhow::Result<(Duration, u64)> {
        self.made += 1;
        let user = 1 + (self.made % USERS) as u32;
        let movie = self.movies[self.made as usize % self.movies.len()];
        let asked = Instant::now();
        let nothing = v1::Timestamp::default();
        self.link.send(view(user, movie, &nothing)).await?;
        let reply = self.link.receive().await?;
        let took = asked.elapsed();
        ensure!(
            matches!(reply.outcome, Some(Outcome::Answer(_))),
            "the second replica did not answer a view: {reply:?}"
        );
        let shown = reply.ts.unwrap_or_default().entries;
        Ok((took, shown.iter().map(|entry| entry.count).sum()))
    }

    /// The latencies of all views that show some of the updates, up to the first that shows
    /// all, and the time from one end to the other.
    async fn until(&mut self, updates: u64) -> anyhow::Result<(Histogram<u64>, Duration)> {
        let mut times = histogram()?;
        let began = Instant::now();
        let mut first = None;
        loop {
            let (took, shown) = self.view().await?;
            if shown > 0 {
                first.get_or_insert_with(|| Instant::now() - took);
                times.saturating_record(took.as_micros() as u64);
            }
            if let (Some(first), true) = (first, shown >= updates) {
                return Ok((times, first.elapsed()));
            }
            ensure!(
                began.elapsed() < ARRIVAL,
                "only {shown} of {updates} updates arrived in {ARRIVAL:?}"
            );
        }
    }
}
