//! A Backfence replica: one copy of the ratings, gossiping with the others.
//!
//! The protocol is [`backfence_gossip::Replica`]; this crate drives it. Requests
//! of front ends and messages of peers meet it behind one private lock
//! (`copy.rs`), for one synchronous call at a time. A query that must wait is a
//! task that waits for the copy to grow; a peer is a task that keeps one stream to
//! it (`peers.rs`). What has to be written gathers beside it (`unwritten.rs`), and
//! nothing is told before the disk has it (`disk.rs`). Without a data directory what a
//! replica alone has is lost when it dies. Every start is a new incarnation.

mod answer;
mod cluster;
mod copies;
mod copy;
mod data;
mod disk;
#[cfg(test)]
mod fixture;
mod gossip;
mod greet;
mod incarnation;
mod inspect;
mod long;
mod members;
mod peers;
mod reserve;
mod serve;
mod service;
mod states;
mod unwritten;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use backfence_gossip::{Limits, ReplicaId};
use backfence_process::{
    Address, CancellationToken, ClusterKey, Discovery, DiscoveryError, Environment, Exit, Failure,
    Health, Listener, Name, NodeKey, Registration, Wanted, advertised, announce,
};
use backfence_ratings::Base;
use backfence_store::{OpenError, Recovered, Store};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::service::Routes;

use crate::{
    copy::Copy,
    data::{Party, Verdict},
    disk::{Disk, Place},
    incarnation::{HeardOf, Start, Stored},
    peers::Peers,
    service::Starting,
};

/// What replicas are called at the registry, before their number.
const PREFIX: &str = Name::SERVERS;

/// How long the disk has to finish what it writes when the process has to end.
const FINISH: Duration = Duration::from_secs(2);

/// How a replica is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server number; `None` takes that of the store in `data_dir`, else the lowest free
    /// one.
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
    /// Where everything is kept; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// What front ends, peers and the registry have to have too; `None` takes all.
    pub cluster_key: Option<ClusterKey>,
    /// Takes also those without a key, while a cluster is given one.
    pub accept_keyless: bool,
}

impl Config {
    fn node_key(&self) -> NodeKey {
        NodeKey::new(self.cluster_key.as_ref()).accepting_keyless(self.accept_keyless)
    }
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
    tell_key(&config);
    let health = Health::new(&["backfence.v1.Replica"]).await;
    let starting = Starting::new();
    let discovery =
        Discovery::new(&environment, config.registry.clone()).with_key(config.cluster_key.as_ref());
    let routes = Routes::new(service::server(starting.clone(), shutdown.clone()))
        .add_service(discovery.presence());
    let serving = backfence_process::serve(listener, routes, health.clone(), shutdown.clone());
    let serving = tokio::spawn(serving);

    let (registration, server) = tokio::select! {
        biased;
        registered = register(&discovery, &config, &environment, &address) => registered?,
        () = shutdown.cancelled() => return Ok(()),
    };
    // Only now: one that is refused leaves no directory behind.
    let begun = begin(&config, &base, server, &discovery, &address, &environment);
    let (mut start, opened) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            registration.leave().await;
            return Err(error);
        }
    };
    let id = start.id;
    tracing::info!(
        replica = %id,
        fingerprint = base.fingerprint(),
        cluster = %start.cluster.id(),
        "started"
    );
    let (mut writer, mut new_store) = (None, None);
    if let Some((mut store, place, recovered)) = opened {
        new_store = recovered.incarnation.is_none().then(|| place.clone());
        store.begin(id.incarnation)?;
        let (disk, thread) = Disk::new(store, place);
        start.disk = Some((disk, recovered));
        writer = Some(thread);
    }

    let copy = Copy::new(start, base, address, &config, environment.clone());
    let copy = Arc::new(copy.context("what is stored is no state that a replica can be in")?);
    let failed = writer.map(|writer| writer.run(&copy));
    let entries = discovery.watch(PREFIX);
    let peers = Peers::new(copy.clone(), config, environment.clone());
    let mut gossiping = tokio::spawn(peers.run(entries.clone(), shutdown.clone()));
    let mut aging = tokio::spawn(copy.clone().age(shutdown.clone()));
    starting.started(copy.clone());
    let serve = async {
        copy.joined().await;
        copy.admitted().await;
        health.ready().await;
        announce("SERVER READY");
        std::future::pending::<()>().await;
    };

    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        error = failure(&copy, failed) => return Err(error),
        error = gone("gossips", &mut gossiping) => return Err(error),
        error = gone("tells the time", &mut aging) => return Err(error),
        error = registration.lost() => Err(error.into()),
        for_good = copy.retired() => Err(retired(&id, for_good)),
        failure = copy.outnumbered(&environment, entries) => {
            // Nothing was taken, and what is new is of data that nobody else has.
            new_store.iter().for_each(Place::discard);
            Err(failure.into())
        }
        () = serve => Ok(()),
    };
    shutdown.cancel();
    registration.leave().await;
    gossiping.await?;
    serving.await??;
    copy.flush().await;
    ended
}

fn tell_key(config: &Config) {
    match &config.cluster_key {
        Some(key) if config.accept_keyless => tracing::warn!(
            key = %key.name(),
            "programs without the cluster key are taken too; nothing is protected before all run \
             without --accept-keyless"
        ),
        Some(key) => {
            tracing::info!(key = %key.name(), "only programs with the cluster key are taken");
        }
        None => tracing::warn!(
            "whoever reaches this replica can change everything; --cluster-key FILE protects it"
        ),
    }
}

type Opened = (Store, Place, Recovered);

/// What was stored, and who the replica is now.
async fn begin(
    config: &Config,
    base: &Arc<Base>,
    server: u32,
    discovery: &Discovery,
    address: &Address,
    environment: &Environment,
) -> anyhow::Result<(Start, Option<Opened>)> {
    let heard_of = HeardOf::ask(environment, &config.node_key(), discovery, address).await?;
    if !config
        .data_dir
        .as_deref()
        .is_some_and(backfence_store::is_there)
    {
        let own = Party {
            server,
            fingerprint: base.fingerprint(),
            has_past: false,
        };
        if let Verdict::Leaves { other } = heard_of.verdict(&own, false) {
            return Err(incarnation::other_data(&own, &other).into());
        }
    }
    let opened = open(config, base, server).await?;
    let stored = opened.as_ref().map(|(.., recovered)| Stored {
        incarnation: recovered.latest_of(server),
        of: stored_of(recovered),
    });
    let start = heard_of.start(
        environment,
        server,
        &base.fingerprint(),
        stored.unwrap_or_default(),
    )?;
    Ok((start, opened))
}

fn stored_of(recovered: &Recovered) -> cluster::Disk {
    match recovered.cluster {
        Some(cluster) => cluster::Disk::Of(cluster),
        None if recovered.state.is_some() || !recovered.records.is_empty() => {
            cluster::Disk::Unnamed
        }
        None => cluster::Disk::Empty,
    }
}

/// Reads what a former life has stored, if anything is to be kept.
async fn open(config: &Config, base: &Arc<Base>, server: u32) -> anyhow::Result<Option<Opened>> {
    let Some(directory) = config.data_dir.clone() else {
        tracing::info!("in memory only: nothing is kept on disk; --data-dir DIR keeps it");
        return Ok(None);
    };
    let base = base.clone();
    let place = Place {
        directory,
        server,
        base,
    };
    let open = move || {
        place
            .open()
            .map(|(store, recovered)| (store, place, recovered))
    };
    let opened = tokio::task::spawn_blocking(open).await?;
    let (store, place, recovered) = opened.map_err(refused)?;
    let needs = recovered.state.as_ref().map_or(0, |state| state.needs);
    if needs > config.limits.version {
        let file = place.directory;
        return Err(refused(OpenError::TooNew { file }));
    }
    if let Some(migrated) = &recovered.migrated {
        tracing::info!("{migrated}");
    }
    let directory = place.directory.display();
    if backfence_files::is_shared(&place.directory) {
        tracing::warn!(%directory, "others can look into the data directory: chmod 700 it");
    }
    let logged =
        recovered.records.len() + recovered.state.as_ref().map_or(0, |state| state.log.len());
    tracing::info!(%directory, logged, "read what was stored");
    Ok(Some((store, place, recovered)))
}

fn refused(error: OpenError) -> anyhow::Error {
    let exit = match error {
        OpenError::Io { .. } | OpenError::NoSpace { .. } => Exit::Internal,
        _ => Exit::Refused,
    };
    Failure::new(exit, error.to_string()).into()
}

/// Waits until a panic has broken the copy, or the disk fails, if there is one. Then nobody
/// can tell what is in it, so the process ends at once and says nothing more. What the disk
/// has begun to write it finishes.
async fn failure(
    copy: &Copy,
    mut failed: Option<oneshot::Receiver<anyhow::Error>>,
) -> anyhow::Error {
    let disk = async {
        match &mut failed {
            Some(failed) => failed.await.unwrap_or_else(|_| {
                anyhow::anyhow!("the thread that writes to the disk has panicked")
            }),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = copy.broken() => {}
        error = disk => return error,
    }
    if let Some(failed) = failed {
        copy.wake_disk();
        // It ends without a word, or tells that it has failed as well.
        let _ = tokio::time::timeout(FINISH, failed).await;
    }
    anyhow::anyhow!(
        "a panic has left the state half-changed, so nothing more is told; start the server \
         again, and report what stands above"
    )
}

/// Waits until a task that is to go on until shutdown has panicked.
async fn gone<T>(does: &str, task: &mut JoinHandle<T>) -> anyhow::Error {
    match task.await {
        Err(error) if error.is_panic() => anyhow::anyhow!(
            "the task that {does} has panicked; start the server again, and report what stands \
             above"
        ),
        // It has ended with the others.
        _ => std::future::pending().await,
    }
}

fn retired(id: &ReplicaId, for_good: bool) -> anyhow::Error {
    if for_good {
        return incarnation::retired(id.server);
    }
    let sentence = format!(
        "server {} was started anew elsewhere, so this life of it ({id}) is over; start it again, \
         with another --server if both are wanted",
        id.server
    );
    Failure::new(Exit::Refused, sentence).into()
}

/// The name under which the replica is found, and its server number.
async fn register(
    discovery: &Discovery,
    config: &Config,
    environment: &Environment,
    address: &Address,
) -> anyhow::Result<(Registration, u32)> {
    let exact = async |number: u32| {
        let wanted = Wanted::Exact(Name::new(format!("{PREFIX}{number}"))?);
        let registration = discovery.register(wanted, address.clone()).await?;
        anyhow::Ok((registration, number))
    };
    let number = match config.server {
        None => stored_number(config).await?,
        given => given,
    };
    if let Some(number) = number {
        return exact(number).await;
    }
    let wanted = Wanted::Numbered(Name::new(PREFIX)?);
    let registration = discovery.register(wanted, address.clone()).await?;
    let number = registration.name().number();
    let number = number.context("a name without a number")?;
    let heard_of = HeardOf::ask(environment, &config.node_key(), discovery, address).await?;
    if !heard_of.has_ended(number) {
        return Ok((registration, number));
    }
    // The registry knows of no retirements, and would give the same one again.
    tracing::info!(
        server = number,
        "this number was retired for good; taking another"
    );
    registration.leave().await;
    let mut free = (number + 1..).filter(|&number| !heard_of.has_ended(number));
    loop {
        let number = free.next().context("no server number is left")?;
        match exact(number).await {
            Err(error) if is_taken(&error) => {}
            taken => return taken,
        }
    }
}

/// The number of the server that the data directory belongs to.
async fn stored_number(config: &Config) -> anyhow::Result<Option<u32>> {
    let Some(directory) = config.data_dir.clone() else {
        return Ok(None);
    };
    let read = move || Store::server_of(&directory);
    tokio::task::spawn_blocking(read).await?.map_err(refused)
}

fn is_taken(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(DiscoveryError::Taken { .. }))
}
