//! A session that reads, writes, and answers what others write.

use std::{sync::Arc, time::Duration};

use anyhow::{bail, ensure};
use backfence_client::{Client, Error, Prepared, Session, UserRating};
use backfence_process::Address;
use backfence_wire::Reason;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use crate::{
    cells::{Cell, rating},
    journal::Journal,
    shared::{Counts, Shared, shifted},
};

/// How long a session may take to settle, when the faults are over, what it has begun.
const SETTLE: Duration = Duration::from_secs(60);

/// A session that reads, writes, and answers what others write.
pub(crate) struct Talker {
    client: Client,
    session: Session,
    front_end: Option<Address>,
    random: StdRng,
    /// Since when.
    talking: Instant,
    journal: Journal,
    shared: Arc<Shared>,
    /// An update that was sent, and of which nobody has said that it was taken.
    begun: Option<(Cell, Prepared)>,
    /// Where to answer next.
    answer: Option<Cell>,
}

impl Talker {
    pub(crate) fn new(client: &Client, seed: u64, number: u32, shared: Arc<Shared>) -> Self {
        Self {
            client: client.clone(),
            journal: Journal::new(),
            session: client.session(),
            talking: Instant::now(),
            front_end: None,
            random: StdRng::seed_from_u64(seed.wrapping_mul(1 << 16) + u64::from(number)),
            shared,
            begun: None,
            answer: None,
        }
    }

    /// Talks until the end, and gives what it noted.
    ///
    /// # Errors
    ///
    /// What no session may meet.
    pub(crate) async fn talk(mut self) -> anyhow::Result<Journal> {
        let shared = Arc::clone(&self.shared);
        while shared.turn(self.talking).await {
            let at_work = shared.at_work.read().await;
            let answered = self.step().await?;
            self.note_what_was_seen()?;
            drop(at_work);
            if !answered {
                shared.give_back().await;
            }
        }
        self.settle().await?;
        Ok(self.journal)
    }

    /// One request. Whether it was answered.
    async fn step(&mut self) -> anyhow::Result<bool> {
        if self.random.random_range(0..64) == 0 {
            // Elsewhere, through whichever front end comes first there.
            self.session = self.client.resume(self.session.save());
        }
        if let Some((cell, update)) = self.begun.take() {
            return self.send(cell, update).await;
        }
        let hot = shifted(self.talking);
        if let Some(cell) = self.answer.take() {
            return self.write(cell, true).await;
        }
        match self.random.random_range(0..32) {
            0 => {
                let cell = Cell::draw_deleting(&mut self.random);
                let given = self.random.random_bool(0.5);
                self.write(cell, given).await
            }
            1..=10 => {
                let cell = Cell::draw(&mut self.random, hot);
                self.write(cell, true).await
            }
            _ => {
                let cell = Cell::draw(&mut self.random, hot);
                self.read(cell).await
            }
        }
    }

    async fn read(&mut self, cell: Cell) -> anyhow::Result<bool> {
        let begun = Instant::now();
        let viewed = self.session.view(cell.user(), cell.movie()).await;
        let counts = &self.shared.counts;
        counts.took(begun.elapsed(), viewed.is_ok());
        match viewed {
            Ok(seen) => {
                Counts::add(&counts.reads);
                check_rating(cell, seen)?;
                let update = seen.and_then(|seen| seen.update);
                self.journal.read(cell, update);
                let from_other =
                    update.is_some_and(|update| Some(update.session) != self.session.id());
                if from_other && self.random.random_range(0..4) == 0 {
                    self.answer = Some(cell.partner(shifted(self.talking)));
                }
                Ok(true)
            }
            Err(error) => {
                Counts::add(&counts.failed_reads);
                may_fail(&error).map(|()| false)
            }
        }
    }

    async fn write(&mut self, cell: Cell, given: bool) -> anyhow::Result<bool> {
        let rated = |sequence| given.then(|| rating(sequence));
        let next = self.session.save().next;
        let prepared = self
            .session
            .prepare(cell.user(), cell.movie(), rated(next))
            .await;
        match prepared {
            Ok(update) => {
                ensure!(
                    update.id.sequence == next,
                    "a session's numbers have a hole"
                );
                self.journal.sent(cell, update);
                self.send(cell, update).await
            }
            Err(error) => {
                self.shared.counts.took(Duration::ZERO, false);
                Counts::add(&self.shared.counts.failed_sends);
                may_fail(&error).map(|()| false)
            }
        }
    }

    /// Sends it. In doubt, it is mostly sent again the next time, until it is settled.
    async fn send(&mut self, cell: Cell, update: Prepared) -> anyhow::Result<bool> {
        let begun = Instant::now();
        let before = self.session.seen();
        let sent = self.session.send(&update).await;
        let counts = &self.shared.counts;
        counts.took(begun.elapsed(), sent.is_ok());
        match sent {
            Ok(_) => {
                Counts::add(&counts.writes);
                let after = self.session.seen();
                let new = after
                    .iter()
                    .filter(|&(id, number)| number > before.count(id));
                self.journal.acknowledged(cell, &update, new);
                Ok(true)
            }
            Err(error) => {
                match &error {
                    Error::OutcomeUnknown { .. } => Counts::add(&counts.unknown_sends),
                    _ => Counts::add(&counts.failed_sends),
                }
                may_fail(&error)?;
                let is_over = matches!(error, Error::TooLate { .. } | Error::NotTaken);
                if !is_over && self.random.random_range(0..16) > 0 {
                    self.begun = Some((cell, update));
                }
                Ok(false)
            }
        }
    }

    fn note_what_was_seen(&mut self) -> anyhow::Result<()> {
        self.shared.saw(&self.session.seen());
        let front_end = self.session.front_end();
        if front_end.is_some() && front_end != self.front_end.as_ref() {
            if self.front_end.is_some() {
                Counts::add(&self.shared.counts.moves);
            }
            self.front_end = front_end.cloned();
        }
        let lost = self.session.take_losses();
        ensure!(
            lost.is_empty(),
            "session {:?} was told that a past with servers {lost:?} is lost; its token names {}",
            self.session.id(),
            self.session.seen()
        );
        Ok(())
    }

    /// With the faults over, what was begun is taken, and all that is hot can be read.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLE;
        while let Some((cell, update)) = self.begun.take() {
            self.send(cell, update).await?;
            ensure!(
                self.begun.is_none() || Instant::now() < deadline,
                "without faults, update {} was not taken in {SETTLE:?}",
                update.id
            );
        }
        for _ in 0..8 {
            let cell = Cell::draw(&mut self.random, shifted(self.talking));
            loop {
                match self.session.view(cell.user(), cell.movie()).await {
                    Ok(seen) => {
                        check_rating(cell, seen)?;
                        self.journal.read(cell, seen.and_then(|seen| seen.update));
                        break;
                    }
                    Err(error) if Instant::now() > deadline => {
                        bail!("without faults, a session cannot read: {error}")
                    }
                    Err(error) => may_fail(&error)?,
                }
            }
        }
        self.note_what_was_seen()
    }
}

/// The rating is the one that the update gave.
fn check_rating(cell: Cell, seen: Option<UserRating>) -> anyhow::Result<()> {
    if let Some(UserRating {
        rating: seen,
        update,
    }) = seen
    {
        let Some(update) = update else {
            bail!("{cell:?} shows a loaded rating, and there is none");
        };
        ensure!(
            seen == rating(update.sequence),
            "{cell:?} shows {seen} of update {update}, which gave {}",
            rating(update.sequence)
        );
    }
    Ok(())
}

/// Whether a request may end so while there are faults.
fn may_fail(error: &Error) -> anyhow::Result<()> {
    let may = match error {
        Error::AllBusy
        | Error::Behind { .. }
        | Error::NotTaken
        | Error::OutcomeUnknown { .. }
        | Error::TooLate { .. }
        | Error::Unreachable { .. }
        | Error::OutOfTime { .. } => true,
        Error::Refused { reason, .. } => {
            let reason = Reason::read(reason);
            matches!(reason, Some(Reason::LogFull | Reason::ClockAhead))
        }
        _ => false,
    };
    ensure!(may, "a request ended as none may: {error}");
    Ok(())
}
