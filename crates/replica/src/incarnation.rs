//! Taking an incarnation that was never used before, and hearing who takes part.

use std::time::Duration;

use backfence_gossip::ReplicaId;
use backfence_process::{Address, Discovery, Environment, Exit, Failure, within};
use backfence_store::Recovered;
use backfence_wire::{
    all,
    v1::{self, replica_client::ReplicaClient},
};
use tokio::task::JoinSet;

use crate::{PREFIX, disk::Disk};

/// How long a peer may take to say whom it knows. One that is dead or hangs delays
/// the start by this much.
const ASK: Duration = Duration::from_millis(500);

/// Who a replica is, and whom it knows, when it starts.
pub(crate) struct Start {
    pub(crate) id: ReplicaId,
    /// Every replica that a reachable peer has heard of.
    pub(crate) members: Vec<ReplicaId>,
    /// No other replica is registered: this one is the first.
    pub(crate) first: bool,
    /// Its disk, and what was on it; `None` where nothing is kept.
    pub(crate) disk: Option<(Disk, Recovered)>,
}

/// The incarnation is the time in milliseconds, made greater than any of `server` that
/// a reachable peer has heard of, and than the `stored` one: a clock that was set back
/// does not matter.
pub(crate) async fn start(
    environment: &Environment,
    discovery: &Discovery,
    server: u32,
    own: &Address,
    stored: Option<u64>,
) -> anyhow::Result<Start> {
    let mut asking = JoinSet::new();
    for entry in discovery.list(PREFIX).await?.into_values() {
        if entry.address != *own {
            let mut peer = ReplicaClient::new(environment.connect(&entry.address));
            asking.spawn(async move { within(ASK, peer.describe(v1::DescribeRequest {})).await });
        }
    }
    let first = asking.is_empty();
    let mut members = Vec::new();
    while let Some(answer) = asking.join_next().await {
        if let Ok(Ok(answer)) = answer {
            members.extend(all::<_, ReplicaId>(answer.into_inner().members)?);
        }
    }
    let lives = members.iter().filter(|id| id.server == server);
    let known = lives.map(|id| id.incarnation).chain(stored).max();
    if known == Some(ReplicaId::end(server).incarnation) {
        return Err(retired(server));
    }
    let next = known.map_or(0, |known| known + 1);
    let incarnation = next.max(environment.now().0 / 1000);
    Ok(Start {
        id: ReplicaId::new(server, incarnation),
        members,
        first,
        disk: None,
    })
}

/// The server was retired by hand, and no life of it may go on.
pub(crate) fn retired(server: u32) -> anyhow::Error {
    let sentence = format!(
        "server {server} was retired for good, so its number is not used again; start this \
         replica with another --server and an empty --data-dir"
    );
    Failure::new(Exit::Refused, sentence).into()
}
