//! What remains of the throughput when twice as much is offered as can be carried.

use std::{fmt, time::Duration};

use anyhow::{Context as _, ensure};
use backfence_cluster::{Cluster, Role};
use backfence_wire::v1::{self, front_end_client::FrontEndClient};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tonic::{Code, Request, transport::Channel};

use crate::report::Data;

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Updates a second that are offered at first.
const FIRST: f64 = 250.0;
/// How often requests are sent, as many at once as are due.
const TICK: Duration = Duration::from_millis(10);
/// Connections that share the requests.
const CONNECTIONS: usize = 32;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: Data,
    /// How much longer each sync of the disk takes, in milliseconds, so that the server
    /// is the limit and not this program. Needs strace.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    sync_ms: u64,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

/// Updates on one replica with a slow disk: so many as it can carry, then twice that.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    sync_ms: u64,
    best_per_second: f64,
    best_p99_us: u64,
    offered_per_second: f64,
    served_per_second: f64,
    served_p99_us: u64,
    /// Told at once that all are busy.
    shed: u64,
    shed_p99_us: u64,
    /// Anything else.
    failed: u64,
    share_of_best: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "updates on one replica, {} ms more a sync", self.sync_ms)?;
        let Self {
            best_per_second,
            best_p99_us,
            offered_per_second,
            served_per_second,
            served_p99_us,
            ..
        } = self;
        writeln!(
            f,
            "best     {best_per_second:>7.0} a second, p99 {best_p99_us} us"
        )?;
        writeln!(f, "offered  {offered_per_second:>7.0} a second")?;
        writeln!(
            f,
            "served   {served_per_second:>7.0} a second, p99 {served_p99_us} us"
        )?;
        writeln!(
            f,
            "shed     {:>7} in all, p99 {} us; {} failed otherwise",
            self.shed, self.shed_p99_us, self.failed
        )?;
        let share = 100.0 * self.share_of_best;
        writeln!(f, "{share:.0} % of the best throughput remain")
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime's threads")?;
    let builder = Cluster::builder().replicas(1).data(args.data.folder()?);
    let mut cluster = builder.data_dirs(true).start()?;
    let delay = format!("inject=fdatasync,fsync:delay_enter={}", args.sync_ms * 1000);
    let syncs = "trace=fdatasync,fsync";
    // With the filter no other call is slowed.
    let slow = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        syncs,
        "-e",
        &delay,
    ];
    cluster.kill(Role::Replica(1))?;
    cluster.restart_under(Role::Replica(1), &slow)?;
    let movies = args.data.movies()?;
    let url = cluster.front_end(1);
    let length = Duration::from_secs(args.seconds);
    // Doubled until it is more than can be carried.
    let (mut rate, mut best) = (FIRST, 0.0_f64);
    let mut best_p99_us = 0;
    loop {
        let found = runtime.block_on(offer(&url, rate, length, movies[0]))?;
        let served = found.served.len() as f64 / length.as_secs_f64();
        if served > best {
            (best, best_p99_us) = (served, found.served.value_at_quantile(0.99));
        }
        if served < 0.7 * rate {
            break;
        }
        rate *= 2.0;
    }
    let found = runtime.block_on(offer(&url, 2.0 * best, length, movies[0]))?;
    let seconds = length.as_secs_f64();
    Ok(Report {
        sync_ms: args.sync_ms,
        best_per_second: best,
        best_p99_us,
        offered_per_second: found.sent as f64 / seconds,
        served_per_second: found.served.len() as f64 / seconds,
        served_p99_us: found.served.value_at_quantile(0.99),
        shed: found.shed.len(),
        shed_p99_us: found.shed.value_at_quantile(0.99),
        failed: found.failed,
        share_of_best: found.served.len() as f64 / seconds / best,
    })
}

struct Found {
    sent: u64,
    /// How long they took, those only that were answered before the load had ended.
    served: Histogram<u64>,
    shed: Histogram<u64>,
    failed: u64,
}

/// Sends so many updates a second, whether or not those before are answered, each of a
/// session of its own.
async fn offer(url: &str, rate: f64, length: Duration, movie: u32) -> anyhow::Result<Found> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(FrontEndClient::connect(url.to_owned()).await?);
    }
    let (start, mut tick) = (Instant::now(), interval(TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let until = start + length;
    let mut sending = JoinSet::new();
    let mut found = Found {
        sent: 0,
        served: Histogram::new_with_bounds(1, 10_000_000, 3)?,
        shed: Histogram::new_with_bounds(1, 10_000_000, 3)?,
        failed: 0,
    };
    while Instant::now() < until {
        tick.tick().await;
        let due = (rate * start.elapsed().as_secs_f64()) as u64;
        while found.sent < due {
            let client = clients[found.sent as usize % CONNECTIONS].clone();
            sending.spawn(send(client, movie));
            found.sent += 1;
        }
    }
    while let Some(sent) = sending.join_next().await {
        let (began, ended, code) = sent.context("a request crashed")?;
        let took = (ended - began).as_micros() as u64;
        match code {
            Code::Ok if ended <= until => found.served.saturating_record(took),
            Code::Ok => {}
            Code::Unavailable => found.shed.saturating_record(took),
            _ => found.failed += 1,
        }
    }
    ensure!(!found.served.is_empty(), "not one update was served");
    Ok(found)
}

/// An update whose id and time the front end makes.
async fn send(mut client: FrontEndClient<Channel>, movie: u32) -> (Instant, Instant, Code) {
    let began = Instant::now();
    let mut request = Request::new(v1::RateRequest {
        user_id: 1,
        movie_id: movie,
        rating: 3.0,
        ..v1::RateRequest::default()
    });
    request.set_timeout(LIMIT);
    let code = match client.rate(request).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    };
    (began, Instant::now(), code)
}
