//! The rows of a ratings file on their way into columns.

use crate::{Rating, UserId};

/// A row, of 20 bytes: there are millions at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) user: UserId,
    /// The movie's position in the catalogue.
    pub(crate) movie: u32,
    /// In seconds since 1970.
    pub(crate) timestamp: u32,
    /// Counted from the first line of its block.
    pub(crate) line: u32,
    pub(crate) rating: Rating,
}

impl Row {
    /// At most one row of these counts.
    pub(crate) const fn key(&self) -> (UserId, u32) {
        (self.user, self.movie)
    }
}

/// Rows that followed one another in the file.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) rows: Vec<Row>,
    /// The line of the file from which those of the rows count.
    pub(crate) first_line: u64,
}

/// Rows by user and movie, one of each; or about to be.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    blocks: Vec<Block>,
}

/// A row that does not count, since another does.
pub(crate) struct Duplicate {
    pub(crate) user: UserId,
    pub(crate) movie: u32,
    pub(crate) line: u64,
    /// Where the one that counts stands.
    pub(crate) counts: u64,
}

impl Rows {
    /// Blocks in the order of the file, each [sorted](Block::sort). Of several rows of
    /// one movie by one user the one with the latest timestamp stays, among equal
    /// timestamps the last in the file; `duplicate` is told of the others.
    ///
    /// The files of MovieLens are in order as they are, which costs one look.
    pub(crate) fn new<E>(
        blocks: Vec<Block>,
        mut duplicate: impl FnMut(Duplicate) -> Result<(), E>,
    ) -> Result<Self, E> {
        let rows = Self { blocks };
        if rows.ascend() {
            return Ok(rows);
        }
        let mut all: Vec<(Row, u64)> = Vec::with_capacity(rows.len());
        for block in rows.blocks {
            let line = |row: &Row| block.first_line + u64::from(row.line);
            all.extend(block.rows.iter().map(|row| (*row, line(row))));
        }
        // It keeps the order of equals, and is quick with parts that are sorted.
        all.sort_by_key(|(row, _)| (row.key(), row.timestamp));
        for pair in all.windows(2) {
            let ((earlier, line), (later, counts)) = (pair[0], pair[1]);
            if earlier.key() == later.key() {
                duplicate(Duplicate {
                    user: later.user,
                    movie: later.movie,
                    line,
                    counts,
                })?;
            }
        }
        // The last of equals counts; `dedup` keeps the first, hence backwards.
        all.reverse();
        all.dedup_by_key(|(row, _)| row.key());
        let rows = all.into_iter().rev().map(|(row, _)| row).collect();
        Ok(Self {
            blocks: vec![Block {
                rows,
                first_line: 0,
            }],
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.rows.len()).sum()
    }

    /// Rows that follow one another, some at a time.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[Row]> {
        self.blocks.iter().map(|block| block.rows.as_slice())
    }

    /// Whether each is greater than the one before it.
    fn ascend(&self) -> bool {
        let within = |rows: &[Row]| rows.is_sorted_by(|a, b| a.key() < b.key());
        let filled = || self.chunks().filter(|rows| !rows.is_empty());
        let seams = filled().zip(filled().skip(1));
        let seam = |(a, b): (&[Row], &[Row])| a.last().map(Row::key) < b.first().map(Row::key);
        self.chunks().all(within) && seams.into_iter().all(seam)
    }
}

impl Block {
    pub(crate) fn sort(&mut self) {
        self.rows.sort_by_key(|row| (row.key(), row.timestamp));
    }
}
