//! The replicated value: users' updates laid over the loaded data.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use backfence_gossip::{Time, Update, UpdateId, Value};

use crate::{Base, Catalogue, MovieId, Rating, Total, UserId};

/// What an update does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
}

impl Operation {
    /// The movie that it is about.
    pub const fn movie(&self) -> MovieId {
        match *self {
            Self::Rate { movie, .. } | Self::Delete { movie, .. } => movie,
        }
    }

    /// The user who does it.
    pub const fn user(&self) -> UserId {
        match *self {
            Self::Rate { user, .. } | Self::Delete { user, .. } => user,
        }
    }

    const fn rating(&self) -> Option<Rating> {
        match *self {
            Self::Rate { rating, .. } => Some(rating),
            Self::Delete { .. } => None,
        }
    }
}

/// The last write of one user to one movie.
///
/// The greatest cell wins: by time, then by update id. That order extends
/// causality, so a session's later write always wins over what it had seen. The
/// rating comes last only to make the order total, were an id used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cell {
    /// The time of the update.
    pub time: Time,
    /// The update that wrote it.
    pub update: UpdateId,
    /// `None` for a deletion: a tombstone, so that an older rating that arrives
    /// later stays deleted.
    pub rating: Option<Rating>,
}

/// A user's rating of a movie, and where it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserRating {
    /// The rating.
    pub rating: Rating,
    /// The update that gave it; `None` where it stands in the loaded data.
    pub update: Option<UpdateId>,
}

/// The average of a movie's ratings.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Average {
    /// From 0 to 5.
    pub average: f64,
    /// How many ratings it is taken over; never 0.
    pub ratings: u64,
}

/// An operation is about a movie that is not in the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no movie with the id {0}; find one by its title first")]
pub struct UnknownMovie(pub MovieId);

/// All ratings: the loaded ones, and the users' updates over them.
///
/// A write beats whatever was loaded; among writes the greatest [`Cell`] wins. So
/// the value depends on the set of updates applied, not on their order. The total
/// of each movie is kept exactly, so an average costs the same however many
/// ratings there are.
#[derive(Clone, Debug)]
pub struct Ratings {
    base: Arc<Base>,
    /// The last write of each user to each movie.
    overlay: BTreeMap<(MovieId, UserId), Cell>,
    /// The totals of the movies that occur in the overlay.
    totals: BTreeMap<MovieId, Total>,
}

impl Ratings {
    /// The loaded data, without updates.
    pub const fn new(base: Arc<Base>) -> Self {
        Self {
            base,
            overlay: BTreeMap::new(),
            totals: BTreeMap::new(),
        }
    }

    /// The loaded data.
    pub const fn base(&self) -> &Arc<Base> {
        &self.base
    }

    /// The movies.
    pub fn catalogue(&self) -> &Catalogue {
        self.base.catalogue()
    }

    /// Whether the operation can be accepted.
    ///
    /// # Errors
    ///
    /// If its movie is not in the catalogue.
    pub fn check(&self, operation: &Operation) -> Result<(), UnknownMovie> {
        let movie = operation.movie();
        match self.catalogue().movie(movie) {
            Some(_) => Ok(()),
            None => Err(UnknownMovie(movie)),
        }
    }

    /// The rating that the user gave to the movie.
    pub fn view(&self, user: UserId, movie: MovieId) -> Option<UserRating> {
        match self.overlay.get(&(movie, user)) {
            Some(cell) => cell.rating.map(|rating| UserRating {
                rating,
                update: Some(cell.update),
            }),
            None => self.base.rating(user, movie).map(|rating| UserRating {
                rating,
                update: None,
            }),
        }
    }

    /// The average rating of the movie; `None` when there is no rating, or none is
    /// left.
    pub fn average(&self, movie: MovieId) -> Option<Average> {
        let total = self.total(movie);
        (total.count > 0).then(|| Average {
            average: total.sum as f64 / (i64::from(total.count) * 10_000) as f64,
            ratings: u64::from(total.count),
        })
    }

    /// Every last write, by movie and user, for a transfer of state.
    pub fn cells(&self) -> impl Iterator<Item = (MovieId, UserId, Cell)> + '_ {
        self.overlay
            .iter()
            .map(|(&(movie, user), &cell)| (movie, user, cell))
    }

    /// Joins one write into the value: it takes effect unless a greater one is
    /// there. Says whether it did.
    pub fn insert(&mut self, movie: MovieId, user: UserId, cell: Cell) -> bool {
        let before = match self.overlay.entry((movie, user)) {
            Entry::Vacant(vacant) => {
                vacant.insert(cell);
                self.base.rating(user, movie)
            }
            Entry::Occupied(mut present) if *present.get() < cell => present.insert(cell).rating,
            Entry::Occupied(_) => return false,
        };
        let mut total = self.total(movie);
        total.replace(before, cell.rating);
        self.totals.insert(movie, total);
        true
    }

    fn total(&self, movie: MovieId) -> Total {
        match self.totals.get(&movie) {
            Some(&total) => total,
            None => self.base.total(movie),
        }
    }
}

impl PartialEq for Ratings {
    /// The base is compared by its fingerprint.
    fn eq(&self, other: &Self) -> bool {
        self.overlay == other.overlay
            && self.totals == other.totals
            && self.base.same_data(&other.base)
    }
}

impl Value for Ratings {
    type Operation = Operation;

    fn apply(&mut self, update: &Update<Operation>) {
        let cell = Cell {
            time: update.time,
            update: update.id,
            rating: update.operation.rating(),
        };
        self.insert(update.operation.movie(), update.operation.user(), cell);
    }

    fn merge(&mut self, other: Self) {
        for ((movie, user), cell) in other.overlay {
            self.insert(movie, user, cell);
        }
    }

    fn size(_: &Operation) -> usize {
        // Two ids and a rating of at most six bytes each with their tags, and the
        // lengths of the two messages around them.
        24
    }
}
