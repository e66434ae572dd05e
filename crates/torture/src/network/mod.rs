//! The real servers and clients in a simulated network, in simulated time.
//!
//! Every program is its library's `run`, on a host of its own; connections, clocks and
//! random generators are those of the simulation. So a seed decides what goes wrong, each
//! delay and each draw, and minutes of partitions, crashes and resets pass in seconds; but the
//! order in which channels wake tasks differs from run to run, unless tokio is built with
//! `--cfg tokio_unstable`, which lets a simulation seed that too. Nothing is on disk
//! here: a replica is only crashed when all others have what any session has seen.

mod hosts;
mod line;
mod trouble;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use backfence_checker::check;
use backfence_client::{Client, Source};
use backfence_process::Discovery;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use turmoil::{Builder, Sim};

use self::{
    hosts::REGISTRY,
    line::Resets,
    trouble::{Order, Orders, Trouble},
};
use crate::{
    journal::{Journal, Journals},
    ledger, probe,
    report::Operations,
    shared::Shared,
    talker::Talker,
};

const FRONT_ENDS: u32 = 2;
const SESSIONS: u32 = 4;
/// Requests a second, of all sessions.
const RATE: u32 = 50;
const FAULTS: u32 = 12;
/// The longest that a run may take, in its own time.
const LONGEST: Duration = Duration::from_secs(600);
/// How long all may take to come to rest when the faults are over.
const CALM: Duration = Duration::from_secs(60);

/// What a simulated run amounted to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Simulated {
    /// Of all that was sent, seen and answered, and when.
    pub trace: u64,
    /// Requests by outcome.
    pub operations: Operations,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How long it took in its own time, in milliseconds.
    pub simulated_ms: u64,
}

impl Simulated {
    /// Whether the run could have failed: there was traffic, and something bit.
    pub const fn is_valid(&self) -> bool {
        let Operations {
            reads_failed,
            sendings_failed,
            sendings_unknown,
            ..
        } = self.operations;
        self.operations.answered() >= 300 && reads_failed + sendings_failed + sendings_unknown > 0
    }
}

/// Runs a registry, three replicas (or five, for each fourth seed), two front ends and four
/// sessions through the faults of a seed, and checks what the sessions saw.
///
/// # Errors
///
/// What did not hold.
pub fn simulate(seed: u64) -> anyhow::Result<Simulated> {
    let replicas = if seed % 4 == 3 { 5 } else { 3 };
    let mut sim = Builder::new()
        .rng_seed(seed)
        .simulation_duration(LONGEST)
        .tick_duration(Duration::from_millis(5))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .tcp_capacity(4096)
        .build();
    let resets = Resets::default();
    hosts::add(&mut sim, seed, replicas, FRONT_ENDS, &resets);
    let shared = Arc::new(Shared::new(RATE, CancellationToken::new()));
    let (sender, receiver) = unbounded_channel();
    for number in 0..SESSIONS {
        let (shared, resets, sender) = (shared.clone(), resets.clone(), sender.clone());
        sim.client(trouble::session(number), async move {
            let talked = talk(seed, number, shared, resets).await;
            let _ = sender.send(talked);
            Ok(())
        });
    }
    drop(sender);
    let orders = Orders::default();
    let found = Rc::new(RefCell::new(None));
    let judge = Judge {
        seed,
        replicas,
        shared,
        resets,
        orders: orders.clone(),
    };
    let result = found.clone();
    sim.client("judge", async move {
        let judged = judge.run(receiver).await;
        *result.borrow_mut() = Some(judged);
        Ok(())
    });
    step_through(&mut sim, &orders)?;
    let simulated_ms = sim.elapsed().as_millis() as u64;
    let found = found.borrow_mut().take();
    let found = found.context("the judge did not come to an end")??;
    Ok(Simulated {
        simulated_ms,
        ..found
    })
}

fn step_through(sim: &mut Sim<'_>, orders: &Orders) -> anyhow::Result<()> {
    let failed = |error: Box<dyn std::error::Error>| anyhow!("a program has failed: {error}");
    while !sim.step().map_err(failed)? {
        while let Some(order) = orders.borrow_mut().pop_front() {
            match order {
                Order::Crash(host) => sim.crash(host),
                Order::Bounce(host) => sim.bounce(host),
            }
        }
    }
    Ok(())
}

async fn talk(
    seed: u64,
    number: u32,
    shared: Arc<Shared>,
    resets: Resets,
) -> anyhow::Result<Journal> {
    let client = client(seed, u64::from(number), &resets).await;
    let talked = Talker::new(&client, seed, number, shared.clone())
        .talk()
        .await;
    // One that breaks off ends the run.
    talked.inspect_err(|_| shared.end())
}

/// A client on a host of its own, once the registry knows a front end.
async fn client(seed: u64, number: u64, resets: &Resets) -> Client {
    let environment = hosts::environment(seed ^ ((number + 1) << 40), resets);
    let registry = Source::Registry(hosts::address(REGISTRY));
    loop {
        match Client::connect(&environment, registry.clone()).await {
            Ok(client) => return client.with_cluster_key(hosts::key()),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Who makes the trouble, waits for the sessions, and judges.
struct Judge {
    seed: u64,
    replicas: u32,
    shared: Arc<Shared>,
    resets: Resets,
    orders: Orders,
}

impl Judge {
    async fn run(
        self,
        mut talked: UnboundedReceiver<anyhow::Result<Journal>>,
    ) -> anyhow::Result<Simulated> {
        let client = client(self.seed, 99, &self.resets).await;
        sleep(Duration::from_secs(2)).await;
        let environment = hosts::environment(self.seed ^ (99 << 40), &self.resets);
        let trouble = Trouble {
            replicas: self.replicas,
            front_ends: FRONT_ENDS,
            sessions: SESSIONS,
            seed: self.seed,
            shared: self.shared.clone(),
            client: client.clone(),
            discovery: Discovery::new(&environment, hosts::address(REGISTRY)),
            resets: self.resets.clone(),
            orders: self.orders,
        };
        let faults = trouble.make(FAULTS).await;
        sleep(Duration::from_secs(3)).await;
        self.shared.end();
        let mut journals = Vec::new();
        while let Some(journal) = talked.recv().await {
            journals.push(journal?);
        }
        let journals = Journals::new(journals);
        probe::rest(&client, self.replicas, CALM).await?;
        journals.check_numbers()?;
        ledger::check(&client, &journals).await?;
        let history = journals.history()?;
        check(&history)
            .map_err(|violation| anyhow!("the history is not causally consistent:\n{violation}"))?;
        let mut trace = DefaultHasher::new();
        format!("{:?}", journals.notes()).hash(&mut trace);
        Ok(Simulated {
            trace: trace.finish(),
            operations: Operations::of(&self.shared.counts),
            faults,
            simulated_ms: 0,
        })
    }
}
