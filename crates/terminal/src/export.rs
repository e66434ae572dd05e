//! All current ratings as MovieLens CSV.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use backfence_client::{Rated, Session};
use backfence_process::{Exit, Failure, OutputError};

use crate::output::failure;

/// Writes every rating, by user and movie, a page of 1000 at a time. Ratings given
/// meanwhile may be among them.
///
/// A file gets them all or stays as it was.
pub(crate) async fn export(session: &mut Session, file: Option<&Path>) -> anyhow::Result<Exit> {
    let (path, mut target) = match file.filter(|path| *path != Path::new("/dev/stdout")) {
        None => (Path::new("stdout"), Target::InPlace(Box::new(io::stdout()))),
        Some(path) => (
            path,
            Target::open(path).map_err(|error| cannot(path, error))?,
        ),
    };
    let written = write(session, &mut BufWriter::new(target.output())).await?;
    let kept = written.and_then(|()| target.keep());
    kept.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputError::Closed.into(),
        _ if file.is_none() => OutputError::Failed(error).into(),
        _ => anyhow::Error::from(cannot(path, error)),
    })?;
    Ok(Exit::Done)
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
    Beside(Beside),
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            // Through a symbolic link, which stays one.
            Ok(metadata) if metadata.is_file() => {
                // Who may not write to it may not replace it.
                drop(File::options().write(true).open(path)?);
                let permissions = Some(metadata.permissions());
                Beside::new(fs::canonicalize(path)?, permissions).map(Self::Beside)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                Beside::new(path.to_owned(), None).map(Self::Beside)
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

/// A new file beside the one whose place it takes; removed unless it is kept.
struct Beside {
    path: PathBuf,
    new: PathBuf,
    file: File,
}

impl Beside {
    fn new(path: PathBuf, permissions: Option<fs::Permissions>) -> io::Result<Self> {
        let mut new = path.clone().into_os_string();
        new.push(format!(".{}.new", std::process::id()));
        let new = PathBuf::from(new);
        let file = File::create_new(&new)?;
        // From here on it is removed when anything fails.
        let beside = Self { path, new, file };
        if let Some(permissions) = permissions {
            beside.file.set_permissions(permissions)?;
        }
        Ok(beside)
    }

    fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.new, &self.path)?;
        // After a power loss a name may be the old one again unless its folder is synced.
        match self.path.parent() {
            Some(folder) if cfg!(unix) && folder != Path::new("") => File::open(folder)?.sync_all(),
            _ if cfg!(unix) => File::open(".")?.sync_all(),
            _ => Ok(()),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Where it was kept there is none by this name any more.
        let _ = fs::remove_file(&self.new);
    }
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
            _ => return Ok(output.flush()),
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
