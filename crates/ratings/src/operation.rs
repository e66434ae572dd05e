//! What an update does.

use backfence_gossip::{Digest, Time};
use sha2::{Digest as _, Sha256};

use crate::{MovieId, Rating, UserId};

/// What an update does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// The user gives the movie a rating, or changes it.
    Rate {
        /// Whose rating.
        user: UserId,
        /// Of which movie.
        movie: MovieId,
        /// The rating from now on.
        rating: Rating,
    },
    /// The user takes the rating back. Without one to take back, nothing changes.
    Delete {
        /// Whose rating.
        user: UserId,
        /// Of which movie.
        movie: MovieId,
    },
    /// One of these from a later version, with fields that this version does not know.
    Later(Box<Later>),
}

/// An operation with fields from a later version, in itself or in its update. It does what
/// the known fields say, and is passed on as it came.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Later {
    user: UserId,
    movie: MovieId,
    rating: Option<Rating>,
    operation: Box<[u8]>,
    update: Box<[u8]>,
}

impl Later {
    /// The whole operation as it came; empty where all of it is known.
    pub const fn operation(&self) -> &[u8] {
        &self.operation
    }

    /// The fields of its update that are not known, as they came.
    pub const fn update(&self) -> &[u8] {
        &self.update
    }
}

impl Operation {
    /// The same operation, with fields from a later version: it came as the bytes
    /// `operation`, empty where all of it is known, in an update that had the unknown fields
    /// `update`.
    #[must_use]
    pub fn with_later(&self, operation: &[u8], update: &[u8]) -> Self {
        Self::Later(Box::new(Later {
            user: self.user(),
            movie: self.movie(),
            rating: self.rating(),
            operation: operation.into(),
            update: update.into(),
        }))
    }

    /// What later versions have added to it; `None` where all of it is known.
    pub const fn later(&self) -> Option<&Later> {
        match self {
            Self::Later(later) => Some(later),
            _ => None,
        }
    }

    /// The movie that it is about.
    pub const fn movie(&self) -> MovieId {
        match self {
            Self::Rate { movie, .. } | Self::Delete { movie, .. } => *movie,
            Self::Later(later) => later.movie,
        }
    }

    /// The user who does it.
    pub const fn user(&self) -> UserId {
        match self {
            Self::Rate { user, .. } | Self::Delete { user, .. } => *user,
            Self::Later(later) => later.user,
        }
    }

    /// The rating that it gives; `None` where it takes one back.
    pub const fn rating(&self) -> Option<Rating> {
        match self {
            Self::Rate { rating, .. } => Some(*rating),
            Self::Delete { .. } => None,
            Self::Later(later) => later.rating,
        }
    }

    /// The digest of an update at `time` that does this: the beginning of SHA-256 of the
    /// time, the kind (1 rates, 2 deletes), user, movie and rating in ten-thousandths, each
    /// with the least significant byte first, and of the operation as it came where a later
    /// version has added something. The same in all versions.
    pub(crate) fn digest(&self, time: Time) -> Digest {
        let mut bytes = [0; 8 + 1 + 3 * 4];
        bytes[..8].copy_from_slice(&time.0.to_le_bytes());
        bytes[8] = if self.rating().is_some() { 1 } else { 2 };
        let rating = self.rating().map_or(0, Rating::ten_thousandths);
        let numbers = [self.user().0, self.movie().0, rating];
        for (to, number) in bytes[9..].chunks_exact_mut(4).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        let mut hasher = Sha256::new_with_prefix(bytes);
        if let Some(later) = self.later() {
            hasher.update(&later.operation);
        }
        let hash = hasher.finalize();
        Digest(*hash.first_chunk().expect("32 bytes begin with 16"))
    }

    /// An upper bound of its bytes on the wire.
    pub(crate) fn size(&self) -> usize {
        // Two ids and a rating of at most six bytes each with their tags, and the
        // lengths of the two messages around them.
        const KNOWN: usize = 24;
        let later = self.later();
        KNOWN + later.map_or(0, |later| later.operation.len() + later.update.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values were computed apart, with another program.
    #[test]
    fn a_digest_is_of_time_and_operation_and_the_same_everywhere() {
        let (user, movie) = (UserId(17), MovieId(260));
        let rating = Rating::from_ten_thousandths(45_000).expect("4.5 stars");
        let rate = Operation::Rate {
            user,
            movie,
            rating,
        };
        let delete = Operation::Delete { user, movie };
        let time = Time(1_767_225_600_000_000);
        let check = |operation: &Operation, time, expected: &str| {
            assert_eq!(format!("{:?}", operation.digest(time)), expected);
        };
        check(&rate, time, "9550b8e4ed6f1be6c0bbd1fa30f82229");
        check(&rate, Time(time.0 + 1), "4806d04b4d42c9d846551220c02691d9");
        check(&delete, time, "7ec37fd2039356009a4daca3fb7649c4");
        check(
            &rate.with_later(b"\x0a\x02new", b""),
            time,
            "d096742a0c37bf533e1be0fab193432a",
        );
        // What is added to the update and not to the operation makes no other update.
        check(
            &rate.with_later(b"", b"carried"),
            time,
            "9550b8e4ed6f1be6c0bbd1fa30f82229",
        );
    }

    #[test]
    fn what_a_later_version_added_changes_nothing_of_what_is_known() {
        let (user, movie) = (UserId(1), MovieId(2));
        let delete = Operation::Delete { user, movie };
        let rating = Rating::MAX;
        let rate = Operation::Rate {
            user,
            movie,
            rating,
        };
        for known in [rate, delete] {
            let later = known.with_later(b"whole", b"more");
            let again = later.with_later(b"whole", b"more");
            assert_eq!(later, again);
            for read in [&known, &later] {
                assert_eq!((read.user(), read.movie()), (user, movie));
                assert_eq!(read.rating(), known.rating());
            }
            assert_eq!(later.size(), known.size() + 9);
        }
    }
}
