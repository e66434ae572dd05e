//! The gRPC service: what comes in is checked, what goes out is bounded.

use std::{sync::Arc, time::Duration};

use backfence_process::{CancellationToken, within};
use backfence_wire::v1::{self, register_request::Wanted, registry_server::Registry};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    Directory, Lease,
    names::{Names, Newcomer},
    status,
};

/// How long a registration may take with all its dials.
const REGISTER: Duration = Duration::from_secs(5);
/// Watchers at once. More are refused.
const MAX_WATCHERS: usize = 1024;

pub(crate) struct Service {
    names: Arc<Names>,
    watchers: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Service {
    pub(crate) fn new(names: Arc<Names>, shutdown: CancellationToken) -> Self {
        Self {
            names,
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            shutdown,
        }
    }
}

#[tonic::async_trait]
impl Registry for Service {
    type WatchStream = ReceiverStream<Result<v1::ListResponse, Status>>;

    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let request = request.into_inner();
        let lease = Lease::granted(request.lease_ms);
        let newcomer = Newcomer {
            address: status::address(&request.address)?,
            instance: request.instance,
            secret: status::secret(&request.secret)?,
            lease,
        };
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
        let place = Arc::clone(&self.watchers).try_acquire_owned();
        let place = place.map_err(|_| status::crowded(MAX_WATCHERS))?;
        let (sender, receiver) = mpsc::channel(1);
        let watcher = Watcher {
            names: Arc::clone(&self.names),
            prefix: request.into_inner().prefix,
            sender,
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = watcher.sender.closed() => {}
                () = watcher.watch() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Sends the whole list at once and after each change. One that reads slowly
/// skips what lay between.
struct Watcher {
    names: Arc<Names>,
    prefix: String,
    sender: mpsc::Sender<Result<v1::ListResponse, Status>>,
}

impl Watcher {
    async fn watch(&self) {
        let mut changes = self.names.changes();
        let mut sent = None;
        loop {
            let Ok(room) = self.sender.reserve().await else {
                return;
            };
            changes.mark_unchanged();
            let latest = list(&self.names, &self.prefix);
            if sent.as_ref() != Some(&latest) {
                room.send(Ok(latest.clone()));
                sent = Some(latest);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

fn list(names: &Names, prefix: &str) -> v1::ListResponse {
    let entries = names.with(|directory, now| {
        let listed = directory.list(prefix, now);
        listed.cloned().map(v1::Entry::from).collect()
    });
    v1::ListResponse { entries }
}
