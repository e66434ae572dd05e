//! The movies, by id and by title.

use std::collections::BTreeSet;

use crate::{
    Movie, MovieId,
    movie::{parse_year, split_year},
    near::Near,
    title::{self, Keys},
};

/// All movies, with what it takes to find them. Never changes.
#[derive(Debug)]
pub struct Catalogue {
    /// In ascending order of id.
    pub(crate) movies: Vec<Movie>,
    /// Every genre that a movie has, once.
    pub(crate) genres: Vec<String>,
    /// The ways in which a title may agree with a name, the strictest first.
    stages: [Index; 3],
    pub(crate) near: Near,
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
        let mut stages = [const { Vec::new() }; 3];
        let mut bare = Vec::new();
        for (position, movie) in (0..).zip(&movies) {
            for name in title::names(&movie.title) {
                let keys = Keys::new(name);
                stages[2].push((title::without_blanks(&keys.bare), position));
                stages[1].push((keys.folded, position));
                stages[0].push((keys.written, position));
                bare.push((position, keys.bare));
            }
        }
        let genres: BTreeSet<_> = movies.iter().flat_map(|movie| &movie.genres).collect();
        Self {
            genres: genres.into_iter().cloned().collect(),
            movies,
            stages: stages.map(Index::new),
            near: Near::new(bare),
        }
    }

    /// The movie with that id.
    pub fn movie(&self, id: MovieId) -> Option<&Movie> {
        Some(&self.movies[self.position(id)?])
    }

    /// What the title stands for: a name of the movie, with or without its year,
    /// or `#` and its id.
    ///
    /// Letter case does not matter, nor whether an article stands in front or
    /// behind. Only if nothing agrees so far, accents, punctuation and blanks do
    /// not matter either; and only then an article may be missing. A name in
    /// parentheses behind the title is as good as the title. A title of more than
    /// [`Catalogue::LONGEST_TITLE`] bytes, or with control characters, is unknown
    /// and near to nothing.
    pub fn resolve(&self, title: &str) -> Resolution<'_> {
        let asked = title.trim();
        if asked.len() > Self::LONGEST_TITLE || asked.chars().any(char::is_control) {
            return Resolution::Unknown { near: Vec::new() };
        }
        if let Some(movie) = parse_id(asked).and_then(|id| self.movie(id)) {
            return Resolution::Found(movie);
        }
        let (name, year) = split_year(asked);
        let mut hits = self.agreeing(name, year);
        if hits.is_empty() && year.is_some() {
            hits = self.agreeing(asked, None);
        }
        if let (true, Some((name, year))) = (hits.is_empty(), split_bare_year(asked)) {
            hits = self.agreeing(name, Some(year));
        }
        match *hits {
            [] => Resolution::Unknown {
                near: self.near(name),
            },
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

    /// The movies that bear the name by the strictest comparison by which any
    /// does, by year and id. Those without a year come last.
    fn agreeing(&self, name: &str, year: Option<u16>) -> Vec<&Movie> {
        let keys = Keys::new(name);
        let [written, folded, bare] = &self.stages;
        let stages = [
            written.positions(&keys.written),
            folded.positions(&keys.folded),
            // Here only the movie's own article is left away: `Matrix` finds
            // `Matrix, The`, but `A Matrix` does not.
            bare.positions(&keys.folded),
        ];
        let mut hits: Vec<_> = stages
            .into_iter()
            .map(|positions| self.of_year(positions, year))
            .find(|movies| !movies.is_empty())
            .unwrap_or_default();
        hits.sort_by_key(|movie| (movie.year.is_none(), movie.year, movie.id));
        hits.dedup_by_key(|movie| movie.id);
        hits
    }

    fn of_year(&self, positions: impl Iterator<Item = u32>, year: Option<u16>) -> Vec<&Movie> {
        positions
            .map(|position| self.at(position as usize))
            .filter(|movie| year.is_none() || movie.year == year)
            .collect()
    }

    pub(crate) fn near(&self, name: &str) -> Vec<&Movie> {
        self.near
            .nearest(&Keys::new(name).bare, Self::NEAR)
            .into_iter()
            .map(|position| self.at(position))
            .collect()
    }
}

/// Names and the positions of the movies that bear them, sorted.
#[derive(Debug)]
struct Index(Vec<(Box<str>, u32)>);

impl Index {
    fn new(names: Vec<(String, u32)>) -> Self {
        let mut names: Vec<_> = names
            .into_iter()
            // What consists of punctuation only folds to nothing.
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, position)| (name.into_boxed_str(), position))
            .collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    fn positions(&self, name: &str) -> impl Iterator<Item = u32> {
        let from = self.0.partition_point(|(known, _)| **known < *name);
        let to = self.0.partition_point(|(known, _)| **known <= *name);
        self.0[from..to].iter().map(|&(_, position)| position)
    }
}

/// `#1` is the movie with the id 1.
fn parse_id(text: &str) -> Option<MovieId> {
    let digits = text.strip_prefix('#')?;
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if only_digits {
        digits.parse().ok().map(MovieId)
    } else {
        None
    }
}

/// `toy story 1995`, as one types it.
fn split_bare_year(text: &str) -> Option<(&str, u16)> {
    let (name, year) = text.rsplit_once(' ')?;
    Some((name, parse_year(year)?))
}
