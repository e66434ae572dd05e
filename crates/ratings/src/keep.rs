//! A base that is made once and kept in a file, for this and later starts and for
//! all replicas of the machine.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Base, LoadError, Loaded,
    file::{self, Unusable},
    load,
    sources::Sources,
};

/// What to make a base of, and how.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// `movies.csv`; `tags.csv` beside it is read as well, if it is there.
    pub movies: &'a Path,
    /// `ratings.csv`.
    pub ratings: &'a Path,
    /// A row that makes no sense is an error, instead of skipped and counted.
    pub strict: bool,
    /// Not only lengths and times of change tell whether a kept base is still that of
    /// the files: their contents are read, and all of the kept base.
    pub verify: bool,
}

/// How far the making of a base is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Another process makes the same base; this one waits for it.
    Waiting,
    /// So many bytes of the ratings file have been read, of so many.
    Read(u64, u64),
    /// All is read; now it is written.
    Writing,
}

/// A base, and where it is.
#[derive(Debug)]
pub struct Kept {
    /// The data.
    pub loaded: Loaded,
    /// Where the base is kept, or would be.
    pub file: PathBuf,
    /// How it came there.
    pub how: How,
}

/// How a base came to be in its file.
#[derive(Debug)]
pub enum How {
    /// It was there, made of the same sources.
    Found,
    /// It was made now, since what was there could not be used.
    Made {
        /// Why.
        why: String,
    },
    /// It was made now and is in the memory of this process only.
    InMemory {
        /// Why it could not be kept.
        why: String,
    },
}

impl Base {
    /// Uses the base that is kept in the folder, or makes it and keeps it there. The
    /// folder is made if need be, for its owner alone; what is kept in one that others can
    /// look into they can read, and wait for, too.
    ///
    /// The file's name comes from the paths of the sources. It is used only if it is
    /// whole and the sources are as they were; else it is made anew and replaces the
    /// other. Whoever has the other one mapped goes on with it. Of several processes
    /// that make the same one only one does, and the others wait. Where it cannot be
    /// kept, it is in memory, as with [`Base::load`].
    ///
    /// `step` is called from several threads.
    ///
    /// # Errors
    ///
    /// As [`Base::load`], and if the sources change while they are read.
    pub fn keep(
        folder: &Path,
        making: &Making<'_>,
        step: impl Fn(Step) + Sync,
    ) -> Result<Kept, LoadError> {
        let file = folder.join(name(making)?);
        match open(&file, making)? {
            Ok(loaded) => Ok(Kept::new(loaded, file, How::Found)),
            Err(unusable) => make(file, making, &unusable, &step),
        }
    }
}

impl Kept {
    const fn new(loaded: Loaded, file: PathBuf, how: How) -> Self {
        Self { loaded, file, how }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found => f.write_str("found"),
            Self::Made { why } => write!(f, "made, since {why}"),
            Self::InMemory { why } => write!(f, "held in memory, since {why}"),
        }
    }
}

/// Two sets of data have two files.
fn name(making: &Making<'_>) -> Result<String, LoadError> {
    let mut paths = Vec::new();
    for path in [making.movies, making.ratings] {
        let whole = fs::canonicalize(path).map_err(|source| LoadError::Open {
            path: path.to_owned(),
            source,
        })?;
        paths.extend_from_slice(whole.as_os_str().as_encoded_bytes());
        paths.push(0);
    }
    Ok(format!("ratings-{:016x}.base", xxh3_64(&paths)))
}

/// The kept base, if it can be used. It cannot where it leaves rows out and none may be.
fn open(file: &Path, making: &Making<'_>) -> Result<Result<Loaded, Unusable>, LoadError> {
    let sources = sources(making, making.verify)?;
    let opened = file::open(file, &sources, making.verify);
    Ok(opened.and_then(|loaded| {
        if making.strict && loaded.skipped.count > 0 {
            return Err(Unusable::Stale("it leaves rows out that make no sense"));
        }
        Ok(loaded)
    }))
}

fn sources(making: &Making<'_>, contents: bool) -> Result<Sources, LoadError> {
    let sources = Sources::now(making.movies, making.ratings).and_then(|sources| {
        if contents {
            sources.with_contents(making.movies, making.ratings)
        } else {
            Ok(sources)
        }
    });
    sources.map_err(|source| LoadError::Read {
        path: making.ratings.to_owned(),
        source,
    })
}

fn make(
    file: PathBuf,
    making: &Making<'_>,
    unusable: &Unusable,
    step: &(impl Fn(Step) + Sync),
) -> Result<Kept, LoadError> {
    let lock = match lock(&file, step) {
        Ok(lock) => lock,
        Err(error) => {
            let loaded = load(making, step)?;
            let why = format!("{} cannot be locked: {error}", file.display());
            return Ok(Kept::new(loaded, file, How::InMemory { why }));
        }
    };
    // Somebody else may have made it meanwhile.
    if let Ok(loaded) = open(&file, making)? {
        return Ok(Kept::new(loaded, file, How::Found));
    }
    let sources = sources(making, false)?;
    let loaded = load(making, step)?;
    step(Step::Writing);
    let written = thread::scope(|scope| {
        // The disk is slower than the processors.
        let hashing = scope.spawn(|| sources.clone().with_contents(making.movies, making.ratings));
        // It panics only where memory is at its end.
        let contents = || hashing.join().expect("the sources are read");
        file::write(&file, &loaded, contents)
    });
    if self::sources(making, false)? != sources {
        // Nobody uses what was written: it does not match the sources.
        return Err(LoadError::Changed {
            path: making.ratings.to_owned(),
        });
    }
    let opened = match written {
        Ok(()) => open(&file, making)?,
        Err(error) => Err(error.into()),
    };
    drop(lock);
    Ok(match opened {
        Ok(mapped) => {
            let why = unusable.to_string();
            Kept::new(mapped, file, How::Made { why })
        }
        Err(error) => {
            let why = format!("{} cannot be kept: {error}", file.display());
            Kept::new(loaded, file, How::InMemory { why })
        }
    })
}

/// Whoever has it makes the base. It is given back when the file is closed, at the
/// latest when the process ends, so nobody is locked out by a dead one.
fn lock(file: &Path, step: &impl Fn(Step)) -> io::Result<File> {
    if let Some(folder) = file.parent() {
        backfence_files::make_folder(folder)?;
    }
    let name = file.with_extension("lock");
    let mut options = File::options();
    let options = options.write(true);
    // Whoever can open it can have others wait: in a private folder nobody else can.
    let lock = match file.parent().is_some_and(backfence_files::is_shared) {
        true => options.create(true).truncate(false).open(name)?,
        false => backfence_files::open(&name, options)?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            step(Step::Waiting);
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(lock)
}

fn load(making: &Making<'_>, step: &(impl Fn(Step) + Sync)) -> Result<Loaded, LoadError> {
    let progress = |read, all| step(Step::Read(read, all));
    load::load(making.movies, making.ratings, making.strict, &progress)
}
