//! A replica, asked without a front end.

use std::time::Duration;

use anyhow::Context as _;
use backfence_wire::{
    encode,
    v1::{self, operation, query, replica_client::ReplicaClient, serve_request::Body},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// How long a reply may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// Requests on their way.
pub(crate) const WINDOW: usize = 128;

/// A stream to a replica, as a front end has it. No more requests than [`WINDOW`] may be
/// without a reply.
pub(crate) struct Link {
    requests: mpsc::Sender<v1::ServeRequest>,
    replies: Streaming<v1::ServeReply>,
    number: u64,
}

impl Link {
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let cannot = || format!("cannot reach the replica at {url}");
        let client = ReplicaClient::connect(url.to_owned()).await;
        let (requests, queue) = mpsc::channel(WINDOW);
        let replies = client
            .with_context(cannot)?
            .serve(ReceiverStream::new(queue))
            .await
            .with_context(cannot)?
            .into_inner();
        Ok(Self {
            requests,
            replies,
            number: 0,
        })
    }

    pub(crate) async fn send(&mut self, body: Body) -> anyhow::Result<()> {
        self.number += 1;
        let request = v1::ServeRequest {
            number: self.number,
            patience_ms: LIMIT.as_millis() as u32,
            body: Some(body),
            ..v1::ServeRequest::default()
        };
        let sent = self.requests.send(request).await;
        sent.context("a replica has gone")
    }

    pub(crate) async fn receive(&mut self) -> anyhow::Result<v1::ServeReply> {
        let reply = timeout(LIMIT, self.replies.message()).await;
        let reply = reply.context("a replica does not answer")??;
        reply.context("a replica has gone")
    }
}

/// A rating of 4.
pub(crate) fn update(
    id: &v1::UpdateId,
    user_id: u32,
    movie_id: u32,
    prev: &v1::Timestamp,
    time_us: u64,
) -> Body {
    let rate = operation::Rate {
        user_id,
        movie_id,
        rating: 40_000,
    };
    let operation = v1::Operation {
        kind: Some(operation::Kind::Rate(rate)),
    };
    let update = v1::Update {
        id: Some(id.clone()),
        prev: Some(prev.clone()),
        time_us,
        operation: encode(&operation).into(),
    };
    Body::Update(encode(&update).into())
}

/// A view of somebody who has seen `prev`.
pub(crate) fn view(user_id: u32, movie_id: u32, prev: &v1::Timestamp) -> Body {
    Body::Query(v1::Query {
        prev: Some(prev.clone()),
        hoped: None,
        kind: Some(query::Kind::View(query::View { user_id, movie_id })),
    })
}
