//! The rows of a file of ratings.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use backfence_client::{MovieId, Rating, UserId};
use backfence_process::{Exit, Failure};
use backfence_ratings::{Lines, RowError};

use crate::output::safe;

/// A rating to give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its place among the rows, from 0, which the journal knows it by.
    pub(super) number: u64,
    /// Its line in the file, from 1, which people know it by.
    pub(super) line: u64,
    pub(super) user: UserId,
    pub(super) movie: MovieId,
    pub(super) rating: Rating,
    /// When it was given, in seconds since 1970; 0 where the file does not say.
    pub(super) seconds: u32,
}

/// Opens the file behind its header, and says which column has the time of a rating.
pub(super) fn reader(file: &Path) -> anyhow::Result<(Lines<File>, Option<usize>)> {
    let cannot = || format!("cannot read {}", file.display());
    let mut lines = Lines::new(File::open(file).with_context(cannot)?);
    lines.advance().with_context(cannot)?;
    let header = lines.columns().unwrap_or_default();
    let mut names = header.iter().map(|column| column.trim_ascii());
    if names.by_ref().take(HEADER.len()).eq(HEADER) {
        let time = names.position(|name| name == b"timestamp");
        return Ok((lines, time.map(|at| at + HEADER.len())));
    }
    let header = String::from_utf8_lossy(lines.line());
    let shown: String = safe(&header).chars().take(60).collect();
    let message = format!(
        "{} begins with `{shown}` instead of `userId,movieId,rating`; is it the right file?",
        file.display()
    );
    Err(Failure::new(Exit::Usage, message).into())
}

/// The columns that come first; more may follow.
const HEADER: [&[u8]; 3] = [b"userId", b"movieId", b"rating"];

/// What tells this file from another, and how many lines it has.
pub(super) fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    // FNV-1a: it guards against accidents.
    let (mut hash, mut length, mut lines) = (0xcbf2_9ce4_8422_2325_u64, 0_u64, 0_u64);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..read] {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            lines += u64::from(byte == b'\n');
        }
        length += read as u64;
    }
    Ok((format!("{length} {hash:016x}"), lines.saturating_sub(1)))
}

impl Row {
    /// Reads the row at this place and line, with its time in that column. Says why
    /// where that makes no sense.
    pub(super) fn read(
        (number, line): (u64, u64),
        row: &Columns<'_>,
        time: Option<usize>,
    ) -> Result<Self, String> {
        let row = row.as_ref().map_err(RowError::to_string)?;
        let id = |at, name: &str| {
            let text = column(row, at, name)?;
            let number = crate::plain::parse_number(text).filter(|_| !text.is_empty());
            number.ok_or_else(|| format!("{name} {:?} is no number", safe(text)))
        };
        let rating = column(row, 2, "rating")?;
        let time = time.filter(|&at| row.len() > at);
        let time = time.map_or(Ok(""), |at| column(row, at, "timestamp"))?;
        Ok(Self {
            number,
            line,
            user: UserId(id(0, "userId")?),
            movie: MovieId(id(1, "movieId")?),
            rating: rating
                .parse()
                .map_err(|why| format!("rating {:?}: {why}", safe(rating)))?,
            seconds: seconds(time)?,
        })
    }

    /// Which of so many sessions gives it: the same for all rows of one user and movie.
    pub(super) fn place(&self, sessions: usize) -> usize {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the same in
        // every run and every version.
        let key = u64::from(self.user.0) << 32 | u64::from(self.movie.0);
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        (mixed % sessions as u64) as usize
    }
}

/// What the reader finds in a line.
pub(super) type Columns<'a> = Result<Vec<Cow<'a, [u8]>>, RowError>;

fn column<'a>(row: &'a [Cow<'_, [u8]>], at: usize, name: &str) -> Result<&'a str, String> {
    let text = row.get(at).ok_or_else(|| format!("it has no {name}"))?;
    let text = str::from_utf8(text).map_err(|_| format!("{name} is not UTF-8"))?;
    Ok(text.trim())
}

/// Nothing stands for no time: not everybody fills that column in.
fn seconds(time: &str) -> Result<u32, String> {
    if time.is_empty() {
        return Ok(0);
    }
    crate::plain::parse_number(time).ok_or_else(|| {
        let time = safe(time);
        format!("timestamp {time:?} is not a whole number of seconds from 1970 to 2106")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_or_named() {
        let check = |columns: &[&str], expected: Result<(u32, u32, &str), &str>| {
            let row = columns.iter().map(|column| column.as_bytes().into());
            let read = Row::read((0, 2), &Ok(row.collect()), Some(3));
            let found = read.map(|row| (row.user.0, row.movie.0, row.rating.to_string()));
            let expected = expected.map(|(user, movie, rating)| (user, movie, rating.to_owned()));
            assert_eq!(found, expected.map_err(str::to_owned), "{columns:?}");
        };
        check(&["1", "2", "4.5"], Ok((1, 2, "4.5")));
        check(&[" 1", "2 ", "4", "964982703", "more"], Ok((1, 2, "4.0")));
        check(&["1", "2", "4.000000", " "], Ok((1, 2, "4.0")));
        check(
            &["1", "2", "4", "964982703000"],
            Err("timestamp \"964982703000\" is not a whole number of seconds from 1970 to 2106"),
        );
        check(&["1", "2"], Err("it has no rating"));
        check(&["", "2", "3"], Err("userId \"\" is no number"));
        check(&["1", "+2", "3"], Err("movieId \"+2\" is no number"));
        check(
            &["1", "2", "6"],
            Err("rating \"6\": ratings go from 0 to 5"),
        );
    }

    #[test]
    fn sessions_get_about_equal_shares() {
        let mut shares = [0; 32];
        for user in 0..100 {
            for movie in 0..100 {
                let row = Row {
                    number: 0,
                    line: 2,
                    user: UserId(user),
                    movie: MovieId(movie),
                    rating: Rating::MAX,
                    seconds: 0,
                };
                shares[row.place(shares.len())] += 1;
            }
        }
        assert!(
            shares.iter().all(|&share| (200..450).contains(&share)),
            "{shares:?}"
        );
    }
}
