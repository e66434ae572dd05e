//! Giving the ratings, each once, and counting what became of them.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backfence_client::{Client, Error, Prepared, Session, SessionId, UpdateId};
use backfence_process::{Exit, Failure};
use indicatif::ProgressBar;
use tokio::{sync::mpsc, time::Instant};

use super::{
    journal::{Journal, Past, Sent},
    rows::Row,
};
use crate::output::{failure, grouped};

/// How long an update is sent again while nobody takes it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Bad rows that are named; further ones are only counted.
const NAMED: u64 = 10;

/// What came of the rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(super) rated: u64,
    /// By the import that was interrupted.
    pub(super) before: u64,
    pub(super) skipped: u64,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Imported {}", grouped(self.rated))?;
        if self.before > 0 {
            write!(f, " ({} already done)", grouped(self.before))?;
        }
        write!(f, ", skipped {}", grouped(self.skipped))
    }
}

/// What all sessions share.
pub(super) struct Shared {
    pub(super) journal: Mutex<Journal>,
    pub(super) past: Past,
    pub(super) count: Mutex<Count>,
    pub(super) bar: ProgressBar,
}

/// Gives the rows of one session, one after the other.
pub(super) async fn rate_rows(
    index: usize,
    mut session: Session,
    mut rows: mpsc::Receiver<Row>,
    shared: &Shared,
) -> Result<(), Failure> {
    while let Some(row) = rows.recv().await {
        if shared.past.is_done(row.number) {
            lock(&shared.count).before += 1;
            continue;
        }
        let update = match shared.past.sent.get(&row.number) {
            Some(sent) => again(row, sent, session.id().unwrap_or_default()),
            None => shared.first(index, row, &mut session).await?,
        };
        let mut given = persist(&mut session, &update).await;
        if let Err(Error::TooLate { .. } | Error::NotTaken) = given {
            given = if has_given(&mut session, &update).await? {
                Ok(())
            } else {
                let anew = shared.first(index, row, &mut session).await?;
                persist(&mut session, &anew).await
            };
        }
        if matches!(given, Ok(()) | Err(Error::UnknownMovie)) {
            shared.note(|journal| journal.done(row.number))?;
        }
        match given {
            Ok(()) => shared.count(|count| count.rated += 1),
            Err(Error::UnknownMovie) => {
                shared.skip(row.line, &format!("there is no movie {}", row.movie));
            }
            Err(error) => {
                let failed = failure(error);
                let message = format!("{failed}; run the same command to continue the import");
                return Err(Failure::new(failed.code(), message));
            }
        }
    }
    Ok(())
}

impl Shared {
    /// Notes an update before it is sent for the first time.
    async fn first(
        &self,
        index: usize,
        row: Row,
        session: &mut Session,
    ) -> Result<Prepared, Failure> {
        let patience = Patience::begin();
        let update = loop {
            match session.prepare(row.user, row.movie, Some(row.rating)).await {
                Ok(update) => break update,
                Err(error) => patience.with(error).await.map_err(failure)?,
            }
        };
        let sent = Sent {
            session: index,
            sequence: update.id.sequence,
            time: update.time,
        };
        self.note(|journal| journal.sent(row.number, sent))?;
        Ok(update)
    }

    fn note(&self, write: impl FnOnce(&mut Journal) -> io::Result<()>) -> Result<(), Failure> {
        let mut journal = lock(&self.journal);
        write(&mut journal).map_err(|error| {
            Failure::new(
                Exit::Internal,
                format!("cannot note how far the import is: {error}"),
            )
        })
    }

    fn count(&self, count: impl FnOnce(&mut Count)) {
        count(&mut lock(&self.count));
        self.bar.inc(1);
    }

    pub(super) fn skip(&self, line: u64, why: &str) {
        let mut count = lock(&self.count);
        count.skipped += 1;
        if count.skipped <= NAMED {
            self.bar.suspend(|| eprintln!("line {line} skipped: {why}"));
        }
        drop(count);
        self.bar.inc(1);
    }
}

/// The update as it was sent before the interruption.
fn again(row: Row, sent: &Sent, session: SessionId) -> Prepared {
    Prepared {
        id: UpdateId::new(session, sent.sequence),
        time: sent.time,
        user: row.user,
        movie: row.movie,
        rating: Some(row.rating),
    }
}

/// Whether an update that comes too late to be sent again is seen to have taken effect. The
/// import was interrupted for long; if another has rated since, the file is right.
async fn has_given(session: &mut Session, update: &Prepared) -> Result<bool, Failure> {
    let seen = session.view(update.user, update.movie).await;
    let seen = seen.map_err(failure)?;
    Ok(seen.is_some_and(|seen| seen.update == Some(update.id)))
}

/// Of the data that the servers have loaded: the ids in the file are taken to be of these.
pub(super) async fn loaded(client: &Client) -> Result<String, Failure> {
    let patience = Patience::begin();
    loop {
        match client.fingerprint().await {
            Ok(fingerprint) => return Ok(fingerprint),
            Err(error) => patience.with(error).await.map_err(failure)?,
        }
    }
}

/// Sends the update until somebody has taken it: it takes effect once.
async fn persist(session: &mut Session, update: &Prepared) -> Result<(), Error> {
    let patience = Patience::begin();
    loop {
        match session.send(update).await {
            Ok(_) => return Ok(()),
            Err(error) => patience.with(error).await?,
        }
    }
}

/// Begins the session, once somebody answers.
pub(super) async fn open(session: &mut Session) -> Result<(), Failure> {
    let patience = Patience::begin();
    while let Err(error) = session.open().await {
        patience.with(error).await.map_err(failure)?;
    }
    Ok(())
}

/// For how long a request is tried again.
struct Patience {
    begun: Instant,
}

impl Patience {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    /// Waits a moment after an error that passes; gives any other, and one that has lasted.
    async fn with(&self, error: Error) -> Result<(), Error> {
        if !is_passing(&error) || self.begun.elapsed() >= PATIENCE {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::AllBusy
            | Error::OutcomeUnknown { .. }
            | Error::CopiesNotMet { .. }
            | Error::OutOfTime { .. }
            | Error::Unreachable { .. }
    )
}

/// Counters and appended lines are whole after a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
