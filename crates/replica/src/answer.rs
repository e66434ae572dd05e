//! Answering questions from the ratings.

use backfence_ratings::{Average, Base, Catalogue, MovieId, Ratings, Search, UnknownMovie, UserId};
use backfence_wire::v1::{
    self, Answer,
    answer::{Averaged, Kind, Opened, Viewed},
    query::Kind as Question,
};

/// Most movies of one answer; more are not sent, only counted.
const MOVIES: usize = 100;
/// Most titles or ratings of a page; the rest is on the next. A title has at most
/// 512 bytes, so a page stays below the 1 MiB of a reply.
const PAGE: usize = 1000;

/// Whether the answer takes milliseconds: a look at many titles, or a page of ratings.
pub(crate) fn takes_long(base: &Base, question: &Question) -> bool {
    match question {
        Question::Find(find) => base.catalogue().known(&find.title).is_none(),
        Question::Search(_)
        | Question::ListTitles(_)
        | Question::ListRatings(_)
        | Question::Top(_) => true,
        Question::Open(_) | Question::View(_) | Question::Average(_) | Question::ListTags(_) => {
            false
        }
    }
}

/// What the catalogue alone can answer: it never changes, so it needs no lock.
pub(crate) fn from_base(base: &Base, question: &Question) -> Result<Option<Answer>, UnknownMovie> {
    let movie = match question {
        Question::Open(_) => return Ok(Some(answer(Kind::Opened(Opened {})))),
        Question::Find(find) => {
            let resolution = base.catalogue().resolve(&find.title);
            return Ok(Some(answer(Kind::Resolution(resolution.into()))));
        }
        Question::Search(search) => return Ok(Some(searched(base.catalogue(), search))),
        Question::ListTitles(list) => return Ok(Some(titles(base.catalogue(), list))),
        Question::ListRatings(_) | Question::Top(_) => return Ok(None),
        Question::View(view) => view.movie_id,
        Question::Average(average) => average.movie_id,
        Question::ListTags(list) => list.movie_id,
    };
    let movie = MovieId(movie);
    match (base.catalogue().movie(movie), question) {
        (None, _) => Err(UnknownMovie(movie)),
        (Some(_), Question::ListTags(_)) => Ok(Some(tags(base, movie))),
        (Some(_), _) => Ok(None),
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
        Question::ListRatings(list) => Some(listed(ratings, list)),
        Question::Top(top) => {
            let limit = limit(top.limit, MOVIES);
            let ranked = ratings.top(&top.genre, top.min_ratings, limit);
            let movies = ranked.into_iter().map(Into::into).collect();
            Some(answer(Kind::Ranking(v1::Ranking { movies })))
        }
        Question::Open(_)
        | Question::Find(_)
        | Question::Search(_)
        | Question::ListTitles(_)
        | Question::ListTags(_) => None,
    }
}

fn searched(catalogue: &Catalogue, search: &v1::Search) -> Answer {
    let wanted = Search {
        text: &search.text,
        genre: &search.genre,
        // No movie is of a year beyond.
        year: search
            .year
            .map(|year| u16::try_from(year).unwrap_or(u16::MAX)),
    };
    let found = catalogue.search(&wanted, limit(search.limit, MOVIES));
    answer(Kind::Found(found.into()))
}

fn titles(catalogue: &Catalogue, list: &v1::ListTitles) -> Answer {
    let mut rest = catalogue.after(list.after.map(MovieId));
    let page = rest.by_ref().take(limit(list.limit, PAGE));
    answer(Kind::Titles(v1::Titles {
        titles: page.map(Into::into).collect(),
        more: rest.len() > 0,
    }))
}

fn tags(base: &Base, movie: MovieId) -> Answer {
    let tag = |(tag, users): (&str, u32)| v1::Tag {
        tag: tag.to_owned(),
        users: users.into(),
    };
    let tags = base.tags(movie).map(tag).collect();
    answer(Kind::Tags(v1::Tags { tags }))
}

fn listed(ratings: &Ratings, list: &v1::ListRatings) -> Answer {
    let user = list.user_id.map(UserId);
    let after = list
        .after
        .map(|key| (UserId(key.user_id), MovieId(key.movie_id)));
    let (listed, more) = ratings.list(user, after, limit(list.limit, PAGE));
    let catalogue = ratings.catalogue();
    let rating = |listed: backfence_ratings::Listed| v1::ListedRating {
        title: user.and_then(|_| catalogue.movie(listed.movie).map(Into::into)),
        ..listed.into()
    };
    answer(Kind::ListedRatings(v1::ListedRatings {
        ratings: listed.into_iter().map(rating).collect(),
        more,
    }))
}

/// What is asked for, or all that is allowed.
fn limit(asked: u32, most: usize) -> usize {
    match asked as usize {
        0 => most,
        asked => asked.min(most),
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
