//! Movies, titles and ratings: the application that Backfence replicates.
//!
//! A [`Base`] is what was loaded from files in MovieLens format: a [`Catalogue`]
//! of movies, and ratings, all read-only. [`Ratings`] lays the updates of users
//! over it and is the value that the protocol of `backfence-gossip` replicates.
//!
//! ```
//! use std::sync::Arc;
//! use backfence_ratings::{Base, MovieId, Ratings, Resolution, UserId};
//!
//! let movies = "movieId,title,genres\n1,\"Matrix, The (1999)\",Action|Sci-Fi\n";
//! let ratings = "userId,movieId,rating,timestamp\n7,1,4.5,964982703\n";
//! let loaded = Base::read(movies.as_bytes(), ratings.as_bytes(), true)?;
//! let value = Ratings::new(Arc::new(loaded.base));
//!
//! let Resolution::Found(movie) = value.catalogue().resolve("the matrix") else {
//!     panic!("there is one Matrix");
//! };
//! assert_eq!((movie.id, movie.year), (MovieId(1), Some(1999)));
//! let seen = value.view(UserId(7), movie.id).expect("user 7 rated it");
//! assert_eq!(seen.rating.to_string(), "4.5");
//! # Ok::<(), backfence_ratings::LoadError>(())
//! ```
//!
//! The crate knows no network, no clock and no randomness. Its only input from
//! outside is the files that [`Base::load`] reads, and the file that [`Base::keep`]
//! makes of them.

mod base;
mod catalogue;
mod column;
mod file;
mod fingerprint;
mod given;
mod keep;
mod lines;
mod load;
mod marks;
mod movie;
mod near;
mod operation;
mod overlay;
mod parse;
mod rating;
mod ratings;
mod rows;
mod search;
mod sections;
mod sources;
mod table;
mod tags;
mod title;

pub use base::{Base, Total};
pub use catalogue::{Catalogue, Resolution};
pub use keep::{How, Kept, Making, Step};
pub use lines::{Lines, RowError};
pub use load::{BadRow, LoadError, Loaded, Skipped};
pub use movie::{Movie, MovieId, UserId};
pub use operation::{Later, Operation};
pub use rating::{Rating, RatingError};
pub use ratings::{Average, Cell, Listed, Ranked, Ratings, UnknownMovie, UserRating};
pub use search::{Found, Search};
