//! Answering questions from the ratings.

use backfence_ratings::{Average, Base, MovieId, Ratings, UnknownMovie, UserId};
use backfence_wire::v1::{
    Answer,
    answer::{Averaged, Kind, Opened, Viewed},
    query::Kind as Question,
};

/// What the catalogue alone can answer: it never changes, so it needs no lock, and
/// a search for near titles holds up nobody.
pub(crate) fn from_base(base: &Base, question: &Question) -> Result<Option<Answer>, UnknownMovie> {
    let movie = match question {
        Question::Open(_) => return Ok(Some(answer(Kind::Opened(Opened {})))),
        Question::Find(find) => {
            let resolution = base.catalogue().resolve(&find.title);
            return Ok(Some(answer(Kind::Resolution(resolution.into()))));
        }
        Question::View(view) => view.movie_id,
        Question::Average(average) => average.movie_id,
    };
    match base.catalogue().movie(MovieId(movie)) {
        Some(_) => Ok(None),
        None => Err(UnknownMovie(MovieId(movie))),
    }
}

/// What depends on the users' updates; `None` for what does not.
pub(crate) fn from_ratings(ratings: &Ratings, question: &Question) -> Option<Answer> {
    match question {
        Question::View(view) => {
            let rating = ratings.view(UserId(view.user_id), MovieId(view.movie_id));
            Some(answer(Kind::Viewed(Viewed {
                rating: rating.map(Into::into),
            })))
        }
        Question::Average(average) => {
            let average = ratings.average(MovieId(average.movie_id));
            Some(answer(Kind::Averaged(averaged(average))))
        }
        Question::Open(_) | Question::Find(_) => None,
    }
}

fn averaged(average: Option<Average>) -> Averaged {
    Averaged {
        average: average.map(|average| average.average),
        ratings: average.map_or(0, |average| average.ratings),
    }
}

fn answer(kind: Kind) -> Answer {
    Answer { kind: Some(kind) }
}
