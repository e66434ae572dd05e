//! Movies, their ids, and the title column of MovieLens files.

use std::{fmt, sync::Arc};

/// Names a movie: the `movieId` of the data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MovieId(pub u32);

/// Names a user: the `userId` of the data, or one that is not there yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UserId(pub u32);

impl fmt::Display for MovieId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A movie as the catalogue has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Movie {
    /// Tells movies apart; titles do not.
    pub id: MovieId,
    /// Without the year; an article may stand behind: `Matrix, The`.
    pub title: String,
    /// Absent where the data gives none, or a span of years.
    pub year: Option<u16>,
    /// In the order of the data; empty for `(no genres listed)`.
    pub genres: Vec<Arc<str>>,
}

impl Movie {
    /// What MovieLens writes for a movie without genres.
    const NO_GENRES: &str = "(no genres listed)";

    /// A movie from the three columns of `movies.csv`.
    ///
    /// Blanks around the columns and around each genre are dropped. Where the title column does not end
    /// with a year in parentheses, all of it is the title.
    pub fn new(id: MovieId, title: &str, genres: &str) -> Self {
        let (title, year) = split_year(title);
        let genres = match genres.trim() {
            "" | Self::NO_GENRES => Vec::new(),
            listed => {
                let genres = listed.split('|').map(str::trim);
                genres
                    .filter(|genre| !genre.is_empty())
                    .map(Arc::from)
                    .collect()
            }
        };
        Self {
            id,
            title: title.to_owned(),
            year,
            genres,
        }
    }
}

impl fmt::Display for Movie {
    /// As the title column of the data: `Toy Story (1995)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        match self.year {
            Some(year) => write!(f, " ({year:04})"),
            None => Ok(()),
        }
    }
}

/// Splits `Toy Story (1995)` into title and year. A title that does not end so, or
/// that is nothing but a year in parentheses, stays whole.
pub(crate) fn split_year(text: &str) -> (&str, Option<u16>) {
    let text = text.trim();
    let split = || {
        let (title, year) = text.strip_suffix(')')?.rsplit_once('(')?;
        let year = parse_year(year)?;
        let title = title.trim_end();
        (!title.is_empty()).then_some((title, Some(year)))
    };
    split().unwrap_or((text, None))
}

/// A year is four digits, nothing else.
pub(crate) fn parse_year(text: &str) -> Option<u16> {
    let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn b26_titles_without_a_year_keep_their_characters() {
        for (column, title, year) in [
            ("Toy Story (1995)", "Toy Story", Some(1995)),
            ("Babylon 5", "Babylon 5", None),
            ("Runaway Brain (1995) ", "Runaway Brain", Some(1995)),
            ("Blind Side, The  (2009)", "Blind Side, The", Some(2009)),
            (
                "Death Note: Desu nôto (2006–2007)",
                "Death Note: Desu nôto (2006–2007)",
                None,
            ),
            (
                "(500) Days of Summer (2009)",
                "(500) Days of Summer",
                Some(2009),
            ),
            (
                "3 dev adam (Three Giant Men) (1973) ",
                "3 dev adam (Three Giant Men)",
                Some(1973),
            ),
            ("1984 (1984)", "1984", Some(1984)),
            ("2012", "2012", None),
            ("(1995)", "(1995)", None),
            (
                "Ends with brackets (abcd)",
                "Ends with brackets (abcd)",
                None,
            ),
            ("Unbalanced 1995)", "Unbalanced 1995)", None),
            ("Arabic digits (١٩٩٥)", "Arabic digits (١٩٩٥)", None),
        ] {
            assert_eq!(split_year(column), (title, year), "{column:?}");
        }
    }

    #[test]
    fn genres_are_listed_or_none() {
        for (column, genres) in [
            ("Comedy|Sci-Fi", vec!["Comedy", "Sci-Fi"]),
            ("Drama", vec!["Drama"]),
            (" Comedy | Sci-Fi || ", vec!["Comedy", "Sci-Fi"]),
            ("(no genres listed)", vec![]),
            ("", vec![]),
        ] {
            let found = Movie::new(MovieId(1), "Title", column).genres;
            assert!(found.iter().map(|genre| &**genre).eq(genres), "{column:?}");
        }
    }

    proptest! {
        #[test]
        fn no_title_loses_a_character(column in "\\PC*( \\([0-9]{4}\\))?") {
            let movie = Movie::new(MovieId(1), &column, "");
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeezed(&movie.to_string()), squeezed(&column));
        }
    }
}
