//! A gRPC server with limits.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use crate::{Health, Listener, callers::Callers, calls::Limits, connection::Connection};

/// How long calls in work may go on after shutdown; then they are cut.
pub const DRAIN: Duration = Duration::from_secs(2);
/// Connections at once. For one more, the one that has had no call for longest is closed; if
/// each has one, it waits until one closes.
const MAX_CONNECTIONS: usize = 4096;
/// Calls at once on one connection. A client holds back more.
const MAX_STREAMS: u32 = 1024;
/// Headers of one call, in bytes. A call with more is refused.
const MAX_HEADERS: u32 = 16 * 1024;
/// A client that is silent for this long is pinged ...
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// ... and its connection closed when it stays silent for this long after.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked for responses that nobody reads.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait when the system gives no connection, such as for lack of
/// file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why a server could not serve on.
#[derive(Debug, thiserror::Error)]
#[error("the server has failed")]
pub struct ServeError(#[from] tonic::transport::Error);

type Accepted<L> = Result<Connection<<L as Listener>::Io>, Infallible>;

/// Serves the routes, and gRPC health and reflection beside them, until
/// `shutdown`. Then it takes no more connections and calls, says that it is not
/// ready, and waits for calls in work, but not longer than [`DRAIN`]: what is
/// still open is cut. Dropped, it cuts everything at once.
///
/// The size of messages is limited by the services in `routes`.
///
/// # Errors
///
/// [`ServeError`] when the server itself fails; a client that does wrong only
/// loses its own connection.
pub async fn serve<L: Listener>(
    listener: L,
    routes: Routes,
    health: Health,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let cut = CancellationToken::new();
    let _cut_at_the_end = cut.clone().drop_guard();
    let (sender, connections) = mpsc::channel(1);
    let callers = Callers::new();
    let accepting = accept(listener, sender, &callers, shutdown.clone(), cut);
    let serving = Server::builder()
        .layer(Limits)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .add_routes(with_reflection(
            routes.add_service(health.service()),
            &health,
        ))
        .serve_with_incoming_shutdown(
            ReceiverStream::new(connections),
            shutdown.clone().cancelled_owned(),
        );
    let draining = async {
        shutdown.cancelled().await;
        health.not_ready().await;
        tokio::time::sleep(DRAIN).await;
    };
    let watching = async {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            callers.cut_unread(looks.tick().await);
        }
    };
    tokio::select! {
        biased;
        ((), served) = async { tokio::join!(accepting, serving) } => served.map_err(ServeError),
        () = draining => {
            tracing::info!("cut connections whose calls did not end in {DRAIN:?}");
            Ok(())
        }
        never = watching => never,
    }
}

/// Tools such as grpcurl ask for either version. They are shown the services of
/// this server, and the types of all.
fn with_reflection(routes: Routes, health: &Health) -> Routes {
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(backfence_wire::DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        [tonic_health::pb::health_server::SERVICE_NAME]
            .into_iter()
            .chain(health.services())
            .fold(builder, |builder, name| builder.with_service_name(name))
    };
    let well_formed = "descriptors made by the build are well-formed";
    routes
        .add_service(reflection().build_v1().expect(well_formed))
        .add_service(reflection().build_v1alpha().expect(well_formed))
}

async fn accept<L: Listener>(
    mut listener: L,
    connections: mpsc::Sender<Accepted<L>>,
    callers: &Arc<Callers>,
    shutdown: CancellationToken,
    cut: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accept_all = async {
        loop {
            let io = match listener.accept().await {
                Ok(io) => io,
                Err(error) => {
                    pause_after(&error, callers).await;
                    continue;
                }
            };
            if places.available_permits() == 0 {
                callers.cut_idle();
            }
            let place = Arc::clone(&places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            let connection = Connection::new(io, place, callers, cut.child_token());
            if connections.send(Ok(connection)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = accept_all => {}
    }
}

/// Without the pause a lack of file descriptors would use up a processor.
async fn pause_after(error: &io::Error, callers: &Callers) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    let of_the_client = [ConnectionAborted, ConnectionReset, Interrupted];
    if !of_the_client.contains(&error.kind()) {
        tracing::warn!(%error, "cannot accept a connection; trying again in {ACCEPT_AGAIN:?}");
        callers.cut_idle();
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
}
