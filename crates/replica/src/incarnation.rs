//! Taking an incarnation that was never used before.

use std::time::Duration;

use backfence_process::{Address, Discovery, Environment, within};
use backfence_wire::v1::{self, replica_client::ReplicaClient};
use tokio::task::JoinSet;

use crate::PREFIX;

/// How long a peer may take to say whom it knows. One that is dead or hangs delays
/// the start by this much.
const ASK: Duration = Duration::from_millis(500);

/// The time in milliseconds, made greater than any incarnation of `server` that a
/// reachable peer has heard of: a clock that was set back does not matter.
pub(crate) async fn take(
    environment: &Environment,
    discovery: &Discovery,
    server: u32,
    own: &Address,
) -> anyhow::Result<u64> {
    let mut asking = JoinSet::new();
    for entry in discovery.list(PREFIX).await?.into_values() {
        if entry.address != *own {
            let mut peer = ReplicaClient::new(environment.connect(&entry.address));
            asking.spawn(async move { within(ASK, peer.describe(v1::DescribeRequest {})).await });
        }
    }
    let mut incarnation = environment.now().0 / 1000;
    while let Some(answer) = asking.join_next().await {
        if let Ok(Ok(answer)) = answer {
            let lives = answer.into_inner().members.into_iter();
            let known = lives
                .filter(|id| id.server == server)
                .map(|id| id.incarnation);
            incarnation = incarnation.max(known.max().map_or(0, |last| last + 1));
        }
    }
    Ok(incarnation)
}
