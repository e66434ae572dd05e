//! `Toy Story 2`: a title, or a title with a rating?

use backfence_client::{Error, Movie, Rating, Session};

use crate::{
    answer::{Answer, Titled},
    output::safe,
    request::resolve,
};

/// A rating as somebody gives it: a title, and a last word that is a rating.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Given {
    pub(crate) title: String,
    /// As it was written.
    last: String,
    pub(crate) rating: Rating,
    /// The title ends where it was said to end.
    ends: bool,
}

/// The two ways in which all of it makes sense.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Readings {
    /// All that was said.
    pub(crate) asked: String,
    last: String,
    pub(crate) rating: Rating,
    /// The last word is a rating of one of these,
    pub(crate) rated: Vec<Movie>,
    /// or the end of the title of one of these, whose rating is left out.
    pub(crate) titled: Vec<Movie>,
}

impl Given {
    /// A word with blanks was in quotes; it, an id, and a year in parentheses say where
    /// the title ends.
    pub(crate) fn new(words: &[String], last: &str, rating: Rating) -> Self {
        let title = words.join(" ");
        let quoted = words.iter().any(|word| word.contains(char::is_whitespace));
        Self {
            ends: quoted || title.starts_with('#') || title.ends_with(')'),
            title,
            last: last.to_owned(),
            rating,
        }
    }

    /// All of it, where that may be a title too.
    pub(crate) fn whole(&self) -> Option<String> {
        (!self.ends).then(|| format!("{} {}", self.title, self.last))
    }

    /// Both readings, where both stand for movies.
    pub(crate) fn readings(&self, rated: Vec<Movie>, mut titled: Vec<Movie>) -> Option<Readings> {
        if self.last.contains('.') {
            // Marks do not matter in a title: 1.2 is not the 12 of `Ocean's 12`.
            titled.retain(|movie| movie.title.contains(&self.last));
        }
        let both = !rated.is_empty() && !titled.is_empty() && rated != titled;
        both.then(|| Readings {
            asked: format!("{} {}", self.title, self.last),
            last: self.last.clone(),
            rating: self.rating,
            rated,
            titled,
        })
    }
}

impl Readings {
    /// What is said before the readings.
    pub(crate) fn sentence(&self) -> String {
        format!("{} can mean two things:", self.asked)
    }

    /// Both, and how to say each.
    pub(crate) fn text(&self) -> String {
        let mut text = self.sentence();
        for (meaning, command) in self.meanings().iter().zip(self.commands()) {
            text += &format!("\n  {meaning}: {command}");
        }
        text + "\nA title in quotes, with its year, or as #ID, is clear"
    }

    /// What each means.
    pub(crate) fn meanings(&self) -> [String; 2] {
        let title = self.asked.strip_suffix(&self.last).unwrap_or(&self.asked);
        [
            format!("{}, rated {}", named(title, &self.rated), self.rating),
            format!("{}, with no rating yet", named(&self.asked, &self.titled)),
        ]
    }

    /// How to say each so that it means nothing else.
    fn commands(&self) -> [String; 2] {
        let last = &self.last;
        [
            format!("rate {} {last}", told_apart(&self.rated)),
            format!("rate {} RATING", told_apart(&self.titled)),
        ]
    }
}

/// The movie, or how many there are of that name.
fn named(title: &str, movies: &[Movie]) -> String {
    match movies {
        [movie] => safe(&movie.to_string()),
        _ => format!("one of {} called {}", movies.len(), title.trim_end()),
    }
}

/// A title ends behind its year; of several movies one has to be chosen.
fn told_apart(movies: &[Movie]) -> String {
    match movies {
        // What has quotes of its own is best named by its id.
        [movie] if !movie.title.contains('"') && movie.year.is_some() => {
            format!("\"{}\"", safe(&movie.to_string()))
        }
        [movie] => format!("\"#{}\"", movie.id),
        _ => "\"#ID\"".to_owned(),
    }
}

/// The movies that a title stands for.
pub(crate) fn movies(found: &Result<Titled, Answer>) -> Vec<Movie> {
    match found {
        Ok(titled) => vec![titled.movie.clone()],
        Err(Answer::Ambiguous(_, choices)) => choices.clone(),
        Err(_) => Vec::new(),
    }
}

/// The movie that is rated, or the answer that it is none, or not clear which.
pub(crate) async fn resolve_given(
    session: &mut Session,
    given: &Given,
) -> Result<Result<Titled, Answer>, Error> {
    let rated = resolve(session, &given.title).await?;
    let Some(whole) = given.whole() else {
        return Ok(rated);
    };
    if matches!(rated, Err(Answer::Unknown(..))) {
        return Ok(rated);
    }
    let titled = resolve(session, &whole).await?;
    Ok(match given.readings(movies(&rated), movies(&titled)) {
        Some(readings) => Err(Answer::TwoReadings(readings)),
        None => rated,
    })
}

#[cfg(test)]
mod tests {
    use backfence_client::MovieId;

    use super::*;

    fn movie(id: u32, title: &str, year: u16) -> Movie {
        let (title, genres) = (title.to_owned(), Vec::new());
        Movie {
            id: MovieId(id),
            title,
            year: Some(year),
            genres,
        }
    }

    fn given(words: &[&str], last: &str) -> Given {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        Given::new(&words, last, last.parse().unwrap())
    }

    #[test]
    fn a_title_ends_where_it_is_said_to_end() {
        let check = |words: &[&str], whole: Option<&str>| {
            assert_eq!(given(words, "2").whole().as_deref(), whole, "{words:?}");
        };
        check(&["Toy", "Story"], Some("Toy Story 2"));
        check(&["Alien"], Some("Alien 2"));
        check(&["Toy Story"], None);
        check(&["#1"], None);
        check(&["Toy", "Story", "(1995)"], None);
    }

    #[test]
    fn two_readings_take_two_kinds_of_movies() {
        let first = movie(1, "Toy Story", 1995);
        let second = movie(2, "Toy Story 2", 1999);
        let given = given(&["toy", "story"], "2");
        let check = |rated: &[Movie], titled: &[Movie], expected: Option<&str>| {
            let readings = given.readings(rated.to_vec(), titled.to_vec());
            assert_eq!(readings.map(|both| both.text()).as_deref(), expected);
        };
        let (one, two) = ([first.clone()], [second.clone()]);
        check(&one, &[], None);
        check(&[], &two, None);
        check(&one, &one, None);
        check(
            &one,
            &two,
            Some(
                "toy story 2 can mean two things:\n  \
                 Toy Story (1995), rated 2.0: rate \"Toy Story (1995)\" 2\n  \
                 Toy Story 2 (1999), with no rating yet: rate \"Toy Story 2 (1999)\" RATING\n\
                 A title in quotes, with its year, or as #ID, is clear",
            ),
        );
        let twins = [first, movie(3, "Toy Story", 1996)];
        check(
            &twins,
            &two,
            Some(
                "toy story 2 can mean two things:\n  \
                 one of 2 called toy story, rated 2.0: rate \"#ID\" 2\n  \
                 Toy Story 2 (1999), with no rating yet: rate \"Toy Story 2 (1999)\" RATING\n\
                 A title in quotes, with its year, or as #ID, is clear",
            ),
        );
    }

    #[test]
    fn a_point_has_to_stand_in_the_title() {
        let (ocean, robot) = (movie(1, "Ocean's", 2001), movie(2, "Robot", 2010));
        let other = movie(3, "Ocean's 12", 2004);
        let given = |title, last| given(&[title], last);
        let oceans = given("ocean's", "1.2").readings(vec![ocean], vec![other]);
        assert_eq!(oceans, None);
        let other = movie(4, "Robot 2.0", 2018);
        let robots = given("robot", "2.0").readings(vec![robot], vec![other]);
        assert!(robots.is_some());
    }
}
