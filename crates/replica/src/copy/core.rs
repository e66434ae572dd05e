//! The core, entered by requests: all of a batch at once.

use backfence_gossip::{
    Accepted, Record, Refusal, Replica, ReplicaId, Time, Timestamp, Update, View,
};
use backfence_ratings::{Operation, Ratings, UnknownMovie};

use super::{Copy, Held, Told};

/// The core under its lock, for those who ask it something. What they ask is asked at
/// one moment.
pub(crate) struct Core<'a> {
    pub(crate) id: ReplicaId,
    held: &'a mut Held,
    now: Time,
    has_grown: bool,
}

impl Copy {
    /// Enters the core, once for all that `ask` asks of it. Then those are told who wait
    /// for what it took.
    pub(crate) fn enter<T>(&self, ask: impl FnOnce(&mut Core<'_>) -> T) -> T {
        let now = self.environment.now();
        let mut held = self.held();
        let mut core = Core {
            id: self.id,
            held: &mut held,
            now,
            has_grown: false,
        };
        let asked = ask(&mut core);
        let has_grown = core.has_grown;
        drop(held);
        if has_grown {
            self.wake_disk();
            self.grown.send_replace(());
            self.news.send_replace(());
        }
        asked
    }

    /// The first record of each origin that `prev` asks for and the value lacks.
    pub(crate) fn missing(&self, prev: &Timestamp) -> Timestamp {
        self.held().replica.missing(prev)
    }
}

impl Core<'_> {
    /// The core as it is.
    pub(crate) const fn replica(&self) -> &Replica<Ratings> {
        &self.held.replica
    }

    /// What a retry of an update that is known is told, and the others of which it is not
    /// known that they were taken are not.
    pub(crate) fn retry(&self, update: &Update<Operation>) -> Result<Told<Accepted>, UpdateError> {
        let accepted = self.held.replica.retry(update, self.now)?;
        let after = self.held.position();
        let server = self.id.server;
        let what = accepted.ok_or(UpdateError::NotAbove { server })?;
        Ok(Told { what, after })
    }

    /// Takes an update of a movie that exists; nothing that its session has seen is dated after
    /// `seen`.
    pub(crate) fn update(
        &mut self,
        update: Update<Operation>,
        seen: Time,
    ) -> Result<Told<Accepted>, UpdateError> {
        let Held {
            replica, unwritten, ..
        } = &mut *self.held;
        replica.value().check(&update.operation)?;
        let kept = unwritten.as_ref().map(|_| update.clone());
        let accepted = replica.update_after(update, seen, self.now)?;
        if let (Some(number), Some(unwritten), Some(update)) = (accepted.number, unwritten, kept) {
            // The core took it just now, so it can be a record.
            unwritten.made(Record::new(self.id, number, update).expect("it was accepted"));
        }
        self.has_grown |= accepted.number.is_some();
        // A record that another has made is of use as a copy once it is written too.
        let after = match accepted.number {
            Some(_) => self.held.own(),
            None => self.held.position(),
        };
        let what = accepted;
        Ok(Told { what, after })
    }

    /// Asks the value, if it covers `prev`. The answer may be told when this replica's
    /// own records are written: a crash before would give their numbers, which the
    /// answer names, to other updates.
    pub(crate) fn query<T>(
        &self,
        prev: &Timestamp,
        ask: impl FnOnce(View<'_, Ratings>) -> Option<T>,
    ) -> Result<Option<Told<T>>, Refusal> {
        let after = self.held.own();
        let answer = self.held.replica.query(prev, self.now)?.and_then(ask);
        Ok(answer.map(|what| Told { what, after }))
    }
}

/// Why an update was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    #[error(transparent)]
    UnknownMovie(#[from] UnknownMovie),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(
        "time_us: it is not above what the session has seen, so the session would never see the \
         update, and server {server} does not know it as sent before; date it later than clock_us"
    )]
    NotAbove { server: u32 },
}
