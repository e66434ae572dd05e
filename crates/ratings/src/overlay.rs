//! What users have written, by user and movie.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher},
};

use crate::{MovieId, UserId, ratings::Cell};

/// A hasher without a seed, so that equal programs do equal work. The order that it
/// gives is never seen.
type Cells = HashMap<MovieId, Cell, BuildHasherDefault<DefaultHasher>>;

/// The last write of each user to each movie.
///
/// Users in order, since they are listed; of each a hash table, so that a write costs
/// the same after a million others. What is listed of one user is sorted then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    users: BTreeMap<UserId, Cells>,
    len: usize,
}

/// What became of a write.
pub(crate) enum Written {
    /// There was none before.
    First,
    /// It took the place of this one.
    Replaced(Cell),
    /// A greater one was there, or the same.
    Lost,
}

impl Overlay {
    pub(crate) const fn new() -> Self {
        Self {
            users: BTreeMap::new(),
            len: 0,
        }
    }

    pub(crate) fn get(&self, user: UserId, movie: MovieId) -> Option<&Cell> {
        self.users.get(&user)?.get(&movie)
    }

    /// Writes a cell, unless a greater one is there.
    pub(crate) fn write(&mut self, user: UserId, movie: MovieId, cell: Cell) -> Written {
        let cells = self.users.entry(user).or_default();
        match cells.get_mut(&movie) {
            Some(present) if *present >= cell => Written::Lost,
            Some(present) => Written::Replaced(std::mem::replace(present, cell)),
            None => {
                cells.insert(movie, cell);
                self.len += 1;
                Written::First
            }
        }
    }

    /// Takes a cell out. Where many have gone from a user, their room goes too.
    pub(crate) fn remove(&mut self, user: UserId, movie: MovieId) {
        let Some(cells) = self.users.get_mut(&user) else {
            return;
        };
        self.len -= usize::from(cells.remove(&movie).is_some());
        if cells.is_empty() {
            self.users.remove(&user);
        } else if cells.len() < cells.capacity() / 4 {
            cells.shrink_to_fit();
        }
    }

    /// Every cell after this one, by user and movie.
    pub(crate) fn after(
        &self,
        after: Option<(UserId, MovieId)>,
    ) -> impl Iterator<Item = (UserId, MovieId, &Cell)> {
        let first = after.map_or(UserId(0), |(user, _)| user);
        self.users.range(first..).flat_map(move |(&user, cells)| {
            let is_after = |movie: MovieId| after.is_none_or(|after| (user, movie) > after);
            let mut sorted: Vec<_> = cells
                .iter()
                .map(|(&movie, cell)| (user, movie, cell))
                .filter(|&(_, movie, _)| is_after(movie))
                .collect();
            sorted.sort_unstable_by_key(|&(_, movie, _)| movie);
            sorted
        })
    }

    /// The same, where few of them are wanted: those of a user are put in order as they are
    /// taken.
    pub(crate) fn page(
        &self,
        after: Option<(UserId, MovieId)>,
    ) -> impl Iterator<Item = (UserId, MovieId, &Cell)> {
        let first = after.map_or(UserId(0), |(user, _)| user);
        self.users.range(first..).flat_map(move |(&user, cells)| {
            let movies = cells.keys().copied();
            let is_after = |&movie: &MovieId| after.is_none_or(|after| (user, movie) > after);
            let mut movies: BinaryHeap<_> = movies.filter(is_after).map(Reverse).collect();
            std::iter::from_fn(move || {
                let Reverse(movie) = movies.pop()?;
                Some((user, movie, cells.get(&movie)?))
            })
        })
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}
