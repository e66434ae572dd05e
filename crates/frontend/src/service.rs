//! What clients talk to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backfence_gossip::{Session, Time, Update, UpdateId};
use backfence_process::{Backoff, Entry, Environment, Name};
use backfence_ratings::{MovieId, Operation, UserId};
use backfence_wire::v1::{
    self, DescribeResponse, ServerStatus, answer::Kind as Answer,
    front_end_server::FrontEnd as Service, query::Kind, serve_reply::Outcome, serve_request,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::Instant,
};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    deadline::deadline,
    error::Error,
    request,
    router::{Router, Served},
    server::Server,
};

/// Requests in work at once. One more is told that all servers are busy.
const MAX_IN_WORK: usize = 4096;
/// How long a server may take to describe itself.
const DESCRIBE: Duration = Duration::from_millis(500);

/// The front end's gRPC service.
#[derive(Debug)]
pub struct FrontEnd {
    environment: Environment,
    entries: watch::Receiver<BTreeMap<Name, Entry>>,
    router: Arc<Router>,
    in_work: Semaphore,
}

/// A request in work.
struct Work<'a> {
    deadline: Instant,
    _place: SemaphorePermit<'a>,
}

impl FrontEnd {
    /// A front end for the servers among these entries, which may change. Nobody
    /// is asked before the first request. Requests must come inside a runtime.
    pub fn new(environment: &Environment, entries: watch::Receiver<BTreeMap<Name, Entry>>) -> Self {
        Self {
            environment: environment.clone(),
            router: Arc::new(Router::new(environment, entries.clone())),
            entries,
            in_work: Semaphore::new(MAX_IN_WORK),
        }
    }

    /// Waits until a server has answered.
    pub async fn connected(&self) {
        let mut entries = self.entries.clone();
        let mut backoff = Backoff::new(&self.environment);
        loop {
            entries.mark_unchanged();
            let mut descriptions = self.router.describe_all(DESCRIBE);
            while let Some(described) = descriptions.join_next().await {
                if matches!(described, Ok((_, Some(_)))) {
                    return;
                }
            }
            tokio::select! {
                Ok(()) = entries.changed() => {}
                () = backoff.wait() => {}
            }
        }
    }

    fn admit<T>(&self, request: Request<T>) -> Result<(Work<'_>, T), Error> {
        let work = Work {
            deadline: deadline(request.metadata()),
            _place: self.in_work.try_acquire().map_err(|_| Error::AllBusy)?,
        };
        Ok((work, request.into_inner()))
    }

    fn session(&self, token: &[u8]) -> Result<Session, Error> {
        request::session(token, &self.environment)
    }

    async fn query(
        &self,
        work: &Work<'_>,
        session: &mut Session,
        kind: Kind,
    ) -> Result<Answer, Error> {
        let memory = &self.router.memory;
        let hoped = memory.hoped();
        let body = || {
            serve_request::Body::Query(v1::Query {
                prev: Some((&session.prev).into()),
                hoped: Some((&hoped).into()),
                kind: Some(kind.clone()),
            })
        };
        let passed = self.router.pass(work.deadline, &session.prev, body);
        let Served { reply, .. } = passed.await?;
        let Outcome::Answer(v1::Answer { kind: Some(answer) }) = reply.outcome else {
            return Err(Error::WrongAnswer);
        };
        memory.answered(&hoped, &reply.ts);
        session.observe(&reply.ts, reply.clock);
        Ok(answer)
    }

    /// `signature` is the update's id and time, if its client made them.
    async fn update(
        &self,
        work: &Work<'_>,
        mut session: Session,
        signature: Option<(UpdateId, Time)>,
        operation: Operation,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let (id, time) = match signature {
            Some(signature) => signature,
            None => self.sign(work, &mut session).await?,
        };
        let update = Update {
            id,
            prev: session.prev.clone(),
            time,
            operation,
        };
        let body = || serve_request::Body::Update((&update).into());
        let passed = self.router.pass(work.deadline, &update.prev, body);
        let Served { server, reply } = passed.await?;
        if !matches!(reply.outcome, Outcome::Accepted(_)) {
            return Err(Error::WrongAnswer.into());
        }
        self.router.memory.updated(&reply.ts);
        session.observe(&reply.ts, reply.clock);
        Ok(Response::new(v1::UpdateResponse {
            session: Some(carried(&session)),
            update_id: Some(id.into()),
            server,
        }))
    }

    /// Asks a replica for the time first, if none has told it yet.
    async fn sign(
        &self,
        work: &Work<'_>,
        session: &mut Session,
    ) -> Result<(UpdateId, Time), Error> {
        let memory = &self.router.memory;
        if let Some(signature) = memory.sign(session.clock) {
            return Ok(signature);
        }
        let open = Kind::Open(v1::query::Open {});
        self.query(work, session, open).await?;
        memory.sign(session.clock).ok_or(Error::AllBusy)
    }
}

#[async_trait]
impl Service for FrontEnd {
    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let mut session = request::opened(&request.id, &self.environment)?;
        let kind = Kind::Open(v1::query::Open {});
        match self.query(&work, &mut session, kind).await? {
            Answer::Opened(_) => Ok(Response::new(v1::OpenSessionResponse {
                session: Some(carried(&session)),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn find(
        &self,
        request: Request<v1::FindRequest>,
    ) -> Result<Response<v1::FindResponse>, Status> {
        let (work, v1::FindRequest { session, title }) = self.admit(request)?;
        let mut session = self.session(&session)?;
        request::title(&title)?;
        let kind = Kind::Find(v1::query::Find { title });
        match self.query(&work, &mut session, kind).await? {
            Answer::Resolution(resolution) => Ok(Response::new(v1::FindResponse {
                session: Some(carried(&session)),
                resolution: Some(resolution),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn view(
        &self,
        request: Request<v1::ViewRequest>,
    ) -> Result<Response<v1::ViewResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let mut session = self.session(&request.session)?;
        let kind = Kind::View(v1::query::View {
            user_id: request.user_id,
            movie_id: request.movie_id,
        });
        match self.query(&work, &mut session, kind).await? {
            Answer::Viewed(viewed) => Ok(Response::new(v1::ViewResponse {
                session: Some(carried(&session)),
                rating: viewed.rating,
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn average(
        &self,
        request: Request<v1::AverageRequest>,
    ) -> Result<Response<v1::AverageResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let mut session = self.session(&request.session)?;
        let kind = Kind::Average(v1::query::Average {
            movie_id: request.movie_id,
        });
        match self.query(&work, &mut session, kind).await? {
            Answer::Averaged(averaged) => Ok(Response::new(v1::AverageResponse {
                session: Some(carried(&session)),
                average: averaged.average,
                ratings: averaged.ratings,
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn rate(
        &self,
        request: Request<v1::RateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let session = self.session(&request.session)?;
        let operation = Operation::Rate {
            user: UserId(request.user_id),
            movie: MovieId(request.movie_id),
            rating: request::rating(request.rating)?,
        };
        let signature = request::signature(request.update_id, request.time_us)?;
        self.update(&work, session, signature, operation).await
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let session = self.session(&request.session)?;
        let operation = Operation::Delete {
            user: UserId(request.user_id),
            movie: MovieId(request.movie_id),
        };
        let signature = request::signature(request.update_id, request.time_us)?;
        self.update(&work, session, signature, operation).await
    }

    async fn change_status(
        &self,
        request: Request<v1::ChangeStatusRequest>,
    ) -> Result<Response<v1::ChangeStatusResponse>, Status> {
        let (work, v1::ChangeStatusRequest { server: number }) = self.admit(request)?;
        let server = self.router.server(number)?;
        let body = serve_request::Body::ChangeStatus(serve_request::ChangeStatus {});
        let limit = work.deadline.saturating_duration_since(Instant::now());
        let reply = self.router.ask(&server, body, limit).await;
        let reply = reply.map_err(|_| Error::ServerAway(number))?;
        match reply.outcome {
            Outcome::StatusChanged(changed) => Ok(Response::new(v1::ChangeStatusResponse {
                from: changed.from,
                to: changed.to,
            })),
            Outcome::Refused(refused) => Err(Error::Refused(refused).into()),
            Outcome::Declined(_) => Err(Error::ServerAway(number).into()),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let (work, _) = self.admit(request)?;
        let limit = work.deadline.saturating_duration_since(Instant::now());
        let mut descriptions = self.router.describe_all(limit.min(DESCRIBE));
        let mut servers = BTreeMap::new();
        while let Some(described) = descriptions.join_next().await {
            let (server, description) = described.map_err(|_| Error::WrongAnswer)?;
            servers.insert(server.number, listed(&server, description));
        }
        let servers = servers.into_values().collect();
        Ok(Response::new(v1::StatusResponse { servers }))
    }
}

/// A session as its client gets it back.
fn carried(session: &Session) -> v1::Session {
    v1::Session {
        token: backfence_wire::token(session),
        id: session.id.0.to_be_bytes().into(),
        clock_us: session.clock.0,
    }
}

fn listed(server: &Server, description: Option<DescribeResponse>) -> v1::Server {
    let (status, state) = match description {
        Some(described) => (described.status, described.state),
        None => (ServerStatus::Unreachable.into(), None),
    };
    v1::Server {
        server: server.number,
        address: server.entry.address.to_string(),
        status,
        state,
    }
}
