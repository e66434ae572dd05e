//! A name that is kept.

use std::time::Duration;

use backfence_wire::v1::{self, register_request::Wanted as WireWanted};
use tokio::{sync::watch, task::JoinHandle};
use tonic::{Code, Status};

use crate::{
    Address, Backoff, Discovery, DiscoveryError, Name, Secret, Wanted, discovery::reason,
    is_unreachable, within,
};

/// How long the registry may take to renew a lease.
const RENEW: Duration = Duration::from_secs(1);
/// How long leaving may take; after it the lease runs out by itself.
const LEAVE: Duration = Duration::from_millis(500);

/// A name at the registry, kept until this is dropped or [`leave`](Self::leave)
/// is called.
///
/// The lease is renewed after a third of its length at most. A registry that
/// goes away or restarts stops nothing: the name is registered again as soon as
/// it answers.
#[derive(Debug)]
pub struct Registration {
    name: Name,
    instance: u64,
    secret: Secret,
    discovery: Discovery,
    keeper: JoinHandle<()>,
    lost: watch::Receiver<Option<String>>,
}

impl Registration {
    pub(crate) async fn start(
        discovery: Discovery,
        wanted: Wanted,
        address: Address,
    ) -> Result<Self, DiscoveryError> {
        let instance = discovery.environment.random_u64();
        let secret = Secret::random(&discovery.environment);
        let request = v1::RegisterRequest {
            wanted: Some(match wanted {
                Wanted::Exact(name) => WireWanted::Name(name.to_string()),
                Wanted::Numbered(prefix) => WireWanted::Numbered(prefix.to_string()),
            }),
            address: address.to_string(),
            instance,
            lease_ms: 0,
            secret: secret.to_bytes(),
            code: Vec::new(),
        };
        discovery.presence.enter(instance, secret);
        let granted = discovery.register_first(discovery.sign(request)).await;
        let granted = granted.inspect_err(|_| discovery.presence.leave(instance))?;
        let entry = granted.entry.ok_or_else(|| discovery.wrong("no entry"))?;
        let name = discovery.entry(entry)?.name;
        let (sender, lost) = watch::channel(None);
        let keeper = Keeper {
            discovery: discovery.clone(),
            name: name.clone(),
            address,
            instance,
            secret,
            lease: lease_of(granted.lease_ms),
            held: true,
            away: false,
        };
        tracing::info!(%name, address = %keeper.address, "registered");
        Ok(Self {
            name,
            instance,
            secret,
            discovery,
            keeper: tokio::spawn(keeper.keep(sender)),
            lost,
        })
    }

    /// The name that was granted.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Waits until the name is lost: after an outage of the registry, or of this
    /// process, another living one has it. Else it waits for ever.
    pub async fn lost(&self) -> DiscoveryError {
        let mut lost = self.lost.clone();
        let sentence = match lost.wait_for(Option::is_some).await {
            Ok(sentence) => sentence.clone(),
            Err(_) => None,
        };
        match sentence {
            Some(sentence) => DiscoveryError::Taken(sentence),
            None => std::future::pending().await,
        }
    }

    /// Gives the name up, within 500 ms; if the registry does not answer, the
    /// lease runs out by itself.
    pub async fn leave(mut self) {
        self.keeper.abort();
        // Else a renewal could follow the farewell.
        let _ = (&mut self.keeper).await;
        let request = v1::UnregisterRequest {
            name: self.name.to_string(),
            instance: self.instance,
            secret: self.secret.to_bytes(),
            code: Vec::new(),
        };
        let request = self.discovery.sign(request);
        let mut client = self.discovery.client.clone();
        if let Err(status) = within(LEAVE, client.unregister(request)).await {
            tracing::debug!(reason = reason(&status), "left without a farewell");
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.keeper.abort();
        self.discovery.presence.leave(self.instance);
    }
}

struct Keeper {
    discovery: Discovery,
    name: Name,
    address: Address,
    instance: u64,
    secret: Secret,
    lease: Duration,
    /// As far as is known here.
    held: bool,
    /// The registry does not answer, which has been logged.
    away: bool,
}

impl Keeper {
    async fn keep(mut self, lost: watch::Sender<Option<String>>) {
        let mut backoff = Backoff::new(&self.discovery.environment);
        self.rest().await;
        loop {
            let outcome = if self.held {
                self.renew().await
            } else {
                self.register_again().await
            };
            match outcome {
                Ok(()) => {
                    self.answered();
                    backoff.reset();
                    self.rest().await;
                }
                Err(status) if is_unreachable(&status) => {
                    self.unanswered(&status);
                    backoff.wait().await;
                }
                Err(status) if status.code() == Code::NotFound && self.held => {
                    self.answered();
                    self.held = false;
                }
                Err(status) if status.code() == Code::AlreadyExists => {
                    tracing::error!(name = %self.name, "name lost: {}", status.message());
                    lost.send_replace(Some(status.message().to_owned()));
                    return;
                }
                Err(status) => {
                    tracing::warn!(name = %self.name, %status, "cannot keep the name; trying on");
                    backoff.wait().await;
                }
            }
        }
    }

    async fn rest(&self) {
        let pause = self.discovery.environment.jitter(self.lease / 3);
        tokio::time::sleep(pause).await;
    }

    async fn renew(&self) -> Result<(), Status> {
        let request = v1::RenewRequest {
            name: self.name.to_string(),
            instance: self.instance,
            secret: self.secret.to_bytes(),
            code: Vec::new(),
        };
        let request = self.discovery.sign(request);
        let mut client = self.discovery.client.clone();
        within(RENEW, client.renew(request)).await.map(|_| ())
    }

    /// By its name, also when it was granted by number: others know it by that.
    async fn register_again(&mut self) -> Result<(), Status> {
        let request = v1::RegisterRequest {
            wanted: Some(WireWanted::Name(self.name.to_string())),
            address: self.address.to_string(),
            instance: self.instance,
            lease_ms: 0,
            secret: self.secret.to_bytes(),
            code: Vec::new(),
        };
        let request = self.discovery.sign(request);
        let granted = self.discovery.register_once(request).await?;
        self.lease = lease_of(granted.lease_ms);
        self.held = true;
        tracing::info!(name = %self.name, "registered again");
        Ok(())
    }

    fn answered(&mut self) {
        if std::mem::take(&mut self.away) {
            tracing::info!(registry = %self.discovery.registry, "the registry is back");
        }
    }

    fn unanswered(&mut self, status: &Status) {
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(
                registry = %self.discovery.registry,
                reason = reason(status),
                "the registry is away; going on without it"
            );
        }
    }
}

/// A registry that grants less must not be asked without a pause.
fn lease_of(lease_ms: u32) -> Duration {
    Duration::from_millis(u64::from(lease_ms).max(100))
}
