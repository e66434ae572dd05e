//! What changes ratings.

use std::time::Duration;

use backfence_gossip::UpdateId;
use backfence_ratings::{MovieId, Rating, UserId};
use backfence_wire::{Reason, v1};
use tokio::time::Instant;

use super::{Session, wrong};
use crate::{Error, Prepared, Updated, call::Effect, read};

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

    async fn update(
        &mut self,
        user: UserId,
        movie: MovieId,
        rating: Option<Rating>,
    ) -> Result<Updated, Error> {
        let deadline = self.begin().await?;
        let before = self.clock;
        let update = self.next_update(user, movie, rating);
        match self.send_by(deadline, &update).await {
            // It was sent for the first time, so it has done nothing, and its date is free.
            Err(error) if error == Error::NotTaken || is_ahead(&error) => {
                self.clock = before;
                self.opened = false;
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

/// Whether every server refused an update, since it is dated too far ahead: by a server whose
/// clock was wrong.
fn is_ahead(error: &Error) -> bool {
    let ahead = Reason::ClockAhead.as_str();
    matches!(error, Error::Refused { reason, .. } if reason == ahead)
}
