//! Taking an incarnation that was never used before, and hearing who takes part.

use std::{collections::BTreeSet, time::Duration};

use backfence_gossip::{MAX_SERVERS, ReplicaId};
use backfence_process::{Address, Discovery, Environment, Exit, Failure, NodeKey, within};
use backfence_store::Recovered;
use backfence_wire::{
    Malformed, all,
    v1::{self, replica_client::ReplicaClient},
};
use tokio::task::JoinSet;

use crate::{
    PREFIX,
    cluster::{self, Claim, Cluster, Strangers, of_all},
    data::{Party, Verdict, decide},
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
    /// Somebody has loaded other data.
    pub(crate) differs: bool,
    /// Its cluster, so far.
    pub(crate) cluster: Cluster,
    /// Its disk, and what was on it; `None` where nothing is kept.
    pub(crate) disk: Option<(Disk, Recovered)>,
}

/// What a former life has stored of itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stored {
    /// The greatest incarnation of this server that it knew of, or the mark of its end.
    pub(crate) incarnation: Option<u64>,
    pub(crate) of: cluster::Disk,
}

/// Who takes part, as a replica hears that asks.
pub(crate) struct HeardOf {
    said: Vec<Said>,
    /// How many others are registered.
    others: usize,
}

/// What a peer says of itself.
struct Said {
    address: Address,
    party: Party,
    claim: Claim,
    /// Of whom it has heard.
    members: Vec<ReplicaId>,
}

impl Said {
    fn read(address: Address, answer: v1::DescribeResponse) -> Result<Self, Malformed> {
        let claim = Claim::read(&answer.cluster, answer.standing, &answer.fingerprint)?;
        let party = Party::read(&answer, &claim);
        Ok(Self {
            address,
            party: party.ok_or(Malformed("a description without an id"))?,
            claim,
            members: all(answer.members)?,
        })
    }
}

impl HeardOf {
    /// Asks every replica that is registered at another address.
    pub(crate) async fn ask(
        environment: &Environment,
        key: &NodeKey,
        discovery: &Discovery,
        own: &Address,
    ) -> anyhow::Result<Self> {
        let entries = discovery.list(PREFIX).await?.into_values();
        let addresses = entries.map(|entry| entry.address);
        let others = addresses.filter(|address| address != own);
        Ok(Self::ask_all(environment, key, others).await)
    }

    /// Asks the replicas at these addresses.
    pub(crate) async fn ask_all(
        environment: &Environment,
        key: &NodeKey,
        addresses: impl Iterator<Item = Address>,
    ) -> Self {
        let mut asking = JoinSet::new();
        for address in addresses.take(MAX_SERVERS) {
            let mut peer = ReplicaClient::new(environment.connect(&address));
            let (key, nonce) = (key.clone(), environment.nonce());
            let request = v1::DescribeRequest {
                nonce: nonce.to_vec(),
            };
            asking.spawn(async move {
                let answer = within(ASK, peer.describe(request)).await;
                let answer = answer.map(|answer| {
                    let answer = answer.into_inner();
                    key.check(&address, &nonce, &answer).map(|()| answer)
                });
                (address, answer)
            });
        }
        let others = asking.len();
        let mut said = Vec::new();
        while let Some(answer) = asking.join_next().await {
            let Ok((address, Ok(answer))) = answer else {
                continue;
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(why) => {
                    let why = why.between("this replica", format_args!("the one at {address}"));
                    tracing::warn!("a peer is ignored: {why}");
                    continue;
                }
            };
            match Said::read(address, answer) {
                Ok(read) => said.push(read),
                // It is refused when it says Hello; here it must stop nobody.
                Err(error) => tracing::warn!(%error, "a peer is ignored"),
            }
        }
        Self { said, others }
    }

    /// What this replica does about those that have loaded other data.
    pub(crate) fn verdict(&self, own: &Party, is_over: bool) -> Verdict {
        let parties: Vec<_> = self.said.iter().map(|said| said.party.clone()).collect();
        decide(own, &parties, self.others - self.said.len(), is_over)
    }

    /// Where those are that have loaded other data.
    pub(crate) fn with_other_data(&self, fingerprint: &str) -> BTreeSet<Address> {
        let differs = |said: &&Said| said.party.fingerprint != fingerprint;
        let differing = self.said.iter().filter(differs);
        differing.map(|said| said.address.clone()).collect()
    }

    /// Whether somebody knows that the server was retired for good.
    pub(crate) fn has_ended(&self, server: u32) -> bool {
        let mut heard = self.said.iter().flat_map(|said| &said.members);
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
        let mut said = self.said;
        let heard_of = said.len();
        // Whoever has other data is of another cluster, whatever it is called.
        said.retain(|said| said.party.fingerprint == fingerprint);
        let differs = said.len() < heard_of;
        let heard = match stored.of {
            cluster::Disk::Of(_) => None,
            _ => of_all(said.iter().map(|said| &said.claim)).map_err(two_clusters)?,
        };
        let cluster = Cluster::new(stored.of, heard, fingerprint, environment);
        let is_ours = |said: &Said| said.claim.may_be_of(cluster.id());
        let (ours, strangers): (Vec<_>, Vec<_>) = said.into_iter().partition(is_ours);
        let members: Vec<_> = ours.into_iter().flat_map(|said| said.members).collect();
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
            differs,
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

/// The servers with other data are the cluster, and this one is no part of it.
pub(crate) fn other_data(own: &Party, other: &Party) -> Failure {
    let sentence = format!(
        "server {} has loaded other data (fingerprint {}) than server {} (fingerprint {}), so it \
         cannot take part; start it with the same movies, ratings and tags files",
        own.server, own.fingerprint, other.server, other.fingerprint
    );
    Failure::new(Exit::Usage, sentence)
}

/// The server was retired by hand, and no life of it may go on.
pub(crate) fn retired(server: u32) -> anyhow::Error {
    let sentence = format!(
        "server {server} was retired for good, so its number is not used again; start this \
         replica with another --server and an empty --data-dir"
    );
    Failure::new(Exit::Refused, sentence).into()
}
