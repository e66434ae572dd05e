//! All current ratings as MovieLens CSV.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use backfence_client::{Rated, Session};
use backfence_files::Replacement;
use backfence_process::{Exit, Failure, OutputError};

use crate::output::failure;

/// Writes every rating, by user and movie, a page of 1000 at a time. Ratings given
/// meanwhile may be among them.
///
/// A file gets them all or stays as it was. Gives how many they are.
pub(crate) async fn export(session: &mut Session, file: Option<&Path>) -> anyhow::Result<u64> {
    let (path, mut target) = match file.filter(|path| *path != Path::new("/dev/stdout")) {
        None => (Path::new("stdout"), Target::InPlace(Box::new(io::stdout()))),
        Some(path) => (
            path,
            Target::open(path).map_err(|error| cannot(path, error))?,
        ),
    };
    let written = write(session, &mut BufWriter::new(target.output())).await?;
    let kept = written.and_then(|ratings| target.keep().map(|()| ratings));
    kept.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputError::Closed.into(),
        _ if file.is_none() => OutputError::Failed(error).into(),
        _ => anyhow::Error::from(cannot(path, error)),
    })
}

fn cannot(path: &Path, error: io::Error) -> Failure {
    let message = format!("cannot write {}: {error}", path.display());
    Failure::new(Exit::Usage, message)
}

/// Where the ratings go.
enum Target {
    /// To what has no earlier contents to keep: a stream, a device.
    InPlace(Box<dyn Write>),
    /// To a new file, which takes the place of the one that is asked for.
    Beside(Replacement),
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            // Through a symbolic link, which stays one.
            Ok(metadata) if metadata.is_file() => {
                // Who may not write to it may not replace it.
                drop(File::options().write(true).open(path)?);
                let permissions = Some(metadata.permissions());
                Replacement::with(&fs::canonicalize(path)?, permissions).map(Self::Beside)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                Replacement::with(path, None).map(Self::Beside)
            }
            _ => Ok(Self::InPlace(Box::new(File::create(path)?))),
        }
    }

    fn output(&mut self) -> &mut dyn Write {
        match self {
            Self::InPlace(output) => output,
            Self::Beside(beside) => &mut beside.file,
        }
    }

    /// All is written.
    fn keep(self) -> io::Result<()> {
        match self {
            Self::InPlace(mut output) => output.flush(),
            Self::Beside(beside) => beside.keep(),
        }
    }
}

/// The outer error is the request's, the inner one the output's.
async fn write(session: &mut Session, output: &mut impl Write) -> Result<io::Result<u64>, Failure> {
    if let Err(error) = writeln!(output, "userId,movieId,rating,timestamp") {
        return Ok(Err(error));
    }
    let (mut after, mut ratings) = (None, 0);
    loop {
        let page = session.ratings(None, after).await.map_err(failure)?;
        let written = page.items.iter().try_for_each(|rated| row(output, rated));
        if let Err(error) = written {
            return Ok(Err(error));
        }
        ratings += page.items.len() as u64;
        match page.items.last() {
            Some(last) if page.more => after = Some((last.user, last.movie)),
            _ => return Ok(output.flush().map(|()| ratings)),
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
