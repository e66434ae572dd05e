//! Which of several rows of one user and movie counts.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
};

use backfence_client::{MovieId, UserId};

use super::rows::{Row, reader};

/// Passes over a row that is older than one before it. Then the last that is given is the
/// one that counts for a server that loads the file: the latest, among equals the last.
pub(super) struct Latest {
    /// When the latest so far was given, and its line.
    seen: HashMap<(UserId, MovieId), (u32, u64)>,
    /// The file goes from user to user, so that only the rows of one need be known.
    by_user: bool,
    user: Option<UserId>,
}

impl Latest {
    /// Looks through the file once, as files of MovieLens have no end of rows.
    pub(super) fn new(file: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            seen: HashMap::new(),
            by_user: is_by_user(file)?,
            user: None,
        })
    }

    /// The line of the row that counts instead of this one, if one before it does.
    pub(super) fn overtakes(&mut self, row: &Row) -> Option<u64> {
        if self.by_user && self.user.replace(row.user) != Some(row.user) {
            self.seen.clear();
        }
        match self.seen.entry((row.user, row.movie)) {
            Entry::Occupied(seen) if seen.get().0 > row.seconds => Some(seen.get().1),
            seen => {
                seen.insert_entry((row.seconds, row.line));
                None
            }
        }
    }
}

/// Whether no user comes after a greater one.
fn is_by_user(file: &Path) -> anyhow::Result<bool> {
    let (mut lines, time) = reader(file)?;
    let mut last = UserId(0);
    while let Some(line) = lines.advance()? {
        if let Ok(row) = Row::read((0, line), &lines.columns(), time) {
            if row.user < last {
                return Ok(false);
            }
            last = row.user;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use backfence_client::Rating;

    use super::*;

    #[test]
    fn an_older_row_is_passed_over() {
        let check = |by_user, rows: &[(u32, u32, Option<u64>)]| {
            let (seen, user) = (HashMap::new(), None);
            let mut latest = Latest {
                seen,
                by_user,
                user,
            };
            for (line, &(user, seconds, counts)) in (2..).zip(rows) {
                let row = Row {
                    number: line - 2,
                    line,
                    user: UserId(user),
                    movie: MovieId(1),
                    rating: Rating::MAX,
                    seconds,
                };
                assert_eq!(latest.overtakes(&row), counts, "{line} of {rows:?}");
            }
            latest.seen.len()
        };
        let rows = [
            (1, 5, None),
            (1, 4, Some(2)),
            (1, 5, None),
            (1, 4, Some(4)),
            (2, 1, None),
        ];
        assert_eq!((check(true, &rows), check(false, &rows)), (1, 2));
        check(false, &[(1, 5, None), (2, 1, None), (1, 4, Some(2))]);
    }
}
