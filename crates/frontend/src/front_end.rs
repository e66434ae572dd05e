//! The front end: what it does with a query and with an update.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backfence_gossip::{Session, SessionId, Time, Update, UpdateId};
use backfence_process::{
    Backoff, Client, ClusterKey, Entry, Environment, Name, NodeKey, SessionDigests,
};
use backfence_ratings::Operation;
use backfence_wire::v1::{
    self, ServeRequest,
    answer::Kind as Answer,
    query::Kind,
    serve_reply::{Accepted, Outcome},
    serve_request::{self, Body},
};
use tokio::{sync::watch, time::Instant};
use tonic::Request;

use crate::{
    deadline::deadline,
    error::Error,
    fresh::Asker,
    guard::{Act, Guard},
    members::Members,
    request,
    router::{Router, Served},
    seal::Sealer,
    server::Server,
};

/// How long a server may take to describe itself.
pub(crate) const DESCRIBE: Duration = Duration::from_millis(500);

/// How long between two looks whether any server can be reached, at most.
const LOOK: Duration = Duration::from_secs(1);

/// The front end's gRPC service.
#[derive(Debug)]
pub struct FrontEnd {
    pub(crate) environment: Environment,
    guard: Guard,
    /// `None` where tokens are not protected.
    sealer: Option<Sealer>,
    /// In place of the ids of sessions.
    digests: SessionDigests,
    entries: watch::Receiver<BTreeMap<Name, Entry>>,
    pub(crate) router: Arc<Router>,
}

/// An update as its client asks for it.
pub(crate) struct Asked {
    /// Its id and time, if the client made them.
    pub(crate) signature: Option<(UpdateId, Time)>,
    pub(crate) operation: Operation,
    /// How many servers are to have it before the reply.
    pub(crate) copies: u32,
}

/// A request in work.
pub(crate) struct Work {
    pub(crate) deadline: Instant,
    /// As its client sent it; empty if it did not.
    pub(crate) traceparent: String,
    /// Of the data that its movie ids are of; empty for whatever the server has loaded.
    fingerprint: String,
    /// It is an update that its session would never see, so it is answered only if it is a
    /// retry of one that was taken.
    pub(crate) known_only: bool,
    /// No update that its session has seen is dated later, as a token says that was sealed.
    seen: Time,
    /// By which it came; 0 where that is not known.
    connection: u64,
}

impl Work {
    /// What a server is asked for it.
    pub(crate) fn request(&self, body: Body) -> ServeRequest {
        ServeRequest {
            fingerprint: self.fingerprint.clone(),
            known_only: self.known_only,
            seen_us: self.seen.0,
            ..request::traced(&self.traceparent, body)
        }
    }

    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Who asks in this session.
    pub(crate) const fn asker(&self, session: SessionId) -> Asker {
        Asker {
            connection: self.connection,
            session,
        }
    }

    /// The same, about movies of the data with this fingerprint.
    pub(crate) fn of_data(self, fingerprint: String) -> Self {
        Self {
            fingerprint,
            ..self
        }
    }
}

impl FrontEnd {
    /// A front end for the servers among these entries, which may change. Nobody
    /// is asked before the first request. Requests must come inside a runtime. With a
    /// key it takes no tokens but those of front ends that have the same, and operators
    /// need it. Without one more is open where it `is_local`: only this machine reaches it.
    pub fn new(
        environment: &Environment,
        entries: watch::Receiver<BTreeMap<Name, Entry>>,
        cluster_key: Option<ClusterKey>,
        is_local: bool,
    ) -> Self {
        let node_key = NodeKey::new(cluster_key.as_ref());
        Self {
            environment: environment.clone(),
            sealer: cluster_key.as_ref().map(Sealer::new),
            digests: SessionDigests::new(cluster_key.as_ref()),
            guard: Guard::new(cluster_key, is_local),
            router: Arc::new(Router::new(environment, entries.clone(), node_key)),
            entries,
        }
    }

    /// The same, where servers without a key are asked as well. To be said before the first
    /// request.
    #[must_use]
    pub fn accepting_keyless(mut self, accepts_keyless: bool) -> Self {
        if let Some(router) = Arc::get_mut(&mut self.router) {
            router.accept_keyless(accepts_keyless);
        }
        self
    }

    /// Waits until a server has answered.
    pub async fn connected(&self) {
        let mut entries = self.entries.clone();
        let mut backoff = Backoff::new(&self.environment);
        loop {
            entries.mark_unchanged();
            let mut descriptions = self.router.describe_all("", DESCRIBE);
            while let Some(described) = descriptions.join_next().await {
                if matches!(described, Ok((_, Some(_)))) {
                    return;
                }
            }
            tokio::select! {
                biased;
                Ok(()) = entries.changed() => {}
                () = backoff.wait() => {}
            }
        }
    }

    /// Waits until no server has answered, twice in a row: one may just be slow.
    pub async fn cut_off(&self) {
        let mut silent = 0;
        while silent < 2 {
            tokio::time::sleep(self.environment.jitter(LOOK)).await;
            let mut descriptions = self.router.describe_all("", DESCRIBE);
            silent += 1;
            while let Some(described) = descriptions.join_next().await {
                if matches!(described, Ok((_, Some(_)))) {
                    silent = 0;
                }
            }
        }
    }

    pub(crate) fn admit<T>(&self, request: Request<T>) -> Result<(Work, T), Error> {
        let work = Work {
            deadline: deadline(request.metadata()),
            traceparent: request::traceparent(request.metadata()),
            fingerprint: String::new(),
            known_only: false,
            seen: Time(0),
            connection: request.extensions().get().map_or(0, Client::number),
        };
        Ok((work, request.into_inner()))
    }

    /// The same for what operators do.
    pub(crate) fn admit_operator<T>(
        &self,
        act: Act,
        request: Request<T>,
    ) -> Result<(Work, T), Error> {
        let now = self.environment.now();
        self.guard.allows(act, request.metadata(), now)?;
        self.admit(request)
    }

    pub(crate) fn session(&self, token: &[u8]) -> Result<Session, Error> {
        request::session(token, self.sealer.as_ref(), &self.environment)
    }

    /// A session as its client gets it back.
    pub(crate) fn carried(&self, session: &Session) -> v1::Session {
        let now = self.router.memory.now();
        v1::Session {
            token: match &self.sealer {
                Some(sealer) => sealer.seal(session),
                None => backfence_wire::token(session),
            },
            id: session.id.0.to_be_bytes().into(),
            digest: self.digests.session(session.id).0.to_be_bytes().into(),
            clock_us: session.clock.max(now).0,
            now_us: now.0,
            latest_us: session.clock.0,
            lost: session.lost.iter().map(|&replica| replica.into()).collect(),
        }
    }

    /// A rating as any client may read it: it may be of another's update.
    pub(crate) fn shown_rating(&self, rating: v1::UserRating) -> Result<v1::UserRating, Error> {
        let update_id = rating.update_id.map(|id| self.shown_id(id)).transpose()?;
        Ok(v1::UserRating {
            update_id,
            ..rating
        })
    }

    /// Records as any client may read them.
    pub(crate) fn shown_records(
        &self,
        mut log: v1::LoggedRecords,
    ) -> Result<v1::LoggedRecords, Error> {
        for record in &mut log.records {
            record.update_id = record
                .update_id
                .take()
                .map(|id| self.shown_id(id))
                .transpose()?;
        }
        Ok(log)
    }

    fn shown_id(&self, id: v1::UpdateId) -> Result<v1::UpdateId, Error> {
        let id = UpdateId::try_from(id).map_err(|_| Error::WrongAnswer)?;
        Ok(self.digests.update(id).into())
    }

    /// The answer to a query, and the server that gave it.
    pub(crate) async fn query(
        &self,
        work: &Work,
        session: &mut Session,
        kind: Kind,
    ) -> Result<(Answer, Arc<Server>), Error> {
        let memory = &self.router.memory;
        let hoped = memory.hoped();
        let body = || {
            Body::Query(v1::Query {
                prev: Some((&session.prev).into()),
                hoped: Some((&hoped).into()),
                kind: Some(kind.clone()),
            })
        };
        let asker = work.asker(session.id);
        let passed = self.router.pass(work, asker, &session.prev, body);
        let Served { server, reply } = passed.await?;
        let Outcome::Answer(v1::Answer { kind: Some(answer) }) = reply.outcome else {
            return Err(Error::WrongAnswer);
        };
        memory.answered(&hoped, &reply.ts);
        session.observe(&reply.ts, reply.clock);
        session.lose(&reply.lost);
        Ok((answer, server))
    }

    /// A server that takes part, and is not registered.
    pub(crate) fn absent(&self, server: u32) -> v1::Server {
        let gone = self.router.gone(server);
        let (address, since) = gone.map_or_else(Default::default, |(address, since)| {
            (address.to_string(), since)
        });
        v1::Server {
            server,
            address,
            status: v1::ServerStatus::Unreachable.into(),
            gone_since_us: since.0,
            ..v1::Server::default()
        }
    }

    /// Who takes part, as those servers say which answer in time.
    pub(crate) async fn members(
        &self,
        traceparent: &str,
        limit: Duration,
    ) -> Result<Members, Error> {
        let mut descriptions = self.router.describe_all(traceparent, limit.min(DESCRIBE));
        let mut members = Members::default();
        while let Some(described) = descriptions.join_next().await {
            let (_, description) = described.map_err(|_| Error::WrongAnswer)?;
            if let Some(description) = description {
                members.add(description).map_err(|_| Error::WrongAnswer)?;
            }
        }
        Ok(members)
    }

    /// What each server that takes part answers, by number; `None` where it gives no answer
    /// in time.
    pub(crate) async fn ask_everyone<T: Send + 'static>(
        &self,
        work: &Work,
        body: Body,
        read: fn(Outcome) -> Option<T>,
    ) -> Result<BTreeMap<u32, Option<T>>, Error> {
        // So that there is time to tell what the others say.
        let limit = work.deadline.saturating_duration_since(Instant::now()) / 2;
        // They are at work while it is asked who takes part.
        let mut answers = self.router.ask_all(work.request(body), limit, read);
        let members = self.members(&work.traceparent, limit).await?;
        let remaining = members.remaining().into_keys();
        let mut servers: BTreeMap<_, _> = remaining.map(|server| (server, None)).collect();
        while let Some(answered) = answers.join_next().await {
            let (server, answer) = answered.map_err(|_| Error::WrongAnswer)?;
            servers.insert(server.number, answer);
        }
        Ok(servers)
    }

    /// Asks one server, whatever its status.
    pub(crate) async fn ask_one(
        &self,
        work: &Work,
        number: u32,
        body: Body,
    ) -> Result<Outcome, Error> {
        let limit = work.deadline.saturating_duration_since(Instant::now());
        let server = match self.router.server(number) {
            Ok(server) => server,
            Err(unknown) => {
                let members = self.members(&work.traceparent, limit).await?;
                return Err(match members.remaining().contains_key(&number) {
                    true => Error::ServerDown(number),
                    false => unknown,
                });
            }
        };
        let asker = work.asker(SessionId(0));
        let reply = self.router.ask(&server, asker, work.request(body), limit);
        let reply = reply.await.map_err(|_| Error::ServerAway(number))?;
        match reply.outcome {
            Outcome::Refused(refused) => Err(Error::Refused(refused)),
            Outcome::Declined(_) => Err(Error::ServerAway(number)),
            outcome => Ok(outcome),
        }
    }

    pub(crate) async fn update(
        &self,
        mut work: Work,
        mut session: Session,
        asked: Asked,
    ) -> Result<v1::UpdateResponse, Error> {
        if self.sealer.is_some() {
            work.seen = session.clock;
        }
        let work = &work;
        let (id, time, told) = match asked.signature {
            Some((id, time)) => (id, time, id),
            None => {
                let (id, time) = self.sign(work, &mut session).await?;
                (id, time, self.digests.update(id))
            }
        };
        let update = Update {
            id,
            prev: session.prev.clone(),
            time,
            operation: asked.operation,
        };
        let copies = asked.copies;
        let body = || match copies {
            0 | 1 => Body::Update(backfence_wire::update(&update)),
            _ => Body::CopiedUpdate(serve_request::CopiedUpdate {
                update: backfence_wire::update(&update),
                copies,
            }),
        };
        let asker = work.asker(session.id);
        let passed = self.router.pass(work, asker, &update.prev, body);
        let Served { server, reply } = passed.await?;
        let server = server.number;
        let Outcome::Accepted(Accepted { mut servers }) = reply.outcome else {
            return Err(Error::WrongAnswer);
        };
        self.router.memory.updated(&update.prev, &reply.ts);
        session.observe(&reply.ts, reply.clock);
        session.lose(&reply.lost);
        if servers.len() < copies as usize {
            // It has had its share of the time; the others' is left.
            let waited = self.ask_one(work, server, body()).await;
            if let Ok(Outcome::Accepted(again)) = waited {
                servers = again.servers;
            }
        }
        Ok(v1::UpdateResponse {
            session: Some(self.carried(&session)),
            update_id: Some(told.into()),
            server,
            servers,
        })
    }

    /// Asks a replica for the time first, if none has told it yet.
    async fn sign(&self, work: &Work, session: &mut Session) -> Result<(UpdateId, Time), Error> {
        let memory = &self.router.memory;
        if let Some(signature) = memory.sign(session.clock) {
            return Ok(signature);
        }
        let open = Kind::Open(v1::query::Open {});
        self.query(work, session, open).await?;
        memory.sign(session.clock).ok_or(Error::AllBusy)
    }
}
