//! Ratings in bulk.

mod journal;
mod latest;
mod rows;
mod sending;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use backfence_client::{Client, SavedSession, Session};
use backfence_process::{Exit, Failure};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    args::Format,
    import::{
        journal::{Journal, Past},
        latest::Latest,
        rows::{Row, digest, reader},
        sending::{Shared, loaded, lock, open, rate_rows},
    },
};

pub(crate) use sending::Count;

/// What whoever interrupts one is told.
pub(crate) const AGAIN_TO_CONTINUE: &str = "Interrupted; run the same command to continue";
/// How many sessions send at once, unless it is said.
pub(crate) const SESSIONS: u16 = 32;
/// Rows that wait for one session; the reader waits for room.
const WAITING: usize = 64;

/// Gives the ratings of the file, or the rest of them where it was interrupted.
///
/// # Errors
///
/// A [`Failure`] when the file cannot be read or is another than the one that was
/// interrupted, or when nobody takes an update for 30 s. The same command then goes
/// on.
pub(crate) async fn import(client: &Client, file: &Path, sessions: usize) -> anyhow::Result<Count> {
    let cannot = |error: io::Error| {
        let message = format!("cannot read {}: {error}", file.display());
        Failure::new(Exit::Usage, message)
    };
    if !is_plain(file).map_err(cannot)? {
        return Err(no_plain_file(file).into());
    }
    // A file that is refused leaves no note.
    reader(file)?;
    let (digest, rows) = digest(file).map_err(cannot)?;
    let beside = Journal::beside(file);
    let opened = Journal::open(beside.clone(), &digest);
    let (mut journal, past) = opened.map_err(|error| cannot_note(&beside, &error))?;
    let past = past.ok_or_else(|| other_file(&beside))?;
    let fingerprint = match &past.fingerprint {
        Some(fingerprint) => fingerprint.clone(),
        None => {
            let fingerprint = loaded(client).await?;
            let noted = journal.data(&fingerprint);
            noted.map_err(|error| cannot_note(&beside, &error))?;
            fingerprint
        }
    };
    let sessions = if past.sessions.is_empty() {
        begin(client, sessions, &fingerprint, &mut journal, &beside).await?
    } else {
        go_on(client, &past, &fingerprint)
    };
    // What was done before is no part of what is left to do, nor of the rate.
    let bar = bar(rows.saturating_sub(past.done()));
    let shared = Arc::new(Shared {
        journal: Mutex::new(journal),
        past,
        count: Mutex::default(),
        bar,
    });
    rate_all(file, sessions, &shared).await?;
    shared.bar.finish_and_clear();
    let shared = Arc::into_inner(shared).context("a session of the import still runs")?;
    let count = *lock(&shared.count);
    let journal = shared
        .journal
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    journal
        .remove()
        .map_err(|error| cannot_note(&beside, &error))?;
    Ok(count)
}

/// Whether the file can be read twice, with a note beside it.
fn is_plain(file: &Path) -> io::Result<bool> {
    let stream = ["/dev", "/proc"]
        .iter()
        .any(|folder| file.starts_with(folder));
    Ok(std::fs::metadata(file)?.is_file() && !stream)
}

fn no_plain_file(file: &Path) -> Failure {
    let message = format!(
        "{} is no plain file; an import reads it twice and notes beside it how far it is, so \
         save it as a file first",
        file.display()
    );
    Failure::new(Exit::Usage, message)
}

/// Prints what came of an import. Gives the code that it would end a program with.
pub(crate) fn report(count: Count, format: Format) -> anyhow::Result<Exit> {
    let Count {
        rated,
        before,
        skipped,
    } = count;
    let text = match format {
        Format::Json => {
            serde_json::json!({"rated": rated, "before": before, "skipped": skipped}).to_string()
        }
        _ => count.to_string(),
    };
    backfence_process::print(text + "\n")?;
    Ok(match skipped {
        0 => Exit::Done,
        _ => Exit::Refused,
    })
}

/// So many new sessions, which are noted: their updates can be sent again by their tokens
/// only.
async fn begin(
    client: &Client,
    wanted: usize,
    fingerprint: &str,
    journal: &mut Journal,
    beside: &Path,
) -> Result<Vec<Session>, Failure> {
    let mut sessions = Vec::new();
    for index in 0..wanted {
        let mut session = client.session();
        session.set_fingerprint(fingerprint);
        open(&mut session).await?;
        let noted = journal.session(index, &session.save());
        noted.map_err(|error| cannot_note(beside, &error))?;
        sessions.push(session);
    }
    Ok(sessions)
}

/// The sessions that were interrupted.
fn go_on(client: &Client, past: &Past, fingerprint: &str) -> Vec<Session> {
    let go_on = |(saved, last): (&SavedSession, &u64)| {
        client.resume(SavedSession {
            clock: past.clock.max(saved.clock),
            next: last + 1,
            fingerprint: fingerprint.to_owned(),
            ..saved.clone()
        })
    };
    past.sessions.iter().zip(&past.last).map(go_on).collect()
}

/// Hands the rows to the sessions. All rows of one user and movie go to one session,
/// one after the other: the last one wins. Where the file says when, that is the latest.
async fn rate_all(file: &Path, sessions: Vec<Session>, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    let mut queues = Vec::new();
    for (index, session) in sessions.into_iter().enumerate() {
        let (queue, rows) = mpsc::channel(WAITING);
        queues.push(queue);
        let shared = Arc::clone(shared);
        running.spawn(async move { rate_rows(index, session, rows, &shared).await });
    }
    let (mut lines, time) = reader(file)?;
    let mut latest = time.map(|_| Latest::new(file)).transpose()?;
    for number in 0.. {
        let read = lines.advance();
        let read = read.with_context(|| format!("cannot read {}", file.display()))?;
        let Some(line) = read else { break };
        let row = match Row::read((number, line), &lines.columns(), time) {
            Ok(row) => row,
            Err(why) => {
                shared.skip(line, &why);
                continue;
            }
        };
        if let Some(counts) = latest.as_mut().and_then(|latest| latest.overtakes(&row)) {
            let (user, movie) = (row.user, row.movie);
            let why =
                format!("user {user} rates movie {movie} later in line {counts}, which counts");
            shared.skip(line, &why);
            continue;
        }
        let queue = &queues[row.place(queues.len())];
        if queue.send(row).await.is_err() {
            // That session has failed, and says why below.
            break;
        }
    }
    drop(queues);
    while let Some(ended) = running.join_next().await {
        ended.context("a session crashed")??;
    }
    Ok(())
}

fn bar(rows: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} {per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    // On stderr, and only where that is a terminal.
    ProgressBar::new(rows)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}

fn cannot_note(journal: &Path, error: &io::Error) -> Failure {
    let message = format!(
        "cannot note in {} how far the import is: {error}",
        journal.display()
    );
    Failure::new(Exit::Usage, message)
}

fn other_file(journal: &Path) -> Failure {
    let message = format!(
        "{} is of an import of another file that was interrupted; import that one again, or \
         delete this note of it",
        journal.display()
    );
    Failure::new(Exit::Refused, message)
}
