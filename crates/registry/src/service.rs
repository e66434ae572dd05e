//! The gRPC service: what comes in is checked, what goes out is bounded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backfence_process::{CancellationToken, Claimed, Client, Entry, within};
use backfence_wire::v1::{self, register_request::Wanted, registry_server::Registry};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    Claim, Directory, Lease,
    names::{Names, Newcomer},
    places::{Entered, Peer, Places},
    status,
};

/// How long a registration may take with all its dials.
const REGISTER: Duration = Duration::from_secs(5);
/// Watchers at once. One more takes the place of one of who has the most.
const MAX_WATCHERS: usize = 1024;
/// Watchers of one connection. A program needs one.
const MAX_WATCHERS_EACH: usize = 8;
/// Registrations of one connection in work at once: each may have addresses dialled.
const MAX_REGISTERING_EACH: usize = 4;
/// A watcher is sent one list in this time.
const PACE: Duration = Duration::from_millis(20);

pub(crate) struct Service {
    names: Arc<Names>,
    watchers: Arc<Watchers>,
    registering: Arc<Mutex<BTreeMap<Peer, usize>>>,
    shutdown: CancellationToken,
}

/// The watchers, and what ends each.
struct Watchers(Mutex<(Places, BTreeMap<u64, CancellationToken>)>);

/// A watcher's place, given back when it is dropped.
struct Place {
    watchers: Arc<Watchers>,
    peer: Peer,
    place: u64,
    given_up: CancellationToken,
}

impl Watchers {
    fn held(&self) -> MutexGuard<'_, (Places, BTreeMap<u64, CancellationToken>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, peer: Peer) -> Result<Place, Status> {
        let mut held = self.held();
        let (places, ends) = &mut *held;
        let entered = places.enter(peer).map_err(|why| status::crowded(&why))?;
        let Entered { place, instead_of } = entered;
        if let Some(end) = instead_of.and_then(|place| ends.remove(&place)) {
            end.cancel();
        }
        let given_up = CancellationToken::new();
        ends.insert(place, given_up.clone());
        drop(held);
        Ok(Place {
            watchers: Arc::clone(self),
            peer,
            place,
            given_up,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.watchers.held();
        held.0.leave(self.peer, self.place);
        held.1.remove(&self.place);
    }
}

/// A registration in work.
struct Registering {
    all: Arc<Mutex<BTreeMap<Peer, usize>>>,
    peer: Peer,
}

impl Registering {
    fn enter(all: &Arc<Mutex<BTreeMap<Peer, usize>>>, peer: Peer) -> Result<Self, Status> {
        let mut counts = all.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if peer.is_some() && *count >= MAX_REGISTERING_EACH {
            return Err(status::hasty(MAX_REGISTERING_EACH));
        }
        *count += 1;
        drop(counts);
        let all = Arc::clone(all);
        Ok(Self { all, peer })
    }
}

impl Drop for Registering {
    fn drop(&mut self) {
        let mut counts = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

/// The connection that a request came by.
fn peer<T>(request: &Request<T>) -> Peer {
    request.extensions().get().map(Client::number)
}

impl Service {
    pub(crate) fn new(names: Arc<Names>, shutdown: CancellationToken) -> Self {
        Self {
            names,
            watchers: Arc::new(Watchers(Mutex::new((
                Places::new(MAX_WATCHERS, MAX_WATCHERS_EACH),
                BTreeMap::new(),
            )))),
            registering: Arc::default(),
            shutdown,
        }
    }

    /// Where the registry has a key, only who has it too acts on names.
    fn admit<T: Claimed + Clone>(&self, request: &T, name: &str) -> Result<(), Status> {
        let Some(key) = &self.names.key else {
            return Ok(());
        };
        let has_none = request.clone().code().is_empty();
        if key.verifies(request) || self.names.keyless && has_none {
            return Ok(());
        }
        // What a stranger says is no text for a log, nor long.
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let refused = status::keyless(name);
        tracing::warn!("refused: {}", refused.message());
        Err(refused)
    }
}

#[tonic::async_trait]
impl Registry for Service {
    type WatchStream = ReceiverStream<Result<v1::ListResponse, Status>>;

    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let asked = match &request.wanted {
            Some(Wanted::Name(name) | Wanted::Numbered(name)) => name,
            None => "",
        };
        self.admit(&request, asked)?;
        let lease = Lease::granted(request.lease_ms);
        let newcomer = Newcomer {
            address: status::address(&request.address)?,
            instance: request.instance,
            claim: Claim {
                secret: status::secret(&request.secret)?,
                shown: false,
                lease,
            },
        };
        let _registering = Registering::enter(&self.registering, peer)?;
        let granted = match request.wanted {
            Some(Wanted::Name(name)) => {
                let name = status::name(name)?;
                within(REGISTER, self.names.take(name, &newcomer)).await?
            }
            Some(Wanted::Numbered(prefix)) => {
                let prefix = status::prefix(prefix)?;
                within(REGISTER, self.names.take_numbered(&prefix, &newcomer)).await?
            }
            None => return Err(Status::invalid_argument("neither name nor numbered is set")),
        };
        Ok(Response::new(v1::RegisterResponse {
            entry: Some(granted.into()),
            lease_ms: lease.as_millis(),
        }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let request = request.into_inner();
        self.admit(&request, &request.name)?;
        let (name, instance) = (status::name(request.name)?, request.instance);
        let secret = status::secret(&request.secret)?;
        let renew = |directory: &mut Directory, now| directory.renew(&name, instance, secret, now);
        if self.names.with(renew) {
            Ok(Response::new(v1::RenewResponse {}))
        } else {
            Err(Status::not_found(format!(
                "{name} is not held by who asks; register again"
            )))
        }
    }

    async fn unregister(
        &self,
        request: Request<v1::UnregisterRequest>,
    ) -> Result<Response<v1::UnregisterResponse>, Status> {
        let request = request.into_inner();
        self.admit(&request, &request.name)?;
        let (name, instance) = (status::name(request.name)?, request.instance);
        let secret = status::secret(&request.secret)?;
        self.names
            .with(|directory, _| directory.unregister(&name, instance, secret));
        Ok(Response::new(v1::UnregisterResponse {}))
    }

    async fn look_up(
        &self,
        request: Request<v1::LookUpRequest>,
    ) -> Result<Response<v1::LookUpResponse>, Status> {
        let name = status::name(request.into_inner().name)?;
        let found = self
            .names
            .with(|directory, now| directory.look_up(&name, now).cloned());
        match found {
            Some(entry) => Ok(Response::new(v1::LookUpResponse {
                entry: Some(entry.into()),
            })),
            None => Err(Status::not_found(format!(
                "nothing is registered as {name}"
            ))),
        }
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        Ok(Response::new(list(
            &self.names,
            &request.into_inner().prefix,
        )))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.watchers.enter(peer(&request))?;
        let (sender, receiver) = mpsc::channel(1);
        let watcher = Watcher {
            names: Arc::clone(&self.names),
            prefix: request.into_inner().prefix,
            sender,
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = place.given_up.cancelled() => {}
                () = watcher.sender.closed() => {}
                () = watcher.watch() => {}
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Sends the whole list at once and after each change. One that reads slowly
/// skips what lay between, and so does one where much changes.
struct Watcher {
    names: Arc<Names>,
    prefix: String,
    sender: mpsc::Sender<Result<v1::ListResponse, Status>>,
}

impl Watcher {
    async fn watch(&self) {
        let mut changes = self.names.changes();
        let mut sent: Option<Vec<v1::Entry>> = None;
        loop {
            let Ok(room) = self.sender.reserve().await else {
                return;
            };
            changes.mark_unchanged();
            let entries = begin(&self.names.listed(), &self.prefix);
            if sent.as_ref() != Some(&entries) {
                sent = Some(entries.clone());
                room.send(Ok(v1::ListResponse { entries }));
            }
            let next = Instant::now() + PACE;
            if changes.changed().await.is_err() {
                return;
            }
            sleep_until(next).await;
        }
    }
}

/// What is listed of the names that begin with a prefix, without the registry's lock.
fn begin(listed: &[Entry], prefix: &str) -> Vec<v1::Entry> {
    let begins = |entry: &&Entry| entry.name.as_str().starts_with(prefix);
    let entries = listed.iter().filter(begins);
    entries.cloned().map(v1::Entry::from).collect()
}

fn list(names: &Names, prefix: &str) -> v1::ListResponse {
    let entries = names.with(|directory, now| {
        let listed = directory.list(prefix, now);
        listed.cloned().map(v1::Entry::from).collect()
    });
    v1::ListResponse { entries }
}
