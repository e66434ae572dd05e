//! What changes something: ratings, a server's status, and who takes part.

use std::time::Duration;

use backfence_gossip::UpdateId;
use backfence_process::Address;
use backfence_ratings::{MovieId, Rating, UserId};
use backfence_wire::{Malformed, v1};
use tokio::time::Instant;

use super::{Session, named, wrong};
use crate::{Error, Prepared, StatusChange, Updated, WantedStatus, call::Effect, read};

/// With less time left a wait for copies is not begun again.
const WORTHWHILE: Duration = Duration::from_millis(100);

impl Session {
    /// Gives a rating, or changes it.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`];
    /// [`Error::OutcomeUnknown`]; [`Error::CopiesNotMet`].
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
    /// [`Error::OutcomeUnknown`]; [`Error::CopiesNotMet`].
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
        let update = self.next_update(user, movie, rating);
        self.untaken = Some(update.id);
        Ok(update)
    }

    /// Sends an update that this session, or its predecessor of the same id, has
    /// prepared. As often as it is sent, it takes effect once.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`];
    /// [`Error::OutcomeUnknown`]; [`Error::TooLate`]; [`Error::NotTaken`];
    /// [`Error::CopiesNotMet`]; [`Error::Invalid`] for another session's update.
    pub async fn send(&mut self, update: &Prepared) -> Result<Updated, Error> {
        let deadline = self.begin().await?;
        // Before the first answer of a front end of 0.3 it was the id itself.
        let own = [self.digest, Some(self.id)];
        if !own.contains(&Some(update.id.session)) {
            let why = format!("update {} is not of this session", update.id);
            return Err(Error::Invalid(why));
        }
        let is_first = self.untaken.take_if(|id| *id == update.id).is_some();
        let update_id = update.id;
        match self.send_by(deadline, update).await {
            Err(Error::NotTaken) if !is_first => Err(Error::TooLate { update_id }),
            Err(error @ (Error::NotTaken | Error::AllBusy | Error::Unreachable { .. })) => {
                self.untaken = is_first.then_some(update_id);
                Err(error)
            }
            sent => sent,
        }
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
        let changed = self.change(
            server,
            v1::ServerStatus::Unspecified,
            Effect::Change(server),
        );
        let (reply, from) = changed.await?;
        read::status_change(reply).map_err(|why| wrong(&from, why))
    }

    /// Sets a server's status, for testing. Twice is the same as once, so it is sent
    /// again until it is answered: what it was before may then be what it is now.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::WrongAnswer`] where
    /// the server, or the front end, is of a version before 0.2, which turns the status
    /// round.
    pub async fn set_status(
        &mut self,
        server: u32,
        wanted: WantedStatus,
    ) -> Result<StatusChange, Error> {
        let wanted = match wanted {
            WantedStatus::Online => v1::ServerStatus::Online,
            WantedStatus::Offline => v1::ServerStatus::Offline,
        };
        let changed = self.change(server, wanted, Effect::One(server));
        let (reply, from) = changed.await?;
        if reply.to() != wanted {
            let why = "the status is not what was asked for: the server turned it round";
            return Err(wrong(&from, Malformed(why)));
        }
        read::status_change(reply).map_err(|why| wrong(&from, why))
    }

    /// Retires a server for good: what only it has is lost, and its number is never used
    /// again. Without `force` it is only looked at, and refused with what is known of
    /// it. Whether it was not retired yet; where an answer was lost and it was asked
    /// again, that is unknown, and `false`.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::Refused`] for
    /// `STILL_RUNNING`, `NEEDS_FORCE` or `RETIRES_ITSELF`.
    pub async fn retire(&mut self, server: u32, force: bool) -> Result<bool, Error> {
        let deadline = Instant::now() + self.client.limit();
        let request = v1::RetireRequest { server, force };
        let retired = self
            .call(
                deadline,
                Effect::None,
                request,
                |mut service, request| async move { service.retire(request).await },
            )
            .await;
        let (reply, _) = retired.map_err(|error| named(error, server))?;
        Ok(!reply.already)
    }

    async fn change(
        &mut self,
        server: u32,
        wanted: v1::ServerStatus,
        effect: Effect,
    ) -> Result<(v1::ChangeStatusResponse, Address), Error> {
        let deadline = Instant::now() + self.client.limit();
        let wanted = wanted.into();
        let request = v1::ChangeStatusRequest { server, wanted };
        let changed = self.call(
            deadline,
            effect,
            request,
            |mut service, request| async move { service.change_status(request).await },
        );
        changed.await.map_err(|error| named(error, server))
    }

    async fn update(
        &mut self,
        user: UserId,
        movie: MovieId,
        rating: Option<Rating>,
    ) -> Result<Updated, Error> {
        let deadline = self.begin().await?;
        let update = self.next_update(user, movie, rating);
        match self.send_by(deadline, &update).await {
            // It was sent for the first time, so it has done nothing.
            Err(Error::NotTaken) => {
                self.begin().await?;
                let update = self.next_update(user, movie, rating);
                self.send_by(deadline, &update).await
            }
            sent => sent,
        }
    }

    /// Until the servers that were asked for have it, or the deadline.
    async fn send_by(&mut self, deadline: Instant, update: &Prepared) -> Result<Updated, Error> {
        let copies = self.client.copies();
        let mut updated = self.send_once(deadline, update).await?;
        while updated.servers.len() < copies as usize {
            let left = deadline.saturating_duration_since(Instant::now());
            let again = match left > WORTHWHILE {
                true => self.send_once(deadline, update).await.ok(),
                false => None,
            };
            // It is taken, whatever has become of the wait.
            updated = again.ok_or(Error::CopiesNotMet {
                update_id: update.id,
                copies,
                servers: updated.servers,
            })?;
        }
        Ok(updated)
    }

    /// Where it is dated too long ago, the next request learns the time first.
    async fn send_once(&mut self, deadline: Instant, update: &Prepared) -> Result<Updated, Error> {
        let sent = self.try_once(deadline, update).await;
        self.opened &= !matches!(sent, Err(Error::NotTaken));
        sent
    }

    async fn try_once(&mut self, deadline: Instant, update: &Prepared) -> Result<Updated, Error> {
        let effect = Effect::Update(update.id);
        let session = self.token.clone();
        let id = UpdateId::new(self.id, update.id.sequence);
        let (user_id, movie_id) = (update.user.0, update.movie.0);
        let (update_id, time_us) = (Some(id.into()), update.time.0);
        let copies = self.client.copies();
        let fingerprint = self.fingerprint.clone();
        let (reply, from): (v1::UpdateResponse, _) = match update.rating {
            Some(rating) => {
                let request = v1::RateRequest {
                    session,
                    user_id,
                    movie_id,
                    rating: rating.into(),
                    update_id,
                    time_us,
                    copies,
                    fingerprint,
                };
                self.exchange(
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
                    copies,
                    fingerprint,
                };
                self.exchange(
                    deadline,
                    effect,
                    request,
                    |mut service, request| async move { service.delete(request).await },
                )
                .await?
            }
        };
        let updated = read::updated(reply, id).map_err(|why| wrong(&from, why))?;
        Ok(Updated {
            id: update.id,
            ..updated
        })
    }

    fn next_update(&mut self, user: UserId, movie: MovieId, rating: Option<Rating>) -> Prepared {
        // It has begun, so a front end has told what to show.
        let id = UpdateId::new(self.digest.unwrap_or(self.id), self.next);
        self.next += 1;
        Prepared {
            id,
            time: self.clock.tick(self.began.elapsed()),
            user,
            movie,
            rating,
        }
    }
}
