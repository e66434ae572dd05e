//! A session: what one user has seen, and the ids of what they did.

mod operate;
mod query;
mod reply;
mod update;

use std::{collections::BTreeSet, future::Future, time::Duration};

use backfence_gossip::{HybridClock, ReplicaId, SessionId, Time, Timestamp, UpdateId};
use backfence_process::Address;
use backfence_wire::{Malformed, all, session_id, v1, v1::front_end_client::FrontEndClient};
use tokio::{sync::watch, time::Instant};
use tonic::{Request, Response, Status, transport::Channel};

pub use query::Search;
use reply::Reply;

use crate::{
    Client, Error, Waiting,
    call::{Call, Effect},
    client::Service,
    progress::Progress,
};

/// A session. One request at a time, hence `&mut self`; bulk work uses several.
///
/// The number and the time of an update are fixed here, together, once,
/// and stay the same over all tries and front ends. The time goes by what front
/// ends said, plus what has elapsed since, so a wrong wall clock does no harm.
///
/// Each update takes the next number, whatever became of the one before: a future
/// that is dropped, or [`Error::OutcomeUnknown`], leaves an update that may take
/// effect later or never. An update after it does not wait for it, and wins over
/// it where both write the same rating. An update can be sent again for some minutes
/// (`--late` of the replicas), then it comes [too late](Error::TooLate).
#[derive(Debug)]
pub struct Session {
    client: Client,
    preferred: Option<Address>,
    /// Given by a front end with the first token. Until then drawn, for front ends of 0.2,
    /// which take it.
    id: SessionId,
    /// What answers show in its place, once a front end has told it.
    digest: Option<SessionId>,
    /// Empty until a front end has given one.
    token: Vec<u8>,
    /// Of the data that its movies' ids are of; empty where that is not known.
    fingerprint: String,
    /// A front end has told the time since this session began here.
    opened: bool,
    clock: HybridClock,
    /// The stopwatch of `clock`.
    began: Instant,
    next: u64,
    /// The update prepared last, where nobody can have taken it yet.
    untaken: Option<UpdateId>,
    progress: Progress,
    lost: Losses,
}

/// Servers that came back without something that the session had seen.
#[derive(Debug, Default)]
struct Losses {
    known: BTreeSet<ReplicaId>,
    news: BTreeSet<u32>,
}

/// What it takes to [go on](Client::resume) with a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedSession {
    /// The session: a secret, as the token is. It means nothing if the session has not begun.
    pub id: SessionId,
    /// What answers show in place of the id.
    pub digest: Option<SessionId>,
    /// What it has seen: opaque, empty if it has not begun.
    pub token: Vec<u8>,
    /// No time that it has seen or given is greater.
    pub clock: Time,
    /// The number of its next update, from 1. A smaller one than saved would use
    /// an update id twice.
    pub next: u64,
    /// See [`Session::fingerprint`].
    pub fingerprint: String,
}

impl Session {
    pub(crate) fn new(client: Client, id: SessionId) -> Self {
        Self {
            client,
            preferred: None,
            id,
            digest: None,
            token: Vec::new(),
            fingerprint: String::new(),
            opened: false,
            clock: HybridClock::default(),
            began: Instant::now(),
            next: 1,
            untaken: None,
            progress: Progress::default(),
            lost: Losses::default(),
        }
    }

    pub(crate) fn resume(client: Client, saved: SavedSession) -> Self {
        let mut session = Self::new(client, saved.id);
        session.fingerprint = saved.fingerprint;
        if saved.token.is_empty() {
            return session;
        }
        session.clock.observe(saved.clock, Time(0), Duration::ZERO);
        session.digest = saved.digest;
        session.token = saved.token;
        session.next = saved.next.max(1);
        session
    }

    /// The client that it is of.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What stands for this session in the ids of its updates, the same for ever: a digest,
    /// which tells nobody how to go on with it. `None` until a front end has told it.
    pub fn id(&self) -> Option<SessionId> {
        self.digest
    }

    /// Begins it, where that has not happened: every request does so by itself.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn open(&mut self) -> Result<(), Error> {
        self.begin().await.map(drop)
    }

    /// Servers that have come back without something that the session had seen: it
    /// goes on, but those updates are lost. Each loss is given once.
    pub fn take_losses(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.lost.news)
    }

    /// Begins anew: another session, nothing seen, no update made. For a session whose past
    /// is refused, or waited for in vain. What it has seen it may not see again.
    pub fn reset(&mut self) {
        let begun = self.client.session();
        let ended = std::mem::replace(self, begun);
        self.preferred = ended.preferred;
        // Whoever watches goes on watching.
        self.progress = ended.progress;
    }

    /// What it takes to go on with it elsewhere. To be saved again after every
    /// request, and before an update is sent if a crash must not reuse its id.
    pub fn save(&self) -> SavedSession {
        let mut clock = self.clock;
        SavedSession {
            id: self.id,
            digest: self.digest,
            token: self.token.clone(),
            clock: clock.tick(self.began.elapsed()),
            next: self.next,
            fingerprint: self.fingerprint.clone(),
        }
    }

    /// Of the data that the ids are of which the last answer told: of movies that were
    /// found, searched, listed or ranked. Requests about a movie repeat it, so that a server
    /// that has loaded other data, where the id may be another movie's, does not serve them.
    /// Empty before the first such answer, and where a front end does not say it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// From now on requests are about movies of these data: for ids that are older than the
    /// last answer, or come from elsewhere. Empty for whatever the servers have loaded.
    pub fn set_fingerprint(&mut self, fingerprint: impl Into<String>) {
        self.fingerprint = fingerprint.into();
    }

    /// What it has seen, by the servers that made it; nothing before its first
    /// answer.
    pub fn seen(&self) -> Timestamp {
        // A token that cannot be read is one that this version does not know.
        let session = backfence_wire::session(&self.token);
        session.map_or_else(|_| Timestamp::new(), |session| session.prev)
    }

    /// The front end that answered last.
    pub fn front_end(&self) -> Option<&Address> {
        self.preferred.as_ref()
    }

    /// Tells what the request in work waits for. While a receiver lives, queries
    /// are asked in short turns, so that front ends say early what is missing.
    pub fn watch(&self) -> watch::Receiver<Waiting> {
        self.progress.watch()
    }

    /// The deadline of a request that begins now. The first one has a front end begin the
    /// session, or go on with it, and learns the time: an update must not be dated before.
    async fn begin(&mut self) -> Result<Instant, Error> {
        let deadline = Instant::now() + self.client.limit();
        if self.opened {
            return Ok(deadline);
        }
        #[expect(deprecated, reason = "front ends of 0.2 need it")]
        let request = v1::OpenSessionRequest {
            id: self.id.0.to_be_bytes().into(),
            session: self.token.clone(),
        };
        let (reply, from): (v1::OpenSessionResponse, _) = self
            .call(
                deadline,
                Effect::None,
                request,
                |mut service, request| async move { service.open_session(request).await },
            )
            .await?;
        // A session that goes on keeps what it has seen, also where a front end of 0.2 has
        // given it another token.
        let seen = self.token.clone();
        self.observe(reply.session, &from)?;
        if !seen.is_empty() {
            self.token = seen;
        }
        self.opened = true;
        Ok(deadline)
    }

    /// A query about what the session has seen.
    async fn ask<Q: Clone, A: Reply, F>(
        &mut self,
        request: impl FnOnce(Vec<u8>) -> Q,
        send: impl Fn(FrontEndClient<Channel>, Request<Q>) -> F,
    ) -> Result<(A, Address), Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = self.begin().await?;
        let request = request(self.token.clone());
        self.exchange(deadline, Effect::None, request, send).await
    }

    /// Asks, and observes what the reply says about the session.
    async fn exchange<Q: Clone, A: Reply, F>(
        &mut self,
        deadline: Instant,
        effect: Effect,
        request: Q,
        send: impl Fn(FrontEndClient<Channel>, Request<Q>) -> F,
    ) -> Result<(A, Address), Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (mut reply, from) = self.call(deadline, effect, request, send).await?;
        self.observe(reply.session(), &from)?;
        if let Some(fingerprint) = reply.fingerprint() {
            self.fingerprint = fingerprint;
        }
        Ok((reply, from))
    }

    /// What an operator asks, of whichever service.
    async fn operate<S: Service, Q: Clone, A, F>(
        &mut self,
        effect: Effect,
        request: Q,
        send: impl Fn(S, Request<Q>) -> F,
    ) -> Result<(A, Address), Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.client.limit();
        let (preferred, progress) = (&mut self.preferred, &self.progress);
        let call = Call::new(&self.client, preferred, deadline, effect, progress);
        call.by_operator().run(request, send).await
    }

    async fn call<Q: Clone, A, F>(
        &mut self,
        deadline: Instant,
        effect: Effect,
        request: Q,
        send: impl Fn(FrontEndClient<Channel>, Request<Q>) -> F,
    ) -> Result<(A, Address), Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (preferred, progress) = (&mut self.preferred, &self.progress);
        Call::new(&self.client, preferred, deadline, effect, progress)
            .run(request, send)
            .await
    }

    /// To be done on every reply, to queries as well.
    fn observe(&mut self, session: Option<v1::Session>, from: &Address) -> Result<(), Error> {
        let session = session.ok_or_else(|| wrong(from, Malformed("a reply without session")))?;
        let id = session_id(&session.id).map_err(|why| wrong(from, why))?;
        let has_begun = !self.token.is_empty();
        if session.token.is_empty() || (has_begun && id != self.id) {
            return Err(wrong(from, Malformed("a reply for another session")));
        }
        let digest = match &session.digest[..] {
            // Front ends of 0.2 show ids as they are.
            [] => self.digest.unwrap_or(id),
            digest => session_id(digest).map_err(|why| wrong(from, why))?,
        };
        // Room for as many later times as anybody could ask for.
        let (clock, now) = match session.now_us {
            // One of before 0.3 does not tell them apart.
            0 => (session.clock_us, session.clock_us),
            now => (session.latest_us, now),
        };
        if clock.max(now) > u64::MAX / 2 {
            return Err(wrong(from, Malformed("a clock beyond all time")));
        }
        let lost: Vec<ReplicaId> = all(session.lost).map_err(|why| wrong(from, why))?;
        for replica in lost {
            if self.lost.known.insert(replica) {
                self.lost.news.insert(replica.server);
            }
        }
        (self.id, self.digest) = (id, Some(digest));
        self.token = session.token;
        self.clock
            .observe(Time(clock), Time(now), self.began.elapsed());
        Ok(())
    }
}

/// The same error of a request about this server.
fn named(error: Error, server: u32) -> Error {
    match error {
        Error::UnknownServer { servers, .. } => Error::UnknownServer { server, servers },
        other => other,
    }
}

fn wrong(front_end: &Address, why: Malformed) -> Error {
    Error::WrongAnswer {
        front_end: front_end.clone(),
        why: why.0.to_owned(),
    }
}
