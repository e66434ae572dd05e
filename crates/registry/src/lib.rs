//! The registry: names, leases, watch.
//!
//! Programs take a name under a lease, renew it, and follow who else is there.
//! They ask when they start and when something changes, never per request, and
//! the registry keeps nothing on disk: when it restarts, everybody registers
//! again by itself.
//!
//! A name that is held is never taken from a living process. Who asks for one
//! makes the registry dial its holder, and a holder that does not answer a
//! health check within 500 ms loses the name at once, however long its lease
//! still runs: a process that was killed can be started again without a wait,
//! and one that hangs counts as dead.
//!
//! Who reads the list cannot give a name up, renew or move it: that takes the
//! secret which its holder drew. A secret does not keep away who claims to be at
//! the holder's address, for so does a process that came back.
//!
//! [`Directory`] holds the rules, without a clock or a socket; the service
//! around it dials, waits and streams.

mod directory;
mod names;
mod service;
mod status;

use std::sync::Arc;

use backfence_process::{CancellationToken, Environment, Health, Listener, ServeError, serve};
use backfence_wire::v1::registry_server::{RegistryServer, SERVICE_NAME};
use tonic::service::Routes;

pub use directory::{Denied, Directory, Lease, MAX_ENTRIES};

use names::Names;
use service::Service;

/// The largest request, in bytes. A larger one is refused.
const MAX_REQUEST: usize = 64 * 1024;

/// Serves the registry until `shutdown`.
///
/// # Errors
///
/// [`ServeError`] when the server fails as a whole. No client can cause that.
pub async fn run<L: Listener>(
    listener: L,
    environment: Environment,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let names = Arc::new(Names::new(environment));
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
