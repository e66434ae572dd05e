//! Requests of front ends: movies, operations, updates.

use backfence_gossip::{Time, Update, UpdateId};
use backfence_ratings::{
    Found, Listed, Movie, MovieId, Operation, Ranked, Rating, Resolution, UserId, UserRating,
};

use crate::{Malformed, causality::timestamp, v1};

impl From<&Movie> for v1::Movie {
    fn from(movie: &Movie) -> Self {
        Self {
            movie_id: movie.id.0,
            title: movie.title.clone(),
            year: movie.year.map(u32::from),
            genres: movie.genres.iter().map(|genre| genre.to_string()).collect(),
        }
    }
}

impl From<Resolution<'_>> for v1::Resolution {
    fn from(resolution: Resolution<'_>) -> Self {
        use v1::resolution::Outcome;
        let all = |movies: Vec<&Movie>| v1::Movies {
            movies: movies.into_iter().map(Into::into).collect(),
        };
        Self {
            outcome: Some(match resolution {
                Resolution::Found(movie) => Outcome::Found(movie.into()),
                Resolution::Ambiguous(choices) => Outcome::Ambiguous(all(choices)),
                Resolution::Unknown { near } => Outcome::Unknown(all(near)),
            }),
        }
    }
}

impl From<&Movie> for v1::Title {
    fn from(movie: &Movie) -> Self {
        Self {
            movie_id: movie.id.0,
            title: movie.title.clone(),
            year: movie.year.map(u32::from),
        }
    }
}

impl From<Found<'_>> for v1::Found {
    fn from(found: Found<'_>) -> Self {
        Self {
            movies: found.movies.into_iter().map(Into::into).collect(),
            total: found.total as u64,
            near: found.near,
        }
    }
}

impl From<Ranked<'_>> for v1::Ranked {
    fn from(ranked: Ranked<'_>) -> Self {
        Self {
            movie: Some(ranked.movie.into()),
            average: ranked.average.average,
            ratings: ranked.average.ratings,
        }
    }
}

impl From<Listed> for v1::ListedRating {
    /// Without the title.
    fn from(listed: Listed) -> Self {
        Self {
            user_id: listed.user.0,
            movie_id: listed.movie.0,
            rating: listed.rating.into(),
            seconds: listed.seconds,
            title: None,
        }
    }
}

impl From<UserRating> for v1::UserRating {
    fn from(rating: UserRating) -> Self {
        Self {
            rating: rating.rating.into(),
            update_id: rating.update.map(Into::into),
        }
    }
}

impl From<&Operation> for v1::Operation {
    fn from(operation: &Operation) -> Self {
        use v1::operation::{Delete, Kind, Rate};
        let (user_id, movie_id) = (operation.user().0, operation.movie().0);
        Self {
            kind: Some(match operation {
                Operation::Rate { rating, .. } => Kind::Rate(Rate {
                    user_id,
                    movie_id,
                    rating: rating.ten_thousandths(),
                }),
                Operation::Delete { .. } => Kind::Delete(Delete { user_id, movie_id }),
            }),
        }
    }
}

impl TryFrom<v1::Operation> for Operation {
    type Error = Malformed;

    fn try_from(operation: v1::Operation) -> Result<Self, Malformed> {
        use v1::operation::Kind;
        match operation.kind {
            Some(Kind::Rate(rate)) => Ok(Self::Rate {
                user: UserId(rate.user_id),
                movie: MovieId(rate.movie_id),
                rating: Rating::from_ten_thousandths(rate.rating)
                    .ok_or(Malformed("a rating is above 5"))?,
            }),
            Some(Kind::Delete(delete)) => Ok(Self::Delete {
                user: UserId(delete.user_id),
                movie: MovieId(delete.movie_id),
            }),
            None => Err(Malformed("an update without an operation")),
        }
    }
}

impl From<&Update<Operation>> for v1::Update {
    fn from(update: &Update<Operation>) -> Self {
        Self {
            id: Some(update.id.into()),
            prev: Some((&update.prev).into()),
            time_us: update.time.0,
            operation: Some((&update.operation).into()),
        }
    }
}

impl TryFrom<v1::Update> for Update<Operation> {
    type Error = Malformed;

    fn try_from(update: v1::Update) -> Result<Self, Malformed> {
        let id = update.id.ok_or(Malformed("an update without an id"))?;
        Ok(Self {
            id: UpdateId::try_from(id)?,
            prev: timestamp(update.prev)?,
            time: Time(update.time_us),
            operation: update
                .operation
                .ok_or(Malformed("an update without an operation"))?
                .try_into()?,
        })
    }
}
