//! Ratings in bulk.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use backfence_client::{
    Client, Error, MovieId, Prepared, Rating, SavedSession, Session, UpdateId, UserId,
};
use backfence_process::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    args::Format,
    journal::{Journal, Past, Sent},
    output::{counted, failure, safe},
};

/// Rows that wait for one session; the reader waits for room.
const WAITING: usize = 64;
/// How long an update is sent again while nobody takes it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Bad rows that are named; further ones are only counted.
const NAMED: u64 = 10;

/// A rating to give, and its place in the file, from 0.
#[derive(Clone, Copy, Debug)]
struct Row {
    number: u64,
    user: UserId,
    movie: MovieId,
    rating: Rating,
}

/// What came of the rows.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rated: u64,
    /// By the import that was interrupted.
    before: u64,
    skipped: u64,
}

/// What all sessions share.
struct Shared {
    journal: Mutex<Journal>,
    past: Past,
    count: Mutex<Count>,
    bar: ProgressBar,
}

/// Gives the ratings of the file, or the rest of them where it was interrupted.
///
/// # Errors
///
/// A [`Failure`] when the file cannot be read or is another than the one that was
/// interrupted, or when nobody takes an update for 30 s. The same command then goes
/// on.
pub(crate) async fn import(
    client: &Client,
    file: &Path,
    sessions: usize,
    format: Format,
) -> anyhow::Result<Exit> {
    let cannot = |error: io::Error| {
        let message = format!("cannot read {}: {error}", file.display());
        Failure::new(Exit::Usage, message)
    };
    let (digest, rows) = digest(file).map_err(cannot)?;
    let beside = Journal::beside(file);
    let opened = Journal::open(beside.clone(), &digest);
    let (mut journal, past) = opened.map_err(|error| cannot_note(&beside, &error))?;
    let past = past.ok_or_else(|| other_file(&beside))?;
    let sessions = begin(client, sessions, &past, &mut journal)
        .map_err(|error| cannot_note(&beside, &error))?;
    let shared = Arc::new(Shared {
        journal: Mutex::new(journal),
        past,
        count: Mutex::default(),
        bar: bar(rows),
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
    report(count, format)
}

fn report(count: Count, format: Format) -> anyhow::Result<Exit> {
    let Count {
        rated,
        before,
        skipped,
    } = count;
    let text = match format {
        Format::Json => {
            serde_json::json!({"rated": rated, "before": before, "skipped": skipped}).to_string()
        }
        _ => {
            let (rated, rows) = (counted(rated, "rating"), counted(skipped, "row"));
            let before = match before {
                0 => String::new(),
                _ => format!(" after {before} before"),
            };
            format!("Gave {rated}{before}; passed over {rows}")
        }
    };
    backfence_process::print(text + "\n")?;
    Ok(match skipped {
        0 => Exit::Done,
        _ => Exit::Refused,
    })
}

/// The sessions that were interrupted go on; else new ones begin.
fn begin(
    client: &Client,
    wanted: usize,
    past: &Past,
    journal: &mut Journal,
) -> io::Result<Vec<Session>> {
    let mut sessions: Vec<_> = past
        .sessions
        .iter()
        .zip(&past.last)
        .map(|(&id, last)| {
            client.resume(SavedSession {
                id,
                // It reads nothing, so it need not have seen anything.
                token: Vec::new(),
                clock: past.clock,
                next: last + 1,
            })
        })
        .collect();
    if sessions.is_empty() {
        for index in 0..wanted {
            let session = client.session();
            journal.session(index, session.id())?;
            sessions.push(session);
        }
    }
    Ok(sessions)
}

/// Hands the rows to the sessions. All rows of one user and movie go to one session,
/// one after the other: the last one wins.
async fn rate_all(file: &Path, sessions: Vec<Session>, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    let mut queues = Vec::new();
    for (index, session) in sessions.into_iter().enumerate() {
        let (queue, rows) = mpsc::channel(WAITING);
        queues.push(queue);
        let shared = Arc::clone(shared);
        running.spawn(async move { rate_rows(index, session, rows, &shared).await });
    }
    let mut reader = reader(file)?;
    let mut record = csv::ByteRecord::new();
    for number in 0.. {
        let read = reader.read_byte_record(&mut record);
        if !read.with_context(|| format!("cannot read {}", file.display()))? {
            break;
        }
        let row = match row(number, &record) {
            Ok(row) => row,
            Err(why) => {
                shared.skip(number, &why);
                continue;
            }
        };
        let queue = &queues[place(&row, queues.len())];
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

async fn rate_rows(
    index: usize,
    mut session: Session,
    mut rows: mpsc::Receiver<Row>,
    shared: &Shared,
) -> Result<(), Failure> {
    while let Some(row) = rows.recv().await {
        if shared.past.is_done(row.number) {
            shared.count(|count| count.before += 1);
            continue;
        }
        let update = match shared.past.sent.get(&row.number) {
            Some(sent) => again(row, sent, session.id()),
            None => shared.first(index, row, &mut session).await?,
        };
        match persist(&mut session, &update).await {
            Ok(()) => shared.count(|count| count.rated += 1),
            Err(Error::UnknownMovie) => {
                shared.skip(row.number, &format!("there is no movie {}", row.movie));
            }
            Err(error) => {
                let failed = failure(error);
                let message = format!("{failed}; the same command goes on with the import");
                return Err(Failure::new(failed.code(), message));
            }
        }
        shared.note(|journal| journal.done(row.number))?;
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
        let begun = Instant::now();
        let update = loop {
            match session.prepare(row.user, row.movie, Some(row.rating)).await {
                Ok(update) => break update,
                Err(error) if is_passing(&error) && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(failure(error)),
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

    fn skip(&self, number: u64, why: &str) {
        let mut count = lock(&self.count);
        count.skipped += 1;
        if count.skipped <= NAMED {
            let row = number + 1;
            self.bar
                .suspend(|| eprintln!("row {row} is passed over: {why}"));
        }
        drop(count);
        self.bar.inc(1);
    }
}

/// The update as it was sent before the interruption.
fn again(row: Row, sent: &Sent, session: backfence_client::SessionId) -> Prepared {
    Prepared {
        id: UpdateId::new(session, sent.sequence),
        time: sent.time,
        user: row.user,
        movie: row.movie,
        rating: Some(row.rating),
    }
}

/// Sends the update until somebody has taken it: it takes effect once.
async fn persist(session: &mut Session, update: &Prepared) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        match session.send(update).await {
            Ok(_) => return Ok(()),
            Err(error) if is_passing(&error) && begun.elapsed() < PATIENCE => {
                tracing::debug!(%error, "sending an update again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::AllBusy
            | Error::OutcomeUnknown { .. }
            | Error::OutOfTime { .. }
            | Error::Unreachable { .. }
    )
}

fn reader(file: &Path) -> anyhow::Result<csv::Reader<File>> {
    let opened = csv::ReaderBuilder::new().flexible(true).from_path(file);
    let mut reader = opened.with_context(|| format!("cannot read {}", file.display()))?;
    let header = reader.byte_headers().map(|header| {
        let header: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        header.join(",")
    });
    let header = header.with_context(|| format!("cannot read {}", file.display()))?;
    if header
        .trim_start_matches('\u{feff}')
        .starts_with("userId,movieId,rating")
    {
        return Ok(reader);
    }
    let shown: String = safe(&header).chars().take(60).collect();
    let message = format!(
        "{} begins with `{shown}` instead of `userId,movieId,rating`; is it the right file?",
        file.display()
    );
    Err(Failure::new(Exit::Usage, message).into())
}

fn row(number: u64, record: &csv::ByteRecord) -> Result<Row, String> {
    let column = |at: usize, name: &str| {
        let text = record.get(at).ok_or_else(|| format!("it has no {name}"))?;
        let text = std::str::from_utf8(text).map_err(|_| format!("{name} is not UTF-8"))?;
        Ok::<_, String>(text.trim())
    };
    let id = |at, name: &str| {
        let text = column(at, name)?;
        let number = crate::args::parse_number(text).filter(|_| !text.is_empty());
        number.ok_or_else(|| format!("{name} {:?} is no number", safe(text)))
    };
    let rating = column(2, "rating")?;
    Ok(Row {
        number,
        user: UserId(id(0, "userId")?),
        movie: MovieId(id(1, "movieId")?),
        rating: rating
            .parse()
            .map_err(|why| format!("rating {:?}: {why}", safe(rating)))?,
    })
}

fn place(row: &Row, sessions: usize) -> usize {
    // Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the same in
    // every run and every version.
    let key = u64::from(row.user.0) << 32 | u64::from(row.movie.0);
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    (mixed % sessions as u64) as usize
}

/// What tells this file from another, and how many lines it has.
fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    // FNV-1a: it guards against accidents.
    let (mut hash, mut length, mut lines) = (0xcbf2_9ce4_8422_2325_u64, 0_u64, 0_u64);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..read] {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            lines += u64::from(byte == b'\n');
        }
        length += read as u64;
    }
    Ok((format!("{length} {hash:016x}"), lines.saturating_sub(1)))
}

fn bar(rows: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} {per_sec} {eta}";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    // On stderr, and only where that is a terminal.
    ProgressBar::new(rows).with_style(style)
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

/// Counters and appended lines are whole after a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_or_named() {
        let check = |columns: &[&str], expected: Result<(u32, u32, &str), &str>| {
            let read = row(0, &csv::ByteRecord::from(columns.to_vec()));
            let found = read.map(|row| (row.user.0, row.movie.0, row.rating.to_string()));
            let expected = expected.map(|(user, movie, rating)| (user, movie, rating.to_owned()));
            assert_eq!(found, expected.map_err(str::to_owned), "{columns:?}");
        };
        check(&["1", "2", "4.5"], Ok((1, 2, "4.5")));
        check(&[" 1", "2 ", "4", "964982703", "more"], Ok((1, 2, "4.0")));
        check(&["1", "2"], Err("it has no rating"));
        check(&["", "2", "3"], Err("userId \"\" is no number"));
        check(&["1", "+2", "3"], Err("movieId \"+2\" is no number"));
        check(
            &["1", "2", "6"],
            Err("rating \"6\": a rating lies from 0 to 5"),
        );
    }

    #[test]
    fn sessions_get_about_equal_shares() {
        let mut shares = [0; 32];
        for user in 0..100 {
            for movie in 0..100 {
                let row = Row {
                    number: 0,
                    user: UserId(user),
                    movie: MovieId(movie),
                    rating: Rating::MAX,
                };
                shares[place(&row, shares.len())] += 1;
            }
        }
        assert!(
            shares.iter().all(|&share| (200..450).contains(&share)),
            "{shares:?}"
        );
    }
}
