//! The movies, by id and by title.

use crate::{Movie, MovieId, movie::split_year};

/// All movies. Never changes.
#[derive(Debug)]
pub struct Catalogue {
    /// In ascending order of id.
    movies: Vec<Movie>,
}

/// What a title stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution<'a> {
    /// This movie.
    Found(&'a Movie),
    /// Any of these, by year and id. Ask again with the year, or as `#ID`.
    Ambiguous(Vec<&'a Movie>),
    /// No movie.
    Unknown {
        /// Movies with a title like it, the nearest first, at most
        /// [`Catalogue::NEAR`].
        near: Vec<&'a Movie>,
    },
}

impl Catalogue {
    /// The longest title in bytes. A longer one is unknown.
    pub const LONGEST_TITLE: usize = 512;
    /// How many near matches an unknown title is answered with, at most.
    pub const NEAR: usize = 5;

    /// A catalogue of these movies. Of several with one id the first stays.
    pub fn new(mut movies: Vec<Movie>) -> Self {
        movies.sort_by_key(|movie| movie.id);
        movies.dedup_by_key(|movie| movie.id);
        Self { movies }
    }

    /// The movie with that id.
    pub fn movie(&self, id: MovieId) -> Option<&Movie> {
        Some(&self.movies[self.position(id)?])
    }

    /// What the title stands for.
    pub fn resolve(&self, title: &str) -> Resolution<'_> {
        let (title, year) = split_year(title);
        let found = |movie: &&Movie| {
            movie.title.eq_ignore_ascii_case(title) && (year.is_none() || movie.year == year)
        };
        let hits: Vec<_> = self.movies.iter().filter(found).collect();
        match *hits {
            [] => Resolution::Unknown { near: Vec::new() },
            [movie] => Resolution::Found(movie),
            _ => Resolution::Ambiguous(hits),
        }
    }

    /// Every movie, by id.
    pub fn iter(&self) -> std::slice::Iter<'_, Movie> {
        self.movies.iter()
    }

    /// How many movies.
    pub const fn len(&self) -> usize {
        self.movies.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.movies.is_empty()
    }

    /// Where the movie stands in the order of ids.
    pub(crate) fn position(&self, id: MovieId) -> Option<usize> {
        self.movies.binary_search_by_key(&id, |movie| movie.id).ok()
    }

    pub(crate) fn at(&self, position: usize) -> &Movie {
        &self.movies[position]
    }
}
