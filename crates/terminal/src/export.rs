//! All current ratings as MovieLens CSV.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use backfence_client::{Rated, Session};
use backfence_process::{Exit, Failure, OutputError};

use crate::output::failure;

/// Writes every rating, by user and movie, a page of 1000 at a time. Ratings given
/// meanwhile may be among them.
pub(crate) async fn export(session: &mut Session, file: Option<&Path>) -> anyhow::Result<Exit> {
    match file {
        None => {
            let mut output = BufWriter::new(io::stdout().lock());
            let written = write(session, &mut output).await?;
            let flushed = written.and_then(|()| output.flush());
            flushed.map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => OutputError::Closed,
                _ => OutputError::Failed(error),
            })?;
        }
        Some(path) => {
            let cannot = |error: io::Error| {
                let message = format!("cannot write {}: {error}", path.display());
                Failure::new(Exit::Usage, message)
            };
            let mut output = BufWriter::new(File::create(path).map_err(cannot)?);
            let written = write(session, &mut output).await?;
            written.and_then(|()| output.flush()).map_err(cannot)?;
        }
    }
    Ok(Exit::Done)
}

/// The outer error is the request's, the inner one the output's.
async fn write(session: &mut Session, output: &mut impl Write) -> Result<io::Result<()>, Failure> {
    if let Err(error) = writeln!(output, "userId,movieId,rating,timestamp") {
        return Ok(Err(error));
    }
    let mut after = None;
    loop {
        let page = session.ratings(None, after).await.map_err(failure)?;
        let written = page.items.iter().try_for_each(|rated| row(output, rated));
        if written.is_err() {
            return Ok(written);
        }
        match page.items.last() {
            Some(last) if page.more => after = Some((last.user, last.movie)),
            _ => return Ok(Ok(())),
        }
    }
}

fn row(output: &mut impl Write, rated: &Rated) -> io::Result<()> {
    let Rated {
        user,
        movie,
        rating,
        seconds,
        ..
    } = rated;
    writeln!(output, "{user},{movie},{rating},{seconds}")
}
