//! The files that a base is made of.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

/// Movies, ratings, and tags where there are any.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Sources {
    movies: Source,
    ratings: Source,
    tags: Option<Source>,
}

/// A file as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Source {
    length: u64,
    /// When it was last changed, in nanoseconds since 1970.
    changed: i128,
    /// What its contents hash to, where they were read for that.
    contents: Option<String>,
}

impl Sources {
    /// The files as they are now, without their contents.
    pub(crate) fn now(movies: &Path, ratings: &Path) -> io::Result<Self> {
        let tags = tags(movies);
        Ok(Self {
            movies: Source::now(movies)?,
            ratings: Source::now(ratings)?,
            tags: tags.map(|tags| Source::now(&tags)).transpose()?,
        })
    }

    /// Adds what the contents hash to.
    pub(crate) fn with_contents(mut self, movies: &Path, ratings: &Path) -> io::Result<Self> {
        self.movies.contents = Some(contents(movies)?);
        self.ratings.contents = Some(contents(ratings)?);
        if let (Some(source), Some(tags)) = (&mut self.tags, tags(movies)) {
            source.contents = Some(contents(&tags)?);
        }
        Ok(self)
    }

    /// Whether the files are still the same: by length and time, and by contents where
    /// `now` has them.
    pub(crate) fn check(&self, now: &Self) -> Result<(), &'static str> {
        if self.tags.is_some() != now.tags.is_some() {
            return Err("tags.csv has come or gone since");
        }
        let tags = self.tags.iter().zip(&now.tags);
        let pairs = [(&self.movies, &now.movies), (&self.ratings, &now.ratings)];
        for (before, now) in pairs.into_iter().chain(tags) {
            if (before.length, before.changed) != (now.length, now.changed) {
                return Err("the data have changed since");
            }
            if now.contents.is_some() && now.contents != before.contents {
                return Err("the contents of the data have changed since");
            }
        }
        Ok(())
    }
}

impl Source {
    fn now(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            length: metadata.len(),
            changed: nanoseconds(metadata.modified()?),
            contents: None,
        })
    }
}

/// Beside the movies, if they are there.
pub(crate) fn tags(movies: &Path) -> Option<PathBuf> {
    let tags = movies.with_file_name("tags.csv");
    tags.is_file().then_some(tags)
}

fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

fn contents(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3Default::new();
    let mut bytes = vec![0; 1 << 20];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(format!("{:032x}", hash.digest128())),
            read => hash.update(&bytes[..read]),
        }
    }
}
