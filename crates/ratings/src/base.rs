//! The loaded data, column by column.

use std::{cmp::Ordering, path::Path, sync::OnceLock};

use crate::{
    Average, Catalogue, LoadError, Loaded, Movie, MovieId, Rating, UserId, fingerprint::Fnv128,
    load, tags::Tags,
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
/// A rating takes ten bytes: the ratings stand in columns, by movie and within a
/// movie by user, so that one is found by bisection. Four more are taken once
/// somebody asks for the ratings of a user.
#[derive(Debug)]
pub struct Base {
    catalogue: Catalogue,
    /// For the movie at each position of the catalogue, where its ratings begin;
    /// at the end, the number of all ratings.
    starts: Vec<usize>,
    users: Vec<UserId>,
    ratings: Vec<Rating>,
    /// When each was given, in seconds since 1970.
    seconds: Vec<u32>,
    totals: Vec<Total>,
    tags: Tags,
    fingerprint: u128,
    /// The places of the ratings by user and movie; made when first needed.
    by_user: OnceLock<Box<[u32]>>,
}

/// A rating of the loaded data, with the time at which it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loading {
    /// The movie's position in the catalogue.
    pub(crate) movie: usize,
    pub(crate) user: UserId,
    pub(crate) rating: Rating,
    pub(crate) seconds: u32,
}

impl Base {
    /// The longest tag in bytes.
    pub const LONGEST_TAG: usize = 200;

    /// Loads the two files of a data set in MovieLens format.
    ///
    /// A row that makes no sense is skipped and counted; with `strict` it is an
    /// error instead. Bad rows are: one with a wrong number of columns, with text
    /// that is not UTF-8, with a malformed number or a rating that is none; a movie
    /// id for the second time (the first row stays); a movie without a title, or
    /// whose title is longer than [`Catalogue::LONGEST_TITLE`] bytes or has control
    /// characters; a rating of an unknown movie; and all but one of several ratings
    /// of one movie by one user. Of those the one with the latest timestamp counts,
    /// among equal timestamps the last in the file.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or begins with another header, and with `strict` at
    /// the first bad row.
    ///
    /// A file `tags.csv` beside the movies is loaded as well, if there is one. In it
    /// a tag that is blank, longer than [`Base::LONGEST_TAG`] bytes or has control
    /// characters is a bad row.
    pub fn load(movies: &Path, ratings: &Path, strict: bool) -> Result<Loaded, LoadError> {
        load::load(movies, ratings, strict)
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
        Self::new(Catalogue::new(Vec::new()), Vec::new(), Tags::default())
    }

    /// `rows` are sorted by position of the movie and user, without duplicates.
    pub(crate) fn new(catalogue: Catalogue, rows: Vec<Loading>, tags: Tags) -> Self {
        let mut starts = vec![0; catalogue.len() + 1];
        let mut totals = vec![Total::default(); catalogue.len()];
        for row in &rows {
            starts[row.movie + 1] += 1;
            totals[row.movie].replace(None, Some(row.rating));
        }
        for position in 0..catalogue.len() {
            starts[position + 1] += starts[position];
        }
        let mut base = Self {
            catalogue,
            starts,
            users: rows.iter().map(|row| row.user).collect(),
            ratings: rows.iter().map(|row| row.rating).collect(),
            seconds: rows.iter().map(|row| row.seconds).collect(),
            totals,
            tags,
            fingerprint: 0,
            by_user: OnceLock::new(),
        };
        base.fingerprint = base.digest();
        base
    }

    /// The movies.
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The number of ratings.
    pub const fn len(&self) -> usize {
        self.ratings.len()
    }

    /// Whether there are no ratings.
    pub const fn is_empty(&self) -> bool {
        self.ratings.is_empty()
    }

    /// The rating that the user gave to the movie.
    pub fn rating(&self, user: UserId, movie: MovieId) -> Option<Rating> {
        let range = self.range(self.catalogue.position(movie)?);
        let at = self.users[range.clone()].binary_search(&user).ok()?;
        Some(self.ratings[range.start + at])
    }

    /// The total of the movie's ratings; zeros when there are none, or no such
    /// movie.
    pub fn total(&self, movie: MovieId) -> Total {
        match self.catalogue.position(movie) {
            Some(position) => self.totals[position],
            None => Total::default(),
        }
    }

    /// Every rating, by movie and user.
    pub fn iter(&self) -> impl Iterator<Item = (MovieId, UserId, Rating)> + '_ {
        self.catalogue
            .iter()
            .enumerate()
            .flat_map(|(position, movie)| {
                self.range(position)
                    .map(|at| (movie.id, self.users[at], self.ratings[at]))
            })
    }

    /// Every rating after this one, by user and movie, with the seconds since 1970
    /// at which it was given.
    pub(crate) fn ratings_after(
        &self,
        after: Option<(UserId, MovieId)>,
    ) -> impl Iterator<Item = (UserId, MovieId, Rating, u64)> + '_ {
        let by_user = self.by_user.get_or_init(|| self.sort_by_user());
        let key = |at: usize| (self.users[at], self.catalogue.at(self.movie_of(at)).id);
        let from = match after {
            Some(after) => by_user.partition_point(|&at| key(at as usize) <= after),
            None => 0,
        };
        by_user[from..].iter().map(move |&at| {
            let (user, movie) = key(at as usize);
            let seconds = u64::from(self.seconds[at as usize]);
            (user, movie, self.ratings[at as usize], seconds)
        })
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

    /// They stand by movie already, so a sort that keeps the order of equals is
    /// enough.
    fn sort_by_user(&self) -> Box<[u32]> {
        let mut places: Box<[u32]> = (0..).take(self.users.len()).collect();
        places.sort_by_key(|&at| self.users[at as usize]);
        places
    }

    /// The position of the movie whose rating stands at this place.
    fn movie_of(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at) - 1
    }

    fn range(&self, position: usize) -> std::ops::Range<usize> {
        self.starts[position]..self.starts[position + 1]
    }

    fn digest(&self) -> u128 {
        let mut fnv = Fnv128::new();
        for (position, movie) in self.catalogue.iter().enumerate() {
            digest_movie(&mut fnv, movie);
            let range = self.range(position);
            fnv.number(range.len() as u32);
            for at in range {
                fnv.number(self.users[at].0);
                fnv.number(self.ratings[at].ten_thousandths());
            }
        }
        // Data without tags keep the digest that they had before there were any.
        if !self.tags.is_empty() {
            for position in 0..self.catalogue.len() {
                for (tag, users) in self.tags.of(position) {
                    fnv.number(position as u32);
                    fnv.text(tag);
                    fnv.number(users);
                }
            }
        }
        fnv.finish()
    }
}

fn digest_movie(fnv: &mut Fnv128, movie: &Movie) {
    fnv.number(movie.id.0);
    fnv.text(&movie.title);
    fnv.number(movie.year.map_or(u32::MAX, u32::from));
    fnv.number(movie.genres.len() as u32);
    for genre in &movie.genres {
        fnv.text(genre);
    }
}
