//! The gRPC service: it opens streams and leaves them to their rooms.

use std::{sync::Arc, time::Duration};

use backfence_process::{CancellationToken, within};
use backfence_wire::{
    MAX_GOSSIP, MAX_REQUEST,
    v1::{
        self,
        replica_server::{Replica, ReplicaServer},
    },
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{copy::Copy, gossip, serve::Serving};

/// How long a call waits for a replica that is just starting.
const START: Duration = Duration::from_millis(300);
/// Messages on their way out of one stream; whoever makes more waits.
const OUTGOING: usize = 64;

/// The service of a replica, to be served before the replica has its number.
pub(crate) fn server(starting: Starting, shutdown: CancellationToken) -> ReplicaServer<Service> {
    ReplicaServer::new(Service { starting, shutdown })
        .max_decoding_message_size(MAX_GOSSIP.max(MAX_REQUEST))
        .max_encoding_message_size(MAX_GOSSIP)
}

/// A copy that there may not be yet. The registry dials a replica before it gives
/// it a name, so the port is open before there is an id.
#[derive(Clone)]
pub(crate) struct Starting(watch::Sender<Option<Arc<Copy>>>);

impl Starting {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn started(&self, copy: Arc<Copy>) {
        self.0.send_replace(Some(copy));
    }

    async fn copy(&self) -> Result<Arc<Copy>, Status> {
        let mut receiver = self.0.subscribe();
        within(START, async move {
            let copy = receiver.wait_for(Option::is_some).await;
            copy.ok()
                .and_then(|copy| copy.clone())
                .ok_or_else(|| Status::unavailable("the replica is leaving"))
        })
        .await
        .map_err(|_| Status::unavailable("the replica is still starting; try again later"))
    }
}

pub(crate) struct Service {
    starting: Starting,
    shutdown: CancellationToken,
}

#[tonic::async_trait]
impl Replica for Service {
    type ServeStream = Serving;
    type GossipStream = ReceiverStream<Result<v1::PeerMessage, Status>>;

    async fn serve(
        &self,
        requests: Request<Streaming<v1::ServeRequest>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        let copy = self.starting.copy().await?;
        let shutdown = self.shutdown.clone();
        Ok(Response::new(Serving::new(
            copy,
            requests.into_inner(),
            shutdown,
        )))
    }

    async fn gossip(
        &self,
        messages: Request<Streaming<v1::PeerMessage>>,
    ) -> Result<Response<Self::GossipStream>, Status> {
        let copy = self.starting.copy().await?;
        let (answers, receiver) = mpsc::channel(OUTGOING);
        let shutdown = self.shutdown.clone();
        tokio::spawn(gossip::serve(
            copy,
            messages.into_inner(),
            answers,
            shutdown,
        ));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let copy = self.starting.copy().await?;
        Ok(Response::new(copy.describe_to(&request.into_inner().nonce)))
    }
}
