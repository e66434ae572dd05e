//! Movies by words of their title, by genre, by year.

use crate::{
    Catalogue, Movie, MovieId,
    title::{Keys, without_blanks},
};

/// What to look for. All that is given has to agree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search<'a> {
    /// Words, each of which has to begin a word of the title, or of another name of
    /// the movie. Blank for any.
    pub text: &'a str,
    /// In any letter case, with or without punctuation. Blank for any.
    pub genre: &'a str,
    /// `None` for any.
    pub year: Option<u16>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found<'a> {
    /// Those with fewer words in their name first.
    pub movies: Vec<&'a Movie>,
    /// How many there are, those beyond the limit included.
    pub total: usize,
    /// No title has all the words: these are near, the nearest first.
    pub near: bool,
}

impl Catalogue {
    /// The movies that are looked for, at most `limit`.
    ///
    /// A text of more than [`Catalogue::LONGEST_TITLE`] bytes finds nothing, and one that
    /// is longer than twice that once it is folded is near to nothing. The work is bounded by
    /// the words of the longest name.
    pub fn search(&self, search: &Search<'_>, limit: usize) -> Found<'_> {
        let genre = self.genre(search.genre);
        let wanted = |movie: &Movie| {
            genre.has(movie) && search.year.is_none_or(|year| movie.year == Some(year))
        };
        let text = search.text.trim();
        if text.len() > Self::LONGEST_TITLE {
            return Found::default();
        }
        if text.is_empty() {
            return Found::new(self.iter().filter(|movie| wanted(movie)).collect(), limit);
        }
        let positions = self.near.with_words(&Keys::new(text).bare);
        let hits = positions
            .into_iter()
            .filter_map(|position| self.movies.get(position));
        let found = Found::new(hits.filter(|movie| wanted(movie)).collect(), limit);
        if found.total > 0 {
            return found;
        }
        let near = self.near(text).into_iter();
        Found {
            near: true,
            ..Found::new(near.filter(|movie| wanted(movie)).collect(), limit)
        }
    }

    /// The movies after this one, by id.
    pub fn after(&self, movie: Option<MovieId>) -> std::slice::Iter<'_, Movie> {
        let from = match movie {
            Some(id) => self.movies.partition_point(|movie| movie.id <= id),
            None => 0,
        };
        self.movies[from..].iter()
    }

    /// What is meant by a genre as somebody types it; anything by a blank one.
    pub(crate) fn genre(&self, asked: &str) -> Genre<'_> {
        let asked = asked.trim();
        if asked.is_empty() {
            return Genre(None);
        }
        let asked = folded(asked);
        let genres = self.genres.iter().filter(|genre| folded(genre) == asked);
        Genre(Some(genres.map(|genre| &**genre).collect()))
    }
}

/// A choice of movies by genre: the spellings that are meant, or any.
pub(crate) struct Genre<'a>(Option<Vec<&'a str>>);

impl Genre<'_> {
    pub(crate) fn has(&self, movie: &Movie) -> bool {
        let Some(spellings) = &self.0 else {
            return true;
        };
        movie
            .genres
            .iter()
            .any(|genre| spellings.contains(&&**genre))
    }
}

impl<'a> Found<'a> {
    fn new(mut movies: Vec<&'a Movie>, limit: usize) -> Self {
        let total = movies.len();
        movies.truncate(limit);
        Self {
            movies,
            total,
            near: false,
        }
    }
}

/// `Sci-Fi`, `scifi` and `SCI FI` are one.
fn folded(genre: &str) -> String {
    without_blanks(&Keys::new(genre).bare)
}
