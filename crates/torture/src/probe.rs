//! What is seen of a cluster from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{bail, ensure};
use backfence_client::{Client, Server, ServerStatus, Source, Timestamp};
use backfence_cluster::{Cluster, Role};
use backfence_process::{ClusterKey, Environment};
use tokio::time::{Instant, sleep};

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(50);
/// How long somebody who is there may take to show it.
const THERE: Duration = Duration::from_millis(300);
/// How long a registry may take to know a front end again.
const KNOWN: Duration = Duration::from_secs(30);

/// A client that finds front ends again after they have moved.
pub(crate) async fn client(cluster: &Cluster) -> anyhow::Result<Client> {
    let registry = Source::Registry(cluster.registry().parse()?);
    let key = ClusterKey::read(&cluster.key())?;
    let deadline = Instant::now() + KNOWN;
    loop {
        match Client::connect(&Environment::real(), registry.clone()).await {
            Ok(client) => return Ok(client.with_cluster_key(key)),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// Whether one of these is seen to be away.
pub(crate) async fn away(cluster: &Cluster, client: &Client, roles: &[Role]) -> bool {
    for &role in roles {
        let away = match role {
            Role::Registry => {
                let Ok(address) = cluster.registry().parse() else {
                    return false;
                };
                let environment = Environment::real();
                let connected = Client::connect(&environment, Source::Registry(address));
                !matches!(tokio::time::timeout(THERE, connected).await, Ok(Ok(_)))
            }
            Role::FrontEnd(_) => {
                let Ok(address) = cluster.address(role).parse() else {
                    return false;
                };
                let alone = Source::FrontEnds(vec![address]);
                match Client::connect(&Environment::real(), alone).await {
                    Ok(alone) => alone.with_limit(THERE).session().status().await.is_err(),
                    Err(_) => true,
                }
            }
            Role::Replica(number) => match client.session().status().await {
                Ok(servers) => !servers.iter().any(|server| is_online(server, number)),
                Err(_) => true,
            },
        };
        if away {
            return true;
        }
    }
    false
}

fn is_online(server: &Server, number: u32) -> bool {
    server.server == number && server.status == ServerStatus::Online
}

/// What a server shows, and what the others do, once it and one of them can be asked.
/// `None` if that does not come to be in time.
pub(crate) async fn shown(
    client: &Client,
    number: u32,
    limit: Duration,
) -> Option<(Timestamp, Timestamp)> {
    let deadline = Instant::now() + limit;
    let mut session = client.session();
    loop {
        let (mut its, mut others) = (None, None::<Timestamp>);
        for server in session.status().await.unwrap_or_default() {
            match server.state {
                Some(state) if server.server == number => its = Some(state.value_ts),
                Some(state) => others.get_or_insert_default().merge(&state.value_ts),
                None => {}
            }
        }
        if let Some(shown) = its.zip(others) {
            return Some(shown);
        }
        if Instant::now() > deadline {
            return None;
        }
        sleep(AGAIN).await;
    }
}

/// Whether all these servers get to show all of it, and have it on their disks, in time.
pub(crate) async fn have(
    client: &Client,
    servers: &[u32],
    all: &Timestamp,
    limit: Duration,
) -> bool {
    let deadline = Instant::now() + limit;
    let mut session = client.session();
    loop {
        if let Ok(digests) = session.digest().await {
            let has = |server: &u32| match digests.get(server) {
                Some(Some(value)) => *all <= value.value_ts,
                _ => false,
            };
            if servers.iter().all(has) {
                return true;
            }
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(AGAIN).await;
    }
}

/// Waits until all servers are online, show the same, and have empty logs; then they have
/// one digest, which it gives.
///
/// # Errors
///
/// If it does not come to that in time, or digests differ.
pub(crate) async fn rest(client: &Client, servers: u32, limit: Duration) -> anyhow::Result<u128> {
    let deadline = Instant::now() + limit;
    let mut session = client.session();
    loop {
        let status = session.status().await;
        if status.as_ref().is_ok_and(|all| are_at_rest(all, servers)) {
            break;
        }
        if Instant::now() > deadline {
            bail!("without faults, the servers do not come to rest in {limit:?}: {status:#?}");
        }
        sleep(AGAIN).await;
    }
    loop {
        let digests = session.digest().await.unwrap_or_default();
        let digests = digests.into_iter();
        let digests: BTreeMap<u32, Option<u128>> = digests
            .map(|(server, value)| (server, value.map(|value| value.digest)))
            .collect();
        let different: BTreeSet<u128> = digests.values().flatten().copied().collect();
        ensure!(
            different.len() < 2,
            "at rest the servers differ: {digests:x?}"
        );
        let answered = digests.values().flatten().count();
        match different.first() {
            Some(&digest) if answered == servers as usize => return Ok(digest),
            // One that is slow is asked again.
            _ => ensure!(
                Instant::now() < deadline,
                "at rest a server does not answer: {digests:x?}"
            ),
        }
        sleep(AGAIN).await;
    }
}

fn are_at_rest(all: &[Server], servers: u32) -> bool {
    let states = all.iter().map(|server| match &server.state {
        Some(state) if server.status == ServerStatus::Online => Some(state),
        _ => None,
    });
    let Some(states) = states.collect::<Option<Vec<_>>>() else {
        return false;
    };
    let Some(first) = states.first() else {
        return false;
    };
    states.len() == servers as usize
        && states.iter().all(|state| {
            state.log_len == 0
                && state.value_ts == first.value_ts
                && state.replica_ts == first.value_ts
        })
}
