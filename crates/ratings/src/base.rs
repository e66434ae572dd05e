//! The loaded data, column by column.

use std::{cmp::Ordering, path::Path, thread};

use crate::{
    Average, Catalogue, LoadError, Loaded, MovieId, Rating, UserId,
    fingerprint::digest,
    given::{Gave, Given, beyond},
    load,
    rows::Rows,
    sections::{Sections, Torn},
    tags::Tags,
};

/// The sum and the number of a movie's ratings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Total {
    /// In ten-thousandths.
    pub sum: i64,
    /// How many.
    pub count: u32,
}

impl Total {
    /// `None` when there are no ratings.
    pub(crate) fn average(self) -> Option<Average> {
        (self.count > 0).then(|| Average {
            average: self.sum as f64 / (i64::from(self.count) * 10_000) as f64,
            ratings: u64::from(self.count),
        })
    }

    /// Compares the averages exactly, as fractions.
    pub(crate) fn cmp_average(&self, other: &Self) -> Ordering {
        let cross = |a: &Self, b: &Self| i128::from(a.sum) * i128::from(b.count);
        cross(self, other).cmp(&cross(other, self))
    }

    /// Takes the rating `before` out and puts `after` in.
    pub(crate) fn replace(&mut self, before: Option<Rating>, after: Option<Rating>) {
        if let Some(rating) = before {
            self.sum -= i64::from(rating.ten_thousandths());
            self.count -= 1;
        }
        if let Some(rating) = after {
            self.sum += i64::from(rating.ten_thousandths());
            self.count += 1;
        }
    }
}

/// A catalogue and the ratings that were loaded with it. Never changes.
///
/// A rating takes eight bytes for sets of MovieLens' size: the ratings stand in
/// columns, by user and within a user by movie, so that one is found by bisection and
/// those of a user stand together. The columns are in memory, or in a file that is
/// mapped ([`Base::keep`]).
#[derive(Debug)]
pub struct Base {
    catalogue: Catalogue,
    tags: Tags,
    given: Given,
    fingerprint: u128,
}

impl Base {
    /// The longest tag in bytes.
    pub const LONGEST_TAG: usize = 200;

    /// Loads the two files of a data set in MovieLens format.
    ///
    /// A row is a line. One that makes no sense is skipped and counted; with `strict` it
    /// is an error instead. Bad rows are: one with a quote that is not closed, with a
    /// wrong number of columns, longer than [`Lines::LONGEST`](crate::Lines::LONGEST),
    /// with text that is not UTF-8, with a malformed number or a rating that is none, or
    /// with a time that is not in seconds from 1970 to 2106; a movie
    /// id for the second time (the first row stays); a movie without a title, or
    /// whose title is longer than [`Catalogue::LONGEST_TITLE`] bytes or has control
    /// characters; a rating of an unknown movie; and all but one of several ratings
    /// of one movie by one user. Of those the one with the latest timestamp counts,
    /// among equal timestamps the last in the file.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, begins with another header, or has rows of which none
    /// makes sense; and with `strict` at the first bad row.
    ///
    /// A file `tags.csv` beside the movies is loaded as well, if there is one. In it
    /// a tag that is blank, longer than [`Base::LONGEST_TAG`] bytes or has control
    /// characters is a bad row.
    pub fn load(movies: &Path, ratings: &Path, strict: bool) -> Result<Loaded, LoadError> {
        load::load(movies, ratings, strict, &|_, _| {})
    }

    /// The same from readers, which messages call `movies.csv` and `ratings.csv`.
    ///
    /// # Errors
    ///
    /// As [`Base::load`].
    pub fn read(
        movies: impl std::io::Read,
        ratings: impl std::io::Read,
        strict: bool,
    ) -> Result<Loaded, LoadError> {
        load::read(movies, ratings, strict)
    }

    /// No movies, no ratings.
    pub fn empty() -> Self {
        Self::new(
            Catalogue::new(Vec::new()),
            Tags::default(),
            &Rows::default(),
        )
    }

    /// One thread lays the columns out while another takes the fingerprint.
    pub(crate) fn new(catalogue: Catalogue, tags: Tags, rows: &Rows) -> Self {
        let (given, fingerprint) = thread::scope(|scope| {
            let taking = scope.spawn(|| digest(&catalogue, &tags, rows));
            let given = Given::new(catalogue.len(), rows);
            // It panics only where memory is at its end.
            (given, taking.join().expect("the fingerprint is taken"))
        });
        Self {
            catalogue,
            tags,
            given,
            fingerprint,
        }
    }

    pub(crate) fn write(&self) -> Sections {
        let mut sections = Sections::default();
        self.catalogue.write(&mut sections);
        self.tags.write(&mut sections);
        self.given.write(&mut sections);
        sections
    }

    pub(crate) fn restore(sections: Sections, fingerprint: u128) -> Result<Self, Torn> {
        let mut reader = sections.reader();
        let catalogue = Catalogue::read(&mut reader)?;
        Ok(Self {
            tags: Tags::read(&mut reader)?,
            given: Given::read(catalogue.len(), &mut reader)?,
            catalogue,
            fingerprint,
        })
    }

    /// The movies.
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The number of ratings.
    pub fn len(&self) -> usize {
        self.given.len()
    }

    /// Whether there are no ratings.
    pub fn is_empty(&self) -> bool {
        self.given.len() == 0
    }

    /// The rating that the user gave to the movie.
    pub fn rating(&self, user: UserId, movie: MovieId) -> Option<Rating> {
        self.given.rating(user, self.catalogue.position(movie)?)
    }

    /// The total of the movie's ratings; zeros when there are none, or no such
    /// movie.
    pub fn total(&self, movie: MovieId) -> Total {
        match self.catalogue.position(movie) {
            Some(position) => self.given.total(position),
            None => Total::default(),
        }
    }

    /// Every rating, by user and movie.
    pub fn iter(&self) -> impl Iterator<Item = (MovieId, UserId, Rating)> + '_ {
        let all = self.given.iter();
        all.filter_map(|gave| Some((self.id(gave)?, gave.user, gave.rating)))
    }

    /// Every rating after this one, by user and movie, with the seconds since 1970
    /// at which it was given.
    pub(crate) fn ratings_after(
        &self,
        after: Option<(UserId, MovieId)>,
    ) -> impl Iterator<Item = (UserId, MovieId, Rating, u64)> + '_ {
        let (user, movie) = match after {
            Some((user, movie)) => (user, beyond(&self.catalogue, movie)),
            None => (UserId(0), 0),
        };
        let rest = self.given.after(user, movie);
        rest.filter_map(|gave| Some((gave.user, self.id(gave)?, gave.rating, gave.seconds)))
    }

    fn id(&self, gave: Gave) -> Option<MovieId> {
        Some(self.catalogue.movies.get(gave.movie)?.id)
    }

    /// What users have called the movie, and how many of them, the most used first.
    pub fn tags(&self, movie: MovieId) -> impl Iterator<Item = (&str, u32)> {
        let position = self.catalogue.position(movie);
        position.into_iter().flat_map(|at| self.tags.of(at))
    }

    /// 32 hexadecimal digits that stand for all that was loaded: the same on every
    /// machine, and different when a movie or a rating differs. It guards against
    /// accidents, not against someone who makes a collision on purpose.
    pub fn fingerprint(&self) -> String {
        format!("{:032x}", self.fingerprint)
    }

    pub(crate) const fn same_data(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}
