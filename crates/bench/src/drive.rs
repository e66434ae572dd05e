//! Sessions that send one request after the other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use backfence_wire::v1::{self, front_end_client::FrontEndClient};
use clap::ValueEnum;
use hdrhistogram::Histogram;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

/// What the sessions ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// Views of random ratings.
    Views,
    /// Random ratings.
    Rates,
    /// Nine views to one rating.
    Mix,
}

/// How long a request may take. Longer ones count as errors.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest time that the histogram tells from others, in microseconds.
const LONGEST_US: u64 = 10_000_000;
/// Users that rate: from 1 to this.
pub(crate) const USERS: u32 = 600;

/// A load: so many sessions, each with one request at a time.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) what: What,
    pub(crate) sessions: u32,
    /// They share so many connections; as many as there are sessions where it is 0.
    pub(crate) connections: u32,
    /// Requests a second that fall due, by all sessions together, whether or not the
    /// ones before are answered; what one waits for its turn counts as its latency.
    /// Without it each session sends when its last request is answered.
    pub(crate) rate: Option<f64>,
    /// The load ends after this long, ...
    pub(crate) length: Duration,
    /// ... or when this many requests are answered, if that is sooner.
    pub(crate) requests: u64,
    /// The movies that are asked about.
    pub(crate) movies: Arc<[u32]>,
    pub(crate) seed: u64,
}

/// What a load found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    /// Latencies in microseconds, each the greatest of its bucket, and how many
    /// requests took so long; where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) histogram: Vec<(u64, u64)>,
    /// The requests that failed, by gRPC code. They do not count above.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Puts the load on the front ends at these URLs, the sessions in turn.
///
/// Fails if one cannot be reached, or not a single request is answered.
pub(crate) async fn drive(urls: &[String], load: &Load) -> anyhow::Result<Measured> {
    let left = Arc::new(AtomicU64::new(load.requests));
    let connections = match load.connections {
        0 => load.sessions,
        some => some.min(load.sessions),
    };
    let mut clients = Vec::new();
    for url in urls.iter().cycle().take(connections as usize) {
        let client = FrontEndClient::connect(url.clone()).await;
        clients.push(client.with_context(|| format!("cannot connect to the front end {url}"))?);
    }
    ensure!(
        !clients.is_empty(),
        "a load needs a front end and a session"
    );
    let mut sessions = Vec::new();
    for number in 0..load.sessions {
        let client = clients[number as usize % clients.len()].clone();
        sessions.push(Driver::new(client, load, number, Arc::clone(&left)).await?);
    }
    let start = Instant::now();
    let until = start + load.length;
    let mut running: JoinSet<_> = sessions.into_iter().map(|s| s.run(start, until)).collect();
    let (mut times, mut errors) = (histogram()?, BTreeMap::new());
    while let Some(session) = running.join_next().await {
        let session = session.context("a session crashed")?;
        times.add(&session.times)?;
        for (code, count) in session.errors {
            *errors.entry(code).or_default() += count;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    ensure!(
        !times.is_empty(),
        "not one request was answered: {errors:?}"
    );
    Ok(Measured {
        requests: times.len(),
        seconds,
        requests_per_second: times.len() as f64 / seconds,
        p50_us: times.value_at_quantile(0.5),
        p90_us: times.value_at_quantile(0.9),
        p99_us: times.value_at_quantile(0.99),
        p999_us: times.value_at_quantile(0.999),
        max_us: times.max(),
        histogram: times
            .iter_recorded()
            .map(|bucket| {
                (
                    bucket.value_iterated_to(),
                    bucket.count_since_last_iteration(),
                )
            })
            .collect(),
        errors,
    })
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_US, 3)?)
}

/// One session.
struct Driver {
    client: FrontEndClient<Channel>,
    what: What,
    /// The time from one of its requests to the next, and when the first falls due
    /// after the start.
    due: Option<(Duration, Duration)>,
    movies: Arc<[u32]>,
    random: StdRng,
    /// Requests that may still be sent, by all sessions together.
    left: Arc<AtomicU64>,
    session: v1::Session,
    /// Updates made.
    sequence: u64,
    times: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Driver {
    /// A session that is to write begins here: update ids go with its token.
    async fn new(
        mut client: FrontEndClient<Channel>,
        load: &Load,
        number: u32,
        left: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let random = StdRng::seed_from_u64(load.seed.wrapping_add(u64::from(number)));
        let session = match load.what {
            What::Views => None,
            What::Rates | What::Mix => {
                let open = limited(v1::OpenSessionRequest::default());
                let opened = client.open_session(open).await;
                opened
                    .context("no session was opened")?
                    .into_inner()
                    .session
            }
        };
        let due = load.rate.map(|rate| {
            let every = Duration::from_secs_f64(f64::from(load.sessions) / rate);
            (every, every * number / load.sessions)
        });
        Ok(Self {
            client,
            what: load.what,
            due,
            movies: Arc::clone(&load.movies),
            random,
            left,
            session: session.unwrap_or_default(),
            sequence: 0,
            times: histogram()?,
            errors: BTreeMap::new(),
        })
    }

    async fn run(mut self, began: Instant, until: Instant) -> Self {
        let mut due = self.due.map(|(_, first)| began + first);
        while due.unwrap_or_else(Instant::now) < until && self.may_send() {
            let mut start = Instant::now();
            if let (Some(time), Some((every, _))) = (&mut due, self.due) {
                tokio::time::sleep_until((*time).into()).await;
                start = *time;
                *time += every;
            }
            let answer = match self.what {
                What::Views => self.view().await,
                What::Rates => self.rate().await,
                What::Mix if self.random.random_ratio(1, 10) => self.rate().await,
                What::Mix => self.view().await,
            };
            match answer {
                Ok(()) => self
                    .times
                    .saturating_record(start.elapsed().as_micros() as u64),
                Err(status) => {
                    *self
                        .errors
                        .entry(format!("{:?}", status.code()))
                        .or_default() += 1;
                }
            }
        }
        self
    }

    fn may_send(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    async fn view(&mut self) -> Result<(), Status> {
        let request = v1::ViewRequest {
            session: self.session.token.clone(),
            user_id: self.user(),
            movie_id: self.movie(),
            fingerprint: String::new(),
        };
        let reply = self.client.view(limited(request)).await?.into_inner();
        self.observe(reply.session);
        Ok(())
    }

    async fn rate(&mut self) -> Result<(), Status> {
        self.sequence += 1;
        let request = v1::RateRequest {
            session: self.session.token.clone(),
            user_id: self.user(),
            movie_id: self.movie(),
            rating: f64::from(self.random.random_range(0..=10)) / 2.0,
            update_id: Some(v1::UpdateId {
                session: self.session.id.clone(),
                sequence: self.sequence,
            }),
            time_us: now_us().max(self.session.clock_us + 1),
            copies: 0,
            fingerprint: String::new(),
        };
        let reply = self.client.rate(limited(request)).await?.into_inner();
        self.observe(reply.session);
        Ok(())
    }

    fn observe(&mut self, session: Option<v1::Session>) {
        if let Some(v1::Session {
            token, clock_us, ..
        }) = session
        {
            self.session.token = token;
            self.session.clock_us = clock_us;
        }
    }

    fn user(&mut self) -> u32 {
        self.random.random_range(1..=USERS)
    }

    fn movie(&mut self) -> u32 {
        self.movies[self.random.random_range(0..self.movies.len())]
    }
}

fn limited<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(LIMIT);
    request
}

fn now_us() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since_1970.as_micros() as u64
}
