//! Answers about movies and ratings.

use backfence_ratings::{Found, Listed, Movie, Ranked, Resolution, UserRating};

use crate::v1;

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
