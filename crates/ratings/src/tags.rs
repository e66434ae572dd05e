//! What users have called movies.

use std::collections::BTreeMap;

use crate::{
    UserId,
    column::{Column, Texts},
    sections::{Reader, Sections, Torn},
};

/// The tags of each movie, the most used first. Never changes.
///
/// Each distinct tag is kept once, in the spelling that came first.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    vocabulary: Texts,
    /// For the movie at each position of the catalogue, where its tags begin; at
    /// the end, the number of all. Empty when there are none at all.
    starts: Column,
    /// Indices into the vocabulary, ...
    tags: Column,
    /// ... and how many users.
    users: Column,
}

/// Tags of one movie that are kept. Further ones, the least used, are dropped: it
/// keeps a reply well within the size of a message.
const MOST: usize = 100;

impl Tags {
    /// `rows` are the movie's position, the user and the tag, in the order of the
    /// file. Letter case does not tell tags apart.
    pub(crate) fn new(movies: usize, rows: Vec<(usize, UserId, String)>) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        let (mut known, mut vocabulary) = (BTreeMap::new(), Vec::new());
        let mut given: Vec<(usize, u32, UserId)> = Vec::with_capacity(rows.len());
        for (movie, user, tag) in rows {
            let next = vocabulary.len() as u32;
            let index = *known.entry(tag.to_lowercase()).or_insert(next);
            if index == next {
                vocabulary.push(tag);
            }
            given.push((movie, index, user));
        }
        given.sort_unstable();
        given.dedup();
        let (mut starts, mut counted) = (vec![0], Vec::new());
        let mut given = given.as_slice();
        for movie in 0..movies {
            let end = given.partition_point(|row| row.0 == movie);
            let (of_movie, rest) = given.split_at(end);
            given = rest;
            counted.extend(count(of_movie));
            starts.push(counted.len() as u64);
        }
        let column = |part: fn(&(u32, u32)) -> u32| {
            let numbers: Vec<_> = counted.iter().map(|row| u64::from(part(row))).collect();
            Column::of(&numbers)
        };
        Self {
            vocabulary: Texts::new(vocabulary.iter().map(String::as_str)),
            starts: Column::of(&starts),
            tags: column(|row| row.0),
            users: column(|row| row.1),
        }
    }

    pub(crate) fn write(&self, sections: &mut Sections) {
        self.vocabulary.write(sections);
        self.starts.write(sections);
        self.tags.write(sections);
        self.users.write(sections);
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Torn> {
        Ok(Self {
            vocabulary: Texts::read(reader)?,
            starts: Column::read(reader)?,
            tags: Column::read(reader)?,
            users: Column::read(reader)?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.len() == 0
    }

    /// The tags of the movie at that position, and how many users gave each.
    pub(crate) fn of(&self, position: usize) -> impl Iterator<Item = (&str, u32)> {
        self.starts.between(position).filter_map(|at| {
            let tag = self.tags.get(at)? as usize;
            Some((self.vocabulary.get(tag), self.users.get_u32(at)?))
        })
    }
}

/// The tags of a movie's rows, which are sorted by tag, and how many users gave each.
fn count(rows: &[(usize, u32, UserId)]) -> Vec<(u32, u32)> {
    let mut counted: Vec<(u32, u32)> = rows
        .chunk_by(|a, b| a.1 == b.1)
        .map(|same| (same[0].1, same.len() as u32))
        .collect();
    counted.sort_by_key(|&(tag, users)| (u32::MAX - users, tag));
    counted.truncate(MOST);
    counted
}
