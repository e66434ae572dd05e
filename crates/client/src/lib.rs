//! The Backfence client library: a session, fail-over, exactly-once updates.
//!
//! A [`Client`] knows the front ends. A [`Session`] asks them, one request after
//! the other, and is what its user may rely on: it reads its own writes, never
//! reads backwards, and each of its updates takes effect once, through however
//! many front ends it had to be sent.
//!
//! ```no_run
//! use backfence_client::{Client, Rating, Resolution, Source, UserId};
//! use backfence_process::Environment;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let source = Source::Registry("127.0.0.1:7400".parse()?);
//!     let client = Client::connect(&Environment::real(), source).await?;
//!     let mut session = client.session();
//!
//!     let Resolution::Found(movie) = session.find("toy story").await? else {
//!         return Err("no movie, or several, of that title".into());
//!     };
//!     let updated = session.rate(UserId(1), movie.id, "4.5".parse::<Rating>()?).await?;
//!     let seen = session.view(UserId(1), movie.id).await?;
//!     assert_eq!(seen.and_then(|rating| rating.update), Some(updated.id));
//!     Ok(())
//! }
//! ```
//!
//! # What is tried again
//!
//! A request has 2 s, or what [`Client::with_limit`] gave it. While they last, a
//! front end that cannot be reached, or does not answer, is followed by the next
//! one; when all have been tried, the registry is asked again for who is there.
//! An update keeps its id and its time over all of that, so a replica that has
//! taken it already only answers again. What is not tried again is told by an
//! [`Error`], whose sentence says what to do.

mod answer;
mod call;
mod client;
mod error;
mod session;

pub use answer::{ReplicaState, Resolution, Server, ServerStatus, StatusChange, Updated};
pub use backfence_gossip::{ReplicaId, SessionId, Time, Timestamp, UpdateId};
pub use backfence_ratings::{Average, Movie, MovieId, Rating, RatingError, UserId, UserRating};
pub use client::{Client, ConnectError, Source};
pub use error::Error;
pub use session::{SavedSession, Session};
