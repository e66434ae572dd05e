//! The movies, by id and by title.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Movie, MovieId,
    column::{Column, Texts},
    movie::{parse_year, split_year},
    near::Near,
    sections::{Reader, Sections, Torn},
    title::{self, Keys},
};

/// All movies, with what it takes to find them. Never changes.
#[derive(Debug)]
pub struct Catalogue {
    /// In ascending order of id.
    pub(crate) movies: Vec<Movie>,
    /// Every genre that a movie has, once.
    pub(crate) genres: Vec<Arc<str>>,
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
        let genres: BTreeSet<Arc<str>> = movies.iter().flat_map(|m| &m.genres).cloned().collect();
        for genre in movies.iter_mut().flat_map(|movie| &mut movie.genres) {
            // One text for all movies that have it.
            if let Some(shared) = genres.get(genre) {
                *genre = Arc::clone(shared);
            }
        }
        Self {
            genres: genres.into_iter().collect(),
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
    /// not matter either; and only then an article may be missing. Accents are marks
    /// that people leave out; a mark that makes another letter always matters. A name in
    /// parentheses behind the title is as good as the title. A title of more than
    /// [`Catalogue::LONGEST_TITLE`] bytes, or with control characters, is unknown
    /// and near to nothing.
    pub fn resolve(&self, title: &str) -> Resolution<'_> {
        self.known(title).unwrap_or_else(|| {
            let name = split_year(title.trim()).0;
            let near = self.near(name);
            Resolution::Unknown { near }
        })
    }

    /// What the title stands for, as [`resolve`](Self::resolve) tells, but `None` where
    /// that would look for what is near, which takes milliseconds.
    pub fn known(&self, title: &str) -> Option<Resolution<'_>> {
        let asked = title.trim();
        if asked.len() > Self::LONGEST_TITLE || asked.chars().any(char::is_control) {
            return Some(Resolution::Unknown { near: Vec::new() });
        }
        if let Some(movie) = parse_id(asked).and_then(|id| self.movie(id)) {
            return Some(Resolution::Found(movie));
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
            [] => None,
            [movie] => Some(Resolution::Found(movie)),
            _ => Some(Resolution::Ambiguous(hits)),
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

    pub(crate) fn write(&self, sections: &mut Sections) {
        let year = |movie: &Movie| movie.year.map_or(NO_YEAR, u64::from);
        let id = |movie: &Movie| u64::from(movie.id.0);
        Column::of(&self.movies.iter().map(id).collect::<Vec<_>>()).write(sections);
        Column::new(NO_YEAR, self.movies.iter().map(year)).write(sections);
        Texts::new(self.movies.iter().map(|movie| &*movie.title)).write(sections);
        Texts::new(self.genres.iter().map(|genre| &**genre)).write(sections);
        let (mut starts, mut genres) = (vec![0], Vec::new());
        for movie in &self.movies {
            let place = |genre| self.genres.binary_search(genre).unwrap_or_default() as u64;
            genres.extend(movie.genres.iter().map(place));
            starts.push(genres.len() as u64);
        }
        Column::of(&starts).write(sections);
        Column::of(&genres).write(sections);
        for stage in &self.stages {
            stage.names.write(sections);
            stage.positions.write(sections);
        }
        self.near.write(sections);
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Torn> {
        let (ids, years) = (Column::read(reader)?, Column::read(reader)?);
        let (titles, genres) = (Texts::read(reader)?, Texts::read(reader)?);
        let (starts, listed) = (Column::read(reader)?, Column::read(reader)?);
        let genres: Vec<Arc<str>> = genres.iter().map(Arc::from).collect();
        let genre = |at| genres.get(listed.get(at)? as usize).cloned();
        let movie = |at| {
            Some(Movie {
                id: MovieId(ids.get_u32(at)?),
                title: titles.get(at).to_owned(),
                year: years
                    .get(at)?
                    .try_into()
                    .ok()
                    .filter(|_| years.get(at) != Some(NO_YEAR)),
                genres: starts.between(at).filter_map(genre).collect(),
            })
        };
        let movies: Option<Vec<_>> = (0..ids.len()).map(movie).collect();
        let movies = movies.filter(|movies| movies.is_sorted_by(|a, b| a.id < b.id));
        let mut stage = || {
            Ok(Index {
                names: Texts::read(reader)?,
                positions: Column::read(reader)?,
            })
        };
        Ok(Self {
            stages: [stage()?, stage()?, stage()?],
            movies: movies.ok_or(Torn)?,
            genres,
            near: Near::read(reader)?,
        })
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
            .filter_map(|position| self.movies.get(position as usize))
            .filter(|movie| year.is_none() || movie.year == year)
            .collect()
    }

    pub(crate) fn near(&self, name: &str) -> Vec<&Movie> {
        self.near
            .nearest(&Keys::new(name).bare, Self::NEAR)
            .into_iter()
            .filter_map(|position| self.movies.get(position))
            .collect()
    }
}

/// How a column of years writes that there is none. No year has five digits.
const NO_YEAR: u64 = 0xffff;

/// Names and the positions of the movies that bear them, sorted.
#[derive(Debug)]
struct Index {
    names: Texts,
    positions: Column,
}

impl Index {
    fn new(mut names: Vec<(String, u32)>) -> Self {
        // What consists of punctuation only folds to nothing.
        names.retain(|(name, _)| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        let positions: Vec<_> = names.iter().map(|&(_, at)| u64::from(at)).collect();
        Self {
            names: Texts::new(names.iter().map(|(name, _)| name.as_str())),
            positions: Column::of(&positions),
        }
    }

    fn positions(&self, name: &str) -> impl Iterator<Item = u32> {
        let range = self.names.equal(name);
        range.filter_map(|at| self.positions.get_u32(at))
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
