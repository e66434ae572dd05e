//! The front ends, and how they are found.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backfence_gossip::SessionId;
use backfence_process::{Address, ClusterKey, Discovery, DiscoveryError, Environment, Name};
use backfence_wire::v1::{front_end_client::FrontEndClient, operator_client::OperatorClient};
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::{SavedSession, Session};

/// How long a request may take, all its tries together.
const LIMIT: Duration = Duration::from_secs(2);
/// How long the registry may take to say which front ends there are, once none of
/// those known answers.
const REFRESH: Duration = Duration::from_millis(300);
/// How long to look for a front end at first.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until a registry that knows no front end is asked again. After its own start it
/// hears within 2 s of those that run.
const AGAIN: Duration = Duration::from_millis(100);

/// Where the front ends are to be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Those registered at this registry.
    Registry(Address),
    /// These, and no others.
    FrontEnds(Vec<Address>),
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The registry knows no front end.
    #[error("no front end is registered at http://{0}; start one with backfence-frontend")]
    NoFrontEnd(Address),
    /// The list of front ends is empty.
    #[error("no front end is given; name one, or a registry that knows some")]
    NoneGiven,
    /// The registry cannot be asked.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

/// Knows the front ends. Cheap to clone; a clone is the same client, with the same
/// connections, so that many sessions can share them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    limit: Duration,
    copies: u32,
    cluster_key: Option<ClusterKey>,
}

struct Shared {
    environment: Environment,
    discovery: Option<Discovery>,
    /// Replaced as a whole, so the lock is held for a clone of the `Arc`.
    front_ends: Mutex<Arc<[FrontEnd]>>,
}

/// A front end and the channel to it, which connects at the first call.
#[derive(Clone, Debug)]
pub(crate) struct FrontEnd {
    pub(crate) address: Address,
    channel: Channel,
}

/// A service of a front end.
pub(crate) trait Service {
    /// That of this front end.
    fn of(front_end: &FrontEnd) -> Self;
}

impl Service for FrontEndClient<Channel> {
    fn of(front_end: &FrontEnd) -> Self {
        Self::new(front_end.channel.clone())
    }
}

impl Service for OperatorClient<Channel> {
    fn of(front_end: &FrontEnd) -> Self {
        Self::new(front_end.channel.clone())
    }
}

impl Client {
    /// Finds the front ends. A registry has 10 s to name one; no front end is dialled
    /// before the first request.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when there is none, or the registry does not say.
    pub async fn connect(environment: &Environment, source: Source) -> Result<Self, ConnectError> {
        Self::connect_within(environment, source, PATIENCE).await
    }

    /// The same, in so much time.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_within(
        environment: &Environment,
        source: Source,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let (discovery, addresses) = match source {
            Source::Registry(registry) => {
                let addresses = find(environment, &registry, patience).await?;
                (Some(Discovery::new(environment, registry)), addresses)
            }
            Source::FrontEnds(addresses) if addresses.is_empty() => {
                return Err(ConnectError::NoneGiven);
            }
            Source::FrontEnds(addresses) => (None, addresses),
        };
        let front_ends = addresses
            .into_iter()
            .map(|address| FrontEnd::new(environment, address))
            .collect();
        Ok(Self {
            shared: Arc::new(Shared {
                environment: environment.clone(),
                discovery,
                front_ends: Mutex::new(front_ends),
            }),
            limit: LIMIT,
            copies: 1,
            cluster_key: None,
        })
    }

    /// The same client, whose sessions give each request this long instead of 2 s.
    /// Shorter than 100 ms leaves no room for a second try.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The same client, whose sessions' updates are answered once so many servers have
    /// them instead of one; each waits no longer than a request may take. More than the
    /// cluster has are [invalid](crate::Error::Invalid).
    #[must_use]
    pub fn with_copies(self, copies: u32) -> Self {
        Self { copies, ..self }
    }

    /// The same client, whose sessions show front ends with this key that an operator
    /// asks, where one has to: see `operator.proto`.
    #[must_use]
    pub fn with_cluster_key(self, key: ClusterKey) -> Self {
        let cluster_key = Some(key);
        Self {
            cluster_key,
            ..self
        }
    }

    /// A new session. A front end begins it with its first request.
    pub fn session(&self) -> Session {
        let id = SessionId(self.shared.environment.random_u128());
        Session::new(self.clone(), id)
    }

    /// Goes on with a session that was [saved](Session::save), here or elsewhere.
    /// Only one may go on with it: two would give one update id to two updates.
    pub fn resume(&self, saved: SavedSession) -> Session {
        Session::resume(self.clone(), saved)
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.shared.environment
    }

    /// How long its sessions give each request.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn cluster_key(&self) -> Option<&ClusterKey> {
        self.cluster_key.as_ref()
    }

    pub(crate) fn copies(&self) -> u32 {
        self.copies
    }

    /// The front ends in the order in which to try them: from `preferred` on, or,
    /// so that sessions spread, from any.
    pub(crate) fn front_ends(&self, preferred: Option<&Address>) -> Vec<FrontEnd> {
        let mut front_ends = self.known().to_vec();
        let first = preferred
            .and_then(|address| front_ends.iter().position(|f| f.address == *address))
            .unwrap_or_else(|| {
                let drawn = self.shared.environment.random_u64();
                (drawn % front_ends.len() as u64) as usize
            });
        front_ends.rotate_left(first);
        front_ends
    }

    /// Asks the registry, if there is one, which front ends there are now. If it
    /// does not say, or knows none, those that are known stay.
    pub(crate) async fn refresh(&self) {
        let Some(discovery) = &self.shared.discovery else {
            return;
        };
        let Ok(Ok(addresses)) = tokio::time::timeout(REFRESH, list(discovery)).await else {
            tracing::debug!("the registry does not say which front ends there are");
            return;
        };
        if addresses.is_empty() {
            return;
        }
        let known = self.known();
        let kept = |address: Address| {
            let same = known.iter().find(|f| f.address == address);
            same.cloned()
                .unwrap_or_else(|| FrontEnd::new(&self.shared.environment, address))
        };
        let front_ends = addresses.into_iter().map(kept).collect();
        *self.lock() = front_ends;
    }

    fn known(&self) -> Arc<[FrontEnd]> {
        Arc::clone(&self.lock())
    }

    /// The list is replaced in one step, so a poisoned lock is fine.
    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<[FrontEnd]>> {
        let lock = self.shared.front_ends.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known();
        let addresses: Vec<_> = known.iter().map(|f| f.address.to_string()).collect();
        f.debug_struct("Client")
            .field("front_ends", &addresses)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl FrontEnd {
    fn new(environment: &Environment, address: Address) -> Self {
        Self {
            channel: environment.connect(&address),
            address,
        }
    }
}

/// Asks until there is a front end: a registry that has just started knows none yet.
async fn find(
    environment: &Environment,
    registry: &Address,
    patience: Duration,
) -> Result<Vec<Address>, ConnectError> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let discovery = Discovery::new(environment, registry.clone()).with_patience(left);
        let addresses = list(&discovery).await?;
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        if deadline <= Instant::now() + AGAIN {
            return Err(ConnectError::NoFrontEnd(registry.clone()));
        }
        sleep(AGAIN).await;
    }
}

/// In order of their names, each address once.
async fn list(discovery: &Discovery) -> Result<Vec<Address>, DiscoveryError> {
    let entries = discovery.list("").await?;
    let mut addresses = Vec::with_capacity(entries.len());
    let front_ends = entries.into_values();
    for entry in front_ends.filter(|entry| !entry.name.as_str().starts_with(Name::SERVERS)) {
        if !addresses.contains(&entry.address) {
            addresses.push(entry.address);
        }
    }
    Ok(addresses)
}
