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

use crate::{
    PREFIX,
    cluster::{self, Claim, Cluster, Strangers, of_all},
    disk::Disk,
};

/// How long a peer may take to say whom it knows. One that is dead or hangs delays
/// the start by this much.
const ASK: Duration = Duration::from_millis(500);

/// Who a replica is, and whom it knows, when it starts.
pub(crate) struct Start {
    pub(crate) id: ReplicaId,
    /// Every replica that a reachable peer has heard of.
    pub(crate) members: Vec<ReplicaId>,
    /// No other replica is registered, or only such of other clusters: this one is the first.
    pub(crate) first: bool,
    /// Its cluster, so far.
    pub(crate) cluster: Cluster,
    /// Its disk, and what was on it; `None` where nothing is kept.
    pub(crate) disk: Option<(Disk, Recovered)>,
}

/// What a former life has stored of itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stored {
    pub(crate) incarnation: Option<u64>,
    pub(crate) of: cluster::Disk,
}

/// Who takes part, as a starting replica hears.
pub(crate) struct HeardOf {
    /// What each peer that answers says of its cluster, and of whom it has heard.
    said: Vec<(Claim, Vec<ReplicaId>)>,
    /// How many others are registered.
    others: usize,
}

impl HeardOf {
    /// Asks every replica that is registered at another address.
    pub(crate) async fn ask(
        environment: &Environment,
        discovery: &Discovery,
        own: &Address,
    ) -> anyhow::Result<Self> {
        let mut asking = JoinSet::new();
        for entry in discovery.list(PREFIX).await?.into_values() {
            if entry.address != *own {
                let mut peer = ReplicaClient::new(environment.connect(&entry.address));
                let asked = async move { peer.describe(v1::DescribeRequest {}).await };
                asking.spawn(within(ASK, asked));
            }
        }
        let others = asking.len();
        let mut said = Vec::new();
        while let Some(answer) = asking.join_next().await {
            if let Ok(Ok(answer)) = answer {
                let answer = answer.into_inner();
                let claim = Claim::read(&answer.cluster, answer.standing, &answer.fingerprint);
                match (claim, all::<_, ReplicaId>(answer.members)) {
                    (Ok(claim), Ok(members)) => said.push((claim, members)),
                    // It is refused when it says Hello; here it must stop nobody.
                    (Err(error), _) | (_, Err(error)) => {
                        tracing::warn!(%error, "a peer is ignored");
                    }
                }
            }
        }
        Ok(Self { said, others })
    }

    /// Whether somebody knows that the server was retired for good.
    pub(crate) fn has_ended(&self, server: u32) -> bool {
        let mut heard = self.said.iter().flat_map(|(_, members)| members);
        heard.any(|&member| member == ReplicaId::end(server))
    }

    /// The incarnation is the time in milliseconds, made greater than any of `server` that
    /// a reachable peer has heard of, and than the `stored` one: a clock that was set back
    /// does not matter.
    ///
    /// # Errors
    ///
    /// If the server was retired for good; or if the others belong to two clusters, and what
    /// is stored does not tell which is meant.
    pub(crate) fn start(
        self,
        environment: &Environment,
        server: u32,
        fingerprint: &str,
        stored: Stored,
    ) -> anyhow::Result<Start> {
        let heard = match stored.of {
            cluster::Disk::Of(_) => None,
            _ => of_all(self.said.iter().map(|(claim, _)| claim)).map_err(two_clusters)?,
        };
        let cluster = Cluster::new(stored.of, heard, fingerprint, environment);
        let is_ours = |(claim, _): &(Claim, _)| claim.may_be_of(cluster.id());
        let (ours, strangers): (Vec<_>, Vec<_>) = self.said.into_iter().partition(is_ours);
        let members: Vec<_> = ours.into_iter().flat_map(|(_, members)| members).collect();
        let lives = members.iter().filter(|id| id.server == server);
        let known = lives
            .map(|id| id.incarnation)
            .chain(stored.incarnation)
            .max();
        if known == Some(ReplicaId::end(server).incarnation) {
            return Err(retired(server));
        }
        let next = known.map_or(0, |known| known + 1);
        let incarnation = next.max(environment.now().0 / 1000);
        Ok(Start {
            id: ReplicaId::new(server, incarnation),
            members,
            first: strangers.len() == self.others,
            cluster,
            disk: None,
        })
    }
}

fn two_clusters(Strangers { own, other }: Strangers) -> anyhow::Error {
    let sentence = format!(
        "the registry lists servers of two clusters, {own} and {other}, and this one belongs to \
         neither: give each cluster a registry of its own"
    );
    Failure::new(Exit::Refused, sentence).into()
}

/// The server was retired by hand, and no life of it may go on.
pub(crate) fn retired(server: u32) -> anyhow::Error {
    let sentence = format!(
        "server {server} was retired for good, so its number is not used again; start this \
         replica with another --server and an empty --data-dir"
    );
    Failure::new(Exit::Refused, sentence).into()
}
