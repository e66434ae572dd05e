//! The bare services: a view goes in at the front, passes the second hop, and is
//! answered at the back. Nothing is looked up and nothing is checked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use backfence_wire::v1::{
    self, front_end_client::FrontEndClient, front_end_server::FrontEnd,
    replica_client::ReplicaClient, replica_server::Replica, serve_reply::Outcome,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream, transport::Channel};

/// The bytes of a token that has seen three replicas, roughly.
const TOKEN: usize = 90;
/// Messages that may wait for a stream to take them. Then the sender waits.
const QUEUE: usize = 1024;

/// Answers the bare front.
pub(crate) struct Back;

/// Takes views, and gets the answer from somewhere.
pub(crate) enum Front {
    /// From here: so it serves as a back that is called.
    Here,
    /// By a call.
    Call(FrontEndClient<Channel>),
    /// By a long-lived stream.
    Stream(Link),
}

/// One stream to the back, and who waits for which reply.
pub(crate) struct Link {
    next: AtomicU64,
    requests: mpsc::Sender<v1::ServeRequest>,
    waiting: Arc<Waiting>,
}

type Replies = HashMap<u64, oneshot::Sender<v1::ServeReply>>;

#[derive(Default)]
struct Waiting(Mutex<Replies>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Replies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let mut client = ReplicaClient::connect(url.to_owned()).await?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let replies = client.serve(ReceiverStream::new(queue)).await?.into_inner();
        let waiting = Arc::<Waiting>::default();
        tokio::spawn(hand_out(replies, Arc::clone(&waiting)));
        Ok(Self {
            next: AtomicU64::new(1),
            requests,
            waiting,
        })
    }

    async fn ask(&self, view: v1::ViewRequest) -> Result<v1::ServeReply, Status> {
        let gone = || Status::unavailable("the back is gone");
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answered) = oneshot::channel();
        self.waiting.lock().insert(number, reply);
        let sent = self.requests.send(request(number, &view)).await;
        sent.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

async fn hand_out(mut replies: Streaming<v1::ServeReply>, waiting: Arc<Waiting>) {
    while let Ok(Some(reply)) = replies.message().await {
        if let Some(waiter) = waiting.lock().remove(&reply.number) {
            // Who asked may have gone.
            let _ = waiter.send(reply);
        }
    }
    waiting.lock().clear();
}

#[tonic::async_trait]
impl Replica for Back {
    type ServeStream = BoxStream<v1::ServeReply>;
    type GossipStream = BoxStream<v1::PeerMessage>;

    async fn serve(
        &self,
        requests: Request<Streaming<v1::ServeRequest>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        let replies = requests
            .into_inner()
            .map(|request| Ok(reply(request?.number)));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn gossip(
        &self,
        _: Request<Streaming<v1::PeerMessage>>,
    ) -> Result<Response<Self::GossipStream>, Status> {
        Err(only_views())
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Err(only_views())
    }
}

#[tonic::async_trait]
impl FrontEnd for Front {
    async fn view(
        &self,
        request: Request<v1::ViewRequest>,
    ) -> Result<Response<v1::ViewResponse>, Status> {
        match self {
            Self::Here => {}
            Self::Call(client) => return client.clone().view(request.into_inner()).await,
            Self::Stream(link) => {
                link.ask(request.into_inner()).await?;
            }
        }
        Ok(Response::new(viewed()))
    }

    async fn open_session(
        &self,
        _: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        Err(only_views())
    }

    async fn find(
        &self,
        _: Request<v1::FindRequest>,
    ) -> Result<Response<v1::FindResponse>, Status> {
        Err(only_views())
    }

    async fn average(
        &self,
        _: Request<v1::AverageRequest>,
    ) -> Result<Response<v1::AverageResponse>, Status> {
        Err(only_views())
    }

    async fn rate(
        &self,
        _: Request<v1::RateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        Err(only_views())
    }

    async fn delete(
        &self,
        _: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        Err(only_views())
    }

    async fn change_status(
        &self,
        _: Request<v1::ChangeStatusRequest>,
    ) -> Result<Response<v1::ChangeStatusResponse>, Status> {
        Err(only_views())
    }

    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Err(only_views())
    }

    async fn members(
        &self,
        _: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        Err(only_views())
    }

    async fn digest(
        &self,
        _: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        Err(only_views())
    }

    async fn log(&self, _: Request<v1::LogRequest>) -> Result<Response<v1::LogResponse>, Status> {
        Err(only_views())
    }

    async fn gossip(
        &self,
        _: Request<v1::GossipRequest>,
    ) -> Result<Response<v1::GossipResponse>, Status> {
        Err(only_views())
    }

    async fn retire(
        &self,
        _: Request<v1::RetireRequest>,
    ) -> Result<Response<v1::RetireResponse>, Status> {
        Err(only_views())
    }

    async fn at_risk(
        &self,
        _: Request<v1::AtRiskRequest>,
    ) -> Result<Response<v1::AtRiskResponse>, Status> {
        Err(only_views())
    }

    async fn search(
        &self,
        _: Request<v1::SearchRequest>,
    ) -> Result<Response<v1::SearchResponse>, Status> {
        Err(only_views())
    }

    async fn list_titles(
        &self,
        _: Request<v1::ListTitlesRequest>,
    ) -> Result<Response<v1::ListTitlesResponse>, Status> {
        Err(only_views())
    }

    async fn list_ratings(
        &self,
        _: Request<v1::ListRatingsRequest>,
    ) -> Result<Response<v1::ListRatingsResponse>, Status> {
        Err(only_views())
    }

    async fn top(&self, _: Request<v1::TopRequest>) -> Result<Response<v1::TopResponse>, Status> {
        Err(only_views())
    }

    async fn list_tags(
        &self,
        _: Request<v1::ListTagsRequest>,
    ) -> Result<Response<v1::ListTagsResponse>, Status> {
        Err(only_views())
    }
}

fn only_views() -> Status {
    Status::unimplemented("this server only measures views")
}

fn request(number: u64, view: &v1::ViewRequest) -> v1::ServeRequest {
    use v1::{query::Kind, query::View, serve_request::Body};
    let (user_id, movie_id) = (view.user_id, view.movie_id);
    v1::ServeRequest {
        number,
        patience_ms: 2_000,
        body: Some(Body::Query(v1::Query {
            prev: Some(timestamp()),
            hoped: Some(timestamp()),
            kind: Some(Kind::View(View { user_id, movie_id })),
        })),
        ..v1::ServeRequest::default()
    }
}

fn reply(number: u64) -> v1::ServeReply {
    use v1::{answer::Kind, answer::Viewed};
    let rating = Some(rating());
    v1::ServeReply {
        number,
        ts: Some(timestamp()),
        clock_us: 1_790_000_000_000_000,
        now_us: 1_790_000_000_000_000,
        outcome: Some(Outcome::Answer(v1::Answer {
            kind: Some(Kind::Viewed(Viewed { rating })),
        })),
        lost: Vec::new(),
    }
}

fn viewed() -> v1::ViewResponse {
    v1::ViewResponse {
        session: Some(v1::Session {
            token: vec![7; TOKEN],
            id: vec![7; 16],
            clock_us: 1_790_000_000_000_000,
            digest: vec![7; 16],
            ..v1::Session::default()
        }),
        rating: Some(rating()),
    }
}

fn timestamp() -> v1::Timestamp {
    let entry = |server| v1::timestamp::Entry {
        server,
        incarnation: 1_790_000_000_000,
        count: 100_000,
    };
    v1::Timestamp {
        entries: (1..=3).map(entry).collect(),
    }
}

fn rating() -> v1::UserRating {
    v1::UserRating {
        rating: 4.0,
        update_id: Some(v1::UpdateId {
            session: vec![7; 16],
            sequence: 9,
        }),
    }
}
