//! The registry: names, leases, watch.
//!
//! Programs take a name under a lease, renew it, and follow who else is there.
//! They ask when they start and when something changes, never per request, and
//! the registry keeps nothing on disk: when it restarts, everybody registers
//! again by itself.
//!
//! A name that is held is never taken from a living process. Who asks for one
//! makes the registry dial its holder, and a holder that does not show within
//! 500 ms that it is there loses the name at once, however long its lease
//! still runs: a process that was killed can be started again without a wait,
//! and one that hangs counts as dead.
//!
//! Who reads the list cannot give a name up, renew or move it: that takes the
//! secret which its holder drew. Nor does it help to claim the holder's address, or
//! anybody else's: the registry asks at the address which registration is there, and
//! the program there shows it by its secret. So nothing is listed, and dialled by all,
//! that has not asked for it; only a program before 0.3 cannot show itself, and is taken
//! at its word where no other is there. With a cluster key names are for those only who
//! have it.
//!
//! [`Directory`] holds the rules, without a clock or a socket; the service
//! around it dials, waits and streams.

mod directory;
mod found;
mod names;
mod places;
mod service;
mod status;

use std::sync::Arc;

use backfence_process::{
    CancellationToken, ClaimKey, ClusterKey, Environment, Health, Listener, ServeError, serve,
};
use backfence_wire::v1::registry_server::{RegistryServer, SERVICE_NAME};
use tonic::service::Routes;

pub use directory::{Claim, Denied, Directory, Lease, MAX_ENTRIES};

use names::Names;
use service::Service;

/// The largest request, in bytes. A larger one is refused.
const MAX_REQUEST: usize = 64 * 1024;

/// How a registry is run.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What programs have to show that they have, to act on names; `None` lets all do so.
    pub cluster_key: Option<ClusterKey>,
    /// Also those without a key may, while a cluster is given one.
    pub accept_keyless: bool,
}

/// Serves the registry until `shutdown`.
///
/// # Errors
///
/// [`ServeError`] when the server fails as a whole. No client can cause that.
pub async fn run<L: Listener>(
    listener: L,
    config: Config,
    environment: Environment,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    match &config.cluster_key {
        Some(key) if config.accept_keyless => {
            tracing::warn!(key = %key.name(), "names are not protected while keyless programs are accepted");
        }
        Some(key) => tracing::info!(key = %key.name(), "names are protected"),
        None => tracing::warn!(
            "names are not protected: whoever reaches this registry can take one that is free; \
             --cluster-key FILE protects them"
        ),
    }
    let key = config.cluster_key.as_ref().map(ClaimKey::new);
    let names = Arc::new(Names::new(environment, key, config.accept_keyless));
    let service = Service::new(Arc::clone(&names), shutdown.clone());
    let health = Health::new(&[SERVICE_NAME]).await;
    health.ready().await;
    let server = RegistryServer::new(service).max_decoding_message_size(MAX_REQUEST);
    tokio::select! {
        biased;
        served = serve(listener, Routes::new(server), health, shutdown) => served,
        never = names.expire() => match never {},
    }
}
