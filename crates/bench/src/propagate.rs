//! How long it takes from the acknowledgement of an update until every other replica
//! shows it.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail, ensure};
use backfence_cluster::{Cluster, Role};
use backfence_wire::v1::{self, answer, serve_reply::Outcome};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    bare::Hop,
    drive::{Load, What, drive},
    limit,
    link::{LIMIT, Link, update, view},
    load::positive,
    report::Data,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) data: Data,
    /// How many updates are followed, one after the other.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) updates: u64,
    /// The number of replicas.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub(crate) replicas: u32,
    /// Ratings a second by 32 other sessions meanwhile.
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub(crate) background: Option<f64>,
    /// Have each replica keep what it has in a directory of its own in this one.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// From the moment the first replica's acknowledgement is here until answers of all
/// others that show the update are here: so a round trip is in it. They are asked at
/// that moment for what the update's session sees, and answer as soon as they have it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    replicas: u32,
    updates: u64,
    background: Option<f64>,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// The median of a bare unary call by one session.
    pub(crate) bare_p50_us: u64,
    pub(crate) p50_over_bare: f64,
    pub(crate) p99_over_bare: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            replicas,
            updates,
            p50_us,
            p99_us,
            max_us,
            bare_p50_us,
            ..
        } = self;
        let load = match self.background {
            Some(rate) => format!("{rate:.0} other ratings a second"),
            None => "otherwise idle".to_owned(),
        };
        writeln!(f, "{updates} updates, {replicas} replicas, {load}")?;
        writeln!(
            f,
            "acknowledged to visible everywhere, us (over a bare unary call)"
        )?;
        writeln!(f, "p50       {p50_us:>7}  ({:.1})", self.p50_over_bare)?;
        writeln!(f, "p99       {p99_us:>7}  ({:.1})", self.p99_over_bare)?;
        writeln!(f, "most      {max_us:>7}")?;
        writeln!(f, "bare p50  {bare_p50_us:>7}")
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let movies = args.data.movies()?;
    let bare = limit::Args {
        sessions: vec![1],
        seconds: 3,
        requests: 5_000,
    };
    let bare_p50_us = limit::bare(Hop::None, 1, &bare)?.p50_us;
    let mut builder = Cluster::builder()
        .replicas(args.replicas)
        .data(args.data.folder()?);
    if let Some(folder) = &args.data_dir {
        builder = builder.data_dirs_in(folder);
    }
    let cluster = builder.start()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime's threads")?;
    let times = runtime.block_on(async {
        let url = |server| format!("http://{}", cluster.address(Role::Replica(server)));
        let mut first = Link::open(&url(1)).await?;
        let mut others = Vec::new();
        for server in 2..=args.replicas {
            others.push(Link::open(&url(server)).await?);
        }
        let background = args.background.map(|rate| {
            let load = Load {
                what: What::Rates,
                sessions: 32,
                connections: 0,
                rate: Some(rate),
                length: Duration::from_secs(86_400),
                requests: u64::MAX,
                movies: movies.clone(),
                seed: 2,
            };
            let front_end = cluster.front_end(1);
            tokio::spawn(async move { drive(&[front_end], &load).await })
        });
        let followed = follow(args.updates, movies[0], &mut first, &mut others).await;
        if let Some(background) = background {
            ensure!(!background.is_finished(), "the other sessions failed");
            background.abort();
        }
        followed
    })?;
    let (p50_us, p99_us) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
    let over = |us: u64| us as f64 / bare_p50_us.max(1) as f64;
    Ok(Report {
        replicas: args.replicas,
        updates: args.updates,
        background: args.background,
        p50_us,
        p99_us,
        max_us: times.max(),
        bare_p50_us,
        p50_over_bare: over(p50_us),
        p99_over_bare: over(p99_us),
    })
}

async fn follow(
    updates: u64,
    movie: u32,
    first: &mut Link,
    others: &mut [Link],
) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::new_with_bounds(1, LIMIT.as_micros() as u64, 3)?;
    let session = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let mut prev = v1::Timestamp::default();
    let mut clock = 0;
    for number in 1..=updates {
        clock = session.wrapping_div(1_000).max(clock + 1);
        let id = v1::UpdateId {
            session: session.to_be_bytes().to_vec(),
            sequence: number,
        };
        first
            .send(update(&id, 1, movie, &prev, clock as u64))
            .await?;
        let reply = first.receive().await?;
        let acknowledged = Instant::now();
        let (Some(Outcome::Accepted(_)), Some(ts)) = (reply.outcome, reply.ts) else {
            bail!("the first replica did not take an update");
        };
        prev = ts;
        clock = u128::from(reply.clock_us);
        for other in &mut *others {
            other.send(view(1, movie, &prev)).await?;
        }
        for other in &mut *others {
            let reply = other.receive().await?;
            ensure!(
                shows(&reply, &id),
                "a replica answered without the update: {reply:?}"
            );
        }
        times.saturating_record(acknowledged.elapsed().as_micros() as u64);
    }
    Ok(times)
}

/// Whether the rating is that of the update.
fn shows(reply: &v1::ServeReply, id: &v1::UpdateId) -> bool {
    let Some(Outcome::Answer(answer)) = &reply.outcome else {
        return false;
    };
    let Some(answer::Kind::Viewed(viewed)) = &answer.kind else {
        return false;
    };
    let rating = viewed.rating.as_ref();
    rating.and_then(|rating| rating.update_id.as_ref()) == Some(id)
}
