//! Who is where, by the registry.

use std::{collections::BTreeMap, future::Future, time::Duration};

use backfence_wire::v1::{
    self, registered_server::Registered, registered_server::RegisteredServer,
    registry_client::RegistryClient,
};
use tokio::sync::watch;
use tonic::{Code, Status, transport::Channel};

use crate::{
    Address, Backoff, ClaimKey, Claimed, ClusterKey, Environment, Exit, InvalidAddress,
    InvalidName, Name, Registration, follow, is_unreachable, presence::Presence, within,
};

/// How long a program looks for its registry before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the registry may take to read an answer from its table.
const READ: Duration = Duration::from_secs(1);
/// How long it may take for a name: it may dial several holders for 500 ms each.
const REGISTER: Duration = Duration::from_secs(5);

/// A program at the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name, such as `SERVER1`.
    pub name: Name,
    /// Where it serves gRPC.
    pub address: Address,
    /// Chosen at random for each registration: tells two processes apart. It is listed, so
    /// it proves nothing.
    pub instance: u64,
}

/// The name that a program wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Exactly this one.
    Exact(Name),
    /// This prefix and the lowest free number from 1 on.
    Numbered(Name),
}

/// Why the registry did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Nobody answered in time.
    #[error(
        "no registry at http://{registry}: {last}; start backfence-registry there, \
         or pass --registry URL"
    )]
    NoRegistry {
        /// Where it was looked for.
        registry: Address,
        /// How the last attempt failed.
        last: String,
    },
    /// The name is held by a process that lives. The registry's sentence names it.
    #[error("{0}; stop that process or choose another name")]
    Taken(String),
    /// Nobody has that name.
    #[error("nothing is registered as {0}")]
    NotFound(Name),
    /// The registry will not, such as for lack of room.
    #[error("the registry refuses: {0}")]
    Refused(String),
    /// The registry answered with what no registry of this version says.
    #[error(
        "the registry at http://{registry} gave a wrong answer: {why}; is it one of Backfence?"
    )]
    WrongAnswer {
        /// Where it is.
        registry: Address,
        /// What is wrong.
        why: String,
    },
}

impl DiscoveryError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoRegistry { .. } => Exit::Unavailable,
            Self::Taken(_) | Self::Refused(_) => Exit::Refused,
            Self::NotFound(_) => Exit::NotFound,
            Self::WrongAnswer { .. } => Exit::Internal,
        }
    }
}

/// Finds other programs, and lets them find this one. Cheap to clone.
///
/// What is asked for once ([`register`](Self::register), [`list`](Self::list),
/// [`look_up`](Self::look_up)) waits up to 10 s, or another
/// [patience](Self::with_patience), for a registry to answer. What
/// goes on ([`Registration`], [`watch`](Self::watch)) outlives any outage of it.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// How long to look for the registry.
    patience: Duration,
    pub(crate) environment: Environment,
    pub(crate) registry: Address,
    pub(crate) client: RegistryClient<Channel>,
    pub(crate) presence: Presence,
}

impl Discovery {
    /// By the registry at this address. Connects at the first question; must be
    /// called inside a runtime.
    pub fn new(environment: &Environment, registry: Address) -> Self {
        Self {
            patience: PATIENCE,
            environment: environment.clone(),
            client: RegistryClient::new(environment.connect(&registry)),
            registry,
            presence: Presence::default(),
        }
    }

    /// The same, which waits so long for a registry to answer instead of 10 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same for a program of a cluster with this key: it shows that it has it when it
    /// takes a name.
    #[must_use]
    pub fn with_key(mut self, key: Option<&ClusterKey>) -> Self {
        self.presence.key = key.map(ClaimKey::new);
        self
    }

    /// What a program has to serve where it registers: the registry asks there who it is. A
    /// program that does not counts as one before 0.3.
    pub fn presence(&self) -> RegisteredServer<impl Registered + use<>> {
        self.presence.service()
    }

    /// Shows that this program has the cluster's key, if it has one.
    pub(crate) fn sign<T: Claimed>(&self, mut request: T) -> T {
        if let Some(key) = &self.presence.key {
            key.sign(&mut request);
        }
        request
    }

    /// Takes a name for a program that already serves at `address` (the registry
    /// asks there who it is, see [`presence`](Self::presence)), and keeps it.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::NoRegistry`], [`Taken`](DiscoveryError::Taken) and
    /// [`Refused`](DiscoveryError::Refused).
    pub async fn register(
        &self,
        wanted: Wanted,
        address: Address,
    ) -> Result<Registration, DiscoveryError> {
        Registration::start(self.clone(), wanted, address).await
    }

    /// All entries whose name begins with the prefix, in order.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::NoRegistry`].
    pub async fn list(&self, prefix: &str) -> Result<BTreeMap<Name, Entry>, DiscoveryError> {
        let prefix = prefix.to_owned();
        let response = self
            .persist(READ, |mut client| {
                let prefix = prefix.clone();
                async move { client.list(v1::ListRequest { prefix }).await }
            })
            .await?;
        self.entries(response.entries)
    }

    /// The entry of a name.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::NotFound`] and [`NoRegistry`](DiscoveryError::NoRegistry).
    pub async fn look_up(&self, name: &Name) -> Result<Entry, DiscoveryError> {
        let asked = self.persist(READ, |mut client| {
            let name = name.to_string();
            async move {
                let response = client.look_up(v1::LookUpRequest { name }).await;
                match response {
                    Err(status) if status.code() == Code::NotFound => {
                        Ok(tonic::Response::new(v1::LookUpResponse { entry: None }))
                    }
                    other => other,
                }
            }
        });
        let found = asked.await?.entry;
        self.entry(found.ok_or_else(|| DiscoveryError::NotFound(name.clone()))?)
    }

    /// Follows all entries whose name begins with the prefix, until every
    /// receiver is dropped. Starts empty, before the registry has answered; while
    /// the registry is away, and for 5 s after it has come back, the last known
    /// entries stay. Must be called inside a runtime.
    pub fn watch(&self, prefix: impl Into<String>) -> watch::Receiver<BTreeMap<Name, Entry>> {
        let (sender, receiver) = watch::channel(BTreeMap::new());
        tokio::spawn(follow::follow(self.clone(), prefix.into(), sender));
        receiver
    }

    pub(crate) async fn register_once(
        &self,
        request: v1::RegisterRequest,
    ) -> Result<v1::RegisterResponse, Status> {
        let mut client = self.client.clone();
        let response = within(REGISTER, client.register(request)).await?;
        Ok(response.into_inner())
    }

    pub(crate) async fn register_first(
        &self,
        request: v1::RegisterRequest,
    ) -> Result<v1::RegisterResponse, DiscoveryError> {
        self.persist(REGISTER, |mut client| {
            let request = request.clone();
            async move { client.register(request).await }
        })
        .await
    }

    /// Asks until somebody answers, for 10 s.
    async fn persist<T, F>(
        &self,
        limit: Duration,
        mut call: impl FnMut(RegistryClient<Channel>) -> F,
    ) -> Result<T, DiscoveryError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut last = None;
        let mut backoff = Backoff::new(&self.environment);
        let answer = tokio::time::timeout(self.patience, async {
            loop {
                match within(limit, call(self.client.clone())).await {
                    Err(status) if is_unreachable(&status) => {
                        if last.is_none() {
                            tracing::warn!(
                                registry = %self.registry,
                                reason = reason(&status),
                                "no registry answers; trying for {:.1?}", self.patience
                            );
                        }
                        last = Some(status);
                    }
                    answer => return answer,
                }
                backoff.wait().await;
            }
        });
        match answer.await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.refusal(&status)),
            // The registry answers, but who asks could not be reached where it says.
            Err(_) if last.as_ref().is_some_and(is_said) => {
                Err(self.refusal(&last.expect("there is one")))
            }
            Err(_) => Err(DiscoveryError::NoRegistry {
                registry: self.registry.clone(),
                last: last.map_or_else(|| "no answer".to_owned(), |status| reason(&status)),
            }),
        }
    }

    pub(crate) fn refusal(&self, status: &Status) -> DiscoveryError {
        let message = status.message().to_owned();
        match status.code() {
            Code::AlreadyExists => DiscoveryError::Taken(message),
            Code::Unimplemented | Code::Unknown | Code::Internal => self.wrong(status),
            _ => DiscoveryError::Refused(message),
        }
    }

    pub(crate) fn wrong(&self, why: impl ToString) -> DiscoveryError {
        DiscoveryError::WrongAnswer {
            registry: self.registry.clone(),
            why: why.to_string(),
        }
    }

    pub(crate) fn entry(&self, entry: v1::Entry) -> Result<Entry, DiscoveryError> {
        Entry::try_from(entry).map_err(|why| self.wrong(why))
    }

    pub(crate) fn entries(
        &self,
        entries: Vec<v1::Entry>,
    ) -> Result<BTreeMap<Name, Entry>, DiscoveryError> {
        let by_name = |entry| self.entry(entry).map(|entry| (entry.name.clone(), entry));
        entries.into_iter().map(by_name).collect()
    }
}

/// Whether the registry itself says that nobody answers where the name is to be.
fn is_said(status: &Status) -> bool {
    std::error::Error::source(status).is_none() && status.code() == Code::Unavailable
}

/// Why a message from the wire is no [`Entry`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidEntry {
    /// Its name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Its address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
}

impl TryFrom<v1::Entry> for Entry {
    type Error = InvalidEntry;

    fn try_from(entry: v1::Entry) -> Result<Self, InvalidEntry> {
        Ok(Self {
            name: Name::new(entry.name)?,
            address: entry.address.parse()?,
            instance: entry.instance,
        })
    }
}

impl From<Entry> for v1::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name.to_string(),
            address: entry.address.to_string(),
            instance: entry.instance,
        }
    }
}

/// What a failed call says at its root: "Connection refused" rather than
/// "transport error".
pub(crate) fn reason(status: &Status) -> String {
    let mut root: Option<&dyn std::error::Error> = std::error::Error::source(status);
    while let Some(deeper) = root.and_then(|error| error.source()) {
        root = Some(deeper);
    }
    root.map_or_else(|| status.message().to_owned(), ToString::to_string)
}
