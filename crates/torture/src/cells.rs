//! The ratings that are fought over.

use backfence_client::{MovieId, Rating, UserId};
use rand::{RngExt as _, rngs::StdRng};

/// Cells that are hot at a time.
const HOT: u64 = 8;
/// Movies of the cluster's small data.
const MOVIES: u64 = 9;
/// From here on, users have no loaded ratings.
const USERS: u64 = 1000;
/// From here on, ratings are taken back too. What a read of nothing comes from cannot be
/// told, so they are in no history.
const DELETING: u64 = 1 << 20;
/// How many of those there are.
const DELETED: u64 = 16;

/// One rating of one user: a key of the history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Cell(u64);

impl Cell {
    /// A cell to read or write, when `shifted` cells have ceased to be hot: a hot one
    /// mostly, sometimes one of the past.
    pub(crate) fn draw(random: &mut StdRng, shifted: u64) -> Self {
        match random.random_range(0..20) {
            0 if shifted > 0 => Self(random.random_range(0..shifted)),
            _ => Self(shifted + random.random_range(0..HOT)),
        }
    }

    /// One that ratings are taken back from.
    pub(crate) fn draw_deleting(random: &mut StdRng) -> Self {
        Self(DELETING + random.random_range(0..DELETED))
    }

    /// The hot cell in which this one is answered.
    pub(crate) fn partner(self, shifted: u64) -> Self {
        Self(shifted + (self.0 + 1) % HOT)
    }

    /// Whether it is in the history.
    pub(crate) fn is_recorded(self) -> bool {
        self.0 < DELETING
    }

    pub(crate) fn key(self) -> u64 {
        self.0
    }

    pub(crate) fn user(self) -> UserId {
        UserId((USERS + self.0 / MOVIES) as u32)
    }

    pub(crate) fn movie(self) -> MovieId {
        MovieId((1 + self.0 % MOVIES) as u32)
    }
}

/// The rating that the update of this number gives: so it can be told whether a rating
/// belongs to the update that it is said to come from.
pub(crate) fn rating(sequence: u64) -> Rating {
    let half_stars = (sequence % 11) as u32;
    Rating::from_ten_thousandths(half_stars * 5000).expect("it is at most 5 stars")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn cells_are_hot_and_shift() {
        let mut random = StdRng::seed_from_u64(1);
        let mut drawn = |shifted| -> BTreeSet<u64> {
            let cells = (0..2000).map(|_| Cell::draw(&mut random, shifted).key());
            cells.collect()
        };
        assert_eq!(drawn(0), (0..8).collect());
        assert_eq!(drawn(3), (0..11).collect());
        for cell in [Cell(4), Cell(5)] {
            assert!((4..12).contains(&cell.partner(4).key()));
            assert_ne!((cell.user(), cell.movie()), (UserId(1000), MovieId(1)));
        }
        assert_ne!(Cell(8).user(), Cell(9).user());
    }
}
