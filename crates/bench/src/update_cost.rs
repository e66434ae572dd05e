//! What an update costs after few others and after many.

use std::{
    fmt,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use backfence_gossip::{
    Limits, Message, Offer, Replica, ReplicaId, Session, SessionId, Standing, Time, Timestamp,
    Update, UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use crate::report::median;

/// How many sessions make the updates, in turn. Each update depends on all that
/// its session has seen.
const SESSIONS: u64 = 100;
const USERS: u32 = 600;
const MOVIES: u32 = 9000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many updates are few.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) few: u64,
    /// How many updates are many.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) many: u64,
    /// How many updates are timed together.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) timed: u64,
    /// How often both are measured, in turn.
    #[arg(long, default_value_t = 31)]
    pub(crate) runs: usize,
    /// Of the random users, movies and ratings.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Medians over the runs.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    few: u64,
    few_ns_per_update: f64,
    many: u64,
    many_ns_per_update: f64,
    /// Of the runs' ratios, not the ratio of the medians.
    pub(crate) many_over_few: f64,
    runs: usize,
    seed: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "updates before   ns per update   (medians of {} runs, seed {})",
            self.runs, self.seed
        )?;
        writeln!(f, "{:>14}   {:>13.0}", self.few, self.few_ns_per_update)?;
        writeln!(f, "{:>14}   {:>13.0}", self.many, self.many_ns_per_update)?;
        writeln!(f, "median ratio     {:>13.2}", self.many_over_few)
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let (mut few, mut many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let after_few = Loaded::after(args.few, args.seed)?;
    let after_many = Loaded::after(args.many, args.seed)?;
    for _ in 0..args.runs {
        // In turn, so that a slow spell of the machine hits both.
        let (one, other) = (after_few.cost(args.timed)?, after_many.cost(args.timed)?);
        few.push(one);
        many.push(other);
        ratios.push(other / one);
    }
    let none = "--runs has to be at least 1";
    Ok(Report {
        few: args.few,
        few_ns_per_update: median(few).context(none)?,
        many: args.many,
        many_ns_per_update: median(many).context(none)?,
        many_over_few: median(ratios).context(none)?,
        runs: args.runs,
        seed: args.seed,
    })
}

/// A replica that has taken updates, and the sessions that sent them.
#[derive(Clone)]
struct Loaded {
    replica: Replica<Ratings>,
    sessions: Vec<(Session, u64)>,
    seed: u64,
    made: u64,
}

impl Loaded {
    fn after(updates: u64, seed: u64) -> anyhow::Result<Self> {
        let value = Ratings::new(Arc::new(Base::empty()));
        let mut replica = Replica::new(ReplicaId::new(1, 1), value, Limits::default());
        replica.found();
        // A peer that reports nothing: so every record stays in the log, which is
        // the dearest case.
        let silent = ReplicaId::new(2, 1);
        let _ = replica.receive(
            Message::Offer(Offer {
                from: silent,
                replica_ts: Timestamp::new(),
                members: vec![silent],
                ended: Vec::new(),
                records: Vec::new(),
                more: false,
                standing: Standing::Joined,
                horizon: Time::default(),
                settled: Time::default(),
            }),
            Time(1_000_000),
        )?;
        let session = |number: u64| (Session::new(SessionId(u128::from(number))), 0);
        let mut loaded = Self {
            replica,
            sessions: (1..=SESSIONS).map(session).collect(),
            seed,
            made: 0,
        };
        loaded.take(updates)?;
        Ok(loaded)
    }

    /// Nanoseconds for each of `timed` further updates, which are forgotten again.
    fn cost(&self, timed: u64) -> anyhow::Result<f64> {
        let mut copy = self.clone();
        // The first ones find cold caches after the copy.
        copy.take(timed)?;
        let spent = copy.take(timed)?;
        black_box(&copy.replica);
        Ok(spent.as_secs_f64() * 1e9 / timed as f64)
    }

    /// Sends updates, and gives the time that the replica spent on them.
    fn take(&mut self, updates: u64) -> anyhow::Result<Duration> {
        let mut spent = Duration::ZERO;
        for _ in 0..updates {
            let (update, now) = self.make();
            let start = Instant::now();
            let accepted = self.replica.update(update, now);
            spent += start.elapsed();
            let accepted = accepted?;
            let index = self.session();
            self.sessions[index].0.observe(&accepted.ts, accepted.clock);
            self.made += 1;
        }
        Ok(spent)
    }

    fn make(&mut self) -> (Update<Operation>, Time) {
        // Each update has a generator of its own, so a copy makes the same ones.
        let mut random = StdRng::seed_from_u64(self.seed.wrapping_add(self.made));
        let operation = Operation::Rate {
            user: UserId(random.random_range(1..=USERS)),
            movie: MovieId(random.random_range(1..=MOVIES)),
            rating: Rating::from_ten_thousandths(random.random_range(0..=10) * 5_000)
                .expect("at most 50,000"),
        };
        let now = Time(1_000_000 + self.made);
        let index = self.session();
        let (session, sequence) = &mut self.sessions[index];
        *sequence += 1;
        let update = Update {
            id: UpdateId::new(session.id, *sequence),
            prev: session.prev.clone(),
            time: now,
            operation,
        };
        (update, now)
    }

    fn session(&self) -> usize {
        (self.made % SESSIONS) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_measures() {
        let args = Args {
            few: 10,
            many: 500,
            timed: 50,
            runs: 3,
            seed: 1,
        };
        let report = run(&args).expect("a report");
        assert!(report.few_ns_per_update > 0.0 && report.many_over_few > 0.0);
    }

    #[test]
    fn the_log_keeps_every_record() {
        let loaded = Loaded::after(500, 1).expect("updates are accepted");
        assert_eq!(loaded.replica.log_len(), 500);
    }
}
