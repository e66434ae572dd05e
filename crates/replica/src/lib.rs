//! A Backfence replica: one copy of the ratings, gossiping with the others.
//!
//! The protocol is [`backfence_gossip::Replica`]; this crate drives it. Requests
//! of front ends and messages of peers meet it behind one private lock
//! (`copy.rs`), for one synchronous call at a time. A query that must wait is a
//! task that waits for the copy to grow; a peer is a task that keeps one stream to
//! it (`peers.rs`). In memory: what a replica alone has is lost when it dies, and a
//! restart is a new incarnation.

mod answer;
mod copy;
mod gossip;
mod incarnation;
mod peers;
mod serve;
mod service;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use backfence_gossip::{Limits, ReplicaId};
use backfence_process::{
    Address, CancellationToken, Discovery, Environment, Exit, Failure, Health, Listener, Name,
    Registration, Wanted, advertised, announce,
};
use backfence_ratings::Base;
use tonic::service::Routes;

use crate::{copy::Copy, peers::Peers, service::Starting};

/// What replicas are called at the registry, before their number.
const PREFIX: &str = "SERVER";

/// How a replica is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server number; `None` takes the lowest free one.
    pub server: Option<u32>,
    /// Where the registry is.
    pub registry: Address,
    /// Where others reach this replica, if not where it listens.
    pub advertise: Option<Address>,
    /// With this probability a request of a front end is declined as over-loaded.
    pub overload_probability: f64,
    /// How often a peer is asked for what it has, whether or not there is news: the
    /// safety net under the pushes. Each pause is drawn between half of it and all.
    pub gossip_interval: Duration,
    /// Of the protocol.
    pub limits: Limits,
}

/// Runs a replica that starts from `base`, until `shutdown`; then it pushes what
/// peers lack and leaves.
///
/// Prints `SERVER READY` on stdout once front ends can use it.
///
/// # Errors
///
/// If there is no registry, if the server number is held by a living replica, or
/// when the name is lost to another later on.
pub async fn run<L: Listener>(
    listener: L,
    base: Arc<Base>,
    config: Config,
    environment: Environment,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = advertised(config.advertise.clone(), listener.local_addr()?)?;
    let health = Health::new(&["backfence.v1.Replica"]).await;
    let starting = Starting::new();
    let routes = Routes::new(service::server(starting.clone(), shutdown.clone()));
    let serving = backfence_process::serve(listener, routes, health.clone(), shutdown.clone());
    let serving = tokio::spawn(serving);

    let discovery = Discovery::new(&environment, config.registry.clone());
    let registration = tokio::select! {
        registration = register(&discovery, &config, address.clone()) => registration?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let server = registration
        .name()
        .number()
        .context("a name without a number")?;
    let start = incarnation::start(&environment, &discovery, server, &address).await?;
    tracing::info!(replica = %start.id, fingerprint = base.fingerprint(), "in memory only: nothing is kept on disk");

    let copy = Arc::new(Copy::new(
        &start,
        base,
        address,
        &config,
        environment.clone(),
    ));
    let entries = discovery.watch(PREFIX);
    let gossiping =
        tokio::spawn(Peers::new(copy.clone(), config, environment).run(entries, shutdown.clone()));
    starting.started(copy.clone());
    health.ready().await;
    announce("SERVER READY");

    let ended = tokio::select! {
        error = registration.lost() => Err(error.into()),
        () = copy.retired() => Err(retired(&start.id)),
        () = shutdown.cancelled() => Ok(()),
    };
    shutdown.cancel();
    registration.leave().await;
    gossiping.await?;
    serving.await??;
    ended
}

fn retired(id: &ReplicaId) -> anyhow::Error {
    let sentence = format!(
        "server {} was started anew elsewhere, so this life of it ({id}) is over; start it again, \
         with another --server if both are wanted",
        id.server
    );
    Failure::new(Exit::Refused, sentence).into()
}

async fn register(
    discovery: &Discovery,
    config: &Config,
    address: Address,
) -> anyhow::Result<Registration> {
    let wanted = match config.server {
        Some(number) => Wanted::Exact(Name::new(format!("{PREFIX}{number}"))?),
        None => Wanted::Numbered(Name::new(PREFIX)?),
    };
    Ok(discovery.register(wanted, address).await?)
}
