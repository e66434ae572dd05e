//! A session: what one user has seen, and the ids of what they did.

use std::{collections::BTreeSet, future::Future};

use backfence_gossip::{HybridClock, ReplicaId, SessionId, Time, Timestamp, UpdateId};
use backfence_process::Address;
use backfence_ratings::{Average, MovieId, Rating, UserId, UserRating};
use backfence_wire::{Malformed, all, v1, v1::front_end_client::FrontEndClient};
use tokio::{sync::watch, time::Instant};
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    Client, Error, Prepared, Resolution, Server, StatusChange, Updated, Waiting, answer,
    call::{Call, Effect},
    progress::Progress,
};

/// A session. One request at a time, hence `&mut self`; bulk work uses several.
///
/// The id, the number and the time of an update are fixed here, together, once,
/// and stay the same over all tries and front ends. The time goes by what front
/// ends said, plus what has elapsed since, so a wrong wall clock does no harm.
///
/// Each update takes the next number, whatever became of the one before: a future
/// that is dropped, or [`Error::OutcomeUnknown`], leaves an update that may take
/// effect later or never. An update after it does not wait for it, and wins over
/// it where both write the same rating.
#[derive(Debug)]
pub struct Session {
    client: Client,
    preferred: Option<Address>,
    id: SessionId,
    /// Empty until a front end has given one.
    token: Vec<u8>,
    /// A front end has told the time since this session began here.
    opened: bool,
    clock: HybridClock,
    /// The stopwatch of `clock`.
    began: Instant,
    next: u64,
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
    /// The session.
    pub id: SessionId,
    /// What it has seen: opaque, empty if it has not begun.
    pub token: Vec<u8>,
    /// No time that it has seen or given is greater.
    pub clock: Time,
    /// The number of its next update, from 1. A smaller one than saved would use
    /// an update id twice.
    pub next: u64,
}

impl Session {
    pub(crate) fn new(client: Client, id: SessionId) -> Self {
        Self {
            client,
            preferred: None,
            id,
            token: Vec::new(),
            opened: false,
            clock: HybridClock::default(),
            began: Instant::now(),
            next: 1,
            progress: Progress::default(),
            lost: Losses::default(),
        }
    }

    pub(crate) fn resume(client: Client, saved: SavedSession) -> Self {
        let mut session = Self::new(client, saved.id);
        session.observe_clock(saved.clock);
        session.token = saved.token;
        session.next = saved.next.max(1);
        session
    }

    /// Its id, the same for ever.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Servers that have come back without something that the session had seen: it
    /// goes on, but those updates are lost. Each loss is given once.
    pub fn take_losses(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.lost.news)
    }

    /// What it takes to go on with it elsewhere. To be saved again after every
    /// request, and before an update is sent if a crash must not reuse its id.
    pub fn save(&self) -> SavedSession {
        let mut clock = self.clock;
        SavedSession {
            id: self.id,
            token: self.token.clone(),
            clock: clock.tick(self.began.elapsed()),
            next: self.next,
        }
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

    /// The movie that a title stands for, in any letter case, with or without the
    /// year, the article in front or behind; or `#` and a movie's id.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn find(&mut self, title: &str) -> Result<Resolution, Error> {
        let deadline = self.begin().await?;
        let request = v1::FindRequest {
            session: self.token.clone(),
            title: title.to_owned(),
        };
        let (reply, from) = self
            .call(
                deadline,
                Effect::None,
                request,
                |mut service, request| async move { service.find(request).await },
            )
            .await?;
        let v1::FindResponse {
            session,
            resolution,
        } = reply;
        self.observe(session, &from)?;
        answer::resolution(resolution).map_err(|why| wrong(&from, why))
    }

    /// The rating that the user gave to the movie, if any.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`].
    pub async fn view(
        &mut self,
        user: UserId,
        movie: MovieId,
    ) -> Result<Option<UserRating>, Error> {
        let deadline = self.begin().await?;
        let request = v1::ViewRequest {
            session: self.token.clone(),
            user_id: user.0,
            movie_id: movie.0,
        };
        let (reply, from) = self
            .call(
                deadline,
                Effect::None,
                request,
                |mut service, request| async move { service.view(request).await },
            )
            .await?;
        self.observe(reply.session, &from)?;
        let rating = reply.rating.map(answer::rating).transpose();
        rating.map_err(|why| wrong(&from, why))
    }

    /// The average of the movie's ratings, if there are any.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`].
    pub async fn average(&mut self, movie: MovieId) -> Result<Option<Average>, Error> {
        let deadline = self.begin().await?;
        let request = v1::AverageRequest {
            session: self.token.clone(),
            movie_id: movie.0,
        };
        let (reply, from) = self
            .call(
                deadline,
                Effect::None,
                request,
                |mut service, request| async move { service.average(request).await },
            )
            .await?;
        let average = answer::average(&reply).map_err(|why| wrong(&from, why));
        self.observe(reply.session, &from)?;
        average
    }

    /// Gives a rating, or changes it.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`];
    /// [`Error::OutcomeUnknown`].
    pub async fn rate(
        &mut self,
        user: UserId,
        movie: MovieId,
        rating: Rating,
    ) -> Result<Updated, Error> {
        self.update(user, movie, Some(rating)).await
    }

    /// Takes a rating back. Without one to take back, nothing changes.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`];
    /// [`Error::OutcomeUnknown`].
    pub async fn delete(&mut self, user: UserId, movie: MovieId) -> Result<Updated, Error> {
        self.update(user, movie, None).await
    }

    /// The next update of this session, not sent yet: `None` for a rating takes it
    /// back. Whoever writes it down before it is [sent](Self::send) can send it
    /// again after a crash, and it takes effect once.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request: the session may have to learn the time first.
    pub async fn prepare(
        &mut self,
        user: UserId,
        movie: MovieId,
        rating: Option<Rating>,
    ) -> Result<Prepared, Error> {
        self.begin().await?;
        Ok(self.next_update(user, movie, rating))
    }

    /// Sends an update that this session, or its predecessor of the same id, has
    /// prepared. As often as it is sent, it takes effect once.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`];
    /// [`Error::OutcomeUnknown`]; [`Error::Invalid`] for another session's update.
    pub async fn send(&mut self, update: &Prepared) -> Result<Updated, Error> {
        if update.id.session != self.id {
            let why = format!("update {} is not of session {}", update.id, self.id);
            return Err(Error::Invalid(why));
        }
        let deadline = self.begin().await?;
        self.send_by(deadline, update).await
    }

    /// Turns a server's status round: online to offline for front ends, and back.
    /// For testing. It is sent again only when it has not left, since twice is not
    /// at all.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`];
    /// [`Error::ChangeUnknown`].
    pub async fn change_status(&mut self, server: u32) -> Result<StatusChange, Error> {
        let deadline = Instant::now() + self.client.limit();
        let request = v1::ChangeStatusRequest { server };
        let changed = self
            .call(
                deadline,
                Effect::Change(server),
                request,
                |mut service, request| async move { service.change_status(request).await },
            )
            .await;
        let (reply, from) = changed.map_err(|error| match error {
            Error::UnknownServer { servers, .. } => Error::UnknownServer { server, servers },
            other => other,
        })?;
        answer::status_change(reply).map_err(|why| wrong(&from, why))
    }

    /// Every server that the front end knows of, by number.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn status(&mut self) -> Result<Vec<Server>, Error> {
        let deadline = Instant::now() + self.client.limit();
        let (reply, from): (v1::StatusResponse, _) = self
            .call(
                deadline,
                Effect::None,
                v1::StatusRequest {},
                |mut service, request| async move { service.status(request).await },
            )
            .await?;
        let servers: Result<Vec<_>, _> = reply.servers.into_iter().map(answer::server).collect();
        servers.map_err(|why| wrong(&from, why))
    }

    /// The deadline of a request that begins now. The first one tells a front end
    /// the session's id, and learns the time: an update must not be dated before.
    async fn begin(&mut self) -> Result<Instant, Error> {
        let deadline = Instant::now() + self.client.limit();
        if self.opened {
            return Ok(deadline);
        }
        let request = v1::OpenSessionRequest {
            id: self.id.0.to_be_bytes().into(),
        };
        let (reply, from): (v1::OpenSessionResponse, _) = self
            .call(
                deadline,
                Effect::None,
                request,
                |mut service, request| async move { service.open_session(request).await },
            )
            .await?;
        // A session that goes on elsewhere keeps what it has seen.
        let seen = std::mem::take(&mut self.token);
        self.observe(reply.session, &from)?;
        if !seen.is_empty() {
            self.token = seen;
        }
        self.opened = true;
        Ok(deadline)
    }

    async fn update(
        &mut self,
        user: UserId,
        movie: MovieId,
        rating: Option<Rating>,
    ) -> Result<Updated, Error> {
        let deadline = self.begin().await?;
        let update = self.next_update(user, movie, rating);
        self.send_by(deadline, &update).await
    }

    async fn send_by(&mut self, deadline: Instant, update: &Prepared) -> Result<Updated, Error> {
        let effect = Effect::Update(update.id);
        let (session, id) = (self.token.clone(), update.id);
        let (user_id, movie_id) = (update.user.0, update.movie.0);
        let (update_id, time_us) = (Some(id.into()), update.time.0);
        let (reply, from) = match update.rating {
            Some(rating) => {
                let request = v1::RateRequest {
                    session,
                    user_id,
                    movie_id,
                    rating: rating.into(),
                    update_id,
                    time_us,
                };
                self.call(
                    deadline,
                    effect,
                    request,
                    |mut service, request| async move { service.rate(request).await },
                )
                .await?
            }
            None => {
                let request = v1::DeleteRequest {
                    session,
                    user_id,
                    movie_id,
                    update_id,
                    time_us,
                };
                self.call(
                    deadline,
                    effect,
                    request,
                    |mut service, request| async move { service.delete(request).await },
                )
                .await?
            }
        };
        self.updated(reply, id, &from)
    }

    fn next_update(&mut self, user: UserId, movie: MovieId, rating: Option<Rating>) -> Prepared {
        let id = UpdateId::new(self.id, self.next);
        self.next += 1;
        Prepared {
            id,
            time: self.clock.tick(self.began.elapsed()),
            user,
            movie,
            rating,
        }
    }

    /// A query about what the session has seen.
    pub(crate) async fn ask<Q: Clone, A, F>(
        &mut self,
        request: impl FnOnce(Vec<u8>) -> Q,
        send: impl Fn(FrontEndClient<Channel>, Request<Q>) -> F,
    ) -> Result<(A, Address), Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = self.begin().await?;
        let request = request(self.token.clone());
        self.call(deadline, Effect::None, request, send).await
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

    fn updated(
        &mut self,
        reply: v1::UpdateResponse,
        id: UpdateId,
        from: &Address,
    ) -> Result<Updated, Error> {
        let updated = answer::updated(&reply, id).map_err(|why| wrong(from, why));
        self.observe(reply.session, from)?;
        updated
    }

    /// To be done on every reply, to queries as well.
    pub(crate) fn observe(
        &mut self,
        session: Option<v1::Session>,
        from: &Address,
    ) -> Result<(), Error> {
        let session = session.ok_or_else(|| wrong(from, Malformed("a reply without session")))?;
        if session.id != self.id.0.to_be_bytes() || session.token.is_empty() {
            return Err(wrong(from, Malformed("a reply for another session")));
        }
        // Room for as many later times as anybody could ask for.
        if session.clock_us > u64::MAX / 2 {
            return Err(wrong(from, Malformed("a clock beyond all time")));
        }
        let lost: Vec<ReplicaId> = all(session.lost).map_err(|why| wrong(from, why))?;
        for replica in lost {
            if self.lost.known.insert(replica) {
                self.lost.news.insert(replica.server);
            }
        }
        self.token = session.token;
        self.observe_clock(Time(session.clock_us));
        Ok(())
    }

    fn observe_clock(&mut self, clock: Time) {
        self.clock.observe(clock, self.began.elapsed());
    }
}

pub(crate) fn wrong(front_end: &Address, why: Malformed) -> Error {
    Error::WrongAnswer {
        front_end: front_end.clone(),
        why: why.0.to_owned(),
    }
}
