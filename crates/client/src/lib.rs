//! The Backfence client library: a session, fail-over, exactly-once updates.
//!
//! A [`Client`] knows the front ends. A [`Session`] asks them, one request after
//! the other, and is what its user may rely on: it reads its own writes, never
//! reads backwards, and each of its updates takes effect once, through however
//! many front ends it had to be sent.
//!
//! ```
//! # mod town { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/town/mod.rs")); }
//! use backfence_client::{Client, Rating, Resolution, Source, UserId};
//! use backfence_process::Environment;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let registry = town::start().await?;
//! # /*
//! let registry = "127.0.0.1:7400".parse()?;
//! # */
//! let client = Client::connect(&Environment::real(), Source::Registry(registry)).await?;
//! let mut session = client.session();
//!
//! let Resolution::Found(movie) = session.find("toy story").await? else {
//!     return Err("no movie, or several, of that title".into());
//! };
//! let updated = session.rate(UserId(1), movie.id, "4.5".parse::<Rating>()?).await?;
//! let seen = session.view(UserId(1), movie.id).await?;
//! assert_eq!(seen.and_then(|rating| rating.update), Some(updated.id));
//!
//! // Another program can go on with the session: it has seen the rating.
//! let saved = session.save();
//! drop(session);
//! let mut session = client.resume(saved);
//! assert_eq!(session.seen().iter().count(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Without a registry, [`Source::FrontEnds`] names the front ends. A saved session's
//! token is opaque, and any front end goes on from it: it can be kept in a file or
//! handed to another program.
//!
//! [`Session::prepare`] and [`Session::send`] are for programs that must not forget
//! over a crash what they have sent; [`Session::watch`] is for those that show what
//! is waited for.
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
mod failed;
mod progress;
mod read;
mod session;

pub use answer::{
    Found, Log, Logged, Member, Membership, Page, Prepared, Ranked, Rated, ReplicaState,
    Resolution, Server, ServerProgram, ServerStatus, StatusChange, Tag, Title, Updated,
    ValueDigest, WantedStatus,
};
pub use backfence_gossip::{ReplicaId, SessionId, Skew, Time, Timestamp, UpdateId};
pub use backfence_ratings::{Average, Movie, MovieId, Rating, RatingError, UserId, UserRating};
pub use backfence_wire::ClusterId;
pub use client::{Client, ConnectError, Source};
pub use error::Error;
pub use progress::Waiting;
pub use session::{SavedSession, Search, Session};
