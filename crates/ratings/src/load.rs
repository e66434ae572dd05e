//! Reading `movies.csv` and `ratings.csv`.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    fs::File,
    io, mem,
    path::{Path, PathBuf},
    str::FromStr,
    thread,
};

use crate::{
    Base, Catalogue, Movie, MovieId, Rating, RatingError, RowError, UserId,
    parse::{Progress, parse},
    rows::{Block, Row, Rows},
    sources::tags,
    table::{Table, shown},
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

    /// An error where these are all rows that a file has.
    fn are_not_all(&self, kept: usize) -> Result<(), LoadError> {
        match self.first.first() {
            Some(first) if kept == 0 => Err(LoadError::NoRow {
                count: self.count,
                first: first.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Adds what was skipped after these.
    fn append(&mut self, later: Self) {
        self.count += later.count;
        let room = Self::SHOWN.saturating_sub(self.first.len());
        self.first.extend(later.first.into_iter().take(room));
    }
}

/// A row that makes no sense. Prints as `ratings.csv:17: reason`.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
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
    /// The files changed while they were read.
    #[error("{} or a file beside it changed while it was read; start again once it stays as it is", path.display())]
    Changed {
        /// The ratings.
        path: PathBuf,
    },
    /// The file cannot be read to its end.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
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
    /// The file has rows, and none of them makes sense.
    #[error("no row of {} makes sense: {count} skipped, the first is {first}; is it the right file?", first.file.display())]
    NoRow {
        /// How many rows it has.
        count: u64,
        /// The first of them.
        first: BadRow,
    },
}

pub(crate) fn load(
    movies: &Path,
    ratings: &Path,
    strict: bool,
    progress: Progress<'_>,
) -> Result<Loaded, LoadError> {
    let tags = tags(movies).map(|tags| Table::open(&tags, TAGS));
    let tags = tags.transpose()?;
    let mut loader = Loader::new(strict);
    let movies = loader.movies(Table::open(movies, MOVIES)?)?;
    let table = Table::open(ratings, RATINGS)?;
    let positions = Positions::new(&movies);
    loader.ratings_file = ratings.to_owned();
    loader.rest(movies, &positions, tags, |loader| {
        match parse(ratings, RATINGS, &positions, strict, progress)? {
            Some(parsed) => {
                loader.skipped.append(parsed.skipped);
                Ok(parsed.blocks)
            }
            None => loader.ratings(table, &positions),
        }
    })
}

pub(crate) fn read(
    movies: impl io::Read,
    ratings: impl io::Read,
    strict: bool,
) -> Result<Loaded, LoadError> {
    let mut loader = Loader::new(strict);
    let movies = loader.movies(Table::new(PathBuf::from("movies.csv"), movies, MOVIES)?)?;
    let ratings = Table::new(PathBuf::from("ratings.csv"), ratings, RATINGS)?;
    let positions = Positions::new(&movies);
    loader.ratings_file = ratings.path().to_owned();
    loader.rest(movies, &positions, None, |loader| {
        loader.ratings(ratings, &positions)
    })
}

const MOVIES: &str = "movieId,title,genres";
const RATINGS: &str = "userId,movieId,rating,timestamp";
const TAGS: &str = "userId,movieId,tag,timestamp";

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error(transparent)]
    Row(#[from] RowError),
    #[error("{0} `{1}` is not a whole number in range")]
    Number(&'static str, String),
    #[error("timestamp `{0}` is not a whole number of seconds from 1970 to 2106")]
    Time(String),
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

/// Where movies stand in the catalogue.
pub(crate) struct Positions {
    /// Ascending.
    ids: Vec<MovieId>,
    /// By id, one more than the position; empty where ids are too far apart.
    table: Vec<u32>,
}

impl Positions {
    /// The movies are in ascending order of id.
    fn new(movies: &[Movie]) -> Self {
        let ids: Vec<_> = movies.iter().map(|movie| movie.id).collect();
        let most = ids.last().map_or(0, |id| id.0 as usize);
        let mut table = Vec::new();
        if most <= 16 * ids.len() + 65_536 {
            table.resize(most + 1, 0);
            for (number, id) in (1..).zip(&ids) {
                table[id.0 as usize] = number;
            }
        }
        Self { ids, table }
    }

    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<u32> {
        if self.table.is_empty() {
            let found = self.ids.binary_search(&MovieId(id));
            return found.ok().map(|at| at as u32);
        }
        self.table.get(id as usize)?.checked_sub(1)
    }

    fn of(&self, id: u32) -> Result<u32, Reason> {
        self.find(id).ok_or(Reason::UnknownMovie(MovieId(id)))
    }
}

struct Loader {
    strict: bool,
    skipped: Skipped,
    /// How messages call it.
    ratings_file: PathBuf,
}

impl Loader {
    fn new(strict: bool) -> Self {
        Self {
            strict,
            skipped: Skipped::default(),
            ratings_file: PathBuf::new(),
        }
    }

    /// The titles are laid out to be found, and the tags read, while `ratings` reads
    /// the ratings.
    fn rest(
        mut self,
        movies: Vec<Movie>,
        positions: &Positions,
        tags: Option<Table<File>>,
        ratings: impl FnOnce(&mut Self) -> Result<Vec<Block>, LoadError>,
    ) -> Result<Loaded, LoadError> {
        let strict = self.strict;
        thread::scope(|scope| {
            let catalogue = scope.spawn(|| Catalogue::new(movies));
            let tags = scope.spawn(move || {
                let mut loader = Self::new(strict);
                let tags = tags.map(|table| loader.tags(table, positions));
                tags.transpose().map(|tags| (tags, loader.skipped))
            });
            let mut skipped = mem::take(&mut self.skipped);
            let blocks = ratings(&mut self)?;
            let rows = self.rows(blocks, positions)?;
            self.skipped.are_not_all(rows.len())?;
            skipped.append(self.skipped);
            // They panic only where memory is at its end.
            let catalogue = catalogue.join().expect("the catalogue is made");
            let (tags, bad) = tags.join().expect("the tags are read")?;
            skipped.append(bad);
            Ok(Loaded {
                base: Base::new(catalogue, tags.unwrap_or_default(), &rows),
                skipped,
            })
        })
    }

    fn movies(&mut self, mut table: Table<impl io::Read>) -> Result<Vec<Movie>, LoadError> {
        let mut movies = BTreeMap::new();
        while let Some(line) = table.next()? {
            match movie(&table) {
                Ok(movie) if movies.contains_key(&movie.id) => {
                    self.skip(bad(table.path(), line, &Reason::DuplicateMovie(movie.id)))?;
                }
                Ok(movie) => drop(movies.insert(movie.id, movie)),
                Err(reason) => self.skip(bad(table.path(), line, &reason))?,
            }
        }
        self.skipped.are_not_all(movies.len())?;
        Ok(movies.into_values().collect())
    }

    /// The way from front to back, for any file.
    fn ratings(
        &mut self,
        mut table: Table<impl io::Read>,
        positions: &Positions,
    ) -> Result<Vec<Block>, LoadError> {
        let mut block = Block::default();
        while let Some(line) = table.next()? {
            match table
                .columns()
                .map_err(Reason::Row)
                .and_then(|row| rating_row(&row, positions))
            {
                Ok((user, movie, rating, timestamp)) => block.rows.push(Row {
                    user,
                    movie,
                    timestamp,
                    // It only goes into messages.
                    line: line.try_into().unwrap_or(u32::MAX),
                    rating,
                }),
                Err(reason) => self.skip(bad(table.path(), line, &reason))?,
            }
        }
        block.sort();
        Ok(vec![block])
    }

    fn rows(&mut self, blocks: Vec<Block>, positions: &Positions) -> Result<Rows, LoadError> {
        let file = self.ratings_file.clone();
        Rows::new(blocks, |again| {
            let movie = positions.ids[again.movie as usize];
            let reason = Reason::DuplicateRating(again.user, movie, again.counts);
            self.skip(bad(&file, again.line, &reason))
        })
    }

    fn tags(
        &mut self,
        mut table: Table<impl io::Read>,
        positions: &Positions,
    ) -> Result<Tags, LoadError> {
        let mut rows = Vec::new();
        while let Some(line) = table.next()? {
            match tag(&table, positions) {
                Ok(row) => rows.push(row),
                Err(reason) => self.skip(bad(table.path(), line, &reason))?,
            }
        }
        self.skipped.are_not_all(rows.len())?;
        Ok(Tags::new(positions.ids.len(), rows))
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

fn bad(file: &Path, line: u64, reason: &Reason) -> BadRow {
    BadRow {
        file: file.to_owned(),
        line,
        reason: reason.to_string(),
    }
}

fn movie(table: &Table<impl io::Read>) -> Result<Movie, Reason> {
    let [id, title, genres] = table.columns()?;
    let id = MovieId(number("movieId", &id)?);
    let movie = Movie::new(id, &title, &genres);
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

/// A row of the ratings with the position of its movie.
pub(crate) fn rating_row(
    [user, movie, rating, timestamp]: &[Cow<'_, str>; 4],
    positions: &Positions,
) -> Result<(UserId, u32, Rating, u32), Reason> {
    let user = UserId(number("userId", user)?);
    let movie = number("movieId", movie)?;
    let rating = rating
        .parse()
        .map_err(|error| Reason::Rating(shown(rating), error))?;
    let timestamp = timestamp
        .trim()
        .parse()
        .map_err(|_| Reason::Time(shown(timestamp)))?;
    Ok((user, positions.of(movie)?, rating, timestamp))
}

fn tag(
    table: &Table<impl io::Read>,
    positions: &Positions,
) -> Result<(usize, UserId, String), Reason> {
    let [user, movie, tag, _] = table.columns()?;
    let user = UserId(number("userId", &user)?);
    let position = positions.of(number("movieId", &movie)?)? as usize;
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
