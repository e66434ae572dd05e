//! What users have called movies.

use std::collections::BTreeMap;

use crate::UserId;

/// The tags of each movie, the most used first. Never changes.
///
/// Each distinct tag is kept once, in the spelling that came first.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    vocabulary: Vec<Box<str>>,
    /// For the movie at each position of the catalogue, where its tags begin; at
    /// the end, the number of all. Empty when there are none at all.
    starts: Vec<usize>,
    /// Indices into the vocabulary, and how many users.
    tags: Vec<(u32, u32)>,
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
        let mut tags = Self::default();
        let mut known = BTreeMap::new();
        let mut given: Vec<(usize, u32, UserId)> = Vec::with_capacity(rows.len());
        for (movie, user, tag) in rows {
            let next = tags.vocabulary.len() as u32;
            let index = *known.entry(tag.to_lowercase()).or_insert(next);
            if index == next {
                tags.vocabulary.push(tag.into_boxed_str());
            }
            given.push((movie, index, user));
        }
        given.sort_unstable();
        given.dedup();
        tags.starts.push(0);
        let mut given = given.as_slice();
        for movie in 0..movies {
            let end = given.partition_point(|row| row.0 == movie);
            let (of_movie, rest) = given.split_at(end);
            given = rest;
            tags.add(of_movie);
        }
        tags
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tags of the movie at that position, and how many users gave each.
    pub(crate) fn of(&self, position: usize) -> impl Iterator<Item = (&str, u32)> {
        let range = match self.starts.get(position..position + 2) {
            Some(bounds) => bounds[0]..bounds[1],
            None => 0..0,
        };
        let tags = self.tags[range].iter();
        tags.map(|&(tag, users)| (&*self.vocabulary[tag as usize], users))
    }

    /// The rows of the next movie, sorted by tag.
    fn add(&mut self, rows: &[(usize, u32, UserId)]) {
        let mut counted: Vec<(u32, u32)> = rows
            .chunk_by(|a, b| a.1 == b.1)
            .map(|same| (same[0].1, same.len() as u32))
            .collect();
        counted.sort_by_key(|&(tag, users)| (u32::MAX - users, tag));
        counted.truncate(MOST);
        self.tags.extend(counted);
        self.starts.push(self.tags.len());
    }
}
