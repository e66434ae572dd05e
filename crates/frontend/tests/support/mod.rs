//! Replicas that do as they are told, and a front end before them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use backfence_frontend::FrontEnd;
use backfence_gossip::{ReplicaId, Session, SessionId, Time, Timestamp, UpdateId};
use backfence_process::{
    Address, CancellationToken, ClusterKey, Entry, Environment, Health, Name, bind, serve,
};
use backfence_wire::decode;
use backfence_wire::v1::{
    self, ServeReply, ServeRequest, answer,
    front_end_server::FrontEndServer,
    replica_server::{Replica, ReplicaServer},
    serve_reply::{Accepted, Lacking, Outcome, Retired, StatusChanged},
    serve_request::Body,
};
use tokio::{
    net::TcpSocket,
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait, service::Routes};
use tonic_types::{ErrorInfo, StatusExt as _};

/// A bound for waits that end sooner unless something is broken.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What a replica does with each request.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Act {
    /// Serves, with this timestamp and clock.
    Answers(Timestamp, u64),
    Declines,
    Lacks(Timestamp),
    Refuses(&'static str),
    /// Never replies.
    Hangs,
    /// Breaks its stream.
    Breaks,
    /// Has retired another: these have noted it, these have not said so.
    Retires(&'static [u32], &'static [u32]),
    /// Replies what no front end can read.
    Babbles,
    /// Refuses to open a stream.
    Shuts,
    /// Does not even listen. Cannot be changed.
    Absent,
}

/// What the replicas have received, in order, with the numbers of the servers.
pub(crate) type Received = Vec<(u32, ServeRequest)>;

/// Some replicas behind one front end.
pub(crate) struct House {
    pub(crate) front_end: Arc<FrontEnd>,
    pub(crate) entries: watch::Sender<BTreeMap<Name, Entry>>,
    pub(crate) received: watch::Sender<Received>,
    acts: BTreeMap<u32, Arc<Mutex<Act>>>,
    hellos: BTreeMap<u32, Greeting>,
    absent: Vec<TcpSocket>,
}

impl House {
    /// Servers with these numbers and what they do, registered in that order.
    pub(crate) async fn new(servers: &[(u32, Act)]) -> Self {
        Self::with_key(servers, None).await
    }

    /// The same with a front end that seals tokens, and has operators.
    pub(crate) async fn with_key(servers: &[(u32, Act)], key: Option<ClusterKey>) -> Self {
        Self::accepting(servers, key, true).await
    }

    /// The same with one that asks also servers that do not prove that they have its key, or
    /// does not: none of these does.
    pub(crate) async fn accepting(
        servers: &[(u32, Act)],
        key: Option<ClusterKey>,
        keyless: bool,
    ) -> Self {
        let environment = Environment::seeded(7);
        let (entries, receiver) = watch::channel(BTreeMap::new());
        let mut house = Self {
            front_end: Arc::new(
                FrontEnd::new(&environment, receiver, key, true).accepting_keyless(keyless),
            ),
            entries,
            received: watch::channel(Vec::new()).0,
            acts: BTreeMap::new(),
            hellos: BTreeMap::new(),
            absent: Vec::new(),
        };
        for (number, act) in servers {
            house.open(*number, act.clone()).await;
        }
        house
    }

    /// Starts a server; one with the same number is forgotten.
    pub(crate) async fn open(&mut self, number: u32, act: Act) {
        let address = if act == Act::Absent {
            // Bound, so that nobody else gets the port, but not listening.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = Address::from(socket.local_addr().unwrap());
            self.absent.push(socket);
            address
        } else {
            let act = Arc::new(Mutex::new(act));
            self.acts.insert(number, Arc::clone(&act));
            let hello = Greeting::default();
            *hello.lock().unwrap() = Some(v1::Hello::default());
            self.hellos.insert(number, Arc::clone(&hello));
            let received = self.received.clone();
            let fake = Fake {
                number,
                act,
                hello,
                received,
            };
            start(fake).await
        };
        let name = Name::new(format!("SERVER{number}")).unwrap();
        let entry = Entry {
            name: name.clone(),
            instance: u64::from(address.port()),
            address,
        };
        self.entries
            .send_modify(|entries| drop(entries.insert(name, entry)));
    }

    /// From now on the server does this.
    pub(crate) fn act(&self, number: u32, act: Act) {
        *self.acts[&number].lock().unwrap() = act;
    }

    /// On its next stream the server says this; `None` where it does not know Hello.
    pub(crate) fn hello(&self, number: u32, hello: Option<v1::Hello>) {
        *self.hellos[&number].lock().unwrap() = hello;
    }

    /// Forgets what was received, and returns which servers had been asked.
    pub(crate) fn asked(&self) -> Vec<u32> {
        let received = self.received.send_replace(Vec::new());
        received.iter().map(|(number, _)| *number).collect()
    }

    /// The queries that were received.
    pub(crate) fn queries(&self) -> Vec<v1::Query> {
        let query = |(_, request): &(u32, ServeRequest)| match &request.body {
            Some(Body::Query(query)) => Some(query.clone()),
            _ => None,
        };
        self.received.borrow().iter().filter_map(query).collect()
    }

    /// The updates that were received.
    pub(crate) fn updates(&self) -> Vec<v1::Update> {
        let update = |(_, request): &(u32, ServeRequest)| match &request.body {
            Some(Body::Update(update)) => Some(decode(update).expect("an update")),
            _ => None,
        };
        self.received.borrow().iter().filter_map(update).collect()
    }

    /// What the replicas receive.
    pub(crate) fn follow(&self) -> watch::Receiver<Received> {
        self.received.subscribe()
    }

    /// Opens the front end's port.
    pub(crate) async fn listen(&self) -> Address {
        serve_on(Routes::new(FrontEndServer::from_arc(Arc::clone(
            &self.front_end,
        ))))
        .await
    }

    /// Waits for what the replicas have received.
    pub(crate) async fn until(&self, holds: impl Fn(&Received) -> bool) -> Received {
        let mut receiver = self.received.subscribe();
        let waiting = tokio::time::timeout(LONG, receiver.wait_for(holds));
        waiting.await.expect("it never held").unwrap().clone()
    }
}

async fn start(fake: Fake) -> Address {
    serve_on(Routes::new(ReplicaServer::new(fake))).await
}

async fn serve_on(routes: Routes) -> Address {
    let listener = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let health = Health::new(&[]).await;
    tokio::spawn(serve(listener, routes, health, CancellationToken::new()));
    address
}

/// What a server says when a stream begins.
type Greeting = Arc<Mutex<Option<v1::Hello>>>;

#[derive(Clone)]
struct Fake {
    number: u32,
    act: Arc<Mutex<Act>>,
    hello: Greeting,
    received: watch::Sender<Received>,
}

#[async_trait]
impl Replica for Fake {
    type ServeStream = ReceiverStream<Result<ServeReply, Status>>;
    type GossipStream = ReceiverStream<Result<v1::PeerMessage, Status>>;

    async fn serve(
        &self,
        requests: Request<Streaming<ServeRequest>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        if *self.act.lock().unwrap() == Act::Shuts {
            return Err(Status::unavailable("not yet"));
        }
        let (replies, receiver) = mpsc::channel(16);
        let (fake, mut requests) = (self.clone(), requests.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if let Some(Body::Hello(_)) = request.body {
                    let hello = fake.hello.lock().unwrap().clone();
                    // One of before 0.2 takes it for a request without a body.
                    let invalid = || Outcome::Refused(v1::Refused::default());
                    let outcome = Some(hello.map_or_else(invalid, Outcome::Hello));
                    let hello = ServeReply {
                        outcome,
                        ..ServeReply::default()
                    };
                    let _ = replies.send(Ok(hello)).await;
                    continue;
                }
                let act = fake.act.lock().unwrap().clone();
                let reply = reply(&act, &request);
                fake.received
                    .send_modify(|received| received.push((fake.number, request)));
                if act == Act::Breaks {
                    return;
                }
                if let Some(reply) = reply {
                    let _ = replies.send(Ok(reply)).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn gossip(
        &self,
        _: Request<Streaming<v1::PeerMessage>>,
    ) -> Result<Response<Self::GossipStream>, Status> {
        Err(Status::unimplemented("front ends do not gossip"))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Err(Status::unimplemented("front ends ask on their stream"))
    }
}

fn reply(act: &Act, request: &ServeRequest) -> Option<ServeReply> {
    let (ts, clock_us, outcome) = match act {
        Act::Answers(ts, clock_us) => (ts.into(), *clock_us, served(request)?),
        Act::Declines => (
            v1::Timestamp::default(),
            1,
            Outcome::Declined(v1::Declined::Overloaded.into()),
        ),
        Act::Lacks(first_missing) => {
            let first_missing = Some(first_missing.into());
            (
                v1::Timestamp::default(),
                1,
                Outcome::Lacking(Lacking { first_missing }),
            )
        }
        Act::Refuses(reason) => {
            let refused = v1::Refused {
                reason: (*reason).to_owned(),
                message: "refused".to_owned(),
                ..v1::Refused::default()
            };
            (v1::Timestamp::default(), 1, Outcome::Refused(refused))
        }
        Act::Retires(servers, missing) => {
            let retired = Retired {
                already: false,
                servers: servers.to_vec(),
                missing: missing.to_vec(),
            };
            (v1::Timestamp::default(), 1, Outcome::Retired(retired))
        }
        Act::Babbles => {
            let nonsense = v1::timestamp::Entry::default();
            let ts = v1::Timestamp {
                entries: vec![nonsense],
            };
            (ts, 1, served(request)?)
        }
        Act::Hangs | Act::Breaks | Act::Shuts | Act::Absent => return None,
    };
    Some(ServeReply {
        number: request.number,
        ts: Some(ts),
        clock_us,
        outcome: Some(outcome),
        ..ServeReply::default()
    })
}

fn served(request: &ServeRequest) -> Option<Outcome> {
    use v1::query::Kind;
    let answer = |kind| Outcome::Answer(v1::Answer { kind: Some(kind) });
    Some(match request.body.as_ref()? {
        Body::Query(query) => match query.kind.as_ref()? {
            Kind::Open(_) => answer(answer::Kind::Opened(answer::Opened {})),
            Kind::Find(_) => answer(answer::Kind::Resolution(v1::Resolution::default())),
            Kind::View(_) => answer(answer::Kind::Viewed(answer::Viewed {
                rating: Some(v1::UserRating {
                    rating: 4.5,
                    update_id: made(1),
                }),
            })),
            Kind::Average(_) => answer(answer::Kind::Averaged(answer::Averaged {
                average: Some(3.5),
                ratings: 2,
            })),
            Kind::Search(_) => answer(answer::Kind::Found(v1::Found::default())),
            Kind::ListTitles(_) => answer(answer::Kind::Titles(v1::Titles::default())),
            Kind::ListRatings(_) => {
                answer(answer::Kind::ListedRatings(v1::ListedRatings::default()))
            }
            Kind::Top(_) => answer(answer::Kind::Ranking(v1::Ranking::default())),
            Kind::ListTags(_) => answer(answer::Kind::Tags(v1::Tags::default())),
        },
        Body::Update(_) | Body::CopiedUpdate(_) => Outcome::Accepted(Accepted { servers: vec![1] }),
        Body::ChangeStatus(_) => Outcome::StatusChanged(StatusChanged {
            from: v1::ServerStatus::Online.into(),
            to: v1::ServerStatus::Offline.into(),
        }),
        Body::Retire(_) => Outcome::Retired(Retired::default()),
        Body::Describe(_) => Outcome::Description(v1::DescribeResponse {
            status: v1::ServerStatus::Online.into(),
            state: Some(v1::ReplicaState {
                id: Some(ReplicaId::new(1, 1).into()),
                ..v1::ReplicaState::default()
            }),
            ..v1::DescribeResponse::default()
        }),
        Body::Hello(_) | Body::Proof(_) => return None,
        Body::Digest(_) => Outcome::ValueDigest(v1::ValueDigest {
            digest: vec![7; 16],
            ..v1::ValueDigest::default()
        }),
        Body::Log(asked) => Outcome::Log(logged(asked.limit.into())),
        Body::GossipNow(_) => Outcome::Gossiping(v1::serve_reply::Gossiping {
            peers: vec![ReplicaId::new(2, 1).into()],
        }),
        Body::AtRisk(_) => Outcome::AtRisk(logged(1)),
        Body::Cancel(_) => return None,
    })
}

/// One record, of so many.
fn logged(total: u64) -> v1::LoggedRecords {
    let record = v1::LoggedRecord {
        update_id: made(1),
        ..v1::LoggedRecord::default()
    };
    v1::LoggedRecords {
        records: vec![record],
        total,
    }
}

/// A timestamp of these counts of servers in their first life.
pub(crate) fn ts<const N: usize>(counts: [(u32, u64); N]) -> Timestamp {
    counts
        .into_iter()
        .map(|(server, count)| (ReplicaId::new(server, 1), count))
        .collect()
}

pub(crate) fn answers() -> Act {
    Act::Answers(Timestamp::new(), 1)
}

pub(crate) fn view(session: &[u8]) -> Request<v1::ViewRequest> {
    within(v1::ViewRequest {
        session: session.to_vec(),
        user_id: 1,
        movie_id: 1,
        fingerprint: String::new(),
    })
}

/// The session of most tests.
pub(crate) const SESSION: SessionId = SessionId(3);

/// A token of it that has seen this.
pub(crate) fn token(prev: Timestamp) -> Vec<u8> {
    backfence_wire::token(&Session {
        prev,
        clock: Time(7),
        ..Session::new(SESSION)
    })
}

/// An update that it has made.
pub(crate) fn made(sequence: u64) -> Option<v1::UpdateId> {
    Some(UpdateId::new(SESSION, sequence).into())
}

/// Its update 1, with this token, or with one that has seen nothing.
pub(crate) fn rate(session: &[u8]) -> Request<v1::RateRequest> {
    within(v1::RateRequest {
        session: match session {
            [] => token(ts([])),
            session => session.to_vec(),
        },
        user_id: 1,
        movie_id: 1,
        rating: 4.5,
        update_id: made(1),
        time_us: 1_000,
        copies: 0,
        fingerprint: String::new(),
    })
}

/// A request that is given up late enough for every wait of a test.
pub(crate) fn within<T>(request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.set_timeout(LONG);
    request
}

pub(crate) fn info<T: std::fmt::Debug>(result: Result<T, Status>) -> ErrorInfo {
    let status = result.expect_err("it must fail");
    status
        .get_details_error_info()
        .expect("it has no ErrorInfo")
}
