//! The replicated value: users' updates laid over the loaded data.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backfence_gossip::{Digest, Time, Update, UpdateId, Value};

use crate::{
    Base, Catalogue, Movie, MovieId, Operation, Rating, Total, UserId,
    fingerprint::Fnv128,
    overlay::{Overlay, Written},
};

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
    /// later stays deleted, and one that was loaded too. Where none was loaded it can
    /// be [let go](Ratings::release) once nothing older can arrive.
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

/// A rating among others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Whose.
    pub user: UserId,
    /// Of which movie.
    pub movie: MovieId,
    /// What they gave.
    pub rating: Rating,
    /// When, in seconds since 1970.
    pub seconds: u64,
}

/// A movie with its average.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ranked<'a> {
    /// The movie.
    pub movie: &'a Movie,
    /// Its average.
    pub average: Average,
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
    overlay: Overlay,
    /// The totals of the movies that occur in the overlay.
    totals: BTreeMap<MovieId, Total>,
    /// The tombstones that hide no loaded rating, by time.
    tombstones: BTreeSet<(Time, UserId, MovieId)>,
}

/// In so many parts [`Ratings::release`] lets tombstones go, and at least so many at once.
const PARTS: usize = 32;
const PART: usize = 1024;

impl Ratings {
    /// The loaded data, without updates.
    pub const fn new(base: Arc<Base>) -> Self {
        Self {
            base,
            overlay: Overlay::new(),
            totals: BTreeMap::new(),
            tombstones: BTreeSet::new(),
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
        match self.overlay.get(user, movie) {
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
        self.total(movie).average()
    }

    /// The ratings after this one, by user and movie, of one user or of all, at
    /// most `limit`; and whether there are others after them.
    pub fn list(
        &self,
        user: Option<UserId>,
        after: Option<(UserId, MovieId)>,
        limit: usize,
    ) -> (Vec<Listed>, bool) {
        let mut listed = Vec::new();
        let of_user = |rating: &Listed| user.is_none_or(|user| rating.user == user);
        for rating in self.ratings_after(begin(user, after)).take_while(of_user) {
            if listed.len() == limit {
                return (listed, true);
            }
            listed.push(rating);
        }
        (listed, false)
    }

    /// The movies of a genre, or of any where it is blank, with at least
    /// `min_ratings` ratings, the highest average first, then the one with more
    /// ratings, at most `limit`.
    pub fn top(&self, genre: &str, min_ratings: u64, limit: usize) -> Vec<Ranked<'_>> {
        let genre = self.catalogue().genre(genre);
        let least = min_ratings.max(1);
        let mut ranked: Vec<_> = self
            .catalogue()
            .iter()
            .filter(|movie| genre.has(movie))
            .map(|movie| (self.total(movie.id), movie))
            .filter(|(total, _)| u64::from(total.count) >= least)
            .collect();
        let better = |(a, first): &(Total, &Movie), (b, second): &(Total, &Movie)| {
            b.cmp_average(a)
                .then(b.count.cmp(&a.count))
                .then(first.id.cmp(&second.id))
        };
        if limit < ranked.len() {
            // Only what is shown is put in order.
            ranked.select_nth_unstable_by(limit, better);
            ranked.truncate(limit);
        }
        ranked.sort_unstable_by(better);
        let best = ranked.into_iter().take(limit);
        best.filter_map(|(total, movie)| {
            Some(Ranked {
                movie,
                average: total.average()?,
            })
        })
        .collect()
    }

    /// The loaded ratings and the overlay, merged: a write beats what was loaded.
    fn ratings_after(&self, after: Option<(UserId, MovieId)>) -> impl Iterator<Item = Listed> + '_ {
        let mut loaded = self.base.ratings_after(after).peekable();
        let mut written = self.overlay.page(after).peekable();
        std::iter::from_fn(move || {
            loop {
                let next_loaded = loaded.peek().map(|row| (row.0, row.1));
                let next_written = written.peek().map(|write| (write.0, write.1));
                let from_overlay = match (next_loaded, next_written) {
                    (None, None) => return None,
                    (Some(loaded), Some(written)) => written <= loaded,
                    (None, Some(_)) => true,
                    (Some(_), None) => false,
                };
                if !from_overlay {
                    let (user, movie, rating, seconds) = loaded.next()?;
                    return Some(Listed {
                        user,
                        movie,
                        rating,
                        seconds,
                    });
                }
                let (user, movie, cell) = written.next()?;
                if next_loaded == Some((user, movie)) {
                    loaded.next();
                }
                if let Some(rating) = cell.rating {
                    let seconds = cell.time.0 / 1_000_000;
                    return Some(Listed {
                        user,
                        movie,
                        rating,
                        seconds,
                    });
                }
            }
        })
    }

    /// The last write of a user to a movie, a deletion too.
    pub fn cell(&self, user: UserId, movie: MovieId) -> Option<Cell> {
        self.overlay.get(user, movie).copied()
    }

    /// Every last write, by user and movie, for a transfer of state.
    pub fn cells(&self) -> impl Iterator<Item = (MovieId, UserId, Cell)> + '_ {
        let all = self.overlay.after(None);
        all.map(|(user, movie, &cell)| (movie, user, cell))
    }

    /// Every last write but the tombstones that hide no loaded rating: one replica may
    /// have let go of those before another.
    fn lasting(&self) -> impl Iterator<Item = (UserId, MovieId, &Cell)> {
        self.overlay.after(None).filter(|&(user, movie, cell)| {
            cell.rating.is_some() || !self.tombstones.contains(&(cell.time, user, movie))
        })
    }

    /// A digest of the loaded data and of all that was written over it, the same on every
    /// machine: two values that are equal have the same, two that differ by accident have
    /// not. Tombstones that hide no loaded rating make no difference. It costs a pass over
    /// all writes.
    pub fn digest(&self) -> u128 {
        let mut digest = Fnv128::new();
        digest.text(&self.base.fingerprint());
        for (user, movie, cell) in self.lasting() {
            digest.number(user.0);
            digest.number(movie.0);
            digest.bytes(&cell.time.0.to_le_bytes());
            digest.bytes(&cell.update.session.0.to_le_bytes());
            digest.bytes(&cell.update.sequence.to_le_bytes());
            // No rating is as great.
            let rating = cell.rating.map_or(u32::MAX, Rating::ten_thousandths);
            digest.number(rating);
        }
        digest.finish()
    }

    /// How many last writes the [digest](Self::digest) is of: ratings, and deletions of
    /// loaded ratings.
    pub fn writes(&self) -> usize {
        self.overlay.len() - self.tombstones.len()
    }

    /// Joins one write into the value: it takes effect unless a greater one is
    /// there. Says whether it did.
    pub fn insert(&mut self, movie: MovieId, user: UserId, cell: Cell) -> bool {
        let before = match self.overlay.write(user, movie, cell) {
            Written::First => self.base.rating(user, movie),
            Written::Replaced(before) => {
                if before.rating.is_none() {
                    self.tombstones.remove(&(before.time, user, movie));
                }
                before.rating
            }
            Written::Lost => return false,
        };
        if cell.rating.is_none() && self.base.rating(user, movie).is_none() {
            self.tombstones.insert((cell.time, user, movie));
        }
        let mut total = self.total(movie);
        total.replace(before, cell.rating);
        self.totals.insert(movie, total);
        true
    }

    /// Lets go of tombstones that are dated before `before`, where no loaded rating is
    /// beneath, and says which. The caller knows that no older write can arrive. What is
    /// shown does not change by it.
    ///
    /// It goes by parts, so that nobody waits for long: what is left is let go next time.
    pub fn release(&mut self, before: Time) -> Vec<(UserId, MovieId)> {
        let most = PART.max(self.tombstones.len() / PARTS);
        let mut released = Vec::new();
        while released.len() < most
            && let Some(&oldest) = self.tombstones.first()
            && oldest.0 < before
        {
            self.tombstones.remove(&oldest);
            let (_, user, movie) = oldest;
            self.overlay.remove(user, movie);
            released.push((user, movie));
        }
        released
    }

    fn total(&self, movie: MovieId) -> Total {
        match self.totals.get(&movie) {
            Some(&total) => total,
            None => self.base.total(movie),
        }
    }
}

/// Where a list begins. The first key of a user is not known, but the one before
/// it has the id of the user before and no movie.
fn begin(user: Option<UserId>, after: Option<(UserId, MovieId)>) -> Option<(UserId, MovieId)> {
    let before = user.and_then(|user| {
        let before = user.0.checked_sub(1)?;
        Some((UserId(before), MovieId(u32::MAX)))
    });
    before.max(after)
}

impl PartialEq for Ratings {
    /// The base is compared by its fingerprint; the totals follow from both. Tombstones
    /// that hide no loaded rating make no difference.
    fn eq(&self, other: &Self) -> bool {
        self.base.same_data(&other.base) && self.lasting().eq(other.lasting())
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
        for (user, movie, &cell) in other.overlay.after(None) {
            self.insert(movie, user, cell);
        }
    }

    fn size(operation: &Operation) -> usize {
        operation.size()
    }

    fn digest(update: &Update<Operation>) -> Digest {
        update.operation.digest(update.time)
    }

    fn latest(&self) -> Time {
        let times = self.overlay.after(None).map(|(.., cell)| cell.time);
        times.max().unwrap_or_default()
    }
}
