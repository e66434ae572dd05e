//! Who gave which rating, in columns.

use std::ops::Range;

use crate::{
    MovieId, Rating, Total, UserId,
    column::{Column, Packer},
    rows::{Row, Rows},
    sections::{Reader, Sections, Torn},
};

/// Ratings by user, and within a user by movie.
#[derive(Debug)]
pub(crate) struct Given {
    /// For each movie what its ratings add up to in ten-thousandths, ...
    sums: Column,
    /// ... and how many there are.
    counts: Column,
    /// The ids of all who have rated, ascending, ...
    users: Column,
    /// ... and where the ratings of each begin; at the end, the number of all.
    starts: Column,
    /// The different ratings that were given, in ten-thousandths.
    values: Column,
    /// Of each rating the position of its movie, ...
    movies: Column,
    /// ... which of the values it is, ...
    codes: Column,
    /// ... and when it was given, in seconds since 1970.
    seconds: Column,
}

/// One of them. The movie is a position in the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gave {
    pub(crate) user: UserId,
    pub(crate) movie: usize,
    pub(crate) rating: Rating,
    pub(crate) seconds: u64,
}

impl Given {
    /// Of a catalogue of so many movies.
    pub(crate) fn new(catalogue: usize, rows: &Rows) -> Self {
        let values = values(rows);
        let mut code = vec![0_u16; usize::from(u16::MAX) + 1];
        for (number, value) in (0..).zip(&values) {
            code[*value as usize] = number;
        }
        let mut totals = vec![Total::default(); catalogue];
        let (mut users, mut starts) = (Vec::new(), Vec::new());
        let mut movies = Packer::new(catalogue as u64, rows.len());
        let mut codes = Packer::new(values.len() as u64, rows.len());
        let mut seconds = Packer::new(u32::MAX.into(), rows.len());
        let (mut place, mut last) = (0, None);
        rows.chunks().flatten().for_each(|row| {
            if last != Some(row.user) {
                last = Some(row.user);
                users.push(row.user.0.into());
                starts.push(place);
            }
            place += 1;
            totals[row.movie as usize].replace(None, Some(row.rating));
            movies.push(row.movie.into());
            codes.push(code[row.rating.ten_thousandths() as usize].into());
            seconds.push(row.timestamp.into());
        });
        starts.push(rows.len() as u64);
        let sums: Vec<_> = totals.iter().map(|total| total.sum as u64).collect();
        let counts: Vec<_> = totals.iter().map(|total| total.count.into()).collect();
        Self {
            sums: Column::of(&sums),
            counts: Column::of(&counts),
            users: Column::of(&users),
            starts: Column::of(&starts),
            values: Column::of(&values),
            movies: movies.finish(),
            codes: codes.finish(),
            seconds: seconds.finish(),
        }
    }

    pub(crate) fn write(&self, sections: &mut Sections) {
        for column in [
            &self.sums,
            &self.counts,
            &self.users,
            &self.starts,
            &self.values,
            &self.movies,
            &self.codes,
            &self.seconds,
        ] {
            column.write(sections);
        }
    }

    /// Of a catalogue of so many movies.
    pub(crate) fn read(catalogue: usize, reader: &mut Reader) -> Result<Self, Torn> {
        let mut column = || Column::read(reader);
        let given = Self {
            sums: column()?,
            counts: column()?,
            users: column()?,
            starts: column()?,
            values: column()?,
            movies: column()?,
            codes: column()?,
            seconds: column()?,
        };
        let all = given.seconds.len();
        let fit = [
            given.sums.len() == catalogue && given.counts.len() == catalogue,
            given.starts.len() == given.users.len() + 1,
            given.starts.get(given.users.len()) == Some(all as u64),
            given.movies.len() == all && given.codes.len() == all,
        ];
        fit.iter().all(|&fit| fit).then_some(given).ok_or(Torn)
    }

    pub(crate) fn len(&self) -> usize {
        self.seconds.len()
    }

    pub(crate) fn rating(&self, user: UserId, movie: usize) -> Option<Rating> {
        let range = self.of_user(user)?;
        self.value(self.movies.find(range, movie as u64)?)
    }

    /// Of the movie at this position.
    pub(crate) fn total(&self, movie: usize) -> Total {
        let count = self.counts.get_u32(movie).unwrap_or(0);
        let sum = self.sums.get(movie).unwrap_or(0) as i64;
        Total { sum, count }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Gave> + '_ {
        self.from(0, 0)
    }

    /// Those after this one. `movie` is the position of the first movie with an id
    /// beyond the one asked for.
    pub(crate) fn after(&self, user: UserId, movie: usize) -> impl Iterator<Item = Gave> + '_ {
        let before = |other| other < u64::from(user.0);
        let number = self.users.partition(0..self.users.len(), before);
        let place = match self.users.get(number) == Some(user.0.into()) {
            true => self
                .movies
                .partition(self.starts.between(number), |other| other < movie as u64),
            false => self.starts.get(number).unwrap_or(0) as usize,
        };
        self.from(number, place)
    }

    /// From a place on, which is one of this user's or a later one's.
    fn from(&self, mut number: usize, place: usize) -> impl Iterator<Item = Gave> + '_ {
        (place..self.len()).filter_map(move |at| {
            while self.starts.get(number + 1)? <= at as u64 {
                number += 1;
            }
            Some(Gave {
                user: UserId(self.users.get_u32(number)?),
                movie: self.movies.get(at)? as usize,
                rating: self.value(at)?,
                seconds: self.seconds.get(at)?,
            })
        })
    }

    fn of_user(&self, user: UserId) -> Option<Range<usize>> {
        let user = u64::from(user.0);
        // Mostly everybody from 1 on has rated, so user 1 is the first.
        let likely = (user as usize).wrapping_sub(1);
        let number = match self.users.get(likely) == Some(user) {
            true => likely,
            false => self.users.find(0..self.users.len(), user)?,
        };
        Some(self.starts.between(number))
    }

    fn value(&self, at: usize) -> Option<Rating> {
        let value = self.values.get_u32(self.codes.get(at)? as usize)?;
        Rating::from_ten_thousandths(value)
    }
}

/// The different ratings in ten-thousandths, ascending.
fn values(rows: &Rows) -> Vec<u64> {
    let mut seen = vec![false; usize::from(u16::MAX) + 1];
    let see = |row: &Row| seen[row.rating.ten_thousandths() as usize] = true;
    rows.chunks().flatten().for_each(see);
    (0..)
        .zip(seen)
        .filter(|seen| seen.1)
        .map(|seen| seen.0)
        .collect()
}

/// Where the first movie with an id beyond this one would stand in the catalogue.
pub(crate) fn beyond(catalogue: &crate::Catalogue, movie: MovieId) -> usize {
    catalogue.movies.partition_point(|other| other.id <= movie)
}
