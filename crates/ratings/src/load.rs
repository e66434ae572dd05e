//! Reading `movies.csv` and `ratings.csv`.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    Base, Catalogue, Movie, MovieId, Rating, RatingError, UserId,
    base::Loading,
    table::{self, Table, shown},
    tags::Tags,
};

/// Loaded data, and what was left out of it.
#[derive(Debug)]
pub struct Loaded {
    /// The data.
    pub base: Base,
    /// The rows that made no sense.
    pub skipped: Skipped,
}

/// The rows that a load skipped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first of them, at most [`Skipped::SHOWN`], for the log.
    pub first: Vec<BadRow>,
}

impl Skipped {
    /// How many bad rows are kept to be shown; further ones are only counted.
    pub const SHOWN: usize = 10;
}

/// A row that makes no sense. Prints as `ratings.csv:17: reason`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// The file, as it was named to the load.
    pub file: PathBuf,
    /// The line at which the row begins, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.reason)
    }
}

/// Why data could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}; check the path", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be read to its end.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: csv::Error,
    },
    /// The first line is not the header of such a file.
    #[error("{} begins with `{found}` instead of `{expected}`; is it the right file?", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The header that it should have.
        expected: &'static str,
        /// The beginning of what it has.
        found: String,
    },
    /// A bad row, when loading strictly.
    #[error("{0}; correct it, or load without --strict to skip such rows")]
    Row(BadRow),
}

pub(crate) fn load(movies: &Path, ratings: &Path, strict: bool) -> Result<Loaded, LoadError> {
    let tags = movies.with_file_name("tags.csv");
    let tags = tags
        .is_file()
        .then(|| Table::open(&tags, TAGS))
        .transpose()?;
    let movies = Table::open(movies, MOVIES)?;
    let ratings = Table::open(ratings, RATINGS)?;
    Loader::new(strict).load(movies, ratings, tags)
}

pub(crate) fn read(
    movies: impl io::Read,
    ratings: impl io::Read,
    strict: bool,
) -> Result<Loaded, LoadError> {
    let movies = Table::new(PathBuf::from("movies.csv"), movies, MOVIES)?;
    let ratings = Table::new(PathBuf::from("ratings.csv"), ratings, RATINGS)?;
    Loader::new(strict).load(movies, ratings, None::<Table<io::Empty>>)
}

const MOVIES: &str = "movieId,title,genres";
const RATINGS: &str = "userId,movieId,rating,timestamp";
const TAGS: &str = "userId,movieId,tag,timestamp";

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Row(#[from] table::RowError),
    #[error("{0} `{1}` is not a whole number in range")]
    Number(&'static str, String),
    #[error("rating `{0}`: {1}")]
    Rating(String, RatingError),
    #[error("the movie has no title")]
    NoTitle,
    #[error("the title is longer than {} bytes", Catalogue::LONGEST_TITLE)]
    LongTitle,
    #[error("the {0} has control characters")]
    ControlCharacters(&'static str),
    #[error("the tag is blank")]
    NoTag,
    #[error("the tag is longer than {} bytes", Base::LONGEST_TAG)]
    LongTag,
    #[error("movie {0} stands in the file already")]
    DuplicateMovie(MovieId),
    #[error("there is no movie {0} in the movies file")]
    UnknownMovie(MovieId),
    #[error("user {0} rates movie {1} again in line {2}, which counts")]
    DuplicateRating(UserId, MovieId, u64),
}

/// A row of `ratings.csv`, in the order in which rows are sorted.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RatingRow {
    movie: usize,
    user: UserId,
    timestamp: i64,
    line: u64,
    rating: Rating,
}

struct Loader {
    strict: bool,
    skipped: Skipped,
}

impl Loader {
    fn new(strict: bool) -> Self {
        Self {
            strict,
            skipped: Skipped::default(),
        }
    }

    fn load(
        mut self,
        movies: Table<impl io::Read>,
        ratings: Table<impl io::Read>,
        tags: Option<Table<impl io::Read>>,
    ) -> Result<Loaded, LoadError> {
        let catalogue = self.movies(movies)?;
        let rows = self.ratings(ratings, &catalogue)?;
        let tags = match tags {
            Some(table) => self.tags(table, &catalogue)?,
            None => Tags::default(),
        };
        Ok(Loaded {
            base: Base::new(catalogue, rows, tags),
            skipped: self.skipped,
        })
    }

    fn movies(&mut self, mut table: Table<impl io::Read>) -> Result<Catalogue, LoadError> {
        let mut movies = BTreeMap::new();
        while let Some(line) = table.next()? {
            match movie(&table) {
                Ok(movie) if movies.contains_key(&movie.id) => {
                    self.skip(bad(&table, line, &Reason::DuplicateMovie(movie.id)))?;
                }
                Ok(movie) => drop(movies.insert(movie.id, movie)),
                Err(reason) => self.skip(bad(&table, line, &reason))?,
            }
        }
        Ok(Catalogue::new(movies.into_values().collect()))
    }

    fn ratings(
        &mut self,
        mut table: Table<impl io::Read>,
        catalogue: &Catalogue,
    ) -> Result<Vec<Loading>, LoadError> {
        let mut rows = Vec::new();
        while let Some(line) = table.next()? {
            match rating(&table, line, catalogue) {
                Ok(row) => rows.push(row),
                Err(reason) => self.skip(bad(&table, line, &reason))?,
            }
        }
        rows.sort_unstable();
        for pair in rows.windows(2) {
            let (earlier, later) = (&pair[0], &pair[1]);
            if (earlier.movie, earlier.user) == (later.movie, later.user) {
                let movie = catalogue.at(later.movie).id;
                let reason = Reason::DuplicateRating(later.user, movie, later.line);
                self.skip(bad(&table, earlier.line, &reason))?;
            }
        }
        // The last of equals counts; `dedup` keeps the first, hence backwards.
        rows.reverse();
        rows.dedup_by_key(|row| (row.movie, row.user));
        Ok(rows
            .into_iter()
            .rev()
            .map(|row| Loading {
                movie: row.movie,
                user: row.user,
                rating: row.rating,
                // Only told to people, so a time outside of 1970 to 2106 may be off.
                seconds: row.timestamp.clamp(0, u32::MAX.into()) as u32,
            })
            .collect())
    }

    fn tags(
        &mut self,
        mut table: Table<impl io::Read>,
        catalogue: &Catalogue,
    ) -> Result<Tags, LoadError> {
        let mut rows = Vec::new();
        while let Some(line) = table.next()? {
            match tag(&table, catalogue) {
                Ok(row) => rows.push(row),
                Err(reason) => self.skip(bad(&table, line, &reason))?,
            }
        }
        Ok(Tags::new(catalogue.len(), rows))
    }

    fn skip(&mut self, row: BadRow) -> Result<(), LoadError> {
        if self.strict {
            return Err(LoadError::Row(row));
        }
        self.skipped.count += 1;
        if self.skipped.first.len() < Skipped::SHOWN {
            self.skipped.first.push(row);
        }
        Ok(())
    }
}

fn bad(table: &Table<impl io::Read>, line: u64, reason: &Reason) -> BadRow {
    BadRow {
        file: table.path().to_owned(),
        line,
        reason: reason.to_string(),
    }
}

fn movie(table: &Table<impl io::Read>) -> Result<Movie, Reason> {
    let [id, title, genres] = table.columns()?;
    let id = MovieId(number("movieId", id)?);
    let movie = Movie::new(id, title, genres);
    if movie.title.is_empty() {
        Err(Reason::NoTitle)
    } else if title.trim().len() > Catalogue::LONGEST_TITLE {
        Err(Reason::LongTitle)
    } else if movie.title.chars().any(char::is_control) {
        Err(Reason::ControlCharacters("title"))
    } else {
        Ok(movie)
    }
}

fn rating(
    table: &Table<impl io::Read>,
    line: u64,
    catalogue: &Catalogue,
) -> Result<RatingRow, Reason> {
    let [user, movie, rating, timestamp] = table.columns()?;
    let user = UserId(number("userId", user)?);
    let movie = MovieId(number("movieId", movie)?);
    let rating = rating
        .parse()
        .map_err(|error| Reason::Rating(shown(rating), error))?;
    let timestamp = number("timestamp", timestamp)?;
    let movie = catalogue
        .position(movie)
        .ok_or(Reason::UnknownMovie(movie))?;
    Ok(RatingRow {
        movie,
        user,
        timestamp,
        line,
        rating,
    })
}

fn tag(
    table: &Table<impl io::Read>,
    catalogue: &Catalogue,
) -> Result<(usize, UserId, String), Reason> {
    let [user, movie, tag, _] = table.columns()?;
    let user = UserId(number("userId", user)?);
    let movie = MovieId(number("movieId", movie)?);
    let position = catalogue.position(movie);
    let position = position.ok_or(Reason::UnknownMovie(movie))?;
    match tag.trim() {
        "" => Err(Reason::NoTag),
        tag if tag.len() > Base::LONGEST_TAG => Err(Reason::LongTag),
        tag if tag.chars().any(char::is_control) => Err(Reason::ControlCharacters("tag")),
        tag => Ok((position, user, tag.to_owned())),
    }
}

fn number<N: FromStr>(column: &'static str, text: &str) -> Result<N, Reason> {
    text.trim()
        .parse()
        .map_err(|_| Reason::Number(column, shown(text)))
}
